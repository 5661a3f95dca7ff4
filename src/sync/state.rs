//! The state word of a mutex: 64 bits, changed only as a whole.
//!
//! One half is the kernel's futex word; the other half is ours. Which half is the kernel's follows
//! from where the C library's robust list looks for it: bytes 0-3 under glibc, 4-7 under musl.
//!
//! | part | bits | meaning | changed by |
//! |---|---|---|---|
//! | thread id | 0-29 of the futex half | who holds it; 0: nobody | taker; holder; the kernel at the holder's death |
//! | `OWNER_DIED` | 30 | a holder died since the last taker | set by the kernel, or by who finds the holder gone; cleared by the taker |
//! | `WAITERS` | 31 | somebody is announced and may sleep: a release must wake | set by who announces itself or heals; set or cleared by taker and releaser |
//! | announced | 0-18 of our half | how many have announced that they wait; a killed one stays counted | who announces or withdraws itself, taker |
//! | `SPECIAL` | 19 | for ever: recursive, without owner, or not in shared memory: the short paths, which compare the whole state, leave it alone | who initialises it |
//! | epoch | 20-29 | which count this is: a heal starts a new one | releaser that heals |
//! | `INCONSISTENT` | 30 | what is guarded was left in the middle by a dead holder | set by the taker, cleared by `consistent` |
//! | ours | 31 | held by forq: tells our locks from pthread's in a robust list | taker, releaser |
//!
//! All zero is free, with nobody waiting. The thread id of a lock without owner is one that no thread has.
//!
//! - **announce** `{w, n} -> {w + WAITERS, n + 1}`, then sleep on the futex half.
//! - **take** `{nobody, n} -> {me + WAITERS if others are announced, n - 1 if I was}`; after a death
//!   WAITERS is set in any case, and all are woken.
//! - **release** `{me + w, n} -> {nobody, n}`, then wake one if WAITERS was set.
//! - **give up** a last try to take, then `{w, n} -> {w, n - 1}`, and if nobody holds it, wake one, in
//!   case a wake-up was meant for us.
//! - **heal** a killed waiter stays counted, and every release then makes a wake call for nobody.
//!   After some thirty of those in a row a releaser, still holding, starts a new count in a new epoch,
//!   `{me, n} -> {me + WAITERS, 0}`, and wakes all; whoever is alive finds another epoch and announces
//!   itself again. Should the releaser die on the way, the next taker wakes all. A waiter that was
//!   delayed between announcing and sleeping across all of this sleeps uncounted, until its bound.

use crate::sys::atomic::{AtomicU64, Ordering};

/// Where the futex half stands in the value.
pub(crate) const FUTEX_SHIFT: u32 =
    if cfg!(target_env = "musl") != cfg!(target_endian = "big") { 32 } else { 0 };
/// Where our half stands.
const OWN_SHIFT: u32 = 32 - FUTEX_SHIFT;
/// Where the futex half stands in memory, in bytes.
pub(crate) const FUTEX_BYTE: usize = if cfg!(target_env = "musl") { 4 } else { 0 };

const FUTEX_HALF: u64 = 0xffff_ffff << FUTEX_SHIFT;
const TID: u64 = 0x3fff_ffff << FUTEX_SHIFT;
const OWNER_DIED: u64 = 1 << (30 + FUTEX_SHIFT);
const WAITERS: u64 = 1 << (31 + FUTEX_SHIFT);
const ONE_ANNOUNCED: u64 = 1 << OWN_SHIFT;
const ANNOUNCED: u64 = 0x7_ffff << OWN_SHIFT;
const SPECIAL: u64 = 1 << (19 + OWN_SHIFT);
const ONE_EPOCH: u64 = 1 << (20 + OWN_SHIFT);
const EPOCH: u64 = 0x3ff << (20 + OWN_SHIFT);
const INCONSISTENT: u64 = 1 << (30 + OWN_SHIFT);
const OURS: u64 = 1 << (31 + OWN_SHIFT);

/// The state of a mutex that thread `tid` holds, with nobody waiting.
pub(crate) fn locked_by(tid: u32) -> u64 {
    (u64::from(tid) << FUTEX_SHIFT) & TID | OURS
}

