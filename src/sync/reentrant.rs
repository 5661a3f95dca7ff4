//! A lock that its holder may take again.

use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;

use super::mutex::LockError;
use super::names::{self, ObjectKind};
use super::origin::Origin;
use super::raw::{Acquired, RawMutex};
use super::statistics::MutexStatistics;
use crate::error::Error;
use crate::shared::Shareable;
use crate::sys::atomic::const_fn;
use crate::sys::clock::Deadline;
use crate::sys::{proc, thread};

/// A [`Mutex`](crate::Mutex) that the thread which holds it may lock again, as Python's `RLock`: it is free when as many
/// guards have been dropped as were given. Guards share the value, so what is to be changed is an atomic, or a
/// [`Cell`](core::cell::Cell) of a type of one's own that is [`Shareable`].
///
/// What is said of [`Mutex`](crate::Mutex) about deaths, deadlocks, forks, panics and private memory holds here too. A holder's death
/// releases all of its holds at once. Locking again costs no atomic operation.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use forq::{ReentrantMutex, Shared};
///
/// let total = Shared::new(ReentrantMutex::new(AtomicU64::new(0)))?;
/// let outer = total.lock()?;
/// let inner = total.lock()?; // a function called meanwhile may lock again
/// inner.fetch_add(1, Ordering::Relaxed);
/// drop(inner);
/// assert_eq!(outer.load(Ordering::Relaxed), 1);
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(C)]
pub struct ReentrantMutex<T: ?Sized> {
    raw: RawMutex,
    value: T,
}

// SAFETY: only one thread at a time has references to the value, so sharing the lock is sending the value.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

// SAFETY: as for `Mutex`.
unsafe impl<T: Shareable> Shareable for ReentrantMutex<T> {
    fn place(&mut self) {
        self.raw.place();
        self.value.place();
    }

    fn is_in_use(&self) -> bool {
        self.raw.is_held_here() || self.value.is_in_use()
    }
}

/// What locking gives: a guard, or why not.
pub type ReentrantLockResult<'a, T> =
    core::result::Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

impl<T> ReentrantMutex<T> {
    const_fn! {
        /// A free lock around `value`. Moved into [`Shared`](crate::Shared) it becomes process-shared.
        pub const fn new(value: T) -> Self {
            Self { raw: RawMutex::new_private_recursive(), value }
        }
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Waits for the lock, for ever if it must; at once if this thread holds it.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard (not told again to who holds it already); [`LockError::Leaked`];
    /// [`LockError::Deadlock`], also after 2^32 locks without a release; [`LockError::Interrupted`].
    pub fn lock(&self) -> ReentrantLockResult<'_, T> {
        self.lock_until(Deadline::FOREVER)
    }

    /// Takes the lock only if it is free or this thread's.
    ///
    /// # Errors
    /// [`LockError::WouldBlock`] if another thread holds it; [`LockError::OwnerDied`] with the guard;
    /// [`LockError::Leaked`].
    pub fn try_lock(&self) -> ReentrantLockResult<'_, T> {
        self.lock_until(Deadline::NOW)
    }

    /// Waits for the lock for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`ReentrantMutex::lock`], and [`LockError::TimedOut`] ([`LockError::WouldBlock`] if `timeout` is zero).
    pub fn lock_timeout(&self, timeout: Duration) -> ReentrantLockResult<'_, T> {
        self.lock_until(Deadline::after(timeout))
    }

    fn lock_until(&self, deadline: Deadline) -> ReentrantLockResult<'_, T> {
        // Told before the state changes hands, as by the short path, which a recursive lock does not take.
        // SAFETY: this thread's entry; the lock stays mapped while it is borrowed or held.
        unsafe { self.raw.begin(thread::current()) };
        match self.raw.lock_slow(deadline) {
            Ok(Acquired::Clean) => Ok(self.guard()),
            Ok(Acquired::Inconsistent { leaker }) if leaker != 0 && !proc::has_ended(leaker) => {
                // References to the value may be in use there. The next one is told the same.
                let _ = self.raw.unlock();
                Err(LockError::Leaked)
            }
            Ok(Acquired::Inconsistent { .. }) => {
                self.raw.clear_leaker();
                Err(LockError::OwnerDied(self.guard()))
            }
            Err(Error::Deadlock | Error::Overflow) => Err(LockError::Deadlock),
            Err(Error::TimedOut) => Err(LockError::TimedOut),
            Err(Error::Interrupted) => Err(LockError::Interrupted),
            Err(_) => Err(LockError::WouldBlock),
        }
    }

    fn guard(&self) -> ReentrantMutexGuard<'_, T> {
        ReentrantMutexGuard { mutex: self, origin: Origin::of(thread::current()), not_send: PhantomData }
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Mutex, &self.raw, name.as_bytes())
    }

    /// The holder's thread id, or `None` when it is free; out of date as soon as it is read.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        Some(self.raw.owner()).filter(|&owner| owner != 0)
    }

    /// What the lock tells of its past: readable while it is in use, by any process that maps it. Locking again what is
    /// held counts as nothing.
    #[must_use]
    pub fn statistics(&self) -> MutexStatistics {
        self.raw.statistics()
    }
}

impl<T: ?Sized> core::fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReentrantMutex").field("owner", &self.owner()).finish_non_exhaustive()
    }
}

/// The right to share the value of a locked [`ReentrantMutex`]; dropping the last one releases the lock.
///
/// Not `Send`, and in a child forked meanwhile it holds nothing, as a [`MutexGuard`](crate::MutexGuard).
#[must_use = "dropping the guard releases the lock"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    mutex: &'a ReentrantMutex<T>,
    origin: Origin,
    not_send: PhantomData<*const ()>,
}

impl<T: ?Sized> ReentrantMutexGuard<'_, T> {
    /// Declares the value repaired after its holder's death; nothing happens if there was none.
    pub fn mark_consistent(&self) {
        self.origin.check();
        let _ = self.mutex.raw.consistent();
    }
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    /// # Panics
    /// In a process forked since the lock was taken.
    fn deref(&self) -> &T {
        self.origin.check();
        // This thread of this process holds the lock, so nobody else has a reference.
        &self.mutex.value
    }
}

impl<T: ?Sized> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.raw.unlock_guarded(self.origin);
    }
}

impl<T: ?Sized + core::fmt::Debug> core::fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}
