//! Which pieces of the arena are in use: an allocator whose books are private memory of the host. Free pieces
//! are kept by the power of two of their size (D. Knuth, "The Art of Computer Programming", 2.5: boundary
//! tags; segregated fits), so that neither taking nor freeing depends on how many there are.

use super::control::JOBS;
use crate::error::{Error, Result};
use crate::sys::map::Mapping;

/// Extents start at multiples of this, a cache line.
const ALIGN: usize = 64;
/// Pieces of a size class that are looked at before one of a larger class is taken.
const LOOKS: usize = 8;
/// An extent for each job slot, and a gap after each.
const PIECES: usize = 2 * JOBS + 1;
const NONE: u32 = u32::MAX;

/// A piece of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: usize,
    pub(super) size: usize,
    piece: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Piece {
    offset: usize,
    size: usize,
    /// Neighbours in the arena.
    before: u32,
    after: u32,
    /// Neighbours in the list of its size class, while free; of an unused record, the next unused one.
    previous: u32,
    next: u32,
    free: bool,
}

pub(super) struct Extents {
    pieces: Mapping,
    /// Records that were ever used.
    used: u32,
    unused: u32,
    /// First of each size class.
    classes: [u32; usize::BITS as usize],
    /// Which classes are not empty.
    filled: usize,
    size: usize,
    in_use: usize,
}

impl Extents {
    pub(super) fn new(size: usize) -> Result<Self> {
        let pieces = Mapping::private(PIECES * size_of::<Piece>())?;
        let mut all = Self {
            pieces,
            used: 0,
            unused: NONE,
            classes: [NONE; usize::BITS as usize],
            filled: 0,
            size,
            in_use: 0,
        };
        let first = all.make(Piece {
            offset: 0,
            size,
            before: NONE,
            after: NONE,
            previous: NONE,
            next: NONE,
            free: false,
        });
        all.enlist(first);
        Ok(all)
    }

    fn piece(&mut self, index: u32) -> &mut Piece {
        assert!(index < self.used, "no such piece");
        // SAFETY: within the mapping; all bytes zero would be a piece, and those below `used` have been written.
        unsafe { &mut *self.pieces.start().cast::<Piece>().as_ptr().add(index as usize) }
    }

    fn make(&mut self, piece: Piece) -> u32 {
        let index = match self.unused {
            NONE => {
                self.used += 1;
                self.used - 1
            }
            index => {
                self.unused = self.piece(index).next;
                index
            }
        };
        // There is a gap between two extents at most, and no more extents than job slots.
        assert!((index as usize) < PIECES, "more pieces than extents allow");
        *self.piece(index) = piece;
        index
    }

    fn class_of(size: usize) -> usize {
        size.ilog2() as usize
    }

    fn enlist(&mut self, index: u32) {
        let class = Self::class_of(self.piece(index).size);
        let next = core::mem::replace(&mut self.classes[class], index);
        let piece = self.piece(index);
        (piece.free, piece.previous, piece.next) = (true, NONE, next);
        if next != NONE {
            self.piece(next).previous = index;
        }
        self.filled |= 1 << class;
    }

    fn delist(&mut self, index: u32) {
        let Piece { size, previous, next, .. } = *self.piece(index);
        self.piece(index).free = false;
        if next != NONE {
            self.piece(next).previous = previous;
        }
        if previous != NONE {
            self.piece(previous).next = next;
            return;
        }
        let class = Self::class_of(size);
        self.classes[class] = next;
        if next == NONE {
            self.filled &= !(1 << class);
        }
    }

    /// A free piece of at least `size`.
    fn find(&mut self, size: usize) -> Option<u32> {
        let class = Self::class_of(size);
        let (mut at, mut looks) = (self.classes[class], 0);
        let larger = self.filled & usize::MAX.checked_shl(class as u32 + 1).unwrap_or(0);
        while at != NONE && (looks < LOOKS || larger == 0) {
            if self.piece(at).size >= size {
                return Some(at);
            }
            at = self.piece(at).next;
            looks += 1;
        }
        (larger != 0).then(|| self.classes[larger.trailing_zeros() as usize])
    }

