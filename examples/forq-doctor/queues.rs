//! Full queues whose producers wait, and who does not take from them.

use std::collections::BTreeSet;

use forq::QueueView;

use crate::diagnosis::lasting;
use crate::inspect::locks::Locks;
use crate::inspect::memory::{Atlas, Place};
use crate::inspect::objects::{Objects, queue_at};
use crate::inspect::process::{Process, state_of};

/// A thread that waits in a call on a queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueWait {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) place: Place,
    /// For room, not for a message.
    pub(crate) puts: bool,
}

/// A queue that stays full while its producers wait.
#[derive(Clone, Debug)]
pub(crate) struct FullQueue {
    pub(crate) place: Place,
    pub(crate) view: QueueView,
    /// Processes that have it mapped and are stopped.
    pub(crate) stopped: Vec<u32>,
    /// Those of which a thread waits in a circle, or for a stopped or dead holder of a mutex.
    pub(crate) stuck: Vec<u32>,
}

/// Waits that last, and queues that nobody takes from although some wait for room, while a process that has them mapped does not go on.
pub(crate) fn full_queues(
    atlas: &Atlas<'_>,
    before: &Objects,
    looks: &[Locks],
    stuck: &BTreeSet<u32>,
) -> (Vec<QueueWait>, Vec<FullQueue>) {
    let (mut waits, mut full) = (Vec::new(), Vec::new());
    for (place, earlier) in &before.queues {
        let Some(view) = queue_at(atlas, place) else { continue };
        let seen = looks.iter().flat_map(|look| waits_on(place, &view, look));
        let mut found = lasting(seen, |wait| (wait.tid, wait.puts));
        // Those that are stopped in their sleep do not see what there is.
        found.retain(|wait| !matches!(state_of(wait.tid), 'T' | 't'));
        let is_blocked = [earlier, &view].iter().all(|it| it.len == it.capacity)
            && earlier.statistics.got == view.statistics.got
            && found.iter().any(|wait| wait.puts);
        if is_blocked {
            // What waits for room takes nothing meanwhile.
            let others = || {
                let waits =
                    |process: &&Process| found.iter().any(|wait| wait.puts && wait.pid == process.pid);
                atlas.sharers(&place.memory).filter(move |process| !waits(process))
            };
            let pids = |is_so: &dyn Fn(&Process) -> bool| -> Vec<u32> {
                others().filter(|process| is_so(process)).map(|process| process.pid).collect()
            };
            let stopped = pids(&|process| matches!(state_of(process.pid), 'T' | 't'));
            let stuck = pids(&|process| process.threads().iter().any(|tid| stuck.contains(tid)));
            if !(stopped.is_empty() && stuck.is_empty()) {
                full.push(FullQueue { place: place.clone(), view, stopped, stuck });
            }
        }
        waits.extend(found);
    }
    (waits, full)
}

/// Who sleeps in a call on the queue: the holder of a side on words of the other side, who follows it on the side's own.
fn waits_on(place: &Place, view: &QueueView, look: &Locks) -> Vec<QueueWait> {
    let mut found = Vec::new();
    for sleep in &look.sleeps {
        let offsets: Vec<usize> = sleep
            .words
            .iter()
            .filter(|word| word.memory == place.memory)
            .filter_map(|word| word.offset.checked_sub(place.offset))
            .filter(|&offset| offset < QueueView::SIZE)
            .collect();
        let puts = match sleep.tid {
            _ if offsets.is_empty() => continue,
            tid if tid == view.producers.holder => true,
            tid if tid == view.consumers.holder => false,
            _ if offsets.contains(&QueueView::PRODUCERS_FUTEX) => true,
            _ if offsets.contains(&QueueView::CONSUMERS_FUTEX) => false,
            // It waits for the tasks' end.
            _ => continue,
        };
        found.push(QueueWait { pid: sleep.pid, tid: sleep.tid, place: place.clone(), puts });
    }
    found
}
