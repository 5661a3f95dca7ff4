//! Memory for what collections hold: blocks in the space, found by offset, split and joined.
//!
//! ```text
//! used block   size and flags | what the user puts there ...
//! free block   size and flags | next in its list | previous | ... | size
//! ```
//! Sizes are multiples of 16. A block knows whether the one before it is used; if not, that one's size stands just before it. After the last
//! block comes what was never used, or is free again, up to the end: the top. (D. Knuth's boundary tags; the
//! top is from D. Lea's malloc.)
//!
//! Every change is a transaction of the heap's log, under its lock, which is taken last. What is allocated goes to a word of
//! the collection that asked in the same transaction, and what is freed leaves its place in it: so no death loses a block.

use super::bins::{self, BINS, WORDS};
use super::log::{Log, Transaction};
use super::space::{DAMAGED, InPlace, Space};
use crate::error::{Error, Result};
use crate::shared::held::Held;
use crate::sync::raw::RawMutex;
use crate::sys::atomic::{AtomicU64, Ordering};

/// Bytes before what the user has of a block.
pub(super) const HEAD: u64 = 8;
const LEAST: u64 = 32;
/// In the first word, beside the size.
pub(super) const USED: u64 = 1;
pub(super) const PREVIOUS_USED: u64 = 2;
const FLAGS: u64 = 15;
/// Of free blocks.
pub(super) const NEXT: u64 = 8;
pub(super) const PREVIOUS: u64 = 16;
/// Of the first word that a user has: the chain of what is allocated but not yet in a collection goes through it.
pub(super) const LINK: u64 = 0;

/// Where the heap keeps account. Zeroed, but for the top: empty.
#[repr(C, align(64))]
pub(super) struct HeapRoot {
    lock: RawMutex,
    /// Where the top begins.
    pub(super) top: AtomicU64,
    /// Bytes of used blocks.
    pub(super) used: AtomicU64,
    /// Which lists have blocks.
    pub(super) filled: [AtomicU64; WORDS],
    /// The first block of each list.
    pub(super) first: [AtomicU64; BINS],
    log: Log<32>,
}

// SAFETY: atomics and a lock.
unsafe impl InPlace for HeapRoot {}

/// The heap, locked.
pub(super) struct Heap<'a> {
    pub(super) space: &'a Space,
    pub(super) root: &'a HeapRoot,
    _held: Held<'a>,
}

impl HeapRoot {
    #[cfg(feature = "std")]
    pub(super) fn raw(&self) -> &RawMutex {
        &self.lock
    }

    /// Makes the heap empty: from here to the end of the space. Before anybody else knows of it.
    pub(super) fn initialize(&self, from: u64) {
        self.top.store(from, Ordering::Relaxed);
    }

    /// Locks it. After a death, what was declared is done. An operation that has begun goes on whatever signals come.
    #[inline]
    pub(super) fn lock<'a>(&'a self, space: &'a Space) -> Result<Heap<'a>> {
        let (held, died) = loop {
            match Held::take(&self.lock) {
                Err(Error::Interrupted) => {}
                result => break result?,
            }
        };
        if died {
            self.log.replay(space);
            let _ = self.lock.consistent();
        }
        Ok(Heap { space, root: self, _held: held })
    }
}

/// The size of a block with room for so many bytes.
fn block_size(room: u64) -> Result<u64> {
    let size = room.checked_add(HEAD + 15).ok_or(Error::OutOfSpace)? & !15;
    Ok(size.max(LEAST))
}

