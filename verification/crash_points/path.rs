//! The way of a victim that is not killed, and where on it others are.

/// Where the victim is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kill {
    /// Before this instruction.
    Before(usize),
    /// Asleep in the kernel, in this instruction.
    Inside(usize),
}

/// The way of a victim that is not killed.
#[derive(Default)]
pub(super) struct Path {
    pub(super) addresses: Vec<usize>,
    /// Where the same address came last.
    pub(super) previous: Vec<Option<usize>>,
    /// Instructions before which a kill differs from all earlier ones.
    pub(super) points: Vec<usize>,
    /// Where nothing may jump across: futex calls, by which others are woken or the victim sleeps, and where others come.
    pub(super) calls: Vec<usize>,
    pub(super) sleeps_at: Vec<usize>,
}

impl Path {
    /// The last instruction in `from..=to` that is neither behind a call nor on the way there from `from`: a
    /// breakpoint on it stops at the right time. `None` if there is none worth it.
    pub(super) fn anchor(&self, from: usize, to: usize) -> Option<usize> {
        let call = self.calls[self.calls.partition_point(|&call| call < from)..].first();
        let to = call.map_or(to, |&call| to.min(call));
        (from + 8..=to).rev().find(|&at| self.previous[at].is_none_or(|before| before < from))
    }

    /// Each point once, and each sleep.
    pub(super) fn kills(&self) -> impl Iterator<Item = Kill> {
        let before = self.points.iter().map(|&point| Kill::Before(point));
        before.chain(self.sleeps_at.iter().map(|&at| Kill::Inside(at)))
    }
}
