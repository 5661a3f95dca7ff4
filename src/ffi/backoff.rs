//! Exponential back-off.

use core::ffi::c_int;

use super::{borrow_mut, status};
use crate::sync::backoff::Backoff;

/// Waits a little longer each time: five steps of 2 to 32 pauses (about 1.6 us in all), then ten yields,
/// then the verdict "sleep in the kernel". All bytes zero: ready. Belongs to one thread, and no death concerns it.
#[repr(C)]
pub struct forq_backoff {
    /// Not for users.
    _opaque: u64,
}
static_assertions::const_assert!(size_of::<Backoff>() <= size_of::<forq_backoff>());

/// Starts with the shortest wait. Returns 0; -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_backoff_init(b: *mut forq_backoff) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow_mut(b) }.map(|b| b._opaque = 0))
}

/// Waits once, longer than the last time. Returns 1: go on; 0: time to sleep in the kernel (it then did not
/// wait); -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or a back-off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_backoff_snooze(b: *mut forq_backoff) -> c_int {
    // SAFETY: by contract; smaller and less aligned, and any bytes are a `Backoff`.
    super::count(unsafe { borrow_mut(b.cast::<Backoff>()) }.map(|b| usize::from(b.snooze())))
}

/// Starts over with the shortest wait. Returns 0; -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or a back-off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_backoff_reset(b: *mut forq_backoff) -> c_int {
    // SAFETY: as above.
    status(unsafe { borrow_mut(b.cast::<Backoff>()) }.map(Backoff::reset))
}
