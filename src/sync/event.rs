//! A flag to wait for, for the threads of any processes.
//!
//! | part of the state | where | meaning | changed by |
//! |---|---|---|---|
//! | `SET` | bit 0 of the futex half | the event is set | `set`, `clear` |
//! | generation | bits 1-31 of the futex half | how often it has been cleared | `clear` |
//! | `SLEEPERS` | bit 0 of our half | somebody may sleep in this generation | who is about to sleep; cleared by `clear` |
//!
//! All zero is not set, nobody waiting.
//!
//! - **wait** in generation g ends when `SET` is there or the generation is another: then it was set meanwhile.
//! - **set** without `SLEEPERS` is one compare-exchange; with it, the kernel sets the bit and wakes all in one step
//!   (`FUTEX_WAKE_OP`), which no death divides. Hence: while it is set, nobody sleeps.
//! - **clear** `{g, SET} -> {g + 1}`; `SLEEPERS` goes too, since there are none.

use core::time::Duration;

use super::backoff::Backoff;
use super::halves::{self, Halves};
use super::names::{self, ObjectKind};
use crate::error::{Error, Result};
use crate::shared::Shareable;
use crate::sys::atomic::{Ordering, const_fn, modelled::AtomicU64};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Wake};
use crate::sys::is_planted;

/// A flag that is set and cleared, and that the threads of any processes wait for.
///
/// Put it in shared memory, with [`Shared`](crate::Shared). Setting wakes all who wait; it enters the kernel only if
/// somebody sleeps. A waiter spins about 1.6 us, yields a few times, then sleeps. What was written before the
/// event was set is seen by who has waited for it.
///
/// A process that is killed while it sets the event has set it and woken all, or has done neither. One that is
/// killed or stopped while it waits is nobody's concern.
///
/// Python's `Event`, but that a waiter cannot miss a `set` which a `clear` follows at once.
///
/// ```
/// use forq::{Event, Shared};
///
/// let started = Shared::new(Event::new())?;
/// assert!(!started.is_set());
/// started.set(); // in another process, perhaps
/// started.wait()?;
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(C, align(64))]
#[derive(Default)]
pub struct Event {
    state: AtomicU64,
    _unused: u64,
    _name: [u8; 8],
    _rest: [u64; 5],
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Event>(), 64);

// SAFETY: atomics, any bytes of which are a value; nothing of this process.
unsafe impl Shareable for Event {}

const SET: u32 = 1;
const ONE_GENERATION: u32 = 2;
const SLEEPERS: u32 = 1;

/// A value of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    fn futex_word(self) -> u32 {
        Halves::of(self.0).futex
    }

    fn is_set(self) -> bool {
        self.futex_word() & SET != 0
    }

    fn generation(self) -> u32 {
        self.futex_word() & !SET
    }

    fn has_sleepers(self) -> bool {
        Halves::of(self.0).own & SLEEPERS != 0
    }

    fn with_set(self) -> Self {
        let Halves { futex, own } = Halves::of(self.0);
        Self(Halves { futex: futex | SET, own }.value())
    }

    fn with_sleepers(self) -> Self {
        let Halves { futex, own } = Halves::of(self.0);
        Self(Halves { futex, own: own | SLEEPERS }.value())
    }

    fn cleared(self) -> Self {
        Self(Halves { futex: self.generation().wrapping_add(ONE_GENERATION), own: 0 }.value())
    }
}

impl Event {
    const_fn! {
        /// One that is not set.
        #[must_use]
        pub const fn new() -> Self {
            Self { state: AtomicU64::new(0), _unused: 0, _name: [0; 8], _rest: [0; 5] }
        }
    }

    fn load(&self, order: Ordering) -> State {
        State(self.state.load(order))
    }

    fn exchange(&self, from: State, to: State, success: Ordering) -> bool {
        let success = if is_planted("relaxed_event") { Ordering::Relaxed } else { success };
        self.state.compare_exchange(from.0, to.0, success, Ordering::Relaxed).is_ok()
    }

