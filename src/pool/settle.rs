//! What the supervisor does about a dead worker: finds out what it had in hand, and puts it right.

use core::ops::Range;

use super::control::{Fields, Shared};
use super::status::{CRASHED, RETRY, TIMED_OUT, TaskStatus};
use super::supervisor::Plan;
use super::word::{ChunkWord, Intent, ItemWord, Pair, Stage, Turn};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::futex;
use crate::sys::pidfd::Ended;
use crate::sys::signal::SIGKILL;

/// Finds out what a dead worker left, and puts it right: nothing is lost or done twice but the item
/// that it was on. Whether it was at work.
pub(super) fn settle(plan: &Plan, index: usize, ended: Ended) -> bool {
    let shared = &plan.shared;
    let control = shared.control();
    let slot = shared.worker(index);
    control.idle.0[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Relaxed);
    let worked = match Intent(slot.intent.load(Ordering::Acquire)).get() {
        Some((job, generation)) => settle_job(plan, index, job, generation, ended),
        None => false,
    };
    // The next worker in this place is not to be judged by this one's last item.
    slot.turn.store(Turn(slot.turn.load(Ordering::Relaxed)).over().0, Ordering::Relaxed);
    // Only now: as long as the job is named, its slot and memory are not used for another.
    slot.intent.store(Intent::NONE.0, Ordering::Release);
    // It may have been woken for work that it did not get to.
    shared.announce_work(shared.workers);
    worked
}

fn settle_job(plan: &Plan, index: usize, job: usize, generation: u32, ended: Ended) -> bool {
    let shared = &plan.shared;
    // An intent is published before it is known to be good: the job may have gone before.
    let worked = generation % 2 != 0 && shared.job(job).generation.load(Ordering::Acquire) == generation && {
        // SAFETY: the dead worker's intent still names the job, which was there a moment ago.
        let fields = unsafe { shared.job(job).fields() };
        let dead = Dead { plan, index, job, generation, fields: &fields, ended };
        // SAFETY: as above.
        unsafe { dead.settle_chunk() }
    };
    // It may have died while it took the job, or a neighbour, out of the open ones: see `Set`. One too many does no harm.
    shared.job(job).stray.store(1, Ordering::SeqCst);
    shared.control().open.insert(job);
    worked
}

/// A worker that died with a job in hand.
struct Dead<'a> {
    plan: &'a Plan,
    index: usize,
    job: usize,
    generation: u32,
    fields: &'a Fields,
    ended: Ended,
}

