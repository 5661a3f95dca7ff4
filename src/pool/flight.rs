//! A job in flight, from the host's side: handed out, waited for, cancelled, sealed. What becomes of its results: [`collect`](super::collect).

use super::books::{Books, Reserved};
use super::collect::Collection;
use super::control::{Fields, Shared, outcome, request};
use super::host::Host;
use super::job::{Job, Layout, Sink, Tally};
use super::message;
use super::status::{CRASHED, TaskStatus};
use super::word::{ChunkWord, ItemWord, Pair, Stage};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::cpu;
use crate::sys::futex::{self, Wake};
use crate::sys::signal::SIGKILL;

/// How often the host yields before it sleeps.
const YIELDS: u32 = 8;
/// Bytes of inputs after which the workers may begin with them, while the host copies more.
const PIECE: usize = 256 << 10;
/// Bytes of outputs that must be ready for the host to look for more without sleeping.
const WORTH_A_LOOK: usize = 32 << 10;

/// A job in flight.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) index: usize,
    pub(super) generation: u32,
    pub(super) fields: Fields,
    pub(super) started: u64,
}

impl Host {
    /// Runs a job and waits for it; when it returns, in whatever way, the buffers are the caller's again.
    ///
    /// # Safety
    /// The buffers must be as large as the job says, and the runner must fit task and sizes.
    pub(crate) unsafe fn run(&self, job: &Job, sink: &mut Sink<'_>, deadline: Deadline) -> Result<Tally> {
        if job.count == 0 {
            self.check(job)?;
            return Ok(Tally::default());
        }
        let mut out = Collection::default();
        let copies_early = !sink.may_change_inputs(job);
        // SAFETY: by contract.
        let mut look = |ticket: &Ticket| unsafe { self.collect_done(sink, ticket, &mut out) };
        // SAFETY: by contract.
        let ticket = unsafe {
            self.launch(job, false, deadline, |ticket| {
                if copies_early {
                    _ = look(ticket)
                }
            })
        }?;
        // As long as each look finds more to copy than looking costs, there is another.
        let ended = self.await_completed(&ticket, deadline, || look(&ticket) >= WORTH_A_LOOK);
        let rest = match ended {
            Ok(()) => TaskStatus::CANCELLED,
            Err(Error::ChildLost) => self.seal(&ticket),
            Err(_) => self.cancel(&ticket).1,
        };
        // SAFETY: by contract; all chunks have their last word.
        let mut tally = unsafe { self.collect(sink, &ticket, rest, out) };
        self.note_job(&ticket);
        self.withdraw(&ticket);
        match ended {
            Err(Error::TimedOut | Error::WouldBlock) if tally.failed > 0 => tally.timed_out = true,
            Err(Error::Interrupted) if tally.failed > 0 => return Err(Error::Interrupted),
            // Closed between the look in `check` and the job: those workers that saw the close before the job
            // (SeqCst, as in `serve`) do not come back. If that was all of them, it came too late.
            Err(Error::ChildLost) if tally.failed == job.count && self.request() == request::CLOSE => {
                return Err(Error::Closed);
            }
            _ => {}
        }
        Ok(tally)
    }

    /// Whether the pool takes such a job.
    pub(super) fn check(&self, job: &Job) -> Result<()> {
        if self.request() != request::RUN {
            return Err(Error::Closed);
        }
        if !self.code.contains(job.runner as usize) || (job.task != 0 && !self.code.contains(job.task)) {
            return Err(Error::InvalidArgument);
        }
        if job.count > 0 && self.shared.control().outcome.load(Ordering::Acquire) != outcome::RUNNING {
            return Err(Error::ChildLost);
        }
        Ok(())
    }

