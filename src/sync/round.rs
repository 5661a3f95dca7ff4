//! The state of a barrier: one round, and how the last ones ended.
//!
//! | part of the state | where | meaning | changed by |
//! |---|---|---|---|
//! | generation | bits 0-30 of the futex half | how many rounds have ended | whoever ends one |
//! | `BROKEN` | bit 31 of the futex half | nobody may wait until `reset` | a time-out, `abort`; cleared by `reset` |
//! | arrived | bits 0-14 of our half | how many have come in this generation | who comes; 0 when it ends |
//! | `SLEEPERS` | bit 15 of our half | somebody may sleep in this generation | who is about to sleep; cleared when it ends |
//! | outcomes | bits 16-31 of our half | how the last 16 generations ended, the latest in bit 16: 1 is in vain | whoever ends one |
//!
//! All zero is nobody arrived; but without parties nobody may wait.

use super::halves::Halves;

/// The bits of a generation.
pub(super) const GENERATION: u32 = (1 << 31) - 1;
const BROKEN: u32 = 1 << 31;
/// The bits of the number of those who have come; the most that there can be.
pub(super) const ARRIVED: u32 = (1 << 15) - 1;
const SLEEPERS: u32 = 1 << 15;
const OUTCOMES: u32 = 0xffff << 16;
const IN_VAIN: u32 = 1 << 16;
/// Generations whose outcome the state tells.
const REMEMBERED: u32 = 16;

/// A value of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    pub(super) fn futex_word(self) -> u32 {
        Halves::of(self.0).futex
    }

    fn own(self) -> u32 {
        Halves::of(self.0).own
    }

    pub(super) fn generation(self) -> u32 {
        self.futex_word() & GENERATION
    }

    pub(super) fn is_broken(self) -> bool {
        self.futex_word() & BROKEN != 0
    }

    pub(super) fn arrived(self) -> u32 {
        self.own() & ARRIVED
    }

    pub(super) fn has_sleepers(self) -> bool {
        self.own() & SLEEPERS != 0
    }

    /// One more has come, and not all.
    pub(super) fn with_arrival(self) -> Self {
        Self(Halves { futex: self.futex_word(), own: self.own() + 1 }.value())
    }

    pub(super) fn with_sleepers(self) -> Self {
        Self(Halves { futex: self.futex_word(), own: self.own() | SLEEPERS }.value())
    }

    fn ended(self, outcome: u32, broken: u32) -> Self {
        let generation = self.generation().wrapping_add(1) & GENERATION;
        // The outcomes move up by one; what falls out was the oldest.
        let own = (self.own() & OUTCOMES) << 1 | outcome;
        Self(Halves { futex: generation | broken, own }.value())
    }

    /// All have come.
    pub(super) fn completed(self) -> Self {
        self.ended(0, 0)
    }

    /// It ends in vain, and nobody may wait until a reset.
    pub(super) fn broken(self) -> Self {
        self.ended(IN_VAIN, BROKEN)
    }

    /// It ends in vain, and the next generation begins.
    pub(super) fn reset(self) -> Self {
        self.ended(IN_VAIN, 0)
    }

    /// Generations that have ended since `generation` began; 0: it has not ended.
    pub(super) fn distance(self, generation: u32) -> u32 {
        self.generation().wrapping_sub(generation) & GENERATION
    }

    /// Whether the generation that ended so many generations ago, 1 is the last, did so in vain; `None`: too long ago.
    pub(super) fn was_in_vain(self, distance: u32) -> Option<bool> {
        (distance <= REMEMBERED).then(|| self.own() & IN_VAIN << (distance - 1) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_empties_the_barrier_and_is_remembered_sixteen_times() {
        let waited = State(0).with_arrival().with_arrival().with_sleepers();
        let mut state = waited.broken();
        assert!(state.is_broken() && state.arrived() == 0 && !state.has_sleepers());
        state = state.reset();
        assert!(!state.is_broken());
        for distance in 2..=REMEMBERED {
            assert_eq!(state.distance(0), distance);
            assert_eq!(state.was_in_vain(distance), Some(true));
            state = state.completed();
            assert_eq!(state.was_in_vain(1), Some(false));
        }
        assert_eq!(state.was_in_vain(state.distance(0)), None);
    }

    #[test]
    fn generations_wrap_and_leave_the_rest_alone() {
        let last = State(Halves { futex: GENERATION, own: 0 }.value()).with_arrival();
        let first = last.completed();
        assert_eq!(first.0, 0);
        assert_eq!(first.distance(GENERATION), 1);
        assert_eq!(State(0).with_sleepers().with_arrival().arrived(), 1);
    }
}
