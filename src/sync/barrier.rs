//! Where a number of processes wait until all have come.
//!
//! The table of the state is in [`round`](super::round).
//!
//! A generation ends when the last party comes (all leave with their number), or in vain: a party's time is
//! up, or somebody aborts or resets. Each end is one compare-exchange to the next generation, so that the barrier is
//! whole again at once, while those of the old generation still leave: the outcomes tell them how it ended.
//!
//! Who ends a generation then wakes all. Should it be killed before that, its will wakes one of them by
//! the word `relay`, on which all sleep as well; and who is woken by that one wakes all on the other. `relay` is always
//! 0, since only such a word may stand in a [`Will`]: the generation cannot.

use core::time::Duration;

use super::backoff::Backoff;
use super::halves;
use super::names::{self, ObjectKind};
use super::round::{ARRIVED, GENERATION, State};
use super::will::Will;
use crate::error::{Error, Result};
use crate::shared::Shareable;
use crate::sys::atomic::{AtomicU32, Ordering, const_fn, modelled::AtomicU64};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Wake};
use crate::sys::is_planted;

/// A meeting point for a fixed number of parties, of any processes: each waits until all have come.
///
/// Put it in shared memory, with [`Shared`](crate::Shared). It is used again and again: when all have come, it
/// is ready for the next round. What was written before a party came is seen by all after they have left.
/// Waiting spins about 1.6 us, yields a few times, then sleeps; the last to come enters the kernel only if
/// somebody sleeps.
///
/// A party that is killed while it waits has arrived; the others go on. One that is killed before is missed: give the wait
/// a time limit. Who runs into it breaks the barrier, and all others, those that come later too, are told
/// ([`Error::Broken`]) until [`Barrier::reset`]. So Python's `Barrier` does.
///
/// ```
/// use forq::{Barrier, Shared};
///
/// let barrier = Shared::new(Barrier::new(2))?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().unwrap());
///     let mine = barrier.wait().unwrap();
///     assert_eq!(mine + other.join().unwrap(), 1); // one has 0, the other 1
/// });
/// # Ok::<(), forq::Error>(())
/// ```
#[repr(C, align(64))]
pub struct Barrier {
    state: AtomicU64,
    /// Always 0. Sleepers sleep on it too.
    relay: AtomicU32,
    /// Written once, before anybody else knows the barrier.
    parties: AtomicU32,
    /// One more than the last generation that ended in vain; 0: none did. For those who come to see it
    /// more than 16 generations later.
    last_in_vain: AtomicU32,
    _unused: u32,
    _name: [u8; 8],
    _rest: [u64; 4],
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Barrier>(), 64);

// SAFETY: atomics, any bytes of which are a value; nothing of this process.
unsafe impl Shareable for Barrier {}

impl Barrier {
    /// The most parties that there can be: 2^15 - 1.
    pub const MAX_PARTIES: u32 = ARRIVED;

    const_fn! {
        /// One for so many parties.
        ///
        /// # Panics
        /// If `parties` is 0 or above [`Barrier::MAX_PARTIES`].
        #[must_use]
        pub const fn new(parties: u32) -> Self {
            assert!(parties != 0 && parties <= Self::MAX_PARTIES, "from 1 to 2^15 - 1 parties");
            Self {
                state: AtomicU64::new(0),
                relay: AtomicU32::new(0),
                parties: AtomicU32::new(parties),
                last_in_vain: AtomicU32::new(0),
                _unused: 0,
                _name: [0; 8],
                _rest: [0; 4],
            }
        }
    }

    fn load(&self) -> State {
        // Acquire pairs with the Release of those that came and of who ended the generation.
        State(self.state.load(Ordering::Acquire))
    }

    fn exchange(&self, from: State, to: State) -> bool {
        // Each arrival hands on what those before it have written; the last one hands it to all.
        let success = if is_planted("relaxed_barrier") { Ordering::Relaxed } else { Ordering::AcqRel };
        self.state.compare_exchange(from.0, to.0, success, Ordering::Relaxed).is_ok()
    }

