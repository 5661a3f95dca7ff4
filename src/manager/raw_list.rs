//! A list of byte strings: an array of the items' offsets, which grows, under one lock.

use super::heap::LINK;
use super::log::{Log, Transaction};
use super::root::{CollectionKind, Core};
use super::space::{DAMAGED, InPlace, each_word, padded};
use crate::error::{Error, Result};
use crate::shared::held::Held;
use crate::sync::raw::RawMutex;
use crate::sys::atomic::{AtomicU64, Ordering};

/// An item: the link of the chain that it is born in, its size, its bytes.
const SIZE: u64 = LINK + 8;
const BYTES: u64 = SIZE + 8;
/// An array's block begins with the link.
pub(super) const BEFORE_ARRAY: u64 = LINK + 8;
/// Items of at most so many words are replaced where they are.
const FEW_WORDS: u64 = 6;

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

/// A list as one process has it.
#[derive(Clone, Copy)]
pub(crate) struct RawList<'a> {
    core: &'a Core,
    root: u64,
}

/// A list, locked, and as whole as its last holder would have left it.
pub(super) struct OpenList<'a> {
    pub(super) core: &'a Core,
    pub(super) root: &'a ListRoot,
    _held: Held<'a>,
}

#[cfg(feature = "std")]
impl ListRoot {
    pub(super) fn raw(&self) -> &RawMutex {
        &self.lock
    }
}

impl<'a> RawList<'a> {
    pub(crate) fn find_or_make(core: &'a Core, name: &[u8]) -> Result<Self> {
        let root = core.find_or_make(name, CollectionKind::List, size_of::<ListRoot>(), |_| Ok(()))?;
        Self::at(core, root)
    }

    pub(crate) fn make(core: &'a Core) -> Result<Self> {
        Self::at(core, core.make(CollectionKind::List, size_of::<ListRoot>(), |_| Ok(()))?)
    }

    /// The list whose root is there.
    pub(crate) fn at(core: &'a Core, root: u64) -> Result<Self> {
        let root = core.check_root(root, CollectionKind::List)?;
        Ok(Self { core, root })
    }

    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// As it was found before.
    #[cfg(feature = "capi")]
    pub(crate) fn known(core: &'a Core, root: u64) -> Self {
        Self { core, root }
    }

