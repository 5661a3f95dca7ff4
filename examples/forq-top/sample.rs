//! What programs do with forq at one moment, and since the moment before.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Result;
use std::time::Instant;

use forq::{
    ManagerView, MutexStatistics, MutexView, ObjectKind, PoolView, QueueStatistics, QueueView, WorkerView,
};

use crate::inspect::locks::Locks;
use crate::inspect::memory::{Atlas, Memory, Place};
use crate::inspect::names::Names;
use crate::inspect::objects::Objects;
use crate::inspect::process::{Process, all_pids, command_of, process_of, state_of};

/// Between looks for new processes and mappings.
const ROUNDS: u64 = 3;

/// A thread, its process, and what the kernel says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) state: char,
}

impl Who {
    fn of(tid: u32) -> Self {
        let pid = process_of(tid).unwrap_or(tid);
        Self { tid, pid, command: command_of(pid), state: state_of(tid) }
    }
}

/// What all rows have.
pub(crate) struct Row<V, R> {
    pub(crate) name: String,
    /// Whether its program called it so.
    pub(crate) is_named: bool,
    pub(crate) place: Place,
    pub(crate) view: V,
    /// Since the last sample; `None` if it was not in that.
    pub(crate) rates: Option<R>,
    /// A mutex's holder, or a pool's workers.
    pub(crate) who: Vec<Who>,
}

/// By the second.
#[derive(Clone, Copy)]
pub(crate) struct MutexRates {
    pub(crate) acquisitions: f64,
    /// Of 1, how many of those had to wait.
    pub(crate) contended: f64,
    /// Seconds.
    pub(crate) waited: f64,
}

/// By the second.
#[derive(Clone, Copy)]
pub(crate) struct QueueRates {
    pub(crate) put: f64,
    pub(crate) got: f64,
}

/// By the second.
#[derive(Clone, Copy)]
pub(crate) struct PoolRates {
    pub(crate) items: f64,
    /// Of 1, which part of its workers' time was used, counted at the end of each chunk.
    pub(crate) busy: f64,
}

pub(crate) struct Sample {
    pub(crate) processes: Vec<Who>,
    pub(crate) mutexes: Vec<Row<MutexView, MutexRates>>,
    pub(crate) queues: Vec<Row<QueueView, QueueRates>>,
    pub(crate) pools: Vec<Row<PoolView, PoolRates>>,
    pub(crate) managers: Vec<Row<ManagerView, ()>>,
}

/// What the next sample is compared with.
#[derive(Default)]
struct Past {
    at: Option<Instant>,
    mutexes: BTreeMap<Place, MutexStatistics>,
    queues: BTreeMap<Place, QueueStatistics>,
    pools: BTreeMap<Place, (u64, u64)>,
}

pub(crate) struct Sampler {
    pids: Vec<u32>,
    round: u64,
    processes: Vec<Process>,
    past: Past,
}

/// A sum over a pool's workers, whose counts may be any.
pub(crate) fn sum(view: &PoolView, count: impl Fn(&WorkerView) -> u64) -> u64 {
    view.workers.iter().map(count).fold(0, u64::saturating_add)
}

pub(crate) fn items_of(view: &PoolView) -> u64 {
    sum(view, |worker| worker.items)
}

fn is_there(pid: u32) -> bool {
    !matches!(state_of(pid), 'X' | 'Z')
}

impl Sampler {
    /// Of these processes and their relatives; of none: of all.
    pub(crate) fn new(pids: &[u32]) -> Self {
        Self { pids: pids.to_vec(), round: 0, processes: Vec::new(), past: Past::default() }
    }

    /// The next sample; `None` if all the processes that were asked for have ended.
    pub(crate) fn next(&mut self) -> Result<Option<Sample>> {
        let asked = !self.pids.is_empty();
        if self.round > 0 {
            self.pids.retain(|&pid| is_there(pid));
        }
        if asked && self.pids.is_empty() {
            return Ok(None);
        }
        if self.round % ROUNDS == 0 {
            self.processes = match self.pids[..] {
                [] => all_pids()?.into_iter().filter_map(|pid| Process::look(pid).ok()).collect(),
                _ => self.asked()?,
            };
        }
        self.processes.retain(|process| process.may_use_forq() && is_there(process.pid));
        self.round += 1;
        let processes = std::mem::take(&mut self.processes);
        let sample = self.look(&processes);
        self.processes = processes;
        Ok(Some(sample))
    }

    /// Those that were asked for and their relatives. One may end meanwhile, and is an error in the first sample only.
    fn asked(&mut self) -> Result<Vec<Process>> {
        loop {
            let (found, count) = (Process::with_relatives(&self.pids), self.pids.len());
            if found.is_err() && self.round > 0 {
                self.pids.retain(|&pid| is_there(pid));
            }
            if self.pids.len() == count {
                return found;
            }
        }
    }

