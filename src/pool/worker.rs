//! A worker: claims chunks, runs their items, says what it is about to do before it does it.

use core::cell::Cell;

use super::control::{JOBS, Shared, Worker, request};
use super::run::{Part, Run, Runner, Served};
use super::word::{ChunkWord, Intent, ItemWord, NOWHERE, Pair, Stage, Turn};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::signal::{self, SIGURG};
use crate::sys::stdio::Streams;
use crate::sys::{cpu, futex};

/// What a worker needs from its pool.
pub(super) struct Context<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: usize,
    /// Process id of the supervisor.
    pub(super) supervisor: u32,
    /// Items have a time limit.
    pub(super) timed: bool,
    /// Items it may still run before it is replaced.
    pub(super) allowance: Cell<u64>,
    /// Flushes the streams of the host's language that libc does not know of.
    pub(super) flush: Option<fn()>,
    pub(super) streams: Streams,
}

impl<'a> Context<'a> {
    /// Writes out what tasks have printed.
    pub(super) fn flush(&self) {
        if let Some(flush) = self.flush {
            flush();
        }
        self.streams.flush();
    }

    fn slot(&self) -> &'a Worker {
        self.shared.worker(self.index)
    }

    /// Has the supervisor look.
    fn nudge(&self) {
        signal::send(self.supervisor, SIGURG);
    }
}

/// How often an idle worker yields before it sleeps.
const YIELDS: u32 = 8;

/// Serves until the pool is closed and there is nothing left to do, or until it is to be replaced.
pub(super) fn serve(context: &Context<'_>) {
    let shared = context.shared;
    let control = shared.control();
    let (mut yields, mut sleeps, mut turn) = (0, 0, 0);
    while context.allowance.get() > 0 {
        let seen = control.work.0.load(Ordering::Acquire);
        if serve_next(context, &mut turn) {
            (yields, sleeps) = (0, 0);
            continue;
        }
        // SeqCst: whoever adds a job looks at the request afterwards, so one of us sees the other.
        if control.request.load(Ordering::SeqCst) == request::CLOSE && control.open.is_empty() {
            return;
        }
        if yields < YIELDS {
            yields += 1;
            cpu::yield_now();
            continue;
        }
        if sleeps == 0 {
            context.flush();
        }
        sleeps += 1;
        sleep(shared, context.index, seen, sleeps);
        if control.dozing.load(Ordering::SeqCst) != 0 && control.dozing.swap(0, Ordering::SeqCst) != 0 {
            context.nudge();
        }
    }
}

fn sleep(shared: &Shared, index: usize, seen: u32, round: u32) {
    let control = shared.control();
    let (idle, bit) = (&control.idle.0[index / 64], 1u64 << (index % 64));
    // SeqCst: see `announce_work`.
    idle.fetch_or(bit, Ordering::SeqCst);
    if control.work.0.load(Ordering::SeqCst) == seen {
        // SAFETY: the control block stays mapped in a worker.
        unsafe { futex::wait(control.work.0.as_ptr(), seen, Deadline::FOREVER, round) };
    }
    // SeqCst: before it looks whether the supervisor dozes, which it does only while all are idle.
    idle.fetch_and(!bit, Ordering::SeqCst);
}

/// Serves the next open job that has something to do; false: none has.
fn serve_next(context: &Context<'_>, turn: &mut usize) -> bool {
    while let Some(index) = context.shared.control().open.next(*turn) {
        *turn = (index + 1) % JOBS;
        if serve_job(context, index) {
            return true;
        }
    }
    false
}

