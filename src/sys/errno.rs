//! Error numbers, and system calls that leave the caller's `errno` as it was.

pub(crate) use libc::{
    EACCES, EAGAIN, EBUSY, ECHILD, EDEADLK, EEXIST, EINTR, EINVAL, EMSGSIZE, ENOENT, ENOMEM, ENOSPC, ENOSYS,
    EOVERFLOW, EOWNERDEAD, EPERM, EPIPE, EPROTO, ERANGE, ESHUTDOWN, ESRCH, ETIMEDOUT,
};

/// Runs a call of the C library that returns -1 and sets `errno` when it fails; gives the number
/// back as the error, and the caller's `errno` its old value.
#[inline]
pub(crate) fn preserve<R: Into<i64> + Copy>(call: impl FnOnce() -> R) -> Result<R, i32> {
    // SAFETY: the C library gives every thread an errno, valid as long as the thread.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let result = call();
        if result.into() != -1 {
            return Ok(result);
        }
        let code = *errno;
        *errno = before;
        Err(code)
    }
}

/// Runs calls that may set errno even when they succeed.
pub(crate) fn keeping<R>(calls: impl FnOnce() -> R) -> R {
    // SAFETY: the C library gives every thread an errno, valid as long as the thread.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let result = calls();
        *errno = before;
        result
    }
}
