//! A part of a dict, with a lock of its own: a hash table whose entries stand in lists.
//!
//! Entries have a place in one *order*, that of the hashes of their keys. A bucket is a range of that order, and its list is sorted by it: so
//! a list is cut in two when the table grows, and nothing in it moves; and a cursor is a place in the order, which neither growth nor
//! any other change moves.
//!
//! ```text
//! entry   next | order | lengths of key and value | key, to the next word | value, to the next word
//! ```

use super::hash::hash;
use super::heap::LINK;
use super::log::{Log, Transaction};
use super::root::Core;
use super::space::{DAMAGED, InPlace, each_word, padded};
use crate::error::{Error, Result};
use crate::shared::held::Held;
use crate::sync::raw::RawMutex;
use crate::sys::atomic::{AtomicU64, Ordering};

/// The longest key, in bytes.
pub(super) const LONGEST_KEY: usize = 4096;
pub(super) const NEXT: u64 = LINK;
pub(super) const ORDER: u64 = 8;
pub(super) const LENGTHS: u64 = 16;
pub(super) const KEY: u64 = 24;
/// Values of at most so many words are replaced where they are.
const FEW_WORDS: u64 = 6;
/// The part of an order that is not the hash: tells apart entries whose hashes agree in the rest.
pub(super) const TWINS: u64 = 0xffff;

/// Zeroed: empty.
#[repr(C, align(64))]
pub(super) struct Shard {
    lock: RawMutex,
    /// The first bucket; 0: none.
    pub(super) table: AtomicU64,
    /// There are two to the power of this.
    pub(super) bits: AtomicU64,
    pub(super) count: AtomicU64,
    /// What is here counts only if this is the dict's.
    pub(super) epoch: AtomicU64,
    /// The chain of what is allocated and not yet in the table.
    pub(super) pending: AtomicU64,
    /// Not 0: the table has grown, and some lists are still to be cut.
    pub(super) trim: AtomicU64,
    /// Odd while what is here changes: see [`glance`](super::glance).
    pub(super) version: AtomicU64,
    _line: u64,
    log: Log<7>,
}

// SAFETY: atomics and a lock.
unsafe impl InPlace for Shard {}

/// A shard, locked, and as whole as its last holder would have left it.
pub(super) struct Open<'a> {
    pub(super) core: &'a Core,
    pub(super) shard: &'a Shard,
    /// Bits of an order that are the same in all of the shard.
    pub(super) prefix: u32,
    _held: Held<'a>,
}

/// Where a key is, or would be.
pub(super) struct Place<'a> {
    /// The word that holds `entry`, or would hold a new one; `None`: there is no table.
    link: Option<&'a AtomicU64>,
    /// 0: the key is absent.
    pub(super) entry: u64,
    /// What follows in the list.
    next: u64,
    order: u64,
    lengths: u64,
}

impl Place<'_> {
    pub(super) fn is_found(&self) -> bool {
        self.entry != 0
    }

    pub(super) fn value_size(&self) -> u64 {
        value_size(self.lengths)
    }

    fn value(&self) -> u64 {
        self.entry.wrapping_add(KEY + padded(key_size(self.lengths)))
    }
}

pub(super) fn key_size(lengths: u64) -> u64 {
    lengths >> 48
}

pub(super) fn value_size(lengths: u64) -> u64 {
    lengths & ((1 << 48) - 1)
}

/// The first `bits` bits of an order, after the first `skipped`.
#[inline(always)]
pub(super) fn leading(order: u64, skipped: u32, bits: u32) -> u64 {
    if bits == 0 { 0 } else { (order << skipped) >> (64 - bits) }
}

/// Refuses keys that are too long.
pub(super) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > LONGEST_KEY { Err(Error::InvalidArgument) } else { Ok(()) }
}

impl Shard {
    #[cfg(feature = "std")]
    pub(super) fn raw(&self) -> &RawMutex {
        &self.lock
    }

    /// Has the first entry brought near that an operation will look at, while that waits for the lock. Without the lock this is only a guess.
    #[inline(always)]
    pub(super) fn prefetch(&self, core: &Core, prefix: u32, hash: u64) {
        let (table, bits) = (self.table.load(Ordering::Relaxed), self.bits.load(Ordering::Relaxed));
        if table != 0 && bits <= 40 {
            let bucket = table.wrapping_add(8 * leading(hash, prefix, bits as u32));
            if let Ok(entry) = core.space.read(bucket) {
                core.space.prefetch(entry);
            }
        }
    }

    /// Locks it, and finishes or undoes what a dead holder left.
    #[inline]
    pub(super) fn open<'a>(&'a self, core: &'a Core, prefix: u32) -> Result<Open<'a>> {
        let (held, died) = Held::take(&self.lock)?;
        let open = Open { core, shard: self, prefix, _held: held };
        if died {
            open.recover()?;
        }
        Ok(open)
    }
}

