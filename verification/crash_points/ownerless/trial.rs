//! One trial: a fresh scene, a victim, and the way to the point of its death; and all of a row.

use std::time::{Duration, Instant};

use forq::Shared;

use super::super::failure::{Checked, Failure};
use super::super::journey::{ENOUGH, Journey, fingerprint, place};
use super::super::path::{Kill, Path};
use super::super::row::{Share, Tally, again};
use super::super::tracee::Tracee;
use super::super::trap::trap;
use super::super::turn::Turn;
use super::super::victim::Victim;
use super::condvar;
use super::plan::{Between, Plan};
use super::scene::{Kind, Scene};
use super::sleepers::Sleepers;

/// So many futex calls are in no path.
const TOO_MANY_CALLS: usize = 32;
/// The library's bound on the sleep of a waiter, and of one that waits behind others.
const BOUND: Duration = Duration::from_millis(250);
const BEHIND_ELDERS: Duration = Duration::from_millis(100);

/// What the victim's death left, apart from memory.
#[derive(Clone, Copy, Default)]
pub(super) struct Remains {
    /// The next to take the monitor's mutex, and those of the circle, must be told of a death.
    pub(super) news: [bool; 3],
    /// How often others than the victim had been told of deaths.
    pub(super) told: u32,
}

/// Everybody in one trial. All are killed when it is dropped.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scene: Shared<Scene>,
    pub(super) sleepers: Sleepers,
    /// Comes last, when it is made.
    victim: Option<Victim>,
    /// Futex calls that the victim has begun.
    calls: usize,
    /// It asks after a process by its number, or reads a file and ponders it.
    reads: bool,
    came: bool,
    /// Permits (of the condition variable: returns) that all but victim and sleepers have given, less those that they
    /// have taken.
    pub(super) given: i64,
    pub(super) remains: Remains,
    /// Somebody is left to the bound on sleeps, as the plan says.
    left: bool,
    /// Until when the victim must be dead.
    limit: Option<Instant>,
    /// Until the victim's death, no other worker's victim runs on this CPU.
    turn: Option<Turn>,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let turn = plan.is_urgent().then(Turn::take);
        let scene = Scene::new(plan.parties());
        let given = (plan.prepare)(&scene);
        let (sleepers, remains) = (Sleepers::default(), Remains::default());
        let mut trial = Self {
            plan,
            scene,
            sleepers,
            victim: None,
            calls: 0,
            reads: false,
            came: false,
            given,
            remains,
            left: false,
            limit: None,
            turn,
        };
        if !plan.behind {
            trial.sleepers_come()?;
        }
        let (scene, plan) = (&trial.scene, trial.plan);
        trial.victim = Some(Victim::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            trap();
            let as_meant = (plan.act)(scene);
            trap();
            i32::from(!as_meant)
        })?);
        // Of a circle the highest is told; ids may have begun anew.
        if plan.kind == Kind::Circle && trial.sleepers.highest() > trial.victim().pid() {
            return Err(Failure::OtherPath("the victim's id is not the highest".into()));
        }
        Ok(trial)
    }

    fn sleepers_come(&mut self) -> Checked {
        if self.plan.dead > 0 {
            self.hurry(BEHIND_ELDERS);
        }
        self.hurry(BOUND);
        let leashed = self.plan.between.is_some_and(|(when, _)| when == Between::AfterDeath);
        while !self.came && self.sleepers.len() < self.plan.sleepers {
            self.sleepers.come(&self.scene, self.plan.kind, leashed)?;
            if let Some((_, deed)) = self.plan.turn.filter(|&(count, _)| count == self.sleepers.len()) {
                self.given += deed(&self.scene);
                self.sleepers.settle()?;
                self.hurry(BEHIND_ELDERS);
            }
        }
        self.came = true;
        Ok(())
    }

    /// With the real bound, only where somebody may be left to it; the rest is known from the other build.
    fn is_worth_a_kill(&self) -> bool {
        let (plan, scene) = (self.plan, &self.scene);
        let held = || scene.locks()[0].tid() == self.victim().pid();
        !plan.is_urgent() || self.granted() > 0 || plan.until_told && held()
    }

    /// From now on sleepers sleep for so long.
    fn hurry(&mut self, bound: Duration) {
        if self.plan.is_urgent() && !self.came {
            let limit = Instant::now() + bound * 4 / 5;
            self.limit = Some(self.limit.map_or(limit, |other| other.min(limit)));
        }
    }

    /// Whether a sleeper's bound may have passed before the victim's death.
    fn is_late(&self) -> bool {
        self.limit.is_some_and(|limit| Instant::now() > limit)
    }
}

