//! A value and the lock that guards it.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use super::names::{self, ObjectKind};
use super::origin::Origin;
use super::raw::{Acquired, RawMutex};
use super::statistics::MutexStatistics;
use crate::error::{Error, Result};
use crate::shared::Shareable;
use crate::sys::atomic::const_fn;
use crate::sys::clock::Deadline;
use crate::sys::proc;
use crate::sys::thread::{self, Thread};

/// A mutual exclusion lock for the threads of any processes, which survives the death of its holder.
///
/// Put it in shared memory, with [`Shared`](crate::Shared): there a holder that dies (by any signal,
/// `_exit`, the end of its thread) is noticed by the kernel, and the next to lock is told at once, with
/// the lock held. Uncontended it costs one compare-exchange each way and no system call. A waiter spins
/// for 2.7 us, or up to 50 us while the lock goes from hand to hand, yields a few times, then sleeps.
///
/// A `Mutex` that is not in shared memory works between the threads of one process; a fork
/// gives the child a copy, and a holder's death is found by looking, within a second.
///
/// Locking again what this thread holds is an error, not a hang; so is, within a second, a circle of threads of any
/// processes that wait for each other's mutexes, if those lie in one mapping ([`LockError::Deadlock`]). A guard copied into a child
/// by a fork does not hold the lock there; using it panics, dropping it does nothing.
/// Under `std` a guard dropped while its thread panics leaves the data marked, as a death does.
///
/// ```
/// use forq::{LockError, Mutex, Shared};
///
/// let counter = Shared::new(Mutex::new(0u64))?;
/// match counter.lock() {
///     Ok(mut count) => *count += 1,
///     Err(LockError::OwnerDied(mut count)) => {
///         *count = 0; // repair, then say so
///         count.mark_consistent();
///     }
///     Err(other) => return Err(other.into()),
/// }
/// assert_eq!(*counter.lock()?, 1);
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(C)]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives out one `&mut T` at a time, so sharing the mutex is sending the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: as a value it is no more than its parts; a lock that moves is private to its process.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

// SAFETY: the value crosses only if it may, and the raw lock is made to be shared: atomics and list
// pointers that only its holder follows.
unsafe impl<T: Shareable> Shareable for Mutex<T> {
    fn place(&mut self) {
        self.raw.place();
        self.value.get_mut().place();
    }

    fn is_in_use(&self) -> bool {
        // SAFETY: called when nobody else borrows; a leaked guard's borrow only makes the answer
        // "in use", which the first test gives already.
        self.raw.is_held_here() || unsafe { &*self.value.get() }.is_in_use()
    }
}

/// Why [`Mutex::lock`] did not simply give a guard.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The last holder died (or panicked) in the middle: the lock is held, the value may be half changed.
    /// Repair it and call [`MutexGuard::mark_consistent`], else the next one is told again.
    OwnerDied(G),
    /// The holder's thread ended with the lock held, but its process lives, and may still refer to
    /// the value: nobody can have it. So it is after a guard was forgotten, or after the process executed another program.
    Leaked,
    /// Waiting would never end: this thread holds the lock already, or it is one of several threads, of any processes,
    /// that wait for each other in a circle. Nothing was changed; releasing what this thread holds lets the others go on.
    Deadlock,
    /// The time given ran out.
    TimedOut,
    /// [`Mutex::try_lock`] only: somebody holds it.
    WouldBlock,
    /// A signal handler ran, and this thread asked to be told.
    Interrupted,
    /// [`Condvar`](crate::Condvar) only: no more waiters can be counted; the lock is held as before.
    TooManyWaiters(G),
}

impl<G> LockError<G> {
    /// The guard that came with the news of a death; any other error stays one.
    ///
    /// # Errors
    /// All but [`LockError::OwnerDied`].
    pub fn into_guard(self) -> Result<G> {
        match self {
            Self::OwnerDied(guard) => Ok(guard),
            other => Err(other.into()),
        }
    }

    /// The same news with another guard, or one that brings more.
    pub(super) fn map_guard<H>(self, map: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(guard) => LockError::OwnerDied(map(guard)),
            Self::TooManyWaiters(guard) => LockError::TooManyWaiters(map(guard)),
            Self::Leaked => LockError::Leaked,
            Self::Deadlock => LockError::Deadlock,
            Self::TimedOut => LockError::TimedOut,
            Self::WouldBlock => LockError::WouldBlock,
            Self::Interrupted => LockError::Interrupted,
        }
    }
}

