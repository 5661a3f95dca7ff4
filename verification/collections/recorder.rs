//! Records the path of a victim, with the help of one that was recorded before.

use super::path::Path;
use super::stage::{Image, Stage};
use super::tracee::{Pace, RobustList, Tracee};
use super::victim::with_victim;

/// Shorter ways are stepped.
const WORTH_A_LEAP: usize = 4;

/// A path that is being recorded. Where it is that of `model`, the victim leaps to before the next instruction that changed anything there, and if nothing
/// has changed until then either, the way in between was the same. Else another victim goes there, by steps.
struct Recorder<'a> {
    stage: &'a Stage,
    path: Path,
    model: Option<&'a Path>,
    /// Where it is on the model's path.
    abreast: Option<usize>,
    /// Where it was there last.
    known: usize,
    /// Before which instruction of the model it does not leap, as that has failed.
    stepped: usize,
    image: Image,
    list: RobustList,
}

/// Runs `act` to its end. `restore` brings back what it is to find.
pub(super) fn record(stage: &Stage, act: &dyn Fn(&Stage), restore: &dyn Fn(), model: Option<&Path>) -> Path {
    let (image, list) = (stage.copy(), RobustList::default());
    let (path, abreast) = (Path::default(), None);
    let mut recorder = Recorder { stage, path, model, abreast, known: 0, stepped: 0, image, list };
    let mut is_over = false;
    while !is_over {
        restore();
        with_victim(stage, act, &mut |victim| is_over = recorder.go_on(victim));
    }
    recorder.path
}

impl Recorder<'_> {
    /// Goes on with a victim at its beginning. False: another one is needed.
    fn go_on(&mut self, victim: &Tracee) -> bool {
        let is_new = self.path.places.is_empty();
        if !is_new && !self.path.lead(victim, 0, self.path.len(), Pace::Free) {
            // Not even its own way is the same each time.
            (self.path, self.model, self.abreast) = (Path::default(), None, None);
            return false;
        }
        self.has_changed(victim);
        if is_new {
            self.path.points.push(0);
            self.arrive(victim);
        }
        while !self.path.places[self.path.len()].is_end() {
            match self.leap() {
                Some((from, to)) if self.takes(victim, from, to) => {}
                Some((_, to)) => {
                    self.stepped = to + 1;
                    return false;
                }
                None => {
                    let calls = self.path.places[self.path.len()].is_system_call();
                    victim.step();
                    self.arrive(victim);
                    if self.has_changed(victim) || calls {
                        self.path.points.push(self.path.len());
                    }
                }
            }
        }
        if self.path.points.last() != Some(&self.path.len()) {
            self.path.points.push(self.path.len());
        }
        true
    }

    /// Whether anything that outlives the victim is not what it was when this was last asked.
    fn has_changed(&mut self, victim: &Tracee) -> bool {
        let before = std::mem::replace(&mut self.list, victim.robust_list());
        self.stage.follow(&mut self.image) | (self.list != before)
    }

    /// Notes where the victim stands.
    fn arrive(&mut self, victim: &Tracee) {
        let place = victim.place();
        self.path.push(place);
        let Some(model) = self.model else { return };
        let next = self.abreast.map(|at| at + 1).filter(|&at| model.places.get(at) == Some(&place));
        self.abreast = next.or_else(|| model.find(place).filter(|&at| at >= self.known));
        self.known = self.abreast.unwrap_or(self.known);
    }

    /// From where on the model's path to where nothing is to change.
    fn leap(&self) -> Option<(usize, usize)> {
        let (model, from) = (self.model?, self.abreast.filter(|&at| at >= self.stepped)?);
        let next = *model.points[model.points.partition_point(|&point| point <= from)..].first()?;
        (next > from + WORTH_A_LEAP).then_some((from, next - 1))
    }

    /// Whether the victim comes there, without a change.
    fn takes(&mut self, victim: &Tracee, from: usize, to: usize) -> bool {
        let Some(model) = self.model.filter(|model| model.lead(victim, from, to, Pace::UpToCalls)) else {
            return false;
        };
        if self.has_changed(victim) {
            return false;
        }
        model.places[from + 1..=to].iter().for_each(|&place| self.path.push(place));
        (self.abreast, self.known) = (Some(to), to);
        self.path.is_guessed = true;
        true
    }
}
