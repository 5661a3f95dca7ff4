//! What stands in a queue's memory, decoded by the tables in `src/queue`, not by the library's code.

use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a queue's head.
pub(super) const HEAD: usize = 384 / 8;
/// Words from slot to slot, of messages of three.
pub(super) const STRIDE: usize = 4;
const TASKS: usize = 64 / 8;
const FIRST: usize = 24 / 8;
const CLOSED: usize = 32 / 8;
const POSITION: usize = 1;
const HIGH: usize = 3;
const USELESS: usize = 72 / 8;
/// The low half of a state is the kernel's with glibc, the high one with musl.
const KERNELS: u32 = if cfg!(target_env = "musl") { 32 } else { 0 };
const OWN: u32 = 32 - KERNELS;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Producers = 128 / 8,
    Consumers = 256 / 8,
}

/// A queue's memory.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) words: &'a [AtomicU64],
    pub(super) capacity: usize,
}

impl Image<'_> {
    fn load(self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }

    fn store(self, at: usize, value: u64) {
        self.words[at].store(value, Ordering::Relaxed);
    }

    fn slot(self, index: usize) -> usize {
        HEAD + index * STRIDE
    }

    /// Messages that are published and not taken.
    pub(super) fn messages(self) -> usize {
        (0..self.capacity).filter(|&index| self.load(self.slot(index)) & 1 != 0).count()
    }

    /// Who holds a side; 0: nobody.
    pub(super) fn holder(self, side: Side) -> i32 {
        (self.load(side as usize) >> KERNELS & 0x3fff_ffff) as i32
    }

    /// A closer has come so far that all must learn of it.
    pub(super) fn is_told_closed(self) -> bool {
        self.load(CLOSED) & 1 != 0
    }

    /// No more puts.
    pub(super) fn is_closed(self) -> bool {
        self.load(Side::Producers as usize) >> (31 + OWN) & 1 != 0
    }

    /// How many have been marked done, modulo 2^63.
    pub(super) fn done(self) -> u64 {
        self.load(TASKS) >> 1
    }

    /// What the counts began with.
    pub(super) fn first(self) -> u64 {
        self.load(FIRST)
    }

    /// Whether the slot at which a side stands was passed already: its holder died in between.
    pub(super) fn lags(self, side: Side) -> bool {
        let position = self.load(side as usize + POSITION);
        let ready =
            ((position >> 32) as u32).wrapping_mul(2).wrapping_add(u32::from(side == Side::Consumers));
        let sequence = self.load(self.slot(position as u32 as usize)) as u32;
        matches!(sequence.wrapping_sub(ready), 1 | 2)
    }

    /// As a queue that has come so far: its lap is `2^31 * high + lap`. Before anybody uses it.
    pub(super) fn begin_at(self, lap: u32, high: u32) {
        let laps = u64::from(high) << 31 | u64::from(lap & 0x7fff_ffff);
        let count = laps.wrapping_mul(self.capacity as u64);
        for side in [Side::Producers, Side::Consumers] {
            self.store(side as usize + POSITION, u64::from(lap) << 32);
            self.store(side as usize + HIGH, u64::from(high));
        }
        self.store(FIRST, count);
        self.store(TASKS, count << 1);
        for index in 0..self.capacity {
            self.store(self.slot(index), u64::from(lap.wrapping_mul(2)));
        }
    }

    /// As after a holder's death that nobody has noticed.
    pub(super) fn bereave(self, side: Side) {
        self.store(side as usize, 1 << (30 + KERNELS));
    }

    /// As if the last to use a side had died before its position moved on; not at the end of a lap.
    pub(super) fn step_back(self, side: Side) {
        self.store(side as usize + POSITION, self.load(side as usize + POSITION) - 1);
    }

    /// As if one that waited for a side had died, and many releases had woken nobody.
    pub(super) fn count_dead(self, side: Side) {
        self.store(side as usize, 1 << OWN);
        self.store(side as usize + USELESS, self.load(side as usize + USELESS) & !0xffff_ffff | 40);
    }

    /// The epoch of a side: another one after a heal.
    pub(super) fn epoch(self, side: Side) -> u64 {
        self.load(side as usize) >> (12 + OWN) & 0x3f
    }
}

impl std::fmt::Display for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, side) in [("producers", Side::Producers), ("consumers", Side::Consumers)] {
            let (state, position) = (self.load(side as usize), self.load(side as usize + POSITION));
            let (own, kernels) = ((state >> OWN) as u32, (state >> KERNELS) as u32);
            write!(f, "{name} {own:#010x}:{kernels:#010x} at {:#x}, ", position)?;
        }
        let sequences: Vec<u32> =
            (0..self.capacity).map(|index| self.load(self.slot(index)) as u32).collect();
        write!(f, "closed {}, slots {sequences:?}", self.load(CLOSED) & 1)
    }
}
