//! Operations in contexts: the rows of the table.

use super::operation::{self, Operation};

/// When the sleepers go to sleep on the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the victim begins.
    Ahead,
    /// When the victim sleeps, so that the victim is woken first.
    Behind,
    /// As soon as the victim holds the lock.
    Held,
}

/// When yet another process takes the lock in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barge {
    /// Between the victim's last instruction and its death, where it leaves the lock free.
    BeforeDeath,
    /// Between the victim's death and the first step of the sleeper that it woke.
    AfterDeath,
    /// It does not get it: between the victim's last instruction and its death it waits in vain for a
    /// moment, and gives up.
    InVain,
    /// It takes the second lock, between the victim's last instruction and its death, where the victim
    /// holds only the first: what the victim's list said of the second is overwritten.
    Second,
}

/// Who else is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) name: &'static str,
    /// When sleepers go to sleep, if there are any.
    pub(super) when: Option<When>,
    pub(super) sleepers: usize,
    pub(super) barge: Option<Barge>,
}

const ALONE: Context = Context { name: "alone", when: None, sleepers: 0, barge: None };

const fn sleeper(when: When) -> Context {
    let name = match when {
        When::Ahead => "sleeper ahead",
        When::Behind => "sleeper behind",
        When::Held => "sleeper",
    };
    Context { name, when: Some(when), sleepers: 1, barge: None }
}

const fn two_sleepers(when: When) -> Context {
    Context { name: "two sleepers", sleepers: 2, ..sleeper(when) }
}

const fn before(when: When) -> Context {
    Context { name: "sleeper, barger before the death", barge: Some(Barge::BeforeDeath), ..sleeper(when) }
}

const fn after(when: When) -> Context {
    Context { name: "sleeper, barger after the death", barge: Some(Barge::AfterDeath), ..sleeper(when) }
}

const fn in_vain(when: When) -> Context {
    Context {
        name: "sleeper, another gives up before the death",
        barge: Some(Barge::InVain),
        ..sleeper(when)
    }
}

const fn second(when: When) -> Context {
    Context { name: "sleeper, another takes b before the death", barge: Some(Barge::Second), ..sleeper(when) }
}

const fn three_sleepers(when: When) -> Context {
    Context { name: "three sleepers", sleepers: 3, ..sleeper(when) }
}

const fn two_before(when: When) -> Context {
    Context { name: "two sleepers, barger before the death", sleepers: 2, ..before(when) }
}

const fn two_after(when: When) -> Context {
    Context { name: "two sleepers, barger after the death", sleepers: 2, ..after(when) }
}

/// One row.
pub(super) struct Scenario {
    pub(super) operation: Operation,
    pub(super) context: Context,
}

/// All rows, in the order of the table.
pub(super) fn all() -> Vec<Scenario> {
    use When::{Ahead, Behind, Held};
    use operation::*;
    let some = |when| vec![ALONE, sleeper(when)];
    let full = |when| vec![ALONE, sleeper(when), before(when), after(when)];
    let more = |when| vec![two_sleepers(when), two_before(when), two_after(when), in_vain(when)];
    let most = |when| [full(when), more(when)].concat();
    let waiting = || [full(Behind), vec![two_sleepers(Behind), in_vain(Behind), sleeper(Ahead)]].concat();
    let rows = [
        (LOCK, most(Held)),
        (FIRST_LOCK, some(Held)),
        (TRY_LOCK, full(Held)),
        (TRY_LOCK_BUSY, some(Ahead)),
        (RELOCK, some(Held)),
        (TWO_LOCKS, full(Held)),
        (NESTED_LOCKS, vec![ALONE, sleeper(Held), second(Held)]),
        (WAIT, waiting()),
        (WAIT_FOR_DEATH, waiting()),
        // The lock is never free, so nobody can barge in before the death.
        (TIME_OUT, vec![ALONE, sleeper(Ahead), after(Ahead)]),
        (TIME_OUT_RACE, full(Ahead)),
        (TIME_OUT_DEATH, vec![ALONE, sleeper(Ahead), after(Ahead)]),
        (REPAIR, full(Held)),
        (TAKE_OVER, full(Held)),
        (HEAL, [most(Held), vec![three_sleepers(Held)]].concat()),
        (RELOCK_RECURSIVE, full(Held)),
        (WAIT_RECURSIVE, some(Behind)),
        (REPAIR_RECURSIVE, some(Held)),
        (BARGE, vec![sleeper(Ahead), two_sleepers(Ahead)]),
        (BARGE_ORPHANED, vec![sleeper(Ahead), two_sleepers(Ahead)]),
    ];
    let mut scenarios = Vec::new();
    for (operation, contexts) in rows {
        for context in contexts {
            scenarios.push(Scenario { operation, context });
        }
    }
    scenarios
}
