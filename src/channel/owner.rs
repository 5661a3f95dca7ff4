//! Which process uses a side, and whether it still exists.
//!
//! There is no descriptor that a death would close: the memory outlives all who map it. So whoever uses a side writes down
//! who it is, and a call of the other side that has to wait looks now and then whether that process still lives.

use crate::sys::proc;
use crate::sys::thread::Thread;

/// The word of a side that says which process uses it, or did last.
///
/// | part | bits | meaning |
/// |---|---|---|
/// | process id | 0-22 | 0: nobody has used the side yet |
/// | start | 23-61 | when that process began, in clock ticks: tells it from a later one with the same id; 0: not known |
/// | `FENCED` | 62 | it makes its own memory barriers |
/// | `GONE` | 63 | it has left the side by itself |
///
/// Changed only as a whole, by compare-exchange: to a process that takes the side over, from any; and by that process, to `GONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) u64);

const PID: u64 = (1 << 23) - 1;
const START_SHIFT: u32 = 23;
const START: u64 = (1 << 39) - 1;
const FENCED: u64 = 1 << 62;
const GONE: u64 = 1 << 63;

impl Owner {
    pub(super) const NOBODY: Self = Self(0);

    /// This process.
    pub(super) fn this(thread: &Thread, fenced: bool) -> Self {
        let start = (proc::start_time() & START) << START_SHIFT;
        Self(u64::from(thread.pid()) & PID | start | if fenced { FENCED } else { 0 })
    }

    pub(super) fn left(self) -> Self {
        Self(self.0 | GONE)
    }

    pub(super) fn pid(self) -> u32 {
        (self.0 & PID) as u32
    }

    pub(super) fn is_fenced(self) -> bool {
        self.0 & FENCED != 0
    }

    /// Whether it has left, or ended. Asks the kernel.
    pub(super) fn is_gone(self) -> bool {
        self.0 & GONE != 0 || proc::is_process_gone(self.pid(), self.0 >> START_SHIFT & START, START)
    }
}

/// How long who waits for a side without a living process waits for a successor, before it is told, in nanoseconds. Short where that
/// is asked for after thousands of deaths.
const GRACE: u64 = if cfg!(forq_long_sleeps) { 2_000_000 } else { 500_000_000 };
/// How often is looked, in nanoseconds.
const INTERVAL: u64 = if cfg!(forq_long_sleeps) { 0 } else { 250_000_000 };

/// What one side knows of the process at the other one.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    /// When it last looked.
    looked_at: u64,
    /// Which owner it found gone, and when. That one does not come back.
    gone: Owner,
    gone_since: u64,
}

impl Watch {
    pub(super) const NEW: Self = Self { looked_at: 0, gone: Owner::NOBODY, gone_since: 0 };

    /// Whether the other side's owner is gone, and a wait that began at `since` has given a successor its time. `me`: this process's id.
    pub(super) fn is_over(&mut self, owner: Owner, me: u32, since: u64, now: u64) -> bool {
        if owner != Owner::NOBODY && owner != self.gone {
            let is_mine = owner.pid() == me && owner != owner.left();
            if !is_mine && now.saturating_sub(self.looked_at) >= INTERVAL {
                self.looked_at = now;
                if owner.is_gone() {
                    (self.gone, self.gone_since) = (owner, now);
                }
            }
        }
        self.over_at(owner, since).is_some_and(|end| now >= end)
    }

    /// How long a sleep may last until it is time to ask again, in nanoseconds.
    pub(super) fn patience(&self, owner: Owner, since: u64, now: u64, bound: u64) -> u64 {
        self.over_at(owner, since).map_or(bound, |end| bound.min(end.saturating_sub(now)))
    }

    fn over_at(&self, owner: Owner, since: u64) -> Option<u64> {
        (owner != Owner::NOBODY && owner == self.gone)
            .then(|| self.gone_since.max(since).saturating_add(GRACE))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::thread;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn this_process_lives_and_one_with_its_id_from_another_time_does_not() {
        let me = Owner::this(thread::current(), false);
        assert!(me.pid() == std::process::id() && !me.is_gone() && !me.is_fenced());
        assert!(Owner::this(thread::current(), true).is_fenced());
        assert!(me.left().is_gone());
        let earlier = Owner(me.0 ^ 1 << START_SHIFT);
        assert!(earlier.is_gone());
        let unknown = Owner(me.0 & PID);
        assert!(!unknown.is_gone());
    }

    #[test]
    fn it_is_over_when_a_successor_has_had_its_time() {
        let (mut watch, now) = (Watch::NEW, 1_000_000 * MILLI);
        let me = std::process::id();
        let gone = Owner::this(thread::current(), false).left();
        assert!(!watch.is_over(Owner::NOBODY, me, 0, now));
        assert!(!watch.is_over(gone, me, 0, now), "found gone");
        assert_eq!(watch.patience(gone, 0, now + 100 * MILLI, 1000 * MILLI), 400 * MILLI);
        assert!(!watch.is_over(gone, me, 0, now + 499 * MILLI));
        assert!(watch.is_over(gone, me, 0, now + 500 * MILLI));
        // A wait that began later gives it time, too.
        let later = now + 600 * MILLI;
        assert!(!watch.is_over(gone, me, later, now + 1099 * MILLI));
        assert_eq!(watch.patience(gone, later, later, 1000 * MILLI), 500 * MILLI);
        assert!(watch.is_over(gone, me, later, now + 1100 * MILLI));
        // With a successor all begins anew.
        let successor = Owner(gone.0 ^ 1 << START_SHIFT);
        assert!(!watch.is_over(successor, me, 0, now + 1200 * MILLI));
        assert!(!watch.is_over(successor, me, 0, now + 1699 * MILLI));
        assert!(watch.is_over(successor, me, 0, now + 1700 * MILLI));
        assert_eq!(watch.patience(gone, 0, now, 1000 * MILLI), 1000 * MILLI);
    }

    #[test]
    fn any_bytes_are_an_owner() {
        for garbage in [1, PID, u64::MAX, 0x5555_5555_5555_5555, 1 << 63, 1 << 22] {
            let mut watch = Watch::NEW;
            let _ = watch.is_over(Owner(garbage), 1, u64::MAX, u64::MAX);
            let _ = watch.is_over(Owner(garbage), 1, u64::MAX, u64::MAX);
        }
    }
}
