//! One trial: a fresh channel, and who takes part.

use super::super::failure::Checked;
use super::super::journey::{self, Journey, fingerprint};
use super::super::ledger::FIRST_SLEEPER;
use super::super::ownerless::sleepers::Sleepers;
use super::super::row::Tally;
use super::super::trap::trap;
use super::super::victim::Victim;
use super::plan::{Between, Plan};
use super::scene::Scene;

/// Everybody in one trial.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scene: Scene,
    pub(super) sleepers: Sleepers,
    victim: Victim,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let scene = Scene::new(plan.kind, plan.capacity, plan.lap);
        (plan.prepare)(&scene);
        let victim = Victim::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            (plan.before)(&scene);
            trap();
            let as_meant = (plan.act)(&scene);
            trap();
            i32::from(!as_meant)
        })?;
        let mut sleepers = Sleepers::default();
        let is_leashed = matches!(plan.between, Some((Between::AfterDeath, _)));
        for &visit in plan.ahead {
            let who = FIRST_SLEEPER + sleepers.len();
            sleepers.come_for(is_leashed, || scene.visit(visit, who))?;
        }
        Ok(Self { plan, scene, sleepers, victim })
    }

    /// The victim's process id, also when it is gone.
    pub(super) fn victim_pid(&self) -> u32 {
        self.victim.pid() as u32
    }

    /// The channel's memory, the same in all trials.
    pub(super) fn summary(&self) -> Vec<u64> {
        let host = std::process::id();
        self.scene.image().summary(|pid| match pid {
            0 => 0,
            pid if pid == self.victim_pid() => 1,
            pid if pid == host => 2,
            _ => 3,
        })
    }
}

impl Journey for Trial<'_> {
    fn victim(&self) -> &Victim {
        &self.victim
    }

    fn victim_mut(&mut self) -> &mut Victim {
        &mut self.victim
    }

    fn sleeps(&self) -> usize {
        self.plan.waker.iter().len()
    }

    fn settle(&mut self) -> Checked {
        self.sleepers.settle()
    }

    fn wake(&mut self) -> Checked {
        if let Some(waker) = self.plan.waker {
            waker(&self.scene);
        }
        Ok(())
    }

    fn fate(&mut self, head: usize, address: usize) -> Checked<Option<u64>> {
        let victim = &self.victim;
        let pending = victim.tracee()?.robust_list(head)?[1];
        // A dead one has no registers: where it was matters only by what it had done, to memory and to the kernel.
        let place = if self.plan.is_every() { address } else { 0 };
        let rest = (place, victim.calls, self.sleepers.ended(), victim.slept);
        let progress = self.scene.ledger().progress();
        let parts = (self.summary(), self.scene.distance(pending), pending == 0, rest, progress);
        Ok(Some(fingerprint(parts)))
    }

    fn finish(&mut self, survives: bool) -> Checked {
        if let Some((Between::BeforeDeath | Between::Stopped, deed)) = self.plan.between {
            deed(&self.scene);
        }
        if survives {
            let scene = &self.scene;
            self.victim.survive(|| scene.image().to_string())?;
        } else {
            self.victim.kill()?;
        }
        if let Some((Between::AfterDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        self.sleepers.unleash()?;
        self.aftermath(if survives { 0 } else { self.plan.hand })
    }
}

/// Runs a row. `fails` is told of each failure, and whether to go on.
pub(in super::super) fn run(plan: &Plan, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    let goes_on = matches!(plan.between, Some((Between::Stopped, _)));
    journey::run((plan.operation, plan.context), goes_on, || Trial::new(plan), fails)
}
