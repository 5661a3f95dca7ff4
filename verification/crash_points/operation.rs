//! What victims do between the traps.

use std::time::Duration;

use forq::LockError;

use super::stage::{Outcome, Stage, enter, enter_twice};
use super::trap::trap;

/// How the victim finds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Free,
    /// A holder died in the middle of its section, and nobody has locked since.
    DeadHolder,
    /// A living process holds it; it unlocks when the victim sleeps, or else after the victim's death.
    Held,
    /// As `Held`, but the holder is killed instead of unlocking.
    HeldByDoomed,
    /// Free, but a waiter that died is still counted, and so many wake calls woke nobody that the next
    /// release takes the count anew.
    UselessWakes,
    /// Its holder has released it and has not woken the sleeper yet. It never will: it is killed after
    /// the victim.
    Unlocking,
    /// As `Unlocking`, but it is killed while the victim holds the lock.
    UnlockingUntilTaken,
}

/// One operation under test.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) before: Before,
    /// Locks used.
    pub(super) locks: usize,
    /// Goes from one trap to another; tells whether it was told of a death. `Failed`: it ended otherwise
    /// than it must when it is not killed.
    pub(super) act: fn(&Stage) -> Outcome,
    /// Declares repaired what a dead holder left.
    pub(super) repairs: bool,
    /// Sleeps until it is woken.
    pub(super) sleeps: bool,
    /// Gives up by itself: it never sleeps until it is woken.
    pub(super) gives_up: bool,
    /// The holder unlocks, or dies, at each instruction between the victim's time-out and its return.
    pub(super) races: bool,
    /// The first lock may be locked again by its holder.
    pub(super) recursive: bool,
}

const PLAIN: Operation = Operation {
    name: "lock, section, unlock",
    before: Before::Free,
    locks: 1,
    act: lock,
    repairs: false,
    sleeps: false,
    gives_up: false,
    races: false,
    recursive: false,
};

const TWICE: Operation =
    Operation { name: "recursive: lock, lock again, unlock twice", act: twice, recursive: true, ..PLAIN };

/// Nobody waits, nobody died.
pub(super) const LOCK: Operation = PLAIN;
/// The process has not used a lock before: the thread's block is filled in on the way.
pub(super) const FIRST_LOCK: Operation =
    Operation { name: "first lock of a process, section, unlock", act: first_lock, ..PLAIN };
pub(super) const TRY_LOCK: Operation =
    Operation { name: "try_lock, section, unlock", act: try_lock, ..PLAIN };
pub(super) const TRY_LOCK_BUSY: Operation =
    Operation { name: "try_lock of a held lock", before: Before::Held, act: try_lock_busy, ..PLAIN };
pub(super) const RELOCK: Operation =
    Operation { name: "lock, lock again (refused), unlock", act: relock, ..PLAIN };
pub(super) const TWO_LOCKS: Operation =
    Operation { name: "lock a, lock b, unlock a, unlock b", locks: 2, act: two_locks, ..PLAIN };
pub(super) const NESTED_LOCKS: Operation =
    Operation { name: "lock a, lock b, unlock b, unlock a", locks: 2, act: nested_locks, ..PLAIN };
pub(super) const WAIT: Operation =
    Operation { name: "wait, lock, section, unlock", before: Before::Held, sleeps: true, ..PLAIN };
pub(super) const WAIT_FOR_DEATH: Operation = Operation {
    name: "wait, holder dies, lock, repair, unlock",
    before: Before::HeldByDoomed,
    act: lock_and_repair,
    repairs: true,
    sleeps: true,
    ..PLAIN
};
pub(super) const TIME_OUT: Operation = Operation {
    name: "lock_timeout, gives up",
    before: Before::Held,
    act: time_out,
    gives_up: true,
    ..PLAIN
};
pub(super) const TIME_OUT_RACE: Operation = Operation {
    name: "lock_timeout, gives up while the holder unlocks",
    before: Before::Held,
    act: time_out_or_lock,
    gives_up: true,
    races: true,
    ..PLAIN
};
pub(super) const TIME_OUT_DEATH: Operation = Operation {
    name: "lock_timeout, gives up while the holder dies",
    before: Before::HeldByDoomed,
    ..TIME_OUT_RACE
};
pub(super) const REPAIR: Operation = Operation {
    name: "lock after a death, mark_consistent, unlock",
    before: Before::DeadHolder,
    act: lock_and_repair,
    repairs: true,
    ..PLAIN
};
pub(super) const TAKE_OVER: Operation = Operation {
    name: "lock after a death, unlock unrepaired",
    before: Before::DeadHolder,
    act: lock_without_repair,
    ..PLAIN
};
pub(super) const HEAL: Operation =
    Operation { name: "lock, unlock that recounts the waiters", before: Before::UselessWakes, ..PLAIN };