impl Journey for Trial<'_> {
    fn victim(&self) -> &Victim {
        self.victim.as_ref().expect("a trial has a victim")
    }

    fn victim_mut(&mut self) -> &mut Victim {
        self.victim.as_mut().expect("a trial has a victim")
    }

    fn sleeps(&self) -> usize {
        self.plan.wakers.len()
    }

    fn before_call(&mut self) -> Checked {
        self.calls += 1;
        if self.is_late() {
            return Err(too_late());
        }
        if self.calls > TOO_MANY_CALLS {
            return Err(Failure::SleptOn("the victim itself, again and again".into()));
        }
        if let Some((_, deed)) = self.plan.interlude.filter(|&(call, _)| call == self.calls) {
            self.given += deed(&self.scene);
            self.sleepers.settle()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Checked {
        self.sleepers.settle()
    }

    fn come_behind(&mut self) -> Checked {
        self.sleepers_come()
    }

    fn wake(&mut self) -> Checked {
        self.sleepers_come()?;
        if let Some(waker) = self.plan.wakers.get(self.victim().slept) {
            self.given += waker(&self.scene);
        }
        Ok(())
    }

    fn fate(&mut self, head: usize, address: usize) -> Checked<Option<u64>> {
        let tracee = self.victim().tracee()?;
        let list = tracee.robust_list(head)?;
        let list = list.map(|entry| (self.scene.distance(entry), entry == 0));
        if Tracee::is_system_call(address) {
            match tracee.call()? {
                libc::SYS_openat | libc::SYS_open | libc::SYS_kill => self.reads = true,
                libc::SYS_read | libc::SYS_close => {}
                _ => self.reads = false,
            }
        }
        // Where it asks after a process by its number, or reads a file and ponders it, the place in the code is another each
        // time. What a death leaves does not depend on it; and where the bound is only needed, the other build has
        // killed at each place.
        let place = if self.reads || self.plan.is_urgent() { 0 } else { address };
        let rest = (place, self.sleepers.ended(), self.victim().slept, self.came);
        Ok(self.is_worth_a_kill().then(|| fingerprint((self.scene.words(), list, rest))))
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then nobody may sleep on who
    /// need not, and all accounts must close.
    fn finish(&mut self, survives: bool) -> Checked {
        self.sleepers_come()?;
        if let Some((Between::BeforeDeath, deed)) = self.plan.between {
            self.given += deed(&self.scene);
        }
        let (locks, pid) = (self.scene.locks(), self.victim().pid());
        self.remains.told = self.scene.told();
        self.remains.news =
            locks.map(|word| word.has_news() && word.is_free() || word.tid() == pid && !survives);
        if survives {
            self.victim_mut().survive(|| "not killed".into())?;
        } else {
            self.victim_mut().kill()?;
        }
        if let Some((Between::AfterDeath, deed)) = self.plan.between {
            self.given += deed(&self.scene);
        }
        if self.is_late() {
            return Err(too_late());
        }
        // From here on nothing depends on the time.
        (self.limit, self.turn) = (None, None);
        self.sleepers.unleash()?;
        self.left = self.aftermath()?;
        Ok(())
    }
}

fn too_late() -> Failure {
    Failure::OtherPath("the bound passed before the death".into())
}

/// A fresh trial. What goes wrong because it was late says nothing.
fn attempt<T>(plan: &Plan, run: impl Fn(&mut Trial) -> Checked<T>) -> Checked<T> {
    again(|| {
        let mut trial = Trial::new(plan)?;
        run(&mut trial).map_err(|failure| if trial.is_late() { too_late() } else { failure })
    })
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.victim = None;
        condvar::holder_dies(&self.scene);
        condvar::unlock(&self.scene);
    }
}

/// The way of a victim that is not killed, and that all is well then.
pub(in super::super) fn path(plan: &Plan) -> Checked<Path> {
    let path = || {
        attempt(plan, |trial| {
            let path = trial.record()?;
            trial.finish(true)?;
            Ok(path)
        })
    };
    if cfg!(forq_long_sleeps) || plan.is_urgent() {
        return path();
    }
    // Stepping is slow: a bound may have passed that does not pass at full speed.
    again(|| {
        let path = path()?;
        let mut trial = Trial::new(plan)?;
        trial.advance(&path, Kill::Before(path.addresses.len() - 1))?;
        trial.finish(false)?;
        Ok(path)
    })
}

/// Runs the share of a row. `fails` is told of each failure, and whether to go on.
pub(in super::super) fn run(
    plan: &Plan,
    path: &Checked<Path>,
    share: Share,
    fails: &mut dyn FnMut(&str) -> bool,
) -> Tally {
    let mut tally = Tally::default();
    let name =
        |place: &str, failure: &Failure| format!("{} / {}: {place}: {failure}", plan.operation, plan.context);
    let path = match path {
        Ok(path) => path,
        // Once, not by all workers.
        Err(failure) if share.index == 0 => {
            fails(&format!("FAILED {}", name("not killed", failure)));
            return Tally { failures: 1, ..tally };
        }
        Err(_) => return tally,
    };
    tally.instructions = path.addresses.len() as u64 - 1;
    for kill in path.kills().skip(share.index).step_by(share.workers) {
        let result = attempt(plan, |trial| {
            trial.advance(path, kill)?;
            trial.finish(false)?;
            Ok(trial.left)
        });
        let place = || place(path, kill);
        match result {
            Err(failure @ Failure::OtherPath(_)) if !cfg!(forq_long_sleeps) => {
                println!("not done: {}", name(&place(), &failure));
                tally.missed += 1;
                continue;
            }
            Ok(left) => tally.left += u64::from(left),
            Err(failure) => {
                let text = format!("FAILED {}", name(&place(), &failure));
                tally.failures += 1;
                if !fails(&text) || tally.failures >= ENOUGH {
                    break;
                }
            }
        }
        tally.kills += 1;
    }
    tally
}
