//! One row of the table: a kill at each point of an operation in a context.

use std::collections::HashSet;

use super::case::{Case, Kill};
use super::failure::{Checked, Failure};
use super::recording::{Event, Recording};
use super::scenario::Scenario;
use super::{symbol, system};

/// What a row came to, in one worker.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Instructions between the traps.
    pub(super) instructions: u64,
    pub(super) kills: u64,
    /// Points at which this context cannot be had.
    pub(super) inapplicable: u64,
    /// Kills that could not be done in time, however often they were tried.
    pub(super) missed: u64,
    pub(super) failures: u64,
    /// Kills after which somebody was left to the bound on sleeps, where that is to be so.
    pub(super) left: u64,
}

/// One of the workers that share out the points of each row.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) index: usize,
    pub(super) workers: usize,
}

/// After so many failures the rest of a row is not tried: each lost wake-up takes the watchdog's time.
const ENOUGH: u64 = 3;
/// A path may differ now and then (an interrupted system call; with the real bound, one that passed too early); it is tried
/// again.
const TRIES: usize = if cfg!(forq_long_sleeps) { 5 } else { 20 };

/// Runs the share of a row. `fails` is told of each failure, and whether to go on.
pub(super) fn run(scenario: &Scenario, share: Share, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    let mut row = Row { scenario, tally: Tally::default(), fails, over: false };
    let Some(recording) = row.recorded(|case| case.record(&mut HashSet::new())) else { return row.tally };
    row.tally.instructions = recording.len() as u64;
    if !scenario.operation.races {
        row.kill_all(&recording, share);
        return row.tally;
    }
    let mut seen = HashSet::new();
    let from = recording.timed_out.map_or(0, |call| call + 1);
    for race in (from..=recording.len()).skip(share.index).step_by(share.workers) {
        if row.over {
            break;
        }
        if let Some(recording) = row.recorded(|case| case.record_race(&recording, race, &mut seen)) {
            row.kill_all(&recording, Share { index: 0, workers: 1 });
        }
    }
    row.tally
}

struct Row<'a> {
    scenario: &'a Scenario,
    tally: Tally,
    fails: &'a mut dyn FnMut(&str) -> bool,
    over: bool,
}

impl Row<'_> {
    /// The path, with nobody killed; and whether all is well then.
    fn recorded(&mut self, mut record: impl FnMut(&mut Case) -> Checked<Recording>) -> Option<Recording> {
        let result = again(|| {
            let mut case = Case::new(self.scenario)?;
            let recording = record(&mut case)?;
            if case.applies(None) {
                case.finish(true)?;
            }
            Ok(recording)
        });
        result.map_err(|failure| self.failed("not killed", &failure)).ok()
    }

    fn kill_all(&mut self, recording: &Recording, share: Share) {
        let mut kills = Vec::new();
        for &point in &recording.points {
            kills.push(Kill::Before(point));
            if recording.events_at(point).any(|event| event == Event::VictimSleeps) {
                kills.push(Kill::Inside(point));
            }
        }
        for kill in kills.into_iter().skip(share.index).step_by(share.workers) {
            if self.over {
                return;
            }
            let result = again(|| {
                let mut case = Case::new(self.scenario)?;
                case.replay(recording, kill)?;
                let applies = case.applies(Some(kill));
                if applies {
                    case.finish(false)?;
                }
                Ok(applies)
            });
            match result {
                Ok(true) => self.tally.kills += 1,
                Ok(false) => self.tally.inapplicable += 1,
                Err(failure) => {
                    self.tally.kills += 1;
                    self.failed(&place(kill, recording), &failure);
                }
            }
        }
    }

    fn failed(&mut self, place: &str, failure: &Failure) {
        let Scenario { operation, context } = self.scenario;
        let text = format!("FAILED {} / {}: {place}: {failure}", operation.name, context.name);
        self.tally.failures += 1;
        self.over = !(self.fails)(&text) || self.tally.failures >= ENOUGH;
    }
}

/// A path that differs is tried again. Nobody may be left of an attempt; who is, is ended before the next.
pub(super) fn again<T>(mut attempt: impl FnMut() -> Checked<T>) -> Checked<T> {
    for round in 1.. {
        let result = attempt();
        let left = system::end_children();
        match result {
            Ok(_) if left > 0 => return Err(Failure::Account(format!("{left} processes are left"))),
            Err(Failure::OtherPath(_)) if round < TRIES => {}
            result => return result,
        }
    }
    unreachable!("the last round returns")
}

fn place(kill: Kill, recording: &Recording) -> String {
    let (how, index) = match kill {
        Kill::Before(index) => ("killed before instruction", index),
        Kill::Inside(index) => ("killed asleep in instruction", index),
    };
    let symbol = symbol::of(recording.address(index));
    format!("{how} {index} of {}, {symbol}", recording.len())
}
