//! A list of byte strings: what is done with it under its one lock.

use super::open_list::{BYTES, ListRoot, OpenList, SIZE};
use super::root::{CollectionKind, Core};
use super::space::{DAMAGED, each_word, padded};
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;

/// Items of at most so many words are replaced where they are.
const FEW_WORDS: u64 = 6;

/// A list as one process has it.
#[derive(Clone, Copy)]
pub(crate) struct RawList<'a> {
    core: &'a Core,
    root: u64,
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
        self.core.space.place::<ListRoot>(self.root)?.open(self.core)
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
        // Items do not overlap.
        let mut left = open.core.space.size();
        for index in from as u64..to {
            let item = open.slot(index)?.load(Ordering::Relaxed);
            let size = open.core.space.read(item.wrapping_add(SIZE))?;
            left = left.checked_sub(size).ok_or(DAMAGED)?;
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
