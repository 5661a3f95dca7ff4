//! The pool's shared control block: what host, supervisor and workers read and write, all by atomics. How they come
//! at it: [`view`](super::view).
//!
//! Every number in it is written by one side, or changed by compare-exchange; see each field.

use core::cell::UnsafeCell;

use super::set::Set;
pub(super) use super::view::{Memory, Shared};
use super::word::Pair;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex;

/// Jobs at a time: those in flight, and results that are kept.
pub(super) const JOBS: usize = 1 << 18;

/// What the host asks for.
pub(super) mod request {
    /// Work as usual.
    pub(in crate::pool) const RUN: u32 = 0;
    /// Workers leave when there is no more work.
    pub(in crate::pool) const CLOSE: u32 = 1;
    /// Workers are ended.
    pub(in crate::pool) const TERMINATE: u32 = 2;
}

/// What became of the pool, said by the supervisor.
pub(super) mod outcome {
    /// It works.
    pub(in crate::pool) const RUNNING: u32 = 0;
    /// It has ended as asked, all workers are gone.
    pub(in crate::pool) const ENDED: u32 = 1;
    /// Workers cannot be replaced, or the supervisor was killed; all workers are gone.
    pub(in crate::pool) const BROKEN: u32 = 2;
    /// A signal to the process group ended it; all workers are gone.
    pub(in crate::pool) const INTERRUPTED: u32 = 3;
}

/// Who may touch pages of the arena that no extent covers: the low two bits of [`Control::arena`].
///
/// | value | changed by | to |
/// |---|---|---|
/// | idle | the host, for its first extent; the supervisor | used; trimming |
/// | used | the host, after its last extent, with another number above | idle |
/// | trimming | the supervisor | idle |
pub(super) mod arena {
    /// No extent is in use.
    pub(in crate::pool) const IDLE: u64 = 0;
    /// Extents are in use.
    pub(in crate::pool) const USED: u64 = 1;
    /// The supervisor gives all pages back.
    pub(in crate::pool) const TRIMMING: u64 = 2;
    /// The bits of these.
    pub(in crate::pool) const STATE: u64 = 3;
    /// How often it has been idle: what is above the state.
    pub(in crate::pool) const TURN: u64 = 4;
}

/// A cache line of its own.
#[repr(C, align(64))]
pub(super) struct Line<T>(pub(super) T);

/// What the block is told by from outside; see [`PoolView`](super::pool_view::PoolView). By the host, before the forks.
#[repr(C)]
pub(super) struct Label {
    magic: [AtomicU64; 2],
    pub(super) workers: AtomicU64,
}

impl Label {
    /// "forqpool", and the layout's number.
    const MAGIC: [u64; 2] = [u64::from_ne_bytes(*b"forqpool"), 1];

    pub(super) fn write(&self, workers: usize) {
        self.workers.store(workers as u64, Ordering::Relaxed);
        // Release: last.
        self.magic.iter().zip(Self::MAGIC).for_each(|(word, value)| word.store(value, Ordering::Release));
    }

    #[cfg(feature = "std")]
    pub(super) fn is_written(&self) -> bool {
        self.magic.each_ref().map(|word| word.load(Ordering::Relaxed)) == Self::MAGIC
    }
}

#[repr(C)]
pub(super) struct Control {
    pub(super) label: Line<Label>,
    /// Futex: changes whenever there may be something new to do.
    pub(super) work: Line<AtomicU32>,
    /// Jobs that may have chunks which nobody has claimed: added by the host, and by the supervisor when it frees one;
    /// taken out by a worker that found none, which then looks once more.
    pub(super) open: Set,
    /// Written by the host.
    pub(super) request: AtomicU32,
    /// Written by the supervisor.
    pub(super) outcome: AtomicU32,
    /// Futex: changes when a worker has become ready, and when the outcome is known.
    pub(super) ready: AtomicU32,
    /// By the host: all workers have been ready.
    pub(super) started: AtomicU32,
    /// By the host: no job slot from here on was ever used.
    pub(super) slots_used: AtomicU32,
    /// Replacements, by the supervisor.
    pub(super) replaced: AtomicU64,
    /// See [`arena`].
    pub(super) arena: AtomicU64,
    /// How often the pages of the arena have been given back: by the supervisor.
    pub(super) trimmed: AtomicU64,
    /// By the host: pages have been made present. Cleared by the supervisor.
    pub(super) has_pages: AtomicU32,
    /// By the supervisor: it sleeps without a clock, and wants a signal from who begins to work. Cleared by who sends it.
    pub(super) dozing: AtomicU32,
    /// Which workers sleep: set and cleared by each, cleared by the supervisor after a death.
    pub(super) idle: Line<[AtomicU64; 64]>,
}

