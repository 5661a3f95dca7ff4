//! The state word of one side of a queue: 64 bits, changed only as a whole.
//!
//! One half is the kernel's futex word; which one follows from where libc's robust list looks for it.
//!
//! | part | bits | meaning | changed by |
//! |---|---|---|---|
//! | thread id | 0-29 of the futex half | who holds the side; 0: nobody | taker; holder; the kernel at the holder's death |
//! | `OWNER_DIED` | 30 | a holder died since the last taker | the kernel, or who finds the holder gone; cleared by the taker |
//! | `WAITERS` | 31 | a release must look whom to wake | who announces itself; set or cleared by the taker, cleared by a release |
//! | announced | 0-11 of our half | how many of this side have announced that they wait for it; a killed one stays counted | who announces or withdraws itself, taker |
//! | epoch | 12-17 | which count that is: a heal starts a new one | a releaser that heals |
//! | number | 18-27 | which wait of the other side's leader `EVENT` stands for; 0 without `EVENT` | who sets and clears that |
//! | `EVENT` | 28 | the other side's leader may sleep until this side has done something | that leader; who has woken it |
//! | `ARMED` | 29 | somebody polls for messages (producers' side) | who found the queue empty; a producer that has told them |
//! | `ASLEEP` | 30 | the holder only waits for the other side: the side may be taken from it | the holder; who takes the side |
//! | `CLOSED` | 31 | for ever: no more messages (producers' side) | who closes the queue |
//!
//! All zero is free, nobody waiting. At rest all but the epoch is zero again, which the short paths compare with.
//!
//! - **announce** `{w, n} -> {w + WAITERS, n + 1}`, then sleep on the futex half.
//! - **take** `{nobody, n} -> {me + WAITERS if others are announced or EVENT, n - 1 if I was}`; likewise from a
//!   holder that is `ASLEEP`.
//! - **release** `{me + w, n} -> {nobody, n}`, then wake whom there is.
//! - **await the other side** `{w} -> {w + EVENT, number}` in the other side's word, `+ WAITERS` if that is held, so that its release
//!   takes the long path.

use crate::sync::state::FUTEX_SHIFT;

/// Where our half stands.
const OWN_SHIFT: u32 = 32 - FUTEX_SHIFT;

const FUTEX_HALF: u64 = 0xffff_ffff << FUTEX_SHIFT;
const TID: u64 = 0x3fff_ffff << FUTEX_SHIFT;
const OWNER_DIED: u64 = 1 << (30 + FUTEX_SHIFT);
const WAITERS: u64 = 1 << (31 + FUTEX_SHIFT);
const ONE_ANNOUNCED: u64 = 1 << OWN_SHIFT;
const ANNOUNCED: u64 = 0xfff << OWN_SHIFT;
const ONE_EPOCH: u64 = 1 << (12 + OWN_SHIFT);
const EPOCH: u64 = 0x3f << (12 + OWN_SHIFT);
const NUMBER_SHIFT: u32 = 18 + OWN_SHIFT;
const NUMBER: u64 = 0x3ff << NUMBER_SHIFT;
const EVENT: u64 = 1 << (28 + OWN_SHIFT);
const ARMED: u64 = 1 << (29 + OWN_SHIFT);
const ASLEEP: u64 = 1 << (30 + OWN_SHIFT);
const CLOSED: u64 = 1 << (31 + OWN_SHIFT);

/// A value of the state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

/// A count that a waiter is part of: valid while the side is in the same epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced(u64);

/// Which wait `EVENT` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u64);

impl Number {
    /// The number of the `count`th wait.
    pub(super) fn of(count: u32) -> Self {
        Self((u64::from(count) << NUMBER_SHIFT) & NUMBER)
    }
}

impl State {
    /// What a thread adds to a state that it takes.
    #[inline(always)]
    pub(super) fn held_by(tid: u32) -> u64 {
        (u64::from(tid) << FUTEX_SHIFT) & TID
    }

