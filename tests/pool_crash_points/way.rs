//! How a process is brought to where it is to be killed: over the same way as one before it.

use super::path::Path;
use super::support::progress;
use super::tracee::{Tracee, every, first};

/// The way of a process to where it has done all that it was to do: recorded with the first, which is led there by steps.
pub(crate) struct Way {
    path: Option<Path>,
    by_steps: bool,
}

impl Way {
    /// Lets one execute so many instructions; how many they were, until it slept with all done.
    pub(crate) fn go(&mut self, tracee: &Tracee, count: usize, is_over: impl Fn() -> bool) -> usize {
        match &self.path {
            None => self.path.insert(Path::record(tracee, is_over)).len() - 1,
            Some(path) if !self.by_steps => path.lead(tracee, count, is_over),
            Some(_) => tracee.step_until(count, is_over),
        }
    }
}

/// Calls `trial` once for the whole way, then with instruction 0, n, 2n .. of it: it kills a process there, and looks at what came of it. It says
/// how many instructions that one had executed before: fewer if it had done all it had to.
pub(crate) fn at_each(stride: usize, least: usize, mut trial: impl FnMut(usize, &mut Way) -> usize) {
    let mut way = Way { path: None, by_steps: false };
    let total = trial(usize::MAX, &mut way);
    assert!(total > least, "that is not what was to be killed: {total} instructions");
    let (mut kills, mut strays) = (1, 0);
    for at in (first()..=total).step_by(every(stride)) {
        progress();
        kills += 1;
        if trial(at, &mut way) < at {
            strays += 1;
            way.by_steps = true;
            trial(at, &mut way);
            way.by_steps = false;
        }
    }
    println!("     {kills} kills in {total} instructions, {strays} of them by steps");
}
