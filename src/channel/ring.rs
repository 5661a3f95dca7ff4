//! The memory of a channel: words, slots, sizes.

use core::mem::size_of;

use super::gate::Gate;
use super::position::Position;
use super::side::Role;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, modelled};
use crate::sys::map::Mapping;

/// A cache line of its own, and the one beside it, which processors fetch along.
#[repr(C, align(128))]
struct Line<T>(T);

/// The words of both sides, the producer's first.
///
/// | word | written by | says |
/// |---|---|---|
/// | position | the side | which slot it uses next: its store is what commits a put, and a get |
/// | busy | the side | a call of it is under way, or a slot is lent out |
/// | [`Gate`] | the other side before it sleeps, this side when it wakes it, whoever closes | whom this side must wake |
/// | [`Owner`](super::owner::Owner) | a process that takes the side over, or leaves it | which process uses the side |
/// | end | once, by either | with which position a closed channel ends; [`Position::NONE`]: undecided |
#[repr(C)]
pub(super) struct Words {
    positions: [Line<modelled::AtomicU64>; 2],
    busy: [Line<AtomicU32>; 2],
    rare: Line<Rare>,
}

/// What both sides look at often, and nobody changes while messages flow.
#[repr(C)]
struct Rare {
    gates: [Gate; 2],
    owners: [AtomicU64; 2],
    end: modelled::AtomicU64,
}

impl Words {
    fn new(start: Position) -> Self {
        Self {
            positions: [(); 2].map(|()| Line(modelled::AtomicU64::new(start.0))),
            busy: [(); 2].map(|()| Line(AtomicU32::new(0))),
            rare: Line(Rare {
                gates: [(); 2].map(|()| Gate::new()),
                owners: [(); 2].map(|()| AtomicU64::new(0)),
                end: modelled::AtomicU64::new(Position::NONE.0),
            }),
        }
    }

    #[inline(always)]
    pub(super) fn position<R: Role>(&self) -> &modelled::AtomicU64 {
        &self.positions[R::SIDE].0
    }

    #[inline(always)]
    pub(super) fn busy<R: Role>(&self) -> &AtomicU32 {
        &self.busy[R::SIDE].0
    }

    #[inline(always)]
    pub(super) fn gate<R: Role>(&self) -> &Gate {
        &self.rare.0.gates[R::SIDE]
    }

    #[inline(always)]
    pub(super) fn owner<R: Role>(&self) -> &AtomicU64 {
        &self.rare.0.owners[R::SIDE]
    }

    pub(super) fn end(&self) -> &modelled::AtomicU64 {
        &self.rare.0.end
    }
}

/// How the sizes of messages are kept, after the slots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    /// All messages have the same.
    Fixed,
    /// A byte each.
    Byte,
    /// Eight bytes each.
    Word,
}

/// Geometry, in memory of this process alone: what others write there is no concern of it.
pub(super) struct Ring {
    memory: Mapping,
    capacity: u32,
    message_size: usize,
    stride: usize,
    sizes: Sizes,
    sizes_offset: usize,
}

/// Bytes.
const FAR: usize = 4096;
const SLOTS_OFFSET: usize = size_of::<Words>();

impl Ring {
    /// For `capacity` messages of exactly (or at most) so many bytes, empty, both sides at the beginning of a lap.
    pub(super) fn new(capacity: usize, message_size: usize, is_fixed: bool, lap: u32) -> Result<Self> {
        let slots = u32::try_from(capacity).map_err(|_| Error::InvalidArgument)?;
        if slots == 0 || message_size == 0 {
            return Err(Error::InvalidArgument);
        }
        let sizes = match message_size {
            _ if is_fixed => Sizes::Fixed,
            0..=255 => Sizes::Byte,
            _ => Sizes::Word,
        };
        let stride = if is_fixed { Some(message_size) } else { stride(message_size) };
        let geometry = stride.and_then(|stride| {
            let sizes_offset =
                stride.checked_mul(capacity)?.checked_add(SLOTS_OFFSET)?.checked_next_multiple_of(64)?;
            let size = sizes_offset.checked_add(capacity.checked_mul(width(sizes))?)?;
            (size <= isize::MAX as usize).then_some((stride, sizes_offset, size))
        });
        let (stride, sizes_offset, size) = geometry.ok_or(Error::InvalidArgument)?;
        let memory = Mapping::shared(size)?;
        // SAFETY: new memory, larger than the words and page-aligned; nobody else knows of it.
        unsafe { memory.start().cast::<Words>().write(Words::new(Position::new(lap, 0))) };
        Ok(Self { memory, capacity: slots, message_size, stride, sizes, sizes_offset })
    }

