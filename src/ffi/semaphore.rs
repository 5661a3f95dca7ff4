//! Permits.

use core::ffi::{c_char, c_int};

use super::{borrow, borrow_mut, count, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::sync::names::{self, ObjectKind};
use crate::sync::semaphore::Semaphore;

/// A counting semaphore for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different
/// addresses in different processes. All bytes zero: no permits, no bound.
///
/// Permits have no owner: those of a process that dies are not given back. Waiters that die take nothing
/// along.
#[repr(C, align(64))]
pub struct forq_semaphore {
    /// Not for users.
    _opaque: [u64; 8],
}
static_assertions::assert_eq_size!(forq_semaphore, Semaphore);
static_assertions::assert_eq_align!(forq_semaphore, Semaphore);

/// # Safety
/// As [`borrow`].
unsafe fn semaphore<'a>(s: *const forq_semaphore) -> Result<&'a Semaphore> {
    // SAFETY: by contract; the two have the same size and alignment, and all bytes of C's are a Semaphore.
    unsafe { borrow(s.cast()) }
}

/// Gives a semaphore so many permits, of at most max; max 0: no bound below INT32_MAX. Nobody may be using it.
///
/// Returns 0; -EINVAL for NULL, memory that is not 64-aligned, a max above INT32_MAX, or permits above max.
///
/// # Safety
/// `s` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_semaphore_init(s: *mut forq_semaphore, permits: u32, max: u32) -> c_int {
    let max = if max == 0 { Semaphore::MAX_PERMITS } else { max };
    // SAFETY: by contract; the same size and alignment.
    let result = unsafe { borrow_mut(s.cast::<Semaphore>()) }.and_then(|s| {
        if max > Semaphore::MAX_PERMITS || permits > max {
            return Err(Error::InvalidArgument);
        }
        *s = Semaphore::bounded(permits, max);
        Ok(())
    });
    status(result)
}

/// Takes a permit: waits for one for at most timeout_ns.
///
/// Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and there is none; -EINTR if this thread asked for it; -EINVAL.
///
/// # Safety
/// `s` must be NULL or a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_semaphore_acquire(s: *mut forq_semaphore, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    status(unsafe { semaphore(s) }.and_then(|s| s.acquire_until(deadline(timeout_ns)?)))
}

/// Gives so many permits, all or none, and wakes as many waiters. Never waits; may be called in a signal handler.
///
/// Returns 0; -EOVERFLOW if there would be more than max; -EINVAL.
///
/// # Safety
/// `s` must be NULL or a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_semaphore_release(s: *mut forq_semaphore, permits: u32) -> c_int {
    // SAFETY: by contract.
    status(unsafe { semaphore(s) }.and_then(|s| s.release(permits)))
}

/// How many permits are free; out of date as soon as it is read. -EINVAL for NULL.
///
/// # Safety
/// `s` must be NULL or a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_semaphore_value(s: *const forq_semaphore) -> c_int {
    // SAFETY: by contract.
    count(unsafe { semaphore(s) }.map(|s| s.value() as usize))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `s` must be NULL or a semaphore, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_semaphore_set_name(s: *const forq_semaphore, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { semaphore(s).and_then(|s| names::set_of(ObjectKind::Semaphore, s, object_name(name))) })
}
