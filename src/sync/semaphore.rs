//! A counted number of permits, for the threads of any processes.
//!
//! | part of the state | where | meaning | changed by |
//! |---|---|---|---|
//! | `EMPTY` | bit 31 of the futex half | no permits, and somebody may sleep: whoever finds the word so may sleep too | follows from the other two |
//! | permits | bits 0-30 of our half | how many are free | whoever acquires or releases |
//! | `SLEEPERS` | bit 31 of our half | somebody may sleep: a release must wake | set by who is about to sleep, by who was woken, and by who has woken as many as it wanted; cleared by a release |
//!
//! All zero is no permits, nobody waiting.
//!
//! - **announce** `{0} -> {0, SLEEPERS, EMPTY}`, then sleep while the word is `EMPTY`.
//! - **release** `{p} -> {p + n}` without `SLEEPERS`, then, if that was set, wake n; if so many slept, there may
//!   be more: set it again.
//! - **take** `{p} -> {p - 1}`. Who has slept sets `SLEEPERS`, since it cannot know whether others do, and if
//!   permits are left wakes one more.
//!
//! `SLEEPERS` that nobody stands behind costs the next release one wake call for nobody, and is gone.
//!
//! Two things always hold. If there are permits and somebody sleeps, then somebody is awake who will wake
//! it: a releaser before its wake call, or one that was woken and has not taken yet. If there are
//! none and somebody sleeps, then `SLEEPERS` is set, or somebody that was woken is awake and will set it.
//! Those awake leave their duty to a sleeper by a [`Will`] should they die; for its sake the futex half has no bits
//! below 30. (A permits word that held a number could not stand in a will: the kernel would take it for a thread.)

use core::time::Duration;

use super::backoff::Backoff;
use super::halves::{self, Halves};
use super::names::{self, ObjectKind};
use super::will::Will;
use crate::error::{Error, Result};
use crate::shared::Shareable;
use crate::sys::atomic::{AtomicU32, Ordering, const_fn, modelled::AtomicU64};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Wake};
use crate::sys::is_planted;

/// A counting semaphore for the threads of any processes.
///
/// Acquiring takes a permit, and waits while there is none; releasing gives permits, whoever took
/// them. Put it in shared memory, with [`Shared`](crate::Shared). Neither enters the kernel unless somebody must sleep or be woken.
/// A waiter spins about 1.6 us, yields a few times, then sleeps.
///
/// Permits have no owner: those of a process that dies are not given back. ([`Semaphore::permit`] gives them
/// back where a panic or an early return would forget to, but not after a SIGKILL; what must not be lost
/// to deaths is guarded by a [`Mutex`](crate::Mutex).) Waiters that die take nothing along: a wake-up
/// meant for them reaches another one. Nobody waits for one that is stopped.
///
/// Invented by E. W. Dijkstra, "Over seinpalen" (EWD 74, about 1963).
///
/// ```
/// use forq::{Semaphore, Shared};
///
/// let ready = Shared::new(Semaphore::new(0))?;
/// assert_eq!(ready.try_acquire(), Err(forq::Error::WouldBlock));
/// ready.release(2)?; // in another process, perhaps
/// ready.acquire()?;
/// assert_eq!(ready.value(), 1);
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(C, align(64))]
pub struct Semaphore {
    state: AtomicU64,
    /// Written once, before anybody else knows the semaphore. 0: no bound but the greatest.
    max: AtomicU32,
    _unused: u32,
    _name: [u8; 8],
    _rest: [u64; 5],
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Semaphore>(), 64);

// SAFETY: atomics, any bytes of which are a value; nothing of this process.
unsafe impl Shareable for Semaphore {}

const EMPTY: u32 = 1 << 31;
const PERMITS: u32 = (1 << 31) - 1;
const SLEEPERS: u32 = 1 << 31;

/// A value of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    const fn new(permits: u32, sleepers: bool) -> Self {
        let futex = if permits == 0 && sleepers { EMPTY } else { 0 };
        Self(Halves { futex, own: permits | if sleepers { SLEEPERS } else { 0 } }.value())
    }

    fn permits(self) -> u32 {
        Halves::of(self.0).own & PERMITS
    }

    fn has_sleepers(self) -> bool {
        Halves::of(self.0).own & SLEEPERS != 0
    }

    fn futex_word(self) -> u32 {
        Halves::of(self.0).futex
    }

    fn with_sleepers(self) -> Self {
        Self::new(self.permits(), true)
    }
}

