//! Who holds which mutex, and which threads sleep on what: by their robust lists, and by the futex calls that they sleep in.

use forq::MutexView;

use super::memory::{Atlas, Memory, Place};
use super::process::Process;

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

/// A thread that sleeps on futex words.
#[derive(Clone, Debug)]
pub(crate) struct Sleep {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) words: Vec<Place>,
}

/// What was seen at one moment.
#[derive(Default)]
pub(crate) struct Locks {
    pub(crate) holds: Vec<Hold>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) sleeps: Vec<Sleep>,
}

impl Wait {
    /// Whether who held it holds it now. `processes` are those of the atlas.
    pub(crate) fn is_still_held(&self, atlas: &Atlas<'_>, processes: &[Process]) -> bool {
        let bytes = match self.place.memory {
            Memory::File { .. } => atlas.read_array(&self.place),
            Memory::Private(pid) => {
                processes.iter().find(|it| it.pid == pid).and_then(|it| it.read(self.place.offset))
            }
        };
        bytes.is_some_and(|bytes| MutexView::of_known(&bytes).owner == self.view.owner)
    }
}

fn mutex_at(process: &Process, start: usize) -> Option<(Place, MutexView)> {
    let bytes = process.read::<{ MutexView::SIZE }>(start)?;
    Some((process.place(start)?, MutexView::of(&bytes)?))
}

impl Locks {
    pub(crate) fn of(processes: &[Process]) -> Self {
        let mut seen = Self::default();
        for process in processes {
            let pid = process.pid;
            for tid in process.threads() {
                for entry in process.held(tid) {
                    let Some(found) = entry.checked_sub(MutexView::LIST_OFFSET) else { continue };
                    // Others in the list are the C library's.
                    if let Some((place, view)) =
                        mutex_at(process, found).filter(|(_, view)| view.owner == tid)
                    {
                        seen.holds.push(Hold { pid, tid, place, view });
                    }
                }
                let words = process.waits_on(tid);
                for word in &words {
                    let Some(start) = word.checked_sub(MutexView::FUTEX_OFFSET) else { continue };
                    if let Some((place, view)) = mutex_at(process, start) {
                        seen.waits.push(Wait { pid, tid, place, view });
                    }
                }
                if !words.is_empty() {
                    let words = words.into_iter().filter_map(|word| process.place(word)).collect();
                    seen.sleeps.push(Sleep { pid, tid, words });
                }
            }
        }
        seen
    }
}
