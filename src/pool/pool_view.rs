//! A pool of another process, seen from outside.

use std::vec::Vec;

use super::control::{Control, Label, Worker, outcome, request};
use super::word::{Intent, ItemWord, MAX_WORKERS};
use crate::sys::atomic::Ordering;

/// What the control block of a [`Pool`](crate::Pool) says: for tools that look into the memory of running programs, which need not map it. It is at the start of a mapping
/// that is shared between the processes of the pool. C's `forq_pool` is the same.
///
/// ```
/// use std::os::unix::fs::FileExt;
///
/// use forq::PoolView;
///
/// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
/// pool.map(|x| x * 2, &[1u64; 1000])?;
/// // In a tool, of another process:
/// let memory = std::fs::File::open("/proc/self/mem").unwrap();
/// let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
/// let found = maps.lines().filter(|line| line.contains("rw-s")).find_map(|line| {
///     let start = u64::from_str_radix(line.split('-').next()?, 16).ok()?;
///     let mut label = [0; PoolView::LABEL];
///     memory.read_exact_at(&mut label, start).ok()?;
///     let mut bytes = vec![0; PoolView::size(&label)?];
///     memory.read_exact_at(&mut bytes, start).ok()?;
///     PoolView::of(&bytes)
/// });
/// let view = found.unwrap();
/// assert_eq!(view.workers.iter().map(|worker| worker.items).sum::<u64>(), 1000);
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolView {
    /// Its workers, each in its place, where its replacement will be.
    pub workers: Vec<WorkerView>,
    /// How many workers were replaced, whatever ended them.
    pub replaced: u64,
    /// How many jobs have items that no worker has taken up yet.
    pub waiting_jobs: usize,
    /// Whether it takes no new work.
    pub is_closed: bool,
    /// Whether all workers have gone for good.
    pub has_ended: bool,
}

/// One worker of a pool, as in [`PoolView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerView {
    /// The process; 0 while it is being replaced.
    pub pid: u32,
    /// The item that it is on, by its index in its job. (A [`Pool::map_pure`](crate::Pool::map_pure) does not tell.)
    pub item: Option<u64>,
    /// Whether it is at work on a job.
    pub is_busy: bool,
    /// Items run, counted at the end of each chunk, those of its predecessors included.
    pub items: u64,
    /// How often an item ended it.
    pub crashes: u64,
    /// Nanoseconds busy with chunks.
    pub busy_ns: u64,
}

const WORKERS: usize = size_of::<Control>().next_multiple_of(align_of::<Worker>());

impl PoolView {
    /// How many bytes tell whether there is a pool.
    pub const LABEL: usize = size_of::<Label>();

    /// How many bytes to copy, if a pool begins with these.
    #[must_use]
    pub fn size(label: &[u8; Self::LABEL]) -> Option<usize> {
        // SAFETY: so many bytes; any bytes are a label: atomics.
        let label = unsafe { label.as_ptr().cast::<Label>().read_unaligned() };
        let workers = label.workers.load(Ordering::Relaxed);
        let is_one = label.is_written() && (1..=MAX_WORKERS as u64).contains(&workers);
        is_one.then(|| WORKERS + workers as usize * size_of::<Worker>())
    }

    /// Reads a copy of the bytes. `None`: these are not those of a pool of this version of forq, or too few.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let size = Self::size(bytes.first_chunk()?)?;
        let slots = bytes.get(WORKERS..size)?;
        // SAFETY: at least so many bytes, by `size`; any bytes are a block: atomics. In place, since it is large.
        let control = unsafe { std::boxed::Box::new(bytes.as_ptr().cast::<Control>().read_unaligned()) };
        let outcome = control.outcome.load(Ordering::Relaxed);
        Some(Self {
            workers: slots.chunks_exact(size_of::<Worker>()).map(WorkerView::of).collect(),
            replaced: control.replaced.load(Ordering::Relaxed),
            waiting_jobs: control.open.len(),
            is_closed: control.request.load(Ordering::Relaxed) != request::RUN || outcome != outcome::RUNNING,
            has_ended: outcome != outcome::RUNNING,
        })
    }
}

impl WorkerView {
    /// Of the bytes of a slot.
    fn of(bytes: &[u8]) -> Self {
        debug_assert_eq!(bytes.len(), size_of::<Worker>());
        // SAFETY: so many bytes, by the chunks' size; any bytes are a slot: atomics.
        let slot = unsafe { bytes.as_ptr().cast::<Worker>().read_unaligned() };
        let pid = slot.pid.load(Ordering::Relaxed);
        let item = ItemWord(slot.item.load(Ordering::Relaxed));
        let is_busy = pid != 0 && Intent(slot.intent.load(Ordering::Relaxed)).get().is_some();
        Self {
            pid,
            item: (is_busy && item.is_running()).then(|| item.index()),
            is_busy,
            items: slot.items.load(Ordering::Relaxed),
            crashes: slot.crashes.load(Ordering::Relaxed),
            busy_ns: slot.busy_ns.load(Ordering::Relaxed),
        }
    }
}
