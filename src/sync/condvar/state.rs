//! The state word of a condition variable: 64 bits, changed only as a whole.
//!
//! Two generations of waiters are counted: those of now, and those of before the last notify that reached
//! past its own. Who may return in any case is not counted here.
//!
//! | part | bits | meaning | changed by |
//! |---|---|---|---|
//! | credits | 0-13 | so many of `old` may return | notify adds; who returns takes one |
//! | generation | 14-35 | which one arrives now | notify that reaches past `old` |
//! | old | 36-49 | waiters of the generation before | notify; who returns or gives up takes itself away; the killed stay |
//! | young | 50-63 | waiters of this generation | who arrives; who gives up; the killed stay |
//!
//! All zero is nobody waiting. The low half is the futex word: whatever lets a waiter return changes it.
//!
//! - **arrive** `young + 1`; the waiter remembers the generation.
//! - **notify n**, of `old - credits + young` that wait. All of them: `{generation + 1, 0, 0, 0}`. No more
//!   than `old - credits`: `credits + n`. Otherwise all of `old` are granted, and the rest goes to `young`:
//!   `{generation + 1, old = young, credits = n - (old - credits), young = 0}`.
//! - **granted** is a waiter whose generation is two or more back, or one back with credits, or one
//!   back with nobody left in `old` (all were granted). Late-comers are of this generation: no credit is theirs.
//! - **claim** one back: `credits - 1`, `old - 1`. Others are no longer counted.
//! - **withdraw** `old - 1` or `young - 1`, whichever it is counted in.
//! - **inherit** what was granted to *elders*, waiters of the generation before one's own, is the dead's if they neither
//!   claim it nor have left (see [`exits`](super::exits)): all who wait may return, as by a notify of all.
//!   (Some return for no reason then; but one who came after the notify takes nobody's place.)

const CREDITS_SHIFT: u32 = 0;
const GENERATION_SHIFT: u32 = 14;
const OLD_SHIFT: u32 = 36;
const YOUNG_SHIFT: u32 = 50;
/// The most that a count can say.
pub(super) const MOST: u64 = 0x3fff;
const GENERATIONS: u64 = 0x3f_ffff;

/// Where the futex word stands in memory, in bytes.
pub(super) const FUTEX_BYTE: usize = if cfg!(target_endian = "big") { 4 } else { 0 };

/// A value of the state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

/// When a waiter arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// What a notify makes of the state, and whom it must wake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) state: State,
    /// So many sleepers to wake, in these groups.
    pub(super) wakes: [(i32, u32); 2],
}

impl Generation {
    /// The bit that its sleepers sleep under; others 32 back have the same.
    pub(super) fn bit(self) -> u32 {
        1 << (self.0 % 32)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    fn next(self) -> Self {
        Self((self.0 + 1) & GENERATIONS)
    }

    /// Its elders.
    pub(super) fn before(self) -> Self {
        Self(self.0.wrapping_sub(1) & GENERATIONS)
    }
}

/// What a waiter found of its elders when it arrived: all that it can know of them but who has left since.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Elders {
    /// Of them, the killed included, and how many were granted a return already.
    pub(super) count: u64,
    granted: u64,
}

impl State {
    fn of(generation: Generation, old: u64, credits: u64, young: u64) -> Self {
        Self(
            credits << CREDITS_SHIFT
                | generation.0 << GENERATION_SHIFT
                | old << OLD_SHIFT
                | young << YOUNG_SHIFT,
        )
    }

    pub(super) fn credits(self) -> u64 {
        self.0 >> CREDITS_SHIFT & MOST
    }

    pub(super) fn generation(self) -> Generation {
        Generation(self.0 >> GENERATION_SHIFT & GENERATIONS)
    }

    fn old(self) -> u64 {
        self.0 >> OLD_SHIFT & MOST
    }

    fn young(self) -> u64 {
        self.0 >> YOUNG_SHIFT & MOST
    }

    /// Of `old`, those who were not granted. Never more credits than waiters, whatever bytes are found here.
    fn left_out(self) -> u64 {
        self.old().saturating_sub(self.credits())
    }

    /// What the kernel compares a sleeper's expectation with.
    pub(super) fn futex_word(self) -> u32 {
        self.0 as u32
    }

    /// How many wait and are not granted; the killed stay counted.
    pub(super) fn waiting(self) -> u64 {
        self.left_out() + self.young()
    }

    /// How many generations ago.
    fn distance(self, generation: Generation) -> u64 {
        self.generation().0.wrapping_sub(generation.0) & GENERATIONS
    }