/// A job slot. Its fields are written by the host while no worker's intent names it.
#[repr(C, align(64))]
pub(super) struct Job {
    /// Odd: in use. Changed by the host only; before it says "in use", the fields are written.
    pub(super) generation: AtomicU32,
    /// Futex. Of a job: the generation that was completed last, by whoever saw the last chunk done, or by the host
    /// that cancelled it. Of a stream: changes with every item that is done.
    pub(super) completed: AtomicU32,
    /// Threads of the host that sleep, or are about to.
    pub(super) sleepers: AtomicU32,
    /// By the host: the supervisor holds a descriptor to be closed at the end.
    pub(super) watched: AtomicU32,
    /// Nanoseconds that workers have spent on it.
    pub(super) busy_ns: AtomicU64,
    fields: UnsafeCell<Fields>,
    /// {epoch, index}: no chunk before the index is free. The supervisor, when it frees a chunk, lowers
    /// the index under a new epoch, so that nobody raises it from an old look. Of a stream: a place in the order.
    pub(super) hint: Line<AtomicU64>,
    /// By the host: so many chunks have their inputs; of a stream, the end of the order.
    pub(super) tail: AtomicU32,
    /// Of a stream: a chunk may be free that the order has passed. By the supervisor and workers.
    pub(super) stray: AtomicU32,
    /// Nothing is left to claim: said by the worker that took the last, or found none; taken back by one that leaves a
    /// [piece](super::piece). Only a hint.
    pub(super) all_claimed: AtomicU32,
    /// Pieces that workers have begun to cut off; more than there are means all.
    pub(super) pieces_used: AtomicU32,
}

/// What a job is. Offsets are into the arena; the addresses are those of functions, the same in all processes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Fields {
    pub(super) runner: usize,
    pub(super) task: usize,
    pub(super) context: usize,
    pub(super) context_size: usize,
    pub(super) inputs: usize,
    pub(super) input_size: usize,
    pub(super) outputs: usize,
    pub(super) output_size: usize,
    pub(super) words: usize,
    /// Where [pieces](super::piece) begin.
    pub(super) cuts: usize,
    pub(super) statuses: usize,
    /// Where messages of panics go; see [`message`](super::message).
    pub(super) messages: usize,
    pub(super) message_count: u32,
    /// Of a stream: where the order stands in which its slots are filled, and how many places that has, a power of two;
    /// of a job, 0.
    pub(super) ring: u32,
    pub(super) order: usize,
    pub(super) count: usize,
    pub(super) chunk_size: usize,
    pub(super) chunks: u32,
    /// Pieces that there is room for; their words stand behind those of the chunks.
    pub(super) pieces: u32,
    /// A chunk may run twice: items are not announced in the first run.
    pub(super) pure: bool,
}

impl Fields {
    pub(super) fn is_stream(&self) -> bool {
        self.ring != 0
    }

    /// The items of a chunk.
    pub(super) fn chunk(&self, chunk: u32) -> core::ops::Range<usize> {
        let first = (chunk as usize * self.chunk_size).min(self.count);
        first..(first + self.chunk_size).min(self.count)
    }
}

// SAFETY: `fields` is written only by the host while no worker may read it, see `Intent`.
unsafe impl Sync for Job {}

impl Job {
    /// # Safety
    /// The caller's intent must name this job, or the caller be the host that made it.
    pub(super) unsafe fn fields(&self) -> Fields {
        // SAFETY: nobody writes meanwhile, by contract.
        unsafe { *self.fields.get() }
    }

    /// # Safety
    /// Only the host, while no worker's intent names the slot.
    pub(super) unsafe fn set_fields(&self, fields: Fields) {
        // SAFETY: nobody reads meanwhile, by contract.
        unsafe { *self.fields.get() = fields }
    }

    /// Whether there may be chunks that nobody has claimed.
    pub(super) fn has_chunks(&self, fields: &Fields) -> bool {
        let at = Pair(self.hint.0.load(Ordering::SeqCst)).low();
        let tail = self.tail.load(Ordering::SeqCst);
        at != tail || (fields.is_stream() && self.stray.load(Ordering::SeqCst) != 0)
    }

    /// Says that nothing is left to claim: who has much left to do may cut a piece off.
    pub(super) fn note_all_claimed(&self, fields: &Fields) {
        // Relaxed: only a hint. Jobs without pieces do not touch it.
        if fields.pieces > 0 && self.all_claimed.load(Ordering::Relaxed) == 0 {
            self.all_claimed.store(1, Ordering::Relaxed);
        }
    }

    /// Wakes the host's threads that wait for the job.
    pub(super) fn wake(&self) {
        // SeqCst: after what they wait for was written; a sleeper counts itself, then looks once more.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            futex::wake(self.completed.as_ptr(), i32::MAX);
        }
    }
}

/// A worker's slot; the one after the last worker's is the supervisor's own. A replacement takes over its
/// predecessor's slot. What the worker alone writes needs no compare-exchange, and can be completed
/// by the supervisor after its death.
#[repr(C, align(128))]
pub(super) struct Worker {
    /// See [`Intent`](super::word::Intent).
    pub(super) intent: AtomicU64,
    /// {chunk, the low half of `items` at that time}: written before the chunk is claimed.
    pub(super) place: AtomicU64,
    /// See [`ItemWord`](super::word::ItemWord): written before each item.
    pub(super) item: AtomicU64,
    pub(super) items: AtomicU64,
    pub(super) busy_ns: AtomicU64,
    /// With a time limit on items: see [`Turn`](super::word::Turn), and when the item began, written before.
    pub(super) turn: AtomicU64,
    pub(super) began: AtomicU64,
    /// When the present worker began to serve; by itself.
    pub(super) ready: AtomicU32,
    /// By the supervisor, 0 while there is none.
    pub(super) pid: AtomicU32,
    /// By the supervisor.
    pub(super) crashes: AtomicU64,
}
