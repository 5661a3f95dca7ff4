//! Whom a side must wake.

use crate::sys::atomic::{Ordering, modelled};
use crate::sys::futex;
use crate::sys::thread::Thread;

/// The word of a side at which the other side sleeps. While messages flow it is 0: one load and one test.
///
/// | part | bits | meaning | changed by |
/// |---|---|---|---|
/// | none | 0-29 | always 0: a thread's *will* may name the word, and the kernel must not take it for a thread's id | |
/// | `WAITED_FOR` | 31 | the other side may sleep: who moves this side on must wake it | who is about to sleep; cleared by who wakes it |
/// | `CLOSED` | 32 | the channel is closed | whoever closes it |
///
/// Bits 0-31 are the futex.
#[repr(transparent)]
pub(super) struct Gate(modelled::AtomicU64);

const WAITED_FOR: u64 = 1 << 31;
const CLOSED: u64 = 1 << 32;

/// Where the low half stands.
const FUTEX_BYTE: usize = if cfg!(target_endian = "little") { 0 } else { 4 };

/// What was seen of a gate.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

impl Seen {
    #[inline(always)]
    pub(super) fn is(self, value: u64) -> bool {
        self.0 == value
    }

    #[inline(always)]
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    fn is_waited_for(self) -> bool {
        self.0 & WAITED_FOR != 0
    }

    /// What the kernel compares a sleeper's expectation with.
    pub(super) fn futex_word(self) -> u32 {
        self.0 as u32
    }
}

impl Gate {
    /// Its value while there is nothing to do.
    pub(super) const QUIET: u64 = 0;
    /// A value that it never has.
    pub(super) const NEVER: u64 = 1;

    pub(super) fn new() -> Self {
        Self(modelled::AtomicU64::new(0))
    }

    #[inline(always)]
    pub(super) fn look(&self) -> Seen {
        // Relaxed: what must be seen by then is ordered by barriers (see `side.rs`).
        Seen(self.0.load(Ordering::Relaxed))
    }

    /// The address of the half that is slept on. Only the kernel accesses it by itself.
    #[inline(always)]
    pub(super) fn futex(&self) -> *const u32 {
        modelled::futex(&self.0, FUTEX_BYTE)
    }

    /// Does what ends by waking who sleeps here: if this thread is killed in it, the kernel wakes them.
    pub(super) fn with_will(&self, thread: &Thread, act: impl FnOnce(&Self)) {
        let has_will = !cfg!(forq_fault = "no_will")
            // SAFETY: mapped as long as the channel; the futex half has no bits below 30.
            && unsafe { thread.bequeath(self.futex()) };
        act(self);
        if has_will {
            thread.clear_pending();
        }
    }

    /// Says that the other side may sleep from now on. A barrier must follow, and another look for what it waits for.
    pub(super) fn announce(&self) -> Seen {
        Seen(self.0.fetch_or(WAITED_FOR, Ordering::Relaxed) | WAITED_FOR)
    }

    /// Wakes who sleeps here, if somebody may. Whatever else stands there that should not is taken away.
    pub(super) fn wake(&self) {
        if self.look().0 & !CLOSED != 0 {
            // Relaxed: who is woken looks at the position that it waits for.
            self.0.fetch_and(CLOSED, Ordering::Relaxed);
            futex::wake(self.futex(), i32::MAX);
        }
    }

    /// Marks it, and wakes who sleeps here.
    pub(super) fn close(&self) {
        loop {
            let seen = self.0.load(Ordering::Relaxed);
            // AcqRel: what was committed before the channel was closed is seen by who sees that it is closed.
            if self.0.compare_exchange(seen, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            if Seen(seen).is_waited_for() {
                futex::wake(self.futex(), i32::MAX);
            }
            return;
        }
    }
}