/// Whether the first eight bytes of a held lock are those of a forq mutex.
pub(crate) fn is_ours(first_bytes: u64) -> bool {
    first_bytes & OURS != 0
}

/// The first eight bytes of the lock whose list node's `next` is at `next`.
///
/// # Safety
/// `next` must be the node of a lock that this thread holds, in libc's layout or ours.
pub(crate) unsafe fn read_before_node(next: *const u8) -> u64 {
    // Both C libraries and we put the node's `next` at the same distance from the start of the lock; where they do not, the list is our own.
    // SAFETY: by contract; locks are aligned to eight bytes. Other threads change bits of it, atomically.
    unsafe {
        AtomicU64::from_ptr(next.sub(super::raw::NEXT_OFFSET).cast_mut().cast()).load(Ordering::Relaxed)
    }
}

/// A value of the state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

/// A count that a waiter is part of: valid while the mutex is in the same epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced(u64);

impl State {
    /// Free, nobody waits, nothing to repair.
    pub(super) const FREE: Self = Self(0);
    /// Free, of the kinds that the short paths leave alone.
    pub(super) const SPECIAL: Self = Self(SPECIAL);
    /// What a taker of a lock without owner adds. Thread ids are below 2^22.
    pub(super) const UNOWNED: Self = Self(TID);

    /// The same in the first epoch: what the short paths compare.
    #[inline(always)]
    pub(super) fn in_first_epoch(self) -> Self {
        Self(self.0 & !EPOCH)
    }

    pub(super) fn owner(self) -> u32 {
        ((self.0 & TID) >> FUTEX_SHIFT) as u32
    }

    pub(super) fn is_free(self) -> bool {
        self.0 & TID == 0
    }

    /// Held, and nobody's.
    pub(super) fn is_unowned(self) -> bool {
        self.0 & TID == TID
    }

    pub(super) fn owner_died(self) -> bool {
        self.0 & OWNER_DIED != 0
    }

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    /// What the kernel compares a sleeper's expectation with.
    pub(super) fn futex_word(self) -> u32 {
        (self.0 >> FUTEX_SHIFT) as u32
    }

    /// How many have announced themselves.
    #[cfg(feature = "std")]
    pub(super) fn waiters(self) -> u32 {
        (self.announced() >> OWN_SHIFT) as u32
    }

    fn announced(self) -> u64 {
        self.0 & ANNOUNCED
    }

    /// Whether a waiter's announcement is part of the present count.
    fn counts(self, announced: Option<Announced>) -> bool {
        announced == Some(Announced(self.0 & EPOCH)) && self.announced() != 0
    }

    /// Less one that was announced. A full count may stand for more than it says: it stays until a heal.
    fn without(self, announced: Option<Announced>) -> Self {
        let counted = self.counts(announced) && self.announced() != ANNOUNCED;
        if counted { Self(self.0 - ONE_ANNOUNCED) } else { self }
    }

    /// Free becomes held by the thread whose plain locked value is `locked`; a death becomes something to repair.
    pub(super) fn taken(self, locked: u64, announced: Option<Announced>) -> Self {
        let rest = self.without(announced);
        let died = rest.owner_died();
        // A dead holder may have been about to wake those that a heal no longer counts.
        let waiters = if died || rest.announced() != 0 { WAITERS } else { 0 };
        let to_repair = if died { INCONSISTENT } else { 0 };
        Self(rest.0 & !(OWNER_DIED | WAITERS) | locked | waiters | to_repair)
    }

    /// Whether a waiter must change the state before it may sleep.
    pub(super) fn needs_announcement(self, announced: Option<Announced>) -> bool {
        !self.has_waiters() || !self.counts(announced)
    }

    /// One more waits. A full count stays full: whoever finds it so is not counted, and is woken late at worst.
    pub(super) fn with_announcement(self, announced: Option<Announced>) -> (Self, Announced) {
        let full = self.announced() == ANNOUNCED;
        let more = if full || self.counts(announced) { 0 } else { ONE_ANNOUNCED };
        (Self((self.0 + more) | WAITERS), Announced(self.0 & EPOCH))
    }