    fn will(&self) -> Will {
        // SAFETY: mapped while it is borrowed; it is always 0.
        unsafe { Will::leave(self.relay.as_ptr()) }
    }

    fn wake_all(&self) {
        futex::wake(halves::futex(&self.state), i32::MAX);
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        names::set_of(ObjectKind::Barrier, self, name.as_bytes())
    }

    /// How many parties it is for; 0: it is zeroed memory that nobody has made a barrier.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.parties.load(Ordering::Relaxed)
    }

    /// How many have come and wait for the others; out of date as soon as it is read.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.load().arrived()
    }

    /// Whether a time-out or [`Barrier::abort`] has broken it, and nobody has reset it since.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.load().is_broken()
    }

    /// Comes, and waits until all have come, for ever if it must. Returns the party's number in this
    /// round: 0 for the first to come, up to one less than the parties for the last.
    ///
    /// # Errors
    /// [`Error::Broken`] if the barrier is or gets broken, or is reset meanwhile; [`Error::Interrupted`], if this
    /// thread asked for it, which breaks the barrier as a time-out does; [`Error::InvalidArgument`] if it has no parties.
    pub fn wait(&self) -> Result<u32> {
        self.wait_until(Deadline::FOREVER)
    }

    /// Comes only if it is the last, so that nobody has to wait.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if others are missing; [`Error::Broken`]; [`Error::InvalidArgument`].
    pub fn try_wait(&self) -> Result<u32> {
        self.wait_until(Deadline::NOW)
    }

    /// As [`Barrier::wait`], for at most `timeout` of the monotonic clock; zero is [`Barrier::try_wait`].
    ///
    /// # Errors
    /// As [`Barrier::wait`], and [`Error::TimedOut`] ([`Error::WouldBlock`] if `timeout` is zero), to one party, the
    /// first whose time is up: this breaks the barrier, and the others get [`Error::Broken`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<u32> {
        self.wait_until(Deadline::after(timeout))
    }

    pub(crate) fn wait_until(&self, deadline: Deadline) -> Result<u32> {
        let parties = self.parties();
        if parties == 0 || parties > Self::MAX_PARTIES {
            return Err(Error::InvalidArgument);
        }
        loop {
            let state = self.load();
            let number = state.arrived();
            if state.is_broken() {
                return Err(Error::Broken);
            }
            if number + 1 >= parties {
                if self.end(state, state.completed()) {
                    return Ok(number);
                }
            } else if deadline.is_now() {
                return Err(Error::WouldBlock);
            } else if self.exchange(state, state.with_arrival()) {
                return self.await_end(state.generation(), deadline).map(|()| number);
            }
        }
    }

    /// Ends a generation, and wakes those who sleep in it. False: the state is another by now.
    fn end(&self, state: State, ended: State) -> bool {
        if !state.has_sleepers() {
            return self.exchange(state, ended);
        }
        // From before the end until all are woken.
        let _will = self.will();
        let done = self.exchange(state, ended);
        if done {
            self.wake_all();
        }
        done
    }

    /// Ends the generation in vain, unless it has ended already: false.
    fn end_in_vain(&self, state: State, ended: State) -> bool {
        // Before: who sees the end must see this. If it comes to nothing, somebody very late may be told Broken.
        let number = state.generation().wrapping_add(1);
        self.last_in_vain.store(number, Ordering::Relaxed);
        self.end(state, ended)
    }

    #[cold]
    #[inline(never)]
    fn await_end(&self, generation: u32, deadline: Deadline) -> Result<()> {
        let mut backoff = Backoff::learning();
        loop {
            let state = self.load();
            if state.distance(generation) != 0 {
                return self.outcome(state, generation);
            }
            if !backoff.snooze() {
                return self.sleep(generation, deadline);
            }
        }
    }

    fn sleep(&self, generation: u32, deadline: Deadline) -> Result<()> {
        // From before the first sleep until the others are woken that one who was woken for a dead one must wake.
        let _will = self.will();
        let mut sleeps = 0u32;
        let mut relayed = false;
        let mut over = None;
        loop {
            let state = self.load();
            if state.distance(generation) != 0 {
                if relayed {
                    self.wake_all();
                }
                return self.outcome(state, generation);
            }
            if let Some(error) = over {
                if self.end_in_vain(state, state.broken()) {
                    return Err(error);
                }
                continue;
            }
            if !state.has_sleepers() && !self.exchange(state, state.with_sleepers()) {
                continue;
            }
            sleeps = sleeps.saturating_add(1);
            let words = [
                (halves::futex(&self.state), state.futex_word()),
                (self.relay.as_ptr().cast_const(), self.relay.load(Ordering::Relaxed)),
            ];
            // SAFETY: both are mapped while they are borrowed.
            let wake = unsafe { futex::wait_either(words, deadline, sleeps) };
            relayed = wake.1;
            match wake.0 {
                Wake::Woken | Wake::Bound => {}
                Wake::TimedOut => over = Some(Error::TimedOut),
                Wake::Interrupted => over = Some(Error::Interrupted),
            }
        }
    }

    /// How the generation ended for those who waited in it. `state` is of a later one.
    fn outcome(&self, state: State, generation: u32) -> Result<()> {
        let in_vain = state.was_in_vain(state.distance(generation)).unwrap_or_else(|| {
            match self.last_in_vain.load(Ordering::Relaxed) {
                0 => false,
                // In vain only if none later was; whoever asks so late is told the worse of the two.
                number => number.wrapping_sub(1).wrapping_sub(generation) & GENERATION <= GENERATION / 2,
            }
        });
        if in_vain { Err(Error::Broken) } else { Ok(()) }
    }

    /// Breaks it: those who wait, and all who come later, get [`Error::Broken`] until [`Barrier::reset`].
    /// Never waits.
    pub fn abort(&self) {
        loop {
            let state = self.load();
            if state.is_broken() || self.end_in_vain(state, state.broken()) {
                return;
            }
        }
    }

    /// Makes it whole, with nobody arrived: those who wait get [`Error::Broken`]. Never waits.
    pub fn reset(&self) {
        loop {
            let state = self.load();
            let at_rest = !state.is_broken() && state.arrived() == 0;
            if at_rest || self.end_in_vain(state, state.reset()) {
                return;
            }
        }
    }
}