    /// Sets it, and wakes all who wait. Never waits; may be called in a signal handler.
    #[inline]
    pub fn set(&self) {
        loop {
            let state = self.load(Ordering::Relaxed);
            if state.has_sleepers() && !state.is_set() {
                return self.set_and_wake();
            }
            // Also if it is set already: what was written before is to be seen by the next `clear`, which
            // reads this write or a later one. Release pairs with the Acquire of `clear`, `is_set`, `wait`.
            if self.exchange(state, state.with_set(), Ordering::Release) {
                return;
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn set_and_wake(&self) {
        let word = halves::futex(&self.state);
        // If another has set and cleared it meanwhile, this sets it once more, as if it came later.
        // SAFETY: mapped while it is borrowed; all others change it by atomic operations.
        if !cfg!(forq_fault = "two_steps") && unsafe { futex::set_bit_0_and_wake_all(word) } {
            return;
        }
        // Two steps: whoever is killed in between leaves the sleepers to their bound.
        loop {
            let state = self.load(Ordering::Relaxed);
            if self.exchange(state, state.with_set(), Ordering::Release) {
                break;
            }
        }
        futex::wake(word, i32::MAX);
    }

    /// Clears it: from now on waiting waits. Those who waited before it was set are not held up.
    pub fn clear(&self) {
        loop {
            let state = self.load(Ordering::Relaxed);
            // Acquire pairs with the Release of `set`: what the setters so far have written is seen after this.
            if !state.is_set() || self.exchange(state, state.cleared(), Ordering::AcqRel) {
                return;
            }
        }
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Event, self, name.as_bytes())
    }

    /// Whether it is set. Never waits; may be called in a signal handler.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        // Acquire pairs with the Release of `set`.
        self.load(Ordering::Acquire).is_set()
    }

    /// Waits until it is set, for ever if it must.
    ///
    /// # Errors
    /// [`Error::Interrupted`], if this thread asked for it.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::FOREVER)
    }

    /// Waits until it is set, for at most `timeout` of the monotonic clock; zero only looks.
    ///
    /// # Errors
    /// [`Error::TimedOut`] ([`Error::WouldBlock`] if `timeout` is zero); [`Error::Interrupted`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_until(Deadline::after(timeout))
    }

    #[inline]
    pub(crate) fn wait_until(&self, deadline: Deadline) -> Result<()> {
        // Acquire pairs with the Release of `set`.
        let state = self.load(Ordering::Acquire);
        if state.is_set() { Ok(()) } else { self.wait_slow(state.generation(), deadline) }
    }

    #[cold]
    #[inline(never)]
    fn wait_slow(&self, generation: u32, deadline: Deadline) -> Result<()> {
        let mut backoff = Backoff::learning();
        let mut sleeps = 0u32;
        let mut over = None;
        loop {
            // Acquire pairs with the Release of `set`, also across a `clear`, which passes it on.
            let state = self.load(Ordering::Acquire);
            if state.is_set() || state.generation() != generation {
                return Ok(());
            }
            if let Some(error) = over {
                return Err(error);
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if backoff.snooze() {
                continue;
            }
            // Relaxed: nothing is published.
            if !state.has_sleepers() && !self.exchange(state, state.with_sleepers(), Ordering::Relaxed) {
                continue;
            }
            sleeps = sleeps.saturating_add(1);
            let word = halves::futex(&self.state);
            // SAFETY: mapped while it is borrowed.
            match unsafe { futex::wait(word, state.futex_word(), deadline, sleeps) } {
                Wake::Woken | Wake::Bound => {}
                Wake::TimedOut => over = Some(Error::TimedOut),
                Wake::Interrupted => over = Some(Error::Interrupted),
            }
        }
    }
}

impl core::fmt::Debug for Event {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_begins_a_generation_without_sleepers() {
        let waited = State(0).with_sleepers();
        assert!(waited.has_sleepers() && !waited.is_set() && waited.generation() == 0);
        let cleared = waited.with_set().cleared();
        assert!(!cleared.has_sleepers() && !cleared.is_set() && cleared.generation() != waited.generation());
        let last = State(Halves { futex: u32::MAX, own: 0 }.value());
        assert_eq!(last.cleared().0, 0, "generations wrap");
    }

    #[test]
    fn setting_before_a_sleeper_that_gave_up_wakes_it_away() {
        let event = Event::new();
        assert_eq!(event.wait_timeout(Duration::from_nanos(1)), Err(Error::TimedOut));
        assert!(event.load(Ordering::Relaxed).has_sleepers());
        event.set();
        assert!(event.is_set());
        event.clear();
        assert_eq!(event.load(Ordering::Relaxed).0, Halves { futex: ONE_GENERATION, own: 0 }.value());
    }

    #[test]
    fn any_bytes_are_an_event() {
        for garbage in [u64::MAX, 1 << 63, 0xff, 0xfffe, 0xffff_fffe] {
            let event = Event::new();
            event.state.store(garbage, Ordering::Relaxed);
            let _ = event.wait_timeout(Duration::from_nanos(1));
            event.set();
            assert!(event.is_set());
            event.clear();
            assert!(!event.is_set());
        }
    }
}
