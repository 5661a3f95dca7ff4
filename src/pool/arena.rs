//! Where inputs and results of jobs live: address space shared with the workers, filled with pages as
//! needed. Only the host allocates; its books are private memory.

use super::control::JOBS;
use crate::error::{Error, Result};
use crate::sys::map::{self, Mapping};

/// Extents start at multiples of this, a cache line.
const ALIGN: usize = 64;
/// Pages are made present in blocks of this size.
const BLOCK: usize = 64 << 10;
/// What is kept when it is no longer used: the rest goes back to the system.
const KEPT: usize = 64 << 20;

/// A piece of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// Which pieces are in use: one per job slot at most.
pub(super) struct Arena {
    memory: Mapping,
    /// A bit for each block that is present.
    present: Mapping,
    /// In the order of their offsets; a size of 0 ends the list.
    used: [Extent; JOBS],
}

impl Arena {
    /// Reserves address space.
    pub(super) fn new(size: usize) -> Result<Self> {
        let size = size.checked_next_multiple_of(map::page_size()).ok_or(Error::InvalidArgument)?;
        let memory = Mapping::reserved(size)?;
        let present = Mapping::private(size.div_ceil(BLOCK).div_ceil(8))?;
        Ok(Self { memory, present, used: [Extent::default(); JOBS] })
    }

    pub(super) fn memory(&self) -> &Mapping {
        &self.memory
    }

    /// The first gap that is large enough; `None`: not now. Larger than the arena: `OutOfMemory`.
    pub(super) fn allocate(&mut self, size: usize) -> Result<Option<Extent>> {
        let size = size.max(1).checked_next_multiple_of(ALIGN).ok_or(Error::OutOfMemory)?;
        if size > self.memory.size() {
            return Err(Error::OutOfMemory);
        }
        let count = self.used.iter().position(|extent| extent.size == 0).ok_or(Error::OutOfMemory)?;
        let mut offset = 0;
        let mut at = count;
        for (index, extent) in self.used[..count].iter().enumerate() {
            if extent.offset - offset >= size {
                at = index;
                break;
            }
            offset = extent.offset + extent.size;
        }
        if self.memory.size() - offset < size {
            return Ok(None);
        }
        self.used.copy_within(at..count, at + 1);
        self.used[at] = Extent { offset, size };
        Ok(Some(self.used[at]))
    }

    /// Makes the pages of a piece of an extent present, so that no use of it can fail.
    pub(super) fn populate(&mut self, offset: usize, size: usize) -> Result<()> {
        let mut block = offset / BLOCK;
        let end = (offset + size).div_ceil(BLOCK);
        while block < end {
            let from = block;
            while block < end && !self.is_present(block) {
                block += 1;
            }
            if block > from {
                let (begin, stop) = (from * BLOCK, (block * BLOCK).min(self.memory.size()));
                self.memory.populate(begin, stop - begin)?;
                (from..block).for_each(|block| self.set_present(block, true));
            }
            block += 1;
        }
        Ok(())
    }

    /// Frees an extent that nobody can touch any more.
    pub(super) fn free(&mut self, extent: Extent) {
        let Some(at) = self.used.iter().position(|&used| used == extent) else { return };
        self.used.copy_within(at + 1.., at);
        self.used[JOBS - 1] = Extent::default();
        // Only whole blocks go back: their neighbours may be in use.
        let from = extent.offset.max(KEPT).div_ceil(BLOCK);
        let to = (extent.offset + extent.size) / BLOCK;
        if from < to {
            self.memory.give_back(from * BLOCK, (to - from) * BLOCK);
            (from..to).for_each(|block| self.set_present(block, false));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_again_and_extents_never_overlap() {
        let mut arena = Arena::new(1 << 20).unwrap();
        let a = arena.allocate(1000).unwrap().unwrap();
        let b = arena.allocate(5000).unwrap().unwrap();
        let c = arena.allocate(64).unwrap().unwrap();
        assert!(a.offset + a.size <= b.offset && b.offset + b.size <= c.offset);
        arena.free(b);
        let d = arena.allocate(4000).unwrap().unwrap();
        assert_eq!(d.offset, b.offset);
        let e = arena.allocate(2000).unwrap().unwrap();
        assert!(e.offset >= c.offset + c.size, "the gap that is left is too small");
        arena.populate(e.offset, e.size).unwrap();
    }

    #[test]
    fn what_does_not_fit_now_is_told_from_what_never_will() {
        let mut arena = Arena::new(8192).unwrap();
        let a = arena.allocate(8000).unwrap().unwrap();
        assert_eq!(arena.allocate(1000).unwrap(), None);
        assert_eq!(arena.allocate(8193), Err(Error::OutOfMemory));
        assert_eq!(arena.allocate(usize::MAX), Err(Error::OutOfMemory));
        arena.free(a);
        assert!(arena.allocate(1000).unwrap().is_some());
    }

    #[test]
    fn a_full_table_is_refused() {
        let mut arena = Arena::new(1 << 20).unwrap();
        for _ in 0..JOBS {
            arena.allocate(1).unwrap().unwrap();
        }
        assert_eq!(arena.allocate(1), Err(Error::OutOfMemory));
    }
}
