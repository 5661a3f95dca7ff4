//! Wake calls for nobody: how a lock learns that some of those it counts as waiters are dead.

/// How many in a row woke nobody, and when the first of them was.
///
/// | part | bits | meaning |
/// |---|---|---|
/// | count | 0-5 | 0: none; saturates |
/// | since | 6-31 | the first one's time, in milliseconds of the monotonic clock, modulo 2^26 (19 hours) |
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Useless(pub(crate) u32);

const COUNT: u32 = 63;
const SINCE_SHIFT: u32 = 6;
/// So many may come from one living waiter that has been woken and is on its way.
const MANY: u32 = 32;
/// Milliseconds: whoever was woken is there by then, unless its CPU is taken for so long.
const OLD: u32 = if cfg!(forq_long_sleeps) { 0 } else { 100 };

fn millis(now: u64) -> u32 {
    // The crash points want every run to be the same.
    let now = if cfg!(forq_long_sleeps) { 0 } else { now };
    (now / 1_000_000) as u32 & (u32::MAX >> SINCE_SHIFT)
}

impl Useless {
    pub(crate) const NONE: Self = Self(0);

    /// One more, at a time in nanoseconds.
    pub(crate) fn one_more(self, now: u64) -> Self {
        match self.0 & COUNT {
            0 => Self(millis(now) << SINCE_SHIFT | 1),
            COUNT => self,
            _ => Self(self.0 + 1),
        }
    }

    pub(crate) fn are_many(self) -> bool {
        self.0 & COUNT >= MANY
    }

    /// Whether the first one is long ago.
    pub(crate) fn are_old(self, now: u64) -> bool {
        millis(now).wrapping_sub(self.0 >> SINCE_SHIFT) & (u32::MAX >> SINCE_SHIFT) >= OLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn many_in_a_short_time_are_a_waiter_on_its_way() {
        let mut useless = Useless::NONE;
        assert!(!useless.are_many());
        for _ in 0..100 {
            useless = useless.one_more(5 * MILLI);
        }
        assert!(useless.are_many() && useless.are_old((5 + u64::from(OLD)) * MILLI));
        assert!(OLD == 0 || !useless.are_old((4 + u64::from(OLD)) * MILLI));
    }

    #[test]
    fn the_time_may_wrap() {
        let wrap = (1 << 26) * MILLI;
        let useless = Useless::NONE.one_more(wrap - MILLI);
        let old = wrap + u64::from(OLD) * MILLI;
        assert!(useless.are_old(old - MILLI) && (OLD == 0 || !useless.are_old(old - 2 * MILLI)));
    }
}