impl<G> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Self {
        match error {
            LockError::OwnerDied(_) | LockError::Leaked => Self::OwnerDied,
            LockError::Deadlock => Self::Deadlock,
            LockError::TimedOut => Self::TimedOut,
            LockError::WouldBlock => Self::Busy,
            LockError::Interrupted => Self::Interrupted,
            LockError::TooManyWaiters(_) => Self::OutOfSpace,
        }
    }
}

impl<G> core::fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "the holder died; the lock is held",
            Self::Leaked => "the holder's thread ended, but its process lives",
            Self::Deadlock => "waiting would never end",
            Self::TimedOut => "the time ran out",
            Self::WouldBlock => "somebody holds the lock",
            Self::Interrupted => "interrupted by a signal",
            Self::TooManyWaiters(_) => "no more waiters can be counted; the lock is held",
        })
    }
}

#[cfg(feature = "std")]
impl<G: core::fmt::Debug> std::error::Error for LockError<G> {}

/// What locking gives: a guard, or why not.
pub type LockResult<'a, T> = core::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

impl<T> Mutex<T> {
    const_fn! {
        /// A free lock around `value`. Moved into [`Shared`](crate::Shared) it becomes process-shared.
        pub const fn new(value: T) -> Self {
            Self { raw: RawMutex::new_private(), value: UnsafeCell::new(value) }
        }
    }
}

impl<T> Mutex<T> {
    const HAS_NO_PADDING: () = assert!(core::mem::offset_of!(Self, value) == size_of::<RawMutex>());

    /// The lock at `start`, and the value after it.
    ///
    /// # Safety
    /// There must be an initialised lock and then, 128 bytes from its start and aligned, a valid value: for as long as the
    /// reference is used, and otherwise only used through such references.
    pub(crate) unsafe fn at_value<'a>(start: *const u8) -> &'a Self {
        let () = Self::HAS_NO_PADDING;
        // SAFETY: by contract; a lock, then the value, is what a `Mutex` is.
        unsafe { &*start.cast() }
    }
}

impl<T> Mutex<[T]> {
    /// The lock at `start`, and so many elements after it.
    ///
    /// # Safety
    /// As [`Mutex::at_value`], of all elements.
    pub(crate) unsafe fn at<'a>(start: *const u8, length: usize) -> &'a Self {
        let () = Mutex::<T>::HAS_NO_PADDING;
        // SAFETY: by contract; a lock, then the elements, is what a `Mutex` is.
        unsafe { &*(core::ptr::slice_from_raw_parts(start.cast::<T>(), length) as *const Self) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock, for ever if it must.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] with the guard; [`LockError::Leaked`]; [`LockError::Deadlock`];
    /// [`LockError::Interrupted`].
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T> {
        match self.raw.lock_fast() {
            Some(thread) => Ok(MutexGuard::new(self, thread)),
            None => self.lock_slow(Deadline::FOREVER),
        }
    }

    /// Takes the lock only if it is free.
    ///
    /// # Errors
    /// [`LockError::WouldBlock`] if somebody, this thread included, holds it; [`LockError::OwnerDied`]
    /// with the guard; [`LockError::Leaked`].
    #[inline]
    pub fn try_lock(&self) -> LockResult<'_, T> {
        match self.raw.lock_fast() {
            Some(thread) => Ok(MutexGuard::new(self, thread)),
            None => match self.lock_slow(Deadline::NOW) {
                Err(LockError::Deadlock) => Err(LockError::WouldBlock),
                other => other,
            },
        }
    }

