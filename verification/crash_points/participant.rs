//! Processes that meet the victim at the lock.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::failure::{Checked, Failure};
use super::stage::{Outcome, Slot, Stage, enter};
use super::system::{self, Change, WATCHDOG};
use super::tracee::Tracee;
use super::trap::trap;

/// A process that takes a lock, goes through the section and leaves.
pub(super) struct Participant {
    slot: Slot,
    lock: usize,
    pid: i32,
    leash: Option<Tracee>,
    ended: bool,
}

/// How one behaves.
#[derive(Clone, Copy)]
pub(super) struct Conduct {
    /// Stays inside until it gets its cue.
    pub(super) stays: bool,
    /// Declares what a dead holder left repaired.
    pub(super) repairs: bool,
}

fn visit(stage: &Stage, slot: Slot, lock: usize, conduct: Conduct) -> i32 {
    let (outcome, guard) = enter(stage.lock(lock).lock(), conduct.repairs);
    if guard.is_some() {
        stage.count_section(lock);
    }
    system::give(stage.outcome(slot), outcome as u32);
    if conduct.stays {
        system::await_cue(stage.go(slot), 6 * WATCHDOG);
    }
    drop(guard);
    0
}

impl Participant {
    pub(super) fn spawn(stage: &Stage, slot: Slot, lock: usize, conduct: Conduct) -> Self {
        stage.clear(slot);
        let pid = system::fork(|| visit(stage, slot, lock, conduct));
        stage.cast(slot, pid);
        Self { slot, lock, pid, leash: None, ended: false }
    }

    /// One that falls asleep, and that stops when it is woken until [`Participant::unleash`].
    pub(super) fn spawn_leashed(stage: &Stage, slot: Slot, lock: usize, conduct: Conduct) -> Checked<Self> {
        stage.clear(slot);
        let tracee = Tracee::start(|| {
            trap();
            visit(stage, slot, lock, conduct)
        })?;
        let pid = tracee.pid();
        stage.cast(slot, pid);
        let participant = Self { slot, lock, pid, leash: Some(tracee), ended: false };
        if let Some(tracee) = &participant.leash {
            tracee.sleep_on_a_leash(stage, lock)?;
        }
        Ok(participant)
    }

    /// Whether it sleeps on the lock, not woken yet.
    pub(super) fn is_asleep(&self, stage: &Stage) -> bool {
        system::is_asleep(self.pid, stage.futex(self.lock))
    }

    /// Waits until it sleeps on the lock, which is held.
    pub(super) fn falls_asleep(&self, stage: &Stage) -> Checked {
        system::poll(|| self.is_asleep(stage).then_some(()))
            .ok_or_else(|| Failure::Participant(self.slot, "did not fall asleep".into()))
    }

    /// Waits until it has got the lock; `news`: whether it must be told of a death.
    pub(super) fn gets_lock(&self, stage: &Stage, news: bool) -> Checked {
        let outcome = system::await_cue(stage.outcome(self.slot), WATCHDOG);
        let Some(outcome) = outcome.map(Outcome::of) else {
            return Err(Failure::LostWakeUp(name(self.slot), stage.word(self.lock)));
        };
        expect(self.slot, outcome, news)
    }

    /// If it was woken while on the leash: waits for its stop, and lets it go. True if so.
    pub(super) fn unleash_if_woken(&mut self, stage: &Stage) -> Checked<bool> {
        if self.leash.is_none() || self.is_asleep(stage) {
            return Ok(false);
        }
        match system::wait(self.pid) {
            Some(Change::Stopped(_)) => {
                if let Some(tracee) = self.leash.take() {
                    tracee.detach()?;
                }
                Ok(true)
            }
            other => {
                self.ended = other.is_some();
                Err(Failure::Participant(self.slot, format!("on a leash: {other:?}")))
            }
        }
    }

    /// How it came to the lock, if it has.
    pub(super) fn outcome(&self, stage: &Stage) -> Option<Outcome> {
        let code = stage.outcome(self.slot).load(Ordering::Acquire);
        (code != 0).then(|| Outcome::of(code))
    }

