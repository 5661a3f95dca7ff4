//! A job: what is to be done, how it is laid out in the arena, and the books of what is in use.

use super::arena::{Arena, Extent};
use super::control::{Fields, JOBS, Shared};
use super::status::TaskStatus;
use super::worker::Runner;
use crate::error::{Error, Result};
use crate::sys::atomic::AtomicU64;

/// Chunks a job is divided into when the pool chooses, for each worker and at least.
const CHUNKS_PER_WORKER: usize = 256;
const LEAST_CHUNKS: usize = 4096;
/// Bytes of statuses that are made present for jobs that did not ask for any: more come with the first item that is not OK.
const LITTLE: usize = 1 << 20;

/// What is to be done: sizes checked against nothing yet.
pub(crate) struct Job {
    pub(crate) runner: Runner,
    pub(crate) task: usize,
    pub(crate) context: *const u8,
    pub(crate) context_size: usize,
    pub(crate) inputs: *const u8,
    pub(crate) input_size: usize,
    pub(crate) count: usize,
    pub(crate) outputs: *mut u8,
    pub(crate) output_size: usize,
    /// 0: chosen by the pool.
    pub(crate) chunk_size: usize,
    /// Null, or room for `count` of them.
    pub(crate) statuses: *mut TaskStatus,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Items that are not OK.
    pub(crate) failed: usize,
    /// The first of them.
    pub(crate) first: Option<(usize, TaskStatus)>,
    /// Whether the deadline ended it.
    pub(crate) timed_out: bool,
}

/// A job slot in the host's books.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Free,
    Live,
    /// Given up, but a worker may still touch it.
    Limbo(Extent, u32),
}

/// What the host knows of arena and job slots: under one lock, in private memory.
pub(crate) struct Books {
    pub(super) arena: Arena,
    pub(super) slots: [Slot; JOBS],
}

impl Books {
    pub(super) fn new(arena: Arena) -> Self {
        Self { arena, slots: [Slot::Free; JOBS] }
    }

    /// Frees what no worker can touch any more; whether anything is still in limbo.
    pub(super) fn sweep(&mut self, shared: &Shared) -> bool {
        let mut left = false;
        for index in 0..JOBS {
            if let Slot::Limbo(extent, generation) = self.slots[index] {
                if shared.is_named(index, generation) {
                    left = true;
                } else {
                    self.arena.free(extent);
                    self.slots[index] = Slot::Free;
                }
            }
        }
        left
    }
}

/// Where the parts of a job stand in its extent, and how large it is.
pub(super) struct Layout {
    pub(super) fields: Fields,
    /// Bytes that must be present before the job begins; statuses come after them.
    pub(super) needed: usize,
    pub(super) size: usize,
}

impl Layout {
    pub(super) fn of(job: &Job, workers: usize) -> Result<Self> {
        let chunk_size = match job.chunk_size {
            0 => job.count.div_ceil(LEAST_CHUNKS.max(CHUNKS_PER_WORKER * workers)),
            size => size.min(job.count),
        };
        let chunks = job.count.div_ceil(chunk_size);
        if u32::try_from(chunk_size).is_err() || chunks >= u32::MAX as usize {
            return Err(Error::InvalidArgument);
        }
        let mut end = 0usize;
        let mut place = |size: usize, count: usize| -> Result<usize> {
            let start = end.checked_next_multiple_of(64).ok_or(Error::InvalidArgument)?;
            let size = size.checked_mul(count).ok_or(Error::InvalidArgument)?;
            end = start
                .checked_add(size)
                .filter(|&end| end <= isize::MAX as usize)
                .ok_or(Error::InvalidArgument)?;
            Ok(start)
        };
        let fields = Fields {
            runner: job.runner as usize,
            task: job.task,
            words: place(size_of::<AtomicU64>(), chunks)?,
            context: place(job.context_size, 1)?,
            context_size: job.context_size,
            inputs: place(job.input_size, job.count)?,
            input_size: job.input_size,
            outputs: place(job.output_size, job.count)?,
            output_size: job.output_size,
            statuses: place(0, 0)?,
            count: job.count,
            chunk_size,
            chunks: chunks as u32,
        };
        let mut needed = fields.statuses;
        let statuses = place(size_of::<TaskStatus>(), job.count)?;
        if !job.statuses.is_null() || end - statuses <= LITTLE {
            needed = end;
        }
        Ok(Self { fields, needed, size: end })
    }

    pub(super) fn at(mut self, offset: usize) -> Fields {
        let fields = &mut self.fields;
        for part in [
            &mut fields.words,
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
