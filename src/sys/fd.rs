//! Descriptors: owned, close-on-exec; reading, polling, event counters and pipes.

use super::clock::Deadline;
use super::errno::{self, EINTR};
#[cfg(any(feature = "std", feature = "capi"))]
use super::map::Mapping;
use super::thread;
use crate::error::{Error, Result};

/// An open descriptor of this process, closed when dropped.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    /// Takes over a descriptor.
    ///
    /// # Safety
    /// `raw` must be open and belong to nobody else.
    pub(crate) unsafe fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    /// Moves it out of the place of a standard stream, which others will use.
    pub(crate) fn above_standard(self) -> Result<Self> {
        if self.0 > 2 {
            return Ok(self);
        }
        // SAFETY: no pointers; a new descriptor.
        errno::preserve(|| unsafe { libc::fcntl(self.0, libc::F_DUPFD_CLOEXEC, 3) })
            .map(Self)
            .map_err(Error::from_errno)
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Gives the descriptor away: nobody closes it.
    pub(crate) fn into_raw(self) -> i32 {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }

    pub(crate) fn open_read(path: &core::ffi::CStr) -> Result<Self> {
        // SAFETY: a C string; the result is a new descriptor.
        owned(|| unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })
    }

    /// An event counter: readable while it is not zero.
    pub(crate) fn event() -> Result<Self> {
        // SAFETY: no pointers; the result is a new descriptor.
        owned(|| unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
    }

    /// A pipe: the end to read and the end to write.
    pub(crate) fn pipe() -> Result<(Self, Self)> {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        errno::preserve(|| unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })
            .map_err(Error::from_errno)?;
        let (read, write) = (Self(ends[0]), Self(ends[1]));
        Ok((read.above_standard()?, write.above_standard()?))
    }

    /// Reads once; 0 at the end.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            // SAFETY: the buffer is as long as we say.
            let read = errno::preserve(|| unsafe {
                libc::read(self.0, buffer.as_mut_ptr().cast(), buffer.len()) as i64
            });
            match read {
                Ok(count) => return Ok(count as usize),
                Err(EINTR) => {}
                Err(code) => return Err(Error::from_errno(code)),
            }
        }
    }

    /// The next entries of a directory, as the kernel writes them; none at its end.
    pub(crate) fn read_entries<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        // SAFETY: the buffer is as long as we say.
        let read = errno::preserve(|| unsafe {
            libc::syscall(libc::SYS_getdents64, self.0, buffer.as_mut_ptr(), buffer.len())
        });
        buffer.get(..read.map_err(Error::from_errno)? as usize).ok_or(Error::InvalidArgument)
    }

    /// Writes a few bytes, which fit.
    pub(crate) fn write(&self, bytes: &[u8]) {
        // SAFETY: the bytes are as many as we say.
        let _ = errno::preserve(|| unsafe { libc::write(self.0, bytes.as_ptr().cast(), bytes.len()) as i64 });
    }

    /// Adds one to an event counter. A full counter is as good.
    pub(crate) fn signal_event(&self) {
        self.write(&1u64.to_ne_bytes());
    }

    /// Takes all that an event counter holds.
    pub(crate) fn drain_event(&self) {
        let _ = self.read(&mut [0; 8]);
    }

    /// Makes standard input read this descriptor.
    pub(crate) fn replace_stdin(&self) -> Result<()> {
        // SAFETY: no pointers.
        errno::preserve(|| unsafe { libc::dup2(self.0, 0) }).map(drop).map_err(Error::from_errno)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again. Linux closes it even if it reports an error.
        let _ = errno::preserve(|| unsafe { libc::close(self.0) });
    }
}

/// The descriptor that a call made.
pub(super) fn owned(call: impl FnOnce() -> i32) -> Result<Fd> {
    errno::preserve(call).map(Fd).map_err(Error::from_errno)?.above_standard()
}

/// Waits until one of `fds` is readable or at its end; says which. All false: the time is up.
/// Negative descriptors are never ready.
pub(crate) fn poll<const N: usize>(fds: [i32; N], deadline: Deadline) -> Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    poll_all(&mut polled, deadline)?;
    Ok(polled.map(|entry| entry.revents != 0))
}

/// Waits until `fd` can be written to, or never will be; false: the time is up.
pub(crate) fn poll_room(fd: i32, deadline: Deadline) -> Result<bool> {
    let mut polled = [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }];
    poll_all(&mut polled, deadline)?;
    Ok(polled[0].revents != 0)
}

/// As [`poll`], of any number: calls `tell` with the answer for each, in their order, unless it is 0. Returns how many are ready.
/// `InvalidArgument` if one is not open.
#[cfg(any(feature = "std", feature = "capi"))]
pub(crate) fn poll_many(
    fds: impl ExactSizeIterator<Item = i32>,
    deadline: Deadline,
    tell: impl FnMut(bool),
) -> Result<usize> {
    const FEW: usize = 32;
    const NONE: libc::pollfd = libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 };
    let count = fds.len();
    let mut few = [NONE; FEW];
    if let Some(few) = few.get_mut(..count) {
        return poll_these(few, fds, deadline, tell);
    }
    let size = count.checked_mul(size_of::<libc::pollfd>()).ok_or(Error::InvalidArgument)?;
    let mapping = Mapping::private(size)?;
    // SAFETY: zeroed memory of our own, large enough and page-aligned; used only while `mapping` lives.
    let many = unsafe { core::slice::from_raw_parts_mut(mapping.start().as_ptr().cast(), count) };
    many.fill(NONE);
    poll_these(many, fds, deadline, tell)
}

#[cfg(any(feature = "std", feature = "capi"))]
fn poll_these(
    polled: &mut [libc::pollfd],
    fds: impl Iterator<Item = i32>,
    deadline: Deadline,
    mut tell: impl FnMut(bool),
) -> Result<usize> {
    for (entry, fd) in polled.iter_mut().zip(fds) {
        if fd < 0 {
            return Err(Error::InvalidArgument);
        }
        entry.fd = fd;
    }
    let ready = poll_all(polled, deadline)?;
    if polled.iter().any(|entry| entry.revents & libc::POLLNVAL != 0) {
        return Err(Error::InvalidArgument);
    }
    if ready > 0 {
        polled.iter().for_each(|entry| tell(entry.revents != 0));
    }
    Ok(ready)
}

/// How many of the entries are ready.
fn poll_all(polled: &mut [libc::pollfd], deadline: Deadline) -> Result<usize> {
    loop {
        let left = deadline.left();
        let timeout: *const libc::timespec = if deadline.is_forever() { core::ptr::null() } else { &left };
        // SAFETY: so many entries, and a time that outlives the call.
        let result = errno::preserve(|| unsafe {
            libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout, core::ptr::null())
        });
        match result {
            Ok(count) => return Ok(count as usize),
            Err(EINTR) if !thread::current().is_interruptible() => {}
            Err(EINTR) => return Err(Error::Interrupted),
            Err(code) => return Err(Error::from_errno(code)),
        }
    }
}