    pub(super) fn is_leashed(&self) -> bool {
        self.leash.is_some()
    }

    /// Gives the cue to leave, and waits until it has ended properly.
    pub(super) fn leaves(&mut self, stage: &Stage) -> Checked {
        system::give(stage.go(self.slot), 1);
        self.ends(stage)
    }

    /// Is killed; false: it did not die.
    pub(super) fn dies(mut self) -> bool {
        self.ended = true;
        system::kill_and_reap(self.pid)
    }

    /// Waits until it has ended properly.
    pub(super) fn ends(&mut self, stage: &Stage) -> Checked {
        let change = system::wait(self.pid);
        self.ended = matches!(change, Some(Change::Exited(_) | Change::Killed(_)));
        match change {
            Some(Change::Exited(0)) => Ok(()),
            Some(other) => Err(Failure::Participant(self.slot, format!("ended by {other:?}"))),
            None => Err(Failure::LostWakeUp(name(self.slot), stage.word(self.lock))),
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        if !self.ended {
            system::kill_and_reap(self.pid);
        }
    }
}

/// The fresh process that comes last: takes each lock, is told or not, repairs; then nobody is told.
pub(super) fn check(stage: &Stage, news: &[bool]) -> Checked {
    for (lock, &news) in news.iter().enumerate() {
        stage.clear(Slot::Checker);
        stage.clear(Slot::Extra);
        let pid = system::fork(|| {
            for slot in [Slot::Checker, Slot::Extra] {
                let (outcome, guard) = enter(stage.lock(lock).lock(), true);
                if guard.is_some() {
                    stage.count_section(lock);
                }
                drop(guard);
                system::give(stage.outcome(slot), outcome as u32);
            }
            0
        });
        let mut checker = Participant { slot: Slot::Checker, lock, pid, leash: None, ended: false };
        checker.gets_lock(stage, news)?;
        checker.ends(stage)?;
        let second = system::await_cue(stage.outcome(Slot::Extra), Duration::ZERO).unwrap_or(0);
        expect(Slot::Extra, Outcome::of(second), false)?;
    }
    Ok(())
}

/// One comes, waits for the lock in vain for a moment, and ends.
pub(super) fn give_up(stage: &Stage) -> Checked {
    const MOMENT: Duration = Duration::from_micros(100);
    stage.clear(Slot::Extra);
    let pid = system::fork(|| enter(stage.lock(0).lock_timeout(MOMENT), false).0 as i32);
    match system::wait(pid) {
        Some(Change::Exited(code)) if code == Outcome::TimedOut as i32 => Ok(()),
        Some(other) => Err(Failure::Participant(Slot::Extra, format!("did not give up: {other:?}"))),
        None => {
            system::kill_and_reap(pid);
            Err(Failure::LostWakeUp("one that gives up waits", stage.word(0)))
        }
    }
}

fn expect(slot: Slot, outcome: Outcome, news: bool) -> Checked {
    match (outcome, news) {
        (Outcome::Told, true) | (Outcome::Clean, false) => Ok(()),
        (Outcome::Told, false) => Err(Failure::InventedDeath(slot, outcome)),
        (Outcome::Clean | Outcome::Torn, _) => Err(Failure::UntoldDeath(slot, outcome)),
        (Outcome::Leaked, true) => Err(Failure::UntoldDeath(slot, outcome)),
        (Outcome::Leaked, false) => Err(Failure::InventedDeath(slot, outcome)),
        (Outcome::Failed | Outcome::TimedOut, _) => Err(Failure::Participant(slot, "could not lock".into())),
    }
}

fn name(slot: Slot) -> &'static str {
    match slot {
        Slot::Holder => "the holder waits",
        Slot::Sleeper | Slot::SecondSleeper | Slot::ThirdSleeper => "a sleeper waits",
        Slot::Barger => "the barger waits",
        Slot::Checker | Slot::Extra => "a fresh process waits",
    }
}
