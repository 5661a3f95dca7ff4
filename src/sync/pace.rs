//! How a waiter for a mutex spends its time before it sleeps: what it has seen of the lock decides.
//!
//! Two kinds of locks want opposite things. Where sections are long, a waiter should look often, to take
//! the lock soon after its release. Where they are so short that changing hands takes longer, each look takes the cache line away
//! from a holder that could do ten sections meanwhile, and taking the lock costs both sides more than it brings: then all
//! are best off if each has the lock for a while. Such a lock is *hot*. The lock counts its turns, so a waiter knows
//! which kind it waits for, and leaves word for the next:
//!
//! - Between two looks at a hot lock turns pass, each in less than [`SHORT`]. Else it has cooled down.
//! - One that changes hands at every turn shows no two turns between looks. It is hot if [`MANY`] takers in a row each had to wait and
//!   their turns were that short: how long one waits does not tell, since it was away for most of the other's turn.
//!
//! How long it waits before it sleeps:
//!
//! - *Progress* (turns have passed since the last look): spinning is worth up to [`BUDGET`], about what being put to sleep
//!   and woken costs. Spinning for as long as that costs at most twice the best: A. R. Karlin et al., "Empirical
//!   studies of competitive spinning for a shared-memory multiprocessor" (1991).
//! - *No progress*: a long section, or a holder without a CPU. [`PATIENCE`] is spent, then the CPU is given away
//!   a few times, then it is time to sleep.

use crate::sys::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sys::clock;
use crate::sys::cpu::{self, STEP_NANOS};

/// In steps of [`STEP_NANOS`], as all of these: the first wait, and the longest between looks at a slow lock.
const FIRST: u32 = 2;
const LONGEST: u32 = 8;
/// Between looks at a hot one: long enough that changing hands, some 200 ns, costs little beside it.
const LONG: u32 = 256;
/// The longest turn of a hot lock: about what a turn of no length and changing hands take together.
const SHORT: u64 = 10;
/// Takers in a row.
const MANY: u32 = 16;
/// Without progress.
const PATIENCE: u32 = 104;
/// In all.
const BUDGET: u32 = 2000;
/// How often the CPU is given away after those.
const YIELDS: u32 = 20;

static IS_ON: AtomicBool = AtomicBool::new(true);

/// Whether waiters of this process back off at all before they sleep: for measurements.
pub(crate) fn set(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}

/// One wait.
pub(crate) struct Pace {
    /// The last wait; 0: none yet, or nobody knows how long it was.
    steps: u32,
    /// At the last look; `None`: none yet.
    turns: Option<u64>,
    spent: u32,
    /// Since the last progress.
    idle: u32,
    yields: u32,
    /// Turns passed fast between the last two looks.
    was_fast: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        // Under loom nothing is gained by waiting without sleeping.
        let is_on = IS_ON.load(Ordering::Relaxed) && !cfg!(loom);
        let yields = if is_on { 0 } else { YIELDS };
        Self { steps: 0, turns: None, spent: 0, idle: 0, yields, was_fast: false }
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
        let is_hot = self.look(turns, hot);
        if self.will_yield() {
            self.yields += 1;
            self.steps = 0;
            cpu::yield_now();
            return true;
        }
        self.steps = match self.steps {
            _ if is_hot => LONG,
            0 | LONG => FIRST,
            steps => (2 * steps).min(LONGEST),
        };
        cpu::pause(self.steps);
        self.spent += self.steps;
        self.idle += self.steps;
        true
    }

    /// Whether the lock is hot, by its turns since the last look, or at the first one by what others have learnt.
    /// `hot` is a hint: any value will do.
    fn look(&mut self, turns: u64, hot: &AtomicU32) -> bool {
        let was_hot = hot.load(Ordering::Relaxed) != 0;
        let Some(last) = self.turns.replace(turns) else {
            return was_hot;
        };
        let passed = turns.wrapping_sub(last);
        if passed > 0 {
            self.idle = 0;
        }
        if self.steps == 0 {
            return was_hot;
        }
        let is_fast = passed >= 2 && passed.saturating_mul(SHORT) >= self.steps.into();
        // Twice: once may be that this waiter had no CPU in between.
        let is_hot = is_fast && (was_hot || self.was_fast);
        self.was_fast = is_fast;
        if is_hot != was_hot {
            hot.store(is_hot.into(), Ordering::Relaxed);
        }
        is_hot
    }

    /// The lock has been taken by this waiter, after so many turns.
    pub(super) fn taken(&mut self, turns: u64, hot: &AtomicU32, row: &Row) {
        let is_short = self.yields == 0;
        if !self.look(turns, hot) && row.is_fast(turns, is_short, clock::now) {
            hot.store(1, Ordering::Relaxed);
        }
    }
}

/// Takers in a row that each had to wait; written by the holder. A hint: any value will do.
///
/// | part | bits | meaning |
/// |---|---|---|
/// | count | 0-4 | how many |
/// | turn | 5-15 | the last one's, modulo 2^11 |
/// | since | 16-31 | when the row began, in units of 64 ns, modulo 2^16 (4 ms) |
pub(super) struct Row(AtomicU32);

const COUNT: u32 = 31;
const TURN_SHIFT: u32 = 5;
const TURN: u32 = 0x7ff;
const SINCE_SHIFT: u32 = 16;
const SINCE_UNIT: u64 = 64;

impl Row {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// One more took it. Whether [`MANY`] did in a row, and fast. Only the beginning and the end of a row read the clock.
    fn is_fast(&self, turns: u64, is_short: bool, now: impl Fn() -> u64) -> bool {
        let now = || (now() / SINCE_UNIT) as u32 & 0xffff;
        let before = self.0.load(Ordering::Relaxed);
        let is_next = (turns as u32).wrapping_sub(before >> TURN_SHIFT) & TURN <= 1;
        let count = if is_next && is_short { (before & COUNT) % MANY + 1 } else { 0 };
        let since = if count == 1 { now() } else { before >> SINCE_SHIFT };
        let turn = turns as u32 & TURN;
        self.0.store(since << SINCE_SHIFT | turn << TURN_SHIFT | count, Ordering::Relaxed);
        let limit = u64::from(MANY - 1) * SHORT * STEP_NANOS / SINCE_UNIT;
        count == MANY && u64::from(now().wrapping_sub(since) & 0xffff) < limit
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
        assert!(steady > 5 * slow, "progress makes patient: {steady}, {slow}");
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

    /// Whether takers that come every so many turns, and so many nanoseconds a turn, find it fast.
    fn is_found_fast(turns_between: u64, nanos_a_turn: u64, is_short: bool) -> bool {
        let row = Row::new();
        let mut turns = (1..100).map(|taker| u64::from(u32::MAX) + taker * turns_between);
        turns.any(|turns| row.is_fast(turns, is_short, || turns * nanos_a_turn))
    }

    #[test]
    fn a_lock_that_changes_hands_at_every_turn_is_fast_if_the_turns_are_short() {
        assert!(is_found_fast(1, 200, true));
        assert!(!is_found_fast(1, 300, true), "long turns");
        assert!(!is_found_fast(1, 200, false), "long waits");
        assert!(!is_found_fast(2, 50, true), "somebody did not have to wait");
    }
}