impl Semaphore {
    /// The most permits that there can be: 2^31 - 1.
    pub const MAX_PERMITS: u32 = PERMITS;

    const_fn! {
        /// One with so many permits, and no bound below [`Semaphore::MAX_PERMITS`].
        ///
        /// # Panics
        /// If `permits` is above that.
        #[must_use]
        pub const fn new(permits: u32) -> Self {
            Self::bounded(permits, Self::MAX_PERMITS)
        }
    }

    const_fn! {
        /// One that never has more than `max` permits: a release that would make it more is an error.
        ///
        /// ```
        /// let semaphore = forq::Semaphore::bounded(2, 2);
        /// assert_eq!(semaphore.release(1), Err(forq::Error::Overflow));
        /// ```
        ///
        /// # Panics
        /// If `permits` is above `max`, or `max` is 0 or above [`Semaphore::MAX_PERMITS`].
        #[must_use]
        pub const fn bounded(permits: u32, max: u32) -> Self {
            assert!(max != 0 && max <= Self::MAX_PERMITS, "a bound is from 1 to 2^31 - 1");
            assert!(permits <= max, "more permits than there can be");
            Self {
                state: AtomicU64::new(State::new(permits, false).0),
                max: AtomicU32::new(max),
                _unused: 0,
                _name: [0; 8],
                _rest: [0; 5],
            }
        }
    }

