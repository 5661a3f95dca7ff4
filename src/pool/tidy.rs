//! Memory that is given back after a while without work: the supervisor does it, since the host may not be inside any call.

use super::control::{Shared, arena};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;

/// How long nothing must be in use, in nanoseconds, at least; twice that at most. (Making pages present again costs some 2 us each.)
const QUIET: u64 = 5_000_000_000;

pub(super) struct Tidy {
    /// What was seen last, and when to look again.
    seen: u64,
    next: Deadline,
}

impl Tidy {
    pub(super) fn new() -> Self {
        Self { seen: 0, next: Deadline::FOREVER }
    }

    /// Gives the arena's pages back if none has been in use since the last look; when to look again.
    pub(super) fn look(&mut self, shared: &Shared) -> Deadline {
        let control = shared.control();
        if control.has_pages.load(Ordering::SeqCst) == 0 {
            self.next = Deadline::FOREVER;
            return self.next;
        }
        if !self.next.is_forever() && !self.next.has_passed() {
            return self.next;
        }
        let now = control.arena.load(Ordering::SeqCst);
        let quiet = !self.next.is_forever() && now == self.seen && now & arena::STATE == arena::IDLE;
        (self.seen, self.next) = (now, Deadline::after_nanos(QUIET));
        if quiet {
            let trimming = now | arena::TRIMMING;
            // AcqRel: from here on the host waits before it uses the arena.
            if control.arena.compare_exchange(now, trimming, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                control.has_pages.store(0, Ordering::SeqCst);
                shared.give_back_arena();
                control.trimmed.fetch_add(1, Ordering::Release);
                control.arena.store(now, Ordering::Release);
                self.next = Deadline::FOREVER;
            }
        }
        self.next
    }
}