/// Works on one job: as long as there is something to do if it is the only one, else for one chunk. Whether anything was done.
fn serve_job(context: &Context<'_>, index: usize) -> bool {
    let shared = context.shared;
    let me = context.slot();
    let job = shared.job(index);
    let generation = job.generation.load(Ordering::Acquire);
    // The place of an earlier job must not be taken for one in this job.
    me.place.store(NOWHERE.0, Ordering::Relaxed);
    if !shared.name(me, index, generation) {
        return false;
    }
    if generation % 2 == 0 {
        // It is gone, but still among the open ones.
        shared.close_job(index, || job.generation.load(Ordering::SeqCst) != generation);
        me.intent.store(Intent::NONE.0, Ordering::Release);
        return false;
    }
    // SAFETY: the published intent names the job.
    let fields = unsafe { job.fields() };
    let served = Served { index, generation, fields: &fields };
    let started = clock::now();
    let (mut since, mut any, mut exhausted) = (started, false, false);
    loop {
        // SAFETY: as above.
        let Some((chunk, word)) = (unsafe { claim(context, served) }) else {
            exhausted = true;
            break;
        };
        any = true;
        // SAFETY: as above, and the chunk is claimed.
        let items = unsafe { run_chunk(context, served, chunk, word, since) };
        context.allowance.set(context.allowance.get().saturating_sub(items));
        let now = clock::now();
        me.busy_ns.store(me.busy_ns.load(Ordering::Relaxed) + now.saturating_sub(since), Ordering::Relaxed);
        since = now;
        // After the commit: a death in between leaves items uncounted, never counted twice. Pairs with the load in
        // `worker_statistics`: who sees them counted sees their time.
        me.items.store(me.items.load(Ordering::Relaxed) + items, Ordering::Release);
        if fields.is_stream() {
            job.completed.fetch_add(1, Ordering::SeqCst);
            job.wake();
        }
        if context.allowance.get() == 0 || shared.control().open.has_others(index) {
            break;
        }
    }
    if any {
        job.busy_ns.fetch_add(since.saturating_sub(started), Ordering::Relaxed);
    }
    // SAFETY: the intent still names the job.
    let is_open = || unsafe { shared.is_open(index, generation, &fields) };
    // While some chunk is unclaimed it is not done; whoever finds none unclaimed looks.
    if !fields.is_stream() && (exhausted || !is_open()) {
        // SAFETY: as above.
        let completed = unsafe { shared.complete_if_done(index, generation, &fields) };
        if completed && job.watched.load(Ordering::SeqCst) != 0 {
            context.nudge();
        }
    }
    if exhausted {
        shared.close_job(index, is_open);
    }
    // Release: all that was done to the job's memory is over when the host sees this.
    me.intent.store(Intent::NONE.0, Ordering::Release);
    any
}

/// Takes the next free chunk of a job, or else a piece of one; says before what it will be, for the supervisor.
///
/// # Safety
/// The worker's intent must name the job.
unsafe fn claim(context: &Context<'_>, served: Served<'_>) -> Option<(u32, ChunkWord)> {
    let Served { index, generation, fields } = served;
    let shared = context.shared;
    let job = shared.job(index);
    let me = context.slot();
    // SAFETY: by contract.
    let (words, order) = unsafe { (shared.words(fields), shared.order(fields)) };
    let hint = Pair(job.hint.0.load(Ordering::Acquire));
    let raise = |at: u32| {
        // Fails if others raised it, or if a chunk behind it was freed: then it stays as it is.
        let raised = Pair::new(hint.high(), at);
        let _ = job.hint.0.compare_exchange(hint.0, raised.0, Ordering::Relaxed, Ordering::Relaxed);
    };
    let take = |chunk: u32| {
        let word = ChunkWord(words.get(chunk as usize)?.load(Ordering::Acquire));
        if !word.is_free_of(generation) {
            return None;
        }
        // SAFETY: by contract.
        let first = unsafe { shared.first_item(fields, chunk) } + word.start() as usize;
        me.item.store(ItemWord::new(first as u64, false, word.is_dirty()).0, Ordering::Relaxed);
        // Release, and before the claim: after a death the supervisor finds out from it what was claimed.
        let counted = me.items.load(Ordering::Relaxed) as u32;
        me.place.store(Pair::new(chunk, counted).0, Ordering::Release);
        let claimed = word.claimed_by(context.index);
        Shared::exchange(&words[chunk as usize], word, claimed).then_some((chunk, claimed))
    };
    // Acquire: the inputs up to there; of a stream also the order, and the slots it names.
    let end = job.tail.load(Ordering::Acquire);
    let mut at = hint.low();
    while at != end {
        let chunk = match order.len() {
            0 => at,
            places => order[at as usize & (places - 1)].load(Ordering::Relaxed),
        };
        at = at.wrapping_add(1);
        if let Some(claimed) = take(chunk) {
            raise(at);
            if at == fields.chunks {
                job.note_all_claimed(fields);
            }
            return Some(claimed);
        }
    }
    if hint.low() != end {
        raise(end);
    }
    if fields.is_stream() && job.stray.load(Ordering::SeqCst) != 0 {
        job.stray.store(0, Ordering::SeqCst);
        // A death from here on sets it again: see `settle`.
        let claimed = (0..fields.chunks).find_map(take);
        if claimed.is_some() {
            // There may be more, and who looked meanwhile found none and has closed the job.
            job.stray.store(1, Ordering::SeqCst);
            shared.control().open.insert(index);
            shared.announce_work(1);
        }
        return claimed;
    }
    let pieces = fields.chunks..fields.chunks + shared.pieces_used(index, fields);
    let claimed = pieces.into_iter().find_map(take);
    if end == fields.chunks {
        job.note_all_claimed(fields);
    }
    claimed
}

