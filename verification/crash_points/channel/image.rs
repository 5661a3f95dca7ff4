//! What stands in a channel's memory, decoded by the tables in `src/channel`, not by the library's code.

use std::sync::atomic::{AtomicU64, Ordering};

const BUSY: usize = 256 / 8;
const GATES: usize = 512 / 8;
const OWNERS: usize = 528 / 8;
const END: usize = 544 / 8;
const CLOSED: u64 = 1 << 32;
const WAITED_FOR: u64 = 1 << 31;
const PID: u64 = (1 << 23) - 1;
const GONE: u64 = 1 << 63;

/// One of the two sides: where its position is; each has a line of 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Producer = 0,
    Consumer = 1,
}

/// A channel's memory.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) words: &'a [AtomicU64],
    pub(super) capacity: usize,
}

impl Image<'_> {
    fn load(self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }

    /// How many slots a side has used, but for whole turns of the laps.
    fn count(self, word: u64) -> u64 {
        (word >> 32).wrapping_mul(self.capacity as u64).wrapping_add(word & 0xffff_ffff)
    }

    fn position(self, side: Side) -> u64 {
        self.load(side as usize * 16)
    }

    /// Messages that are put and not taken; of a channel with a decided end those before it.
    pub(super) fn messages(self) -> usize {
        let end = self.load(END);
        let last = if end == u64::MAX { self.position(Side::Producer) } else { end };
        let laps = (self.capacity as u64) << 32;
        (self.count(last) + laps - self.count(self.position(Side::Consumer))) as usize % laps as usize
    }

    pub(super) fn is_busy(self, side: Side) -> bool {
        self.load(BUSY + side as usize * 16) & 0xffff_ffff != 0
    }

    /// The process that uses a side, or did last; 0: nobody, or it has left.
    pub(super) fn owner(self, side: Side) -> u32 {
        let word = self.load(OWNERS + side as usize);
        if word & GONE != 0 { 0 } else { (word & PID) as u32 }
    }

    /// Whether the last one to use a side has left it by itself.
    pub(super) fn is_left(self, side: Side) -> bool {
        self.load(OWNERS + side as usize) & GONE != 0
    }

    pub(super) fn is_closed(self) -> bool {
        self.load(GATES) & CLOSED != 0
    }

    /// The word at which the other side sleeps: its half that is a futex.
    pub(super) fn futex(self, side: Side) -> *mut u32 {
        self.words[GATES + side as usize].as_ptr().cast()
    }

    /// All, but with `names` for processes: the same in each trial.
    pub(super) fn summary(self, names: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut words: Vec<u64> = (0..self.words.len()).map(|at| self.load(at)).collect();
        for side in [Side::Producer, Side::Consumer] {
            let word = &mut words[OWNERS + side as usize];
            *word = (*word & GONE) | names((*word & PID) as u32);
        }
        words
    }
}

impl std::fmt::Display for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for side in [Side::Producer, Side::Consumer] {
            let gate = self.load(GATES + side as usize);
            let (waits, closed) = (gate & WAITED_FOR != 0, gate & CLOSED != 0);
            let (position, owner, busy) = (self.position(side), self.owner(side), self.is_busy(side));
            write!(
                f,
                "{side:?} {owner} at {position:#x}, busy {busy}, waited for {waits}, closed {closed}; "
            )?;
        }
        write!(f, "end {:#x}", self.load(END))
    }
}