    /// Waits for the lock for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`LockError::TimedOut`] ([`LockError::WouldBlock`] if `timeout` is zero).
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        match self.raw.lock_fast() {
            Some(thread) => Ok(MutexGuard::new(self, thread)),
            None => self.lock_slow(Deadline::after(timeout)),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self, deadline: Deadline) -> LockResult<'_, T> {
        self.guard(self.raw.lock_slow(deadline))
    }

    fn guard(&self, acquired: Result<Acquired>) -> LockResult<'_, T> {
        match acquired {
            Ok(Acquired::Clean) => Ok(MutexGuard::new(self, thread::current())),
            Ok(Acquired::Inconsistent { leaker }) => self.guard_after_death(leaker),
            Err(Error::Deadlock) => Err(LockError::Deadlock),
            Err(Error::TimedOut) => Err(LockError::TimedOut),
            Err(Error::Interrupted) => Err(LockError::Interrupted),
            Err(_) => Err(LockError::WouldBlock),
        }
    }

    fn guard_after_death(&self, leaker: u32) -> LockResult<'_, T> {
        if leaker != 0 && !proc::has_ended(leaker) {
            // A `&mut T` may be in use there. The next one is told the same.
            let _ = self.raw.unlock();
            return Err(LockError::Leaked);
        }
        self.raw.clear_leaker();
        Err(LockError::OwnerDied(MutexGuard::new(self, thread::current())))
    }

    /// The holder's thread id, or `None` when it is free; out of date as soon as it is read.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        Some(self.raw.owner()).filter(|&owner| owner != 0)
    }

    /// What the lock tells of its past: readable while it is in use, by any process that maps it.
    #[must_use]
    pub fn statistics(&self) -> MutexStatistics {
        self.raw.statistics()
    }

    /// Gives it a name of up to 63 bytes, which tools such as `forq-top` and `forq-doctor` show, instead of the one that it had; an empty one takes that
    /// away. It stays with the place in shared memory, for all processes forked after the first name of any object was given, and costs who uses the object nothing.
    /// That of an object which is no more stays, too, and counts among those that there may be: where objects come and go, take it away before the object is
    /// dropped. Who is killed meanwhile has named it or not.
    ///
    /// ```
    /// use forq::{Mutex, Shared};
    ///
    /// let mutex = Shared::new(Mutex::new(0))?;
    /// mutex.set_name("accounts")?;
    /// assert_eq!(Mutex::new(0).set_name("nowhere"), Err(forq::Error::InvalidArgument));
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the object is not in memory shared between processes, or the name is longer or has a 0 in it; [`Error::OutOfSpace`] if 1023 objects have
    /// names; [`Error::OutOfMemory`], also without descriptors; [`Error::Unsupported`] without /proc.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Mutex, &self.raw, name.as_bytes())
    }

    /// For [`Condvar`](super::condvar::Condvar), which gives the lock up and takes it again.
    pub(super) fn raw(&self) -> &RawMutex {
        &self.raw
    }

    /// The guard that goes with the lock as it was just taken again.
    pub(super) fn guard_again(&self, acquired: Acquired) -> LockResult<'_, T> {
        self.guard(Ok(acquired))
    }
}

impl<T: ?Sized> core::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mutex").field("owner", &self.owner()).finish_non_exhaustive()
    }
}

/// The right to use the value of a locked [`Mutex`]; dropping it releases the lock.
///
/// Not `Send`: the kernel knows which thread holds the lock. In a child forked meanwhile it holds
/// nothing: dereferencing it there panics, dropping it does nothing.
#[must_use = "dropping the guard releases the lock"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    origin: Origin,
    not_send: PhantomData<*const ()>,
}

// SAFETY: sharing a guard shares `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(mutex: &'a Mutex<T>, thread: &Thread) -> Self {
        Self { mutex, origin: Origin::of(thread), not_send: PhantomData }
    }

    /// Declares the value repaired after its holder's death; nothing happens if there was none.
    pub fn mark_consistent(&self) {
        self.origin.check();
        let _ = self.mutex.raw.consistent();
    }

    /// Whose guard it is.
    ///
    /// # Panics
    /// In a process forked since the lock was taken.
    pub(super) fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.origin.check();
        guard.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    /// # Panics
    /// In a process forked since the lock was taken.
    #[inline]
    fn deref(&self) -> &T {
        self.origin.check();
        // SAFETY: this thread of this process holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    /// # Panics
    /// In a process forked since the lock was taken.
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.origin.check();
        // SAFETY: this thread of this process holds the lock.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.origin.is_undisturbed() {
            // SAFETY: taking the lock asked, and no fork has been since.
            let _ = self.mutex.raw.unlock_by(unsafe { thread::known() });
        } else {
            self.mutex.raw.unlock_guarded(self.origin);
        }
    }
}

impl<T: ?Sized + core::fmt::Debug> core::fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}
