//! What becomes of a job's results: copied out, with each item's status.

use core::ops::Range;

use super::control::Fields;
use super::flight::Ticket;
use super::host::Host;
use super::job::{Sink, Tally};
use super::message;
use super::status::{FAILED, PANICKED, RETRY, TaskError, TaskStatus};
use super::word::{ChunkWord, Stage};
use crate::sys::atomic::Ordering;

/// Results on their way out, in order: how far they are, and what is known of those that are out.
#[derive(Default)]
pub(super) struct Collection {
    /// Items before this one are out: the first of this chunk, or of a [piece](super::piece) of it.
    next: usize,
    chunk: u32,
    /// Where the next piece begins, or the number of items; 0: not known. Kept only when nothing is cut any more.
    cut: usize,
    /// Items that are OK and not yet copied, in one piece.
    good: Range<usize>,
    tally: Tally,
}

impl Host {
    /// Copies out what is done of a job that is still under way, up to the first chunk that is not: while others go on, and while it is
    /// in the caches. How many bytes.
    ///
    /// # Safety
    /// The sink must have room for all.
    pub(super) unsafe fn collect_done(
        &self,
        sink: &mut Sink<'_>,
        ticket: &Ticket,
        out: &mut Collection,
    ) -> usize {
        let from = out.next;
        while let Some((word, items)) = self.next_part(ticket, out)
            && word.stage() == Stage::Done
        {
            // SAFETY: by contract; it is done. All its items have a status of their own.
            unsafe { self.collect_part(sink, ticket, (word, items), TaskStatus::CANCELLED, out) };
            out.cut = 0;
        }
        out.cut = 0;
        // SAFETY: by contract.
        unsafe { self.copy_out(sink, &ticket.fields, core::mem::take(&mut out.good)) };
        (out.next - from) * ticket.fields.output_size
    }

    /// Copies out what is done and not yet out, and says of each item how it ended: of those that were not done, `rest`.
    ///
    /// # Safety
    /// The sink must have room for all; every chunk must be done or cancelled.
    pub(super) unsafe fn collect(
        &self,
        sink: &mut Sink<'_>,
        ticket: &Ticket,
        rest: TaskStatus,
        mut out: Collection,
    ) -> Tally {
        while let Some(part) = self.next_part(ticket, &mut out) {
            // SAFETY: by contract.
            unsafe { self.collect_part(sink, ticket, part, rest, &mut out) };
        }
        // SAFETY: by contract.
        unsafe { self.copy_out(sink, &ticket.fields, out.good) };
        out.tally
    }

    /// The chunk or piece that is to go out next: its word, and its items if it is done or cancelled; `None`: all are out.
    fn next_part(&self, ticket: &Ticket, out: &mut Collection) -> Option<(ChunkWord, Range<usize>)> {
        let (index, fields) = (ticket.index, &ticket.fields);
        if out.next >= fields.count {
            return None;
        }
        let chunk = fields.chunk(out.chunk);
        let part = if out.next == chunk.start {
            Some(out.chunk)
        } else {
            // SAFETY: the job is ours until it is withdrawn.
            unsafe { self.shared.piece_at(index, fields, out.next) }
        };
        let word = part.and_then(|part| self.words(ticket).get(part as usize));
        // Acquire: pairs with the exchange to done, which nobody changes any more: what was cut off is seen. (There is no word only if
        // somebody has written over them.)
        let word = word.map_or(ChunkWord(0), |word| ChunkWord(word.load(Ordering::Acquire)));
        if out.cut < chunk.end {
            // SAFETY: as above.
            out.cut = unsafe { self.shared.end_of(index, fields, out.next, fields.count) };
        }
        Some((word, out.next..out.cut.min(chunk.end)))
    }

