//! What the supervisor does about a dead worker: finds out what it had in hand, and puts it right.

use core::ops::Range;

use super::control::{Fields, Shared};
use super::status::{CRASHED, RETRY, TaskStatus};
use super::supervisor::Plan;
use super::word::{ChunkWord, Intent, ItemWord, Pair, Stage};
use crate::sys::atomic::Ordering;
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
    let Some((job, generation)) = Intent(slot.intent.load(Ordering::Acquire)).get() else { return false };
    // An intent is published before it is known to be good: the job may have gone before.
    let worked = control.jobs[job].generation.load(Ordering::Acquire) == generation && {
        // SAFETY: the dead worker's intent still names the job, which was there a moment ago.
        let fields = unsafe { control.jobs[job].fields() };
        // SAFETY: as above.
        let worked = unsafe { settle_chunk(plan, index, job, generation, &fields, ended) };
        if worked {
            shared.complete_if_done(job, generation, fields.chunks);
        }
        worked
    };
    // Only now: as long as the job is named, its slot and memory are not used for another.
    slot.intent.store(Intent::NONE.0, Ordering::Release);
    // It may have been woken for work that it did not get to.
    shared.announce_work(shared.workers);
    worked
}

/// # Safety
/// The intent of the dead worker must name the job.
unsafe fn settle_chunk(
    plan: &Plan,
    index: usize,
    job: usize,
    generation: u32,
    fields: &Fields,
    ended: Ended,
) -> bool {
    let shared = &plan.shared;
    let slot = shared.worker(index);
    let place = Pair(slot.place.load(Ordering::Acquire));
    // SAFETY: by contract.
    let words = unsafe { shared.words(fields) };
    let Some(word) = words.get(place.high() as usize) else { return false };
    let first = place.high() as usize * fields.chunk_size;
    let end = (first + fields.chunk_size).min(fields.count);
    let seen = ChunkWord(word.load(Ordering::Acquire));
    if seen.stage() == Stage::Done && seen.worker() == index && seen.is_of(generation) {
        // Committed; whether it was still counted is made sure.
        if Pair(slot.finished[job].load(Ordering::Relaxed)).low() == place.low() {
            slot.items.fetch_add((end - first - seen.start() as usize) as u64, Ordering::Relaxed);
        }
        slot.finished[job].store(Pair::new(generation, place.low() + 1).0, Ordering::Release);
        return true;
    }
    let item = ItemWord(slot.item.load(Ordering::Acquire));
    let on = (item.index() as usize).clamp(first, end);
    if seen.is_claimed_by(index, generation) {
        let mut dirty = item.is_dirty();
        let mut done = on;
        if item.is_running() && on < end {
            slot.crashes.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the chunk was the dead worker's, and is nobody's now.
            if unsafe { blame(plan, fields, first..end, on, dirty, ended) } {
                done += 1;
            }
            dirty = true;
        }
        let finished = done == end;
        let (stage, owner) = if finished { (Stage::Done, shared.workers) } else { (Stage::Free, 0) };
        let next = ChunkWord::new(generation, stage, dirty, owner, (done - first) as u32);
        if Shared::exchange(word, seen, next) {
            slot.items
                .fetch_add((done - first).saturating_sub(seen.start() as usize) as u64, Ordering::Relaxed);
            if finished {
                count_own(shared, job, generation);
            } else {
                lower_hint(shared, job, place.high());
            }
            return true;
        }
    }
    // The host has condemned it: what was done before stays done.
    let seen = ChunkWord(word.load(Ordering::Acquire));
    if seen.is_condemned_of(index, generation) {
        let left = ChunkWord::new(generation, Stage::Cancelled, item.is_dirty(), index, (on - first) as u32);
        word.store(left.0, Ordering::Release);
        futex::wake(shared.control().jobs[job].completed.as_ptr(), i32::MAX);
    }
    true
}

/// Writes the status of the item whose worker died of it; whether it is done with (else it is tried again).
///
/// # Safety
/// The chunk must be nobody's.
unsafe fn blame(
    plan: &Plan,
    fields: &Fields,
    chunk: Range<usize>,
    item: usize,
    dirty: bool,
    ended: Ended,
) -> bool {
    let shared = &plan.shared;
    let place = shared.status(fields, item);
    // SAFETY: within the job's extent.
    unsafe {
        let mut attempts = 1;
        if dirty {
            let before = place.read();
            if before.kind == RETRY {
                attempts = before.code.saturating_add(1);
            }
        } else {
            shared.fill_ok(fields, chunk.start, chunk.end);
        }
        let given_up = attempts >= i32::try_from(plan.max_attempts.max(1)).unwrap_or(i32::MAX);
        let crashed = TaskStatus { kind: CRASHED, code: code_of(ended) };
        place.write(if given_up { crashed } else { TaskStatus { kind: RETRY, code: attempts } });
        given_up
    }
}

fn code_of(ended: Ended) -> i32 {
    match ended {
        Ended::Exited(code) => -i32::from(code),
        Ended::Signaled(signal) => signal,
        Ended::Unknown => SIGKILL,
    }
}

/// Counts a chunk that the supervisor itself finished.
fn count_own(shared: &Shared, job: usize, generation: u32) {
    let own = &shared.worker(shared.workers).finished[job];
    let before = Pair(own.load(Ordering::Relaxed));
    let count = if before.high() == generation { before.low() } else { 0 };
    own.store(Pair::new(generation, count + 1).0, Ordering::Release);
}

/// Lets workers find a chunk that is free again.
fn lower_hint(shared: &Shared, job: usize, chunk: u32) {
    let hint = &shared.control().jobs[job].hint.0;
    let mut seen = Pair(hint.load(Ordering::Relaxed));
    loop {
        let lowered = Pair::new(seen.high().wrapping_add(1), seen.low().min(chunk));
        match hint.compare_exchange(seen.0, lowered.0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = Pair(now),
        }
    }
}