    /// Free and nobody waiting, in the epoch that stands in `hint`, whatever else does.
    #[inline(always)]
    pub(super) fn at_rest(hint: u64) -> Self {
        Self(hint & EPOCH)
    }

    /// The hint that [`State::at_rest`] takes.
    pub(super) fn rest_hint(self) -> u64 {
        self.0 & EPOCH
    }

    pub(super) fn owner(self) -> u64 {
        self.0 & TID
    }

    pub(super) fn owner_tid(self) -> u32 {
        (self.owner() >> FUTEX_SHIFT) as u32
    }

    pub(super) fn is_free(self) -> bool {
        self.0 & TID == 0
    }

    pub(super) fn owner_died(self) -> bool {
        self.0 & OWNER_DIED != 0
    }

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn is_asleep(self) -> bool {
        self.0 & ASLEEP != 0
    }

    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(super) fn is_armed(self) -> bool {
        self.0 & ARMED != 0
    }

    /// What the kernel compares a sleeper's expectation with.
    pub(super) fn futex_word(self) -> u32 {
        (self.0 >> FUTEX_SHIFT) as u32
    }

    /// Whether anybody of this side is counted as waiting.
    pub(super) fn has_announced(self) -> bool {
        self.0 & ANNOUNCED != 0
    }

    /// How many of this side are counted as waiting.
    #[cfg(feature = "std")]
    pub(super) fn announced(self) -> u32 {
        ((self.0 & ANNOUNCED) >> OWN_SHIFT) as u32
    }

    /// The wait of the other side's leader.
    pub(super) fn event(self) -> Option<Number> {
        (self.0 & EVENT != 0).then_some(Number(self.0 & NUMBER))
    }

    /// Whether a waiter's announcement is part of the present count.
    fn counts(self, announced: Option<Announced>) -> bool {
        announced == Some(Announced(self.0 & EPOCH)) && self.has_announced()
    }

    /// Less one that was announced. A full count may stand for more than it says: it stays until a heal.
    pub(super) fn without(self, announced: Option<Announced>) -> Self {
        let counted = self.counts(announced) && self.0 & ANNOUNCED != ANNOUNCED;
        if counted { Self(self.0 - ONE_ANNOUNCED) } else { self }
    }

    /// Free, or held by one that is asleep, becomes held by the thread whose [`State::held_by`] is `held`.
    pub(super) fn taken(self, held: u64, announced: Option<Announced>) -> Self {
        let rest = self.without(announced);
        // A dead holder may have been about to wake somebody.
        let is_awaited = rest.owner_died() || rest.has_announced() || rest.event().is_some();
        let waiters = if is_awaited { WAITERS } else { 0 };
        Self(rest.0 & !(FUTEX_HALF | ASLEEP) | held | waiters)
    }

    /// Whether a waiter must change the state before it may sleep.
    pub(super) fn needs_announcement(self, announced: Option<Announced>) -> bool {
        !self.has_waiters() || !self.counts(announced)
    }

    /// One more waits. A full count stays full: whoever finds it so is not counted, and is woken late at worst.
    pub(super) fn with_announcement(self, announced: Option<Announced>) -> (Self, Announced) {
        let full = self.0 & ANNOUNCED == ANNOUNCED;
        let more = if full || self.counts(announced) { 0 } else { ONE_ANNOUNCED };
        (Self((self.0 + more) | WAITERS), Announced(self.0 & EPOCH))
    }

    /// Held becomes free: the kernel's half is 0, and the next taker sets `WAITERS` anew. (Kernels from 5.5 to 6.1
    /// hand on a dead waiter's wake-up only if that half is 0.)
    pub(super) fn released(self) -> Self {
        Self(self.0 & !(FUTEX_HALF | ASLEEP))
    }

    /// Still held, but the count starts again at nought in a new epoch.
    pub(super) fn healed(self) -> Self {
        let epoch = self.0.wrapping_add(ONE_EPOCH) & EPOCH;
        Self(self.0 & !(EPOCH | ANNOUNCED) | epoch | WAITERS)
    }

