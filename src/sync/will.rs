//! What a thread leaves to others should it die in the middle: one wake-up.
//!
//! The kernel looks at a dying thread's *pending* robust entry; if the word that it names holds no
//! thread id, it wakes one sleeper there and touches nothing (Linux 6.2 and stable kernels before it; from
//! 5.5 only if the word is 0). So whoever is about to wake sleepers, or may have been woken in the
//! place of another, names the word meanwhile, and the one that is woken for the dead does the dead one's work.
//! Where the kernel does not do it, the bound on sleeps does.

use crate::sys::thread::{self, Thread};

/// In force until it is dropped.
pub(crate) struct Will(Option<&'static Thread>);

impl Will {
    /// Leaves a wake-up to a sleeper on `word`.
    ///
    /// # Safety
    /// While it is in force, `word` must stay mapped, and its low 30 bits 0.
    pub(crate) unsafe fn leave(word: *const u32) -> Self {
        // SAFETY: by contract.
        unsafe { Self::of(thread::current(), word) }
    }

    /// As [`Will::leave`], but may be called in a signal handler. It has no force if the handler
    /// interrupted something that has a will of its own, or a program that has not used forq yet.
    ///
    /// # Safety
    /// As [`Will::leave`].
    pub(super) unsafe fn leave_in_handler(word: *const u32) -> Self {
        match thread::in_handler() {
            // SAFETY: by contract.
            Some(thread) => unsafe { Self::of(thread, word) },
            None => Self(None),
        }
    }

    /// # Safety
    /// As [`Will::leave`].
    unsafe fn of(thread: &'static Thread, word: *const u32) -> Self {
        if cfg!(forq_fault = "no_will") {
            return Self(None);
        }
        // SAFETY: by contract.
        Self(unsafe { thread.bequeath(word) }.then_some(thread))
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        if let Some(thread) = self.0 {
            thread.clear_pending();
        }
    }
}
