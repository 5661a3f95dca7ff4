//! Operations in contexts: the rows of the table.

use super::image::Side;
use super::rows;
use super::scene::{Kind, Scene, Visit};

/// What somebody does.
pub(super) type Deed = fn(&Scene);

/// When the host does something in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// Between the victim's last instruction and its death.
    BeforeDeath,
    /// Between the death and the first step of whoever was woken.
    AfterDeath,
    /// While the victim is stopped; then it goes on, and lives.
    Stopped,
}

/// What becomes of those that sleep when the victim is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequel {
    /// Another one comes at once, and gives them what they want.
    Successor,
    /// Nobody comes: they are told, as soon as they look.
    Told,
}

/// One row.
#[derive(Clone, Copy)]
pub(in super::super) struct Plan {
    pub(in super::super) operation: &'static str,
    pub(in super::super) context: &'static str,
    pub(super) side: Side,
    pub(super) kind: Kind,
    pub(super) capacity: usize,
    pub(super) lap: u32,
    /// What the host does before anybody else comes.
    pub(super) prepare: Deed,
    /// What the victim does before it is stepped.
    pub(super) before: Deed,
    /// What the victim does; true: it went as it must when it is not killed.
    pub(super) act: fn(&Scene) -> bool,
    /// Messages that may go with the victim.
    pub(super) hand: u64,
    /// The victim sleeps, until this is done.
    pub(super) waker: Option<Deed>,
    /// Those that sleep before the victim begins.
    pub(super) ahead: &'static [Visit],
    pub(super) between: Option<(Between, Deed)>,
    pub(super) sequel: Sequel,
    /// The victim's thread is not known to the library yet.
    pub(super) first_use: bool,
    /// It asks whether another process lives: in as many steps as the kernel's answer has digits.
    pub(super) asks: bool,
}

impl Plan {
    /// With some that sleep before the victim begins.
    pub(super) const fn ahead(self, ahead: &'static [Visit], context: &'static str) -> Self {
        Self { ahead, context, ..self }
    }

    pub(super) const fn then(self, when: Between, deed: Deed, context: &'static str) -> Self {
        Self { between: Some((when, deed)), context, ..self }
    }

    pub(super) const fn told(self, context: &'static str) -> Self {
        Self { sequel: Sequel::Told, context, ..self }
    }

    pub(super) const fn found(self, prepare: Deed) -> Self {
        Self { prepare, ..self }
    }

    pub(super) const fn after(self, before: Deed) -> Self {
        Self { before, ..self }
    }

    pub(super) const fn of(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    pub(super) const fn named(self, operation: &'static str) -> Self {
        Self { operation, ..self }
    }

    /// Whether the victim is killed at every instruction that differs, not only where it has done something since the last.
    pub(super) fn is_every(&self) -> bool {
        let is_raced = matches!(self.between, Some((Between::Stopped, _)));
        let is_plain = self.between.is_none() && self.waker.is_none() && self.sequel == Sequel::Successor;
        is_raced || is_plain && !self.first_use && !self.asks
    }
}

pub(super) const fn plan(side: Side, operation: &'static str, act: fn(&Scene) -> bool) -> Plan {
    Plan {
        operation,
        context: "alone",
        side,
        kind: Kind::Bytes,
        capacity: 3,
        lap: 0,
        prepare: nothing,
        before: nothing,
        act,
        hand: match side {
            Side::Producer => 0,
            Side::Consumer => 1,
        },
        waker: None,
        ahead: &[],
        between: None,
        sequel: Sequel::Successor,
        first_use: false,
        asks: false,
    }
}

pub(super) fn nothing(_: &Scene) {}

/// All rows, in the order of the table. The bound has nothing to do in any of them.
pub(in super::super) fn all() -> Vec<Plan> {
    if cfg!(forq_long_sleeps) { rows::rows() } else { Vec::new() }
}