    /// What the kernel does at a holder's death, for one that vanished without its knowing.
    pub(super) fn bereaved(self) -> Self {
        Self(self.0 & !TID | OWNER_DIED)
    }

    pub(super) fn asleep(self) -> Self {
        Self(self.0 | ASLEEP)
    }

    pub(super) fn awake(self) -> Self {
        Self(self.0 & !ASLEEP)
    }

    /// The other side's leader is about to sleep until this side has done something.
    pub(super) fn with_event(self, number: Number) -> Self {
        let waiters = if self.is_free() { 0 } else { WAITERS };
        Self(self.0 & !NUMBER | EVENT | number.0 | waiters)
    }

    pub(super) fn without_event(self) -> Self {
        Self(self.0 & !(EVENT | NUMBER))
    }

    pub(super) fn armed(self) -> Self {
        Self(self.0 | ARMED)
    }

    pub(super) fn disarmed(self) -> Self {
        Self(self.0 & !ARMED)
    }

    /// A holder's release then takes the long path.
    pub(super) fn closed(self) -> Self {
        Self(self.0 | CLOSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 77;

    fn held() -> State {
        State(State::held_by(ME))
    }

    #[test]
    fn an_uncontended_round_trip_ends_where_it_began() {
        let rest = State::at_rest(u64::MAX);
        let taken = rest.taken(State::held_by(ME), None);
        assert!(taken.0 == rest.0 | State::held_by(ME), "as the short path takes it");
        assert!(taken.released() == rest && State::at_rest(rest.rest_hint()) == rest);
        assert_eq!(held().owner_tid(), ME);
    }

    #[test]
    fn whoever_is_announced_or_awaits_the_side_makes_its_next_release_long() {
        let (waited, me) = held().with_announcement(None);
        assert!(waited.has_waiters() && !waited.released().has_waiters());
        assert!(waited.released().taken(State::held_by(5), None).has_waiters());
        assert!(!waited.released().taken(State::held_by(5), Some(me)).has_waiters());
        let awaited = State(0).with_event(Number::of(3));
        assert!(!awaited.has_waiters() && awaited.taken(State::held_by(5), None).has_waiters());
        assert!(held().with_event(Number::of(3)).has_waiters());
    }

    #[test]
    fn an_event_is_told_from_the_next_one_and_leaves_nothing() {
        let state = held().with_event(Number::of(1025));
        assert!(state.event() == Some(Number::of(1)) && state.event() != Some(Number::of(2)));
        assert!(state.without_event().released() == State(0));
        assert!(state.with_event(Number::of(2)).event() == Some(Number::of(2)));
    }

    #[test]
    fn a_sleeping_holder_can_be_relieved_and_a_dead_one_is_inherited_from() {
        let relieved = held().asleep().taken(State::held_by(5), None);
        assert!(relieved.owner_tid() == 5 && !relieved.is_asleep());
        let bereaved = held().asleep().bereaved();
        assert!(bereaved.is_free() && bereaved.owner_died());
        let taken = bereaved.taken(State::held_by(5), None);
        assert!(!taken.owner_died() && !taken.is_asleep() && taken.has_waiters());
    }

    #[test]
    fn a_heal_makes_old_announcements_void_and_touches_nothing_else() {
        let (waited, me) = held().with_event(Number::of(1)).closed().with_announcement(None);
        let healed = waited.healed();
        assert!(healed.needs_announcement(Some(me)) && !healed.has_announced());
        assert!(healed.is_closed() && healed.event().is_some() && healed.owner_tid() == ME);
        assert!(State(EPOCH | held().0).healed().0 == held().0 | WAITERS, "epochs wrap");
    }

    #[test]
    fn a_full_count_does_not_spill() {
        let full = State(held().0 | ANNOUNCED | WAITERS);
        let (more, announced) = full.with_announcement(None);
        assert!(more == full && full.without(Some(announced)) == full);
    }
}
