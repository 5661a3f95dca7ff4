//! What a pool and its workers have done.

use super::flight::Ticket;
use super::host::Host;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock;

/// What a pool has done since it was made. Read while it works, the numbers may belong to neighbouring moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatistics {
    /// How many workers it has.
    pub workers: u32,
    /// Items run, counted at the end of each chunk.
    pub items: u64,
    /// Workers that died of an item.
    pub crashes: u64,
    /// Workers replaced, whatever ended them.
    pub replaced: u64,
    /// Nanoseconds that workers were busy with chunks, all together.
    pub busy_ns: u64,
    /// Nanoseconds since the pool was made. `busy_ns / wall_ns` is the mean concurrency: an estimate of the speed-up.
    pub wall_ns: u64,
}

/// What one worker of a pool has done, with its predecessors in the same place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatistics {
    /// Its process id; 0 while it is being replaced.
    pub pid: i32,
    /// Items run.
    pub items: u64,
    /// How often an item ended it.
    pub crashes: u64,
    /// Nanoseconds busy with chunks.
    pub busy_ns: u64,
    /// The other nanoseconds since the pool was made.
    pub idle_ns: u64,
}

/// What the last job cost that a thread waited for: a map or an apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobStatistics {
    /// How many items it had.
    pub items: u64,
    /// How many workers there were.
    pub workers: u32,
    /// Nanoseconds that workers spent on it, all together.
    pub busy_ns: u64,
    /// Nanoseconds from when it was handed out until its results were there, copies of both included.
    pub wall_ns: u64,
}

impl JobStatistics {
    /// How many times faster than one worker: `busy_ns / wall_ns`, since one would be busy as long as all together.
    /// (On CPUs that slow each other down, by sharing caches or heat, it is less.)
    #[must_use]
    pub fn speed_up(&self) -> f64 {
        self.busy_ns as f64 / self.wall_ns.max(1) as f64
    }

    /// The part of the workers' time that was used: speed-up by worker.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.speed_up() / f64::from(self.workers.max(1))
    }

    /// The part of the job that cannot be done in parallel, estimated from its speed-up by Amdahl's law: with a serial
    /// part `f`, `n` workers are `1 / (f + (1 - f) / n)` times faster than one. Hence `1 / f` is the most that
    /// any number of workers could reach; if more workers give a larger estimate, it is not the serial part that limits, but
    /// overhead. (A. H. Karp, H. P. Flatt, "Measuring Parallel Processor Performance", 1990.) `None` of one worker, which
    /// tells nothing.
    #[must_use]
    pub fn serial_part(&self) -> Option<f64> {
        let workers = f64::from(self.workers);
        let inverse = 1.0 / workers;
        (self.workers > 1 && self.busy_ns > 0)
            .then(|| ((1.0 / self.speed_up() - inverse) / (1.0 - inverse)).clamp(0.0, 1.0))
    }
}

/// In the host's books. Read while jobs end, the numbers may belong to neighbouring jobs.
#[derive(Default)]
pub(super) struct LastJob {
    items: AtomicU64,
    busy_ns: AtomicU64,
    wall_ns: AtomicU64,
}

impl Host {
    /// Takes note of a job that has ended.
    pub(super) fn note_job(&self, ticket: &Ticket) {
        let busy = self.shared.job(ticket.index).busy_ns.load(Ordering::Relaxed);
        self.last.items.store(ticket.fields.count as u64, Ordering::Relaxed);
        self.last.busy_ns.store(busy, Ordering::Relaxed);
        self.last.wall_ns.store(clock::now().saturating_sub(ticket.started), Ordering::Relaxed);
    }

    pub(super) fn last_job(&self) -> Option<JobStatistics> {
        let job = JobStatistics {
            items: self.last.items.load(Ordering::Relaxed),
            workers: self.shared.workers as u32,
            busy_ns: self.last.busy_ns.load(Ordering::Relaxed),
            wall_ns: self.last.wall_ns.load(Ordering::Relaxed),
        };
        (job.items > 0).then_some(job)
    }

    pub(crate) fn statistics(&self) -> PoolStatistics {
        let mut sum = PoolStatistics {
            workers: self.shared.workers as u32,
            replaced: self.shared.control().replaced.load(Ordering::Relaxed),
            wall_ns: self.age(),
            ..PoolStatistics::default()
        };
        for index in 0..self.shared.workers {
            if let Some(worker) = self.worker_statistics(index) {
                sum.items += worker.items;
                sum.crashes += worker.crashes;
                sum.busy_ns += worker.busy_ns;
            }
        }
        sum
    }

    pub(crate) fn worker_statistics(&self, index: usize) -> Option<WorkerStatistics> {
        let slot = self.shared.slots()[..self.shared.workers].get(index)?;
        // Before their time: pairs with the worker's store.
        let items = slot.items.load(Ordering::Acquire);
        let busy_ns = slot.busy_ns.load(Ordering::Relaxed);
        Some(WorkerStatistics {
            pid: slot.pid.load(Ordering::Relaxed) as i32,
            items,
            crashes: slot.crashes.load(Ordering::Relaxed),
            busy_ns,
            idle_ns: self.age().saturating_sub(busy_ns),
        })
    }
}
