//! A job in flight, from the host's side: handed out, waited for, cancelled, collected.

use super::arena::Extent;
use super::control::{Fields, Shared, outcome, request};
use super::host::Host;
use super::job::{Books, Job, Layout, Slot, Tally};
use super::status::{CRASHED, FAILED, RETRY, TaskStatus};
use super::word::{ChunkWord, ItemWord, Pair, Stage};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::cpu;
use crate::sys::futex::{self, Wake};
use crate::sys::signal::SIGKILL;

/// How often the host yields before it sleeps.
const YIELDS: u32 = 8;

/// A job in flight.
struct Ticket {
    index: usize,
    generation: u32,
    extent: Extent,
    fields: Fields,
}

impl Host {
    /// Runs a job and waits for it; when it returns, in whatever way, the buffers are the caller's again.
    ///
    /// # Safety
    /// The buffers must be as large as the job says, and the runner must fit task and sizes.
    pub(crate) unsafe fn run(&self, job: &Job, deadline: Deadline) -> Result<Tally> {
        if self.request() != request::RUN {
            return Err(Error::Closed);
        }
        if !self.code.contains(job.runner as usize) || (job.task != 0 && !self.code.contains(job.task)) {
            return Err(Error::InvalidArgument);
        }
        if job.count == 0 {
            return Ok(Tally::default());
        }
        if self.shared.control().outcome.load(Ordering::Acquire) != outcome::RUNNING {
            return Err(Error::ChildLost);
        }
        let layout = Layout::of(job, self.shared.workers)?;
        let (index, extent) = self.reserve(&layout, deadline)?;
        let ticket = Ticket { index, generation: 0, extent, fields: layout.at(extent.offset) };
        // SAFETY: by contract; the extent was reserved for this layout.
        let ticket = unsafe { self.publish(job, ticket) };
        let ended = self.await_completed(&ticket, deadline);
        let rest = match ended {
            Ok(()) => TaskStatus::CANCELLED,
            Err(Error::ChildLost) => self.seal(&ticket),
            Err(_) => self.cancel(&ticket),
        };
        // SAFETY: by contract; all chunks have their last word.
        let mut tally = unsafe { self.collect(job, &ticket, rest) };
        self.withdraw(&ticket);
        match ended {
            Err(Error::TimedOut | Error::WouldBlock) if tally.failed > 0 => tally.timed_out = true,
            Err(Error::Interrupted) if tally.failed > 0 => return Err(Error::Interrupted),
            // Closed between the look above and the job: those workers that saw the close before the job
            // (SeqCst, as in `serve`) do not come back. If that was all of them, it came too late.
            Err(Error::ChildLost) if tally.failed == job.count && self.request() == request::CLOSE => {
                return Err(Error::Closed);
            }
            _ => {}
        }
        Ok(tally)
    }

    fn books<R>(&self, with: impl FnOnce(&mut Books) -> R) -> Result<R> {
        match self.books.lock() {
            Ok(mut books) => Ok(with(&mut books)),
            Err(error) => error.into_guard().map(|mut books| with(&mut books)),
        }
    }

