//! Operations in contexts: the rows of the table.

use super::image::Side;
use super::scene::{Scene, Visit};
use super::{batches, closing, rows, tasks, waits};

/// What the host does.
pub(super) type Deed = fn(&Scene);

/// When a third process does something in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// Between the victim's last instruction and its death.
    BeforeDeath,
    /// Between the death and the first step of whoever was woken.
    AfterDeath,
}

/// How soon sleepers that are woken run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once, as far as they get.
    Prompt,
    /// When the victim is dead; they have left what they slept on.
    Leashed,
    /// When the victim is dead and there is nothing else to do: the kernel has woken them, and they are still in the queues of the other words that they
    /// slept on.
    Idle,
}

/// When those come that come late. At the latest before the victim's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// When the victim sleeps.
    Asleep,
    /// When it holds this side.
    Holds(Side),
}

/// One row.
#[derive(Clone, Copy)]
pub(in super::super) struct Plan {
    pub(in super::super) operation: &'static str,
    pub(in super::super) context: &'static str,
    pub(super) capacity: usize,
    /// How the victim finds the queue, without sleepers.
    pub(super) prepare: Deed,
    /// What the victim does; true: it went as it must when it is not killed.
    pub(super) act: fn(&Scene) -> bool,
    /// Messages that may go with the victim.
    pub(super) hand: u64,
    /// The victim sleeps, until the first is done; then again, until the second is ..
    pub(super) wakers: &'static [Deed],
    /// Those that sleep before the victim begins.
    pub(super) ahead: &'static [Visit],
    /// Those that come later, and when.
    pub(super) late: &'static [Visit],
    pub(super) when: When,
    pub(super) between: Option<(Between, Deed)>,
    pub(super) pace: Pace,
    /// The victim's thread is not known to the library yet.
    pub(super) first_use: bool,
    /// A side's count of waiters is taken anew.
    pub(super) heals: Option<Side>,
}

impl Plan {
    /// With some that sleep before the victim begins.
    pub(super) const fn ahead(self, ahead: &'static [Visit], context: &'static str) -> Self {
        Self { ahead, context, ..self }
    }

    /// And some that come later.
    pub(super) const fn late(self, when: When, late: &'static [Visit], context: &'static str) -> Self {
        Self { late, when, context, ..self }
    }

    pub(super) const fn then(self, when: Between, deed: Deed, context: &'static str) -> Self {
        let pace = match when {
            Between::BeforeDeath => Pace::Prompt,
            Between::AfterDeath => Pace::Leashed,
        };
        Self { between: Some((when, deed)), pace, context, ..self }
    }

    /// Those that are woken do not even get as far as to leave the kernel's queues.
    pub(super) const fn idle(self, context: &'static str) -> Self {
        Self { pace: Pace::Idle, context, ..self }
    }

    pub(super) const fn woken_by(self, wakers: &'static [Deed]) -> Self {
        Self { wakers, ..self }
    }

    pub(super) const fn found(self, prepare: Deed) -> Self {
        Self { prepare, ..self }
    }

    /// Whether the victim is killed at every instruction that differs, not only where it has done something since the last.
    pub(super) fn is_every(&self) -> bool {
        let is_plain = self.between.is_none() && self.pace == Pace::Prompt && self.wakers.is_empty();
        self.context == "alone" || is_plain
    }

    pub(super) const fn of(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }
}

pub(super) const fn plan(operation: &'static str, act: fn(&Scene) -> bool) -> Plan {
    Plan {
        operation,
        context: "alone",
        capacity: 1,
        prepare: nothing,
        act,
        hand: 0,
        wakers: &[],
        ahead: &[],
        late: &[],
        when: When::Asleep,
        between: None,
        pace: Pace::Prompt,
        first_use: false,
        heals: None,
    }
}

pub(super) fn nothing(_: &Scene) {}

/// All rows, in the order of the table. The bound has nothing to do in any of them.
pub(in super::super) fn all() -> Vec<Plan> {
    if !cfg!(forq_long_sleeps) {
        return Vec::new();
    }
    [rows::rows(), waits::rows(), batches::rows(), closing::rows(), tasks::rows()].concat()
}