    /// One that was announced waits no more. `WAITERS` stays: the next release finds out whether it is needed.
    pub(super) fn withdrawn(self, announced: Option<Announced>) -> Self {
        self.without(announced)
    }

    /// Held becomes free: the kernel's half is 0, and the next taker sets `WAITERS` from the count. (Kernels
    /// from 5.5 to 6.1 hand on a dead waiter's wake-up only if that half is 0.)
    pub(super) fn released(self) -> Self {
        Self(self.0 & !(FUTEX_HALF | OURS))
    }

    /// Whether a heal would change anything.
    pub(super) fn can_heal(self) -> bool {
        self.announced() != 0
    }

    /// Still held, but the count starts again at nought in a new epoch.
    pub(super) fn healed(self) -> Self {
        let epoch = self.0.wrapping_add(ONE_EPOCH) & EPOCH;
        Self(self.0 & !(EPOCH | ANNOUNCED) | epoch | WAITERS)
    }

    /// What `consistent` makes of it.
    pub(super) fn repaired(self) -> Self {
        Self(self.0 & !INCONSISTENT)
    }

    /// What is left to repair: for a holder that leaves in the middle without dying.
    pub(super) fn broken(self) -> Self {
        Self(self.0 | INCONSISTENT)
    }

    /// What the kernel does at a holder's death, for one that vanished without its knowing.
    pub(super) fn bereaved(self) -> Self {
        Self(self.0 & !(TID | OURS) | OWNER_DIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> State {
        State(locked_by(77))
    }

    #[test]
    fn an_uncontended_round_trip_ends_where_it_began() {
        assert!(State::FREE.taken(locked_by(77), None) == held());
        assert!(held().released() == State::FREE);
        assert_eq!(held().owner(), 77);
    }

    #[test]
    fn the_waiters_bit_follows_the_count() {
        let (one, first) = held().with_announcement(None);
        let (two, second) = one.with_announcement(None);
        assert!(two.has_waiters() && !two.released().has_waiters());
        let taken = two.released().taken(locked_by(5), Some(first));
        assert!(taken.has_waiters(), "the second one still waits");
        let alone = taken.withdrawn(Some(second));
        assert!(!alone.released().taken(locked_by(6), None).has_waiters());
        assert!(two.needs_announcement(None) && !two.needs_announcement(Some(second)));
    }

    #[test]
    fn a_heal_makes_old_announcements_void() {
        let (waited, announced) = held().with_announcement(None);
        assert!(waited.can_heal() && !held().can_heal());
        let healed = waited.healed();
        assert!(healed.has_waiters() && healed.owner() == 77 && !healed.can_heal());
        assert!(!healed.released().taken(locked_by(5), Some(announced)).has_waiters());
        assert!(healed.needs_announcement(Some(announced)));
        let (again, _) = healed.with_announcement(Some(announced));
        assert!(
            again.withdrawn(Some(announced)) == again,
            "an announcement of another epoch withdraws nothing"
        );
    }

    #[test]
    fn a_death_stays_to_be_repaired_until_somebody_does() {
        let bereaved = held().bereaved();
        assert!(bereaved.is_free() && bereaved.owner_died());
        let taken = bereaved.taken(locked_by(5), None);
        assert!(taken.is_inconsistent() && !taken.owner_died() && taken.has_waiters());
        assert!(taken.released().taken(locked_by(6), None).is_inconsistent());
        assert!(!taken.repaired().released().is_inconsistent());
    }

    #[test]
    fn a_full_count_does_not_spill_into_the_epoch() {
        let full = State(held().0 | ANNOUNCED | WAITERS);
        let (more, announced) = full.with_announcement(None);
        assert!(more == full);
        assert!(full.withdrawn(Some(announced)) == full, "it may stand for more than it says");
    }

    #[test]
    fn the_epoch_wraps_without_touching_its_neighbours() {
        let last = State(held().0 | EPOCH | INCONSISTENT);
        assert!(last.healed().0 == held().0 | INCONSISTENT | WAITERS);
    }
}