impl<'a> Heap<'a> {
    #[inline(always)]
    pub(super) fn begin(&self) -> Transaction<'a> {
        self.root.log.begin(self.space)
    }

    /// Bytes in used blocks, and in the whole heap.
    pub(super) fn account(&self, from: u64) -> (u64, u64) {
        (self.root.used.load(Ordering::Relaxed), self.space.size() - from)
    }

    /// Allocates room for so many bytes, at the head of a chain of what is not yet in a collection.
    #[inline]
    pub(super) fn allocate(&self, room: u64, pending: &AtomicU64) -> Result<u64> {
        let mut transaction = self.begin();
        let place = self.plan_allocation(&mut transaction, room)?;
        transaction.set_at(place.wrapping_add(LINK), pending.load(Ordering::Relaxed));
        transaction.set(pending, place);
        transaction.commit()?;
        Ok(place)
    }

    /// Frees the blocks of such a chain.
    pub(super) fn free_chain(&self, pending: &AtomicU64) -> Result<()> {
        loop {
            let place = pending.load(Ordering::Relaxed);
            if place == 0 || cfg!(forq_fault = "no_chain") {
                return Ok(());
            }
            let mut transaction = self.begin();
            transaction.set(pending, self.space.read(place.wrapping_add(LINK))?);
            self.plan_freeing(&mut transaction, place)?;
            transaction.commit()?;
        }
    }

    /// Plans to take a block; at most one in a transaction.
    fn plan_allocation(&self, transaction: &mut Transaction<'_>, room: u64) -> Result<u64> {
        let want = block_size(room)?;
        let block = match self.find(want)? {
            Some(block) => {
                self.take(transaction, block, want)?;
                block
            }
            None => self.take_from_top(transaction, want)?,
        };
        Ok(block + HEAD)
    }

    fn take_from_top(&self, transaction: &mut Transaction<'_>, want: u64) -> Result<u64> {
        let top = self.root.top.load(Ordering::Relaxed);
        let end = self.space.size();
        if top % 16 != 0 || top > end {
            return Err(DAMAGED);
        }
        if end - top < want {
            return Err(Error::OutOfSpace);
        }
        transaction.set_at(top, want | USED | PREVIOUS_USED);
        transaction.set(&self.root.top, top + want);
        self.count(transaction, want as i64);
        Ok(top)
    }

    fn count(&self, transaction: &mut Transaction<'_>, by: i64) {
        let used = self.root.used.load(Ordering::Relaxed);
        transaction.set(&self.root.used, used.wrapping_add_signed(by));
    }

    /// A free block of at least this size. `None`: only the top may have one.
    fn find(&self, want: u64) -> Result<Option<u64>> {
        /// Blocks of a mixed list that are looked at before the top is cut.
        const SOME: u64 = 8;
        let fitting = bins::fitting(want);
        if let Some(bin) = self.filled_from(fitting) {
            return Ok(Some(self.root.first[bin].load(Ordering::Relaxed)));
        }
        if bins::of(want) == fitting {
            return Ok(None);
        }
        let has_top = self.space.size().saturating_sub(self.root.top.load(Ordering::Relaxed)) >= want;
        let steps = if has_top { SOME } else { self.space.most_steps() };
        let mut block = self.root.first.get(bins::of(want)).ok_or(DAMAGED)?.load(Ordering::Relaxed);
        for _ in 0..steps {
            if block == 0 {
                break;
            }
            if self.space.read(block)? & !FLAGS >= want {
                return Ok(Some(block));
            }
            block = self.space.read(block.wrapping_add(NEXT))?;
        }
        Ok(None)
    }

    /// The first list from this one on that has blocks.
    fn filled_from(&self, bin: usize) -> Option<usize> {
        let mut mask = u64::MAX << (bin % 64);
        for index in bin / 64..WORDS {
            let word = self.root.filled[index].load(Ordering::Relaxed) & mask;
            if word != 0 {
                let bin = index * 64 + word.trailing_zeros() as usize;
                return (bin < BINS).then_some(bin);
            }
            mask = u64::MAX;
        }
        None
    }

    /// The size of a block, which lies below the top.
    pub(super) fn size_of(&self, block: u64, first_word: u64) -> Result<u64> {
        let size = first_word & !FLAGS;
        let end = block.checked_add(size).ok_or(DAMAGED)?;
        if size < LEAST || block % 16 != 0 || end > self.space.size() {
            return Err(DAMAGED);
        }
        Ok(size)
    }

    /// Plans to use a free block, and to keep free what is left of it.
    fn take(&self, transaction: &mut Transaction<'_>, block: u64, want: u64) -> Result<()> {
        let first_word = self.space.read(block)?;
        let size = self.size_of(block, first_word)?;
        let rest = size.checked_sub(want).ok_or(DAMAGED)?;
        self.unlink(transaction, block, size)?;
        let taken = if rest >= LEAST {
            self.link(transaction, block + want, rest)?;
            want
        } else {
            let after = block + size;
            transaction.set_at(after, self.space.read(after)? | PREVIOUS_USED);
            size
        };
        transaction.set_at(block, taken | USED | first_word & PREVIOUS_USED);
        self.count(transaction, taken as i64);
        Ok(())
    }

    /// Plans to free a block; at most one in a transaction.
    pub(super) fn plan_freeing(&self, transaction: &mut Transaction<'_>, place: u64) -> Result<()> {
        let block = place.checked_sub(HEAD).ok_or(DAMAGED)?;
        let first_word = self.space.read(block)?;
        if first_word & USED == 0 {
            return Err(DAMAGED);
        }
        let size = self.size_of(block, first_word)?;
        self.count(transaction, -(size as i64));
        let (mut start, mut whole) = (block, size);
        if first_word & PREVIOUS_USED == 0 {
            let before = self.space.read(block.checked_sub(8).ok_or(DAMAGED)?)?;
            start = block.checked_sub(before).ok_or(DAMAGED)?;
            self.unlink(transaction, start, self.size_of(start, before)?)?;
            whole += before;
        }
        let after = block + size;
        if after == self.root.top.load(Ordering::Relaxed) {
            transaction.set(&self.root.top, start);
            return Ok(());
        }
        let following = self.space.read(after)?;
        if following & USED == 0 {
            let size = self.size_of(after, following)?;
            self.unlink(transaction, after, size)?;
            whole += size;
        } else {
            transaction.set_at(after, following & !PREVIOUS_USED);
        }
        self.link(transaction, start, whole)
    }

    /// Plans to take a free block out of its list.
    fn unlink(&self, transaction: &mut Transaction<'_>, block: u64, size: u64) -> Result<()> {
        let bin = bins::of(size);
        let next = transaction.get_at(block.wrapping_add(NEXT))?;
        let previous = transaction.get_at(block.wrapping_add(PREVIOUS))?;
        if next != 0 {
            transaction.set_at(next.wrapping_add(PREVIOUS), previous);
        }
        if previous != 0 {
            transaction.set_at(previous.wrapping_add(NEXT), next);
            return Ok(());
        }
        transaction.set(&self.root.first[bin], next);
        if next == 0 {
            let filled = self.space.offset_of(&self.root.filled[bin / 64]);
            let bits = transaction.get_at(filled)?;
            transaction.set_at(filled, bits & !(1 << (bin % 64)));
        }
        Ok(())
    }

    /// Plans to make a free block of these bytes, the first of its list. The blocks around it are used.
    fn link(&self, transaction: &mut Transaction<'_>, block: u64, size: u64) -> Result<()> {
        let bin = bins::of(size);
        let first = transaction.get_at(self.space.offset_of(&self.root.first[bin]))?;
        transaction.set_at(block, size | PREVIOUS_USED);
        transaction.set_at(block + size - 8, size);
        transaction.set_at(block.wrapping_add(NEXT), first);
        transaction.set_at(block.wrapping_add(PREVIOUS), 0);
        transaction.set(&self.root.first[bin], block);
        if first != 0 {
            transaction.set_at(first.wrapping_add(PREVIOUS), block);
        } else {
            let filled = self.space.offset_of(&self.root.filled[bin / 64]);
            let bits = transaction.get_at(filled)?;
            transaction.set_at(filled, bits | 1 << (bin % 64));
        }
        Ok(())
    }
}
