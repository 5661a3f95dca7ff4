//! What forq knows of the calling thread, for the model checker: an id. There is no robust list, and nobody dies or forks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::robust::{Node, Pending};
use crate::sync::raw::RawMutex;
use crate::sync::state;

/// One per thread of loom's.
pub(crate) struct Thread {
    locked: u64,
}

loom::thread_local! {
    static THREAD: Thread = Thread { locked: state::locked_by(next_id()) };
}

/// Ids are never used twice, but for a wrap-around after some hundred million executions.
fn next_id() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

/// The calling thread's block.
pub(crate) fn current() -> &'static Thread {
    // SAFETY: it lives as long as the thread, and the reference stays in calls of the thread.
    THREAD.with(|thread| unsafe { &*core::ptr::from_ref(thread) })
}

/// As [`current`].
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn known() -> &'static Thread {
    current()
}

/// There are no handlers.
pub(crate) fn in_handler() -> Option<&'static Thread> {
    None
}

/// There are no forks.
pub(crate) fn generation() -> u64 {
    1
}

/// As there are no forks.
pub(crate) fn is_generation_word(generation: u64) -> bool {
    generation == 1
}

/// The word behind [`generation`].
pub(crate) fn generation_word() -> &'static AtomicU64 {
    static WORD: AtomicU64 = AtomicU64::new(1);
    &WORD
}

#[expect(clippy::unused_self, reason = "the face of the real one")]
impl Thread {
    pub(crate) fn locked(&self) -> u64 {
        self.locked
    }

    pub(crate) fn generation(&self) -> u64 {
        1
    }

    pub(crate) fn tid(&self) -> u32 {
        self.locked as u32
    }

    pub(crate) fn next_wait(&self) -> u32 {
        1
    }

    pub(crate) fn each_held(&self, _visit: impl FnMut(&RawMutex)) {}

    pub(crate) fn pid(&self) -> u32 {
        1
    }

    pub(crate) fn is_robust(&self) -> bool {
        false
    }

    pub(crate) fn is_interruptible(&self) -> bool {
        false
    }

    pub(crate) fn set_interruptible(&self, _on: bool) -> bool {
        false
    }

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn set_pending(&self, _node: &Node) {}

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn set_pending_word(&self, _word: *const u32) {}

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn bequeath(&self, _word: *const u32) -> bool {
        false
    }

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn bequeath_over(&self, _word: *const u32) -> Pending {
        Pending::NONE
    }

    pub(crate) fn restore_pending(&self, _before: Pending) {}

    pub(crate) fn clear_pending(&self) {}

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn link(&self, _node: &Node) {}

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn unlink(&self, _node: &Node) {}

    pub(crate) fn holds_within(&self, _range: &core::ops::Range<usize>) -> bool {
        false
    }

    pub(crate) fn holds_lock(&self) -> bool {
        false
    }
}

/// # Safety
/// None is needed.
pub(crate) unsafe fn adopt_after_clone() {}
