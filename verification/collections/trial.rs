//! One operation: recorded, then killed at each point.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::operations::Operation;
use super::path::Arrival;
use super::recorder::record;
use super::stage::{Contents, Stage};

#[derive(Default)]
pub(super) struct Tally {
    pub(super) instructions: usize,
    pub(super) kills: usize,
    pub(super) recoveries: usize,
    /// Of both: those that did not go the recorded way up to their end. They are checked like the others.
    pub(super) strays: usize,
    /// Of both: those that came there by single steps only.
    pub(super) stepped: usize,
    /// Recoveries that were not what they had been taken for, so that they were recorded once more.
    pub(super) corrected: usize,
    pub(super) failures: usize,
}

impl Tally {
    fn count(&mut self, arrival: Arrival) {
        self.strays += usize::from(arrival == Arrival::Elsewhere);
        self.stepped += usize::from(arrival == Arrival::StepByStep);
    }
}

/// Above what any check takes: the library's own bound on sleeps is 60 s in this build, so a death that is not told shows.
const WATCHDOG: u32 = 20;
/// After so many failures of an operation the rest is not tried.
const ENOUGH: usize = 3;

pub(super) fn run(operation: &Operation, stride: usize, from: usize) -> Tally {
    let stage = Stage::new(operation.size, operation.prepare);
    let before = stage.look().expect("it is whole");
    stage.restore();
    (operation.act)(&stage);
    let after = stage.look().expect("it is whole");
    stage.restore();
    let path = record(&stage, &operation.act, &|| stage.restore(), None);
    let mut model = None;
    let mut tally = Tally { instructions: path.len(), ..Tally::default() };
    for (number, &point) in path.points.iter().enumerate() {
        let goes_on = |tally: &mut Tally, result: Result<(), String>, kind: &str| {
            if let Err(why) = result {
                println!(
                    "FAILED {}: {kind} instruction {point} of {}: {why}",
                    operation.name, tally.instructions
                );
                tally.failures += 1;
            }
            tally.failures < ENOUGH
        };
        tally.kills += 1;
        tally.count(path.kill_at(&stage, &operation.act, &|| stage.restore(), point));
        let left = stage.copy();
        let result = check(&stage, &before, &after);
        if !goes_on(&mut tally, result, "killed before") {
            break;
        }
        if number % stride != from {
            continue;
        }
        // Whoever comes next is killed, too, and the next one finds what either left.
        let (next, restore) = (Stage::touch, || stage.restore_to(&left));
        let mut recovery = record(&stage, &next, &restore, model.as_ref());
        // Once it has recovered, nothing but locks changes; a reader's later points are as its earlier ones.
        let (most, step) = if stride == 1 { (usize::MAX, 1) } else { (100, 2) };
        let mut number = 0;
        while let Some(&second) = recovery.points.get(number).filter(|_| number < most) {
            let arrival = recovery.kill_at(&stage, &next, &restore, second);
            if recovery.is_guessed && arrival != Arrival::InFewMoves {
                recovery = record(&stage, &next, &restore, None);
                tally.corrected += 1;
                continue;
            }
            number += step;
            tally.recoveries += 1;
            tally.count(arrival);
            let result = check(&stage, &before, &after);
            if !goes_on(&mut tally, result, &format!("recovery killed before {second}, after a death before"))
            {
                break;
            }
        }
        model = Some(recovery);
    }
    tally
}

/// Whoever comes next finds one or the other, and can go on.
fn check(stage: &Stage, before: &Contents, after: &Contents) -> Result<(), String> {
    // SAFETY: no pointers.
    unsafe { libc::alarm(WATCHDOG) };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let found = stage.look().map_err(|error| format!("look: {error}"))?;
        if found != *before && found != *after {
            return Err(format!("neither before nor after: {found:?}"));
        }
        stage.manager.__check().map_err(|error| format!("the account: {error}"))?;
        let (dict, list) = (stage.dict(), stage.list());
        let works = || {
            dict.set(b"afterwards", b"x")?;
            dict.remove(b"afterwards")?;
            list.push(b"afterwards")?;
            list.pop()
        };
        match works() {
            Ok(_) | Err(forq::Error::OutOfSpace) => {}
            Err(error) => return Err(format!("afterwards: {error}")),
        }
        stage.manager.__check().map_err(|error| format!("the account afterwards: {error}"))
    }));
    // SAFETY: no pointers.
    unsafe { libc::alarm(0) };
    result.unwrap_or_else(|_| Err("a check failed".into()))
}
