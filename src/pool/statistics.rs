//! What a pool and its workers have done.

use super::host::Host;
use crate::sys::atomic::Ordering;

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

impl Host {
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
        let busy_ns = slot.busy_ns.load(Ordering::Relaxed);
        Some(WorkerStatistics {
            pid: slot.pid.load(Ordering::Relaxed) as i32,
            items: slot.items.load(Ordering::Relaxed),
            crashes: slot.crashes.load(Ordering::Relaxed),
            busy_ns,
            idle_ns: self.age().saturating_sub(busy_ns),
        })
    }
}