/// Runs a claimed chunk and commits it; how many items that were.
///
/// # Safety
/// The worker's intent must name the job, and it must have claimed the chunk.
unsafe fn run_chunk(
    context: &Context<'_>,
    served: Served<'_>,
    chunk: u32,
    word: ChunkWord,
    since: u64,
) -> u64 {
    let Served { index, generation, fields } = served;
    let shared = context.shared;
    // SAFETY: by contract.
    let items = unsafe { shared.items(index, fields, chunk) };
    let first = (items.start + word.start() as usize).min(items.end);
    let allowed = usize::try_from(context.allowance.get()).unwrap_or(usize::MAX);
    let range = first..items.end.min(first.saturating_add(allowed));
    let Part { items, range, dirty, .. } =
        run_items(context, served, Part { items, range, dirty: word.is_dirty(), since });
    let last = range.end;
    // Short of the end if the worker is to be replaced before: another one goes on from there.
    let finished = last == items.end;
    let (stage, done) =
        if finished { (Stage::Done, word.start()) } else { (Stage::Free, (last - items.start) as u32) };
    let next = ChunkWord::new(generation, stage, dirty, context.index, done);
    // SAFETY: by contract.
    let words = unsafe { shared.words(fields) };
    if !Shared::exchange(&words[chunk as usize], word, next) {
        wait_to_be_killed();
    }
    if !finished {
        shared.reopen(index, fields, chunk);
        shared.announce_work(1);
    }
    (last - first) as u64
}

/// Runs items of a chunk; what has become of it.
fn run_items(context: &Context<'_>, served: Served<'_>, part: Part) -> Part {
    let me = context.slot();
    let timed: Option<(&AtomicU64, &AtomicU64)> = context.timed.then_some((&me.turn, &me.began));
    let mut run = Run::new(context.shared, served, &me.item, timed, part);
    // SAFETY: the host stored the address of a `Runner`, the same in this image.
    let runner = unsafe { core::mem::transmute::<usize, Runner>(served.fields.runner) };
    // SAFETY: the chunk is ours, and the host checked the sizes for this runner.
    unsafe { runner(&mut run) };
    run.into_part()
}

/// What was being done has been condemned: commit nothing.
#[cold]
pub(super) fn wait_to_be_killed() -> ! {
    loop {
        clock::sleep(u64::MAX >> 2);
    }
}

/// Leaves an item that has a time limit.
#[inline]
pub(super) fn leave(turn: &AtomicU64) {
    let seen = Turn(turn.load(Ordering::Relaxed));
    // What is condemned stays so: the supervisor finds by it why the worker was killed.
    // AcqRel: either the supervisor sees that the item is over, or the worker that it is condemned.
    let is_over = !seen.is_condemned()
        && turn.compare_exchange(seen.0, seen.over().0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if !is_over {
        wait_to_be_killed();
    }
}
