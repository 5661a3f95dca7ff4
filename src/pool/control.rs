//! The pool's shared control block: what host, supervisor and workers read and write, all by atomics.
//!
//! Every number in it is written by one side, or changed by compare-exchange; see each field.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use super::status::TaskStatus;
use super::word::{ChunkWord, Intent, Pair};
use crate::error::Result;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex;
use crate::sys::map::Mapping;

/// Jobs at a time.
pub(super) const JOBS: usize = 64;

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
    /// Workers cannot be replaced, or a signal ended it; all workers are gone.
    pub(in crate::pool) const BROKEN: u32 = 2;
}

/// A cache line of its own.
#[repr(C, align(64))]
pub(super) struct Line<T>(pub(super) T);

#[repr(C)]
pub(super) struct Control {
    /// Futex: changes whenever there may be something new to do.
    pub(super) work: Line<AtomicU32>,
    /// Which job slots are in use: bit by bit, set and cleared by the host.
    pub(super) active: Line<AtomicU64>,
    /// Written by the host.
    pub(super) request: AtomicU32,
    /// Written by the supervisor.
    pub(super) outcome: AtomicU32,
    /// Futex: changes when a worker has become ready, and when the outcome is known.
    pub(super) ready: AtomicU32,
    /// By the host: all workers have been ready.
    pub(super) started: AtomicU32,
    /// Replacements, by the supervisor.
    pub(super) replaced: AtomicU64,
    /// Which workers sleep: set and cleared by each, cleared by the supervisor after a death.
    pub(super) idle: Line<[AtomicU64; 64]>,
    pub(super) jobs: [Job; JOBS],
}

/// A job slot. Its fields are written by the host while no worker's intent names it.
#[repr(C, align(64))]
pub(super) struct Job {
    /// Odd: in use. Changed by the host only; before it says "in use", the fields are written.
    pub(super) generation: AtomicU32,
    /// Futex: the generation that was completed last, by whoever saw the last chunk done.
    pub(super) completed: AtomicU32,
    fields: UnsafeCell<Fields>,
    /// {epoch, index}: no chunk before the index is free. The supervisor, when it frees a chunk, lowers
    /// the index under a new epoch, so that nobody raises it from an old look.
    pub(super) hint: Line<AtomicU64>,
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
    pub(super) statuses: usize,
    pub(super) count: usize,
    pub(super) chunk_size: usize,
    pub(super) chunks: u32,
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
}

/// A worker's slot; the one after the last worker's is the supervisor's own. A replacement takes over its
/// predecessor's slot. What the worker alone writes needs no compare-exchange, and can be completed
/// by the supervisor after its death.
#[repr(C, align(128))]
pub(super) struct Worker {
    /// See [`Intent`].
    pub(super) intent: AtomicU64,
    /// {chunk, chunks of this job that this worker had finished before}: written before the chunk is claimed.
    pub(super) place: AtomicU64,
    /// See [`ItemWord`](super::word::ItemWord): written before each item.
    pub(super) item: AtomicU64,
    pub(super) items: AtomicU64,
    pub(super) busy_ns: AtomicU64,
    /// When the present worker began to serve; by itself.
    pub(super) ready: AtomicU32,
    /// By the supervisor, 0 while there is none.
    pub(super) pid: AtomicU32,
    /// By the supervisor.
    pub(super) crashes: AtomicU64,
    /// For each job slot {generation, chunks finished}.
    pub(super) finished: [AtomicU64; JOBS],
}

/// A view of the control block and the arena: the same in every process of the pool.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    control: NonNull<Control>,
    arena: NonNull<u8>,
    pub(super) workers: usize,
}

