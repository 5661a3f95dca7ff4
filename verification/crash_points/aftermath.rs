//! What the others do, and what must hold after the victim's death.

use super::case::{Case, Kill};
use super::failure::{Checked, Failure};
use super::participant::{self, Conduct, Participant};
use super::scenario::Barge;
use super::setting::Holder;
use super::stage::{LOCKS, Slot};
use super::system;

/// What the victim had done when it was stopped for the last time.
struct Remains {
    /// It had changed the value of each lock; nobody will say so.
    began: [u64; LOCKS],
    has_held: [bool; LOCKS],
    /// Dead waiters that stay announced on the first lock, and in which epoch.
    announced: u32,
    epoch: u32,
    /// It died with the first lock held.
    died_holding: bool,
}

impl Case<'_> {
    pub(super) fn sleepers_come(&mut self) -> Checked {
        self.sleepers.come(&self.stage, &self.scenario.context)
    }

    /// Those that were woken get the lock, repair if there is something to, and end; or sleep again.
    pub(super) fn sleepers_settle(&mut self) -> Checked {
        self.heed_repair();
        self.sleepers.settle(&self.stage, &mut self.news[0])
    }

    /// The holder unlocks and ends, or is killed, as it is made.
    pub(super) fn holder_leaves(&mut self) -> Checked {
        let died = match self.holder.take() {
            None => true,
            Some(Holder::Willing(mut holder)) => return holder.leaves(&self.stage),
            Some(Holder::Doomed(holder)) => {
                self.news[0] = true;
                self.earlier_deaths += 1;
                holder.dies()
            }
            Some(Holder::Stopped(tracee)) => system::kill_and_reap(tracee.pid()),
        };
        if died { Ok(()) } else { Err(Failure::Harness("the holder does not die".into())) }
    }

    /// Whether this context can be had at the point that the victim has reached.
    pub(super) fn applies(&self, kill: Option<Kill>) -> bool {
        let inside = matches!(kill, Some(Kill::Inside(_)));
        let free = self.stage.word(0).is_free();
        match self.scenario.context.barge {
            Some(Barge::BeforeDeath) => free && !inside,
            Some(Barge::InVain) => !free,
            Some(Barge::Second) => self.held() == [true, false] && self.stage.word(1).is_free() && !inside,
            Some(Barge::AfterDeath) | None => true,
        }
    }

    /// Kills the victim where it stands, or lets it go on to its end if `survives`; then everybody must
    /// get the lock, be told what there is to tell, and all accounts must close.
    pub(super) fn finish(&mut self, survives: bool) -> Checked {
        self.heed_repair();
        let began = self.began()?;
        let context = self.scenario.context;
        let mut barger = None;
        if context.barge == Some(Barge::BeforeDeath) {
            barger = Some(self.barger_comes(0)?);
        }
        if context.barge == Some(Barge::Second) {
            barger = Some(self.barger_comes(1)?);
        }
        let free = self.stage.word(0).is_free();
        if context.when.is_some() && !self.sleepers.came {
            match (free, context.barge) {
                (false, _) => self.sleepers_come()?,
                // While the victim stands.
                (true, None) => self.sleepers.pass_by(&self.stage, &mut self.news[0])?,
                (true, Some(_)) => {}
            }
        }
        if context.barge == Some(Barge::InVain) {
            participant::give_up(&self.stage)?;
        }
        let remains = self.end_victim(began, survives)?;
        self.holder_leaves()?;
        if context.barge == Some(Barge::AfterDeath) {
            barger = Some(self.barger_comes(0)?);
        }
        if let Some(mut barger) = barger {
            if !self.sleepers.came {
                self.sleepers_come()?;
            } else if context.barge != Some(Barge::Second) {
                self.sleepers.sleep_again(&self.stage)?;
            }
            barger.leaves(&self.stage)?;
        }
        self.sleepers.go(&self.stage, &mut self.news[0])?;
        participant::check(&self.stage, &self.news[..self.scenario.operation.locks])?;
        self.close_accounts(&remains)
    }

    /// How often the victim has changed each value, once at most.
    fn began(&self) -> Checked<[u64; LOCKS]> {
        let mut began = [0; LOCKS];
        for (lock, began) in began.iter_mut().enumerate() {
            let (value, sections) = (self.stage.value(lock), self.stage.sections(lock));
            *began = value[0].wrapping_sub(sections);
            let torn = value[0].wrapping_sub(value[1]);
            // Who is told and does not repair leaves the half change, and may add another.
            let halves = 1 + u64::from(self.news[lock]);
            if *began > u64::from(self.has_held()[lock]) || torn > halves {
                return Err(Failure::Account(format!("lock {lock}: {value:?} after {sections} sections")));
            }
        }
        Ok(began)
    }

    fn end_victim(&mut self, began: [u64; LOCKS], survives: bool) -> Checked<Remains> {
        let word = self.stage.word(0);
        let held = self.held();
        let remains = Remains {
            began,
            has_held: self.has_held(),
            announced: word.announced() - self.sleepers.counted(word.epoch()),
            epoch: word.epoch(),
            died_holding: held[0] && !survives,
        };
        if survives {
            self.release_victim()?;
        } else {
            self.kill_victim()?;
            for (news, held) in self.news.iter_mut().zip(held) {
                *news |= held;
            }
        }
        Ok(remains)
    }

    /// Another process takes a lock, which is free, and stays inside.
    fn barger_comes(&self, lock: usize) -> Checked<Participant> {
        let conduct = Conduct { stays: true, repairs: false };
        let barger = Participant::spawn(&self.stage, Slot::Barger, lock, conduct);
        barger.gets_lock(&self.stage, self.news[lock])?;
        Ok(barger)
    }

    fn close_accounts(&self, remains: &Remains) -> Checked {
        let stage = &self.stage;
        for lock in 0..LOCKS {
            let (value, began) = (stage.value(lock), remains.began[lock]);
            let sections = stage.sections(lock);
            if value != [sections + began; 2] {
                let text =
                    format!("lock {lock}: {value:?} after {sections} sections and {began} of the victim");
                return Err(Failure::Account(text));
            }
            // A holder counts itself soon after it has taken the lock, and then changes the value.
            let taken = stage.lock(lock).statistics().acquisitions;
            if taken < sections + began || taken > sections + u64::from(remains.has_held[lock]) {
                return Err(Failure::Account(format!(
                    "lock {lock}: taken {taken} times, {sections} sections"
                )));
            }
        }
        let word = stage.word(0);
        // Who has healed since has counted no dead.
        let announced = if word.epoch() == remains.epoch { remains.announced } else { 0 };
        if !word.is_at_rest(announced) {
            return Err(Failure::Word(word, announced));
        }
        if !stage.word(1).is_at_rest(0) {
            return Err(Failure::Word(stage.word(1), 0));
        }
        // A victim killed before it counted the death that it was told of leaves the count one short.
        let seen = stage.lock(0).statistics().holder_deaths;
        let deaths = self.earlier_deaths + u64::from(remains.died_holding);
        let uncounted = u64::from(remains.died_holding && self.earlier_deaths > 0);
        if seen > deaths || seen + uncounted < deaths {
            return Err(Failure::Account(format!("{seen} deaths counted of {deaths}")));
        }
        Ok(())
    }
}
