//! A worker: claims chunks, runs their items, says what it is about to do before it does it.

use super::control::{Fields, Shared, request};
use super::status::{FAILED, TaskStatus};
use super::word::{ChunkWord, Intent, ItemWord, NOWHERE, Pair, Stage};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::stdio::Streams;
use crate::sys::{cpu, fork, futex, thread};

/// Runs the items of a chunk: one function for C tasks, one for each Rust closure.
pub(crate) type Runner = unsafe fn(&mut Run<'_>);

/// A chunk that is being run.
pub(crate) struct Run<'a> {
    shared: &'a Shared,
    fields: &'a Fields,
    item: &'a AtomicU64,
    /// What every fork wipes: a task that forks and returns twice must not complete twice.
    forked: &'a AtomicU64,
    generation: u64,
    first: usize,
    /// The items that are still to be run.
    pub(super) range: core::ops::Range<usize>,
    dirty: bool,
}

impl Run<'_> {
    #[cfg(feature = "capi")]
    pub(super) fn task(&self) -> usize {
        self.fields.task
    }

    pub(super) fn context(&self) -> *const u8 {
        self.shared.arena(self.fields.context)
    }

    /// How many values of a type the context is; of no size, none.
    pub(super) fn context_length<C>(&self) -> usize {
        self.fields.context_size.checked_div(size_of::<C>()).unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn input(&self, item: usize) -> *const u8 {
        self.shared.arena(self.fields.inputs).wrapping_add(item * self.fields.input_size)
    }

    #[inline(always)]
    pub(super) fn output(&self, item: usize) -> *mut u8 {
        self.shared.arena(self.fields.outputs).wrapping_add(item * self.fields.output_size)
    }

    /// Says which item is run next: should its worker die, it is known which one did it.
    #[inline(always)]
    pub(super) fn begin(&self, item: usize) {
        // Release: who reads it finds all earlier outputs written.
        self.item.store(ItemWord::new(item as u64, true, self.dirty).0, Ordering::Release);
    }

    /// Takes note of what an item's function returned.
    #[inline(always)]
    pub(super) fn end(&mut self, item: usize, code: i32) {
        if self.forked.load(Ordering::Relaxed) != self.generation {
            leave_forked_child();
        }
        if code != 0 || self.dirty {
            self.end_with_status(item, code);
        }
    }

    #[cold]
    fn end_with_status(&mut self, item: usize, code: i32) {
        let status = if code == 0 { TaskStatus::OK } else { TaskStatus { kind: FAILED, code } };
        // SAFETY: the chunk is this worker's.
        unsafe {
            if !self.dirty {
                self.shared.fill_ok(self.fields, self.first, self.range.end);
            }
            self.shared.status(self.fields, item).write(status);
        }
        self.dirty = true;
    }
}

#[cold]
fn leave_forked_child() -> ! {
    fork::exit_now(0)
}

/// What a worker needs from its pool.
pub(super) struct Context<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: usize,
    /// Flushes the streams of the host's language that libc does not know of.
    pub(super) flush: Option<fn()>,
    pub(super) streams: Streams,
}

impl Context<'_> {
    /// Writes out what tasks have printed.
    pub(super) fn flush(&self) {
        if let Some(flush) = self.flush {
            flush();
        }
        self.streams.flush();
    }
}

/// How often an idle worker yields before it sleeps.
const YIELDS: u32 = 8;