    /// Copies a job into the arena and lets the workers at it. `held`: for a result. `between`: called after each piece of inputs.
    ///
    /// # Safety
    /// As [`Host::run`].
    pub(super) unsafe fn launch(
        &self,
        job: &Job,
        held: bool,
        deadline: Deadline,
        between: impl FnMut(&Ticket),
    ) -> Result<Ticket> {
        self.check(job)?;
        let layout = Layout::of(job, self.shared.workers)?;
        let ticket = self.reserve(layout, held, deadline)?;
        // SAFETY: by contract; the extent was reserved for this layout.
        unsafe {
            self.prepare(job, &ticket);
            self.publish(&ticket);
        }
        if job.count == 0 {
            self.shared.job(ticket.index).completed.store(ticket.generation, Ordering::Release);
            return Ok(ticket);
        }
        // SAFETY: by contract.
        unsafe { self.feed(job, &ticket, between) };
        Ok(ticket)
    }

    pub(super) fn books<R>(&self, with: impl FnOnce(&mut Books) -> R) -> Result<R> {
        match self.books.lock() {
            Ok(mut books) => Ok(with(&mut books)),
            Err(error) => error.into_guard().map(|mut books| with(&mut books)),
        }
    }

    /// A slot and an extent, waiting until other jobs leave some if need be.
    pub(super) fn reserve(&self, layout: Layout, held: bool, deadline: Deadline) -> Result<Ticket> {
        // A stopped worker may keep memory in limbo for ever: not waited for as long.
        const PATIENCE: u32 = 1000;
        let mut tries = 0;
        loop {
            let patient = tries < PATIENCE;
            let (reserved, wake) = self.books(|books| {
                let reserved = books.reserve(&self.shared, layout.size, layout.needed, held, patient);
                (reserved, core::mem::take(&mut books.wants_tidying))
            })?;
            if wake {
                self.command();
            }
            let reserved = reserved?;
            if let Reserved::Slot(index, extent) = reserved {
                let generation = self.shared.job(index).generation.load(Ordering::Relaxed).wrapping_add(1);
                let fields = layout.at(extent.offset);
                return Ok(Ticket { index, generation, fields, started: clock::now() });
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if deadline.has_passed() {
                return Err(Error::TimedOut);
            }
            if self.outcome() != outcome::RUNNING {
                return Err(Error::ChildLost);
            }
            tries += 1;
            clock::sleep(1_000_000);
        }
    }

    /// Copies the context into the arena, and makes the chunks' words.
    ///
    /// # Safety
    /// As [`Host::run`]; the ticket must be reserved and not published.
    pub(super) unsafe fn prepare(&self, job: &Job, ticket: &Ticket) {
        let (shared, fields) = (&self.shared, &ticket.fields);
        // SAFETY: the caller's buffers by contract; the extent is ours alone until the job is published.
        unsafe {
            if job.context_size > 0 {
                job.context.copy_to_nonoverlapping(shared.arena(fields.context), job.context_size);
            }
            let (chunks, pieces) = shared.words(fields).split_at(fields.chunks as usize);
            chunks
                .iter()
                .for_each(|word| word.store(ChunkWord::untouched(ticket.generation).0, Ordering::Relaxed));
            pieces
                .iter()
                .for_each(|word| word.store(ChunkWord::unused(ticket.generation).0, Ordering::Relaxed));
        }
    }

    /// Copies the inputs into the arena, and lets the workers at those that are there.
    ///
    /// # Safety
    /// As [`Host::run`]; the ticket must be published.
    unsafe fn feed(&self, job: &Job, ticket: &Ticket, mut between: impl FnMut(&Ticket)) {
        let (shared, fields) = (&self.shared, &ticket.fields);
        let chunk_bytes = fields.input_size * fields.chunk_size;
        let step = PIECE.checked_div(chunk_bytes).map_or(u32::MAX, |chunks| chunks.max(1) as u32);
        let mut fed = 0;
        while fed < fields.chunks {
            let next = fields.chunks.min(fed.saturating_add(step));
            let (from, to) = (fields.chunk(fed).start, fields.chunk(next - 1).end);
            if fields.input_size > 0 {
                let offset = from * fields.input_size;
                // SAFETY: the caller's buffer by contract; workers do not touch inputs past the tail.
                unsafe {
                    job.inputs.add(offset).copy_to_nonoverlapping(
                        shared.arena(fields.inputs + offset),
                        (to - from) * fields.input_size,
                    );
                }
            }
            // SeqCst, as the set: a worker that takes the job out of the open ones looks at the tail after that. It is also
            // the release of the inputs.
            shared.job(ticket.index).tail.store(next, Ordering::SeqCst);
            shared.control().open.insert(ticket.index);
            shared.announce_work((next - fed) as usize);
            fed = next;
            if fed < fields.chunks {
                between(ticket);
            }
        }
    }

    /// Makes the job known, so that workers may name it.
    ///
    /// # Safety
    /// The ticket must be reserved, its extent filled.
    pub(super) unsafe fn publish(&self, ticket: &Ticket) {
        let job = self.shared.job(ticket.index);
        // SAFETY: nobody names the slot while it is reserved and not published.
        unsafe {
            message::clear(&self.shared, &ticket.fields);
            job.set_fields(ticket.fields);
        }
        job.hint.0.store(Pair::new(0, 0).0, Ordering::Relaxed);
        job.watched.store(0, Ordering::Relaxed);
        // A stream that was here before has left any number.
        job.completed.store(ticket.generation.wrapping_sub(1), Ordering::Relaxed);
        job.busy_ns.store(0, Ordering::Relaxed);
        job.tail.store(0, Ordering::Relaxed);
        job.stray.store(0, Ordering::Relaxed);
        job.all_claimed.store(0, Ordering::Relaxed);
        job.pieces_used.store(0, Ordering::Relaxed);
        // Release: who sees the generation sees all of the job.
        job.generation.store(ticket.generation, Ordering::Release);
    }

    pub(super) fn is_completed(&self, ticket: &Ticket) -> bool {
        // Acquire: all outputs are seen.
        self.shared.job(ticket.index).completed.load(Ordering::Acquire) == ticket.generation
    }

    /// Waits until all chunks are done: `ChildLost` if that will never be. `look`: called before it sleeps, as long as that is worth
    /// it by what it returns.
    pub(super) fn await_completed(
        &self,
        ticket: &Ticket,
        deadline: Deadline,
        mut look: impl FnMut() -> bool,
    ) -> Result<()> {
        let job = self.shared.job(ticket.index);
        let (mut yields, mut sleeps) = (0, 0);
        loop {
            if self.is_completed(ticket) {
                return Ok(());
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if yields < YIELDS {
                yields += 1;
                if look() && !deadline.has_passed() {
                    yields = 0;
                }
                cpu::yield_now();
                continue;
            }
            // Woken, at the bound, or at the pool's end: a supervisor that ended says so, one that was killed is found out.
            if self.has_ended(sleeps > 0) {
                return if self.is_completed(ticket) { Ok(()) } else { Err(Error::ChildLost) };
            }
            sleeps += 1;
            // SeqCst: see `Job::wake`.
            job.sleepers.fetch_add(1, Ordering::SeqCst);
            let seen = job.completed.load(Ordering::SeqCst);
            let wake = if seen == ticket.generation {
                Wake::Woken
            } else {
                // SAFETY: the job slots are mapped.
                unsafe { futex::wait(job.completed.as_ptr(), seen, deadline, 0) }
            };
            job.sleepers.fetch_sub(1, Ordering::Relaxed);
            match wake {
                Wake::TimedOut => return Err(Error::TimedOut),
                Wake::Interrupted => return Err(Error::Interrupted),
                Wake::Woken | Wake::Bound => {}
            }
        }
    }

    pub(super) fn words(&self, ticket: &Ticket) -> &[AtomicU64] {
        // SAFETY: the job is ours until it is withdrawn.
        unsafe { self.shared.words(&ticket.fields) }
    }

    /// Takes back what nobody has begun, and has what is being run stopped: whether there was any of either, and what
    /// the items get that were not done.
    pub(super) fn cancel(&self, ticket: &Ticket) -> (bool, TaskStatus) {
        let (stopped, condemned) = self.condemn(ticket);
        if condemned {
            if self.outcome() == outcome::RUNNING {
                self.command();
            }
            while self.words(ticket).iter().any(is_condemned) {
                if self.outcome() != outcome::RUNNING {
                    return (true, self.seal(ticket));
                }
                let completed = &self.shared.job(ticket.index).completed;
                let seen = completed.load(Ordering::Acquire);
                // SAFETY: the job slots are mapped.
                unsafe { futex::wait(completed.as_ptr(), seen, Deadline::after_nanos(1_000_000), 0) };
            }
        }
        (stopped, TaskStatus::CANCELLED)
    }

    /// Gives every chunk that is not done a word that no worker can commit over, and lets none cut off another piece: whether there was any, and
    /// whether any is in a worker's hands.
    fn condemn(&self, ticket: &Ticket) -> (bool, bool) {
        let (mut any, mut in_hand) = (false, false);
        for word in self.words(ticket) {
            loop {
                let seen = ChunkWord(word.load(Ordering::Acquire));
                let next = match seen.stage() {
                    Stage::Free => Stage::Cancelled,
                    Stage::Claimed => Stage::Condemned,
                    Stage::Unused => Stage::Void,
                    Stage::Condemned => {
                        in_hand = true;
                        break;
                    }
                    Stage::Done | Stage::Cancelled | Stage::Void => break,
                };
                if Shared::exchange(word, seen, seen.with_stage(next)) {
                    any |= next != Stage::Void;
                    in_hand |= next == Stage::Condemned;
                    break;
                }
            }
        }
        (any, in_hand)
    }

    /// For a pool that has ended or broken: nobody will settle what the workers left, so it is done here.
    /// What the items get that were not done.
    pub(super) fn seal(&self, ticket: &Ticket) -> TaskStatus {
        self.condemn(ticket);
        for (chunk, word) in self.words(ticket).iter().enumerate() {
            let seen = ChunkWord(word.load(Ordering::Acquire));
            if seen.stage() != Stage::Condemned {
                continue;
            }
            // Its worker may still run, and go on to later items, but not commit the chunk: what is
            // done by now stays done.
            let slot = self.shared.worker(seen.worker().min(self.shared.workers));
            let item = ItemWord(slot.item.load(Ordering::Acquire));
            // SAFETY: the job is ours until it is withdrawn.
            let items = unsafe { self.shared.items(ticket.index, &ticket.fields, chunk as u32) };
            let on = (item.index() as usize).clamp(items.start, items.end);
            let done = (on - items.start) as u32;
            let left =
                ChunkWord::new(ticket.generation, Stage::Cancelled, item.is_dirty(), seen.worker(), done);
            // Fails if another thread of this process was here first.
            Shared::exchange(word, seen, left);
        }
        self.fate()
    }

    /// What the items get that were not done when the pool ended.
    pub(super) fn fate(&self) -> TaskStatus {
        match self.outcome() {
            outcome::BROKEN => TaskStatus { kind: CRASHED, code: SIGKILL },
            _ => TaskStatus::CANCELLED,
        }
    }

    /// Ends the job: its slot and memory are free as soon as no worker can touch them.
    pub(super) fn withdraw(&self, ticket: &Ticket) {
        self.shared.end_job(ticket.index, ticket.generation);
        let _ = self.books(|books| books.give_up(&self.shared, ticket.index, ticket.generation));
        if self.request() != request::RUN {
            // Workers that stayed for this job may leave.
            self.shared.announce_work(usize::MAX);
        }
    }
}

fn is_condemned(word: &AtomicU64) -> bool {
    ChunkWord(word.load(Ordering::Acquire)).stage() == Stage::Condemned
}
