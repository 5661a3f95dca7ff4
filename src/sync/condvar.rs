//! Waiting for what another holder of a mutex will make so.

mod exits;
mod state;
mod wait;

use core::mem;
use core::time::Duration;

use super::mutex::{LockError, LockResult, MutexGuard};
use super::names::{self, ObjectKind};
use super::raw::Acquired;
use crate::error::Error;
use crate::shared::Shareable;
use crate::sys::atomic::{const_fn, modelled::AtomicU64};
use crate::sys::clock::Deadline;
use exits::Exits;
pub(crate) use wait::{Ended, Waited};

/// A condition variable for the threads of any processes: gives up a [`Mutex`](crate::Mutex), waits for a
/// notify, takes the mutex again.
///
/// Put both in shared memory, with [`Shared`](crate::Shared). A notify lets those return who wait then, and never one
/// who comes later; it waits for nobody, and with nobody waiting it is one load. A wait returns without a notify at
/// most after a death or a stop; so, as ever, wait in a loop or by [`Condvar::wait_while`]. A waiter backs off for a moment, then sleeps.
///
/// A waiter that is killed stays counted, as one that waits: a notify that went to it reaches another within
/// 250 ms. [`Condvar::notify_all`] forgets it. If a holder of the mutex dies, whatever it would have notified, each
/// waiter is told within 250 ms ([`LockError::OwnerDied`]) unless somebody repairs first. So change what is waited for and
/// notify both under the mutex; and after a repair, notify all.
///
/// It may be used with several mutexes, even at a time: its waiters then share the notifies. At most 16383 can wait
/// between two notifies; one more gets [`LockError::TooManyWaiters`].
///
/// ```
/// use forq::{Condvar, Mutex, Shared};
///
/// forq::shareable! {
///     struct Gate { open: Mutex<u32>, opened: Condvar }
/// }
/// let gate = Shared::new(Gate { open: Mutex::new(0), opened: Condvar::new() })?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let open = gate.open.lock().unwrap();
///         let open = gate.opened.wait_while(open, |open| *open == 0).unwrap();
///         assert_eq!(*open, 1);
///     });
///     *gate.open.lock().unwrap() = 1;
///     gate.opened.notify_all();
/// });
/// # Ok::<(), forq::Error>(())
/// ```
///
/// The face is that of `std::sync::Condvar`; the idea is C. A. R. Hoare's, "Monitors: an operating system structuring
/// concept" (1974), with signals as in Mesa (B. Lampson and D. Redell, 1980). That late-comers steal nothing is
/// kept by two generations of waiters, as in T. Riegel's condition variable of glibc 2.25.
#[repr(C, align(64))]
pub struct Condvar {
    state: AtomicU64,
    exits: Exits,
    _room: [u64; 5],
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Condvar>(), 64);

// SAFETY: atomics; any bytes are a condition variable, and zero bytes one without waiters.
unsafe impl Shareable for Condvar {}

/// Whether a wait with a time limit ended because the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time ran out; the wait has then used up no notify.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

/// What a wait with a time limit gives: a guard and whether the time ran out, or why not.
pub type WaitTimeout<'a, T> = (MutexGuard<'a, T>, WaitTimeoutResult);

impl Condvar {
    const_fn! {
        /// Nobody waits.
        #[must_use]
        pub const fn new() -> Self {
            Self { state: AtomicU64::new(0), exits: Exits::new(), _room: [0; 5] }
        }
    }

    /// Makes it one without waiters.
    ///
    /// # Safety
    /// Nobody may be using it.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn initialize(this: *mut Self) {
        // SAFETY: by contract; zero is valid.
        unsafe { this.write_bytes(0, 1) };
    }

    /// Gives the mutex up, waits for a notify, and takes the mutex again.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard if a holder died meanwhile; [`LockError::Leaked`];
    /// [`LockError::TooManyWaiters`] with the guard, at once. Without the mutex:
    /// [`LockError::Deadlock`] if taking it again would never end; [`LockError::Interrupted`], which has released it.
    ///
    /// # Panics
    /// In a process forked since the lock was taken.
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> LockResult<'a, T> {
        without_time(self.wait_until(guard, Deadline::FOREVER))
    }

    /// Waits as long as `condition` says so of the value.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`], and if `condition` does.
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<'a, T> {
        without_time(self.wait_while_until(guard, Deadline::FOREVER, condition))
    }

    /// Waits for at most `timeout` of the monotonic clock; taking the mutex again may last longer.
    ///
    /// # Errors
    /// As [`Condvar::wait`]. That the time ran out is none.
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<WaitTimeout<'a, T>, LockError<WaitTimeout<'a, T>>> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// Waits as long as `condition` says so of the value, but for at most `timeout` altogether. The result says
    /// that the time ran out only if the condition still holds.
    ///
    /// # Errors
    /// As [`Condvar::wait`]. That the time ran out is none.
    ///
    /// # Panics
    /// As [`Condvar::wait`], and if `condition` does.
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Result<WaitTimeout<'a, T>, LockError<WaitTimeout<'a, T>>> {
        self.wait_while_until(guard, Deadline::after(timeout), condition)
    }

    fn wait_while_until<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Deadline,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<WaitTimeout<'a, T>, LockError<WaitTimeout<'a, T>>> {
        let mut timed_out = WaitTimeoutResult(false);
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if timed_out.0 {
                return Ok((guard, timed_out));
            }
            (guard, timed_out) = self.wait_until(guard, deadline)?;
        }
    }

    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> Result<WaitTimeout<'a, T>, LockError<WaitTimeout<'a, T>>> {
        let mutex = MutexGuard::mutex(&guard);
        match self.wait_raw(mutex.raw(), deadline) {
            Ok(Waited { ended: Ended::Interrupted, .. }) => Err(LockError::Interrupted),
            Ok(Waited { acquired: Acquired::Clean, ended }) => {
                Ok((guard, WaitTimeoutResult(ended == Ended::TimedOut)))
            }
            Ok(Waited { acquired, ended }) => {
                mem::forget(guard);
                let timed_out = WaitTimeoutResult(ended == Ended::TimedOut);
                mutex
                    .guard_again(acquired)
                    .map(|guard| (guard, timed_out))
                    .map_err(|error| error.map_guard(|guard| (guard, timed_out)))
            }
            Err(Error::OutOfSpace) => Err(LockError::TooManyWaiters((guard, WaitTimeoutResult(false)))),
            // Not `NotPermitted`: the guard's thread holds the mutex.
            Err(_) => {
                mem::forget(guard);
                Err(LockError::Deadlock)
            }
        }
    }

    /// Lets one of those who wait return, if there is any.
    pub fn notify_one(&self) {
        self.grant(1);
    }

    /// Lets `waiters` of those who wait return, or all if they are fewer.
    pub fn notify(&self, waiters: usize) {
        self.grant(waiters as u64);
    }

    /// Lets all return who wait.
    pub fn notify_all(&self) {
        self.grant(u64::MAX);
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Condvar, self, name.as_bytes())
    }

    /// How many wait and have not been notified; out of date as soon as it is read. The killed
    /// stay counted until [`Condvar::notify_all`], or until as many notifies as there are waiters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiting()
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Condvar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Condvar").field("waiters", &self.waiters()).finish_non_exhaustive()
    }
}

/// The result of a wait that had no time limit.
fn without_time<'a, T: ?Sized>(
    result: Result<WaitTimeout<'a, T>, LockError<WaitTimeout<'a, T>>>,
) -> LockResult<'a, T> {
    result.map(|(guard, _)| guard).map_err(|error| error.map_guard(|(guard, _)| guard))
}
