//! Where inputs and results of jobs live: address space shared with the workers, filled with pages as
//! needed. Only the host allocates; its books are private memory.

use super::extents::{Extent, Extents};
use crate::error::{Error, Result};
use crate::sys::map::{self, Mapping};

/// Pages are made present in blocks of this size.
const BLOCK: usize = 64 << 10;
/// What is kept at once when it is no longer used: the rest goes back to the system.
const KEPT: usize = 64 << 20;

pub(super) struct Arena {
    memory: Mapping,
    /// A bit for each block that is present.
    present: Mapping,
    /// No block from here on is present.
    end: usize,
    extents: Extents,
}

impl Arena {
    /// Reserves address space.
    pub(super) fn new(size: usize) -> Result<Self> {
        let size = size.checked_next_multiple_of(map::page_size()).ok_or(Error::InvalidArgument)?;
        let memory = Mapping::reserved(size)?;
        let present = Mapping::private(size.div_ceil(BLOCK).div_ceil(8))?;
        Ok(Self { memory, present, end: 0, extents: Extents::new(size)? })
    }

    /// As much address space as the machine has memory, but no more than a quarter of what the process may have: the rest of
    /// the program needs some, too. Where that is not to be had, as much of it as is.
    pub(super) fn of_machine() -> Result<Self> {
        const LEAST: usize = 64 << 20;
        let most = map::address_space() / 4;
        let mut size = map::machine_memory().min(most).max(LEAST);
        loop {
            match Self::new(size) {
                Err(Error::OutOfMemory) if size / 2 >= LEAST => size /= 2,
                other => return other,
            }
        }
    }

    pub(super) fn memory(&self) -> &Mapping {
        &self.memory
    }

    /// A piece that is free; `None`: not now. Larger than the arena: `OutOfMemory`.
    pub(super) fn allocate(&mut self, size: usize) -> Result<Option<Extent>> {
        self.extents.allocate(size)
    }

    /// Makes the pages of a piece of an extent present, so that no use of it can fail; whether any were not.
    pub(super) fn populate(&mut self, offset: usize, size: usize) -> Result<bool> {
        let mut block = offset / BLOCK;
        let end = (offset + size).div_ceil(BLOCK);
        let mut new = false;
        while block < end {
            let from = block;
            while block < end && !self.is_present(block) {
                block += 1;
            }
            if block > from {
                let (begin, stop) = (from * BLOCK, (block * BLOCK).min(self.memory.size()));
                self.memory.populate(begin, stop - begin)?;
                (from..block).for_each(|block| self.set_present(block, true));
                self.end = self.end.max(block);
                new = true;
            }
            block += 1;
        }
        Ok(new)
    }

    /// Frees an extent that nobody can touch any more; whether nothing is in use now.
    pub(super) fn free(&mut self, extent: Extent) -> bool {
        // Only whole blocks go back: their neighbours may be in use.
        let from = extent.offset.max(KEPT).div_ceil(BLOCK);
        let to = (extent.offset + extent.size) / BLOCK;
        if from < to {
            self.memory.give_back(from * BLOCK, (to - from) * BLOCK);
            (from..to).for_each(|block| self.set_present(block, false));
        }
        self.extents.free(extent)
    }

    /// Takes note that all pages have been given back.
    pub(super) fn forget_present(&mut self) {
        for block in 0..core::mem::take(&mut self.end) {
            self.set_present(block, false);
        }
    }

    fn is_present(&self, block: usize) -> bool {
        // SAFETY: the map has a bit for each block of the arena.
        unsafe { self.present.start().add(block / 8).read() & 1 << (block % 8) != 0 }
    }

    fn set_present(&mut self, block: usize, present: bool) {
        // SAFETY: as above.
        unsafe {
            let byte = self.present.start().add(block / 8);
            let bit = 1 << (block % 8);
            byte.write(if present { byte.read() | bit } else { byte.read() & !bit });
        }
    }
}
