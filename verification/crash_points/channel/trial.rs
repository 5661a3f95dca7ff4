//! One trial: a fresh channel, a victim, and the way to the point of its death; and all of a row.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::failure::{Checked, Failure};
use super::super::ledger::FIRST_SLEEPER;
use super::super::ownerless::sleepers::Sleepers;
use super::super::ownerless::trial::{Kill, Path, again};
use super::super::row::Tally;
use super::super::symbol;
use super::super::system::{self, Change};
use super::super::tracee::{self, Step, Tracee};
use super::super::trap::trap;
use super::plan::{Between, Plan};
use super::scene::Scene;

/// After so many failures the rest of a row is not tried.
const ENOUGH: u64 = 3;

/// Everybody in one trial. All are killed when it is dropped.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scene: Scene,
    pub(super) sleepers: Sleepers,
    victim: Option<Tracee>,
    /// The victim's process id, also when it is gone.
    pub(super) victim_pid: u32,
    at: usize,
    /// System calls that the victim has made.
    calls: usize,
    /// It has slept until it was woken.
    slept: bool,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let scene = Scene::new(plan.kind, plan.capacity, plan.lap);
        (plan.prepare)(&scene);
        let victim = Tracee::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            (plan.before)(&scene);
            trap();
            let as_meant = (plan.act)(&scene);
            trap();
            i32::from(!as_meant)
        })?;
        let victim_pid = victim.pid() as u32;
        let sleepers = Sleepers::default();
        let victim = Some(victim);
        let mut trial = Self { plan, scene, sleepers, victim, victim_pid, at: 0, calls: 0, slept: false };
        let is_leashed = matches!(plan.between, Some((Between::AfterDeath, _)));
        for &visit in plan.ahead {
            let (scene, who) = (&trial.scene, FIRST_SLEEPER + trial.sleepers.len());
            trial.sleepers.come_for(is_leashed, || scene.visit(visit, who))?;
        }
        Ok(trial)
    }

    fn victim(&self) -> Checked<&Tracee> {
        self.victim.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    /// One instruction. False: the victim sleeps in it.
    fn step(&mut self, address: usize) -> Checked<bool> {
        let is_call = Tracee::is_system_call(address) && self.victim()?.enters_futex()?;
        let may_sleep = self.plan.waker.is_some() && !self.slept;
        let step = self.victim()?.step(address, |pid| may_sleep && system::is_asleep_anywhere(pid))?;
        if step == Step::Asleep {
            return Ok(false);
        }
        self.at += 1;
        self.calls += usize::from(Tracee::is_system_call(address));
        if is_call {
            // It may have woken some.
            self.sleepers.settle()?;
        }
        Ok(true)
    }

    fn wake_victim(&mut self) -> Checked {
        if let Some(waker) = self.plan.waker {
            waker(&self.scene);
        }
        self.slept = true;
        if !self.victim()?.awake()? {
            return Err(Failure::SleptOn(format!("the victim itself; {}", self.scene.image())));
        }
        self.at += 1;
        self.calls += 1;
        self.sleepers.settle()
    }

    fn record(&mut self) -> Checked<Path> {
        let head = tracee::robust_head();
        let mut path = Path::default();
        let (mut before, mut seen) = (HashMap::new(), HashSet::new());
        loop {
            let address = self.victim()?.at()?;
            path.previous.push(before.insert(address, self.at));
            path.addresses.push(address);
            if seen.insert(self.fate(head, address)?) {
                path.points.push(self.at);
            }
            if Tracee::is_at_trap(address) {
                break;
            }
            if Tracee::is_system_call(address) && self.victim()?.enters_futex()? {
                path.calls.push(self.at);
            }
            if !self.step(address)? {
                path.sleeps_at.push(self.at);
                self.wake_victim()?;
            }
        }
        if path.sleeps_at.is_empty() == self.plan.waker.is_none() {
            Ok(path)
        } else {
            Err(Failure::OtherPath("the operation did not go the way that is to be tested".into()))
        }
    }

    /// A fingerprint of all that the aftermath of a kill here can depend on.
    fn fate(&self, head: usize, address: usize) -> Checked<u64> {
        let pending = self.victim()?.robust_list(head)?[1];
        let mut state = DefaultHasher::new();
        // A dead one has no registers: where it was matters only by what it had done, to memory and to the kernel.
        let place = if self.plan.is_every() { address } else { 0 };
        let rest = (place, self.calls, self.sleepers.ended(), self.slept);
        (self.summary(), self.scene.distance(pending), pending == 0, rest).hash(&mut state);
        self.scene.ledger().progress().hash(&mut state);
        Ok(state.finish())
    }

    /// The channel's memory, the same in all trials.
    pub(super) fn summary(&self) -> Vec<u64> {
        let host = std::process::id();
        self.scene.image().summary(|pid| match pid {
            0 => 0,
            pid if pid == self.victim_pid => 1,
            pid if pid == host => 2,
            _ => 3,
        })
    }

    fn advance(&mut self, path: &Path, kill: Kill) -> Checked {
        let (Kill::Before(goal) | Kill::Inside(goal)) = kill;
        loop {
            let address = self.victim()?.at()?;
            if path.addresses.get(self.at) != Some(&address) {
                return Err(Failure::OtherPath(format!("instruction {} is at {address:#x}", self.at)));
            }
            let arrived = self.at >= goal && !matches!(kill, Kill::Inside(_));
            if arrived || Tracee::is_at_trap(address) {
                return Ok(());
            }
            if let Some(anchor) = path.anchor(self.at, goal) {
                self.victim()?.run_to(path.addresses[anchor])?;
                self.at = anchor;
            } else if !self.step(address)? {
                if self.at >= goal {
                    return Ok(());
                }
                self.wake_victim()?;
            }
        }
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then nobody may sleep on who
    /// need not, and all accounts must close.
    fn finish(&mut self, survives: bool) -> Checked {
        if let Some((Between::BeforeDeath | Between::Stopped, deed)) = self.plan.between {
            deed(&self.scene);
        }
        let Some(victim) = self.victim.take() else { return self.victim().map(drop) };
        if survives {
            // It stands at its last trap already, if nothing stopped it before.
            if !Tracee::is_at_trap(victim.at()?) && !victim.comes_to_trap()? {
                return Err(Failure::SleptOn(format!("the victim; {}", self.scene.image())));
            }
            victim.release()?;
            match system::wait(victim.pid()) {
                Some(Change::Exited(0)) => {}
                Some(end) => {
                    return Err(Failure::Account(format!("the victim, not killed, ended by {end:?}")));
                }
                None => return Err(Failure::SleptOn(format!("the victim; {}", self.scene.image()))),
            }
        } else if !system::kill_and_reap(victim.pid()) {
            return Err(Failure::Harness("the victim does not die".into()));
        }
        if let Some((Between::AfterDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        self.sleepers.unleash()?;
        self.aftermath(if survives { 0 } else { self.plan.hand })
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(victim) = self.victim.take() {
            system::kill_and_reap(victim.pid());
        }
    }
}

/// The way of a victim that is not killed, and that all is well then.
fn path(plan: &Plan) -> Checked<Path> {
    again(|| {
        let mut trial = Trial::new(plan)?;
        let path = trial.record()?;
        trial.finish(true)?;
        Ok(path)
    })
}

/// Runs a row. `fails` is told of each failure, and whether to go on.
pub(in super::super) fn run(plan: &Plan, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    let mut tally = Tally::default();
    let name = |place: &str, failure: &Failure| {
        format!("FAILED {} / {}: {place}: {failure}", plan.operation, plan.context)
    };
    let path = match path(plan) {
        Ok(path) => path,
        Err(failure) => {
            fails(&name("not killed", &failure));
            return Tally { failures: 1, ..tally };
        }
    };
    tally.instructions = path.addresses.len() as u64 - 1;
    let goes_on = matches!(plan.between, Some((Between::Stopped, _)));
    let kills = path.points.iter().map(|&point| Kill::Before(point));
    for kill in kills.chain(path.sleeps_at.iter().map(|&at| Kill::Inside(at))) {
        let result = again(|| {
            let mut trial = Trial::new(plan)?;
            trial.advance(&path, kill)?;
            trial.finish(goes_on)
        });
        tally.kills += 1;
        if let Err(failure) = result {
            let (Kill::Before(at) | Kill::Inside(at)) = kill;
            let place = format!("{kill:?} of {}, {}", tally.instructions, symbol::of(path.addresses[at]));
            tally.failures += 1;
            if !fails(&name(&place, &failure)) || tally.failures >= ENOUGH {
                break;
            }
        }
    }
    tally
}
