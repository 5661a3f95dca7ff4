//! How a case begins: the lock as the victim finds it.

use std::sync::OnceLock;

use super::failure::{Checked, Failure};
use super::operation::Before;
use super::participant::{Conduct, Participant};
use super::stage::{LOCKS, Slot, Stage, enter};
use super::system::{self, Change};
use super::tracee::{Step, Tracee};
use super::trap::trap;

/// Who has the lock, or had it last.
pub(super) enum Holder {
    /// Holds it until its cue; then unlocks.
    Willing(Participant),
    /// Holds it until it is killed.
    Doomed(Participant),
    /// Has released it, and is stopped before it wakes anybody.
    Stopped(Tracee),
}

/// A living process, this one, has held each lock before, as is usual: its traces are there.
pub(super) fn elder(stage: &Stage) {
    for lock in 0..LOCKS {
        let (_, guard) = enter(stage.lock(lock).lock(), false);
        stage.count_section(lock);
        drop(guard);
    }
}

/// Brings the first lock into the state that the operation wants. `ahead` is called when the lock is
/// held, for whoever is to sleep on it from then on.
pub(super) fn prepare(
    stage: &Stage,
    before: Before,
    ahead: impl FnOnce() -> Checked,
) -> Checked<Option<Holder>> {
    match before {
        Before::Free => Ok(None),
        Before::DeadHolder => die_inside(stage).map(|()| None),
        Before::UselessWakes => wake_nobody(stage).map(|()| None),
        Before::Held | Before::HeldByDoomed => {
            let holder = Participant::spawn(stage, Slot::Holder, 0, Conduct { stays: true, repairs: false });
            holder.gets_lock(stage, false)?;
            ahead()?;
            Ok(Some(if before == Before::Held { Holder::Willing(holder) } else { Holder::Doomed(holder) }))
        }
        Before::Unlocking | Before::UnlockingUntilTaken => {
            let holder = Tracee::start(|| release_stepped(stage))?;
            stage.cast(Slot::Holder, holder.pid());
            let released = step_until(&holder, || stage.word(0).tid() == holder.pid())
                .and_then(|()| ahead())
                .and_then(|()| step_until(&holder, || stage.word(0).is_free()));
            stage.count_section(0);
            match released {
                Ok(()) => Ok(Some(Holder::Stopped(holder))),
                Err(failure) => {
                    system::kill_and_reap(holder.pid());
                    Err(failure)
                }
            }
        }
    }
}

fn release_stepped(stage: &Stage) -> i32 {
    stage.warm_up();
    trap();
    let (_, guard) = enter(stage.lock(0).lock(), false);
    drop(guard);
    trap();
    0
}

fn step_until(tracee: &Tracee, done: impl Fn() -> bool) -> Checked {
    loop {
        if done() {
            return Ok(());
        }
        let at = tracee.at()?;
        if Tracee::is_at_trap(at) || tracee.step(at, |_| false)? == Step::Asleep {
            return Err(Failure::Harness("the releaser did not go the way it should".into()));
        }
    }
}

/// A holder dies with the value half changed.
fn die_inside(stage: &Stage) -> Checked {
    stage.clear(Slot::Extra);
    let pid = system::fork(|| {
        let Ok(mut guard) = stage.lock(0).lock() else { return 1 };
        guard[0] += 1;
        stage.lock_again();
        stage.count_section(0);
        system::give(stage.outcome(Slot::Extra), 1);
        system::await_cue(stage.go(Slot::Extra), 6 * system::WATCHDOG);
        1
    });
    stage.cast(Slot::Extra, pid);
    let inside = system::await_cue(stage.outcome(Slot::Extra), system::WATCHDOG).is_some();
    if system::kill_and_reap(pid) && inside { Ok(()) } else { Err(Failure::Harness("no dead holder".into())) }
}

/// A waiter dies while it is counted, and then the lock is released so often that the next release
/// takes the count anew.
fn wake_nobody(stage: &Stage) -> Checked {
    static ROUNDS: OnceLock<u64> = OnceLock::new();
    let rounds = match ROUNDS.get() {
        Some(&rounds) => rounds,
        None => {
            let stage = Stage::new();
            leave_dead_waiter(&stage)?;
            let rounds = release_in_vain(&stage, u64::MAX)?;
            *ROUNDS.get_or_init(|| rounds)
        }
    };
    leave_dead_waiter(stage)?;
    release_in_vain(stage, rounds - 1)?;
    if stage.word(0).announced() == 1 {
        Ok(())
    } else {
        Err(Failure::Harness(format!("no dead waiter is counted: {}", stage.word(0))))
    }
}

fn leave_dead_waiter(stage: &Stage) -> Checked {
    let mut holder = Participant::spawn(stage, Slot::Holder, 0, Conduct { stays: true, repairs: false });
    holder.gets_lock(stage, false)?;
    let waiter = Participant::spawn(stage, Slot::Extra, 0, Conduct { stays: false, repairs: false });
    waiter.falls_asleep(stage)?;
    drop(waiter);
    holder.leaves(stage)
}

/// Locks and unlocks at most so often, until the count has been taken anew; tells how often.
fn release_in_vain(stage: &Stage, rounds: u64) -> Checked<u64> {
    /// Far more than the library suffers.
    const PATIENCE: u64 = 10_000;
    let before = stage.sections(0);
    let pid = system::fork(|| {
        for _ in 0..rounds.min(PATIENCE) {
            let (_, guard) = enter(stage.lock(0).lock(), false);
            stage.count_section(0);
            drop(guard);
            if stage.word(0).announced() == 0 {
                break;
            }
        }
        0
    });
    match system::wait(pid) {
        Some(Change::Exited(0)) => Ok(stage.sections(0) - before),
        other => Err(Failure::Harness(format!("releasing in vain ended by {other:?}"))),
    }
}
