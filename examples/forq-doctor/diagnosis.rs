//! Who waits for whom, and what of it will not end by itself, or by a time limit only.

use std::collections::BTreeMap;
use std::time::Duration;

use forq::MutexView;

use crate::process::{Place, Process, state_of};

/// How often it looks: a wait is one that was seen most times, for the same.
const LOOKS: usize = 7;
const BETWEEN: Duration = Duration::from_millis(60);

/// A thread that waits for a mutex.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wait {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) place: Place,
    pub(crate) view: MutexView,
}

/// A mutex that is held.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) place: Place,
    pub(crate) view: MutexView,
}

/// What was found.
pub(crate) struct Diagnosis {
    pub(crate) processes: Vec<u32>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) waits: Vec<Wait>,
    /// Threads, each of which waits for the next, and the last for the first.
    pub(crate) cycles: Vec<Vec<u32>>,
    /// Waits for what a stopped thread holds.
    pub(crate) stopped: Vec<Wait>,
    /// Waits for what a thread holds that is no more.
    pub(crate) dead: Vec<Wait>,
}

impl Diagnosis {
    pub(crate) fn is_stuck(&self) -> bool {
        !(self.cycles.is_empty() && self.stopped.is_empty() && self.dead.is_empty())
    }
}

fn mutex_at(process: &Process, start: usize) -> Option<(Place, MutexView)> {
    let bytes = process.read::<{ MutexView::SIZE }>(start)?;
    Some((process.place(start)?, MutexView::of(&bytes)?))
}

fn look(processes: &[Process], holds: &mut Vec<Hold>, waits: &mut Vec<Wait>) {
    for process in processes {
        for tid in process.threads() {
            for entry in process.held(tid) {
                let Some(found) = entry.checked_sub(MutexView::LIST_OFFSET) else { continue };
                // Others in the list are the C library's.
                if let Some((place, view)) = mutex_at(process, found).filter(|(_, view)| view.owner == tid) {
                    holds.push(Hold { pid: process.pid, tid, place, view });
                }
            }
            for word in process.waits_on(tid) {
                let Some(start) = word.checked_sub(MutexView::FUTEX_OFFSET) else { continue };
                if let Some((place, view)) = mutex_at(process, start) {
                    waits.push(Wait { pid: process.pid, tid, place, view });
                }
            }
        }
    }
}

pub(crate) fn examine(pids: &[u32]) -> std::io::Result<Diagnosis> {
    let processes = Process::with_relatives(pids)?;
    let (mut holds, mut seen) = (Vec::new(), Vec::new());
    for round in 0..LOOKS {
        if round > 0 {
            std::thread::sleep(BETWEEN);
        }
        holds.clear();
        look(&processes, &mut holds, &mut seen);
    }
    // A sleeper looks from time to time, and is not asleep then.
    let mut times: BTreeMap<(u32, Place, u32), (usize, Wait)> = BTreeMap::new();
    for wait in seen {
        let key = (wait.tid, wait.place.clone(), wait.view.owner);
        times.entry(key).and_modify(|(count, _)| *count += 1).or_insert((1, wait));
    }
    let waits: Vec<Wait> =
        times.into_values().filter(|(count, _)| *count > LOOKS / 2).map(|(_, wait)| wait).collect();
    let which = |states: [char; 2]| -> Vec<Wait> {
        waits.iter().filter(|wait| states.contains(&state_of(wait.view.owner))).cloned().collect()
    };
    Ok(Diagnosis {
        processes: processes.iter().map(|process| process.pid).collect(),
        cycles: cycles(&waits),
        stopped: which(['T', 't']),
        dead: which(['Z', 'X']),
        holds,
        waits,
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
