//! Files in memory that processes map: named ones in /dev/shm, and sealed ones without a name.

use core::ffi::CStr;

use super::errno::{self, EEXIST, EINTR, EINVAL, ENOENT};
use super::fd::{Fd, owned};
use super::sealed::{check_limit, new_file};
use crate::error::{Error, Result};

/// Nobody can shrink or grow the file.
const FIXED: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// A file that has no name yet, readable and writable by this user alone. It vanishes with its last descriptor.
pub(crate) fn unnamed() -> Result<Fd> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: a C string; the result is a new descriptor.
    let file = owned(|| unsafe { libc::open(c"/dev/shm".as_ptr(), flags, 0o600) });
    let file = file.map_err(|error| match error {
        // There is no /dev/shm, or it is no tmpfs.
        Error::NotFound | Error::Os(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOTDIR) => Error::Unsupported,
        Error::Os(libc::EMFILE | libc::ENFILE) => Error::OutOfMemory,
        other => other,
    })?;
    // Whatever the process's umask is.
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::fchmod(file.raw(), 0o600) }).map_err(Error::from_errno)?;
    Ok(file)
}

/// A file without a name whose size nobody can change; its memory comes with its use.
pub(crate) fn sealed(size: usize) -> Result<Fd> {
    sealed_as(c"forq", size)
}

/// As [`sealed`], shown under `/memfd:` and this in /proc.
pub(crate) fn sealed_as(shown_as: &CStr, size: usize) -> Result<Fd> {
    check_limit(size)?;
    let length = libc::off_t::try_from(size).map_err(|_| Error::InvalidArgument)?;
    let file = new_file(shown_as)?;
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::ftruncate(file.raw(), length) }).map_err(Error::from_errno)?;
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::fcntl(file.raw(), libc::F_ADD_SEALS, FIXED) })
        .map_err(Error::from_errno)?;
    Ok(file)
}

/// Whether nobody can change the file's size.
pub(crate) fn is_fixed(file: &Fd) -> bool {
    // SAFETY: no pointers.
    let seals = errno::preserve(|| unsafe { libc::fcntl(file.raw(), libc::F_GET_SEALS) });
    seals.is_ok_and(|seals| seals & libc::F_SEAL_SHRINK != 0)
}

/// Gives the file so many bytes of memory, of which it has some, so that using them cannot fail: `OutOfSpace` if there are not so many.
pub(crate) fn allocate(file: &Fd, size: usize, has: u64) -> Result<()> {
    /// So much at a time: a signal undoes no more.
    const STEP: usize = 16 << 20;
    check_limit(size)?;
    // Asked before, since taking all there is, only to fail, would leave other processes none. The kernel counts what is free in the
    // file system, but gives out memory that it does not have.
    if (size as u64).saturating_sub(has) > free_in_file_system(file)?.min(available_memory()) {
        return Err(Error::OutOfSpace);
    }
    let mut done = 0;
    while done < size {
        let step = STEP.min(size - done);
        let offset = libc::off_t::try_from(done).map_err(|_| Error::InvalidArgument)?;
        // SAFETY: no pointers.
        let result =
            errno::preserve(|| unsafe { libc::fallocate(file.raw(), 0, offset, step as libc::off_t) });
        match result {
            Ok(_) => done += step,
            Err(EINTR) => {}
            Err(libc::EFBIG | libc::EDQUOT) => return Err(Error::OutOfSpace),
            Err(code) => return Err(Error::from_errno(code)),
        }
    }
    Ok(())
}

fn free_in_file_system(file: &Fd) -> Result<u64> {
    let mut status = core::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a place for the result.
    errno::preserve(|| unsafe { libc::fstatvfs(file.raw(), status.as_mut_ptr()) })
        .map_err(Error::from_errno)?;
    // SAFETY: filled by the successful call.
    let status = unsafe { status.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "the types depend on the machine")]
    Ok((status.f_bavail as u64).saturating_mul(status.f_frsize as u64))
}

/// How many bytes the machine could give without taking them from anybody; without /proc, all that is known to be there.
fn available_memory() -> u64 {
    let read = || {
        let mut text = [0; 512];
        let read = Fd::open_read(c"/proc/meminfo").ok()?.read(&mut text).ok()?;
        let text = core::str::from_utf8(&text[..read]).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kib.checked_mul(1024)
    };
    read().unwrap_or_else(|| super::map::machine_memory() as u64)
}

