//! Where a guard comes from: which of the processes forked from one another, and whether its thread was panicking.

use crate::sys::thread::{self, Thread};

/// What every guard carries, in one word: a flag of its own would be padded, and returning the guard stall on a load
/// wider than the last store.
#[derive(Clone, Copy)]
pub(super) struct Origin(u64);

impl Origin {
    /// This thread of this process, now.
    #[inline(always)]
    pub(super) fn of(thread: &Thread) -> Self {
        Self(thread.generation() << 1 | u64::from(is_panicking()))
    }

    /// Whether this is not a copy that a fork made.
    #[inline(always)]
    pub(super) fn is_here(self) -> bool {
        thread::is_generation(self.0 >> 1)
    }

    /// Panics in a child that was forked meanwhile.
    #[inline(always)]
    pub(super) fn check(self) {
        assert!(self.is_here(), "a guard was used in a child forked while the lock was held");
    }

    /// Whether the thread began to panic since.
    #[inline(always)]
    pub(super) fn panics_since(self) -> bool {
        is_panicking() && self.0 & 1 == 0
    }
}

#[inline(always)]
fn is_panicking() -> bool {
    #[cfg(feature = "std")]
    return std::thread::panicking();
    #[cfg(not(feature = "std"))]
    false
}
