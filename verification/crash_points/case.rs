//! One case: a fresh stage, a victim, and the way to the point of its death.

use std::collections::HashSet;

use forq::Shared;

use super::failure::{Checked, Failure};
use super::fate;
use super::operation::Before;
use super::recording::{Event, Recording};
use super::scenario::{Scenario, When};
use super::setting::{self, Holder};
use super::sleepers::Sleepers;
use super::stage::{LOCKS, Outcome, Stage};
use super::system::{self, Change};
use super::tracee::{self, Step, Tracee};

/// Where the victim is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// Before this instruction.
    Before(usize),
    /// Asleep in the kernel, in this instruction.
    Inside(usize),
}

/// Everybody in one case. All are killed when it is dropped.
pub(super) struct Case<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stage: Shared<Stage>,
    victim: Option<Tracee>,
    pub(super) holder: Option<Holder>,
    pub(super) sleepers: Sleepers,
    /// Whether the next to take each lock must be told of a death.
    pub(super) news: [bool; LOCKS],
    /// Deaths of holders before the victim's.
    pub(super) earlier_deaths: u64,
    /// Instructions that the victim has executed.
    at: usize,
    /// From when on the victim has held each lock.
    held_from: [Option<usize>; LOCKS],
    /// Whether there was news when the victim took the first lock.
    news_for_victim: bool,
}

impl<'a> Case<'a> {
    /// Brings the lock into its state, and the victim to its first instruction.
    pub(super) fn new(scenario: &'a Scenario) -> Checked<Self> {
        let stage = Stage::new();
        if scenario.operation.recursive {
            stage.make_recursive();
        }
        setting::elder(&stage);
        let before = scenario.operation.before;
        let mut sleepers = Sleepers::default();
        let holder = setting::prepare(&stage, before, || match scenario.context.when {
            Some(When::Ahead) => sleepers.come(&stage, &scenario.context),
            _ => Ok(()),
        })?;
        let died = before == Before::DeadHolder;
        let mut case = Case {
            scenario,
            victim: None,
            holder,
            sleepers,
            news: [died, false],
            earlier_deaths: died.into(),
            at: 0,
            held_from: [None; LOCKS],
            news_for_victim: false,
            stage,
        };
        let (stage, act) = (&case.stage, scenario.operation.act);
        case.victim = Some(Tracee::start(|| act(stage) as i32)?);
        Ok(case)
    }

