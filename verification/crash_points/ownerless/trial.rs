//! One trial: a fresh scene, a victim, and the way to the point of its death; and all of a row.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use forq::Shared;

use super::super::failure::{Checked, Failure};
pub(in super::super) use super::super::row::again;
use super::super::row::{Share, Tally};
use super::super::symbol;
use super::super::system::{self, Change};
use super::super::tracee::{self, Step, Tracee};
use super::super::trap::trap;
use super::super::turn::Turn;
use super::condvar;
use super::plan::{Between, Plan};
use super::scene::{Kind, Scene};
use super::sleepers::Sleepers;

/// After so many failures the rest of a row is not tried: each lost wake-up takes the watchdog's time.
const ENOUGH: u64 = 3;
/// So many futex calls are in no path.
const TOO_MANY_CALLS: usize = 32;
/// The library's bound on the sleep of a waiter, and of one that waits behind others.
const BOUND: Duration = Duration::from_millis(250);
const BEHIND_ELDERS: Duration = Duration::from_millis(100);

/// Where the victim is killed.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Kill {
    /// Before this instruction.
    Before(usize),
    /// Asleep in the kernel, in this instruction.
    Inside(usize),
}

/// The way of a victim that is not killed.
#[derive(Default)]
pub(in super::super) struct Path {
    pub(in super::super) addresses: Vec<usize>,
    /// Where the same address came last.
    pub(in super::super) previous: Vec<Option<usize>>,
    /// Instructions before which a kill differs from all earlier ones.
    pub(in super::super) points: Vec<usize>,
    /// Futex calls: there others are woken, or the victim sleeps.
    pub(in super::super) calls: Vec<usize>,
    pub(in super::super) sleeps_at: Vec<usize>,
}

