//! What must hold after the victim's death.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use forq::Error;

use super::super::failure::{Checked, Failure};
use super::super::ledger::{FIRST_FRESH, FIRST_SLEEPER, HOST};
use super::super::ownerless::sleepers::Sleepers;
use super::image::Side;
use super::plan::Sequel;
use super::scene::{Outcome, Visit};
use super::trial::Trial;

fn account<T>(text: String) -> Checked<T> {
    Err(Failure::Account(text))
}

impl Trial<'_> {
    /// At most `hand` messages went with the victim.
    pub(super) fn aftermath(&mut self, hand: u64) -> Checked {
        if let Some(trouble) = self.scene.trouble.get() {
            return account(format!("before the death, {trouble}; {}", self.scene.image()));
        }
        self.sleepers.settle()?;
        self.nobody_sleeps_on("after the death")?;
        let news = self.is_news();
        let was_left = self.is_left();
        if self.plan.sequel == Sequel::Told && was_left && !self.scene.image().is_closed() {
            if self.plan.ahead.is_empty() { self.host_is_told()? } else { self.sleepers_are_told()? }
        }
        self.all_are_served(was_left)?;
        let drained_from = self.scene.ledger().got(HOST);
        let end = loop {
            if let Err(error) = self.scene.try_get(HOST) {
                break error;
            }
        };
        if (end == Error::Closed) != self.scene.image().is_closed() {
            return account(format!("drained, and then {end:?}; {}", self.scene.image()));
        }
        let (_, missing) = self.scene.ledger().close(drained_from)?;
        if missing > hand {
            return account(format!("{missing} messages are gone; {}", self.scene.image()));
        }
        if self.scene.image().messages() != 0 || self.scene.len() != 0 {
            return account(format!("drained, and not empty: {}", self.scene.image()));
        }
        if news {
            self.fresh_ones_use_it()?;
        }
        Ok(())
    }

    fn slept_on(&self, why: &str, when: &str) -> Failure {
        Failure::SleptOn(format!("{why}, {when}; {}", self.scene.image()))
    }

    /// Whether the victim's side has nobody since: it is dead, and was the last to use it; or it has left.
    fn is_left(&self) -> bool {
        let image = self.scene.image();
        image.owner(self.plan.side) == self.victim_pid() || image.is_left(self.plan.side)
    }

    /// Everybody is at rest, so whoever sleeps must have a reason.
    fn nobody_sleeps_on(&self, when: &str) -> Checked {
        let image = self.scene.image();
        let messages = image.messages();
        for (index, visit) in self.plan.ahead.iter().enumerate() {
            if self.sleepers.has_ended(index) {
                continue;
            }
            let (is_there, what) = match visit {
                Visit::Get => (messages > 0, "a consumer beside a message"),
                Visit::Put => (messages < self.plan.capacity, "a producer beside room"),
            };
            if is_there {
                return Err(self.slept_on(what, when));
            }
            if image.is_closed() {
                return Err(self.slept_on("one who was not told of the close", when));
            }
        }
        Ok(())
    }

    /// Those that sleep look again, as they do when their bound passes: they are told of the death.
    fn sleepers_are_told(&mut self) -> Checked {
        let word = self.scene.image().futex(self.plan.side);
        // SAFETY: the kernel uses the address as a key.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
        let side = self.plan.side;
        let those: Vec<usize> =
            (0..self.plan.ahead.len()).filter(|&index| self.plan.ahead[index].side() != side).collect();
        if !self.sleepers.until(|sleepers| those.iter().all(|&index| sleepers.has_ended(index)))? {
            return Err(self.slept_on("one that was to be told", "of the death"));
        }
        for index in those {
            match self.scene.outcome(FIRST_SLEEPER + index) {
                // The victim had moved first.
                Outcome::Done | Outcome::Told => {}
                other => return Err(Failure::Told(format!("a sleeper ended by {other:?}"))),
            }
        }
        Ok(())
    }

    /// The host waits for the victim's side when all that is left is used up.
    fn host_is_told(&mut self) -> Checked {
        let end = loop {
            let result = match self.plan.side {
                Side::Producer => self.scene.must_get(),
                Side::Consumer => self.scene.must_put(),
            };
            if let Err(error) = result {
                break error;
            }
        };
        if end == Error::Disconnected {
            return Ok(());
        }
        Err(Failure::Told(format!("the host waits and gets {end:?}; {}", self.scene.image())))
    }

    /// Each that sleeps is given what it came for, one after the other.
    fn all_are_served(&mut self, was_left: bool) -> Checked {
        for _ in 0..=2 * self.plan.capacity {
            let sleeping = (0..self.plan.ahead.len()).find(|&index| !self.sleepers.has_ended(index));
            let Some(index) = sleeping else { break };
            let given = match self.plan.ahead[index] {
                Visit::Get => self.scene.must_put(),
                Visit::Put => self.scene.must_get(),
            };
            // It may have been told of the death before.
            self.sleepers.settle()?;
            if let (Err(error), false) = (given, self.sleepers.has_ended(index)) {
                return Err(self.slept_on(&format!("the host, {error:?}"), "to serve a sleeper"));
            }
            self.nobody_sleeps_on("when one was served")?;
        }
        for (index, visit) in self.plan.ahead.iter().enumerate() {
            let outcome = self.scene.outcome(FIRST_SLEEPER + index);
            let is_told = was_left && visit.side() != self.plan.side;
            match outcome {
                Outcome::Done => {}
                Outcome::Closed if self.scene.image().is_closed() => {}
                Outcome::Told if is_told => {}
                _ => return account(format!("a sleeper ended by {outcome:?}; {}", self.scene.image())),
            }
        }
        Ok(())
    }

    /// Whether this worker sees this memory for the first time in this row: what fresh processes find depends on nothing else.
    fn is_news(&self) -> bool {
        static SEEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
        let mut state = DefaultHasher::new();
        (self.plan.operation, self.plan.context, self.summary()).hash(&mut state);
        let mut seen = SEEN.lock().expect("one thread");
        seen.get_or_insert_default().insert(state.finish())
    }

    /// The channel is empty, and as new; or closed.
    fn fresh_ones_use_it(&mut self) -> Checked {
        let mut fresh = Sleepers::default();
        if self.scene.image().is_closed() {
            self.fresh_one_comes(&mut fresh, Visit::Get)?;
            return self.is_closed_for(&mut fresh, 1);
        }
        // Twice around. Then nobody waits for one who is gone: the host, which lives, has used both sides.
        for _ in 0..2 * self.plan.capacity {
            self.host_uses_both()?;
        }
        self.fresh_one_comes(&mut fresh, Visit::Get)?;
        self.have_ended(&mut fresh, 0)?;
        self.must(self.scene.must_put())?;
        self.have_ended(&mut fresh, 1)?;
        self.host_uses_both()?;
        self.fresh_one_comes(&mut fresh, Visit::Put)?;
        self.have_ended(&mut fresh, 1)?;
        self.must(self.scene.must_get())?;
        self.have_ended(&mut fresh, 2)?;
        while self.scene.try_get(HOST).is_ok() {}
        self.host_uses_both()?;
        self.fresh_one_comes(&mut fresh, Visit::Get)?;
        self.have_ended(&mut fresh, 2)?;
        self.scene.close();
        self.is_closed_for(&mut fresh, 3)
    }

    fn host_uses_both(&self) -> Checked {
        self.must(self.scene.must_put())?;
        self.must(self.scene.must_get())
    }

    fn fresh_one_comes(&self, fresh: &mut Sleepers, visit: Visit) -> Checked {
        let (scene, who) = (&self.scene, FIRST_FRESH + fresh.len());
        fresh.come_for(false, || scene.visit(visit, who))
    }

    fn must(&self, result: Result<(), Error>) -> Checked {
        result.map_err(|error| self.slept_on(&format!("the host, {error:?}"), "among fresh ones"))
    }

    /// So many have ended, all of them well, and no more.
    fn have_ended(&self, fresh: &mut Sleepers, count: usize) -> Checked {
        fresh.settle()?;
        let all_well = (0..count).all(|index| self.scene.outcome(FIRST_FRESH + index) == Outcome::Done);
        if fresh.ended() < count {
            return Err(
                self.slept_on(&format!("{} of {count} fresh ones have ended", fresh.ended()), "at rest")
            );
        }
        if fresh.ended() > count || !all_well {
            return account(format!("{} fresh ones have ended, well: {all_well}", fresh.ended()));
        }
        Ok(())
    }

    /// The last of so many was told of the close, and so is everybody else.
    fn is_closed_for(&self, fresh: &mut Sleepers, count: usize) -> Checked {
        if !fresh.until(|fresh| fresh.all_ended())? {
            return Err(self.slept_on("a fresh one", "after the close"));
        }
        let told = self.scene.outcome(FIRST_FRESH + count - 1);
        let results = [self.scene.try_put(HOST), self.scene.try_get(HOST)];
        if told == Outcome::Closed && results == [Err(Error::Closed); 2] {
            return Ok(());
        }
        account(format!("closed, and one got {told:?}, the host {results:?}; {}", self.scene.image()))
    }
}
