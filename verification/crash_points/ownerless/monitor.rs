//! What must hold of a condition variable and its mutex after the victim's death.

use super::super::failure::{Checked, Failure};
use super::super::system::WATCHDOG;
use super::condvar;
use super::plan::Bound;
use super::scene::{Kind, Outcome};
use super::sleepers::Sleepers;
use super::trial::Trial;

/// The library's bound on sleeps is that of users, and may be waited for.
const REAL_BOUND: bool = !cfg!(forq_long_sleeps);

impl Trial<'_> {
    /// Whoever was notified returns; the death of a holder is told once; then everything is as new. True: somebody who was
    /// notified is left to the bound on sleeps.
    pub(super) fn waiters_return(&mut self) -> Checked<bool> {
        self.remains.news[0] |= condvar::holder_dies(&self.scene) > 0;
        self.sleepers.settle()?;
        condvar::unlock(&self.scene);
        self.sleepers.settle()?;
        let left = if REAL_BOUND { self.bound_passes()? } else { self.bound_is_feigned()? };
        self.holder_is_heard()?;
        self.scene.condvar.notify_all();
        self.all_end("all were notified")?;
        if self.outcomes().iter().any(|&outcome| outcome != Outcome::Done(0)) {
            return Err(Failure::Account(format!("a waiter ended otherwise: {:?}", self.outcomes())));
        }
        let words = self.scene.words();
        if self.is_news((&words[24..32], self.scene.locks()[0].to_string())) {
            self.is_as_new()?;
        }
        self.is_whole()?;
        Ok(left)
    }

    fn slept_on(&self, why: &str) -> Failure {
        let (ended, all, count) = (self.sleepers.ended(), self.sleepers.len(), self.scene.count());
        Failure::SleptOn(format!("{why}, {ended} of {all} have gone; {count:?}"))
    }

    fn asleep(&self) -> i64 {
        (self.sleepers.len() - self.sleepers.ended()) as i64
    }

    fn arrived(&self) -> i64 {
        self.sleepers.len() as i64 + self.plan.dead as i64
    }

    /// How many returns were granted, as far as can be told, that nobody has taken. Those of the dead among them.
    pub(super) fn granted(&self) -> i64 {
        let count = self.scene.count();
        if self.plan.permits > 0 {
            return self.arrived() - count.waiting - self.sleepers.ended() as i64;
        }
        // Who waits as the victim does came in the first generation, and then nobody granted anything.
        match count.generation {
            0 => 0,
            1 if count.old > 0 => count.credits,
            _ => self.asleep(),
        }
    }

    /// The bound is long: who is left to it is made to look instead, so that everybody returns who was notified, unless
    /// that went to one who is dead. Whether there was any.
    fn bound_is_feigned(&mut self) -> Checked<bool> {
        self.sleep_on_condvar()?;
        let ended = self.sleepers.ended();
        self.scene.rouse();
        self.sleepers.settle()?;
        self.sleep_on_condvar()?;
        let is_to_dead = self.plan.permits > 0 && self.asleep() > 0 && self.granted() > 0;
        let was_left = self.sleepers.ended() > ended || is_to_dead;
        if was_left && self.plan.bound == Bound::Nothing {
            return Err(self.slept_on("notified"));
        }
        self.notifies_add_up()?;
        Ok(was_left)
    }

    /// Nobody sleeps on a free mutex.
    fn sleep_on_condvar(&self) -> Checked {
        let on_condvar = self.sleepers.asleep_on(self.scene.condvar_word()) as i64;
        if on_condvar == self.asleep() { Ok(()) } else { Err(self.slept_on("next to a free mutex")) }
    }

    /// A notify is done wholly or not at all, and goes to one waiter. Everybody is at rest, and has looked.
    fn notifies_add_up(&self) -> Checked {
        let (plan, count, ended) = (self.plan, self.scene.count(), self.sleepers.ended() as i64);
        let (arrived, asleep) = (self.arrived(), self.asleep());
        let closes = if plan.permits > 0 {
            let notified = arrived - count.waiting - self.given;
            notified == 0 || notified == plan.permits.min(arrived - self.given_before())
        } else {
            // So often the victim was counted; so many returns were not the sleepers'.
            let victim = count.waiting + self.given - asleep - ended;
            let taken = self.given - ended;
            // Where some of its generation are left, it is known whether it claimed.
            let claimed = count.old > 0 && taken - count.credits == 1;
            if claimed && plan.permits == -1 && self.left_before_return() {
                return Err(self.slept_on("a notify went with the dead"));
            }
            (0..=-plan.permits).contains(&victim) && (0..=victim).contains(&taken)
        };
        if closes {
            return Ok(());
        }
        Err(Failure::Account(format!(
            "{} returns given, {ended} of {arrived} have gone; {count:?}",
            self.given
        )))
    }

    /// The victim has gone through the section before its wait, and not through the one after it, and did not die with the
    /// mutex.
    fn left_before_return(&self) -> bool {
        let guard = self.scene.monitor.try_lock();
        let Some(value) = guard.as_ref().ok().map(|guard| **guard) else { return false };
        !self.remains.news[0] && value[0].wrapping_sub(self.scene.sections().into()) == 1
    }

    /// Returns given before the victim notified.
    fn given_before(&self) -> i64 {
        self.plan.turn.map_or(0, |_| 1)
    }

    /// Nobody needs help: within the bound who was notified returns, a death is told, and the next notify
    /// reaches somebody. Whether there was any who was left to it.
    fn bound_passes(&mut self) -> Checked<bool> {
        let ended = self.sleepers.ended();
        let left = self.granted().clamp(0, self.asleep()) as usize;
        if !self.sleepers.until(|sleepers| sleepers.ended() >= ended + left)? {
            return Err(self.slept_on("notified"));
        }
        let (scene, told) = (&self.scene, self.remains.told);
        let is_told = |sleepers: &mut Sleepers| sleepers.all_ended() || scene.told() > told;
        if self.remains.news[0] && !self.sleepers.until(is_told)? {
            return Err(self.slept_on("nobody is told of a death"));
        }
        self.sleepers.settle()?;
        let ended = self.sleepers.ended();
        self.scene.condvar.notify_one();
        if self.sleepers.until(|sleepers| sleepers.all_ended() || sleepers.ended() > ended)? {
            Ok(left > 0)
        } else {
            Err(self.slept_on("the next notify reaches nobody"))
        }
    }

    /// Whoever takes the mutex next is told of the holder's death, if nobody was before; and then nobody else.
    fn holder_is_heard(&mut self) -> Checked {
        for _ in 0..2 {
            if self.scene.section(self.scene.monitor.lock_timeout(WATCHDOG)).is_none() {
                return Err(Failure::SleptOn(format!("the mutex is {}", self.scene.locks()[0])));
            }
        }
        let told = self.scene.told() - self.remains.told;
        if told == u32::from(self.remains.news[0]) {
            return Ok(());
        }
        let news = self.remains.news[0];
        Err(Failure::Told(format!("{told} were told, and it was to be told: {news}")))
    }

    /// Nobody is counted, and one notify lets one return.
    fn is_as_new(&mut self) -> Checked {
        let mut fresh = Sleepers::default();
        for _ in 0..2 {
            fresh.come(&self.scene, Kind::Condvar, false)?;
        }
        if self.scene.condvar.waiters() != 2 || fresh.ended() > 0 {
            return Err(Failure::Account(format!("two fresh ones wait, and {:?}", self.scene.count())));
        }
        self.scene.condvar.notify_one();
        let some = fresh.until(|fresh| fresh.ended() > 0)?;
        fresh.settle()?;
        if !some || fresh.ended() != 1 {
            let text = format!("one of two fresh ones was notified, {} have gone", fresh.ended());
            return Err(if some { Failure::Account(text) } else { Failure::SleptOn(text) });
        }
        self.scene.condvar.notify_one();
        if !fresh.until(|fresh| fresh.all_ended())? {
            return Err(Failure::SleptOn("the other fresh one".into()));
        }
        if [0, 1].iter().any(|&index| self.scene.outcome(index) != Outcome::Done(0)) {
            return Err(Failure::Account("a fresh waiter ended otherwise".into()));
        }
        Ok(())
    }

    /// All have left the mutex free and the value whole.
    fn is_whole(&self) -> Checked {
        let Some(value) = self.scene.monitor.try_lock().ok().map(|guard| *guard) else {
            return Err(Failure::Account(format!("the mutex is {}", self.scene.locks()[0])));
        };
        // The victim goes through two sections, one that was to die through half of one.
        let others = value[0].wrapping_sub(self.scene.sections().into());
        if value[0] == value[1] && others <= 3 {
            Ok(())
        } else {
            Err(Failure::Account(format!("{value:?} after {} sections", self.scene.sections())))
        }
    }
}
