//! How a side's leader spends its time before it sleeps. It alone looks at its slot, so that looking often disturbs nobody: the line comes to
//! it once, when the other side has written there.

use crate::sys::cpu;

/// Looks, a pause of 26 ns apart: 1.6 us in all, as [`Backoff`](crate::Backoff) has it.
const LOOKS: u32 = 62;
/// How often the CPU is given away after those.
const YIELDS: u32 = 10;

/// One wait.
pub(super) struct Patience {
    looks: u32,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { looks: 0 }
    }

    /// Waits a little. False: it did not; time to sleep.
    pub(super) fn snooze(&mut self) -> bool {
        if cfg!(loom) || self.looks == LOOKS + YIELDS {
            return false;
        }
        if self.looks < LOOKS {
            for _ in 0..cpu::pauses_per_step() {
                core::hint::spin_loop();
            }
        } else {
            cpu::yield_now();
        }
        self.looks += 1;
        true
    }
}
