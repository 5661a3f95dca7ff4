//! The processes that sleep on the first lock, and what they do when they are woken.

use super::failure::{Checked, Failure};
use super::participant::{Conduct, Participant};
use super::scenario::Context;
use super::stage::{Outcome, Slot, Stage};
use super::system::{self, WATCHDOG, Watchdog};

/// One that sleeps, or was woken and is on a leash.
struct Sleeper {
    process: Participant,
    /// The epoch in which it was counted.
    epoch: u32,
}

/// All of them.
#[derive(Default)]
pub(super) struct Sleepers {
    asleep: Vec<Sleeper>,
    /// They have come, and perhaps gone.
    pub(super) came: bool,
}

const CONDUCT: Conduct = Conduct { stays: false, repairs: true };

impl Sleepers {
    /// They go to sleep on the first lock, which is held.
    pub(super) fn come(&mut self, stage: &Stage, context: &Context) -> Checked {
        self.came = true;
        let slots = [Slot::Sleeper, Slot::SecondSleeper, Slot::ThirdSleeper];
        for slot in slots.into_iter().take(context.sleepers) {
            let announced = stage.word(0).announced();
            let process = if context.barge.is_some() {
                Participant::spawn_leashed(stage, slot, 0, CONDUCT)?
            } else {
                Participant::spawn(stage, slot, 0, CONDUCT)
            };
            process.falls_asleep(stage)?;
            if stage.word(0).announced() != announced + 1 {
                return Err(Failure::Account(format!("a sleeper is not counted: {}", stage.word(0))));
            }
            self.asleep.push(Sleeper { process, epoch: stage.word(0).epoch() });
        }
        Ok(())
    }

    /// The one who would have slept finds the lock free, and passes by.
    pub(super) fn pass_by(&mut self, stage: &Stage, news: &mut bool) -> Checked {
        self.came = true;
        let mut process = Participant::spawn(stage, Slot::Sleeper, 0, CONDUCT);
        process.gets_lock(stage, std::mem::take(news))?;
        process.ends(stage)
    }

    /// How many of the waiters counted in this epoch are these.
    pub(super) fn counted(&self, epoch: u32) -> u32 {
        self.asleep.iter().map(|sleeper| u32::from(sleeper.epoch == epoch)).sum()
    }

    /// Whether there is one that goes its way as soon as it is woken.
    pub(super) fn any_is_loose(&self) -> bool {
        self.asleep.iter().any(|sleeper| !sleeper.process.is_leashed())
    }

    /// Whether one has been woken and is not held back.
    fn any_is_up(&self, stage: &Stage) -> bool {
        self.asleep.iter().any(|sleeper| !sleeper.process.is_leashed() && !sleeper.process.is_asleep(stage))
    }

    /// How many have not been woken.
    pub(super) fn asleep(&self, stage: &Stage) -> usize {
        self.asleep.iter().filter(|sleeper| sleeper.process.is_asleep(stage)).count()
    }

    /// Waits until all that have been woken and are not held back have had the lock, or sleep again
    /// because it is held. `news`: whether the next to take it must be told of a death; they repair.
    pub(super) fn settle(&mut self, stage: &Stage, news: &mut bool) -> Checked {
        self.pass_time(stage, news, |sleepers| Ok(!sleepers.any_is_up(stage)))
    }

    /// Waits until all have had the lock.
    pub(super) fn go(&mut self, stage: &Stage, news: &mut bool) -> Checked {
        self.pass_time(stage, news, |sleepers| {
            sleepers.unleash_woken(stage)?;
            Ok(sleepers.asleep.is_empty())
        })
    }

    /// The lock is held: those that were woken, and held back, find that they must sleep again.
    pub(super) fn sleep_again(&mut self, stage: &Stage) -> Checked {
        for sleeper in self.unleash_woken(stage)? {
            sleeper.process.falls_asleep(stage)?;
            sleeper.epoch = stage.word(0).epoch();
        }
        Ok(())
    }

    fn unleash_woken(&mut self, stage: &Stage) -> Checked<Vec<&mut Sleeper>> {
        let mut woken = Vec::new();
        for sleeper in &mut self.asleep {
            if sleeper.process.unleash_if_woken(stage)? {
                woken.push(sleeper);
            }
        }
        Ok(woken)
    }

    fn pass_time(
        &mut self,
        stage: &Stage,
        news: &mut bool,
        mut done: impl FnMut(&mut Self) -> Checked<bool>,
    ) -> Checked {
        let mut watchdog = Watchdog::new(WATCHDOG);
        loop {
            // Of several the one that was told came first, and repaired: whoever came later was not told,
            // and showed itself later.
            let came = |told: bool| {
                self.asleep.iter().position(|sleeper| match sleeper.process.outcome(stage) {
                    Some(outcome) => !told || outcome == Outcome::Told,
                    None => false,
                })
            };
            let any = came(false);
            if let Some(index) = any.and_then(|_| came(true)).or(any) {
                let mut process = self.asleep.remove(index).process;
                process.gets_lock(stage, std::mem::take(news))?;
                process.ends(stage)?;
                watchdog = Watchdog::new(WATCHDOG);
                continue;
            }
            if done(self)? {
                for sleeper in &mut self.asleep {
                    if !sleeper.process.is_leashed() {
                        sleeper.epoch = stage.word(0).epoch();
                    }
                }
                return Ok(());
            }
            if watchdog.patience().is_none() {
                return Err(Failure::LostWakeUp("a sleeper sleeps on", stage.word(0)));
            }
            system::breathe();
        }
    }
}
