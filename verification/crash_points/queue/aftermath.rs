//! What must hold after the victim's death.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use forq::Error;

use super::super::failure::{Checked, Failure};
use super::super::ledger::{FIRST_FRESH, FIRST_SLEEPER, HOST};
use super::super::ownerless::sleepers::Sleepers;
use super::image::Side;
use super::scene::{Outcome, Visit};
use super::trial::Trial;

fn account<T>(text: String) -> Checked<T> {
    Err(Failure::Account(text))
}

impl Trial<'_> {
    /// At most `hand` messages went with the victim; it `lags` if it had taken one and its side does not know.
    pub(super) fn aftermath(&mut self, hand: u64, lags: bool) -> Checked {
        self.sleepers.settle()?;
        self.nobody_sleeps_on("after the death")?;
        self.all_are_served()?;
        let drained_from = self.scene.ledger().got(HOST);
        while self.scene.try_get(HOST).is_ok() {}
        self.accounts_close(drained_from, hand, lags)?;
        if self.is_news() {
            self.fresh_ones_use_it()?;
        }
        Ok(())
    }

    fn slept_on(&self, why: &str, when: &str) -> Failure {
        Failure::SleptOn(format!("{why}, {when}; {}", self.scene.image()))
    }

    /// Everybody is at rest, so whoever sleeps must have a reason.
    fn nobody_sleeps_on(&self, when: &str) -> Checked {
        let image = self.scene.image();
        let messages = image.messages();
        if self.scene.queue.len() != messages {
            return account(format!("len is {}, and {messages} are there: {image}", self.scene.queue.len()));
        }
        if image.is_closed() && !image.is_told_closed() {
            return account(format!("closed and not told: {image}"));
        }
        let unfinished =
            self.scene.queue.statistics().put.wrapping_add(image.first()).wrapping_sub(image.done());
        for (index, visit) in self.visits() {
            if self.sleepers.has_ended(index) {
                continue;
            }
            let (is_there, side, what) = match visit {
                Visit::Get => (messages > 0, Some(Side::Consumers), "a consumer beside a message"),
                Visit::Put => {
                    (messages < self.plan.capacity, Some(Side::Producers), "a producer beside room")
                }
                Visit::Join => (unfinished & (u64::MAX >> 1) == 0, None, "one for whom all is done"),
            };
            if is_there {
                return Err(self.slept_on(what, when));
            }
            if side.is_some() && image.is_told_closed() {
                return Err(self.slept_on("one who was not told of the close", when));
            }
            if side.is_some_and(|side| image.holder(side) == 0) {
                return Err(self.slept_on("one beside a free side", when));
            }
        }
        Ok(())
    }

    /// Each that sleeps is given what it came for, one after the other.
    fn all_are_served(&mut self) -> Checked {
        loop {
            let Some((_, visit)) = self.visits().find(|&(index, _)| !self.sleepers.has_ended(index)) else {
                break;
            };
            let ended = self.sleepers.ended();
            let given = match visit {
                Visit::Get => self.scene.must_put(),
                Visit::Put => self.scene.must_get(),
                Visit::Join => {
                    while self.scene.queue.task_done().is_ok() {}
                    Ok(())
                }
            };
            if let Err(error) = given {
                return Err(self.slept_on(&format!("the host, {error:?}"), "to serve a sleeper"));
            }
            self.sleepers.settle()?;
            self.nobody_sleeps_on("when one was served")?;
            if self.sleepers.ended() == ended {
                return Err(self.slept_on("one that was served", "when it was"));
            }
        }
        for (index, visit) in self.visits() {
            let outcome = self.scene.outcome(FIRST_SLEEPER + index);
            let is_closed = self.scene.image().is_told_closed() && visit != Visit::Join;
            if outcome != Outcome::Done && !(outcome == Outcome::Closed && is_closed) {
                return account(format!("a sleeper ended by {outcome:?}; {}", self.scene.image()));
            }
        }
        Ok(())
    }

    fn accounts_close(&self, drained_from: usize, hand: u64, lags: bool) -> Checked {
        let (received, missing) = self.scene.ledger().close(drained_from)?;
        let (image, statistics) = (self.scene.image(), self.scene.queue.statistics());
        if missing > hand {
            return account(format!("{missing} messages are gone; {image}"));
        }
        let all = received + missing;
        // The position is put right by the next one that comes, who sees it.
        if [statistics.put, statistics.got, statistics.lost] != [all, all, u64::from(lags)] {
            return account(format!(
                "{received} received, {missing} gone, lags: {lags}, and {statistics:?}; {image}"
            ));
        }
        if image.messages() != 0 || !self.scene.queue.is_empty() {
            return account(format!("drained, and not empty: {image}"));
        }
        Ok(())
    }

    /// Whether this worker sees this memory for the first time in this row: what fresh processes find depends on nothing else.
    fn is_news(&self) -> bool {
        static SEEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
        let mut state = DefaultHasher::new();
        (self.plan.operation, self.plan.context, self.words()).hash(&mut state);
        let mut seen = SEEN.lock().expect("one thread");
        seen.get_or_insert_default().insert(state.finish())
    }

    /// The queue is empty, and as new; or closed.
    fn fresh_ones_use_it(&mut self) -> Checked {
        let mut fresh = Sleepers::default();
        if self.scene.image().is_told_closed() {
            self.fresh_one_comes(&mut fresh, Visit::Get)?;
            return self.is_closed_for(&mut fresh, 1);
        }
        self.fresh_one_comes(&mut fresh, Visit::Get)?;
        self.fresh_one_comes(&mut fresh, Visit::Get)?;
        for count in 0..2 {
            self.have_ended(&mut fresh, count)?;
            self.must(self.scene.must_put())?;
        }
        self.have_ended(&mut fresh, 2)?;
        self.scene.fill();
        self.fresh_one_comes(&mut fresh, Visit::Put)?;
        self.have_ended(&mut fresh, 2)?;
        self.must(self.scene.must_get())?;
        self.have_ended(&mut fresh, 3)?;
        while self.scene.try_get(HOST).is_ok() {}
        self.fresh_one_comes(&mut fresh, Visit::Get)?;
        self.have_ended(&mut fresh, 3)?;
        self.scene.queue.close();
        self.is_closed_for(&mut fresh, 4)
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
        if fresh.ended() < count {
            return Err(
                self.slept_on(&format!("{} of {count} fresh ones have ended", fresh.ended()), "at rest")
            );
        }
        let all_well = (0..count).all(|index| self.scene.outcome(FIRST_FRESH + index) == Outcome::Done);
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
        if told == Outcome::Closed && results == [Err(Error::Closed); 2] && self.scene.queue.is_closed() {
            return Ok(());
        }
        account(format!("closed, and one got {told:?}, the host {results:?}; {}", self.scene.image()))
    }
}
