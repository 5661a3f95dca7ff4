//! Host's, supervisor's and workers' view of what they share: the control block, the job slots, the arena; and the steps that
//! all of them take on it.

use core::ptr::NonNull;

use super::control::{Control, Fields, JOBS, Job, Worker};
use super::status::TaskStatus;
use super::word::{ChunkWord, Intent, Pair};
use crate::error::Result;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex;
use crate::sys::map::{self, Mapping};

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

    /// The words of a job's chunks, then of its [pieces](super::piece).
    ///
    /// # Safety
    /// `fields` must be of a job that the caller may touch, see [`Job::fields`].
    pub(super) unsafe fn words(&self, fields: &Fields) -> &[AtomicU64] {
        // SAFETY: the host laid them out in the job's extent, aligned and initialised.
        unsafe {
            let count = fields.chunks as usize + fields.pieces as usize;
            core::slice::from_raw_parts(self.arena(fields.words).cast(), count)
        }
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
        let missed = self.control().open.remove(index);
        self.job(index).generation.store(generation.wrapping_add(1), Ordering::Release);
        if missed {
            // As in `close_job`.
            self.announce_work(usize::MAX);
        }
    }

    /// Declares a job completed if all of it is done, and wakes who waits for it: true for who did.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn complete_if_done(&self, index: usize, generation: u32, fields: &Fields) -> bool {
        // Of several that finish at one time, each has committed its own before, and one at least sees all.
        fence(Ordering::SeqCst);
        // SAFETY: by contract.
        let done = unsafe { self.is_all_done(index, generation, fields) };
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

    /// Lets workers find a chunk that is free again. (Pieces are all looked at.)
    pub(super) fn reopen(&self, index: usize, fields: &Fields, chunk: u32) {
        let job = self.job(index);
        if fields.is_stream() {
            job.stray.store(1, Ordering::SeqCst);
        } else if chunk < fields.chunks {
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