    /// One more waits; `None` if no more can be counted.
    pub(super) fn with_arrival(self) -> Option<(Self, Generation)> {
        (self.young() < MOST).then(|| (Self(self.0 + (1 << YOUNG_SHIFT)), self.generation()))
    }

    pub(super) fn is_granted(self, generation: Generation) -> bool {
        match self.distance(generation) {
            0 => false,
            1 => self.credits() > 0 || self.old() == 0,
            _ => true,
        }
    }

    /// A granted one returns with one of the credits; `None` if its generation was granted as a whole.
    pub(super) fn claimed(self, generation: Generation) -> Option<Self> {
        let by_credit = self.distance(generation) == 1 && self.old() > 0;
        by_credit.then(|| {
            Self::of(self.generation(), self.old() - 1, self.credits().saturating_sub(1), self.young())
        })
    }

    /// What one that arrives now finds.
    pub(super) fn elders(self) -> Elders {
        Elders { count: self.old(), granted: self.credits() }
    }

    /// One that was not granted gives up.
    pub(super) fn withdrawn(self, generation: Generation) -> Self {
        let (old, young) = match self.distance(generation) {
            0 => (self.old(), self.young().saturating_sub(1)),
            1 => (self.old().saturating_sub(1), self.young()),
            _ => return self,
        };
        Self::of(self.generation(), old, self.credits().min(old), young)
    }

    /// Grants the return to `n` of those who wait, first those of `old`; `None` if nobody waits.
    pub(super) fn notified(self, n: u64) -> Option<Grant> {
        let n = n.min(self.waiting());
        if n == 0 {
            return None;
        }
        let (now, next) = (self.generation(), self.generation().next());
        if n == self.waiting() {
            // Everybody: nothing is left to be counted, the dead included.
            let wakes = [(i32::MAX, !next.bit()), (0, 0)];
            return Some(Grant { state: Self::of(next, 0, 0, 0), wakes });
        }
        if n <= self.left_out() {
            return Some(Grant {
                state: Self::of(now, self.old(), self.credits() + n, self.young()),
                wakes: [(n as i32, now.before().bit()), (0, 0)],
            });
        }
        let credits = n - self.left_out();
        let everybody_before = if self.old() > 0 { i32::MAX } else { 0 };
        Some(Grant {
            state: Self::of(next, self.young(), credits, 0),
            wakes: [(everybody_before, !(now.bit() | next.bit())), (credits as i32, now.bit())],
        })
    }

    /// All but who arrives: as long as it stays the same nobody was granted anything, nor returned with a credit.
    pub(super) fn without_young(self) -> Self {
        Self(self.0 & !(MOST << YOUNG_SHIFT))
    }

    /// Whether a notify may go, or have gone, to elders of a waiter of this generation, who may be dead.
    pub(super) fn has_elders(self, generation: Generation, elders: Elders, left: u64) -> bool {
        match self.distance(generation) {
            0 => self.old() > 0,
            1 => elders.count > left,
            _ => false,
        }
    }