impl core::fmt::Debug for Barrier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = self.load();
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &state.arrived())
            .field("is_broken", &state.is_broken())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_the_end_very_late_is_told_broken_only_if_one_was_since() {
        let barrier = Barrier::new(1);
        let late = |barrier: &Barrier| barrier.outcome(barrier.load(), 1);
        assert_eq!(barrier.wait(), Ok(0));
        for _ in 0..20 {
            assert_eq!(barrier.wait(), Ok(0));
        }
        assert_eq!(late(&barrier), Ok(()));
        barrier.abort();
        barrier.reset();
        for _ in 0..20 {
            assert_eq!(barrier.wait(), Ok(0));
        }
        assert_eq!(late(&barrier), Err(Error::Broken));
        assert_eq!(barrier.outcome(barrier.load(), barrier.load().generation() - 20), Ok(()));
    }

    #[test]
    fn any_bytes_are_a_barrier() {
        for garbage in [u64::MAX, 1 << 63, 0x7fff, 0x7fff << 32, 0x5555_5555_5555_5555] {
            let barrier = Barrier::new(3);
            barrier.state.store(garbage, Ordering::Relaxed);
            let _ = barrier.wait_timeout(Duration::from_nanos(1));
            barrier.abort();
            barrier.reset();
            assert!(barrier.waiting() == 0 && !barrier.is_broken());
            barrier.parties.store(u32::MAX, Ordering::Relaxed);
            assert_eq!(barrier.wait(), Err(Error::InvalidArgument));
        }
    }
}
