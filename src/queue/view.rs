//! A queue of another process, seen from outside.

use super::layout::{Geometry, Header, is_header};
use super::side::Side;
use super::slot::{Position, counted_since};
use super::statistics::QueueStatistics;
use crate::sync::state::FUTEX_BYTE;
use crate::sys::atomic::Ordering;

/// What the bytes say with which a [`Queue`](crate::Queue) begins, or a [`ByteQueue`](crate::ByteQueue): for tools that look into the memory of running programs,
/// which need not map it. C's `forq_queue` is the same, where its memory begins.
///
/// ```
/// use std::os::unix::fs::FileExt;
///
/// use forq::{Queue, QueueView};
///
/// let queue = Queue::<u64>::new(8)?;
/// queue.put(1)?;
/// // In a tool, of another process: a queue in memory of its own is at the start of a mapping.
/// let memory = std::fs::File::open("/proc/self/mem").unwrap();
/// let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
/// let found = maps.lines().filter(|line| line.contains("rw-s")).find_map(|line| {
///     let start = u64::from_str_radix(line.split('-').next()?, 16).ok()?;
///     let mut bytes = [0; QueueView::SIZE];
///     memory.read_exact_at(&mut bytes, start).ok()?;
///     QueueView::of(&bytes)
/// });
/// let view = found.unwrap();
/// assert_eq!((view.capacity, view.len, view.statistics.put), (8, 1, 1));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueView {
    /// How many messages it holds at most.
    pub capacity: usize,
    /// How large a message may be, in bytes.
    pub message_size: usize,
    /// How many are in it: one more or less after a death, until the next call.
    pub len: usize,
    /// What it has done.
    pub statistics: QueueStatistics,
    /// Whether it was closed.
    pub is_closed: bool,
    /// Who puts.
    pub producers: QueueSideView,
    /// Who gets.
    pub consumers: QueueSideView,
}

/// One side of a queue, as in [`QueueView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSideView {
    /// The thread that has the side's turn; 0: none.
    pub holder: u32,
    /// Whether that only waits for the other side.
    pub is_waiting: bool,
    /// How many others have announced that they wait for the turn; killed ones stay counted for a while.
    pub waiters: u32,
}

impl QueueView {
    /// How many bytes the beginning of a queue takes.
    pub const SIZE: usize = size_of::<Header>();
    /// From the start of a queue to the word on which those sleep who wait for the producers' turn, in bytes: under the C library of the
    /// program that asks.
    pub const PRODUCERS_FUTEX: usize = core::mem::offset_of!(Header, producers) + FUTEX_BYTE;
    /// As above, for the consumers' turn.
    pub const CONSUMERS_FUTEX: usize = core::mem::offset_of!(Header, consumers) + FUTEX_BYTE;

    /// Reads a copy of the bytes. `None`: these are not those of a queue of this version of forq.
    #[must_use]
    pub fn of(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        // SAFETY: so many bytes; any bytes are a valid header: atomics and integers.
        let header = unsafe { bytes.as_ptr().cast::<Header>().read_unaligned() };
        let Geometry { capacity, message_size, .. } = is_header(&header)?;
        let passed = |side: &Side| {
            let position = Position(side.position.load(Ordering::Relaxed));
            position.count(side.high.load(Ordering::Relaxed), capacity)
        };
        let first = header.first.load(Ordering::Relaxed);
        let (put, got) = (passed(&header.producers), passed(&header.consumers));
        // Positions lag, each by one at most.
        let len = match counted_since(got, put) {
            len if len <= u64::from(capacity) => len as usize,
            len if len == u64::from(capacity) + 1 => capacity as usize,
            _ => 0,
        };
        Some(Self {
            capacity: capacity as usize,
            message_size: message_size as usize,
            len,
            statistics: QueueStatistics {
                put: counted_since(first, put),
                got: counted_since(first, got),
                lost: header.consumers.lost.load(Ordering::Relaxed),
                full_waits: header.producers.waits.load(Ordering::Relaxed),
                empty_waits: header.consumers.waits.load(Ordering::Relaxed),
            },
            is_closed: header.closed.load(Ordering::Relaxed) & 1 != 0,
            producers: QueueSideView::of(&header.producers),
            consumers: QueueSideView::of(&header.consumers),
        })
    }
}

impl QueueSideView {
    fn of(side: &Side) -> Self {
        let state = side.load();
        let holder = state.owner_tid();
        Self { holder, is_waiting: holder != 0 && state.is_asleep(), waiters: state.announced() }
    }
}
