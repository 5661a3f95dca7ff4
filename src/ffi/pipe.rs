//! Pipes.

use core::ffi::{c_int, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use super::{borrow, borrow_mut, count, deadline, status};
use crate::error::{Error, Result};
use crate::pipe::{Connection, Direction, Parts, Received, pipe, pipe_one_way, wait_ready};
use crate::sys::unshared::Slot;

/// One end of a pipe. Declared by the caller; all bytes zero: none. It may be moved, is copied by fork, and does
/// not belong in shared memory. Any number of threads and processes may use it at once; one receives at a time, the
/// others wait for their turn, which a killed one gives up.
///
/// An end is gone when every copy, in whatever process, was closed or died with its process: so close in each process
/// the end that it does not use. (forq_process_spawn_piped does.)
#[repr(C)]
pub struct forq_connection {
    /// Not for users.
    _inboxes: *mut c_void,
    /// Not for users.
    _slot: *const c_void,
    /// The descriptor, plus one.
    _descriptor: i32,
    /// Not for users.
    _direction: u32,
    /// Not for users.
    _end: u64,
}
#[cfg(target_pointer_width = "64")]
static_assertions::const_assert_eq!(size_of::<forq_connection>(), 32);

impl forq_connection {
    const NONE: Self = Self {
        _inboxes: core::ptr::null_mut(),
        _slot: core::ptr::null(),
        _descriptor: 0,
        _direction: 0,
        _end: 0,
    };

    pub(super) fn store(connection: Connection) -> Self {
        let parts = connection.into_parts();
        Self {
            _inboxes: parts.inboxes.0.as_ptr().cast(),
            _slot: parts.slot.map_or(core::ptr::null(), |slot| slot.address().cast()),
            _descriptor: parts.descriptor + 1,
            _direction: match parts.direction {
                Direction::Both => 0,
                Direction::Receive => 1,
                Direction::Send => 2,
            },
            _end: parts.inboxes.1 as u64,
        }
    }

    /// The connection that the handle stands for, still owned by the handle.
    fn load(&self) -> Result<ManuallyDrop<Connection>> {
        let inboxes = NonNull::new(self._inboxes.cast()).ok_or(Error::InvalidArgument)?;
        if self._descriptor <= 0 {
            return Err(Error::InvalidArgument);
        }
        let direction = match self._direction {
            0 => Direction::Both,
            1 => Direction::Receive,
            2 => Direction::Send,
            _ => return Err(Error::InvalidArgument),
        };
        // SAFETY: null, or what `store` wrote.
        let slot = (!self._slot.is_null()).then(|| unsafe { Slot::at(self._slot.cast()) });
        let parts = Parts {
            descriptor: self._descriptor - 1,
            slot,
            inboxes: (inboxes, self._end as usize),
            direction,
        };
        // SAFETY: the parts are the handle's; they are not dropped here.
        Ok(ManuallyDrop::new(unsafe { Connection::from_parts(parts) }))
    }
}

/// The connection behind a pointer.
///
/// # Safety
/// As [`borrow`].
unsafe fn connection(c: *const forq_connection) -> Result<ManuallyDrop<Connection>> {
    // SAFETY: by contract.
    unsafe { borrow(c) }?.load()
}

/// Makes two connected ends: what one sends the other receives. Both are close-on-exec.
///
/// Returns 0; -ENOMEM without memory or descriptors; -EINVAL.
///
/// cbindgen:ptrs-as-arrays=[[ends_out;2]]
///
/// # Safety
/// `ends_out` must be NULL or writable, twice.
#[allow(rustdoc::broken_intra_doc_links, reason = "the annotation is for cbindgen")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pipe(ends_out: *mut forq_connection) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(ends_out.cast::<[forq_connection; 2]>()) }.and_then(|ends_out| {
        let (one, other) = pipe()?;
        *ends_out = [forq_connection::store(one), forq_connection::store(other)];
        Ok(())
    });
    status(result)
}

/// Makes an end that receives and an end that sends. The wrong direction is -EPERM.
///
/// Returns as forq_pipe.
///
/// # Safety
/// Both must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pipe_one_way(
    receiver_out: *mut forq_connection,
    sender_out: *mut forq_connection,
) -> c_int {
    if receiver_out == sender_out {
        return status(Err(Error::InvalidArgument));
    }
    // SAFETY: by contract; two places.
    let both = unsafe { borrow_mut(receiver_out).and_then(|r| Ok((r, borrow_mut(sender_out)?))) };
    status(both.and_then(|(receiver_out, sender_out)| {
        let (receiver, sender) = pipe_one_way()?;
        *receiver_out = forq_connection::store(receiver);
        *sender_out = forq_connection::store(sender);
        Ok(())
    }))
}