    #[inline(always)]
    pub(super) fn words(&self) -> &Words {
        // SAFETY: written by `new`, mapped as long as `self` lives; atomics, any bytes of which are a value.
        unsafe { self.memory.start().cast().as_ref() }
    }

    /// So many slots ready, and the two sides are far enough from each other not to take cache lines from one another.
    pub(super) fn enough(&self) -> u32 {
        (self.capacity / 2).min((FAR / self.stride) as u32)
    }

    #[inline(always)]
    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    #[inline(always)]
    pub(super) fn message_size(&self) -> usize {
        self.message_size
    }

    #[inline(always)]
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The slot of this index, at most the capacity (then it is the end of the slots): `message_size` bytes that other processes may write at
    /// any time, so no reference is made to them.
    pub(super) fn slot(&self, index: u32) -> *mut u8 {
        debug_assert!(index <= self.capacity);
        // Inside the mapping, by `new`.
        self.memory.start().as_ptr().wrapping_add(SLOTS_OFFSET + index as usize * self.stride)
    }

    /// The size of the message at a position, as it stands there: it is checked before it is used.
    #[inline(always)]
    pub(super) fn size(&self, at: Position) -> Result<usize> {
        let index = at.index() as usize;
        let sizes = self.memory.start().as_ptr().wrapping_add(self.sizes_offset);
        // SAFETY: as for slots; aligned, since the offset is a multiple of 64. Read once.
        let size = unsafe {
            match self.sizes {
                Sizes::Fixed => return Ok(self.message_size),
                Sizes::Byte => u64::from(sizes.add(index).read_volatile()),
                Sizes::Word => sizes.cast::<u64>().add(index).read_volatile(),
            }
        };
        usize::try_from(size).ok().filter(|&size| size <= self.message_size).ok_or(Error::Protocol)
    }

    /// Writes the size of the message at a position: at most `message_size`.
    #[inline(always)]
    pub(super) fn set_size(&self, at: Position, size: usize) {
        let index = at.index() as usize;
        let sizes = self.memory.start().as_ptr().wrapping_add(self.sizes_offset);
        // Where the last message in the slot had the same size nothing is written, so that the consumer
        // keeps its copy of the cache line.
        // SAFETY: as for slots; aligned, since the offset is a multiple of 64. Nobody else writes there by the rules.
        unsafe {
            match self.sizes {
                Sizes::Fixed => {}
                Sizes::Byte => {
                    let place = sizes.add(index);
                    if place.read_volatile() != size as u8 {
                        place.write_volatile(size as u8);
                    }
                }
                Sizes::Word => {
                    let place = sizes.cast::<u64>().add(index);
                    if place.read_volatile() != size as u64 {
                        place.write_volatile(size as u64);
                    }
                }
            }
        }
    }

    /// How many messages there are: right when nobody uses the channel, else of some moment of the call.
    pub(super) fn len(&self) -> usize {
        use super::side::{Consuming, Producing};
        let words = self.words();
        let look = || {
            // Acquire keeps the second load behind the first: the producer is never seen behind the consumer.
            let head = words.position::<Consuming>().load(Ordering::Acquire);
            let tail = words.position::<Producing>().load(Ordering::Relaxed);
            Position(tail).ahead_of(Position(head), self.capacity)
        };
        // More than the capacity: both have gone on between the two loads. Always so: somebody writes there who should not.
        (0..100).find_map(|_| look()).unwrap_or(0) as usize
    }

    /// All of it, for tests that play a process which writes where it should not.
    pub(super) fn bytes(&self) -> *mut [u8] {
        core::ptr::slice_from_raw_parts_mut(self.memory.start().as_ptr(), self.memory.size())
    }
}

fn width(sizes: Sizes) -> usize {
    match sizes {
        Sizes::Fixed => 0,
        Sizes::Byte => 1,
        Sizes::Word => 8,
    }
}

/// From slot to slot. Any type of `size` bytes is aligned in each, and so is what begins with numbers of up to 8 bytes;
/// large messages begin with a cache line.
fn stride(size: usize) -> Option<usize> {
    let align = match size {
        0..8 => size.next_power_of_two(),
        8..1024 => 8,
        _ => 64,
    };
    size.checked_next_multiple_of(align)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_align_what_fits() {
        for (size, expected) in
            [(1, 1), (2, 2), (3, 4), (7, 8), (8, 8), (9, 16), (24, 24), (100, 104), (1025, 1088)]
        {
            assert_eq!(stride(size), Some(expected));
        }
        assert_eq!(stride(usize::MAX), None);
    }
}