pub(super) const BARGE: Operation =
    Operation { name: "lock before the sleeper is woken, unlock", before: Before::Unlocking, ..PLAIN };
pub(super) const BARGE_ORPHANED: Operation = Operation {
    name: "lock before the sleeper is woken, the waker dies, unlock",
    before: Before::UnlockingUntilTaken,
    ..PLAIN
};

pub(super) const RELOCK_RECURSIVE: Operation = TWICE;
pub(super) const WAIT_RECURSIVE: Operation = Operation {
    name: "recursive: wait, lock, lock again, unlock twice",
    before: Before::Held,
    sleeps: true,
    ..TWICE
};
/// The dead holder had locked it twice.
pub(super) const REPAIR_RECURSIVE: Operation = Operation {
    name: "recursive: lock after a death, mark_consistent, lock again, unlock twice",
    before: Before::DeadHolder,
    repairs: true,
    ..TWICE
};

fn twice(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let outcome = enter_twice(stage.recursive());
    trap();
    outcome
}

fn lock(stage: &Stage) -> Outcome {
    stage.warm_up();
    first_lock(stage)
}

fn first_lock(stage: &Stage) -> Outcome {
    trap();
    let (outcome, guard) = enter(stage.lock(0).lock(), false);
    drop(guard);
    trap();
    outcome
}

fn try_lock(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (outcome, guard) = enter(stage.lock(0).try_lock(), false);
    drop(guard);
    trap();
    outcome
}

fn try_lock_busy(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let refused = matches!(stage.lock(0).try_lock(), Err(LockError::WouldBlock));
    trap();
    expected(refused, Outcome::Clean)
}

fn relock(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (outcome, guard) = enter(stage.lock(0).lock(), false);
    let refused = matches!(stage.lock(0).lock(), Err(LockError::Deadlock));
    drop(guard);
    trap();
    expected(refused, outcome)
}

fn two_locks(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (first, a) = enter(stage.lock(0).lock(), false);
    let (second, b) = enter(stage.lock(1).lock(), false);
    drop(a);
    drop(b);
    trap();
    expected(second == Outcome::Clean, first)
}

fn nested_locks(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (first, a) = enter(stage.lock(0).lock(), false);
    let (second, b) = enter(stage.lock(1).lock(), false);
    drop(b);
    drop(a);
    trap();
    expected(second == Outcome::Clean, first)
}

fn lock_and_repair(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (outcome, guard) = enter(stage.lock(0).lock(), true);
    drop(guard);
    trap();
    outcome
}

fn lock_without_repair(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let (outcome, guard) = enter(stage.lock(0).lock(), false);
    drop(guard);
    trap();
    outcome
}

/// Past before the victim, stepped, comes to the futex call; a short sleep when it is not.
const SOON: Duration = Duration::from_micros(100);

fn time_out(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let gave_up = matches!(stage.lock(0).lock_timeout(SOON), Err(LockError::TimedOut));
    trap();
    expected(gave_up, Outcome::Clean)
}

fn time_out_or_lock(stage: &Stage) -> Outcome {
    stage.warm_up();
    trap();
    let outcome = match stage.lock(0).lock_timeout(SOON) {
        Err(LockError::TimedOut) => Outcome::Clean,
        result => enter(result, false).0,
    };
    trap();
    outcome
}

fn expected(it_is: bool, outcome: Outcome) -> Outcome {
    if it_is { outcome } else { Outcome::Failed }
}