impl Dead<'_> {
    /// # Safety
    /// The intent of the dead worker must name the job.
    unsafe fn settle_chunk(&self) -> bool {
        let shared = &self.plan.shared;
        let slot = shared.worker(self.index);
        let place = Pair(slot.place.load(Ordering::Acquire));
        // SAFETY: by contract.
        let words = unsafe { shared.words(self.fields) };
        let worked = if let Some(word) = words.get(place.high() as usize) {
            // SAFETY: by contract.
            unsafe { self.settle_word(word, place) };
            true
        } else {
            false
        };
        let job = shared.job(self.job);
        if self.fields.is_stream() {
            job.completed.fetch_add(1, Ordering::SeqCst);
        } else {
            // SAFETY: by contract.
            unsafe { shared.complete_if_done(self.job, self.generation, self.fields) };
        }
        // It may have died between the last store and the wake.
        futex::wake(job.completed.as_ptr(), i32::MAX);
        worked
    }

    /// # Safety
    /// As [`Dead::settle_chunk`]; the word must be that of the place.
    unsafe fn settle_word(&self, word: &AtomicU64, place: Pair) {
        let shared = &self.plan.shared;
        let slot = shared.worker(self.index);
        // SAFETY: by contract. Whoever cuts pieces off this one is dead.
        let mut chunk = unsafe { shared.items(self.job, self.fields, place.high()) };
        if cfg!(forq_fault = "uncut") && place.high() < self.fields.chunks {
            chunk = self.fields.chunk(place.high());
        }
        let seen = ChunkWord(word.load(Ordering::Acquire));
        let is_mine = seen.worker() == self.index && seen.is_of(self.generation);
        if seen.stage() == Stage::Done && is_mine {
            // Committed; whether it was still counted is made sure.
            let is_counted = slot.items.load(Ordering::Relaxed) as u32 != place.low();
            if !is_counted || cfg!(forq_fault = "counted_twice") {
                slot.items.fetch_add((chunk.len() - seen.start() as usize) as u64, Ordering::Relaxed);
            }
            return;
        }
        if seen.is_free_of(self.generation) {
            // Not claimed yet, or given back because this worker was to be replaced: then others must look for it.
            shared.reopen(self.job, self.fields, place.high());
            return;
        }
        let item = ItemWord(slot.item.load(Ordering::Acquire));
        let on = (item.index() as usize).clamp(chunk.start, chunk.end);
        if seen.is_claimed_by(self.index, self.generation) && !cfg!(forq_fault = "no_give_back") {
            // SAFETY: by contract, and the chunk is nobody's now.
            let next = unsafe { self.after(seen, item, on, chunk.clone()) };
            if Shared::exchange(word, seen, next) {
                let ran = next.start().saturating_sub(seen.start());
                slot.items.fetch_add(ran.into(), Ordering::Relaxed);
                if next.stage() == Stage::Free {
                    shared.reopen(self.job, self.fields, place.high());
                }
                return;
            }
        }
        // The host has condemned it: what was done before stays done.
        let seen = ChunkWord(word.load(Ordering::Acquire));
        if seen.is_condemned_of(self.index, self.generation) {
            let done = (on - chunk.start) as u32;
            let left = ChunkWord::new(self.generation, Stage::Cancelled, item.is_dirty(), self.index, done);
            word.store(left.0, Ordering::Release);
        }
    }

    /// What becomes of a chunk whose worker died on the item `on`, or before it.
    ///
    /// # Safety
    /// The chunk must be nobody's.
    unsafe fn after(&self, seen: ChunkWord, item: ItemWord, on: usize, chunk: Range<usize>) -> ChunkWord {
        let shared = &self.plan.shared;
        if self.fields.pure && !item.is_dirty() {
            // Not known which item it was: all once more, and this time each is announced.
            // SAFETY: by contract.
            unsafe { shared.fill_ok(self.fields, chunk) };
            return ChunkWord::new(self.generation, Stage::Free, true, 0, seen.start());
        }
        let mut dirty = item.is_dirty();
        let mut done = on;
        if item.is_running() && on < chunk.end {
            // SAFETY: by contract.
            if unsafe { self.blame(chunk.clone(), on, dirty) } {
                done += 1;
            }
            dirty = true;
        }
        let finished = done == chunk.end;
        let (stage, owner) = if finished { (Stage::Done, shared.workers) } else { (Stage::Free, 0) };
        ChunkWord::new(self.generation, stage, dirty, owner, (done - chunk.start) as u32)
    }

    /// Writes the status of the item whose worker died of it; whether it is done with (else it is tried again).
    ///
    /// # Safety
    /// The chunk must be nobody's.
    unsafe fn blame(&self, chunk: Range<usize>, item: usize, dirty: bool) -> bool {
        let shared = &self.plan.shared;
        let slot = shared.worker(self.index);
        let place = shared.status(self.fields, item);
        let timed_out = Turn(slot.turn.load(Ordering::Acquire)).is_condemned();
        let mut attempts = 1;
        // SAFETY: within the job's extent.
        unsafe {
            if dirty {
                let before = place.read();
                if before.kind == RETRY {
                    attempts = before.code.saturating_add(1);
                }
            } else {
                shared.fill_ok(self.fields, chunk);
            }
            if timed_out {
                place.write(TaskStatus { kind: TIMED_OUT, code: 0 });
                return true;
            }
            slot.crashes.fetch_add(1, Ordering::Relaxed);
            let given_up = attempts >= i32::try_from(self.plan.max_attempts.max(1)).unwrap_or(i32::MAX);
            let crashed = TaskStatus { kind: CRASHED, code: code_of(self.ended) };
            place.write(if given_up { crashed } else { TaskStatus { kind: RETRY, code: attempts } });
            given_up
        }
    }
}

fn code_of(ended: Ended) -> i32 {
    match ended {
        Ended::Exited(code) => -i32::from(code),
        Ended::Signaled(signal) => signal,
        Ended::Unknown => SIGKILL,
    }
}
