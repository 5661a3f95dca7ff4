//! The way that a victim goes from one trap to the other, on which others follow it in few moves.

use std::collections::HashMap;

use super::stage::Stage;
use super::tracee::{Pace, Place, Tracee};
use super::victim::with_victim;

/// What a victim executes, and where a death leaves what no earlier one does.
#[derive(Default)]
pub(super) struct Path {
    pub(super) places: Vec<Place>,
    /// For each instruction, after which one the victim does not come by it before.
    earliest: Vec<usize>,
    /// Where each instruction comes last.
    last: HashMap<usize, usize>,
    /// Before which instructions anything that outlives the victim is not what it was before the one before; the kernel may have changed what it keeps.
    pub(super) points: Vec<usize>,
    /// Whether some of it was taken for what an earlier one is.
    pub(super) is_guessed: bool,
}

/// How a victim came to the instruction before which it was killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    InFewMoves,
    StepByStep,
    /// It took another way, and was killed after as many steps, or at its end.
    Elsewhere,
}

impl Path {
    pub(super) fn push(&mut self, place: Place) {
        let before = self.last.insert(place.instruction, self.places.len());
        self.earliest.push(before.map_or(0, |at| at + 1));
        self.places.push(place);
    }

    /// Instructions between the traps.
    pub(super) fn len(&self) -> usize {
        self.places.len() - 1
    }

    /// Where this is, if its instruction comes only once.
    pub(super) fn find(&self, place: Place) -> Option<usize> {
        let &at = self.last.get(&place.instruction)?;
        (self.places[at] == place && self.earliest[at] == 0).then_some(at)
    }

    /// Runs `act` up to an instruction, and kills it there; `restore` brings back what `act` is to find. A path may differ: whoever unlocks after
    /// a death wakes nobody, and looks at the clock how long that has been so. So it is tried again, at last by steps.
    pub(super) fn kill_at(
        &self,
        stage: &Stage,
        act: &dyn Fn(&Stage),
        restore: &dyn Fn(),
        point: usize,
    ) -> Arrival {
        let attempt = |goes: &dyn Fn(&Tracee) -> bool| {
            restore();
            let mut has_come = false;
            with_victim(stage, act, &mut |victim| has_come = goes(victim));
            has_come
        };
        if (0..3).any(|_| attempt(&|victim| self.lead(victim, 0, point, Pace::Free))) {
            return Arrival::InFewMoves;
        }
        if !self.is_guessed && (0..3).any(|_| attempt(&|victim| self.step_to(victim, point))) {
            return Arrival::StepByStep;
        }
        Arrival::Elsewhere
    }

    /// Leads a victim from one instruction to a later one, in as few moves as possible: a move is a step, or goes to a breakpoint, as far as there is one
    /// that it comes by for the first time. False: it took another way.
    pub(super) fn lead(&self, victim: &Tracee, from: usize, to: usize, pace: Pace) -> bool {
        let mut at = from;
        while at < to {
            let farthest = (at + 2..=to).rev().find(|&next| self.earliest[next] <= at);
            at = if let Some(next) = farthest {
                if !victim.run_to(self.places[next].instruction, pace) {
                    return false;
                }
                next
            } else {
                victim.step();
                at + 1
            };
            if victim.place() != self.places[at] {
                return false;
            }
        }
        true
    }

    fn step_to(&self, victim: &Tracee, point: usize) -> bool {
        let mut place = victim.place();
        for _ in 0..point {
            if place.is_end() {
                return false;
            }
            victim.step();
            place = victim.place();
        }
        place == self.places[point]
    }
}