// SAFETY: addresses of mappings of the process, used by atomics or under the rules of `Intent`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Bytes of a control block for so many workers.
    pub(super) fn control_size(workers: usize) -> usize {
        size_of::<Control>().next_multiple_of(align_of::<Worker>()) + (workers + 1) * size_of::<Worker>()
    }

    /// # Safety
    /// Both mappings must outlive what is made here; `control` must be zeroed and large enough.
    pub(super) unsafe fn new(control: &Mapping, arena: &Mapping, workers: usize) -> Self {
        Self { control: control.start().cast(), arena: arena.start(), workers }
    }

    pub(super) fn control(&self) -> &Control {
        // SAFETY: mapped, and all zero bytes are a valid block.
        unsafe { self.control.as_ref() }
    }

    /// All workers' slots, and the supervisor's.
    pub(super) fn slots(&self) -> &[Worker] {
        let offset = size_of::<Control>().next_multiple_of(align_of::<Worker>());
        // SAFETY: the block was made with room for them, zeroed.
        unsafe {
            let first = self.control.cast::<u8>().add(offset).cast::<Worker>();
            core::slice::from_raw_parts(first.as_ptr(), self.workers + 1)
        }
    }

    pub(super) fn worker(&self, index: usize) -> &Worker {
        &self.slots()[index]
    }

    pub(super) fn arena(&self, offset: usize) -> *mut u8 {
        self.arena.as_ptr().wrapping_add(offset)
    }

    /// The words of a job's chunks.
    ///
    /// # Safety
    /// `fields` must be of a job that the caller may touch, see [`Job::fields`].
    pub(super) unsafe fn words(&self, fields: &Fields) -> &[AtomicU64] {
        // SAFETY: the host laid them out in the job's extent, aligned and initialised.
        unsafe { core::slice::from_raw_parts(self.arena(fields.words).cast(), fields.chunks as usize) }
    }

    /// Where an item's status stands.
    pub(super) fn status(&self, fields: &Fields, item: usize) -> *mut TaskStatus {
        self.arena(fields.statuses).cast::<TaskStatus>().wrapping_add(item)
    }

    /// Gives all items of a chunk a status, before one of them gets another: from then on the chunk is dirty.
    ///
    /// # Safety
    /// As [`Shared::words`]; and the chunk must be the caller's.
    pub(super) unsafe fn fill_ok(&self, fields: &Fields, from: usize, to: usize) {
        for item in from..to {
            // SAFETY: within the job's extent.
            unsafe { self.status(fields, item).write(TaskStatus::OK) };
        }
    }

    /// Tells sleeping workers that there is something to do, for at most `count` of them.
    pub(super) fn announce_work(&self, count: usize) {
        // SeqCst, as the sleepers' own steps: either we see that one sleeps, or it sees the new number.
        self.control().work.0.fetch_add(1, Ordering::SeqCst);
        let words = self.workers.div_ceil(64);
        let idle: u32 =
            self.control().idle.0[..words].iter().map(|word| word.load(Ordering::SeqCst).count_ones()).sum();
        if idle > 0 {
            let count = count.min(idle as usize);
            futex::wake(self.control().work.0.as_ptr(), i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    /// Publishes the intent to touch a job of this generation; false, and none published, if it is gone.
    /// (A hazard pointer: M. M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free
    /// Objects", 2004.)
    pub(super) fn name(&self, slot: &Worker, job: usize, generation: u32) -> bool {
        // Release: a place written before is seen with the intent.
        slot.intent.store(Intent::new(job, generation).0, Ordering::Release);
        // Pairs with the fence in `is_named`: either the host sees the intent, or we see that the job is gone.
        fence(Ordering::SeqCst);
        let there = self.control().jobs[job].generation.load(Ordering::Acquire) == generation;
        if !there {
            slot.intent.store(Intent::NONE.0, Ordering::Release);
        }
        there
    }

    /// Whether a worker, or the supervisor, may touch a job of this generation.
    pub(super) fn is_named(&self, job: usize, generation: u32) -> bool {
        fence(Ordering::SeqCst);
        let intent = Intent::new(job, generation).0;
        self.slots().iter().any(|worker| worker.intent.load(Ordering::Acquire) == intent)
    }

    /// Declares a job completed if all its chunks are done, and wakes who waits for it.
    pub(super) fn complete_if_done(&self, index: usize, generation: u32, chunks: u32) {
        // Of several that finish at one time, each has counted its own before, and one at least sees all.
        fence(Ordering::SeqCst);
        let mut done = 0u64;
        for worker in self.slots() {
            let finished = Pair(worker.finished[index].load(Ordering::Acquire));
            if finished.high() == generation {
                done += u64::from(finished.low());
            }
        }
        let job = &self.control().jobs[index];
        if done == u64::from(chunks) && job.completed.swap(generation, Ordering::Release) != generation {
            futex::wake(job.completed.as_ptr(), i32::MAX);
        }
    }

    /// Replaces a chunk's word.
    pub(super) fn exchange(word: &AtomicU64, from: ChunkWord, to: ChunkWord) -> bool {
        // AcqRel: outputs and statuses written before are seen by whoever sees the new word.
        word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// Memory for a control block.
pub(super) fn allocate(workers: usize) -> Result<Mapping> {
    Mapping::shared(Shared::control_size(workers))
}
