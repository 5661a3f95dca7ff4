//! The state word of a mutex: 64 bits, changed only as a whole.
//!
//! One half is the kernel's futex word; the other half is ours. Which half is the kernel's follows
//! from where the C library's robust list looks for it: bytes 0-3 under glibc, 4-7 under musl.
//!
//! | part | bits | meaning | changed by |
//! |---|---|---|---|
//! | thread id | 0-29 of the futex half | who holds it; 0: nobody | taker; holder; the kernel at the holder's death |
//! | `OWNER_DIED` | 30 | a holder died since the last taker | set by the kernel, or by who finds the holder gone; cleared by the taker |
//! | `WAITERS` | 31 | somebody is announced and may sleep: a release must wake | set by who announces itself; kept or cleared by taker, releaser, and who withdraws |
//! | announced | 0-19 of our half | how many have announced that they wait; a killed one stays counted | who announces or withdraws itself, taker |
//! | epoch | 20-29 | which count this is: a heal starts a new one | releaser that heals |
//! | `INCONSISTENT` | 30 | what is guarded was left in the middle by a dead holder | set by the taker, cleared by `consistent` |
//! | ours | 31 | held by forq: tells our locks from pthread's in a robust list | taker, releaser |
//!
//! All zero is free, with nobody waiting.
//!
//! - **announce** `{w, n} -> {w + WAITERS, n + 1}`, then sleep on the futex half.
//! - **take** `{nobody, n} -> {me + WAITERS if others are announced, n - 1 if I was}`.
//! - **release** `{me, n} -> {nobody + WAITERS if n > 0, n}`, then wake one if WAITERS was set.
//! - **give up** a last try to take, then `{w, n} -> {w - WAITERS if none is left, n - 1}`, and if
//!   nobody held it, wake one, in case a wake-up was meant for us.
//! - **heal** a killed waiter stays counted, and every release then makes a wake call for nobody.
//!   After some thirty of those in a row a release starts a new count in a new epoch and wakes
//!   all; whoever is alive finds another epoch and announces itself again.

/// Where the futex half stands in the value.
const FUTEX_SHIFT: u32 = if cfg!(target_env = "musl") != cfg!(target_endian = "big") { 32 } else { 0 };
/// Where our half stands.
const OWN_SHIFT: u32 = 32 - FUTEX_SHIFT;
/// Where the futex half stands in memory, in bytes.
pub(super) const FUTEX_BYTE: usize = if cfg!(target_env = "musl") { 4 } else { 0 };

const TID: u64 = 0x3fff_ffff << FUTEX_SHIFT;
const OWNER_DIED: u64 = 1 << (30 + FUTEX_SHIFT);
const WAITERS: u64 = 1 << (31 + FUTEX_SHIFT);
const ONE_ANNOUNCED: u64 = 1 << OWN_SHIFT;
const ANNOUNCED: u64 = 0xf_ffff << OWN_SHIFT;
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
    // Both C libraries and we put the node's `next` 32 bytes after the start of the lock.
    // SAFETY: by contract. Volatile, since other threads change bits of it.
    unsafe { next.sub(super::raw::NEXT_OFFSET).cast::<u64>().read_volatile() }
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

    pub(super) fn owner(self) -> u32 {
        ((self.0 & TID) >> FUTEX_SHIFT) as u32
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

    pub(super) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    /// What the kernel compares a sleeper's expectation with.
    pub(super) fn futex_word(self) -> u32 {
        (self.0 >> FUTEX_SHIFT) as u32
    }

    fn announced(self) -> u64 {
        self.0 & ANNOUNCED
    }

    /// Whether a waiter's announcement is part of the present count.
    fn counts(self, announced: Option<Announced>) -> bool {
        announced == Some(Announced(self.0 & EPOCH)) && self.announced() != 0
    }

    fn with_waiters_if_announced(self) -> Self {
        if self.announced() == 0 { Self(self.0 & !WAITERS) } else { Self(self.0 | WAITERS) }
    }

    fn without(self, announced: Option<Announced>) -> Self {
        let rest = if self.counts(announced) { Self(self.0 - ONE_ANNOUNCED) } else { self };
        rest.with_waiters_if_announced()
    }

    /// Free becomes held by the thread whose plain locked value is `locked`; a death becomes something to repair.
    pub(super) fn taken(self, locked: u64, announced: Option<Announced>) -> Self {
        let rest = self.without(announced);
        let to_repair = if rest.owner_died() { INCONSISTENT } else { 0 };
        Self(rest.0 & !OWNER_DIED | locked | to_repair)
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

    /// One that was announced waits no more.
    pub(super) fn withdrawn(self, announced: Option<Announced>) -> Self {
        self.without(announced)
    }

    /// Held becomes free.
    pub(super) fn released(self) -> Self {
        Self(self.0 & !(TID | OURS)).with_waiters_if_announced()
    }

    /// Held becomes free, and the count starts again at nought in a new epoch.
    pub(super) fn healed(self) -> Self {
        let epoch = self.0.wrapping_add(ONE_EPOCH) & EPOCH;
        Self(self.0 & INCONSISTENT | epoch)
    }

    /// What `consistent` makes of it.
    pub(super) fn repaired(self) -> Self {
        Self(self.0 & !INCONSISTENT)
    }

    /// What is left to repair: for a holder that leaves in the middle without dying.
    #[cfg(feature = "std")]
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
        assert!(two.has_waiters() && two.released().has_waiters());
        let taken = two.released().taken(locked_by(5), Some(first));
        assert!(taken.has_waiters(), "the second one still waits");
        assert!(!taken.withdrawn(Some(second)).has_waiters());
        assert!(two.needs_announcement(None) && !two.needs_announcement(Some(second)));
    }

    #[test]
    fn a_heal_makes_old_announcements_void() {
        let (waited, announced) = held().with_announcement(None);
        let healed = waited.healed();
        assert!(!healed.has_waiters() && healed.is_free());
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
        assert!(taken.is_inconsistent() && !taken.owner_died());
        assert!(taken.released().taken(locked_by(6), None).is_inconsistent());
        assert!(!taken.repaired().released().is_inconsistent());
    }

    #[test]
    fn a_full_count_does_not_spill_into_the_epoch() {
        let full = State(held().0 | ANNOUNCED | WAITERS);
        let (more, _) = full.with_announcement(None);
        assert!(more == full);
    }

    #[test]
    fn the_epoch_wraps_without_touching_its_neighbours() {
        let last = State(held().0 | EPOCH | INCONSISTENT);
        assert!(last.healed().0 == INCONSISTENT);
    }
}
