//! Which items have run longer than the pool allows: their workers are condemned, then killed.

use super::control::Shared;
use super::word::Turn;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{self, Deadline};
use crate::sys::signal::{self, SIGKILL};

pub(super) struct Overdue {
    /// Nanoseconds; 0: none.
    limit: u64,
}

impl Overdue {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit }
    }

    /// Stops what is over its time; when to look again. While all workers sleep there is nothing to look for: the one that is
    /// woken gives a signal.
    pub(super) fn look(&self, shared: &Shared) -> Deadline {
        if self.limit == 0 {
            return Deadline::FOREVER;
        }
        let control = shared.control();
        control.dozing.store(1, Ordering::SeqCst);
        if Self::all_sleep(shared) {
            return Deadline::FOREVER;
        }
        control.dozing.store(0, Ordering::SeqCst);
        let now = clock::now();
        // What begins right after this look is not over its time before the next.
        let mut left = self.limit;
        for worker in &shared.slots()[..shared.workers] {
            // Acquire: since when is seen, or a later time.
            let turn = Turn(worker.turn.load(Ordering::Acquire));
            if !turn.is_running() {
                continue;
            }
            let ran = now.saturating_sub(worker.began.load(Ordering::Relaxed));
            if ran < self.limit {
                left = left.min(self.limit - ran);
                continue;
            }
            let pid = worker.pid.load(Ordering::Relaxed);
            let condemned = turn.condemned().0;
            // AcqRel: as in `leave`. Fails if the item is over: then nobody is harmed.
            let stopped =
                worker.turn.compare_exchange(turn.0, condemned, Ordering::AcqRel, Ordering::Relaxed);
            if (stopped.is_ok() || cfg!(forq_fault = "no_condemn")) && pid != 0 {
                signal::send(pid, SIGKILL);
            }
        }
        // Not 0, which would not wait at all.
        Deadline::after_nanos(left.max(1))
    }

    fn all_sleep(shared: &Shared) -> bool {
        (0..shared.workers).all(|index| {
            let word = shared.control().idle.0[index / 64].load(Ordering::SeqCst);
            word >> (index % 64) & 1 != 0
        })
    }
}
