//! A meeting point.

use core::ffi::{c_char, c_int};

use super::{borrow, borrow_mut, count, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::sync::barrier::Barrier;
use crate::sync::names::{self, ObjectKind};

/// A meeting point for a fixed number of parties, of any processes: 64 bytes, in any MAP_SHARED memory, at different
/// addresses in different processes. All bytes zero: no parties, nobody may wait (-EINVAL).
///
/// A party that is killed while it waits has arrived. One that is killed before is missed: give the wait a time
/// limit. Who runs into it breaks the barrier, and all others get -EPIPE, until forq_barrier_reset.
#[repr(C, align(64))]
pub struct forq_barrier {
    /// Not for users.
    _opaque: [u64; 8],
}
static_assertions::assert_eq_size!(forq_barrier, Barrier);
static_assertions::assert_eq_align!(forq_barrier, Barrier);

/// # Safety
/// As [`borrow`].
unsafe fn barrier<'a>(b: *const forq_barrier) -> Result<&'a Barrier> {
    // SAFETY: by contract; the two have the same size and alignment, and all bytes of C's are a Barrier.
    unsafe { borrow(b.cast()) }
}

/// Makes a barrier for so many parties, 1 to 32767. Nobody may be using it.
///
/// Returns 0; -EINVAL for NULL, memory that is not 64-aligned, or another number.
///
/// # Safety
/// `b` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_init(b: *mut forq_barrier, parties: u32) -> c_int {
    // SAFETY: by contract; the same size and alignment.
    let result = unsafe { borrow_mut(b.cast::<Barrier>()) }.and_then(|b| {
        if parties == 0 || parties > Barrier::MAX_PARTIES {
            return Err(Error::InvalidArgument);
        }
        *b = Barrier::new(parties);
        Ok(())
    });
    status(result)
}

/// Comes, and waits until all parties have come, for at most timeout_ns. 0: comes only if it is the last.
///
/// Returns the party's number in this round, 0 for the first to come to parties - 1 for the last; -ETIMEDOUT to the one
/// whose time is up first, which breaks the barrier; -EPIPE if it is or gets broken, or is reset meanwhile; -EAGAIN if timeout_ns
/// is 0 and others are missing; -EINTR if this thread asked for it, which breaks the barrier too; -EINVAL, also without parties.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_wait(b: *mut forq_barrier, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    count(unsafe { barrier(b) }.and_then(|b| Ok(b.wait_until(deadline(timeout_ns)?)? as usize)))
}

/// Breaks it: those who wait, and all who come later, get -EPIPE until forq_barrier_reset. Never waits.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_abort(b: *mut forq_barrier) -> c_int {
    // SAFETY: by contract.
    status(unsafe { barrier(b) }.map(Barrier::abort))
}

/// Makes it whole, with nobody arrived; those who wait get -EPIPE. Never waits: it may be used again at once.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_reset(b: *mut forq_barrier) -> c_int {
    // SAFETY: by contract.
    status(unsafe { barrier(b) }.map(Barrier::reset))
}

/// 1: broken; 0: not; -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_is_broken(b: *const forq_barrier) -> c_int {
    // SAFETY: by contract.
    count(unsafe { barrier(b) }.map(|b| usize::from(b.is_broken())))
}

/// How many parties have come and wait for the others; out of date as soon as it is read. -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_waiting(b: *const forq_barrier) -> c_int {
    // SAFETY: by contract.
    count(unsafe { barrier(b) }.map(|b| b.waiting() as usize))
}

/// How many parties it is for; 0: nobody has made it a barrier. -EINVAL for NULL.
///
/// # Safety
/// `b` must be NULL or a barrier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_parties(b: *const forq_barrier) -> c_int {
    // SAFETY: by contract.
    count(unsafe { barrier(b) }.map(|b| b.parties() as usize))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `b` must be NULL or a barrier, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_barrier_set_name(b: *const forq_barrier, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { barrier(b).and_then(|b| names::set_of(ObjectKind::Barrier, b, object_name(name))) })
}
