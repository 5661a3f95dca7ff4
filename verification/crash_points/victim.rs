//! The process that is led through an operation, and killed on the way.

use super::failure::{Checked, Failure};
use super::system::{self, Change};
use super::tracee::Tracee;

/// A victim, and how far it is. It is killed when it is dropped.
pub(super) struct Victim {
    tracee: Option<Tracee>,
    pid: i32,
    /// Instructions that it has executed.
    pub(super) at: usize,
    /// System calls that it has made.
    pub(super) calls: usize,
    /// How often it has slept until it was woken.
    pub(super) slept: usize,
}

impl Victim {
    /// Forks it, and runs it to its first trap. What `body` returns is its exit status: 0 if all went as it must.
    pub(super) fn start(body: impl FnOnce() -> i32) -> Checked<Self> {
        let tracee = Tracee::start(body)?;
        let pid = tracee.pid();
        Ok(Self { tracee: Some(tracee), pid, at: 0, calls: 0, slept: 0 })
    }

    pub(super) fn tracee(&self) -> Checked<&Tracee> {
        self.tracee.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    /// Its process id, also when it is gone.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Kills it where it stands; when this returns the kernel has done what it does.
    pub(super) fn kill(&mut self) -> Checked {
        let gone = self.tracee.take().is_some_and(|tracee| system::kill_and_reap(tracee.pid()));
        if gone { Ok(()) } else { Err(Failure::Harness("the victim does not die".into())) }
    }

    /// Lets it go on from where it stands to its end. `on` says who sleeps on what should it not come there.
    pub(super) fn survive(&mut self, on: impl Fn() -> String) -> Checked {
        let tracee = self.tracee()?;
        let is_there = Tracee::is_at_trap(tracee.at()?) || tracee.comes_to_trap()?;
        if is_there {
            tracee.release()?;
        }
        match system::wait(self.pid) {
            Some(Change::Exited(0)) if is_there => self.tracee = None,
            None => return Err(Failure::SleptOn(format!("the victim; {}", on()))),
            Some(end) => {
                return Err(Failure::Account(format!("the victim, not killed, ended by {end:?}")));
            }
        }
        Ok(())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Some(tracee) = self.tracee.take() {
            system::kill_and_reap(tracee.pid());
        }
    }
}
