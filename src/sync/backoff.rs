//! Exponential back-off: how to wait for something that should happen soon.

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::cpu;

/// Waits a little longer each time, and says when it is time to sleep in the kernel.
///
/// Five steps of 2, 4, 8, 16 and 32 pauses of the processor (about 1.6 us in all, wherever a pause
/// lasts longer or shorter), then ten yields to other processes, then the verdict "sleep".
/// The growth is Ethernet's binary exponential back-off, found best for spin locks by T. E. Anderson,
/// "The performance of spin lock alternatives for shared-memory multiprocessors" (1990).
///
/// Waiting for a flag:
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// let ready = AtomicBool::new(true);
/// let mut backoff = forq::Backoff::new();
/// while !ready.load(Ordering::Acquire) {
///     if !backoff.snooze() {
///         std::thread::sleep(std::time::Duration::from_millis(1)); // or a futex
///     }
/// }
/// ```
/// Retrying a compare-exchange: call [`Backoff::snooze`] after each failure. Serving requests: call
/// [`Backoff::reset`] after each one, so that the next wait begins short.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Backoff {
    step: u32,
    /// One that learns: what [`PAUSES`] said before, plus 1.
    learnt: u32,
}

/// Steps that pause, doubling from 2.
const PAUSE_STEPS: u32 = 5;
/// Steps that yield, after those.
const YIELD_STEPS: u32 = 10;

/// What this process has learnt of pausing, a hint: below [`VAIN`], how many waits in a row paused in vain; from there on how many
/// have skipped it since; at [`PROBE`] the next one tries again.
static PAUSES: AtomicU32 = AtomicU32::new(0);
const VAIN: u32 = 4;
const PROBE: u32 = VAIN + 16;

fn pauses_after(learnt: u32) -> bool {
    !(VAIN..PROBE).contains(&learnt)
}

impl Backoff {
    /// Starts with the shortest wait.
    #[must_use]
    pub const fn new() -> Self {
        Self { step: 0, learnt: 0 }
    }

    /// As [`Backoff::new`], but if pausing has brought nothing lately in this process, as between two processes on one CPU, it
    /// begins with the yields. For forq's own waits.
    pub(crate) fn learning() -> Self {
        if cfg!(forq_steady) {
            // The crash points want every run to take the same way.
            return Self::new();
        }
        let learnt = PAUSES.load(Ordering::Relaxed).min(PROBE);
        let pauses = pauses_after(learnt);
        if pauses {
            return Self { step: 0, learnt: learnt + 1 };
        }
        PAUSES.store(learnt + 1, Ordering::Relaxed);
        Self { step: PAUSE_STEPS, learnt: 0 }
    }

    /// Waits once, longer than the last time. True: go on; false: time to sleep in the kernel (it then
    /// did not wait, and will say so until [`Backoff::reset`]).
    #[inline]
    pub fn snooze(&mut self) -> bool {
        if cfg!(loom) {
            // Nothing is gained there by waiting without sleeping.
            return false;
        }
        if self.step < PAUSE_STEPS {
            if self.step == 0 && self.learnt != 0 {
                // It will have been worth it, unless it gets as far as a yield.
                PAUSES.store(0, Ordering::Relaxed);
            }
            cpu::pause(2 << self.step);
        } else if self.step < PAUSE_STEPS + YIELD_STEPS {
            if self.learnt != 0 {
                PAUSES.store(self.learnt.min(VAIN), Ordering::Relaxed);
                self.learnt = 0;
            }
            cpu::yield_now();
        } else {
            return false;
        }
        self.step += 1;
        true
    }

    /// Starts over with the shortest wait.
    #[inline]
    pub fn reset(&mut self) {
        self.step = 0;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_sleep_after_the_last_yield_and_until_reset() {
        let mut backoff = Backoff::new();
        for _ in 0..PAUSE_STEPS + YIELD_STEPS {
            assert!(backoff.snooze());
        }
        assert!(!backoff.snooze());
        assert!(!backoff.snooze());
        backoff.reset();
        assert!(backoff.snooze());
    }

    #[test]
    fn pauses_in_vain_are_skipped_but_for_a_probe_now_and_then() {
        assert!((0..VAIN).all(pauses_after));
        assert!(!(VAIN..PROBE).any(pauses_after));
        assert!(pauses_after(PROBE));
    }

    #[test]
    fn any_bytes_make_a_back_off_that_ends() {
        let mut backoff = Backoff { step: u32::MAX, learnt: u32::MAX };
        assert!(!backoff.snooze());
    }
}