    /// Whether something was granted to the elders since a waiter of this generation arrived that they do not take,
    /// `left` of them having left since then. It is the dead's if that does not change.
    pub(super) fn is_unclaimed(self, generation: Generation, elders: Elders, left: u64) -> bool {
        match self.distance(generation) {
            // Each credit of then is still there, or has left with one who claimed it.
            0 => self.credits() > 0 && self.credits() + left > elders.granted,
            // All of them were granted.
            1 => elders.count > left,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: State = State(0);

    fn arrived(state: State, count: usize) -> (State, Generation) {
        let (mut state, generation) = (state, state.generation());
        for _ in 0..count {
            state = state.with_arrival().unwrap().0;
        }
        (state, generation)
    }

    fn notified(state: State, n: u64) -> State {
        state.notified(n).unwrap().state
    }

    #[test]
    fn a_notify_of_all_leaves_nothing_counted() {
        let (three, generation) = arrived(NOBODY, 3);
        let all = notified(three, 3);
        assert!(all.is_granted(generation) && all.waiting() == 0 && all.claimed(generation).is_none());
        assert!(all.notified(1).is_none() && NOBODY.notified(u64::MAX).is_none());
    }

    #[test]
    fn late_comers_do_not_get_what_was_granted_before() {
        let (two, early) = arrived(NOBODY, 2);
        let (state, late) = arrived(notified(two, 1), 1);
        assert!(state.is_granted(early) && !state.is_granted(late));
        let state = state.claimed(early).unwrap();
        assert!(!state.is_granted(early) && !state.is_granted(late));
        assert_eq!(state.waiting(), 2);
        let state = notified(state, 1);
        assert!(state.is_granted(early) && !state.is_granted(late), "the elder one first");
        let state = notified(state, 1);
        assert!(state.is_granted(early) && state.is_granted(late));
    }

    #[test]
    fn whoever_gives_up_takes_no_credit_along() {
        let (three, early) = arrived(NOBODY, 3);
        let state = notified(three, 1).withdrawn(early);
        assert!(state.is_granted(early) && state.waiting() == 1);
        let (state, late) = arrived(state, 1);
        assert!(state.withdrawn(late).waiting() == 1 && state.withdrawn(early).credits() == 1);
        assert!(NOBODY.withdrawn(late) == NOBODY);
    }

    #[test]
    fn what_the_dead_were_granted_is_unclaimed_for_those_who_came_before_that() {
        // Two die; one of them was granted before the others came, which is none of their business.
        let (dead, _) = arrived(NOBODY, 2);
        let before = notified(dead, 1);
        let (state, living) = arrived(before, 2);
        let elders = before.elders();
        assert!(!state.is_granted(living) && state.has_elders(living, elders, 0));
        assert!(!state.is_unclaimed(living, elders, 0));
        // The other is granted now.
        assert!(notified(state, 1).is_unclaimed(living, elders, 0));
        // One lives and claims: then only one credit of the two is the dead's.
        let claimed = notified(state, 1).claimed(living.before()).unwrap();
        assert!(claimed.is_unclaimed(living, elders, 1));
        // All of them are granted, and in part those of now.
        let state = notified(state, 2);
        assert!(state.is_granted(living));
        let state = state.claimed(living).unwrap();
        assert!(!state.is_granted(living) && state.has_elders(living, elders, 1));
        assert!(state.is_unclaimed(living, elders, 1), "one has left, the other is dead");
        assert!(!state.is_unclaimed(living, elders, 2), "both have left");
    }

    #[test]
    fn who_came_when_nobody_waited_has_no_elders_whoever_is_dead() {
        let (dead, _) = arrived(NOBODY, 3);
        let gone = notified(dead, 3);
        let (two, living) = arrived(gone, 2);
        let state = notified(two, 1);
        assert!(!two.has_elders(living, gone.elders(), 0) && !state.has_elders(living, gone.elders(), 0));
        let state = state.claimed(living).unwrap();
        assert!(!state.is_granted(living) && !state.is_unclaimed(living, gone.elders(), 0));
    }

    #[test]
    fn every_sleeper_that_is_granted_is_woken_and_no_other() {
        let (state, first) = arrived(NOBODY, 2);
        assert!(state.notified(1).unwrap().wakes == [(0, !(first.bit() | 2)), (1, first.bit())]);
        let (state, second) = arrived(notified(state, 1), 3);
        assert!(state.notified(1).unwrap().wakes[0] == (1, first.bit()));
        let wakes = state.notified(2).unwrap().wakes;
        assert!(wakes[0].0 == i32::MAX && wakes[0].1 & (first.bit() | second.bit()) == first.bit());
        assert!(wakes[1] == (1, second.bit()));
        let all = state.notified(4).unwrap().wakes;
        assert!(all[0].0 == i32::MAX && all[0].1 & 0b111 == first.bit() | second.bit());
    }

    #[test]
    fn a_full_count_is_refused_and_touches_no_neighbour() {
        let (full, generation) = arrived(State::of(Generation(GENERATIONS), 0, 0, 0), MOST as usize);
        assert!(full.with_arrival().is_none() && full.waiting() == MOST);
        assert!(generation == Generation(GENERATIONS));
        let one = notified(full, 1);
        assert!(one == State::of(Generation(0), MOST, 1, 0), "the generation wraps within its bits");
        assert!(one.is_granted(generation));
    }

    #[test]
    fn any_bytes_are_a_state() {
        let mut bits = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let state = State(bits ^ bits >> 29);
            let generation = Generation((bits >> 3) & GENERATIONS);
            for generation in [generation, state.generation()] {
                let _ =
                    (state.claimed(generation), state.withdrawn(generation), state.is_granted(generation));
                let _ = (state.with_arrival(), state.is_unclaimed(generation, state.elders(), bits >> 40));
                let _ = (state.has_elders(generation, state.elders(), bits >> 40), generation.before());
            }
            for n in [1, bits >> 60, MOST, u64::MAX] {
                let left = state.notified(n).map_or(state.waiting(), |grant| grant.state.waiting());
                assert!(left <= state.waiting());
            }
        }
    }
}
