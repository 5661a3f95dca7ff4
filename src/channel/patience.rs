//! How a side spends its time before it sleeps.
//!
//! It looks for 1.6 us, less and less often, and gives the CPU away a few times, as [`Backoff`] has it; then it sleeps. If a sleep turns out to have been hardly longer
//! than what sleeping and being woken costs, it would have done better to stay awake: the next ones do so for so long, until that is in vain. (Two that
//! put each other to sleep would otherwise go on so for ever: by the time that one is awake, the other has run out of work.)

use crate::sync::backoff::Backoff;
use crate::sys::{clock, cpu};

/// Nanoseconds: about what being put to sleep and woken across CPUs costs.
const STAY: u64 = 50_000;

/// What a side has learnt: from its sleeps, and from letting messages gather.
#[derive(Clone, Copy, Default)]
pub(super) struct Lesson {
    stays: bool,
    /// How often in a row nothing gathered.
    vain: u8,
    /// So many times it need not try.
    skips: u8,
}

/// After 2^n - 1 looks it tries again at the latest.
const MOST_VAIN: u8 = 6;

impl Lesson {
    /// Whether more may gather in a moment: then [`Lesson::gathered`] is to be told what came of it.
    pub(super) fn tries_to_gather(&mut self) -> bool {
        if self.skips == 0 {
            return true;
        }
        self.skips -= 1;
        false
    }

    /// Where one message is answered before the next is sent, none gather, and to wait for them is time lost.
    pub(super) fn gathered(&mut self, more: bool) {
        if cfg!(any(loom, forq_steady)) {
            return;
        }
        self.vain = if more { 0 } else { MOST_VAIN.min(self.vain + 1) };
        self.skips = (1 << self.vain) - 1;
    }
}

/// One wait.
pub(super) struct Patience {
    backoff: Backoff,
    /// When it began to stay.
    since: u64,
    /// When it first went to sleep; 0: it has not.
    asleep_since: u64,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::learning(), since: 0, asleep_since: 0 }
    }

    /// Waits a little. False: it did not; time to sleep.
    pub(super) fn snooze(&mut self, lesson: Lesson) -> bool {
        if self.backoff.snooze() {
            return true;
        }
        if cfg!(loom) || !lesson.stays || self.asleep_since != 0 {
            return false;
        }
        let now = clock::now();
        if self.since == 0 {
            self.since = now;
        }
        if now - self.since >= STAY {
            return false;
        }
        cpu::yield_now();
        true
    }

    /// It goes to sleep; when it first did.
    pub(super) fn sleeps(&mut self, now: u64) -> u64 {
        if self.asleep_since == 0 {
            self.asleep_since = now;
        }
        self.asleep_since
    }

    /// There is something: learns from how long it has slept.
    pub(super) fn learn(&self, lesson: &mut Lesson) {
        if self.asleep_since != 0 {
            lesson.stays = clock::now() - self.asleep_since < 2 * STAY;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn where_nothing_gathers_it_is_tried_less_and_less_often_and_at_once_again_where_something_does() {
        let mut lesson = Lesson::default();
        let mut looks_until_next = |more| {
            lesson.gathered(more);
            (0..).take_while(|_| !lesson.tries_to_gather()).count()
        };
        let vain: Vec<_> = (0..8).map(|_| looks_until_next(false)).collect();
        assert_eq!(vain, [1, 3, 7, 15, 31, 63, 63, 63]);
        assert_eq!(looks_until_next(true), 0);
        assert_eq!(looks_until_next(true), 0);
        assert_eq!(looks_until_next(false), 1);
    }

    #[test]
    fn waiting_ends_in_sleep_and_who_has_slept_shortly_stays_first() {
        let looks = |lesson| {
            let mut patience = Patience::new();
            (0..).take_while(|_| patience.snooze(lesson)).count()
        };
        let mut lesson = Lesson::default();
        let few = looks(lesson);
        let mut patience = Patience::new();
        patience.sleeps(clock::now());
        patience.learn(&mut lesson);
        assert!(looks(lesson) > few);
        let mut patience = Patience::new();
        patience.sleeps(clock::now() - 3 * STAY);
        patience.learn(&mut lesson);
        assert_eq!(looks(lesson), few);
    }
}