/// Sends a message: whole, or not at all. (NULL, 0) is an empty one, which is not the end.
///
/// Waits for room for at most timeout_ns. Never raises SIGPIPE.
/// The largest message so far waits, besides, for the end of a forq_connection_recv that is just at work at the other end.
/// Returns 0; -EPIPE if the other end is gone; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: nothing was sent; -EPERM at an end
/// that only receives; -ENOMEM without memory or descriptors for it; -ENOSPC if RLIMIT_FSIZE forbids it; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a handle, `message` readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_send(
    c: *mut forq_connection,
    message: *const c_void,
    size: usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { connection(c) }.and_then(|connection| {
        let deadline = deadline(timeout_ns)?;
        if size > isize::MAX as usize || (message.is_null() && size > 0) {
            return Err(Error::InvalidArgument);
        }
        let message = if size == 0 {
            &[]
        } else {
            // SAFETY: by contract; not null, and of a size that slices may have.
            unsafe { core::slice::from_raw_parts(message.cast::<u8>(), size) }
        };
        connection.send_until(message, deadline)
    });
    status(result)
}

/// Receives a message into a buffer, waiting for at most timeout_ns.
///
/// size_out: its size. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed, so (NULL, 0) asks for it
/// (an empty message fits, and is received).
/// Returns 0; -EMSGSIZE; -EPIPE at the end: the other end is gone, and all that it sent was received; -ETIMEDOUT, or -EAGAIN if
/// timeout_ns is 0; -EPERM at an end that only sends; -EPROTO if a descriptor is next, which stays; -ENOMEM if no descriptor is left
/// for a large message, which stays; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a handle, `buffer_out` writable for `capacity` bytes, `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_recv(
    c: *mut forq_connection,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { connection(c).and_then(|connection| Ok((connection, borrow_mut(size_out)?))) };
    status(both.and_then(|(connection, size_out)| {
        let deadline = deadline(timeout_ns)?;
        if buffer_out.is_null() && capacity > 0 {
            return Err(Error::InvalidArgument);
        }
        let buffer: &mut [MaybeUninit<u8>] = if capacity == 0 {
            &mut []
        } else {
            // No message is larger than what slices may have.
            let capacity = capacity.min(isize::MAX as usize);
            // SAFETY: by contract; not null.
            unsafe { core::slice::from_raw_parts_mut(buffer_out.cast(), capacity) }
        };
        let (size, result) = match connection.receive_until(buffer, deadline)? {
            Received::Message(size) => (size, Ok(())),
            Received::TooLarge(size) => (size, Err(Error::MessageSize)),
        };
        *size_out = size;
        result
    }))
}

/// 1 if there is something to receive or the other end is gone, 0 if not, waiting for it for at most timeout_ns.
///
/// Returns 1; 0; -EPERM at an end that only sends; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_poll(c: *mut forq_connection, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { connection(c) }
        .and_then(|connection| Ok(connection.poll_until(deadline(timeout_ns)?)?.into()));
    count(result)
}

/// Its descriptor, readable while there is something to receive or the other end is gone: for poll and epoll, not for
/// reading; the handle's. -EINVAL.
///
/// # Safety
/// `c` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_fd(c: *const forq_connection) -> c_int {
    // SAFETY: by contract.
    count(unsafe { connection(c) }.map(|connection| connection.raw() as usize))
}

/// Sends a copy of a descriptor, in its turn among the messages. Returns as forq_connection_send.
///
/// # Safety
/// `c` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_send_fd(
    c: *mut forq_connection,
    fd: c_int,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result =
        unsafe { connection(c) }.and_then(|connection| connection.send_fd_until(fd, deadline(timeout_ns)?));
    status(result)
}

/// Receives a descriptor: a new one of this process, close-on-exec, the caller's to close.
///
/// Returns 0; -EPROTO if a message is next, which stays; -ENOMEM if there is no room for it, then it stays; else as forq_connection_recv.
///
/// # Safety
/// `c` must be NULL or a handle, `fd_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_recv_fd(
    c: *mut forq_connection,
    fd_out: *mut c_int,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { connection(c).and_then(|connection| Ok((connection, borrow_mut(fd_out)?))) };
    status(both.and_then(|(connection, fd_out)| {
        *fd_out = connection.recv_fd_until(deadline(timeout_ns)?)?.into_raw();
        Ok(())
    }))
}

/// Closes this process's copy of an end, which no thread of it uses any more; all bytes are zero afterwards.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_connection_close(c: *mut forq_connection) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(c) }.and_then(|c| {
        let connection = c.load()?;
        *c = forq_connection::NONE;
        drop(ManuallyDrop::into_inner(connection));
        Ok(())
    });
    status(result)
}

/// Waits until at least one of count descriptors is ready: of a connection (something to receive, or its other end is gone), of a
/// process (it has ended), or any other that can be polled (readable, or at its end).
///
/// ready_out: for each, whether it is.
/// Returns how many are; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINVAL for NULL, a count of 0, or a descriptor that is not open.
///
/// # Safety
/// `fds` must be NULL or readable, `ready_out` NULL or writable, for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_wait(
    fds: *const c_int,
    count: usize,
    ready_out: *mut bool,
    timeout_ns: i64,
) -> c_int {
    let result = deadline(timeout_ns).and_then(|deadline| {
        if fds.is_null() || !fds.is_aligned() || ready_out.is_null() || c_int::try_from(count).is_err() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: by contract; not null, aligned, and not too many.
        let fds = unsafe { core::slice::from_raw_parts(fds, count) };
        let mut place = ready_out;
        wait_ready(fds.iter().copied(), deadline, |is_ready| {
            // SAFETY: by contract: told `count` times.
            unsafe {
                place.write(is_ready);
                place = place.add(1);
            }
        })
    });
    super::count(result)
}
