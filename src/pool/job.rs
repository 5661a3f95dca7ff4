//! A job: what is to be done, how it is laid out in the arena, and how it ended.

use super::control::Fields;
use super::message;
use super::piece;
use super::run::Runner;
use super::status::{TaskError, TaskStatus};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64};

/// Chunks a job is divided into when the pool chooses, for each worker and at least.
const CHUNKS_PER_WORKER: usize = 256;
const LEAST_CHUNKS: usize = 4096;
/// Bytes of statuses that are made present for jobs that did not ask for any: more come with the first item that is not OK.
const LITTLE: usize = 1 << 20;

/// What is to be done: sizes checked against nothing yet.
pub(crate) struct Job {
    pub(crate) runner: Runner,
    /// The function that the runner calls, if it is one of C.
    pub(crate) task: usize,
    pub(crate) context: *const u8,
    pub(crate) context_size: usize,
    pub(crate) inputs: *const u8,
    pub(crate) input_size: usize,
    pub(crate) count: usize,
    pub(crate) output_size: usize,
    /// 0: chosen by the pool.
    pub(crate) chunk_size: usize,
    /// Whether statuses will be asked for.
    pub(crate) has_statuses: bool,
    /// Whether functions may panic, so that there is a message to be kept.
    pub(crate) has_messages: bool,
    /// Whether a chunk may run twice.
    pub(crate) pure: bool,
    /// Whether its result is what the one item's function returned.
    pub(crate) is_apply: bool,
}

/// Given the number of an item and its output.
pub(crate) type Take<'a> = &'a mut dyn FnMut(usize, &[u8]);

/// Where results go.
pub(crate) struct Sink<'a> {
    /// Room for all; null: not wanted.
    pub(crate) outputs: *mut u8,
    /// Null, or room for all.
    pub(crate) statuses: *mut TaskStatus,
    /// Told of each item that did not succeed.
    pub(crate) errors: Option<&'a mut dyn FnMut(usize, TaskError)>,
    /// Given the output of each item that did.
    pub(crate) take: Option<Take<'a>>,
}

impl Sink<'_> {
    /// Whether what is written there early may change inputs that are still to be copied: C's buffers may overlap. In place, where no
    /// result is larger than its input, it cannot.
    pub(super) fn may_change_inputs(&self, job: &Job) -> bool {
        let inputs =
            job.inputs.addr()..job.inputs.addr().wrapping_add(job.count.wrapping_mul(job.input_size));
        let overlaps = |start: usize, size: usize| {
            let end = start.wrapping_add(job.count.wrapping_mul(size));
            start != 0 && start < inputs.end && inputs.start < end
        };
        let is_in_place = self.outputs.addr() == inputs.start && job.output_size <= job.input_size;
        overlaps(self.outputs.addr(), job.output_size) && !is_in_place
            || overlaps(self.statuses.addr(), size_of::<TaskStatus>())
    }

    /// Nothing is wanted.
    pub(crate) const NOTHING: Self =
        Self { outputs: core::ptr::null_mut(), statuses: core::ptr::null_mut(), errors: None, take: None };
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Items that are not OK.
    pub(crate) failed: usize,
    /// The first of them.
    pub(crate) first: Option<(usize, TaskStatus)>,
    /// Why that one did not succeed.
    pub(crate) error: Option<TaskError>,
    /// Whether the deadline ended it.
    pub(crate) timed_out: bool,
}

/// Where the parts of a job stand in its extent, and how large it is.
pub(super) struct Layout {
    pub(super) fields: Fields,
    /// Bytes that must be present before the job begins; statuses come after them.
    pub(super) needed: usize,
    pub(super) size: usize,
}

/// Puts one part of an extent after the other, each on a cache line of its own.
struct Places {
    end: usize,
}

impl Places {
    fn place(&mut self, size: usize, count: usize) -> Result<usize> {
        let start = self.end.checked_next_multiple_of(64).ok_or(Error::InvalidArgument)?;
        let size = size.checked_mul(count).ok_or(Error::InvalidArgument)?;
        self.end = start
            .checked_add(size)
            .filter(|&end| end <= isize::MAX as usize)
            .ok_or(Error::InvalidArgument)?;
        Ok(start)
    }
}

impl Layout {
    pub(super) fn of(job: &Job, workers: usize) -> Result<Self> {
        let chunk_size = match job.chunk_size {
            0 => job.count.div_ceil(LEAST_CHUNKS.max(CHUNKS_PER_WORKER * workers)),
            size => size.min(job.count),
        };
        let chunks = job.count.div_ceil(chunk_size.max(1));
        let pieces = piece::count_for(job.count, chunks, workers);
        if u32::try_from(chunk_size).is_err() || chunks + pieces >= u32::MAX as usize {
            return Err(Error::InvalidArgument);
        }
        Self::place(job, chunk_size, [chunks, pieces], 0, job.has_statuses)
    }

    /// Of a stream with so many slots: each is a chunk of one item.
    pub(super) fn of_stream(job: &Job) -> Result<Self> {
        let ring = u32::try_from(job.count)
            .ok()
            .and_then(u32::checked_next_power_of_two)
            .filter(|&ring| ring < 1 << 31)
            .ok_or(Error::InvalidArgument)?;
        Self::place(job, 1, [job.count, 0], ring, true)
    }

    fn place(
        job: &Job,
        chunk_size: usize,
        [chunks, pieces]: [usize; 2],
        ring: u32,
        has_statuses: bool,
    ) -> Result<Self> {
        let mut places = Places { end: 0 };
        let message_count = if job.has_messages { message::count_for(job.count, ring != 0) } else { 0 };
        let fields = Fields {
            runner: job.runner as usize,
            task: job.task,
            words: places.place(size_of::<AtomicU64>(), chunks + pieces)?,
            cuts: places.place(size_of::<AtomicU64>(), pieces)?,
            order: places.place(size_of::<AtomicU32>(), ring as usize)?,
            ring,
            messages: places.place(message::size_of_table(message_count), 1)?,
            message_count,
            context: places.place(job.context_size, 1)?,
            context_size: job.context_size,
            inputs: places.place(job.input_size, job.count)?,
            input_size: job.input_size,
            outputs: places.place(job.output_size, job.count)?,
            output_size: job.output_size,
            statuses: places.place(0, 0)?,
            count: job.count,
            chunk_size,
            chunks: chunks as u32,
            pieces: pieces as u32,
            pure: job.pure,
        };
        let mut needed = fields.statuses;
        let statuses = places.place(size_of::<TaskStatus>(), job.count)?;
        if has_statuses || places.end - statuses <= LITTLE {
            needed = places.end;
        }
        Ok(Self { fields, needed, size: places.end })
    }

    pub(super) fn at(mut self, offset: usize) -> Fields {
        let fields = &mut self.fields;
        for part in [
            &mut fields.words,
            &mut fields.cuts,
            &mut fields.order,
            &mut fields.messages,
            &mut fields.context,
            &mut fields.inputs,
            &mut fields.outputs,
            &mut fields.statuses,
        ] {
            *part += offset;
        }
        self.fields
    }
}
