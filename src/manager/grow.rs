//! How a shard's table grows: a new one of twice as many buckets is filled beside the old one, one transaction puts it in its place
//! and frees that, then the lists that two buckets now share are cut. Whoever dies before the transaction leaves the old table, after
//! it the cutting, which may be done again.

use super::heap::LINK;
use super::shard::{NEXT, ORDER, Open, leading};
use super::space::DAMAGED;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;

/// A table's block begins with the link of the chain that it is born in.
pub(super) const BEFORE_TABLE: u64 = LINK + 8;
/// Buckets of the first table, as a power of two.
const FIRST_BITS: u32 = 3;

impl Open<'_> {
    /// Makes room for one more than `count` entries: true, if lists have changed. Without memory for it lists get longer instead; only a first table
    /// must be had: `OutOfSpace`.
    #[inline]
    pub(super) fn grow_for(&self, count: u64) -> Result<bool> {
        let has_table = self.shard.table.load(Ordering::Relaxed) != 0;
        if has_table && count < 1 << self.table_bits()? {
            return Ok(false);
        }
        self.grow(has_table)
    }

    #[cold]
    fn grow(&self, has_table: bool) -> Result<bool> {
        let old_bits = self.table_bits()?;
        let bits = if has_table { old_bits + 1 } else { FIRST_BITS };
        // An order has no more bits to choose a bucket by.
        if bits > 40 {
            return Ok(false);
        }
        let heap = self.core.heap()?;
        let before = self.shard.pending.load(Ordering::Relaxed);
        let block = match heap.allocate(BEFORE_TABLE + (8 << bits), &self.shard.pending) {
            Ok(block) => block,
            Err(Error::OutOfSpace) if has_table => return Ok(false),
            Err(error) => {
                drop(heap);
                return self.give_back(error);
            }
        };
        drop(heap);
        let table = block + BEFORE_TABLE;
        let old = self.shard.table.load(Ordering::Relaxed);
        self.fill(table, bits, has_table.then_some((old, old_bits)))?;
        let heap = self.core.heap()?;
        let mut transaction = heap.begin();
        transaction.set(&self.shard.table, table);
        transaction.set(&self.shard.bits, bits.into());
        transaction.set(&self.shard.pending, before);
        transaction.set(&self.shard.trim, u64::from(has_table));
        if has_table {
            heap.plan_freeing(&mut transaction, old.checked_sub(BEFORE_TABLE).ok_or(DAMAGED)?)?;
        }
        transaction.commit()?;
        drop(heap);
        if has_table {
            self.cut_lists()?;
        }
        Ok(true)
    }

    /// What was allocated for an operation that cannot be done is freed.
    #[cold]
    pub(super) fn give_back<R>(&self, error: Error) -> Result<R> {
        self.core.heap()?.free_chain(&self.shard.pending)?;
        Err(error)
    }

    /// Points the buckets of a new table into the lists of the old one.
    fn fill(&self, table: u64, bits: u32, old: Option<(u64, u32)>) -> Result<()> {
        let space = &self.core.space;
        let Some((old, old_bits)) = old else {
            return (0..1 << bits).try_for_each(|index| space.write(table + 8 * index, 0));
        };
        let mut steps = space.most_steps();
        for index in 0..1u64 << old_bits {
            let first = space.read(old.checked_add(8 * index).ok_or(DAMAGED)?)?;
            let mut second = first;
            while second != 0 && self.bucket_of(second, bits)? == 2 * index {
                second = space.read(second + NEXT)?;
                steps = steps.checked_sub(1).ok_or(DAMAGED)?;
            }
            space.write(table + 16 * index, if first == second { 0 } else { first })?;
            space.write(table + 16 * index + 8, second)?;
        }
        Ok(())
    }

    fn bucket_of(&self, entry: u64, bits: u32) -> Result<u64> {
        Ok(leading(self.core.space.read(entry.wrapping_add(ORDER))?, self.prefix, bits))
    }

    /// Ends each list where its bucket ends.
    pub(super) fn cut_lists(&self) -> Result<()> {
        let space = &self.core.space;
        let (table, bits) = (self.shard.table.load(Ordering::Relaxed), self.table_bits()?);
        let mut steps = space.most_steps();
        for index in (0..1u64 << bits).step_by(2) {
            let mut entry = space.read(table.checked_add(8 * index).ok_or(DAMAGED)?)?;
            while entry != 0 {
                let next = space.read(entry.wrapping_add(NEXT))?;
                if next != 0 && self.bucket_of(next, bits)? != index {
                    space.write(entry.wrapping_add(NEXT), 0)?;
                    break;
                }
                entry = next;
                steps = steps.checked_sub(1).ok_or(DAMAGED)?;
            }
        }
        self.shard.trim.store(0, Ordering::Relaxed);
        Ok(())
    }
}