    fn victim(&self) -> Checked<&Tracee> {
        self.victim.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    /// Whether the victim has ever held each lock.
    pub(super) fn has_held(&self) -> [bool; LOCKS] {
        self.held_from.map(|from| from.is_some_and(|from| from <= self.at))
    }

    /// Whether the victim holds each lock.
    pub(super) fn held(&self) -> [bool; LOCKS] {
        let pid = self.victim.as_ref().map_or(-1, Tracee::pid);
        std::array::from_fn(|lock| self.stage.word(lock).tid() == pid)
    }

    /// Steps the victim to the end of the path, and records it. Points whose fate is among those `seen`
    /// are left out.
    pub(super) fn record(&mut self, seen: &mut HashSet<u64>) -> Checked<Recording> {
        self.record_on(Recording::default(), None, seen)
    }

    /// As [`Case::record`], but the holder leaves before the instruction `race` of the path `base`.
    pub(super) fn record_race(
        &mut self,
        base: &Recording,
        race: usize,
        seen: &mut HashSet<u64>,
    ) -> Checked<Recording> {
        self.replay(base, Kill::Before(race))?;
        self.record_on(base.until(race), Some(race), seen)
    }

    fn record_on(
        &mut self,
        mut recording: Recording,
        race: Option<usize>,
        seen: &mut HashSet<u64>,
    ) -> Checked<Recording> {
        let head = tracee::robust_head();
        let epoch = self.stage.word(0).epoch();
        let mut returned = false;
        loop {
            let address = self.victim()?.at()?;
            recording.push(address);
            for (lock, held) in self.held().into_iter().enumerate() {
                if held && self.held_from[lock].is_none() {
                    self.held_from[lock] = Some(self.at);
                    self.news_for_victim |= lock == 0 && self.news[0];
                }
            }
            for event in self.due(&recording, race, returned) {
                recording.add(self.at, event);
                self.fire(event)?;
            }
            let list = self.victim()?.robust_list(head)?;
            let others = (self.holder.is_some(), self.sleepers.came, self.sleepers.asleep(&self.stage));
            if seen.insert(fate::of(&self.stage, self.victim()?.pid(), list, (address, others, self.news))) {
                recording.points.push(self.at);
            }
            if Tracee::is_at_trap(address) {
                recording.held = self.held_from;
                return self.confirm(recording, epoch);
            }
            match self.step(address)? {
                Step::Asleep => {
                    recording.add(self.at, Event::VictimSleeps);
                    self.wake_victim()?;
                }
                Step::Waited => recording.timed_out = Some(self.at),
                Step::Done => {}
            }
            returned = Tracee::is_system_call(address);
            self.at += 1;
        }
    }

    /// The operation did what it is there to do.
    fn confirm(&self, recording: Recording, epoch: u32) -> Checked<Recording> {
        let operation = &self.scenario.operation;
        let healed = self.stage.word(0).epoch() != epoch;
        let as_meant = recording.has(Event::VictimSleeps) == operation.sleeps
            && recording.timed_out.is_some() == operation.gives_up
            && healed == (operation.before == Before::UselessWakes);
        if as_meant {
            Ok(recording)
        } else {
            Err(Failure::Harness("the operation did not go the way that is to be tested".into()))
        }
    }

    /// What happens now, before the victim's next instruction.
    fn due(&self, recording: &Recording, race: Option<usize>, returned: bool) -> Vec<Event> {
        let context = &self.scenario.context;
        let holds = self.held()[0];
        let mut events = Vec::new();
        if holds && context.when == Some(When::Held) && !self.sleepers.came {
            events.push(Event::SleepersCome);
        }
        let early = self.scenario.operation.before == Before::UnlockingUntilTaken;
        if holds && early && !recording.has(Event::WakerDies) {
            events.push(Event::WakerDies);
        }
        if race == Some(self.at) {
            events.push(Event::HolderLeaves);
        }
        if returned && self.sleepers.any_is_loose() {
            events.push(Event::SleepersSettle);
        }
        events
    }

    fn fire(&mut self, event: Event) -> Checked {
        match event {
            Event::SleepersCome => self.sleepers_come(),
            Event::WakerDies => self.holder_leaves(),
            Event::HolderLeaves => {
                self.holder_leaves()?;
                self.sleepers_settle()
            }
            Event::SleepersSettle => self.sleepers_settle(),
            Event::VictimSleeps => Ok(()),
        }
    }

    fn step(&self, address: usize) -> Checked<Step> {
        // One whose time runs out is not to be woken by us, however long it sleeps.
        let may_sleep = !self.scenario.operation.gives_up;
        self.victim()?.step(address, |pid| may_sleep && system::is_asleep(pid, self.stage.futex(0)))
    }

    /// The victim sleeps: whoever comes behind it comes, then the holder leaves, and it must be woken.
    fn wake_victim(&mut self) -> Checked {
        if self.scenario.context.when == Some(When::Behind) && !self.sleepers.came {
            self.sleepers_come()?;
        }
        self.holder_leaves()?;
        self.sleepers_settle()?;
        if self.victim()?.awake()? {
            Ok(())
        } else {
            Err(Failure::LostWakeUp("the victim waits", self.stage.word(0)))
        }
    }

    /// Brings the victim to the point of its death.
    pub(super) fn replay(&mut self, recording: &Recording, kill: Kill) -> Checked {
        let (Kill::Before(goal) | Kill::Inside(goal)) = kill;
        self.held_from = recording.held;
        loop {
            for event in recording.events_at(self.at) {
                self.fire(event)?;
            }
            if self.at == goal && !matches!(kill, Kill::Inside(_)) {
                return Ok(());
            }
            if recording.events_at(self.at).any(|event| event == Event::VictimSleeps) {
                if self.step(recording.address(self.at))? != Step::Asleep {
                    return Err(Failure::OtherPath("it did not sleep".into()));
                }
                if self.at == goal {
                    if self.scenario.context.when == Some(When::Behind) {
                        self.sleepers_come()?;
                    }
                    return Ok(());
                }
                self.wake_victim()?;
                self.at += 1;
            } else {
                let next = recording.next_event(self.at).map_or(goal, |event| event.min(goal));
                self.advance(recording, next)?;
            }
            let (at, expected) = (self.victim()?.at()?, recording.address(self.at));
            if at != expected {
                return Err(Failure::OtherPath(format!("at {at:#x}, not at {expected:#x}")));
            }
        }
    }

    /// One instruction, or many at full speed, but not past `to`.
    fn advance(&mut self, recording: &Recording, to: usize) -> Checked {
        if let Some(anchor) = recording.anchor(self.at, to) {
            self.victim()?.run_to(recording.address(anchor))?;
            self.at = anchor;
        } else {
            self.step(recording.address(self.at))?;
            self.at += 1;
        }
        Ok(())
    }

    /// Kills the victim; it is gone, and the kernel has done what it does, when this returns.
    pub(super) fn kill_victim(&mut self) -> Checked {
        let gone = self.victim.take().is_some_and(|victim| system::kill_and_reap(victim.pid()));
        if gone { Ok(()) } else { Err(Failure::Harness("the victim does not die".into())) }
    }

    /// Lets the victim go on from the last trap to its end, and compares what it says.
    pub(super) fn release_victim(&mut self) -> Checked {
        let Some(victim) = self.victim.take() else { return self.victim().map(drop) };
        victim.release()?;
        let end = system::wait(victim.pid());
        let expected = if self.news_for_victim { Outcome::Told } else { Outcome::Clean };
        match end {
            Some(Change::Exited(code)) if code == expected as i32 => Ok(()),
            Some(Change::Exited(code)) => {
                let outcome = u32::try_from(code).map_or(Outcome::Failed, Outcome::of);
                Err(Failure::Harness(format!("the operation gave {outcome:?}, not {expected:?}")))
            }
            other => {
                if other.is_none() {
                    system::kill_and_reap(victim.pid());
                }
                Err(Failure::Harness(format!("the victim, not killed, ended by {other:?}")))
            }
        }
    }

    /// A victim that repairs and has released the lock leaves no news.
    pub(super) fn heed_repair(&mut self) {
        let lives = self.victim.is_some();
        if lives && self.scenario.operation.repairs && self.has_held()[0] && !self.held()[0] {
            self.news[0] = false;
        }
    }
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if let Some(victim) = self.victim.take() {
            system::kill_and_reap(victim.pid());
        }
        if let Some(Holder::Stopped(tracee)) = self.holder.take() {
            system::kill_and_reap(tracee.pid());
        }
    }
}