    fn load(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    /// The most that there may be, whatever stands in shared memory.
    fn max(&self) -> u32 {
        match self.max.load(Ordering::Relaxed) {
            0 => PERMITS,
            max => max.min(PERMITS),
        }
    }

    fn exchange(&self, from: State, to: State, success: Ordering) -> core::result::Result<(), State> {
        let success = if is_planted("relaxed_semaphore") { Ordering::Relaxed } else { success };
        self.state.compare_exchange(from.0, to.0, success, Ordering::Relaxed).map(drop).map_err(State)
    }

    /// Takes a permit: waits for one, for ever if it must.
    ///
    /// # Errors
    /// [`Error::Interrupted`], if this thread asked for it.
    #[inline]
    pub fn acquire(&self) -> Result<()> {
        self.acquire_until(Deadline::FOREVER)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is none.
    #[inline]
    pub fn try_acquire(&self) -> Result<()> {
        self.acquire_until(Deadline::NOW)
    }

    /// Takes a permit: waits for one for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// [`Error::TimedOut`] ([`Error::WouldBlock`] if `timeout` is zero); [`Error::Interrupted`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.acquire_until(Deadline::after(timeout))
    }

    #[inline]
    pub(crate) fn acquire_until(&self, deadline: Deadline) -> Result<()> {
        let state = self.load();
        if state.permits() > 0 && self.take(state, state.has_sleepers()) {
            Ok(())
        } else {
            self.acquire_slow(deadline)
        }
    }

    /// Takes one of the permits that there are in `state`.
    #[inline]
    fn take(&self, state: State, sleepers: bool) -> bool {
        // Acquire pairs with the Release of the `release` that gave the permit; takers in between do not
        // break the chain, since theirs are read-modify-writes too.
        self.exchange(state, State::new(state.permits() - 1, sleepers), Ordering::Acquire).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, deadline: Deadline) -> Result<()> {
        let mut backoff = Backoff::learning();
        loop {
            let state = self.load();
            if state.permits() > 0 {
                if self.take(state, state.has_sleepers()) {
                    return Ok(());
                }
            } else if deadline.is_now() {
                return Err(Error::WouldBlock);
            } else if !backoff.snooze() {
                return self.sleep(deadline);
            }
        }
    }

    fn sleep(&self, deadline: Deadline) -> Result<()> {
        let word = halves::futex(&self.state);
        // From before the first sleep until all is done that one who was woken must do.
        // SAFETY: mapped while it is borrowed; the low 30 bits are never set.
        let _will = unsafe { Will::leave(word) };
        let mut sleeps = 0u32;
        let mut over = None;
        loop {
            let state = self.load();
            if state.permits() > 0 {
                if self.take(state, state.has_sleepers() || sleeps > 0) {
                    if sleeps > 0 && state.permits() > 1 {
                        futex::wake(word, 1);
                    }
                    return Ok(());
                }
                continue;
            }
            if let Some(error) = over {
                return Err(error);
            }
            let announced = state.with_sleepers();
            // Relaxed: nothing is published.
            if state != announced && self.exchange(state, announced, Ordering::Relaxed).is_err() {
                continue;
            }
            sleeps = sleeps.saturating_add(1);
            // SAFETY: mapped while it is borrowed.
            match unsafe { futex::wait(word, announced.futex_word(), deadline, sleeps) } {
                Wake::Woken | Wake::Bound => {}
                // Who is told that its time is up was not woken: it has nothing to hand on.
                Wake::TimedOut => over = Some(Error::TimedOut),
                Wake::Interrupted => over = Some(Error::Interrupted),
            }
        }
    }

    /// Gives `permits` permits, all or none, and wakes as many waiters. Never waits; may be called
    /// in a signal handler.
    ///
    /// A process that is killed in the middle has given all or none. (Only one that is killed in a handler
    /// that interrupted another forq call, or before its first other use of forq, may leave waiters asleep
    /// next to the permits, for 250 ms.)
    ///
    /// # Errors
    /// [`Error::Overflow`] if there would be more than the bound.
    #[inline]
    pub fn release(&self, permits: u32) -> Result<()> {
        let mut state = self.load();
        loop {
            let released = self.released(state, permits)?;
            if state.has_sleepers() {
                return self.release_to_sleepers(permits);
            }
            // Release pairs with the Acquire of `take`.
            match self.exchange(state, released, Ordering::Release) {
                Ok(()) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    fn released(&self, state: State, permits: u32) -> Result<State> {
        match state.permits().checked_add(permits) {
            Some(sum) if sum <= self.max() => Ok(State::new(sum, false)),
            _ => Err(Error::Overflow),
        }
    }

    #[cold]
    #[inline(never)]
    fn release_to_sleepers(&self, permits: u32) -> Result<()> {
        if permits == 0 {
            return Ok(());
        }
        let word = halves::futex(&self.state);
        // From before the permits are there until all are woken.
        // SAFETY: mapped while it is borrowed; the low 30 bits are never set.
        let _will = unsafe { Will::leave_in_handler(word) };
        let before = loop {
            let state = self.load();
            if self.exchange(state, self.released(state, permits)?, Ordering::Release).is_ok() {
                break state;
            }
        };
        // At most MAX_PERMITS, by `released`.
        if before.has_sleepers() && futex::wake(word, permits as i32) >= permits as usize {
            // There may be more. Those that were woken will say so too, but one of them may be stopped.
            loop {
                let state = self.load();
                if state.has_sleepers()
                    || self.exchange(state, state.with_sleepers(), Ordering::Relaxed).is_ok()
                {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Semaphore, self, name.as_bytes())
    }

    /// How many permits are free; out of date as soon as it is read.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.load().permits()
    }
}

impl core::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Semaphore").field("value", &self.value()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_says_empty_only_when_somebody_may_sleep_without_permits() {
        for (permits, sleepers) in [(0, false), (0, true), (1, true), (PERMITS, false)] {
            let state = State::new(permits, sleepers);
            assert_eq!((state.permits(), state.has_sleepers()), (permits, sleepers));
            assert_eq!(state.futex_word() != 0, permits == 0 && sleepers);
            assert_eq!(state.futex_word() & (EMPTY - 1), 0, "a will may name it");
        }
        assert_eq!(State::new(0, false).0, 0, "zeroed memory is a semaphore");
    }

    #[test]
    fn an_announcement_costs_one_wake_call_and_is_gone() {
        let semaphore = Semaphore::new(0);
        assert_eq!(semaphore.acquire_timeout(Duration::from_nanos(1)), Err(Error::TimedOut));
        assert!(semaphore.load().has_sleepers());
        semaphore.release(1).unwrap();
        assert!(!semaphore.load().has_sleepers());
        assert_eq!(semaphore.try_acquire(), Ok(()));
    }

    #[test]
    fn any_bytes_are_a_semaphore() {
        for garbage in [u64::MAX, 1 << 63, 0x5555_5555_5555_5555, 0xff, 0xffff_ffff] {
            let semaphore = Semaphore::new(0);
            semaphore.state.store(garbage, Ordering::Relaxed);
            semaphore.max.store(u32::MAX, Ordering::Relaxed);
            let _ = semaphore.release(1);
            let _ = semaphore.try_acquire();
            assert!(semaphore.value() <= PERMITS);
        }
    }
}
