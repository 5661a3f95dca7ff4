//! Who waits for whom, and what of it will not end by itself, or by a time limit only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forq::NameView;

use crate::inspect::locks::{Hold, Locks, Wait};
use crate::inspect::memory::Atlas;
use crate::inspect::names::Names;
use crate::inspect::objects::Objects;
use crate::inspect::process::{Process, state_of};
use crate::pools::{StoppedWorker, stopped_workers};
use crate::queues::{FullQueue, QueueWait, full_queues};

/// How often it looks: a wait is one that was seen most times, for the same.
pub(crate) const LOOKS: usize = 7;
const BETWEEN: Duration = Duration::from_millis(60);

/// What was found.
pub(crate) struct Diagnosis {
    pub(crate) processes: Vec<u32>,
    pub(crate) names: Names,
    pub(crate) holds: Vec<Hold>,
    pub(crate) waits: Vec<Wait>,
    /// Threads, each of which waits for the next, and the last for the first.
    pub(crate) cycles: Vec<Vec<u32>>,
    /// Waits for what a stopped thread holds.
    pub(crate) stopped: Vec<Wait>,
    /// Waits for what a thread holds that is no more.
    pub(crate) dead: Vec<Wait>,
    /// Waits for room in queues, or for messages.
    pub(crate) queue_waits: Vec<QueueWait>,
    /// Waits for what else has a name: the process, the thread, and the name.
    pub(crate) other_waits: Vec<(u32, u32, NameView)>,
    /// Full queues that somebody waits for, from which nobody takes, while a process that could does not go on.
    pub(crate) full_queues: Vec<FullQueue>,
    /// Workers of pools that are stopped while there is work.
    pub(crate) stopped_workers: Vec<StoppedWorker>,
}

impl Diagnosis {
    pub(crate) fn is_stuck(&self) -> bool {
        !(self.cycles.is_empty()
            && self.stopped.is_empty()
            && self.dead.is_empty()
            && self.full_queues.is_empty()
            && self.stopped_workers.is_empty())
    }
}

/// Those that were seen most times. A sleeper looks from time to time, and is not asleep then.
pub(crate) fn lasting<K: Ord, T>(seen: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut times: BTreeMap<K, (usize, T)> = BTreeMap::new();
    for it in seen {
        times.entry(key(&it)).and_modify(|(count, _)| *count += 1).or_insert((1, it));
    }
    times.into_values().filter(|(count, _)| *count > LOOKS / 2).map(|(_, it)| it).collect()
}

pub(crate) fn examine(pids: &[u32]) -> std::io::Result<Diagnosis> {
    let processes = Process::with_relatives(pids)?;
    let atlas = Atlas::of(&processes);
    let names = Names::of(&atlas);
    let objects = Objects::of(&atlas, &names);
    let mut looks = Vec::new();
    for round in 0..LOOKS {
        if round > 0 {
            std::thread::sleep(BETWEEN);
        }
        looks.push(Locks::of(&processes));
    }
    let seen = looks.iter().flat_map(|look| look.waits.iter().cloned());
    let waits = lasting(seen, |wait| (wait.tid, wait.place.clone(), wait.view.owner));
    // In this order: it may have let go and ended, or been stopped, since it was last seen to hold it.
    let which = |states: [char; 2]| -> Vec<Wait> {
        let is_so = |wait: &&Wait| {
            states.contains(&state_of(wait.view.owner)) && wait.is_still_held(&atlas, &processes)
        };
        waits.iter().filter(is_so).cloned().collect()
    };
    let (cycles, stopped, dead) = (cycles(&waits), which(['T', 't']), which(['Z', 'X']));
    let stuck: BTreeSet<u32> =
        cycles.iter().flatten().copied().chain(stopped.iter().chain(&dead).map(|wait| wait.tid)).collect();
    let (queue_waits, full_queues) = full_queues(&atlas, &objects, &looks, &stuck);
    let seen = looks.iter().flat_map(|look| &look.sleeps).filter_map(|sleep| {
        let name = sleep.words.iter().find_map(|word| names.around(word))?;
        Some((sleep.pid, sleep.tid, name.clone()))
    });
    let other_waits = lasting(seen, |(_, tid, name)| (*tid, name.turn));
    Ok(Diagnosis {
        processes: processes.iter().map(|process| process.pid).collect(),
        stopped_workers: stopped_workers(&atlas, &objects),
        holds: looks.pop().map(|look| look.holds).unwrap_or_default(),
        names,
        waits,
        cycles,
        stopped,
        dead,
        queue_waits,
        other_waits,
        full_queues,
    })
}

/// Each cycle once, from its lowest thread.
fn cycles(waits: &[Wait]) -> Vec<Vec<u32>> {
    let waits_for: BTreeMap<u32, u32> = waits.iter().map(|wait| (wait.tid, wait.view.owner)).collect();
    let mut found = Vec::new();
    for &start in waits_for.keys() {
        let mut way = vec![start];
        while let Some(&next) = waits_for.get(&way[way.len() - 1]) {
            if next == start {
                found.push(way);
                break;
            }
            // Through a lower one it was found before; into another cycle it does not come back.
            if next < start || way.contains(&next) {
                break;
            }
            way.push(next);
        }
    }
    found
}
