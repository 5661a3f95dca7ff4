//! How a waiter for a mutex spends its time before it sleeps: what it has seen of the lock decides.
//!
//! Two kinds of locks want opposite things. Where sections are long, a waiter should look often, to take
//! the lock soon after its release. Where they are so short that the holder goes through many of them between two
//! looks, each look takes the cache line away from a holder that could do ten sections meanwhile, and
//! taking the lock costs both sides more than it brings: then all are best off if each has the lock
//! for a while. The lock counts its turns; so a waiter knows which kind it waits for, and leaves word for the next.
//!
//! - *Progress* (turns have passed since the last look): spinning is worth up to [`BUDGET`], about what being put to sleep
//!   and woken costs. Spinning for as long as that costs at most twice the best: A. R. Karlin et al., "Empirical
//!   studies of competitive spinning for a shared-memory multiprocessor" (1991).
//! - *No progress*: a long section, or a holder without a CPU. [`PATIENCE`] is spent, then the CPU is given away
//!   a few times, then it is time to sleep.

use crate::sys::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sys::cpu;

/// In pauses of about 26 ns: the first wait, and the longest between looks at a slow lock.
const FIRST: u32 = 2;
const LONGEST: u32 = 4;
/// Pauses between looks at a hot one: long enough that changing hands costs little beside it.
const LONG: u32 = 64;
/// A lock is hot if two or more turns have passed, each in less than this part of a pause.
const HOT_TURNS_PER_PAUSE: u64 = 4;
/// Pauses without progress.
const PATIENCE: u32 = 62;
/// Pauses in all.
const BUDGET: u32 = 2000;
/// How often the CPU is given away after those.
const YIELDS: u32 = 10;

static IS_ON: AtomicBool = AtomicBool::new(true);

/// Whether waiters of this process back off at all before they sleep: for measurements.
pub(crate) fn set(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}

/// One wait.
pub(crate) struct Pace {
    /// Of the last wait; 0: none yet.
    pauses: u32,
    /// At the last look.
    turns: u64,
    spent: u32,
    /// Since the last progress.
    idle: u32,
    yields: u32,
}

impl Pace {
    pub(crate) fn new() -> Self {
        // Under loom nothing is gained by waiting without sleeping.
        let is_on = IS_ON.load(Ordering::Relaxed) && !cfg!(loom);
        let yields = if is_on { 0 } else { YIELDS };
        Self { pauses: 0, turns: 0, spent: 0, idle: 0, yields }
    }

    /// Whether the next wait gives the CPU away.
    pub(super) fn will_yield(&self) -> bool {
        self.idle >= PATIENCE || self.spent >= BUDGET
    }

    /// Waits a little, after a look at a held lock that has had so many turns. False: it did not; time to sleep.
    pub(crate) fn snooze(&mut self, turns: u64, hot: &AtomicU32) -> bool {
        if self.yields == YIELDS {
            return false;
        }
        let is_hot = self.learn(turns, hot);
        if self.will_yield() {
            self.yields += 1;
            self.pauses = LONG;
            cpu::yield_now();
            return true;
        }
        self.pauses = match self.pauses {
            _ if is_hot => LONG,
            0 | LONG => FIRST,
            pauses => (2 * pauses).min(LONGEST),
        };
        for _ in 0..cpu::pauses_per_step() * self.pauses {
            core::hint::spin_loop();
        }
        self.spent += self.pauses;
        self.idle += self.pauses;
        true
    }

    /// Whether the lock is hot, by its turns since the last look, or at the first one by what others have learnt.
    /// `hot` is a hint: any value will do.
    pub(super) fn learn(&mut self, turns: u64, hot: &AtomicU32) -> bool {
        let was_hot = hot.load(Ordering::Relaxed) != 0;
        let passed = turns.wrapping_sub(core::mem::replace(&mut self.turns, turns));
        if self.pauses == 0 {
            return was_hot;
        }
        if passed > 0 {
            self.idle = 0;
        }
        let is_hot = passed >= 2 && passed.saturating_mul(HOT_TURNS_PER_PAUSE) >= self.pauses.into();
        if is_hot != was_hot {
            hot.store(is_hot.into(), Ordering::Relaxed);
        }
        is_hot
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Looks until the verdict is sleep, at a lock that passes so many turns from look to look.
    fn looks(turns_between: u64, hot: &AtomicU32) -> u32 {
        let (mut pace, mut turns, mut looks) = (Pace::new(), u64::MAX, 0);
        while pace.snooze(turns, hot) {
            turns = turns.wrapping_add(turns_between);
            looks += 1;
            assert!(looks < 10_000, "no end");
        }
        assert!(!pace.snooze(turns, hot), "the verdict stays");
        looks
    }

    #[test]
    fn waiting_ends_in_sleep_whether_there_is_progress_or_not() {
        let hot = AtomicU32::new(0);
        let (slow, steady) = (looks(0, &hot), looks(1, &hot));
        assert!(steady > 10 * slow, "progress makes patient: {steady}, {slow}");
        assert_eq!(hot.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_hot_lock_is_looked_at_rarely_and_says_so_to_the_next() {
        let hot = AtomicU32::new(0);
        let many = looks(100, &hot);
        assert_ne!(hot.load(Ordering::Relaxed), 0);
        assert!(many < 60, "{many}");
        looks(0, &hot);
        assert_eq!(hot.load(Ordering::Relaxed), 0, "it has cooled down");
    }
}