    /// The next chunk or piece, whose word and items these are.
    ///
    /// # Safety
    /// As [`Host::collect`], for this chunk.
    unsafe fn collect_part(
        &self,
        sink: &mut Sink<'_>,
        ticket: &Ticket,
        (word, items): (ChunkWord, Range<usize>),
        rest: TaskStatus,
        out: &mut Collection,
    ) {
        let fields = &ticket.fields;
        out.next = items.end;
        out.chunk += u32::from(items.end == fields.chunk(out.chunk).end);
        let done = match word.stage() {
            Stage::Done => items.end,
            _ => items.start + (word.start() as usize).min(items.len()),
        };
        let mut looked_at = items.start;
        if !word.is_dirty() {
            // SAFETY: by contract.
            unsafe { self.accept(sink, fields, &mut out.good, items.start..done) };
            looked_at = done;
        }
        for item in looked_at..items.end {
            let mut status = rest;
            if item < done {
                // SAFETY: written by the chunk's worker or the supervisor.
                let written = unsafe { self.shared.status(fields, item).read() };
                status = if written.kind == RETRY { rest } else { written };
            }
            if status.is_ok() {
                // SAFETY: by contract.
                unsafe { self.accept(sink, fields, &mut out.good, item..item + 1) };
                continue;
            }
            if status.kind == FAILED && fields.task != 0 {
                // A C function that returned a code has written its output all the same.
                // SAFETY: by contract.
                unsafe { self.copy_out(sink, fields, item..item + 1) };
            }
            let tally = &mut out.tally;
            if tally.failed == 0 {
                tally.error = self.error_of(ticket, item, status);
            }
            if let Some(errors) = &mut sink.errors
                && let Some(error) = self.error_of(ticket, item, status)
            {
                errors(item, error);
            }
            tally.failed += 1;
            tally.first.get_or_insert((item, status));
            if !sink.statuses.is_null() {
                // SAFETY: room for all items, by contract.
                unsafe { sink.statuses.add(item).write(status) };
            }
        }
    }

    /// Why an item did not succeed, if it did not, with what it said.
    pub(super) fn error_of(&self, ticket: &Ticket, item: usize, status: TaskStatus) -> Option<TaskError> {
        if status.kind == FAILED && status.code == PANICKED {
            // SAFETY: the job is ours until it is withdrawn.
            let said = unsafe { message::find(&self.shared, &ticket.fields, item) };
            if let Some(message) = said {
                return Some(TaskError::Panicked(message));
            }
        }
        status.error()
    }

    /// Adds items to those that are OK.
    ///
    /// # Safety
    /// As [`Host::collect`].
    unsafe fn accept(
        &self,
        sink: &mut Sink<'_>,
        fields: &Fields,
        good: &mut Range<usize>,
        items: Range<usize>,
    ) {
        if !sink.statuses.is_null() {
            for item in items.clone() {
                // SAFETY: room for all items, by contract.
                unsafe { sink.statuses.add(item).write(TaskStatus::OK) };
            }
        }
        if good.end == items.start {
            good.end = items.end;
        } else {
            // SAFETY: by contract.
            unsafe { self.copy_out(sink, fields, core::mem::replace(good, items)) };
        }
    }

    /// # Safety
    /// As [`Host::collect`].
    unsafe fn copy_out(&self, sink: &mut Sink<'_>, fields: &Fields, items: Range<usize>) {
        let size = fields.output_size;
        if let Some(take) = &mut sink.take {
            for item in items.clone() {
                // SAFETY: the item's output, which nobody writes any more.
                let output = unsafe {
                    core::slice::from_raw_parts(self.shared.arena(fields.outputs + item * size), size)
                };
                take(item, output);
            }
        }
        if size == 0 || items.is_empty() || sink.outputs.is_null() {
            return;
        }
        let from = self.shared.arena(fields.outputs + items.start * size);
        // SAFETY: both have room for all items.
        unsafe { from.copy_to_nonoverlapping(sink.outputs.add(items.start * size), items.len() * size) };
    }
}