/// Serves until the pool is closed and there is nothing left to do.
pub(super) fn serve(context: &Context<'_>) {
    let shared = context.shared;
    let control = shared.control();
    let (mut yields, mut sleeps, mut turn) = (0, 0, 0);
    loop {
        let seen = control.work.0.load(Ordering::Acquire);
        if serve_jobs(context, &mut turn) {
            (yields, sleeps) = (0, 0);
            continue;
        }
        // SeqCst: whoever adds a job looks at the request afterwards, so one of us sees the other.
        if control.request.load(Ordering::SeqCst) == request::CLOSE
            && control.active.0.load(Ordering::SeqCst) == 0
        {
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
    idle.fetch_and(!bit, Ordering::Relaxed);
}

/// One round over the jobs in flight, a turn for each; whether anything was done.
fn serve_jobs(context: &Context<'_>, turn: &mut usize) -> bool {
    let control = context.shared.control();
    let mut any = false;
    let mut active = control.active.0.load(Ordering::Acquire).rotate_right(*turn as u32);
    while active != 0 {
        let job = (active.trailing_zeros() as usize + *turn) % super::control::JOBS;
        active &= active - 1;
        any |= serve_job(context, job);
    }
    *turn = (*turn + 1) % super::control::JOBS;
    any
}

/// Works on one job: as long as there is something to do if it is the only one, else for one chunk.
fn serve_job(context: &Context<'_>, index: usize) -> bool {
    let shared = context.shared;
    let control = shared.control();
    let me = shared.worker(context.index);
    let job = &control.jobs[index];
    let generation = job.generation.load(Ordering::Acquire);
    if generation % 2 == 0 {
        return false;
    }
    // The place of an earlier job must not be taken for one in this job.
    me.place.store(NOWHERE.0, Ordering::Relaxed);
    if !shared.name(me, index, generation) {
        return false;
    }
    // SAFETY: the published intent names the job.
    let fields = unsafe { job.fields() };
    let mut finished = Pair(me.finished[index].load(Ordering::Relaxed));
    if finished.high() != generation {
        finished = Pair::new(generation, 0);
        me.finished[index].store(finished.0, Ordering::Relaxed);
    }
    let before = finished.low();
    let mut since = clock::now();
    // SAFETY: as above.
    while let Some((chunk, word)) = unsafe { claim(context, index, generation, &fields, finished.low()) } {
        // SAFETY: as above, and the chunk is claimed.
        let items = unsafe { run_chunk(context, generation, &fields, chunk, word) };
        finished = Pair::new(generation, finished.low() + 1);
        me.finished[index].store(finished.0, Ordering::Release);
        // After that: a death in between leaves items uncounted, never counted twice.
        me.items.store(me.items.load(Ordering::Relaxed) + items, Ordering::Relaxed);
        let now = clock::now();
        me.busy_ns.store(me.busy_ns.load(Ordering::Relaxed) + now.saturating_sub(since), Ordering::Relaxed);
        since = now;
        if control.active.0.load(Ordering::Relaxed) != 1 << index {
            break;
        }
    }
    let any = finished.low() != before;
    if any {
        shared.complete_if_done(index, generation, fields.chunks);
    }
    // Release: all that was done to the job's memory is over when the host sees this.
    me.intent.store(Intent::NONE.0, Ordering::Release);
    any
}

/// Takes the next free chunk of a job; says before what it will be, for the supervisor.
///
/// # Safety
/// The worker's intent must name the job.
unsafe fn claim(
    context: &Context<'_>,
    index: usize,
    generation: u32,
    fields: &Fields,
    finished: u32,
) -> Option<(u32, ChunkWord)> {
    let shared = context.shared;
    let job = &shared.control().jobs[index];
    let me = shared.worker(context.index);
    // SAFETY: by contract.
    let words = unsafe { shared.words(fields) };
    let hint = Pair(job.hint.0.load(Ordering::Acquire));
    let raise = |chunk: u32| {
        // Fails if others raised it, or if a chunk behind it was freed: then it stays as it is.
        let raised = Pair::new(hint.high(), chunk);
        let _ = job.hint.0.compare_exchange(hint.0, raised.0, Ordering::Relaxed, Ordering::Relaxed);
    };
    for chunk in hint.low()..fields.chunks {
        let word = ChunkWord(words[chunk as usize].load(Ordering::Acquire));
        if !word.is_free_of(generation) {
            continue;
        }
        let first = chunk as usize * fields.chunk_size + word.start() as usize;
        me.item.store(ItemWord::new(first as u64, false, word.is_dirty()).0, Ordering::Relaxed);
        // Release, and before the claim: after a death the supervisor finds out from it what was claimed.
        me.place.store(Pair::new(chunk, finished).0, Ordering::Release);
        let claimed = word.claimed_by(context.index);
        if Shared::exchange(&words[chunk as usize], word, claimed) {
            raise(chunk + 1);
            return Some((chunk, claimed));
        }
    }
    if hint.low() < fields.chunks {
        raise(fields.chunks);
    }
    None
}

/// Runs a claimed chunk and commits it; how many items that were.
///
/// # Safety
/// The worker's intent must name the job, and it must have claimed the chunk.
unsafe fn run_chunk(
    context: &Context<'_>,
    generation: u32,
    fields: &Fields,
    chunk: u32,
    word: ChunkWord,
) -> u64 {
    let shared = context.shared;
    let me = shared.worker(context.index);
    let first = chunk as usize * fields.chunk_size;
    let end = (first + fields.chunk_size).min(fields.count);
    let forked = thread::generation_word();
    let mut run = Run {
        shared,
        fields,
        item: &me.item,
        forked,
        generation: forked.load(Ordering::Relaxed),
        first,
        range: first + word.start() as usize..end,
        dirty: word.is_dirty(),
    };
    // SAFETY: the host stored the address of a `Runner`, the same in this image.
    let runner = unsafe { core::mem::transmute::<usize, Runner>(fields.runner) };
    // SAFETY: the chunk is ours, and the host checked the sizes for this runner.
    unsafe { runner(&mut run) };
    let done = ChunkWord::new(generation, Stage::Done, run.dirty, context.index, word.start());
    // SAFETY: by contract.
    let words = unsafe { shared.words(fields) };
    if !Shared::exchange(&words[chunk as usize], word, done) {
        // Condemned while it ran: commit nothing, wait to be killed.
        loop {
            clock::sleep(u64::MAX >> 2);
        }
    }
    (end - first) as u64 - u64::from(word.start())
}
