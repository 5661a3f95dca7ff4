//! The lock behind the traits of the `lock_api` crate, for those who want its guards.

use core::time::Duration;

use super::raw::{Acquired, RawMutex};
use crate::error::{Error, Result};
use crate::shared::Shareable;
use crate::sys::clock::Deadline;
use crate::sys::proc;

/// The lock of [`Mutex`](crate::Mutex) without a value, for `lock_api::Mutex<forq::RawLock, T>` (feature `lock_api`).
///
/// Those guards know nothing of deaths: who locks after a holder died is not told, and takes the value as it was left, as
/// with locks between threads. Where that matters use [`Mutex`](crate::Mutex). What cannot go well panics: locking what this
/// thread holds, a circle of waiters, a lock whose guard was forgotten by a thread that ended while its process lives.
///
/// ```
/// use forq::{RawLock, Shared};
///
/// let count = Shared::new(lock_api::Mutex::<RawLock, u64>::new(0))?;
/// *count.lock() += 1;
/// assert_eq!(*count.lock(), 1);
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(transparent)]
pub struct RawLock(RawMutex);

impl RawLock {
    fn lock_until(&self, deadline: Deadline) -> Result<()> {
        let Acquired::Inconsistent { leaker } = self.0.lock(deadline)? else { return Ok(()) };
        if leaker != 0 && !proc::has_ended(leaker) {
            let _ = self.0.unlock();
            return Err(Error::OwnerDied);
        }
        self.0.clear_leaker();
        let _ = self.0.consistent();
        Ok(())
    }

    fn try_until(&self, deadline: Deadline) -> bool {
        match self.lock_until(deadline) {
            Ok(()) => true,
            Err(Error::TimedOut | Error::WouldBlock) => false,
            Err(Error::Deadlock) if deadline.is_now() => false,
            Err(error) => panic!("cannot lock: {error}"),
        }
    }
}

// SAFETY: a lock: whoever gets true, or returns from `lock`, excludes all others until its `unlock`.
unsafe impl lock_api::RawMutex for RawLock {
    const INIT: Self = Self(RawMutex::new_private());
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        while let Err(error) = self.lock_until(Deadline::FOREVER) {
            assert!(error == Error::Interrupted, "cannot lock: {error}");
        }
    }

    fn try_lock(&self) -> bool {
        self.try_until(Deadline::NOW)
    }

    unsafe fn unlock(&self) {
        // By contract this thread holds it; in a child forked meanwhile nothing happens.
        let _ = self.0.unlock();
    }

    fn is_locked(&self) -> bool {
        !self.0.is_free()
    }
}

// SAFETY: as above; a deadline only ends the waiting.
unsafe impl lock_api::RawMutexTimed for RawLock {
    type Duration = Duration;
    type Instant = std::time::Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_until(Deadline::after(timeout))
    }

    fn try_lock_until(&self, timeout: std::time::Instant) -> bool {
        self.try_lock_for(timeout.saturating_duration_since(std::time::Instant::now()))
    }
}

// SAFETY: as for `Mutex`: the lock is made to be shared, the value crosses only if it may.
unsafe impl<T: Shareable> Shareable for lock_api::Mutex<RawLock, T> {
    fn place(&mut self) {
        self.get_mut().place();
        // SAFETY: nobody holds it: it is borrowed mutably.
        unsafe { self.raw() }.0.place_shared();
    }

    fn is_in_use(&self) -> bool {
        // SAFETY: only asked.
        let raw = &unsafe { self.raw() }.0;
        // SAFETY: as for `Mutex`.
        raw.is_held_here() || unsafe { &*self.data_ptr() }.is_in_use()
    }
}