    /// A slot and an extent, waiting until other jobs leave some if need be.
    fn reserve(&self, layout: &Layout, deadline: Deadline) -> Result<(usize, Extent)> {
        // A stopped worker may keep memory in limbo for ever: not waited for as long.
        const PATIENCE: u32 = 1000;
        let mut tries = 0;
        loop {
            let reserved = self.books(|books| {
                let limbo = books.sweep(&self.shared);
                let live = books.slots.iter().any(|slot| matches!(slot, Slot::Live));
                let Some(index) = books.slots.iter().position(|slot| matches!(slot, Slot::Free)) else {
                    return Ok(None);
                };
                match books.arena.allocate(layout.size)? {
                    Some(extent) => {
                        if let Err(error) = books.arena.populate(extent.offset, layout.needed) {
                            books.arena.free(extent);
                            return Err(error);
                        }
                        books.slots[index] = Slot::Live;
                        Ok(Some((index, extent)))
                    }
                    None if live || (limbo && tries < PATIENCE) => Ok(None),
                    None => Err(Error::OutOfMemory),
                }
            })??;
            if let Some(reserved) = reserved {
                return Ok(reserved);
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

    /// Copies the job into the arena and lets the workers at it.
    ///
    /// # Safety
    /// As [`Host::run`]; the ticket's slot and extent must be reserved.
    unsafe fn publish(&self, job: &Job, mut ticket: Ticket) -> Ticket {
        let shared = &self.shared;
        let slot = &shared.control().jobs[ticket.index];
        let fields = &ticket.fields;
        ticket.generation = slot.generation.load(Ordering::Relaxed).wrapping_add(1);
        // SAFETY: the caller's buffers by contract; the extent is ours alone until the generation is stored.
        unsafe {
            if job.context_size > 0 {
                job.context.copy_to_nonoverlapping(shared.arena(fields.context), job.context_size);
            }
            if job.input_size > 0 {
                job.inputs.copy_to_nonoverlapping(shared.arena(fields.inputs), job.input_size * job.count);
            }
            for word in shared.words(fields) {
                word.store(ChunkWord::untouched(ticket.generation).0, Ordering::Relaxed);
            }
            slot.set_fields(*fields);
        }
        slot.hint.0.store(Pair::new(0, 0).0, Ordering::Relaxed);
        // Release: who sees the generation sees all of the job.
        slot.generation.store(ticket.generation, Ordering::Release);
        shared.control().active.0.fetch_or(1 << ticket.index, Ordering::SeqCst);
        shared.announce_work(fields.chunks as usize);
        ticket
    }

    /// Waits until all chunks are done: `ChildLost` if that will never be.
    fn await_completed(&self, ticket: &Ticket, deadline: Deadline) -> Result<()> {
        let completed = &self.shared.control().jobs[ticket.index].completed;
        let (mut yields, mut sleeps) = (0, 0);
        loop {
            // Acquire: all outputs are seen.
            let seen = completed.load(Ordering::Acquire);
            if seen == ticket.generation {
                return Ok(());
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if yields < YIELDS {
                yields += 1;
                cpu::yield_now();
                continue;
            }
            // Woken, at the bound, or at the pool's end: a supervisor that ended says so, one that was killed is found out.
            if (sleeps > 0 || self.request() != request::RUN) && self.outcome() != outcome::RUNNING {
                return if completed.load(Ordering::Acquire) == ticket.generation {
                    Ok(())
                } else {
                    Err(Error::ChildLost)
                };
            }
            sleeps += 1;
            // SAFETY: the control block is mapped.
            match unsafe { futex::wait(completed.as_ptr(), seen, deadline, 0) } {
                Wake::TimedOut => return Err(Error::TimedOut),
                Wake::Interrupted => return Err(Error::Interrupted),
                Wake::Woken | Wake::Bound => {}
            }
        }
    }

    fn words(&self, ticket: &Ticket) -> &[AtomicU64] {
        // SAFETY: the job is ours until it is withdrawn.
        unsafe { self.shared.words(&ticket.fields) }
    }

    /// Takes back what nobody has begun, and has what is being run stopped. What the items get that were not done.
    fn cancel(&self, ticket: &Ticket) -> TaskStatus {
        if self.condemn(ticket) {
            self.command();
            let completed = &self.shared.control().jobs[ticket.index].completed;
            while self
                .words(ticket)
                .iter()
                .any(|word| ChunkWord(word.load(Ordering::Acquire)).stage() == Stage::Condemned)
            {
                if self.outcome() != outcome::RUNNING {
                    return self.seal(ticket);
                }
                let seen = completed.load(Ordering::Acquire);
                // SAFETY: the control block is mapped.
                unsafe { futex::wait(completed.as_ptr(), seen, Deadline::after_nanos(1_000_000), 0) };
            }
        }
        TaskStatus::CANCELLED
    }

    /// Gives every chunk that is not done a word that no worker can commit over; whether some are in workers' hands.
    fn condemn(&self, ticket: &Ticket) -> bool {
        let mut any = false;
        for word in self.words(ticket) {
            loop {
                let seen = ChunkWord(word.load(Ordering::Acquire));
                let next = match seen.stage() {
                    Stage::Free => Stage::Cancelled,
                    Stage::Claimed => Stage::Condemned,
                    Stage::Done | Stage::Condemned | Stage::Cancelled => break,
                };
                if Shared::exchange(word, seen, seen.with_stage(next)) {
                    any |= next == Stage::Condemned;
                    break;
                }
            }
        }
        any
    }

    /// For a pool that has ended or broken: nobody will settle what the workers left, so it is done here.
    /// What the items get that were not done.
    fn seal(&self, ticket: &Ticket) -> TaskStatus {
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
            let first = chunk * ticket.fields.chunk_size;
            let end = (first + ticket.fields.chunk_size).min(ticket.fields.count);
            let on = (item.index() as usize).clamp(first, end);
            let left = ChunkWord::new(
                ticket.generation,
                Stage::Cancelled,
                item.is_dirty(),
                seen.worker(),
                (on - first) as u32,
            );
            word.store(left.0, Ordering::Release);
        }
        match self.outcome() {
            outcome::ENDED => TaskStatus::CANCELLED,
            _ => TaskStatus { kind: CRASHED, code: SIGKILL },
        }
    }

    /// Copies out what is done, and says of each item how it ended.
    ///
    /// # Safety
    /// As [`Host::run`]; every chunk must be done or cancelled.
    unsafe fn collect(&self, job: &Job, ticket: &Ticket, rest: TaskStatus) -> Tally {
        let fields = &ticket.fields;
        let mut tally = Tally::default();
        // Items that are OK and not yet copied, in one piece.
        let mut good = 0..0;
        for (chunk, word) in self.words(ticket).iter().enumerate() {
            let word = ChunkWord(word.load(Ordering::Acquire));
            let first = chunk * fields.chunk_size;
            let end = (first + fields.chunk_size).min(fields.count);
            let done = match word.stage() {
                Stage::Done => end,
                _ => first + (word.start() as usize).min(end - first),
            };
            let mut looked_at = first;
            if !word.is_dirty() {
                // SAFETY: by contract.
                unsafe { self.accept(job, fields, &mut good, first..done) };
                looked_at = done;
            }
            for item in looked_at..end {
                let mut status = rest;
                if item < done {
                    // SAFETY: written by the chunk's worker or the supervisor.
                    let written = unsafe { self.shared.status(fields, item).read() };
                    status = if written.kind == RETRY { rest } else { written };
                }
                if status.is_ok() {
                    // SAFETY: by contract.
                    unsafe { self.accept(job, fields, &mut good, item..item + 1) };
                    continue;
                }
                if status.kind == FAILED && job.task != 0 {
                    // A C function that returned a code has written its output all the same.
                    // SAFETY: by contract.
                    unsafe { self.copy_out(job, fields, item..item + 1) };
                }
                tally.failed += 1;
                tally.first.get_or_insert((item, status));
                if !job.statuses.is_null() {
                    // SAFETY: room for all items, by contract.
                    unsafe { job.statuses.add(item).write(status) };
                }
            }
        }
        // SAFETY: by contract.
        unsafe { self.copy_out(job, fields, good) };
        tally
    }

    /// Adds items to those that are OK.
    ///
    /// # Safety
    /// As [`Host::collect`].
    unsafe fn accept(
        &self,
        job: &Job,
        fields: &Fields,
        good: &mut core::ops::Range<usize>,
        items: core::ops::Range<usize>,
    ) {
        if !job.statuses.is_null() {
            for item in items.clone() {
                // SAFETY: room for all items, by contract.
                unsafe { job.statuses.add(item).write(TaskStatus::OK) };
            }
        }
        if good.end == items.start {
            good.end = items.end;
        } else {
            // SAFETY: by contract.
            unsafe { self.copy_out(job, fields, core::mem::replace(good, items)) };
        }
    }

    /// # Safety
    /// As [`Host::collect`].
    unsafe fn copy_out(&self, job: &Job, fields: &Fields, items: core::ops::Range<usize>) {
        if job.output_size == 0 || items.is_empty() {
            return;
        }
        let from = self.shared.arena(fields.outputs + items.start * job.output_size);
        // SAFETY: both have room for all items.
        unsafe {
            from.copy_to_nonoverlapping(
                job.outputs.add(items.start * job.output_size),
                items.len() * job.output_size,
            );
        }
    }

    /// Ends the job: its slot and memory are free as soon as no worker can touch them.
    fn withdraw(&self, ticket: &Ticket) {
        let control = self.shared.control();
        control.active.0.fetch_and(!(1 << ticket.index), Ordering::Release);
        control.jobs[ticket.index].generation.store(ticket.generation.wrapping_add(1), Ordering::Release);
        let _ = self.books(|books| {
            books.slots[ticket.index] = Slot::Limbo(ticket.extent, ticket.generation);
            books.sweep(&self.shared);
        });
        if self.request() != request::RUN {
            // Workers that stayed for this job may leave.
            self.shared.announce_work(usize::MAX);
        }
    }
}