impl<'a> Open<'a> {
    #[cold]
    fn recover(&self) -> Result<()> {
        // The dead one's last words may stand in the heap's log: they come first.
        let heap = self.core.heap()?;
        self.shard.log.replay(&self.core.space);
        heap.free_chain(&self.shard.pending)?;
        drop(heap);
        if self.shard.trim.load(Ordering::Relaxed) != 0 {
            self.cut_lists()?;
        }
        self.shard.settle();
        let _ = self.shard.lock.consistent();
        Ok(())
    }

    /// Whether this is still the holder: a caller's function may have forked.
    pub(super) fn is_mine(&self) -> bool {
        self._held.is_mine()
    }

    #[inline(always)]
    fn read(&self, at: u64) -> Result<u64> {
        self.core.space.read(at)
    }

    fn begin(&self) -> Transaction<'a> {
        self.shard.log.begin(&self.core.space)
    }

    /// The number of buckets, as a power of two; of a table.
    pub(super) fn table_bits(&self) -> Result<u32> {
        let bits = self.shard.bits.load(Ordering::Relaxed);
        if bits > 40 { Err(DAMAGED) } else { Ok(bits as u32) }
    }

    #[inline(always)]
    fn bucket(&self, table: u64, order: u64) -> Result<&'a AtomicU64> {
        let index = leading(order, self.prefix, self.table_bits()?);
        self.core.space.word(table.checked_add(8 * index).ok_or(DAMAGED)?)
    }

    /// Looks a key up. `hash` is its hash.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Result<Place<'a>> {
        let mut place = Place { link: None, entry: 0, next: 0, order: hash & !TWINS, lengths: 0 };
        let table = self.shard.table.load(Ordering::Relaxed);
        if table == 0 {
            return Ok(place);
        }
        let mut link = self.bucket(table, hash)?;
        // Where a new one would go: before the first entry of a later order.
        let mut new = None;
        for _ in 0..=self.core.space.most_steps() {
            let entry = link.load(Ordering::Relaxed);
            let order = if entry == 0 { u64::MAX } else { self.read(entry.wrapping_add(ORDER))? };
            let is_twin = order | TWINS == hash | TWINS;
            if entry == 0 || order > hash && !is_twin {
                let (link, next) = new.unwrap_or((link, entry));
                return Ok(Place { link: Some(link), next, ..place });
            }
            if is_twin {
                let lengths = self.read(entry.wrapping_add(LENGTHS))?;
                if key_size(lengths) == key.len() as u64
                    && self.core.space.equals(entry.wrapping_add(KEY), key)?
                {
                    let next = self.read(entry.wrapping_add(NEXT))?;
                    return Ok(Place { link: Some(link), entry, next, order, lengths });
                }
                if order == place.order {
                    place.order += 1;
                } else if new.is_none() {
                    new = Some((link, entry));
                }
            }
            link = self.core.space.word(entry.wrapping_add(NEXT))?;
        }
        Err(DAMAGED)
    }

    /// The first entry from this place in the order on.
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(super) fn first_from(&self, order: u64) -> Result<Option<u64>> {
        let table = self.shard.table.load(Ordering::Relaxed);
        if table == 0 {
            return Ok(None);
        }
        let bits = self.table_bits()?;
        let mut steps = self.core.space.most_steps();
        for index in leading(order, self.prefix, bits)..1 << bits {
            let mut entry = self.read(table.checked_add(8 * index).ok_or(DAMAGED)?)?;
            while entry != 0 {
                if self.read(entry.wrapping_add(ORDER))? >= order {
                    return Ok(Some(entry));
                }
                entry = self.read(entry.wrapping_add(NEXT))?;
                steps = steps.checked_sub(1).ok_or(DAMAGED)?;
            }
        }
        Ok(None)
    }

    /// Copies what a place holds out, as much of it as fits; gives its size.
    ///
    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of this space.
    #[inline]
    pub(super) unsafe fn value(&self, place: &Place<'_>, into: *mut u8, capacity: usize) -> Result<usize> {
        // SAFETY: by contract.
        unsafe { self.core.space.load_fitting(place.value(), place.value_size(), into, capacity) }
    }

    /// As [`Open::value`], of an entry's key and value: nothing is copied unless both fit. Gives both sizes, and the entry's order.
    ///
    /// # Safety
    /// As there, for both.
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(super) unsafe fn entry(
        &self,
        entry: u64,
        key: (*mut u8, usize),
        value: (*mut u8, usize),
    ) -> Result<(usize, usize, u64)> {
        let lengths = self.read(entry.wrapping_add(LENGTHS))?;
        let (key_size, value_size) = (key_size(lengths), value_size(lengths));
        let value_at = entry.wrapping_add(KEY + padded(key_size));
        if !self.core.space.holds(value_at, value_size) {
            return Err(DAMAGED);
        }
        let sizes = (key_size as usize, usize::try_from(value_size).map_err(|_| DAMAGED)?);
        if sizes.0 <= key.1 && sizes.1 <= value.1 {
            // SAFETY: by contract.
            unsafe {
                self.core.space.load(entry.wrapping_add(KEY), key.0, sizes.0)?;
                self.core.space.load(value_at, value.0, sizes.1)?;
            }
        }
        Ok((sizes.0, sizes.1, self.read(entry.wrapping_add(ORDER))?))
    }

    /// Gives a key a value.
    #[inline]
    pub(super) fn set(&self, place: Place<'a>, key: &[u8], value: &[u8]) -> Result<()> {
        let _changing = self.shard.change();
        if place.is_found() {
            return self.replace(&place, key, value);
        }
        self.insert(place, key, value)
    }

    fn replace(&self, place: &Place<'a>, key: &[u8], value: &[u8]) -> Result<()> {
        if value.len() as u64 == place.value_size() && padded(value.len() as u64) <= 8 * FEW_WORDS {
            let mut transaction = self.begin();
            let at = place.value();
            each_word(value, |index, word| {
                transaction.set_at(at.wrapping_add(8 * index), word);
                Ok(())
            })?;
            return transaction.commit();
        }
        let link = place.link.ok_or(DAMAGED)?;
        let entry = self.prepare(place.order, key, value)?;
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set_at(entry.wrapping_add(NEXT), place.next);
        transaction.set(link, entry);
        transaction.set(&self.shard.pending, 0);
        heap.plan_freeing(&mut transaction, place.entry)?;
        transaction.commit()
    }

    pub(super) fn insert(&self, mut place: Place<'a>, key: &[u8], value: &[u8]) -> Result<()> {
        let _changing = self.shard.change();
        let count = self.shard.count.load(Ordering::Relaxed);
        if place.order & TWINS == TWINS {
            return Err(Error::OutOfSpace);
        }
        let entry = self.prepare(place.order, key, value)?;
        if self.grow_for(count)? {
            // The lists are others now; the entry waits in the chain.
            place = self.find(place.order & !TWINS, key)?;
        }
        let link = place.link.ok_or(DAMAGED)?;
        let mut transaction = self.begin();
        transaction.set_at(entry.wrapping_add(NEXT), place.next);
        transaction.set(link, entry);
        transaction.set(&self.shard.pending, 0);
        transaction.set(&self.shard.count, count.wrapping_add(1));
        transaction.commit()
    }

    /// An entry that is in no list yet, first in the chain.
    fn prepare(&self, order: u64, key: &[u8], value: &[u8]) -> Result<u64> {
        let lengths = (key.len() as u64) << 48 | value.len() as u64;
        let room =
            (value.len() as u64).checked_add(KEY + padded(key.len() as u64)).ok_or(Error::OutOfSpace)?;
        if value.len() as u64 >= 1 << 48 {
            return Err(Error::OutOfSpace);
        }
        let entry = self.core.heap()?.allocate(padded(room), &self.shard.pending)?;
        let space = &self.core.space;
        space.write(entry.wrapping_add(ORDER), order)?;
        space.write(entry.wrapping_add(LENGTHS), lengths)?;
        space.store(entry.wrapping_add(KEY), key)?;
        space.store(entry.wrapping_add(KEY + padded(key.len() as u64)), value)?;
        Ok(entry)
    }

    /// Takes the entry of a place away.
    pub(super) fn remove(&self, place: &Place<'a>) -> Result<()> {
        let _changing = self.shard.change();
        let link = place.link.ok_or(DAMAGED)?;
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(link, place.next);
        transaction.set(&self.shard.count, self.shard.count.load(Ordering::Relaxed).wrapping_sub(1));
        heap.plan_freeing(&mut transaction, place.entry)?;
        transaction.commit()
    }

    /// Frees all that is here, which no longer counts: in steps, each of which leaves a shard that the next one can go on with.
    #[cold]
    pub(super) fn purge(&self, epoch: u64) -> Result<()> {
        let _changing = self.shard.change();
        let heap = self.core.heap()?;
        let (space, shard) = (&self.core.space, self.shard);
        let table = shard.table.load(Ordering::Relaxed);
        if table != 0 {
            let mut steps = space.most_steps();
            for index in 0..1u64 << self.table_bits()? {
                let bucket = space.word(table.checked_add(8 * index).ok_or(DAMAGED)?)?;
                loop {
                    let entry = bucket.load(Ordering::Relaxed);
                    if entry == 0 {
                        break;
                    }
                    steps = steps.checked_sub(1).ok_or(DAMAGED)?;
                    let mut transaction = heap.begin();
                    transaction.set(bucket, space.read(entry.wrapping_add(NEXT))?);
                    heap.plan_freeing(&mut transaction, entry)?;
                    transaction.commit()?;
                }
            }
        }
        let mut transaction = heap.begin();
        for (word, value) in [(&shard.table, 0), (&shard.bits, 0), (&shard.count, 0), (&shard.epoch, epoch)] {
            transaction.set(word, value);
        }
        if table != 0 {
            heap.plan_freeing(&mut transaction, table.wrapping_sub(super::grow::BEFORE_TABLE))?;
        }
        transaction.commit()
    }

    /// The hash of a key, under the manager's seed.
    #[inline(always)]
    pub(super) fn hash_of(core: &Core, key: &[u8]) -> u64 {
        hash(core.seed, key)
    }
}
