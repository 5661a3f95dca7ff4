//! Barriers for the model checker, which knows none that one thread makes for another: there both sides make their own.

use loom::sync::atomic::{Ordering, fence};

/// There is nothing to register.
pub(crate) fn register() -> bool {
    true
}

/// As in `sys/membarrier.rs`, of this thread.
pub(crate) fn on_all_cpus() -> bool {
    if !super::is_planted("no_heavy_barrier") {
        fence(Ordering::SeqCst);
    }
    true
}

/// As in `sys/membarrier.rs`; here a barrier.
pub(crate) fn light() {
    if !super::is_planted("no_light_barrier") {
        fence(Ordering::SeqCst);
    }
}
