//! What all trials have in common: a victim is led through its operation and killed on the way; then all must be well.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::failure::{Checked, Failure};
use super::path::{Kill, Path};
use super::row::{Tally, again};
use super::tracee::{self, Step, Tracee};
use super::victim::Victim;
use super::{symbol, system};

/// After so many failures the rest of a row is not tried: each lost wake-up takes the watchdog's time.
pub(super) const ENOUGH: u64 = 3;

/// A fresh stage, a victim, and whoever takes part. All are gone when it is dropped.
pub(super) trait Journey {
    fn victim(&self) -> &Victim;
    fn victim_mut(&mut self) -> &mut Victim;

    /// How often the victim is to sleep until it is woken.
    fn sleeps(&self) -> usize {
        0
    }

    /// Before each instruction of the victim: whoever is to come now comes. Whether anybody did.
    fn meanwhile(&mut self) -> Checked<bool> {
        Ok(false)
    }

    /// The victim is about to make a futex call.
    fn before_call(&mut self) -> Checked {
        Ok(())
    }

    /// The victim has made a futex call, and may have woken some.
    fn settle(&mut self) -> Checked {
        Ok(())
    }

    /// The victim sleeps, to be killed so: whoever comes behind it comes.
    fn come_behind(&mut self) -> Checked {
        Ok(())
    }

    /// The victim sleeps: something is done that must wake it.
    fn wake(&mut self) -> Checked {
        Ok(())
    }

    /// A fingerprint of all that the aftermath of a kill here can depend on. `None`: it is not worth one.
    /// `head`: where the victim's robust list begins.
    fn fate(&mut self, head: usize, address: usize) -> Checked<Option<u64>>;

    /// Whether a victim that was not killed went the way that is to be tested.
    fn is_as_meant(&self, path: &Path) -> bool {
        path.sleeps_at.len() == self.sleeps()
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then nobody may sleep on who
    /// need not, and all accounts must close.
    fn finish(&mut self, survives: bool) -> Checked;

    /// One instruction. False: the victim sleeps in it.
    fn step(&mut self, address: usize) -> Checked<bool> {
        let is_call = Tracee::is_system_call(address);
        let is_futex = is_call && self.victim().tracee()?.enters_futex()?;
        if is_futex {
            self.before_call()?;
        }
        let may_sleep = self.victim().slept < self.sleeps();
        let asleep = |pid| may_sleep && system::is_asleep_anywhere(pid);
        if self.victim().tracee()?.step(address, asleep)? == Step::Asleep {
            return Ok(false);
        }
        self.victim_mut().at += 1;
        self.victim_mut().calls += usize::from(is_call);
        if is_futex {
            self.settle()?;
        }
        Ok(true)
    }

    /// Wakes the victim, which sleeps.
    fn go_on(&mut self) -> Checked {
        self.wake()?;
        self.victim_mut().slept += 1;
        if !self.victim().tracee()?.awake()? {
            return Err(Failure::SleptOn("the victim itself".into()));
        }
        self.victim_mut().at += 1;
        self.victim_mut().calls += 1;
        self.settle()
    }

    /// Leads the victim to the end of its operation, and takes down the way.
    fn record(&mut self) -> Checked<Path> {
        let head = tracee::robust_head();
        let mut path = Path::default();
        let (mut before, mut seen) = (HashMap::new(), HashSet::new());
        loop {
            let (at, address) = (self.victim().at, self.victim().tracee()?.at()?);
            path.previous.push(before.insert(address, at));
            path.addresses.push(address);
            if self.meanwhile()? {
                path.calls.push(at);
            }
            if self.fate(head, address)?.is_some_and(|fate| seen.insert(fate)) {
                path.points.push(at);
            }
            if Tracee::is_at_trap(address) {
                break;
            }
            if Tracee::is_system_call(address) && self.victim().tracee()?.enters_futex()? {
                path.calls.push(at);
            }
            if !self.step(address)? {
                path.sleeps_at.push(at);
                self.go_on()?;
            }
        }
        if self.is_as_meant(&path) {
            Ok(path)
        } else {
            Err(Failure::OtherPath("the operation did not go the way that is to be tested".into()))
        }
    }

    /// Brings the victim to the point of its death.
    fn advance(&mut self, path: &Path, kill: Kill) -> Checked {
        let (Kill::Before(goal) | Kill::Inside(goal)) = kill;
        loop {
            let (at, address) = (self.victim().at, self.victim().tracee()?.at()?);
            if path.addresses.get(at) != Some(&address) {
                return Err(Failure::OtherPath(format!("instruction {at} is at {address:#x}")));
            }
            self.meanwhile()?;
            let arrived = at >= goal && !matches!(kill, Kill::Inside(_));
            if arrived || Tracee::is_at_trap(address) {
                return Ok(());
            }
            if let Some(anchor) = path.anchor(at, goal) {
                self.victim().tracee()?.run_to(path.addresses[anchor])?;
                self.victim_mut().at = anchor;
            } else if !self.step(address)? {
                if at >= goal {
                    return self.come_behind();
                }
                self.go_on()?;
            }
        }
    }
}

/// Runs a row: a fresh trial for each point. `survives`: the victim is stopped there, and goes on later. `fails` is told of each
/// failure, and whether to go on.
pub(super) fn run<T: Journey>(
    (operation, context): (&str, &str),
    survives: bool,
    fresh: impl Fn() -> Checked<T>,
    fails: &mut dyn FnMut(&str) -> bool,
) -> Tally {
    let mut tally = Tally::default();
    let name = |place: &str, failure: &Failure| format!("FAILED {operation} / {context}: {place}: {failure}");
    // The way of one that is not killed; all must be well then.
    let path = again(|| {
        let mut trial = fresh()?;
        let path = trial.record()?;
        trial.finish(true)?;
        Ok(path)
    });
    let path = match path {
        Ok(path) => path,
        Err(failure) => {
            fails(&name("not killed", &failure));
            return Tally { failures: 1, ..tally };
        }
    };
    tally.instructions = path.addresses.len() as u64 - 1;
    for kill in path.kills() {
        let result = again(|| {
            let mut trial = fresh()?;
            trial.advance(&path, kill)?;
            trial.finish(survives)
        });
        tally.kills += 1;
        if let Err(failure) = result {
            tally.failures += 1;
            let place = place(&path, kill);
            if !fails(&name(&place, &failure)) || tally.failures >= ENOUGH {
                break;
            }
        }
    }
    tally
}

/// A kill for a report.
pub(super) fn place(path: &Path, kill: Kill) -> String {
    let (Kill::Before(at) | Kill::Inside(at)) = kill;
    format!("{kill:?} of {}, {}", path.addresses.len() - 1, symbol::of(path.addresses[at]))
}

pub(super) fn fingerprint(parts: impl Hash) -> u64 {
    let mut state = DefaultHasher::new();
    parts.hash(&mut state);
    state.finish()
}