impl Path {
    /// The last instruction in `from..=to` that is neither behind a call nor on the way there from `from`: a
    /// breakpoint on it stops at the right time. `None` if there is none worth it.
    pub(in super::super) fn anchor(&self, from: usize, to: usize) -> Option<usize> {
        let call = self.calls[self.calls.partition_point(|&call| call < from)..].first();
        let to = call.map_or(to, |&call| to.min(call));
        (from + 8..=to).rev().find(|&at| self.previous[at].is_none_or(|before| before < from))
    }
}

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
    victim: Option<Tracee>,
    at: usize,
    /// How often the victim has slept until it was woken.
    slept: usize,
    /// Futex calls that it has begun.
    calls: usize,
    came: bool,
    /// Permits (of the condition variable: returns) that all but victim and sleepers have given, less those that they
    /// have taken.
    pub(super) given: i64,
    pub(super) remains: Remains,
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
            at: 0,
            slept: 0,
            calls: 0,
            came: false,
            given,
            remains,
            limit: None,
            turn,
        };
        if !plan.behind {
            trial.sleepers_come()?;
        }
        let (scene, plan) = (&trial.scene, trial.plan);
        trial.victim = Some(Tracee::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            trap();
            let as_meant = (plan.act)(scene);
            trap();
            i32::from(!as_meant)
        })?);
        // Of a circle the highest is told; ids may have begun anew.
        if plan.kind == Kind::Circle && trial.sleepers.highest() > trial.victim()?.pid() {
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

    fn victim(&self) -> Checked<&Tracee> {
        self.victim.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    /// One instruction. False: the victim sleeps in it.
    fn step(&mut self, address: usize) -> Checked<bool> {
        let is_call = Tracee::is_system_call(address) && self.victim()?.enters_futex()?;
        if is_call {
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
        }
        let may_sleep = self.slept < self.plan.wakers.len();
        let step = self.victim()?.step(address, |pid| may_sleep && system::is_asleep_anywhere(pid))?;
        if step == Step::Asleep {
            return Ok(false);
        }
        self.at += 1;
        if is_call {
            // It may have woken some.
            self.sleepers.settle()?;
        }
        Ok(true)
    }

    /// The victim sleeps: whoever comes behind it comes, then it is woken.
    fn wake_victim(&mut self) -> Checked {
        self.sleepers_come()?;
        if let Some(waker) = self.plan.wakers.get(self.slept) {
            self.given += waker(&self.scene);
        }
        self.slept += 1;
        if !self.victim()?.awake()? {
            return Err(Failure::SleptOn("the victim itself".into()));
        }
        self.at += 1;
        self.sleepers.settle()
    }

    fn record(&mut self, seen: &mut HashSet<u64>) -> Checked<Path> {
        let head = tracee::robust_head();
        let mut path = Path::default();
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut reads = false;
        loop {
            let address = self.victim()?.at()?;
            path.previous.push(before.insert(address, self.at));
            path.addresses.push(address);
            if Tracee::is_system_call(address) {
                match self.victim()?.call()? {
                    libc::SYS_openat | libc::SYS_open | libc::SYS_kill => reads = true,
                    libc::SYS_read | libc::SYS_close => {}
                    _ => reads = false,
                }
            }
            // Where it asks after a process by its number, or reads a file and ponders it, the place in the code is another each
            // time. What a death leaves does not depend on it; and where the bound is only needed, the other build has
            // killed at each place.
            let place = if reads || self.plan.is_urgent() { 0 } else { address };
            if seen.insert(self.fate(head, place)?) && self.is_worth_a_kill() {
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
        if path.sleeps_at.len() == self.plan.wakers.len() {
            Ok(path)
        } else {
            Err(Failure::OtherPath("the operation did not go the way that is to be tested".into()))
        }
    }

    /// With the real bound, only where somebody may be left to it; the rest is known from the other build.
    fn is_worth_a_kill(&self) -> bool {
        let (plan, scene) = (self.plan, &self.scene);
        let held = || self.victim.as_ref().is_some_and(|victim| scene.locks()[0].tid() == victim.pid());
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

    /// A fingerprint of all that the aftermath of a kill here can depend on.
    fn fate(&self, head: usize, address: usize) -> Checked<u64> {
        let list = self.victim()?.robust_list(head)?;
        let list = list.map(|entry| (self.scene.distance(entry), entry == 0));
        let mut state = DefaultHasher::new();
        let rest = (address, self.sleepers.ended(), self.slept, self.came);
        (self.scene.words(), list, rest).hash(&mut state);
        Ok(state.finish())
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
                    return self.sleepers_come();
                }
                self.wake_victim()?;
            }
        }
    }

    /// Records the way of a victim that is not killed, to whom nothing may happen.
    fn recorded(&mut self) -> Checked<Path> {
        let path = self.record(&mut HashSet::new())?;
        self.finish(true)?;
        Ok(path)
    }

    /// Leads the victim to the point of its death, and sees what becomes of the others. True: somebody is left to the bound.
    fn kill(&mut self, path: &Path, kill: Kill) -> Checked<bool> {
        self.advance(path, kill)?;
        self.finish(false)
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then nobody may sleep on who
    /// need not, and all accounts must close. True: somebody is left to the bound on sleeps, as the plan says.
    fn finish(&mut self, survives: bool) -> Checked<bool> {
        self.sleepers_come()?;
        if let Some((Between::BeforeDeath, deed)) = self.plan.between {
            self.given += deed(&self.scene);
        }
        let Some(victim) = self.victim.take() else { return self.victim().map(|_| false) };
        let locks = self.scene.locks();
        self.remains.told = self.scene.told();
        self.remains.news =
            locks.map(|word| word.has_news() && word.is_free() || word.tid() == victim.pid() && !survives);
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
            self.given += deed(&self.scene);
        }
        if self.is_late() {
            return Err(too_late());
        }
        // From here on nothing depends on the time.
        (self.limit, self.turn) = (None, None);
        self.sleepers.unleash()?;
        self.aftermath()
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
        if let Some(victim) = self.victim.take() {
            system::kill_and_reap(victim.pid());
        }
        condvar::holder_dies(&self.scene);
        condvar::unlock(&self.scene);
    }
}

/// The way of a victim that is not killed, and that all is well then.
pub(in super::super) fn path(plan: &Plan) -> Checked<Path> {
    let path = || attempt(plan, |trial| trial.recorded());
    if cfg!(forq_long_sleeps) || plan.is_urgent() {
        return path();
    }
    // Stepping is slow: a bound may have passed that does not pass at full speed.
    again(|| {
        let path = path()?;
        Trial::new(plan)?.kill(&path, Kill::Before(path.addresses.len() - 1))?;
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
    let mut kills: Vec<Kill> = path.points.iter().map(|&point| Kill::Before(point)).collect();
    kills.extend(path.sleeps_at.iter().map(|&at| Kill::Inside(at)));
    for kill in kills.into_iter().skip(share.index).step_by(share.workers) {
        let result = attempt(plan, |trial| trial.kill(path, kill));
        let place = || {
            let (Kill::Before(at) | Kill::Inside(at)) = kill;
            format!("{kill:?} of {}, {}", tally.instructions, symbol::of(path.addresses[at]))
        };
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
