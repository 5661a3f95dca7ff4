//! Condition variables.

use core::ffi::{c_char, c_int};

use super::mutex::{forq_mutex, raw};
use super::{borrow, borrow_mut, count, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::sync::condvar::{Condvar, Ended, Waited};
use crate::sync::names::{self, ObjectKind};
use crate::sync::raw::Acquired;

/// A condition variable for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different addresses
/// in different processes. All bytes zero: nobody waits.
///
/// A notify lets those return who wait then, never one who comes later; it waits for nobody. A wait returns without
/// one at most after a death or a stop: wait in a loop. A notify that went to a killed waiter reaches another within
/// 250 ms. If a holder of the mutex dies, and nobody repairs, each waiter gets -EOWNERDEAD within 250 ms: so change what is
/// waited for and notify both under the mutex, and notify all after a repair. Waiters of several mutexes share the notifies.
#[repr(C, align(64))]
pub struct forq_condvar {
    /// Not for users.
    _opaque: [u64; 8],
}
static_assertions::assert_eq_size!(forq_condvar, Condvar);
static_assertions::assert_eq_align!(forq_condvar, Condvar);

/// # Safety
/// As [`borrow`].
unsafe fn condvar<'a>(c: *const forq_condvar) -> Result<&'a Condvar> {
    // SAFETY: by contract; the two have the same size and alignment, and all bytes of C's are a Condvar.
    unsafe { borrow(c.cast()) }
}

/// Makes a condition variable on which nobody waits. Nobody may be using it. Zeroed memory needs no call.
///
/// Returns 0; -EINVAL for NULL or memory that is not 64-aligned.
///
/// # Safety
/// `c` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_init(c: *mut forq_condvar) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(c) }.map(|c| {
        // SAFETY: a valid place; nobody uses it, by contract.
        unsafe { Condvar::initialize(core::ptr::from_mut(c).cast()) };
    });
    status(result)
}

/// Gives the mutex up (whole, if it is recursive), waits for a notify, and takes the mutex again, for which there is no
/// time limit. It is held on return, but for -EDEADLK; with -EPERM and -EINVAL it is as it was.
///
/// Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: no notify is used up; -EOWNERDEAD if a holder of the mutex died
/// meanwhile; -EPERM if the mutex is not held by this thread; -ENOSPC if 16383 wait already; -EDEADLK if taking the mutex again
/// would never end: without the mutex; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a condition variable, `m` NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_wait(
    c: *mut forq_condvar,
    m: *mut forq_mutex,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { condvar(c).and_then(|c| Ok((c, raw(m)?))) };
    status(both.and_then(|(c, m)| match c.wait_raw(m, deadline(timeout_ns)?)? {
        Waited { acquired: Acquired::Inconsistent { .. }, .. } => Err(Error::OwnerDied),
        Waited { ended: Ended::Notified, .. } => Ok(()),
        Waited { ended: Ended::Interrupted, .. } => Err(Error::Interrupted),
        Waited { ended: Ended::TimedOut, .. } if timeout_ns == 0 => Err(Error::WouldBlock),
        Waited { ended: Ended::TimedOut, .. } => Err(Error::TimedOut),
    }))
}

/// Lets one of those who wait return, if there is any. Returns 0; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_notify_one(c: *mut forq_condvar) -> c_int {
    // SAFETY: by contract.
    status(unsafe { condvar(c) }.map(Condvar::notify_one))
}

/// Lets so many of those who wait return, or all if they are fewer. Returns 0; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_notify(c: *mut forq_condvar, waiters: u32) -> c_int {
    // SAFETY: by contract.
    status(unsafe { condvar(c) }.map(|c| c.notify(waiters as usize)))
}

/// Lets all return who wait. Returns 0; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_notify_all(c: *mut forq_condvar) -> c_int {
    // SAFETY: by contract.
    status(unsafe { condvar(c) }.map(Condvar::notify_all))
}

/// How many wait and have not been notified; out of date as soon as it is read. The killed stay counted until a notify
/// of all. -EINVAL for NULL.
///
/// # Safety
/// `c` must be NULL or a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_waiters(c: *const forq_condvar) -> c_int {
    // SAFETY: by contract.
    count(unsafe { condvar(c) }.map(Condvar::waiters))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `c` must be NULL or a condvar, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_condvar_set_name(c: *const forq_condvar, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { condvar(c).and_then(|c| names::set_of(ObjectKind::Condvar, c, object_name(name))) })
}
