//! What must hold after the victim's death.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use super::super::failure::{Checked, Failure};
use super::scene::{Kind, Outcome};
use super::sleepers::Sleepers;
use super::trial::Trial;

impl Trial<'_> {
    /// True: somebody is left to the bound on sleeps.
    pub(super) fn aftermath(&mut self) -> Checked<bool> {
        match self.plan.kind {
            Kind::Semaphore => self.permits_are_taken()?,
            Kind::Event => self.set_reaches_all()?,
            Kind::Barrier => self.round_ends()?,
            Kind::Condvar => return self.waiters_return(),
            Kind::Unowned => self.lock_is_handed_on()?,
            Kind::Circle => self.circles_are_told()?,
        }
        Ok(false)
    }

    /// All sleepers end; `why` they must.
    pub(super) fn all_end(&mut self, why: &str) -> Checked {
        if self.sleepers.until(|sleepers| sleepers.all_ended())? {
            return Ok(());
        }
        let (ended, all) = (self.sleepers.ended(), self.sleepers.len());
        let state = self.scene.words()[8 * self.plan.kind as usize];
        Err(Failure::SleptOn(format!("{why}, {ended} of {all} have gone; the state is {state:#018x}")))
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        (0..self.sleepers.len()).map(|index| self.scene.outcome(index)).collect()
    }

    /// Whether this worker sees these words for the first time in this row: what fresh processes find depends on nothing else.
    pub(super) fn is_news(&self, words: impl Hash) -> bool {
        static SEEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
        let mut state = DefaultHasher::new();
        (self.plan.operation, self.plan.context, words).hash(&mut state);
        let mut seen = SEEN.lock().expect("one thread");
        seen.get_or_insert_default().insert(state.finish())
    }

    /// A fresh process waits, and is woken.
    pub(super) fn one_more(&mut self, wake: impl FnOnce(&Self)) -> Checked {
        let mut fresh = Sleepers::default();
        fresh.come(&self.scene, self.plan.kind, false)?;
        if fresh.all_ended() {
            return Err(Failure::Account("a fresh process did not have to wait".into()));
        }
        wake(self);
        if fresh.until(|fresh| fresh.all_ended())? && self.scene.outcome(0) != Outcome::Failed {
            return Ok(());
        }
        Err(Failure::SleptOn("a fresh process".into()))
    }

    fn permits_are_taken(&mut self) -> Checked {
        let semaphore = &self.scene.semaphore;
        let done = self.sleepers.until(|sleepers| sleepers.all_ended() || semaphore.value() == 0)?;
        if !done {
            return Err(Failure::SleptOn(format!("next to {} permits", semaphore.value())));
        }
        self.sleepers.settle()?;
        let (value, taken) = (i64::from(self.scene.semaphore.value()), self.sleepers.ended() as i64);
        let victim = value + taken - self.given;
        if victim != 0 && victim != self.plan.permits {
            return Err(Failure::Account(format!(
                "{value} permits and {taken} taken of {}; the victim: {victim}",
                self.given
            )));
        }
        let rest = self.sleepers.len() - self.sleepers.ended();
        let given = self.scene.semaphore.release(rest as u32);
        given.map_err(|error| Failure::Account(format!("a release of {rest} failed: {error}")))?;
        self.all_end("each has a permit")?;
        if i64::from(self.scene.semaphore.value()) != value {
            return Err(Failure::Account(format!("{} permits, not {value}", self.scene.semaphore.value())));
        }
        while self.scene.semaphore.try_acquire().is_ok() {}
        self.one_more(|trial| trial.scene.semaphore.release(1).expect("room for one"))
    }

    fn set_reaches_all(&mut self) -> Checked {
        if !self.scene.was_set() {
            self.scene.event.set();
        }
        self.all_end("the event was set")?;
        self.scene.event.clear();
        self.one_more(|trial| trial.scene.event.set())
    }

    fn round_ends(&mut self) -> Checked {
        let barrier = &self.scene.barrier;
        // If only one is missing, it comes: a party that was killed while it waited has arrived.
        let completed = barrier.waiting() > 0 && barrier.try_wait().is_ok();
        if barrier.waiting() > 0 {
            barrier.reset();
        }
        self.all_end("the round has ended")?;
        let outcomes = self.outcomes();
        let mut numbers: Vec<u32> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Done(number) => Some(*number),
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let parties = self.plan.parties();
        let alike = numbers.len() == outcomes.len() && numbers.iter().all(|&number| number < parties)
            || !completed && outcomes.iter().all(|&outcome| outcome == Outcome::Broken);
        if !alike {
            return Err(Failure::Account(format!(
                "completed: {completed}, and the outcomes are {outcomes:?}"
            )));
        }
        self.scene.barrier.reset();
        if parties == 1 {
            return match self.scene.barrier.wait() {
                Ok(0) => Ok(()),
                other => Err(Failure::Account(format!("alone, a party gets {other:?}"))),
            };
        }
        let mut fresh = Sleepers::default();
        for _ in 1..parties {
            fresh.come(&self.scene, self.plan.kind, false)?;
        }
        match self.scene.barrier.try_wait() {
            Ok(number) if number == parties - 1 => {}
            other => return Err(Failure::Account(format!("the last of a fresh round gets {other:?}"))),
        }
        if fresh.until(|fresh| fresh.all_ended())? {
            Ok(())
        } else {
            Err(Failure::SleptOn("a fresh party".into()))
        }
    }
}