    #[inline]
    pub(super) fn open(&self) -> Result<OpenList<'a>> {
        self.core.enter()?;
        let root = self.core.space.place::<ListRoot>(self.root)?;
        let (held, died) = Held::take(&root.lock)?;
        let open = OpenList { core: self.core, root, _held: held };
        if died {
            open.recover()?;
        }
        Ok(open)
    }

    /// Has an item brought near while the operation on it waits for the lock. Without the lock this is only a guess.
    #[inline]
    fn prefetch(&self, index: u64) {
        if let Ok(root) = self.core.space.place::<ListRoot>(self.root) {
            let array = root.array.load(Ordering::Relaxed);
            if let Ok(item) = self.core.space.read(array.wrapping_add(index.wrapping_mul(8))) {
                self.core.space.prefetch(item);
            }
        }
    }

    pub(crate) fn len(&self) -> Result<usize> {
        let open = self.open()?;
        usize::try_from(open.len()).map_err(|_| DAMAGED)
    }

    pub(crate) fn push(&self, item: &[u8]) -> Result<()> {
        let open = self.open()?;
        open.reserve(1)?;
        let made = open.prepare(item)?;
        open.commit_push(made)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn extend<'b>(&self, items: impl Iterator<Item = &'b [u8]> + Clone) -> Result<()> {
        let open = self.open()?;
        let mut count = 0;
        open.reserve(items.clone().count() as u64)?;
        let len = open.len();
        for item in items {
            match open.prepare(item) {
                Ok(made) => open.slot_at(len + count)?.store(made, Ordering::Relaxed),
                Err(error) => return open.give_back(error),
            }
            count += 1;
        }
        let mut transaction = open.begin();
        transaction.set(&open.root.len, len + count);
        transaction.set(&open.root.pending, 0);
        transaction.commit()
    }

    /// Copies an item out if it fits; gives its size.
    ///
    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of the manager's memory.
    pub(crate) unsafe fn get(&self, index: usize, into: *mut u8, capacity: usize) -> Result<usize> {
        self.prefetch(index as u64);
        let open = self.open()?;
        let slot = open.slot(index as u64)?;
        // SAFETY: by contract.
        unsafe { open.load(slot.load(Ordering::Relaxed), into, capacity) }
    }

    /// Gives `visit` the items of a range, one after the other, under one lock; `usize::MAX` means up to the end.
    #[cfg(feature = "std")]
    pub(crate) fn slice(
        &self,
        from: usize,
        to: usize,
        mut visit: impl FnMut(std::vec::Vec<u8>),
    ) -> Result<()> {
        let open = self.open()?;
        let len = open.len();
        let to = if to == usize::MAX { len } else { to as u64 };
        if from as u64 > to || to > len {
            return Err(Error::OutOfRange);
        }
        for index in from as u64..to {
            let item = open.slot(index)?.load(Ordering::Relaxed);
            let size = open.core.space.read(item.wrapping_add(SIZE))?;
            if size > open.core.space.size() {
                return Err(DAMAGED);
            }
            let mut bytes = std::vec![0; size as usize];
            // SAFETY: so much room.
            unsafe { open.load(item, bytes.as_mut_ptr(), bytes.len())? };
            visit(bytes);
        }
        Ok(())
    }

    pub(crate) fn set(&self, index: usize, bytes: &[u8]) -> Result<()> {
        self.prefetch(index as u64);
        let open = self.open()?;
        let slot = open.slot(index as u64)?;
        let old = slot.load(Ordering::Relaxed);
        if open.core.space.read(old.wrapping_add(SIZE))? == bytes.len() as u64
            && padded(bytes.len() as u64) <= 8 * FEW_WORDS
        {
            let mut transaction = open.begin();
            each_word(bytes, |word, value| {
                transaction.set_at(old.wrapping_add(BYTES + 8 * word), value);
                Ok(())
            })?;
            return transaction.commit();
        }
        let made = open.prepare(bytes)?;
        let heap = open.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(slot, made);
        transaction.set(&open.root.pending, 0);
        heap.plan_freeing(&mut transaction, old)?;
        transaction.commit()
    }

    pub(crate) fn insert(&self, index: usize, item: &[u8]) -> Result<()> {
        let open = self.open()?;
        let (index, len) = (index as u64, open.len());
        if index > len {
            return Err(Error::OutOfRange);
        }
        open.reserve(1)?;
        let made = open.prepare(item)?;
        if index == len { open.commit_push(made) } else { open.shift_in(index) }
    }

    pub(crate) fn remove(&self, index: usize) -> Result<()> {
        let open = self.open()?;
        let index = index as u64;
        if index >= open.len() {
            return Err(Error::OutOfRange);
        }
        if index + 1 == open.len() { open.drop_last() } else { open.shift_out(index) }
    }

    /// Takes the last item away if it fits; gives its size.
    ///
    /// # Safety
    /// As [`RawList::get`].
    pub(crate) unsafe fn pop(&self, into: *mut u8, capacity: usize) -> Result<usize> {
        let open = self.open()?;
        let last = open.len().checked_sub(1).ok_or(Error::NotFound)?;
        let item = open.slot(last)?.load(Ordering::Relaxed);
        // SAFETY: by contract.
        let size = unsafe { open.load(item, into, capacity)? };
        if size <= capacity {
            open.drop_last()?;
        }
        Ok(size)
    }

    pub(crate) fn clear(&self) -> Result<()> {
        let open = self.open()?;
        let mut transaction = open.begin();
        transaction.set(&open.root.drained, open.len());
        transaction.set(&open.root.len, 0);
        transaction.commit()?;
        open.drain()
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
    /// As [`RawList::get`].
    unsafe fn load(&self, item: u64, into: *mut u8, capacity: usize) -> Result<usize> {
        let size = usize::try_from(self.core.space.read(item.checked_add(SIZE).ok_or(DAMAGED)?)?)
            .map_err(|_| DAMAGED)?;
        if size <= capacity {
            // SAFETY: by contract.
            unsafe { self.core.space.load(item.wrapping_add(BYTES), into, size)? };
        }
        Ok(size)
    }

    /// An item that is in no slot yet, first in the chain.
    fn prepare(&self, bytes: &[u8]) -> Result<u64> {
        let room = (bytes.len() as u64).checked_add(BYTES).ok_or(Error::OutOfSpace)?;
        let item = self.core.heap()?.allocate(padded(room), &self.root.pending)?;
        self.core.space.write(item.wrapping_add(SIZE), bytes.len() as u64)?;
        self.core.space.store(item.wrapping_add(BYTES), bytes)?;
        Ok(item)
    }

    fn commit_push(&self, item: u64) -> Result<()> {
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
    fn give_back<R>(&self, error: Error) -> Result<R> {
        self.core.heap()?.free_chain(&self.root.pending)?;
        Err(error)
    }

    /// Makes room for so many more slots: twice as many as there are, or fewer if there is no memory for that.
    fn reserve(&self, more: u64) -> Result<()> {
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
    fn drain(&self) -> Result<()> {
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
