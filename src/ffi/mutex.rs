//! Mutual exclusion.

use core::ffi::{c_char, c_int, c_uint};

use super::{borrow, borrow_mut, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::sync::names::{self, ObjectKind};
use crate::sync::raw::{ANY_RELEASE, Acquired, RECURSIVE, RawMutex};
use crate::sys::clock::Deadline;

/// A mutex for the threads of any processes, that survives the death of its holder: 128 bytes, in any
/// MAP_SHARED memory, at different addresses in different processes. All bytes zero: free.
///
/// A holder that dies (any signal, _exit, the end of its thread) is noticed by the kernel. The
/// next one to lock gets -EOWNERDEAD *with the lock held*; it repairs its data and calls
/// forq_mutex_consistent. If it unlocks without that, the next one is told again. A stopped holder is not dead.
/// A child forked while its parent holds the mutex does not hold it.
#[repr(C, align(64))]
pub struct forq_mutex {
    /// Not for users.
    _opaque: [u64; 16],
}
/// Its holder may lock it again, and releases it as often.
pub const FORQ_MUTEX_RECURSIVE: c_uint = 1;
/// Any thread of any process may release it, as Python's Lock: it has no owner and so no owner's death; locking it
/// twice waits; released when free: -EOVERFLOW.
pub const FORQ_MUTEX_ANY_RELEASE: c_uint = 2;
static_assertions::assert_eq_size!(forq_mutex, RawMutex);
static_assertions::assert_eq_align!(forq_mutex, RawMutex);

/// What a mutex tells of its past, all processes together. While it is in use the numbers may belong to
/// neighbouring moments; each is read whole, and never goes back.
#[repr(C)]
pub struct forq_mutex_statistics {
    /// How often it was taken.
    pub acquisitions: u64,
    /// How many of those had to wait.
    pub contended: u64,
    /// How often a waiter slept in the kernel.
    pub slept: u64,
    /// Nanoseconds waited, all waiters together, from each one's first yield.
    pub waited_ns: u64,
    /// The longest single wait, in nanoseconds.
    pub waited_max_ns: u64,
    /// How many holders died; each death counts once, however often it is told.
    pub holder_deaths: u64,
    /// Zero.
    pub reserved: [u64; 8],
}

/// # Safety
/// As [`borrow`].
pub(super) unsafe fn raw<'a>(m: *const forq_mutex) -> Result<&'a RawMutex> {
    // SAFETY: by contract; the two have the same size and alignment, and all bytes of C's are a RawMutex.
    unsafe { borrow(m.cast()) }
}

/// # Safety
/// As [`borrow`].
unsafe fn lock(m: *const forq_mutex, deadline: Result<Deadline>) -> c_int {
    // SAFETY: by contract.
    told(unsafe { raw(m) }.and_then(|m| m.lock(deadline?)))
}

/// The lock is held also when a death is told.
fn told(result: Result<Acquired>) -> c_int {
    status(result.and_then(|acquired| match acquired {
        Acquired::Clean => Ok(()),
        Acquired::Inconsistent { .. } => Err(Error::OwnerDied),
    }))
}

/// Makes a mutex free, and its statistics zero. Nobody may be using it. Zeroed memory needs no call.
///
/// flags: 0, FORQ_MUTEX_RECURSIVE, or FORQ_MUTEX_ANY_RELEASE. Returns 0; -EINVAL for NULL, memory that is not
/// 64-aligned, unknown flags, or both.
///
/// # Safety
/// `m` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_init(m: *mut forq_mutex, flags: c_uint) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(m) }.and_then(|m| {
        let flags = match flags {
            0 => 0,
            FORQ_MUTEX_RECURSIVE => RECURSIVE,
            FORQ_MUTEX_ANY_RELEASE => ANY_RELEASE,
            _ => return Err(Error::InvalidArgument),
        };
        // SAFETY: a valid place; nobody uses it, by contract.
        unsafe { RawMutex::initialize(core::ptr::from_mut(m).cast(), flags) };
        Ok(())
    });
    status(result)
}

/// Waits for the mutex.
///
/// Returns 0; -EOWNERDEAD (held); -EDEADLK if this thread holds it, or, within a second, if it is one of a circle
/// of threads, of any processes, that wait for each other's mutexes in one mapping: then nothing has changed, and the
/// others go on when this one releases what it holds; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_lock(m: *mut forq_mutex) -> c_int {
    // SAFETY: by contract.
    unsafe { lock(m, Ok(Deadline::FOREVER)) }
}

/// Takes the mutex only if it is free.
///
/// Returns 0; -EBUSY if somebody, this thread included, holds it; -EOWNERDEAD (held); -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_trylock(m: *mut forq_mutex) -> c_int {
    // SAFETY: by contract.
    told(unsafe { raw(m) }.and_then(RawMutex::try_lock))
}

/// Waits for the mutex for at most timeout_ns.
///
/// Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it is not free; -EOWNERDEAD (held); -EDEADLK as forq_mutex_lock, whatever
/// the time; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_timedlock(m: *mut forq_mutex, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    unsafe { lock(m, deadline(timeout_ns)) }
}

/// Releases the mutex.
///
/// Returns 0; -EPERM if this thread does not hold it; -EOVERFLOW if it is free and without owner; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_unlock(m: *mut forq_mutex) -> c_int {
    // SAFETY: by contract.
    status(unsafe { raw(m) }.and_then(RawMutex::unlock))
}

/// Declares what the mutex guards repaired after a holder's death.
///
/// Returns 0; -EPERM if this thread does not hold it; -EINVAL if there is nothing to repair, or NULL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_consistent(m: *mut forq_mutex) -> c_int {
    // SAFETY: by contract.
    status(unsafe { raw(m) }.and_then(RawMutex::consistent))
}

/// The holder's thread id, 0 when it is free; out of date as soon as it is read. -EINVAL for NULL.
///
/// # Safety
/// `m` must be NULL or a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_owner(m: *const forq_mutex) -> c_int {
    // SAFETY: by contract.
    super::count(unsafe { raw(m) }.map(|m| m.owner() as usize))
}

/// What the mutex tells of its past: in any process that maps it, at any time.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex, `stats_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_stats(
    m: *const forq_mutex,
    stats_out: *mut forq_mutex_statistics,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { raw(m).and_then(|m| Ok((m, borrow_mut(stats_out)?))) };
    status(both.map(|(m, stats_out)| {
        let told = m.statistics();
        *stats_out = forq_mutex_statistics {
            acquisitions: told.acquisitions,
            contended: told.contended,
            slept: told.slept,
            waited_ns: told.waited_ns,
            waited_max_ns: told.waited_max_ns,
            holder_deaths: told.holder_deaths,
            reserved: [0; 8],
        };
    }))
}

/// Ends the use of a mutex; its memory may be used for something else.
///
/// Returns 0; -EBUSY while it is held; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a mutex that nobody waits for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_destroy(m: *mut forq_mutex) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { raw(m) }.and_then(|m| if m.is_free() { Ok(()) } else { Err(Error::Busy) });
    status(result)
}

/// Gives it a name of up to 63 bytes, which tools such as forq-top and forq-doctor show, instead of the one that it had; NULL or an empty one takes
/// that away. It stays with the place in shared memory, for all processes forked after the first name of any object was given, also when the object is no
/// more: where objects come and go, take it away before the memory is given back. Who is killed meanwhile has named it or not.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `m` must be NULL or a mutex, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_mutex_set_name(m: *const forq_mutex, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { raw(m).and_then(|m| names::set_of(ObjectKind::Mutex, m, object_name(name))) })
}
