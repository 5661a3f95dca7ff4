//! The way a victim goes, instruction by instruction, and what the others do meanwhile.

use std::collections::HashMap;

use super::stage::LOCKS;

/// What happens before the victim executes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The sleepers go to sleep.
    SleepersCome,
    /// The releaser that has not woken anybody yet is killed.
    WakerDies,
    /// The holder unlocks, or dies, while the victim is giving up.
    HolderLeaves,
    /// The victim has just returned from the kernel, where it may have woken sleepers; they go their way.
    SleepersSettle,
    /// This instruction sleeps in the kernel; the holder leaves when it does.
    VictimSleeps,
}

/// The path between the traps.
#[derive(Default)]
pub(super) struct Recording {
    /// The address of each instruction; the last one is the trap.
    path: Vec<usize>,
    /// Where the same address came last.
    previous: Vec<Option<usize>>,
    last: HashMap<usize, usize>,
    events: Vec<(usize, Event)>,
    /// Instructions before which a kill differs from all earlier ones.
    pub(super) points: Vec<usize>,
    /// From when on the victim has held each lock.
    pub(super) held: [Option<usize>; LOCKS],
    /// The futex call that returned because the time was up.
    pub(super) timed_out: Option<usize>,
}

impl Recording {
    /// The beginning of a path, up to an instruction; without points.
    pub(super) fn until(&self, index: usize) -> Self {
        let mut prefix = Self { timed_out: self.timed_out.filter(|&at| at < index), ..Self::default() };
        self.path[..index].iter().for_each(|&address| prefix.push(address));
        prefix.events.extend(self.events.iter().filter(|&&(at, _)| at < index));
        prefix
    }

    /// Instructions between the traps.
    pub(super) fn len(&self) -> usize {
        self.path.len().saturating_sub(1)
    }

    pub(super) fn push(&mut self, address: usize) {
        self.previous.push(self.last.insert(address, self.path.len()));
        self.path.push(address);
    }

    pub(super) fn address(&self, index: usize) -> usize {
        self.path[index]
    }

    pub(super) fn add(&mut self, index: usize, event: Event) {
        self.events.push((index, event));
    }

    pub(super) fn events_at(&self, index: usize) -> impl Iterator<Item = Event> + '_ {
        self.events.iter().filter(move |&&(at, _)| at == index).map(|&(_, event)| event)
    }

    /// The next event after `index`.
    pub(super) fn next_event(&self, index: usize) -> Option<usize> {
        self.events.iter().map(|&(at, _)| at).filter(|&at| at > index).min()
    }

    pub(super) fn has(&self, event: Event) -> bool {
        self.events.iter().any(|&(_, other)| other == event)
    }

    /// The last instruction in `from..=to` that is not on the way there from `from`, so that a breakpoint
    /// on it stops at the right time; `None` if there is none worth it.
    pub(super) fn anchor(&self, from: usize, to: usize) -> Option<usize> {
        (from + 8..=to).rev().find(|&at| self.previous[at].is_none_or(|before| before < from))
    }
}
