//! Where a guard comes from: which of the processes forked from one another, and whether its thread was panicking.

use crate::sys::thread::{self, Thread};

/// What every guard carries: the fork generation, which is below 2^63, and in the top bit whether the thread was panicking. One word:
/// a flag of its own would be padded, and returning the guard stall on a load wider than the last store.
#[derive(Clone, Copy)]
pub(super) struct Origin(u64);

impl Origin {
    /// This thread of this process, now.
    #[inline(always)]
    pub(super) fn of(thread: &Thread) -> Self {
        Self(thread.generation() | u64::from(is_panicking()) << 63)
    }

    /// Whether this is not a copy that a fork made.
    #[inline(always)]
    pub(super) fn is_here(self) -> bool {
        self.is_plainly_here() || self.is_here_slow()
    }

    /// Not a copy, and taken while nobody panicked: what the short paths ask.
    #[inline(always)]
    fn is_plainly_here(self) -> bool {
        thread::is_generation_word(self.0)
    }

    #[cold]
    #[inline(never)]
    fn is_here_slow(self) -> bool {
        thread::generation() == self.0 << 1 >> 1
    }

    /// Panics in a child that was forked meanwhile.
    #[inline(always)]
    pub(super) fn check(self) {
        if !self.is_plainly_here() {
            self.check_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn check_slow(self) {
        assert!(self.is_here_slow(), "a guard was used in a child forked while the lock was held");
    }

    /// Whether nothing has happened that a guard has to think of when it is dropped.
    #[inline(always)]
    pub(super) fn is_undisturbed(self) -> bool {
        self.is_plainly_here() && !is_panicking()
    }

    /// Whether the thread began to panic since.
    pub(super) fn panics_since(self) -> bool {
        is_panicking() && self.0 >> 63 == 0
    }
}

#[inline(always)]
fn is_panicking() -> bool {
    #[cfg(feature = "std")]
    return std::thread::panicking();
    #[cfg(not(feature = "std"))]
    false
}
