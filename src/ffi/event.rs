//! A flag to wait for.

use core::ffi::{c_char, c_int};

use super::{borrow, borrow_mut, count, deadline, object_name, status};
use crate::error::Result;
use crate::sync::event::Event;
use crate::sync::names::{self, ObjectKind};

/// A flag for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different addresses in different
/// processes. All bytes zero: not set.
///
/// A waiter that waited while it was set returns even if it is cleared at once. Waiters that die are nobody's concern.
#[repr(C, align(64))]
pub struct forq_event {
    /// Not for users.
    _opaque: [u64; 8],
}
static_assertions::assert_eq_size!(forq_event, Event);
static_assertions::assert_eq_align!(forq_event, Event);

/// # Safety
/// As [`borrow`].
unsafe fn event<'a>(e: *const forq_event) -> Result<&'a Event> {
    // SAFETY: by contract; the two have the same size and alignment, and all bytes of C's are an Event.
    unsafe { borrow(e.cast()) }
}

/// Makes an event that is not set. Nobody may be using it. Zeroed memory needs no call.
///
/// Returns 0; -EINVAL for NULL or memory that is not 64-aligned.
///
/// # Safety
/// `e` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_init(e: *mut forq_event) -> c_int {
    // SAFETY: by contract; the same size and alignment.
    status(unsafe { borrow_mut(e.cast::<Event>()) }.map(|e| *e = Event::new()))
}

/// Sets it, and wakes all who wait. Never waits; may be called in a signal handler.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `e` must be NULL or an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_set(e: *mut forq_event) -> c_int {
    // SAFETY: by contract.
    status(unsafe { event(e) }.map(Event::set))
}

/// Clears it: from now on waiting waits. Those who waited before it was set are not held up.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `e` must be NULL or an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_clear(e: *mut forq_event) -> c_int {
    // SAFETY: by contract.
    status(unsafe { event(e) }.map(Event::clear))
}

/// 1: it is set; 0: it is not; -EINVAL for NULL. May be called in a signal handler.
///
/// # Safety
/// `e` must be NULL or an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_is_set(e: *const forq_event) -> c_int {
    // SAFETY: by contract.
    count(unsafe { event(e) }.map(|e| usize::from(e.is_set())))
}

/// Waits until it is set, for at most timeout_ns.
///
/// Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it is not set; -EINTR if this thread asked for it; -EINVAL.
///
/// # Safety
/// `e` must be NULL or an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_wait(e: *mut forq_event, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    status(unsafe { event(e) }.and_then(|e| e.wait_until(deadline(timeout_ns)?)))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `e` must be NULL or a event, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_event_set_name(e: *const forq_event, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { event(e).and_then(|e| names::set_of(ObjectKind::Event, e, object_name(name))) })
}
