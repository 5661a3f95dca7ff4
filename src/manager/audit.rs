//! For tests: where locks are; that every block of the heap is part of one collection, and that every account agrees.

use std::collections::HashSet;
use std::vec::Vec;

use super::bins::{self, BINS};
use super::grow::BEFORE_TABLE;
use super::heap::{HEAD, Heap, NEXT, PREVIOUS, PREVIOUS_USED, USED};
use super::open_list::BEFORE_ARRAY;
use super::raw_dict::RawDict;
use super::raw_list::RawList;
use super::root::{BLOCKS, CollectionKind, Core};
use super::shard::{LONGEST_KEY, ORDER, Open};
use super::space::DAMAGED;
use crate::error::Result;
use crate::sync::raw::RawMutex;
use crate::sys::atomic::Ordering;

impl Core {
    /// `Protocol` unless all agrees. Nobody may be using it.
    pub(crate) fn check(&self) -> Result<()> {
        self.enter()?;
        let mut known = HashSet::new();
        let mut is_twice = false;
        let directory = self.directory()?;
        directory.each_block(|block| is_twice |= !known.insert(block))?;
        let mut roots = Vec::new();
        let mut order = 0;
        while let Some(entry) = directory.first_from(order)? {
            let (mut listed, mut name) = ([0u64; 3], [0u8; LONGEST_KEY]);
            let value = (listed.as_mut_ptr().cast(), size_of_val(&listed));
            // SAFETY: so much room for both.
            let (_, _, here) = unsafe { directory.entry(entry, (name.as_mut_ptr(), name.len()), value)? };
            is_twice |= !known.insert(listed[2]);
            roots.push(listed);
            order = here.saturating_add(1);
        }
        drop(directory);
        for [root, kind, _] in roots {
            let mut visit = |block| is_twice |= !known.insert(block);
            if kind == CollectionKind::List as u64 {
                RawList::at(self, root)?.each_block(&mut visit)?;
            } else {
                RawDict::at(self, root)?.each_block(&mut visit)?;
            }
        }
        let mut unknown = 0;
        self.heap()?.check(|place| unknown += u64::from(!known.remove(&place)))?;
        if is_twice || unknown > 0 || !known.is_empty() { Err(DAMAGED) } else { Ok(()) }
    }
}

impl Core {
    /// Where the locks of the manager and of all its collections are. Nobody may be using it.
    pub(crate) fn locks(&self) -> Result<Vec<usize>> {
        let offset = |lock: &RawMutex| core::ptr::from_ref(lock).addr() - self.segment().range().start;
        let heap = offset(self.heap()?.root.raw());
        let mut locks = Vec::from([heap, offset(self.directory()?.shard.raw())]);
        let mut order = 0;
        loop {
            let mut listed = [0u64; 3];
            let directory = self.directory()?;
            let Some(entry) = directory.first_from(order)? else { return Ok(locks) };
            let (mut name, value) = ([0u8; LONGEST_KEY], (listed.as_mut_ptr().cast(), size_of_val(&listed)));
            // SAFETY: so much room for both.
            order = unsafe { directory.entry(entry, (name.as_mut_ptr(), name.len()), value)? }
                .2
                .saturating_add(1);
            drop(directory);
            let [root, kind, _] = listed;
            if kind == CollectionKind::List as u64 {
                locks.push(offset(RawList::at(self, root)?.open()?.root.raw()));
                continue;
            }
            let dict = RawDict::at(self, root)?;
            for index in 0..1 << dict.shard_bits() {
                locks.push(offset(dict.open(index)?.shard.raw()));
            }
        }
    }
}

impl Heap<'_> {
    /// Goes through all blocks; calls `visit` with each used one's place.
    fn check(&self, mut visit: impl FnMut(u64)) -> Result<()> {
        let top = self.root.top.load(Ordering::Relaxed);
        let (mut block, mut used, mut free, mut was_used) = (BLOCKS, 0, 0u64, true);
        while block < top {
            let first_word = self.space.read(block)?;
            let size = self.size_of(block, first_word)?;
            if (first_word & PREVIOUS_USED != 0) != was_used {
                return Err(DAMAGED);
            }
            was_used = first_word & USED != 0;
            if was_used {
                used += size;
                visit(block + HEAD);
            } else {
                free += 1;
                if self.space.read(block + size - 8)? != size || !self.is_listed(block, size)? {
                    return Err(DAMAGED);
                }
            }
            block += size;
        }
        let mut listed = 0;
        for bin in 0..BINS {
            listed += self.length(bin)?;
        }
        let agrees =
            block == top && was_used && used == self.root.used.load(Ordering::Relaxed) && listed == free;
        if agrees { Ok(()) } else { Err(DAMAGED) }
    }

    fn is_listed(&self, block: u64, size: u64) -> Result<bool> {
        let (next, previous) =
            (self.space.read(block.wrapping_add(NEXT))?, self.space.read(block.wrapping_add(PREVIOUS))?);
        let forth = if previous == 0 {
            self.root.first[bins::of(size)].load(Ordering::Relaxed)
        } else {
            self.space.read(previous.wrapping_add(NEXT))?
        };
        Ok(forth == block && (next == 0 || self.space.read(next.wrapping_add(PREVIOUS))? == block))
    }

    fn length(&self, bin: usize) -> Result<u64> {
        let (mut block, mut length) = (self.root.first[bin].load(Ordering::Relaxed), 0);
        let is_filled = self.root.filled[bin / 64].load(Ordering::Relaxed) >> (bin % 64) & 1 == 1;
        if is_filled != (block != 0) {
            return Err(DAMAGED);
        }
        while block != 0 && length <= self.space.most_steps() {
            length += 1;
            block = self.space.read(block.wrapping_add(NEXT))?;
        }
        Ok(length)
    }
}

impl Open<'_> {
    /// Calls `visit` with every block that the shard has.
    fn each_block(&self, mut visit: impl FnMut(u64)) -> Result<()> {
        let table = self.shard.table.load(Ordering::Relaxed);
        let (mut count, mut order) = (0, 0);
        if table != 0 {
            visit(table.wrapping_sub(BEFORE_TABLE));
        }
        while let Some(entry) = self.first_from(order)? {
            visit(entry);
            count += 1;
            let here = self.core.space.read(entry.wrapping_add(ORDER))?;
            order = here.checked_add(1).ok_or(DAMAGED)?;
        }
        let pending = self.shard.pending.load(Ordering::Relaxed) | self.shard.trim.load(Ordering::Relaxed);
        let agrees = count == self.shard.count.load(Ordering::Relaxed) && pending == 0;
        if agrees { Ok(()) } else { Err(DAMAGED) }
    }
}

impl RawDict<'_> {
    fn each_block(&self, visit: &mut dyn FnMut(u64)) -> Result<()> {
        self.enter()?;
        (0..1 << self.shard_bits()).try_for_each(|index| self.open(index)?.each_block(&mut *visit))
    }
}

impl RawList<'_> {
    fn each_block(&self, visit: &mut dyn FnMut(u64)) -> Result<()> {
        let open = self.open()?;
        let array = open.root.array.load(Ordering::Relaxed);
        if array != 0 {
            visit(array.wrapping_sub(BEFORE_ARRAY));
        }
        for index in 0..open.len() {
            visit(open.slot(index)?.load(Ordering::Relaxed));
        }
        let words = [&open.root.pending, &open.root.shifting, &open.root.drained];
        if words.iter().all(|word| word.load(Ordering::Relaxed) == 0) { Ok(()) } else { Err(DAMAGED) }
    }
}
