//! How a side's leader spends its time before it sleeps.
//!
//! It alone looks at its slot, so looking often disturbs nobody but the other side, and gets a single message soon. But where the other
//! side does one after the other, whoever takes each as it comes takes the line from it each time, and both go at the speed of that. Then it
//! is better to come late, when there are many. The leader finds out which it is: what is there within 4 looks of being missed was not an answer
//! to anything, which would have had to cross between CPUs twice; so next time it looks later, up to 0.8 us, as long as it then finds many.
//!
//! Then it gives the CPU away a few times, and sleeps. If a sleep turns out to have been shorter than what sleeping and being woken costs, it
//! would have done better to stay: the next ones stay for so long, until that is in vain. (Two that put each other to sleep would
//! otherwise go on so for ever: by the time that one is awake, the other has run out of work.)

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::{clock, cpu};

/// Looks, a pause of 26 ns apart: 1.6 us in all, as [`Backoff`](crate::Backoff) has it.
const LOOKS: u32 = 62;
/// How often the CPU is given away after those.
const YIELDS: u32 = 10;
/// Nanoseconds that are given away instead, where sleeps have been short: about what being put to sleep and woken across CPUs costs.
/// (The crash points want every run to be the same.)
const STAY: u64 = if cfg!(forq_long_sleeps) { 0 } else { 50_000 };
/// What comes within so many looks is one of many.
const SOON: u32 = 4;
/// Pauses before the first look: the shortest delay, and the longest.
const SHORT: u32 = 8;
const LONG: u32 = 32;
/// After so many pauses one more message than the first is expected; others expect more.
const PAUSES_A_MESSAGE: u32 = 8;
/// Waits without a delay, after one that was in vain.
const REST: u32 = 64;

/// What a side's leaders have learnt, for the next wait: a hint, of any bits.
///
/// | part | bits | meaning |
/// |---|---|---|
/// | delay | 0-7 | pauses before the first look |
/// | rest | 8-15 | waits before a delay is tried again |
/// | `STAYS` | 16 | sleeps have been short |
#[repr(transparent)]
pub(super) struct Lesson(AtomicU32);

impl Lesson {
    fn load(&self) -> (u32, u32) {
        let bits = self.0.load(Ordering::Relaxed);
        ((bits & 0xff).min(LONG), bits >> 8 & 0xff)
    }

    fn store(&self, delay: u32, rest: u32) {
        let stays = self.0.load(Ordering::Relaxed) & STAYS;
        self.0.store(delay | rest << 8 | stays, Ordering::Relaxed);
    }

    fn stays(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STAYS != 0
    }

    /// A wait that ended in sleep has lasted so many nanoseconds since that began.
    pub(super) fn has_slept(&self, nanos: u64) {
        let bits = self.0.load(Ordering::Relaxed);
        self.0.store(if nanos < STAY { bits | STAYS } else { bits & !STAYS }, Ordering::Relaxed);
    }
}

const STAYS: u32 = 1 << 16;

/// One wait.
pub(super) struct Patience<'a> {
    lesson: &'a Lesson,
    delay: u32,
    looks: u32,
    /// When it first gave the CPU away, if it stays.
    since: u64,
}

impl<'a> Patience<'a> {
    pub(super) fn new(lesson: &'a Lesson) -> Self {
        Self { lesson, delay: lesson.load().0, looks: 0, since: 0 }
    }

    /// Whether the next wait gives the CPU away, or is no wait.
    pub(super) fn will_yield(&self) -> bool {
        self.looks >= LOOKS
    }

    /// Waits a little. False: it did not; time to sleep.
    pub(super) fn snooze(&mut self) -> bool {
        if cfg!(loom) || (self.looks >= LOOKS && !self.may_yield()) {
            return false;
        }
        if self.looks < LOOKS {
            let pauses = if self.looks == 0 { self.delay.max(1) } else { 1 };
            cpu::pause(pauses);
            self.looks += pauses;
        } else {
            cpu::yield_now();
            self.looks += 1;
        }
        true
    }

    fn may_yield(&mut self) -> bool {
        if self.looks < LOOKS + YIELDS {
            return true;
        }
        if !self.lesson.stays() {
            return false;
        }
        let now = clock::now();
        if self.since == 0 {
            self.since = now;
        }
        now - self.since < STAY
    }

    /// There is something: learns from when, and from whether so many more are there.
    pub(super) fn learn(&self, are_there: impl Fn(u32) -> bool) {
        let (delay, rest) = self.lesson.load();
        if self.delay > 0 {
            let were_many = self.looks == self.delay && are_there(self.delay / PAUSES_A_MESSAGE);
            if were_many {
                self.lesson.store((2 * delay).min(LONG), 0);
            } else {
                self.lesson.store(0, REST);
            }
        } else if rest > 0 {
            self.lesson.store(0, rest - 1);
        } else if self.looks <= SOON {
            self.lesson.store(SHORT, 0);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// One wait that finds something at the first look after so many pauses, and so many more behind it; the pauses that it took.
    fn wait(lesson: &Lesson, comes_after: u32, more: u32) -> u32 {
        let mut patience = Patience::new(lesson);
        while patience.snooze() {
            if patience.looks >= comes_after {
                patience.learn(|count| count <= more);
                return patience.looks;
            }
        }
        patience.looks
    }

    #[test]
    fn waiting_ends_in_sleep() {
        let lesson = Lesson(AtomicU32::new(u32::MAX));
        let mut patience = Patience::new(&lesson);
        while patience.snooze() {}
        assert!(!patience.snooze(), "the verdict stays");
    }

    #[test]
    fn a_stream_is_looked_at_ever_later_and_an_answer_at_once() {
        let lesson = Lesson(AtomicU32::new(0));
        assert_eq!([wait(&lesson, 2, 100), wait(&lesson, 2, 100), wait(&lesson, 2, 100)], [2, 8, 16]);
        assert_eq!(wait(&lesson, 2, 0), 32, "one alone: in vain");
        for _ in 0..REST {
            assert_eq!(wait(&lesson, 2, 0), 2, "not tried for a while");
        }
        let lesson = Lesson(AtomicU32::new(0));
        for _ in 0..100 {
            assert_eq!(wait(&lesson, 10, 100), 10);
        }
    }
}
