//! The pool's shared control block: what host, supervisor and workers read and write, all by atomics.
//!
//! Every number in it is written by one side, or changed by compare-exchange; see each field.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use super::set::Set;
use super::status::TaskStatus;
use super::word::{ChunkWord, Intent, Pair, Stage};
use crate::error::Result;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex;
use crate::sys::map::{self, Mapping};

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

#[repr(C)]
pub(super) struct Control {
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
    /// Of a stream: the end of the order; by the host.
    pub(super) tail: AtomicU32,
    /// Of a stream: a chunk may be free that the order has passed. By the supervisor and workers.
    pub(super) stray: AtomicU32,
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
    /// A chunk may run twice: items are not announced in the first run.
    pub(super) pure: bool,
}

impl Fields {
    pub(super) fn is_stream(&self) -> bool {
        self.ring != 0
    }

    /// The items of a chunk.
    pub(super) fn chunk(&self, chunk: u32) -> core::ops::Range<usize> {
        let first = chunk as usize * self.chunk_size;
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
    pub(super) fn is_open(&self, fields: &Fields) -> bool {
        let at = Pair(self.hint.0.load(Ordering::SeqCst)).low();
        if fields.is_stream() {
            at != self.tail.load(Ordering::SeqCst) || self.stray.load(Ordering::SeqCst) != 0
        } else {
            at < fields.chunks
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
    /// See [`Intent`].
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

/// The memory that all processes of a pool share.
pub(super) struct Memory {
    control: Mapping,
    jobs: Mapping,
}

impl Memory {
    pub(super) fn new(workers: usize) -> Result<Self> {
        Ok(Self {
            control: Mapping::shared(Shared::control_size(workers))?,
            jobs: Mapping::reserved(JOBS * size_of::<Job>())?,
        })
    }
}

/// A view of the control block and the arena: the same in every process of the pool.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    control: NonNull<Control>,
    jobs: NonNull<Job>,
    arena: NonNull<u8>,
    arena_size: usize,
    pub(super) workers: usize,
}

// SAFETY: addresses of mappings of the process, used by atomics or under the rules of `Intent`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Bytes of a control block for so many workers.
    fn control_size(workers: usize) -> usize {
        size_of::<Control>().next_multiple_of(align_of::<Worker>()) + (workers + 1) * size_of::<Worker>()
    }

    /// # Safety
    /// Both must outlive what is made here; `memory` must be new and for so many workers.
    pub(super) unsafe fn new(memory: &Memory, arena: &Mapping, workers: usize) -> Self {
        Self {
            control: memory.control.start().cast(),
            jobs: memory.jobs.start().cast(),
            arena: arena.start(),
            arena_size: arena.size(),
            workers,
        }
    }

    pub(super) fn control(&self) -> &Control {
        // SAFETY: mapped, and all zero bytes are a valid block.
        unsafe { self.control.as_ref() }
    }

    pub(super) fn job(&self, index: usize) -> &Job {
        assert!(index < JOBS, "no such job slot");
        // SAFETY: mapped with room for so many, and all zero bytes are a valid slot.
        unsafe { &*self.jobs.as_ptr().add(index) }
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

    /// Gives all pages of the arena back to the system.
    pub(super) fn give_back_arena(&self) {
        // SAFETY: the arena's mapping; nothing in it is in use, by the state that the caller has set.
        unsafe { map::give_back(self.arena.as_ptr(), self.arena_size) };
    }

    /// The words of a job's chunks.
    ///
    /// # Safety
    /// `fields` must be of a job that the caller may touch, see [`Job::fields`].
    pub(super) unsafe fn words(&self, fields: &Fields) -> &[AtomicU64] {
        // SAFETY: the host laid them out in the job's extent, aligned and initialised.
        unsafe { core::slice::from_raw_parts(self.arena(fields.words).cast(), fields.chunks as usize) }
    }

    /// The order in which a stream's slots are filled.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn order(&self, fields: &Fields) -> &[AtomicU32] {
        // SAFETY: as for the words; of a job that is no stream there are none.
        unsafe { core::slice::from_raw_parts(self.arena(fields.order).cast(), fields.ring as usize) }
    }

    /// Where an item's status stands.
    pub(super) fn status(&self, fields: &Fields, item: usize) -> *mut TaskStatus {
        self.arena(fields.statuses).cast::<TaskStatus>().wrapping_add(item)
    }

    /// Gives all items of a chunk a status, before one of them gets another: from then on the chunk is dirty.
    ///
    /// # Safety
    /// As [`Shared::words`]; and the chunk must be the caller's.
    pub(super) unsafe fn fill_ok(&self, fields: &Fields, items: core::ops::Range<usize>) {
        for item in items {
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
        let there = self.job(job).generation.load(Ordering::Acquire) == generation;
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

    /// Takes a job that seems to have nothing left to claim, or seems to be gone, out of the open ones, unless that has
    /// changed. The caller's intent must name it, so that its death here is made good: see `settle`.
    pub(super) fn close_job(&self, index: usize, still_open: impl FnOnce() -> bool) {
        let open = &self.control().open;
        let missed = open.remove(index);
        fence(Ordering::SeqCst);
        let again = still_open();
        if again {
            open.insert(index);
        }
        if missed || again {
            // Others may have looked in between and gone to sleep.
            self.announce_work(usize::MAX);
        }
    }

    /// The host's last word on a job: workers no longer take it up.
    pub(super) fn end_job(&self, index: usize, generation: u32) {
        self.control().open.remove(index);
        self.job(index).generation.store(generation.wrapping_add(1), Ordering::Release);
    }

    /// Declares a job completed if all its chunks are done, and wakes who waits for it: true for who did.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn complete_if_done(&self, index: usize, generation: u32, fields: &Fields) -> bool {
        // Of several that finish at one time, each has committed its own before, and one at least sees all.
        fence(Ordering::SeqCst);
        // SAFETY: by contract.
        let words = unsafe { self.words(fields) };
        // From the end: what is not done yet is mostly there.
        let done = words.iter().rev().all(|word| {
            let word = ChunkWord(word.load(Ordering::Acquire));
            word.stage() == Stage::Done && word.is_of(generation)
        });
        let job = self.job(index);
        let first = done && job.completed.swap(generation, Ordering::SeqCst) != generation;
        if first {
            job.wake();
        }
        first
    }

    /// Replaces a chunk's word.
    pub(super) fn exchange(word: &AtomicU64, from: ChunkWord, to: ChunkWord) -> bool {
        // AcqRel: outputs and statuses written before are seen by whoever sees the new word.
        word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Lets workers find a chunk that is free again.
    pub(super) fn reopen(&self, index: usize, fields: &Fields, chunk: u32) {
        let job = self.job(index);
        if fields.is_stream() {
            job.stray.store(1, Ordering::SeqCst);
        } else {
            let hint = &job.hint.0;
            let mut seen = Pair(hint.load(Ordering::Relaxed));
            loop {
                let lowered = Pair::new(seen.high().wrapping_add(1), seen.low().min(chunk));
                match hint.compare_exchange(seen.0, lowered.0, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(now) => seen = Pair(now),
                }
            }
        }
        self.control().open.insert(index);
    }
}
