//! One trial: a fresh queue, and who takes part.

use std::sync::atomic::Ordering;

use super::super::failure::Checked;
use super::super::journey::{self, Journey, fingerprint};
use super::super::ledger::FIRST_SLEEPER;
use super::super::ownerless::sleepers::Sleepers;
use super::super::path::Path;
use super::super::row::Tally;
use super::super::trap::trap;
use super::super::victim::Victim;
use super::image::Side;
use super::plan::{Between, Pace, Plan, When};
use super::scene::{Scene, Visit};

/// Everybody in one trial.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scene: Scene,
    pub(super) sleepers: Sleepers,
    victim: Victim,
    /// Of the sides, when it began.
    epochs: [u64; 2],
    /// Those that come late have come.
    came: bool,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let scene = Scene::new(plan.capacity);
        (plan.prepare)(&scene);
        let mut sleepers = Sleepers::default();
        come(plan, plan.ahead, &scene, &mut sleepers)?;
        let victim = Victim::start(|| {
            if !plan.first_use {
                scene.warm_up();
            }
            trap();
            let as_meant = (plan.act)(&scene);
            trap();
            i32::from(!as_meant)
        })?;
        let epochs = epochs(&scene);
        Ok(Self { plan, scene, sleepers, victim, epochs, came: plan.late.is_empty() })
    }

    fn late_ones_come(&mut self) -> Checked {
        if self.came {
            return Ok(());
        }
        self.came = true;
        come(self.plan, self.plan.late, &self.scene, &mut self.sleepers)
    }

    /// What each sleeper came for.
    pub(super) fn visits(&self) -> impl Iterator<Item = (usize, Visit)> + use<'a> {
        let plan = self.plan;
        plan.ahead.iter().chain(plan.late).copied().enumerate()
    }

    /// The queue's memory.
    pub(super) fn words(&self) -> Vec<u64> {
        self.scene.image().words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }
}

fn come(plan: &Plan, visits: &[Visit], scene: &Scene, sleepers: &mut Sleepers) -> Checked {
    sleepers.run_when_idle(false);
    for &visit in visits {
        let who = FIRST_SLEEPER + sleepers.len();
        sleepers.come_for(plan.pace == Pace::Leashed, || scene.visit(visit, who))?;
    }
    if plan.pace == Pace::Idle {
        sleepers.run_when_idle(true);
    }
    Ok(())
}

fn epochs(scene: &Scene) -> [u64; 2] {
    SIDES.map(|side| scene.image().epoch(side))
}

const SIDES: [Side; 2] = [Side::Producers, Side::Consumers];

impl Journey for Trial<'_> {
    fn victim(&self) -> &Victim {
        &self.victim
    }

    fn victim_mut(&mut self) -> &mut Victim {
        &mut self.victim
    }

    fn sleeps(&self) -> usize {
        self.plan.wakers.len()
    }

    /// Those that come when the victim holds a side.
    fn meanwhile(&mut self) -> Checked<bool> {
        let When::Holds(side) = self.plan.when else { return Ok(false) };
        let is_time = !self.came && self.scene.image().holder(side) == self.victim.pid();
        if is_time {
            self.late_ones_come()?;
        }
        Ok(is_time)
    }

    fn settle(&mut self) -> Checked {
        if self.plan.pace == Pace::Idle { Ok(()) } else { self.sleepers.settle() }
    }

    fn come_behind(&mut self) -> Checked {
        self.late_ones_come()
    }

    fn wake(&mut self) -> Checked {
        if self.plan.when == When::Asleep {
            self.late_ones_come()?;
        }
        if let Some(waker) = self.plan.wakers.get(self.victim.slept) {
            waker(&self.scene);
        }
        Ok(())
    }

    fn fate(&mut self, head: usize, address: usize) -> Checked<Option<u64>> {
        let victim = &self.victim;
        let pending = victim.tracee()?.robust_list(head)?[1];
        // A dead one has no registers: where it was matters only by what it had done, to memory and to the kernel.
        let place = if self.plan.is_every() { address } else { 0 };
        let rest = (place, victim.calls, self.sleepers.ended(), victim.slept, self.came);
        let progress = self.scene.ledger().progress();
        let parts = (self.words(), self.scene.distance(pending), pending == 0, rest, progress);
        Ok(Some(fingerprint(parts)))
    }

    fn is_as_meant(&self, path: &Path) -> bool {
        let now = epochs(&self.scene);
        let healed = SIDES.iter().zip(now).zip(self.epochs).filter(|&((_, now), then)| now != then);
        let healed = healed.map(|((&side, _), _)| side);
        path.sleeps_at.len() == self.sleeps() && self.came && healed.eq(self.plan.heals.iter().copied())
    }

    fn finish(&mut self, survives: bool) -> Checked {
        self.late_ones_come()?;
        if let Some((Between::BeforeDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        let lags = !survives && self.scene.image().lags(Side::Consumers);
        if survives {
            let scene = &self.scene;
            self.victim.survive(|| scene.image().to_string())?;
        } else {
            self.victim.kill()?;
        }
        if let Some((Between::AfterDeath, deed)) = self.plan.between {
            deed(&self.scene);
        }
        self.sleepers.run_when_idle(false);
        self.sleepers.unleash()?;
        self.aftermath(if survives { 0 } else { self.plan.hand }, lags)
    }
}

/// Runs a row. `fails` is told of each failure, and whether to go on.
pub(in super::super) fn run(plan: &Plan, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    journey::run((plan.operation, plan.context), false, || Trial::new(plan), fails)
}
