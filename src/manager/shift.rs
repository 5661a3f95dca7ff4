//! How items move up or down in a list's array: many stores, of which any may be the last.
//!
//! What is under way is declared by one transaction, with the item that comes or goes; from then on it will be done, by whoever has the lock.
//! `progress` says which slot is being copied to its neighbour. It is stored before the copy, and what it names is overwritten only after
//! the next store to it: so the copy may be done again.

use super::open_list::OpenList;
use super::space::DAMAGED;
use crate::error::Result;
use crate::sys::atomic::{Ordering, compiler_fence};

/// What `shifting` says.
const NOTHING: u64 = 0;
const IN: u64 = 1;
const OUT: u64 = 2;

impl OpenList<'_> {
    /// Puts the item that is in the chain in a slot, and moves those from there on up by one; there is room.
    pub(super) fn shift_in(&self, index: u64) -> Result<()> {
        self.declare(IN, index, self.root.pending.load(Ordering::Relaxed), self.len())?;
        self.finish_shift()
    }

    /// Takes an item away, and moves those after it down by one.
    pub(super) fn shift_out(&self, index: u64) -> Result<()> {
        self.declare(OUT, index, self.slot_at(index)?.load(Ordering::Relaxed), index)?;
        self.finish_shift()
    }

    fn declare(&self, shifting: u64, index: u64, item: u64, progress: u64) -> Result<()> {
        let mut transaction = self.begin();
        transaction.set(&self.root.index, index);
        transaction.set(&self.root.item, item);
        transaction.set(&self.root.progress, progress);
        transaction.set(&self.root.shifting, shifting);
        transaction.commit()
    }

    /// Does what is declared and not yet done.
    pub(super) fn finish_shift(&self) -> Result<()> {
        match self.root.shifting.load(Ordering::Relaxed) {
            NOTHING => Ok(()),
            IN => self.finish_in(),
            OUT => self.finish_out(),
            _ => Err(DAMAGED),
        }
    }

    fn copy(&self, from: u64, to: u64) -> Result<()> {
        self.root.progress.store(from, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let item = self.slot_at(from)?.load(Ordering::Relaxed);
        self.slot_at(to)?.store(item, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    fn finish_in(&self) -> Result<()> {
        let (index, len) = (self.root.index.load(Ordering::Relaxed), self.len());
        // At first it is the length: nothing has been copied.
        let begun = self.root.progress.load(Ordering::Relaxed).saturating_add(1).min(len);
        for from in (index..begun).rev() {
            self.copy(from, from + 1)?;
        }
        let slot = self.slot_at(index)?;
        let mut transaction = self.begin();
        transaction.set(slot, self.root.item.load(Ordering::Relaxed));
        transaction.set(&self.root.len, len.saturating_add(1));
        transaction.set(&self.root.pending, 0);
        transaction.set(&self.root.shifting, NOTHING);
        transaction.commit()
    }

    fn finish_out(&self) -> Result<()> {
        let last = self.len().checked_sub(1).ok_or(DAMAGED)?;
        for to in self.root.progress.load(Ordering::Relaxed)..last {
            self.copy_down(to)?;
        }
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(&self.root.len, last);
        transaction.set(&self.root.shifting, NOTHING);
        heap.plan_freeing(&mut transaction, self.root.item.load(Ordering::Relaxed))?;
        transaction.commit()
    }

    /// As [`OpenList::copy`], of the slot after this one; `progress` names this one.
    fn copy_down(&self, to: u64) -> Result<()> {
        self.root.progress.store(to, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let item = self.slot_at(to + 1)?.load(Ordering::Relaxed);
        self.slot_at(to)?.store(item, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }
}
