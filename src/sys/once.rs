//! One-time set-up of state that belongs to this process alone. Other threads block until it is done.
//!
//! All who wait are threads of one process, which is what `atomic_wait`'s private futex is for.
//! A child forked while another thread was in the middle must not wait for that thread, which it
//! does not have: the word says which process is at work, and another one starts over.

use super::atomic::{AtomicU32, Ordering};
use super::errno;

const UNTOUCHED: u32 = 0;
const DONE: u32 = u32::MAX;

/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | untouched | whoever comes first, to its process id |
/// | a process id | a thread of that process is at work | that thread, to done; a thread of another process, to its own id |
/// | `u32::MAX` | done | nobody |
pub(crate) struct Once(AtomicU32);

impl Once {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(UNTOUCHED))
    }

    /// Runs `setup` if no thread of this process (or of the process it was forked from) has finished it.
    pub(crate) fn call(&self, setup: impl FnOnce()) {
        // Acquire pairs with the Release below: what `setup` wrote is seen.
        if self.0.load(Ordering::Acquire) != DONE {
            self.call_slow(setup);
        }
    }

    /// Whether it has been done: then [`Once::call`] does nothing.
    pub(crate) fn is_done(&self) -> bool {
        // Acquire as in `call`.
        self.0.load(Ordering::Acquire) == DONE
    }

    #[cold]
    fn call_slow(&self, setup: impl FnOnce()) {
        let me = super::proc::pid();
        loop {
            let state = self.0.load(Ordering::Acquire);
            if state == DONE {
                return;
            }
            if state == me {
                errno::keeping(|| atomic_wait::wait(&self.0, me));
            } else if self.0.compare_exchange(state, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        setup();
        self.0.store(DONE, Ordering::Release);
        errno::keeping(|| atomic_wait::wake_all(&self.0));
    }
}