/// Gives a file from [`unnamed`] its name, in one step: `AlreadyExists` if it is taken.
pub(crate) fn publish(file: &Fd, path: &CStr) -> Result<()> {
    let mut from = [0; 32];
    let from = super::proc::descriptor_path(file.raw(), &mut from);
    // SAFETY: C strings.
    let result = errno::preserve(|| unsafe {
        let here = libc::AT_FDCWD;
        libc::linkat(here, from.as_ptr(), here, path.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    });
    match result {
        Ok(_) => Ok(()),
        Err(EEXIST) => Err(Error::AlreadyExists),
        // /proc is not mounted.
        Err(ENOENT) => Err(Error::Unsupported),
        Err(code) => Err(Error::from_errno(code)),
    }
}

/// Whether anything has this name.
pub(crate) fn exists(path: &CStr) -> bool {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a C string and a place for the result.
    errno::preserve(|| unsafe { libc::lstat(path.as_ptr(), status.as_mut_ptr()) }).is_ok()
}

/// Opens a named file, and no link: `Protocol` if it is something that cannot be mapped.
pub(crate) fn open(path: &CStr) -> Result<Fd> {
    let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a C string; the result is a new descriptor.
    owned(|| unsafe { libc::open(path.as_ptr(), flags) }).map_err(|error| match error {
        Error::Os(libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::ENODEV) => Error::Protocol,
        Error::Os(libc::EMFILE | libc::ENFILE) => Error::OutOfMemory,
        other => other,
    })
}

/// Another descriptor of the same file.
#[cfg(any(feature = "std", feature = "capi"))]
pub(crate) fn duplicate(raw: i32) -> Result<Fd> {
    // SAFETY: no pointers; a new descriptor.
    owned(|| unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 3) }).map_err(|error| match error {
        Error::Os(libc::EBADF) => Error::InvalidArgument,
        Error::Os(libc::EMFILE | libc::ENFILE) => Error::OutOfMemory,
        other => other,
    })
}

/// Takes a name away. Who uses the file goes on.
pub(crate) fn unlink(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    errno::preserve(|| unsafe { libc::unlink(path.as_ptr()) }).map(drop).map_err(|code| match code {
        libc::EISDIR => Error::Protocol,
        code => Error::from_errno(code),
    })
}

/// What the file system tells of a file.
pub(crate) struct FileStatus {
    /// Whether it is a plain file of this user that nobody else may open.
    pub(crate) is_private: bool,
    pub(crate) links: u64,
    pub(crate) size: u64,
    /// Bytes that have memory.
    pub(crate) allocated: u64,
}

impl FileStatus {
    pub(crate) fn of(file: &Fd) -> Result<Self> {
        let status = status(|place| {
            // SAFETY: a place for the result.
            unsafe { libc::fstat(file.raw(), place) }
        })?;
        // SAFETY: no arguments, cannot fail.
        let me = unsafe { libc::geteuid() };
        let is_file = status.st_mode & libc::S_IFMT == libc::S_IFREG;
        Ok(Self {
            is_private: is_file && status.st_uid == me && status.st_mode & 0o7777 == 0o600,
            links: status.st_nlink as u64,
            size: u64::try_from(status.st_size).unwrap_or(0),
            allocated: u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(512),
        })
    }
}

/// The number of this process's PID namespace; 0 if it cannot be found out.
pub(crate) fn pid_namespace() -> u64 {
    let result = status(|place| {
        // SAFETY: a C string and a place for the result.
        unsafe { libc::stat(c"/proc/self/ns/pid".as_ptr(), place) }
    });
    #[cfg_attr(
        target_pointer_width = "64",
        expect(clippy::unnecessary_cast, reason = "narrower on 32-bit machines")
    )]
    result.map_or(0, |status| status.st_ino as u64)
}

fn status(call: impl FnOnce(*mut libc::stat) -> i32) -> Result<libc::stat> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    errno::preserve(|| call(status.as_mut_ptr())).map_err(Error::from_errno)?;
    // SAFETY: filled by the successful call.
    Ok(unsafe { status.assume_init() })
}

/// Reads the first bytes of a file, which has as many: `Protocol` otherwise.
pub(crate) fn read_start(file: &Fd, buffer: &mut [u8]) -> Result<()> {
    // SAFETY: the buffer is as long as we say.
    let read = errno::preserve(|| unsafe {
        libc::pread(file.raw(), buffer.as_mut_ptr().cast(), buffer.len(), 0) as i64
    });
    match read {
        Ok(count) if count as usize == buffer.len() => Ok(()),
        Ok(_) | Err(EINVAL | libc::ESPIPE | libc::EAGAIN) => Err(Error::Protocol),
        Err(code) => Err(Error::from_errno(code)),
    }
}
