//! Where a side is, and what a slot says.
//!
//! A slot begins with one word, whose store is the commit point of put and of get:
//!
//! | part | bits | meaning |
//! |---|---|---|
//! | sequence | 0-31 | `2 * lap`: free in that lap; `2 * lap + 1`: published; `2 * lap + 2`: consumed, which is free in the next lap |
//! | length | 32-63 | bytes of the message, where one is published |
//!
//! Only who holds the producers' side makes free published, only who holds the consumers' side makes published consumed. A side's position
//! is written after the slot, so that it lags by one if its holder was killed in between: the next holder sees a slot that is ahead, and
//! skips it. Laps wrap after 2^32, sequences after 2^31 laps; they are compared by wrapping difference, and
//! positions and slots are never more than a lap apart.

/// Lap in the high half, index of the slot in the low one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Position(pub(super) u64);

impl Position {
    pub(super) const fn new(lap: u32, index: u32) -> Self {
        Self((lap as u64) << 32 | index as u64)
    }

    #[inline(always)]
    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(super) fn lap(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Messages that a side has let pass when it is here, modulo 2^63: after 2^63 laps it begins again at 0, whatever
    /// the capacity. `high` says how often the lap has passed 2^31, or one less where a death came between: its lowest bit is that
    /// of the lap, or it lags.
    pub(super) fn count(self, high: u32, capacity: u32) -> u64 {
        let laps = u64::from(settled(high, self.lap())) << 31 | u64::from(self.lap() & LOW_LAPS);
        laps.wrapping_mul(capacity.into()).wrapping_add(self.index().into()) & COUNTED
    }
}

const LOW_LAPS: u32 = (1 << 31) - 1;
/// What remains of a count: 63 bits.
const COUNTED: u64 = u64::MAX >> 1;

/// From one count to a later one.
pub(super) fn counted_since(earlier: u64, count: u64) -> u64 {
    count.wrapping_sub(earlier) & COUNTED
}

/// What `high` is or should be.
pub(super) fn settled(high: u32, lap: u32) -> u32 {
    if high & 1 == lap >> 31 { high } else { high.wrapping_add(1) }
}

/// Whether a lap is the first after one of those numbers that `high` counts.
pub(super) fn begins_high(lap: u32) -> bool {
    lap & LOW_LAPS == 0
}

/// The first word of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

/// What a slot is for a side that has it next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Free for a producer, published for a consumer.
    Ready,
    /// The other side has not been there yet.
    Waiting,
    /// This side has been there, and its position lags.
    Passed,
    /// Nothing that forq writes.
    Broken,
}

impl Word {
    pub(super) fn new(sequence: u32, length: u32) -> Self {
        Self(u64::from(length) << 32 | u64::from(sequence))
    }

    #[inline(always)]
    pub(super) fn sequence(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What it is for the side whose ready sequence is `2 * lap + ready`.
    #[inline(always)]
    pub(super) fn stage(self, lap: u32, ready: u32) -> Stage {
        match self.sequence().wrapping_sub(ready_sequence(lap, ready)) {
            0 => Stage::Ready,
            u32::MAX => Stage::Waiting,
            1 | 2 => Stage::Passed,
            _ => Stage::Broken,
        }
    }
}

#[inline(always)]
pub(super) fn ready_sequence(lap: u32, ready: u32) -> u32 {
    lap.wrapping_mul(2).wrapping_add(ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_goes_through_its_stages_in_every_lap() {
        for lap in [0, 5, (1 << 31) - 1, 1 << 31, u32::MAX] {
            let free = Word::new(lap.wrapping_mul(2), 0);
            assert!(free.stage(lap, 0) == Stage::Ready && free.stage(lap, 1) == Stage::Waiting);
            let published = Word::new(free.sequence().wrapping_add(1), 9);
            assert!(published.stage(lap, 0) == Stage::Passed && published.stage(lap, 1) == Stage::Ready);
            assert!(published.stage(lap.wrapping_add(1), 0) == Stage::Waiting && published.length() == 9);
            let consumed = Word::new(published.sequence().wrapping_add(1), 0);
            assert!(consumed.stage(lap, 0) == Stage::Passed && consumed.stage(lap, 1) == Stage::Passed);
            assert!(consumed.stage(lap.wrapping_add(1), 0) == Stage::Ready);
            assert!(Word::new(free.sequence().wrapping_add(1000), 0).stage(lap, 0) == Stage::Broken);
        }
    }

    #[test]
    fn counts_go_on_where_laps_wrap_even_if_the_high_part_lags() {
        let before = Position::new(u32::MAX, 2).count(1, 3);
        for high in [1, 2] {
            assert_eq!(Position::new(0, 0).count(high, 3), before.wrapping_add(1));
        }
        let before = Position::new(LOW_LAPS, 0).count(4, 1);
        for high in [4, 5] {
            assert_eq!(Position::new(1 << 31, 0).count(high, 1), before.wrapping_add(1));
        }
        for capacity in [1, 2, 3, 1000] {
            let last = Position::new(u32::MAX, capacity - 1).count(u32::MAX, capacity);
            for high in [u32::MAX, 0] {
                assert_eq!(counted_since(last, Position::new(0, 0).count(high, capacity)), 1, "{capacity}");
            }
        }
        assert!(begins_high(0) && begins_high(1 << 31) && !begins_high(1));
    }
}
