//! Several words changed as one: what is to be written is written down first, one store declares it, then it is done.
//!
//! Whoever takes the lock that a log belongs to after its holder died does what was declared, again: the same words get the same values.
//! What had not been declared never was. Compiler fences order the stores: a process that is killed has executed a beginning of its
//! instructions, and the kernel hands the lock on after them.

use super::space::{DAMAGED, InPlace, Space};
use crate::error::Result;
use crate::sys::atomic::{AtomicU64, Ordering, compiler_fence};

/// Beside a lock: room for `N` writes.
#[repr(C)]
pub(super) struct Log<const N: usize> {
    /// How many of `writes` are declared; 0: none.
    declared: AtomicU64,
    /// Offset and value of each.
    writes: [[AtomicU64; 2]; N],
}

// SAFETY: atomics only.
unsafe impl<const N: usize> InPlace for Log<N> {}

impl<const N: usize> Log<N> {
    /// A transaction of the holder of the lock.
    #[inline(always)]
    pub(super) fn begin<'a>(&'a self, space: &'a Space) -> Transaction<'a> {
        Transaction { space, declared: &self.declared, writes: &self.writes, planned: 0, is_full: false }
    }

    /// Does again what a dead holder had declared.
    pub(super) fn replay(&self, space: &Space) {
        let declared = self.declared.load(Ordering::Relaxed);
        if cfg!(forq_fault = "no_replay") {
            return;
        }
        if cfg!(forq_fault = "early_end") {
            self.declared.store(0, Ordering::Relaxed);
        }
        let transaction = self.begin(space);
        if let Some(planned) = usize::try_from(declared).ok().filter(|&planned| planned <= N) {
            Transaction { planned, ..transaction }.apply();
        }
        self.declared.store(0, Ordering::Relaxed);
    }
}

/// Writes that are to be done together, or not at all if it is dropped.
pub(super) struct Transaction<'a> {
    space: &'a Space,
    declared: &'a AtomicU64,
    writes: &'a [[AtomicU64; 2]],
    planned: usize,
    is_full: bool,
}

impl<'a> Transaction<'a> {
    /// Plans to change a word of the space.
    #[inline(always)]
    pub(super) fn set(&mut self, word: &AtomicU64, value: u64) {
        self.set_at(self.space.offset_of(word), value);
    }

    /// As [`Transaction::set`], of the word at an offset.
    #[inline(always)]
    pub(super) fn set_at(&mut self, at: u64, value: u64) {
        match self.writes.get(self.planned) {
            Some([offset, planned]) => {
                offset.store(at, Ordering::Relaxed);
                planned.store(value, Ordering::Relaxed);
                self.planned += 1;
            }
            None => self.is_full = true,
        }
    }

    /// The word at an offset, as it will be.
    #[inline(always)]
    pub(super) fn get_at(&self, at: u64) -> Result<u64> {
        let planned = self.writes.get(..self.planned).unwrap_or_default();
        match planned.iter().rev().find(|[offset, _]| offset.load(Ordering::Relaxed) == at) {
            Some([_, value]) => Ok(value.load(Ordering::Relaxed)),
            None => self.space.read(at),
        }
    }

    /// Does what is planned.
    #[inline(always)]
    pub(super) fn commit(self) -> Result<()> {
        // No healthy memory needs more writes than there is room for.
        if self.is_full {
            return Err(DAMAGED);
        }
        compiler_fence(Ordering::SeqCst);
        self.declared.store(self.planned as u64, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.apply();
        compiler_fence(Ordering::SeqCst);
        self.declared.store(0, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// Offsets were planned inside the space; scribbled ones are passed over.
    #[inline(always)]
    fn apply(&self) {
        for [offset, value] in self.writes.iter().take(self.planned) {
            let _ = self.space.write(offset.load(Ordering::Relaxed), value.load(Ordering::Relaxed));
        }
    }
}
