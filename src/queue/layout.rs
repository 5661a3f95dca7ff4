//! How a queue lies in memory: a header with both sides, then the slots. Also what is found in memory that another process may have written:
//! its geometry is read once, checked, and kept in private memory.

use core::ptr::NonNull;

use super::side::Side;
use super::slot::{Position, Word, ready_sequence};
use super::tasks::Tasks;
use crate::error::{Error, Result};
use crate::sync::state::FUTEX_BYTE;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// "forqueue", and the layout's number.
const MAGIC: u64 = u64::from_le_bytes(*b"forqueue");
const LAYOUT: u32 = 1;

/// The most slots: positions have 32 bits for an index.
const MAX_CAPACITY: usize = 1 << 31;

/// What slots are side by side for.
const LINE: usize = 64;
/// Lines of small messages that are fetched before they are needed.
const AHEAD: usize = 3 * LINE;

/// The head of a queue.
#[repr(C, align(64))]
pub(super) struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    capacity: AtomicU32,
    message_size: AtomicU64,
    /// What the counts began with: not 0 only in tests.
    pub(super) first: AtomicU64,
    /// Bit 0: closed. All sleepers sleep on it, too.
    pub(super) closed: AtomicU32,
    /// A bit for each bell that there has been: see [`readiness`](super::readiness).
    pub(super) bells: AtomicU32,
    /// What the bells' names begin with; 0: there was none yet.
    pub(super) object: AtomicU64,
    _unused: [u64; 2],
    pub(super) tasks: Tasks,
    pub(super) producers: Side,
    pub(super) consumers: Side,
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Header>(), 384);

/// Capacity and sizes, valid together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) capacity: u32,
    pub(super) message_size: u32,
    /// Bytes from slot to slot.
    pub(super) stride: usize,
    /// Bytes in all.
    pub(super) size: usize,
    /// Bytes from a slot to the one that is fetched when the slot has been used.
    pub(super) ahead: usize,
}

impl Geometry {
    /// `InvalidArgument` if one is 0 or it is too much.
    pub(super) fn new(capacity: usize, message_size: usize) -> Result<Self> {
        let checked = || {
            let length = u32::try_from(message_size).ok().filter(|&length| length != 0)?;
            let slots = u32::try_from(capacity).ok().filter(|_| (1..=MAX_CAPACITY).contains(&capacity))?;
            let stride = stride(message_size)?;
            let size = stride.checked_mul(capacity)?.checked_add(size_of::<Header>())?;
            let ahead = stride.max(AHEAD);
            (size <= isize::MAX as usize).then_some(Self {
                capacity: slots,
                message_size: length,
                stride,
                size,
                ahead,
            })
        };
        checked().ok_or(Error::InvalidArgument)
    }
}

/// Small messages do not cross a line, large ones share none.
fn stride(message_size: usize) -> Option<usize> {
    let needed = size_of::<Word>().checked_add(message_size)?;
    if needed <= LINE { Some(needed.next_power_of_two()) } else { needed.checked_next_multiple_of(LINE) }
}

/// Makes a queue whose counts begin at the lap `2^31 * high + lap`. Memory that is all zero is ready for lap 0.
///
/// # Safety
/// `memory` must be writable for `geometry.size` bytes, aligned to a line, and used by nobody.
pub(super) unsafe fn initialize(memory: NonNull<u8>, geometry: Geometry, lap: u32, high: u32, is_zero: bool) {
    // SAFETY: by contract; zero bytes are a valid header.
    unsafe {
        memory.cast::<Header>().write_bytes(0, 1);
        let header = memory.cast::<Header>().as_ref();
        let first = Position::new(lap, 0);
        let count = first.count(high, geometry.capacity);
        for side in [&header.producers, &header.consumers] {
            side.position.store(first.0, Ordering::Relaxed);
            side.high.store(high, Ordering::Relaxed);
        }
        header.first.store(count, Ordering::Relaxed);
        header.tasks.begin(count);
        let slots = memory.add(size_of::<Header>());
        let free = Word::new(ready_sequence(lap, 0), 0);
        if !is_zero || free.0 != 0 {
            for index in 0..geometry.capacity as usize {
                // A slot's message needs no value.
                slots.add(index * geometry.stride).cast::<u64>().write(free.0);
            }
        }
        header.layout.store(layout(), Ordering::Relaxed);
        header.capacity.store(geometry.capacity, Ordering::Relaxed);
        header.message_size.store(geometry.message_size.into(), Ordering::Relaxed);
        // Pairs with the fence in `is_header`: who sees the magic sees all of it.
        fence(Ordering::Release);
        header.magic.store(MAGIC, Ordering::Relaxed);
    }
}

/// Another C library's locks stand elsewhere in their words.
fn layout() -> u32 {
    LAYOUT | (FUTEX_BYTE as u32) << 16 | (size_of::<usize>() as u32) << 24
}

/// The geometry of a queue that was made there: `Protocol` if none was, or not all of it is there.
///
/// # Safety
/// `memory` must be readable for `size` bytes, and aligned to a line.
pub(super) unsafe fn check(memory: NonNull<u8>, size: usize) -> Result<Geometry> {
    if size < size_of::<Header>() {
        return Err(Error::Protocol);
    }
    // SAFETY: by contract; any bytes are a valid header.
    let header = unsafe { memory.cast::<Header>().as_ref() };
    is_header(header).filter(|geometry| geometry.size <= size).ok_or(Error::Protocol)
}

/// The geometry of what has this header, if it is one.
pub(super) fn is_header(header: &Header) -> Option<Geometry> {
    if header.magic.load(Ordering::Relaxed) != MAGIC {
        return None;
    }
    fence(Ordering::Acquire);
    let capacity = header.capacity.load(Ordering::Relaxed) as usize;
    let message_size = usize::try_from(header.message_size.load(Ordering::Relaxed));
    let geometry = message_size.ok().and_then(|message_size| Geometry::new(capacity, message_size).ok());
    geometry.filter(|_| header.layout.load(Ordering::Relaxed) == layout())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_small_messages_do_not_cross_lines_and_those_of_large_ones_share_none() {
        for size in 1..=4096 {
            let stride = stride(size).unwrap();
            assert!(stride >= size + 8 && stride < 2 * (size + 8) + LINE);
            assert!(if stride < LINE { LINE % stride == 0 } else { stride % LINE == 0 });
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for (capacity, size) in [
            (0, 1),
            (1, 0),
            (MAX_CAPACITY + 1, 1),
            (1, 1 << 32),
            (1 << 31, u32::MAX as usize),
            (usize::MAX, usize::MAX),
        ] {
            let allowed = size <= u32::MAX as usize && capacity <= MAX_CAPACITY && capacity * size != 0;
            let fits = allowed && (capacity as u128) * (size as u128 + 72) < isize::MAX as u128;
            assert_eq!(Geometry::new(capacity, size).is_ok(), fits, "{capacity} {size}");
        }
        assert_eq!(Geometry::new(3, 8).unwrap().size, 384 + 3 * 16);
    }
}
