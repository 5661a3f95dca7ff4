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

/// How long a side may be without a living process before who waits for it is told: so long a successor may take to come.
const GRACE: u64 = 250_000_000;
/// How often is looked, in nanoseconds.
const INTERVAL: u64 = 250_000_000;

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

    /// Whether the other side's owner has been gone for the time of grace. `me`: this process's id.
    pub(super) fn is_over(&mut self, owner: Owner, me: u32, now: u64) -> bool {
        if owner == Owner::NOBODY {
            return false;
        }
        if owner != self.gone {
            let is_mine = owner.pid() == me && owner != owner.left();
            if is_mine || now.saturating_sub(self.looked_at) < INTERVAL {
                return false;
            }
            self.looked_at = now;
            if owner.is_gone() {
                (self.gone, self.gone_since) = (owner, now);
            }
            return false;
        }
        now.saturating_sub(self.gone_since) >= GRACE
    }

    /// How long a sleep may last until it is time to ask again, in nanoseconds.
    pub(super) fn patience(&self, owner: Owner, now: u64, bound: u64) -> u64 {
        if owner == Owner::NOBODY || owner != self.gone {
            return bound;
        }
        bound.min((self.gone_since + GRACE).saturating_sub(now))
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
    fn it_is_over_when_the_same_owner_was_gone_for_the_time_of_grace() {
        let (mut watch, now) = (Watch::NEW, 1_000_000 * MILLI);
        let me = std::process::id();
        let gone = Owner::this(thread::current(), false).left();
        assert!(!watch.is_over(Owner::NOBODY, me, now));
        assert!(!watch.is_over(gone, me, now), "found gone");
        assert_eq!(watch.patience(gone, now + 100 * MILLI, 1000 * MILLI), 150 * MILLI);
        assert!(!watch.is_over(gone, me, now + 249 * MILLI));
        assert!(watch.is_over(gone, me, now + 250 * MILLI));
        // A successor begins anew.
        let successor = Owner(gone.0 ^ 1 << START_SHIFT);
        assert_eq!(watch.patience(successor, now + 251 * MILLI, 1000 * MILLI), 1000 * MILLI);
        assert!(!watch.is_over(successor, me, now + 251 * MILLI));
        assert!(!watch.is_over(successor, me, now + 500 * MILLI));
        assert!(watch.is_over(successor, me, now + 501 * MILLI));
    }

    #[test]
    fn any_bytes_are_an_owner() {
        for garbage in [1, PID, u64::MAX, 0x5555_5555_5555_5555, 1 << 63, 1 << 22] {
            let mut watch = Watch::NEW;
            let _ = watch.is_over(Owner(garbage), 1, u64::MAX);
            let _ = watch.is_over(Owner(garbage), 1, u64::MAX);
        }
    }
}
