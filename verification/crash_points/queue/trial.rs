//! One trial: a fresh queue, a victim, and the way to the point of its death; and all of a row.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use super::super::failure::{Checked, Failure};
use super::super::ledger::FIRST_SLEEPER;
use super::super::ownerless::sleepers::Sleepers;
use super::super::ownerless::trial::{Kill, Path, again};
use super::super::row::Tally;
use super::super::symbol;
use super::super::system::{self, Change};
use super::super::tracee::{self, Step, Tracee};
use super::super::trap::trap;
use super::image::Side;
use super::plan::{Between, Pace, Plan, When};
use super::scene::{Scene, Visit};

/// After so many failures the rest of a row is not tried.
const ENOUGH: u64 = 3;

/// Everybody in one trial. All are killed when it is dropped.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scene: Scene,
    pub(super) sleepers: Sleepers,
    victim: Option<Tracee>,
    at: usize,
    /// System calls that the victim has made.
    calls: usize,
    /// How often it has slept until it was woken.
    slept: usize,
    /// Those that come late have come.
    came: bool,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let scene = Scene::new(plan.capacity);
        (plan.prepare)(&scene);
        let sleepers = Sleepers::default();
        let mut trial = Self { plan, scene, sleepers, victim: None, at: 0, calls: 0, slept: 0, came: false };
        trial.come(plan.ahead)?;
        trial.came = plan.late.is_empty();
        let scene = &trial.scene;
        trial.victim = Some(Tracee::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            trap();
            let as_meant = (plan.act)(scene);
            trap();
            i32::from(!as_meant)
        })?);
        Ok(trial)
    }

    fn come(&mut self, visits: &[Visit]) -> Checked {
        let pace = self.plan.pace;
        self.sleepers.run_when_idle(false);
        for &visit in visits {
            let (scene, who) = (&self.scene, FIRST_SLEEPER + self.sleepers.len());
            self.sleepers.come_for(pace == Pace::Leashed, || scene.visit(visit, who))?;
        }
        if pace == Pace::Idle {
            self.sleepers.run_when_idle(true);
        }
        Ok(())
    }

    fn late_ones_come(&mut self) -> Checked {
        if !self.came {
            self.came = true;
            self.come(self.plan.late)?;
        }
        Ok(())
    }

    /// What each sleeper came for.
    pub(super) fn visits(&self) -> impl Iterator<Item = (usize, Visit)> + use<'a> {
        let plan = self.plan;
        plan.ahead.iter().chain(plan.late).copied().enumerate()
    }

    fn victim(&self) -> Checked<&Tracee> {
        self.victim.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    fn settle(&mut self) -> Checked {
        if self.plan.pace == Pace::Idle { Ok(()) } else { self.sleepers.settle() }
    }

    /// One instruction. False: the victim sleeps in it.
    fn step(&mut self, address: usize) -> Checked<bool> {
        let is_call = Tracee::is_system_call(address) && self.victim()?.enters_futex()?;
        let may_sleep = self.slept < self.plan.wakers.len();
        let step = self.victim()?.step(address, |pid| may_sleep && system::is_asleep_anywhere(pid))?;
        if step == Step::Asleep {
            return Ok(false);
        }
        self.at += 1;
        self.calls += usize::from(Tracee::is_system_call(address));
        if is_call {
            // It may have woken some.
            self.settle()?;
        }
        Ok(true)
    }

    /// The victim sleeps: whoever comes behind it comes, then it is woken.
    fn wake_victim(&mut self) -> Checked {
        if self.plan.when == When::Asleep {
            self.late_ones_come()?;
        }
        if let Some(waker) = self.plan.wakers.get(self.slept) {
            waker(&self.scene);
        }
        self.slept += 1;
        if !self.victim()?.awake()? {
            return Err(Failure::SleptOn(format!("the victim itself; {}", self.scene.image())));
        }
        self.at += 1;
        self.calls += 1;
        self.settle()
    }

    /// Whether it is time for those that come when the victim holds a side.
    fn is_time(&self) -> Checked<bool> {
        let When::Holds(side) = self.plan.when else { return Ok(false) };
        Ok(!self.came && self.scene.image().holder(side) == self.victim()?.pid())
    }

    fn record(&mut self) -> Checked<Path> {
        let head = tracee::robust_head();
        let mut path = Path::default();
        let (mut before, mut seen) = (HashMap::new(), HashSet::new());
        let epochs = self.epochs();
        loop {
            let address = self.victim()?.at()?;
            path.previous.push(before.insert(address, self.at));
            path.addresses.push(address);
            if self.is_time()? {
                self.late_ones_come()?;
                // So that nothing jumps across it.
                path.calls.push(self.at);
            }
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
        let healed: Vec<Side> = self
            .epochs()
            .iter()
            .zip(epochs)
            .filter(|(now, then)| **now != *then)
            .map(|(now, _)| now.0)
            .collect();
        if path.sleeps_at.len() == self.plan.wakers.len()
            && self.came
            && healed.iter().copied().eq(self.plan.heals)
        {
            Ok(path)
        } else {
            Err(Failure::OtherPath("the operation did not go the way that is to be tested".into()))
        }
    }

    fn epochs(&self) -> [(Side, u64); 2] {
        [Side::Producers, Side::Consumers].map(|side| (side, self.scene.image().epoch(side)))
    }

    /// A fingerprint of all that the aftermath of a kill here can depend on.
    fn fate(&self, head: usize, address: usize) -> Checked<u64> {
        let pending = self.victim()?.robust_list(head)?[1];
        let mut state = DefaultHasher::new();
        // A dead one has no registers: where it was matters only by what it had done, to memory and to the kernel.
        let place = if self.plan.is_every() { address } else { 0 };
        let rest = (place, self.calls, self.sleepers.ended(), self.slept, self.came);
        (self.words(), self.scene.distance(pending), pending == 0, rest).hash(&mut state);
        self.scene.ledger().progress().hash(&mut state);
        Ok(state.finish())
    }

    /// The queue's memory.
    pub(super) fn words(&self) -> Vec<u64> {
        self.scene.image().words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }

    fn advance(&mut self, path: &Path, kill: Kill) -> Checked {
        let (Kill::Before(goal) | Kill::Inside(goal)) = kill;
        loop {
            let address = self.victim()?.at()?;
            if path.addresses.get(self.at) != Some(&address) {
                return Err(Failure::OtherPath(format!("instruction {} is at {address:#x}", self.at)));
            }
            if self.is_time()? {
                self.late_ones_come()?;
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
                    return self.late_ones_come();
                }
                self.wake_victim()?;
            }
        }
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then nobody may sleep on who
    /// need not, and all accounts must close.
    fn finish(&mut self, survives: bool) -> Checked {
        self.late_ones_come()?;
        if let Some((Between::BeforeDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        let Some(victim) = self.victim.take() else { return self.victim().map(drop) };
        let lags = !survives && self.scene.image().lags(Side::Consumers);
        if survives {
            victim.release()?;
            match system::wait(victim.pid()) {
                Some(Change::Exited(0)) => {}
                end => return Err(Failure::Harness(format!("the victim, not killed, ended by {end:?}"))),
            }
        } else if !system::kill_and_reap(victim.pid()) {
            return Err(Failure::Harness("the victim does not die".into()));
        }
        if let Some((Between::AfterDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        self.sleepers.run_when_idle(false);
        self.sleepers.unleash()?;
        self.aftermath(if survives { 0 } else { self.plan.hand }, lags)
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
    let kills = path.points.iter().map(|&point| Kill::Before(point));
    for kill in kills.chain(path.sleeps_at.iter().map(|&at| Kill::Inside(at))) {
        let result = again(|| {
            let mut trial = Trial::new(plan)?;
            trial.advance(&path, kill)?;
            trial.finish(false)
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