    fn look(&mut self, processes: &[Process]) -> Sample {
        let atlas = Atlas::of(processes);
        let names = Names::of(&atlas);
        let now = Instant::now();
        let seconds = self.past.at.map_or(f64::INFINITY, |at| now.duration_since(at).as_secs_f64());
        let past = std::mem::replace(&mut self.past, Past { at: Some(now), ..Past::default() });
        let mutexes = self.mutexes(&atlas, &names, &past, seconds, &Locks::of(processes));
        let objects = Objects::of(&atlas, &names);
        let mut queues = Vec::new();
        for (place, view) in objects.queues {
            let rates = past.queues.get(&place).map(|before| QueueRates {
                put: per(view.statistics.put, before.put, seconds),
                got: per(view.statistics.got, before.got, seconds),
            });
            self.past.queues.insert(place.clone(), view.statistics);
            queues.push(row(&names, place, view, rates, Vec::new()));
        }
        let mut pools = Vec::new();
        for (place, view) in objects.pools.into_iter().filter(|(_, view)| !view.has_ended) {
            let (items, busy) = (items_of(&view), sum(&view, |worker| worker.busy_ns));
            let rates = past.pools.get(&place).map(|before| PoolRates {
                items: per(items, before.0, seconds),
                busy: per(busy, before.1, seconds) / 1e9 / view.workers.len().max(1) as f64,
            });
            self.past.pools.insert(place.clone(), (items, busy));
            let who = view.workers.iter().map(|worker| Who::of(worker.pid)).collect();
            pools.push(row(&names, place, view, rates, who));
        }
        let managers =
            objects.managers.into_iter().map(|(place, view)| row(&names, place, view, None, Vec::new()));
        let mut sample =
            Sample { processes: Vec::new(), mutexes, queues, pools, managers: managers.collect() };
        sample.processes = sample.users(&atlas);
        sample
    }

    /// Those with a name, those that are held or waited for, and those that were.
    fn mutexes(
        &mut self,
        atlas: &Atlas<'_>,
        names: &Names,
        past: &Past,
        seconds: f64,
        locks: &Locks,
    ) -> Vec<Row<MutexView, MutexRates>> {
        let mut places: BTreeSet<Place> = names.places(ObjectKind::Mutex, atlas).into_iter().collect();
        places.extend(locks.holds.iter().map(|hold| hold.place.clone()));
        places.extend(locks.waits.iter().map(|wait| wait.place.clone()));
        let is_seen_now = places.clone();
        places.extend(past.mutexes.keys().cloned());
        let mut rows = Vec::new();
        for place in places {
            let Some(view) = atlas.read_array(&place).map(|bytes| MutexView::of_known(&bytes)) else {
                continue;
            };
            let (told, before) = (view.statistics, past.mutexes.get(&place));
            // Counts never go back: it is something else now.
            if !is_seen_now.contains(&place) && before.is_some_and(|it| told.acquisitions < it.acquisitions) {
                continue;
            }
            let rates = before.map(|before| {
                let taken = told.acquisitions.saturating_sub(before.acquisitions);
                MutexRates {
                    acquisitions: per(told.acquisitions, before.acquisitions, seconds),
                    contended: told.contended.saturating_sub(before.contended) as f64 / taken.max(1) as f64,
                    waited: per(told.waited_ns, before.waited_ns, seconds) / 1e9,
                }
            });
            self.past.mutexes.insert(place.clone(), told);
            let who = (view.owner != 0).then(|| Who::of(view.owner)).into_iter().collect();
            rows.push(row(names, place, view, rates, who));
        }
        rows
    }
}

impl Sample {
    fn memories(&self) -> BTreeSet<&Memory> {
        let mutexes = self.mutexes.iter().map(|row| &row.place.memory);
        let queues = self.queues.iter().map(|row| &row.place.memory);
        let pools = self.pools.iter().map(|row| &row.place.memory);
        mutexes.chain(queues).chain(pools).chain(self.managers.iter().map(|row| &row.place.memory)).collect()
    }

    /// Who has any of it mapped.
    fn users(&self, atlas: &Atlas<'_>) -> Vec<Who> {
        let memories = self.memories();
        let pids: BTreeSet<u32> =
            memories.iter().flat_map(|memory| atlas.sharers(memory)).map(|process| process.pid).collect();
        pids.into_iter().map(Who::of).collect()
    }
}

fn per(now: u64, before: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}

fn row<V, R>(names: &Names, place: Place, view: V, rates: Option<R>, who: Vec<Who>) -> Row<V, R> {
    Row { name: names.short(&place), is_named: names.given(&place).is_some(), place, view, rates, who }
}
