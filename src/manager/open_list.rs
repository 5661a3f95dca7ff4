//! A list, locked: an array of the items' offsets, which grows.

use super::heap::LINK;
use super::log::{Log, Transaction};
use super::root::Core;
use super::space::{DAMAGED, InPlace, padded};
use crate::error::{Error, Result};
use crate::shared::held::Held;
use crate::sync::raw::RawMutex;
use crate::sys::atomic::{AtomicU64, Ordering};

/// An item: the link of the chain that it is born in, its size, its bytes.
pub(super) const SIZE: u64 = LINK + 8;
pub(super) const BYTES: u64 = SIZE + 8;
/// An array's block begins with the link.
pub(super) const BEFORE_ARRAY: u64 = LINK + 8;

/// Zeroed, but for the kind: empty.
#[repr(C, align(64))]
pub(super) struct ListRoot {
    _kind: AtomicU64,
    /// The first slot; 0: none.
    pub(super) array: AtomicU64,
    capacity: AtomicU64,
    pub(super) len: AtomicU64,
    /// The chain of what is allocated and not yet in the list.
    pub(super) pending: AtomicU64,
    /// Items past the end that are still to be freed.
    pub(super) drained: AtomicU64,
    _line: [u64; 2],
    /// What is under way that takes many stores: see [`shift`](super::shift).
    pub(super) shifting: AtomicU64,
    pub(super) index: AtomicU64,
    pub(super) progress: AtomicU64,
    pub(super) item: AtomicU64,
    _line2: [u64; 4],
    lock: RawMutex,
    log: Log<7>,
}

// SAFETY: atomics and a lock.
unsafe impl InPlace for ListRoot {}

/// A list, locked, and as whole as its last holder would have left it.
pub(super) struct OpenList<'a> {
    pub(super) core: &'a Core,
    pub(super) root: &'a ListRoot,
    _held: Held<'a>,
}

impl ListRoot {
    #[cfg(feature = "std")]
    pub(super) fn raw(&self) -> &RawMutex {
        &self.lock
    }

    /// Locks it, and finishes or undoes what a dead holder left.
    #[inline]
    pub(super) fn open<'a>(&'a self, core: &'a Core) -> Result<OpenList<'a>> {
        let (held, died) = Held::take(&self.lock)?;
        let open = OpenList { core, root: self, _held: held };
        if died {
            open.recover()?;
        }
        Ok(open)
    }
}

impl<'a> OpenList<'a> {
    #[cold]
    fn recover(&self) -> Result<()> {
        // The dead one's last words may stand in the heap's log: they come first.
        let heap = self.core.heap()?;
        self.root.log.replay(&self.core.space);
        drop(heap);
        self.finish_shift()?;
        self.core.heap()?.free_chain(&self.root.pending)?;
        if self.root.drained.load(Ordering::Relaxed) != 0 {
            self.drain()?;
        }
        let _ = self.root.lock.consistent();
        Ok(())
    }

