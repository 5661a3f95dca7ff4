//! Processes that sleep on the object under test.

use super::super::failure::{Checked, Failure};
use super::super::system::{self, Change};
use super::super::tracee::Tracee;
use super::super::trap::trap;
use super::scene::{Kind, Scene};

/// One of them.
struct Sleeper {
    pid: i32,
    /// Stops it as soon as it is woken.
    leash: Option<Tracee>,
    /// On the leash: it was woken, and is stopped.
    woken: bool,
    ended: bool,
}

/// All of them. Killed when dropped.
#[derive(Default)]
pub(in super::super) struct Sleepers {
    all: Vec<Sleeper>,
    /// Those that are woken go on.
    free: bool,
}

impl Sleepers {
    /// One more comes, and sleeps, unless it does not have to.
    pub(super) fn come(&mut self, scene: &Scene, kind: Kind, leashed: bool) -> Checked {
        let index = self.all.len();
        self.come_for(leashed, || scene.visit(kind, index))
    }

    /// As [`Sleepers::come`], for anything that may make it sleep.
    pub(in super::super) fn come_for(&mut self, leashed: bool, visit: impl FnOnce() -> i32) -> Checked {
        let index = self.all.len();
        if leashed {
            let tracee = Tracee::start(|| {
                trap();
                visit()
            })?;
            self.all.push(Sleeper { pid: tracee.pid(), leash: Some(tracee), woken: false, ended: false });
            self.lead_to_sleep(index)
        } else {
            let pid = system::fork(visit);
            self.all.push(Sleeper { pid, leash: None, woken: false, ended: false });
            self.settle()
        }
    }

    /// From call to call, until one makes it sleep.
    fn lead_to_sleep(&mut self, index: usize) -> Checked {
        let sleeper = &mut self.all[index];
        while let Some(tracee) = &sleeper.leash {
            tracee.run_to_kernel()?;
            let change = system::poll(|| match system::look(sleeper.pid) {
                Some(change) => Some(Some(change)),
                None => system::is_asleep_anywhere(sleeper.pid).then_some(None),
            });
            match change {
                Some(None) => return Ok(()),
                Some(Some(Change::Stopped(libc::SIGTRAP))) => {}
                Some(Some(Change::Exited(0))) => {
                    sleeper.ended = true;
                    return Ok(());
                }
                other => return Err(Failure::Harness(format!("a sleeper on a leash: {other:?}"))),
            }
        }
        Ok(())
    }

    /// Notes who has ended or was stopped on its leash.
    fn look(&mut self) -> Checked {
        for sleeper in self.all.iter_mut().filter(|sleeper| !sleeper.ended) {
            match system::look(sleeper.pid) {
                None => {}
                Some(Change::Exited(0)) => sleeper.ended = true,
                Some(Change::Stopped(_)) if sleeper.leash.is_some() => sleeper.woken = true,
                Some(other) => return Err(Failure::Account(format!("a sleeper ended by {other:?}"))),
            }
            if sleeper.woken && self.free {
                sleeper.woken = false;
                sleeper.leash.take().map_or(Ok(()), |tracee| tracee.detach())?;
            }
        }
        Ok(())
    }

    /// Waits until each is asleep, has ended, or was woken on its leash.
    pub(in super::super) fn settle(&mut self) -> Checked {
        // Twice in a row: one that was at rest may have been woken by one that was looked at later.
        let mut before = None;
        let settled = self.until(|sleepers| {
            let mut rest = sleepers.all.iter().filter(|sleeper| !sleeper.ended && !sleeper.woken);
            let at_rest = rest.all(|sleeper| system::is_asleep_anywhere(sleeper.pid));
            let now = at_rest.then(|| sleepers.ended());
            now.is_some() && std::mem::replace(&mut before, now) == now
        })?;
        if settled { Ok(()) } else { Err(Failure::Harness("the sleepers do not come to rest".into())) }
    }

    /// Looks until something is so; false: the watchdog bit.
    pub(in super::super) fn until(&mut self, mut so: impl FnMut(&mut Self) -> bool) -> Checked<bool> {
        let result = system::poll(|| {
            if let Err(failure) = self.look() {
                return Some(Err(failure));
            }
            so(self).then_some(Ok(()))
        });
        result.map_or(Ok(false), |result| result.map(|()| true))
    }

    /// From now on those that are woken go on.
    pub(in super::super) fn unleash(&mut self) -> Checked {
        self.free = true;
        self.look()
    }

    /// The highest process id.
    pub(super) fn highest(&self) -> i32 {
        self.all.iter().map(|sleeper| sleeper.pid).max().unwrap_or(0)
    }

    /// Whether the so-manieth has ended.
    pub(in super::super) fn has_ended(&self, index: usize) -> bool {
        self.all.get(index).is_some_and(|sleeper| sleeper.ended)
    }

    /// Those that have not ended run only when their CPU has nothing else to do, or as usual again.
    pub(in super::super) fn run_when_idle(&self, idle: bool) {
        for sleeper in self.all.iter().filter(|sleeper| !sleeper.ended) {
            system::run_when_idle(sleeper.pid, idle);
        }
    }

    /// How many sleep on the word at this address.
    pub(super) fn asleep_on(&self, address: usize) -> usize {
        let rest = self.all.iter().filter(|sleeper| !sleeper.ended);
        rest.filter(|sleeper| system::is_asleep(sleeper.pid, address)).count()
    }

    pub(in super::super) fn ended(&self) -> usize {
        self.all.iter().filter(|sleeper| sleeper.ended).count()
    }

    pub(in super::super) fn all_ended(&self) -> bool {
        self.ended() == self.all.len()
    }

    pub(in super::super) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for sleeper in self.all.iter().filter(|sleeper| !sleeper.ended) {
            system::kill_and_reap(sleeper.pid);
        }
    }
}