    /// A piece of this size; `None`: not now. Larger than the arena: `OutOfMemory`.
    pub(super) fn allocate(&mut self, size: usize) -> Result<Option<Extent>> {
        let size = size.max(1).checked_next_multiple_of(ALIGN).ok_or(Error::OutOfMemory)?;
        if size > self.size {
            return Err(Error::OutOfMemory);
        }
        let Some(index) = self.find(size) else { return Ok(None) };
        self.delist(index);
        let Piece { offset, size: whole, after, .. } = *self.piece(index);
        if whole > size {
            let (rest, left) = (offset + size, whole - size);
            let gap = Piece {
                offset: rest,
                size: left,
                before: index,
                after,
                previous: NONE,
                next: NONE,
                free: false,
            };
            let gap = self.make(gap);
            if after != NONE {
                self.piece(after).before = gap;
            }
            let piece = self.piece(index);
            (piece.size, piece.after) = (size, gap);
            self.enlist(gap);
        }
        self.in_use += 1;
        Ok(Some(Extent { offset, size, piece: index }))
    }

    /// Frees a piece; whether nothing is in use any more.
    pub(super) fn free(&mut self, extent: Extent) -> bool {
        let mut index = extent.piece;
        let Piece { before, after, .. } = *self.piece(index);
        if after != NONE && self.piece(after).free {
            self.delist(after);
            self.swallow(index, after);
        }
        if before != NONE && self.piece(before).free {
            self.delist(before);
            self.swallow(before, index);
            index = before;
        }
        self.enlist(index);
        self.in_use -= 1;
        self.in_use == 0
    }

    /// Makes two neighbours one.
    fn swallow(&mut self, index: u32, neighbour: u32) {
        let Piece { size, after, .. } = *self.piece(neighbour);
        let piece = self.piece(index);
        piece.size += size;
        piece.after = after;
        if after != NONE {
            self.piece(after).before = index;
        }
        let unused = core::mem::replace(&mut self.unused, neighbour);
        self.piece(neighbour).next = unused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_again_and_extents_never_overlap() {
        let mut extents = Extents::new(1 << 20).unwrap();
        let a = extents.allocate(1000).unwrap().unwrap();
        let b = extents.allocate(5000).unwrap().unwrap();
        let c = extents.allocate(64).unwrap().unwrap();
        assert!(a.offset + a.size <= b.offset && b.offset + b.size <= c.offset);
        assert!(!extents.free(b));
        let d = extents.allocate(4500).unwrap().unwrap();
        assert_eq!(d.offset, b.offset);
        let e = extents.allocate(2000).unwrap().unwrap();
        assert!(e.offset >= c.offset + c.size, "the gap that is left is too small");
    }

    #[test]
    fn what_does_not_fit_now_is_told_from_what_never_will() {
        let mut extents = Extents::new(8192).unwrap();
        let a = extents.allocate(8000).unwrap().unwrap();
        assert_eq!(extents.allocate(1000), Ok(None));
        assert_eq!(extents.allocate(8193), Err(Error::OutOfMemory));
        assert_eq!(extents.allocate(usize::MAX), Err(Error::OutOfMemory));
        assert!(extents.free(a));
        assert!(extents.allocate(8192).unwrap().is_some());
    }

    #[test]
    fn any_order_of_taking_and_freeing_leaves_one_piece() {
        let mut extents = Extents::new(1 << 20).unwrap();
        let mut held: Vec<Extent> = vec![];
        let mut random = 1u64;
        let mut next = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        for _ in 0..20_000 {
            if next(2) == 0 || held.is_empty() {
                if let Some(extent) = extents.allocate(1 + next(9000) as usize).unwrap() {
                    let apart = |other: &Extent| {
                        extent.offset + extent.size <= other.offset
                            || other.offset + other.size <= extent.offset
                    };
                    assert!(extent.offset % ALIGN == 0 && extent.offset + extent.size <= 1 << 20);
                    assert!(held.iter().all(apart));
                    held.push(extent);
                }
            } else {
                let extent = held.swap_remove(next(held.len() as u64) as usize);
                assert_eq!(extents.free(extent), held.is_empty());
            }
        }
        held.drain(..).for_each(|extent| {
            extents.free(extent);
        });
        assert_eq!(extents.allocate(1 << 20).unwrap().unwrap().offset, 0);
    }
}