    pub(super) fn begin(&self) -> Transaction<'a> {
        self.root.log.begin(&self.core.space)
    }

    pub(super) fn len(&self) -> u64 {
        self.root.len.load(Ordering::Relaxed)
    }

    /// The slot of an item: `OutOfRange` past the end.
    pub(super) fn slot(&self, index: u64) -> Result<&'a AtomicU64> {
        if index >= self.len() {
            return Err(Error::OutOfRange);
        }
        self.slot_at(index)
    }

    /// A slot, used or not.
    #[inline]
    pub(super) fn slot_at(&self, index: u64) -> Result<&'a AtomicU64> {
        let array = self.root.array.load(Ordering::Relaxed);
        let at = index.checked_mul(8).and_then(|offset| array.checked_add(offset)).ok_or(DAMAGED)?;
        if array == 0 {
            return Err(DAMAGED);
        }
        self.core.space.word(at)
    }

    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of the manager's memory.
    pub(super) unsafe fn load(&self, item: u64, into: *mut u8, capacity: usize) -> Result<usize> {
        let size = self.core.space.read(item.checked_add(SIZE).ok_or(DAMAGED)?)?;
        // SAFETY: by contract.
        unsafe { self.core.space.load_fitting(item.wrapping_add(BYTES), size, into, capacity) }
    }

    /// An item that is in no slot yet, first in the chain.
    pub(super) fn prepare(&self, bytes: &[u8]) -> Result<u64> {
        let room = (bytes.len() as u64).checked_add(BYTES).ok_or(Error::OutOfSpace)?;
        let item = self.core.heap()?.allocate(padded(room), &self.root.pending)?;
        self.core.space.write(item.wrapping_add(SIZE), bytes.len() as u64)?;
        self.core.space.store(item.wrapping_add(BYTES), bytes)?;
        Ok(item)
    }

    pub(super) fn commit_push(&self, item: u64) -> Result<()> {
        let len = self.len();
        // Nobody looks past the end.
        self.slot_at(len)?.store(item, Ordering::Relaxed);
        let mut transaction = self.begin();
        transaction.set(&self.root.len, len + 1);
        transaction.set(&self.root.pending, 0);
        transaction.commit()
    }

    /// What was allocated for an operation that cannot be done is freed.
    #[cold]
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(super) fn give_back<R>(&self, error: Error) -> Result<R> {
        self.core.heap()?.free_chain(&self.root.pending)?;
        Err(error)
    }

    /// Makes room for so many more slots: twice as many as there are, or fewer if there is no memory for that.
    pub(super) fn reserve(&self, more: u64) -> Result<()> {
        let capacity = self.root.capacity.load(Ordering::Relaxed);
        let need = self.len().checked_add(more).ok_or(Error::OutOfSpace)?;
        if need <= capacity {
            return Ok(());
        }
        match self.grow(need.max(capacity.saturating_mul(2)).max(4)) {
            Err(Error::OutOfSpace) => self.grow(need),
            result => result,
        }
    }

    #[cold]
    fn grow(&self, capacity: u64) -> Result<()> {
        let space = &self.core.space;
        let room = capacity
            .checked_mul(8)
            .and_then(|room| room.checked_add(BEFORE_ARRAY))
            .ok_or(Error::OutOfSpace)?;
        let array = self.core.heap()?.allocate(room, &self.root.pending)? + BEFORE_ARRAY;
        for index in 0..self.len() {
            space.write(array + 8 * index, self.slot_at(index)?.load(Ordering::Relaxed))?;
        }
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(&self.root.array, array);
        transaction.set(&self.root.capacity, capacity);
        transaction.set(&self.root.pending, 0);
        let old = self.root.array.load(Ordering::Relaxed);
        if old != 0 {
            heap.plan_freeing(&mut transaction, old.checked_sub(BEFORE_ARRAY).ok_or(DAMAGED)?)?;
        }
        transaction.commit()
    }

    /// Takes the last item away, and frees it.
    pub(super) fn drop_last(&self) -> Result<()> {
        let last = self.len().checked_sub(1).ok_or(DAMAGED)?;
        let item = self.slot(last)?.load(Ordering::Relaxed);
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(&self.root.len, last);
        heap.plan_freeing(&mut transaction, item)?;
        transaction.commit()
    }

    /// Frees what a clear has taken out of the list, from the end on, then the array.
    pub(super) fn drain(&self) -> Result<()> {
        let heap = self.core.heap()?;
        loop {
            let drained = self.root.drained.load(Ordering::Relaxed);
            let mut transaction = heap.begin();
            if let Some(last) = drained.checked_sub(1) {
                transaction.set(&self.root.drained, last);
                heap.plan_freeing(&mut transaction, self.slot_at(last)?.load(Ordering::Relaxed))?;
                transaction.commit()?;
                continue;
            }
            let array = self.root.array.load(Ordering::Relaxed);
            if array != 0 {
                transaction.set(&self.root.array, 0);
                transaction.set(&self.root.capacity, 0);
                heap.plan_freeing(&mut transaction, array.checked_sub(BEFORE_ARRAY).ok_or(DAMAGED)?)?;
            }
            return transaction.commit();
        }
    }
}
