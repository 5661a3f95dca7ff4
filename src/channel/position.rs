//! Where a side of the ring stands.

/// Which slot a side uses next, and in which lap around the ring.
///
/// | part | bits | meaning |
/// |---|---|---|
/// | index | 0-31 | of the slot; up to the capacity, which is the first slot of the next lap |
/// | lap | 32-63 | how often the side has been around; wraps |
///
/// A plain counter modulo the capacity would break where it wraps, unless the capacity is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(super) u64);

impl Position {
    /// None that a side can have: no ring has so many slots.
    pub(super) const NONE: Self = Self(u64::MAX);

    pub(super) const fn new(lap: u32, index: u32) -> Self {
        Self((lap as u64) << 32 | index as u64)
    }

    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    fn lap(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The one after it, in the same lap: its index must be below the capacity.
    #[inline(always)]
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The same, with an index below the capacity: the end of a lap is the beginning of the next one.
    pub(super) fn normal(self, capacity: u32) -> Self {
        if self.index() == capacity { Self::new(self.lap().wrapping_add(1), 0) } else { self }
    }

    /// By how many slots it is ahead of the other: 0 to the capacity. `None` if the two cannot be, in such a ring.
    pub(super) fn ahead_of(self, behind: Self, capacity: u32) -> Option<u32> {
        let (index, other) = (self.index(), behind.index());
        if index > capacity || other > capacity {
            return None;
        }
        // Both may stand at the end of a lap.
        let laps = match self.lap().wrapping_sub(behind.lap()) as i32 {
            laps @ -1..=2 => i64::from(laps),
            _ => return None,
        };
        let distance = laps * i64::from(capacity) + i64::from(index) - i64::from(other);
        u32::try_from(distance).ok().filter(|&distance| distance <= capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_exact_in_rings_of_any_size_also_where_laps_wrap() {
        for capacity in [1, 2, 3, 7, 1000, u32::MAX] {
            for lap in [0, 1, u32::MAX - 1, u32::MAX] {
                for index in [0, 1, capacity / 2, capacity - 1, capacity] {
                    let behind = Position::new(lap, index.min(capacity));
                    let mut ahead = behind;
                    for distance in 0..=capacity.min(3000) {
                        for behind in [behind, behind.normal(capacity)] {
                            assert_eq!(ahead.ahead_of(behind, capacity), Some(distance));
                            assert_eq!(ahead.normal(capacity).ahead_of(behind, capacity), Some(distance));
                        }
                        ahead = ahead.normal(capacity).next();
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_no_distance() {
        let capacity = 4;
        let at = Position::new;
        for (ahead, behind) in [
            (at(0, 1), at(0, 2)),
            (at(1, 2), at(0, 1)),
            (at(2, 0), at(0, 0)),
            (at(0, 0), at(1, 0)),
            (at(0, 0), at(0, 4)),
            (at(0, 5), at(0, 1)),
            (at(1, 0), at(0, 5)),
            (at(1 << 31, 0), at(0, 0)),
            (Position::NONE, at(u32::MAX, 0)),
            (at(0, 0), Position::NONE),
            (Position::NONE, Position::NONE),
        ] {
            assert_eq!(ahead.ahead_of(behind, capacity), None, "{ahead:?} {behind:?}");
        }
    }
}
