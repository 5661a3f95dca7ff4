//! Workers of pools that do not go on.

use forq::WorkerView;

use crate::inspect::memory::{Atlas, Place};
use crate::inspect::objects::{Objects, pool_at};
use crate::inspect::process::state_of;

/// A worker that is stopped while its pool has work.
#[derive(Clone, Debug)]
pub(crate) struct StoppedWorker {
    pub(crate) place: Place,
    pub(crate) worker: WorkerView,
    pub(crate) waiting_jobs: usize,
}

pub(crate) fn stopped_workers(atlas: &Atlas<'_>, objects: &Objects) -> Vec<StoppedWorker> {
    let mut found = Vec::new();
    for place in objects.pools.keys() {
        let Some(view) = pool_at(atlas, place) else { continue };
        let is_stopped = |worker: &&WorkerView| worker.pid != 0 && matches!(state_of(worker.pid), 'T' | 't');
        for &worker in view.workers.iter().filter(is_stopped) {
            if worker.is_busy || view.waiting_jobs > 0 {
                found.push(StoppedWorker { place: place.clone(), worker, waiting_jobs: view.waiting_jobs });
            }
        }
    }
    found
}
