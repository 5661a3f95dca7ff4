//! A chunk in a worker's hands: what the loops that run its items see of it.

use core::ops::Range;

use super::control::{Fields, Shared};
use super::status::{FAILED, TaskStatus};
use super::word::{ItemWord, Turn};
use super::worker::leave;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::{clock, fork, thread};

/// Runs the items of a chunk: one function for C tasks, one for each Rust closure.
pub(crate) type Runner = unsafe fn(&mut Run<'_>);

/// What is left of a job's chunk must take so long, in nanoseconds, by what it took until now, and that must have been so long, for half of it
/// to be left to others.
const WORTH_SHARING: u64 = 50_000;
/// Items that take less, in nanoseconds, are not worth a look after each whether to share what is left.
const QUICK: u64 = 1000;
/// While items are quick there is a look before this part of what is left is done: should long ones follow, most of them are shared.
const LOOKS: usize = 16;

/// The job that a worker serves: its intent names it.
#[derive(Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) index: usize,
    pub(super) generation: u32,
    pub(super) fields: &'a Fields,
}

/// What a worker has claimed: a chunk, or a piece of one.
pub(super) struct Part {
    /// All its items; of those that it will run, none before `range` and none after.
    pub(super) items: Range<usize>,
    pub(super) range: Range<usize>,
    pub(super) dirty: bool,
    /// When it was claimed.
    pub(super) since: u64,
}

/// A chunk that is being run.
pub(crate) struct Run<'a> {
    shared: &'a Shared,
    job: Served<'a>,
    item: &'a AtomicU64,
    /// Whether nothing of the job is left to claim.
    all_claimed: &'a AtomicU32,
    /// Where items have a time limit: the worker's turn, and when it began.
    timed: Option<(&'a AtomicU64, &'a AtomicU64)>,
    /// What every fork wipes: a task that forks and returns twice must not complete twice.
    forked: &'a AtomicU64,
    generation: u64,
    part: Part,
    looks: Looks,
}

/// When a worker looks whether to [share](Run::share) what is left.
struct Looks {
    /// From this item on.
    next: usize,
    /// The last one: before which item, and when; and how many items later the next was to be.
    last: usize,
    at: u64,
    step: usize,
}

impl Looks {
    /// Plans the next look: after one item if they are long, after more and more if they are quick.
    fn plan(&mut self, item: usize, left: usize, now: u64) {
        let each = now.saturating_sub(self.at) / item.saturating_sub(self.last).max(1) as u64;
        self.step = if each < QUICK { (2 * self.step).min(left / LOOKS).max(1) } else { 1 };
        (self.last, self.at, self.next) = (item, now, item + self.step);
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        job: Served<'a>,
        item: &'a AtomicU64,
        timed: Option<(&'a AtomicU64, &'a AtomicU64)>,
        part: Part,
    ) -> Self {
        let forked = thread::generation_word();
        let generation = forked.load(Ordering::Relaxed);
        let all_claimed = &shared.job(job.index).all_claimed;
        let first = part.range.start;
        let looks = Looks { next: first, last: first, at: part.since, step: 1 };
        Self { shared, job, item, all_claimed, timed, forked, generation, part, looks }
    }

    /// What is left of what was claimed, when it has been run.
    pub(super) fn into_part(self) -> Part {
        self.part
    }

    /// The items that are to be run; fewer if some have been [left to others](Run::share).
    #[inline(always)]
    pub(super) fn range(&self) -> Range<usize> {
        self.part.range.clone()
    }

    /// Whether items need not be announced: nobody has died in this chunk before, and items have no time limit.
    pub(super) fn may_run_twice(&self) -> bool {
        self.job.fields.pure && !self.part.dirty && self.timed.is_none()
    }

    #[cfg(feature = "capi")]
    pub(super) fn task(&self) -> usize {
        self.job.fields.task
    }

    /// Bytes of the context, of an input, of an output.
    #[cfg(feature = "capi")]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.job.fields.context_size, self.job.fields.input_size, self.job.fields.output_size]
    }

    pub(super) fn context(&self) -> *const u8 {
        self.shared.arena(self.job.fields.context)
    }

    /// How many values of a type the context is; of no size, none.
    pub(super) fn context_length<C>(&self) -> usize {
        self.job.fields.context_size.checked_div(size_of::<C>()).unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn input(&self, item: usize) -> *const u8 {
        self.shared.arena(self.job.fields.inputs).wrapping_add(item * self.job.fields.input_size)
    }

    #[inline(always)]
    pub(super) fn output(&self, item: usize) -> *mut u8 {
        self.shared.arena(self.job.fields.outputs).wrapping_add(item * self.job.fields.output_size)
    }

    /// How items are announced while none was other than OK and none has a time limit; see [`Plain`].
    #[inline(always)]
    pub(super) fn plain(&self) -> Option<Plain<'a>> {
        let plain = Plain {
            item: self.item,
            all_claimed: self.all_claimed,
            forked: self.forked,
            generation: self.generation,
        };
        (!self.part.dirty && self.timed.is_none()).then_some(plain)
    }

    /// Says which item is run next: should its worker die, it is known which one did it.
    #[inline(always)]
    pub(super) fn begin(&self, item: usize) {
        // Release: who reads it finds all earlier outputs written.
        self.item.store(ItemWord::new(item as u64, true, self.part.dirty).0, Ordering::Release);
        if let Some((turn, began)) = self.timed {
            began.store(clock::now(), Ordering::Relaxed);
            // Release: who sees that it runs sees since when.
            turn.store(Turn(turn.load(Ordering::Relaxed)).next().0, Ordering::Release);
        }
    }

    /// Takes note of what an item's function returned.
    #[inline(always)]
    pub(super) fn end(&mut self, item: usize, code: i32) {
        self.stay_single();
        if code != 0 || self.part.dirty {
            self.end_with_status(item, code);
        }
        if let Some((turn, _)) = self.timed {
            leave(turn);
        }
    }

    /// Whether to [share](Run::share) what is left from item `next` on.
    #[inline(always)]
    pub(super) fn is_to_share(&self, next: usize) -> bool {
        // Relaxed: only a hint.
        self.all_claimed.load(Ordering::Relaxed) != 0 && next >= self.next_look()
    }

    /// Before which item it is time to look at that.
    #[inline(always)]
    pub(super) fn next_look(&self) -> usize {
        self.looks.next
    }

    /// Leaves half of what is left from item `next` on to a worker that has nothing to do, if there is one, and if by what the items took
    /// until now that is worth it. The items from there on are no longer this worker's: see [`Run::range`].
    #[cold]
    pub(super) fn share(&mut self, next: usize) {
        let part = &mut self.part;
        let left = part.items.end - next;
        if left < 2 {
            return;
        }
        let now = clock::now();
        self.looks.plan(next, left, now);
        if !self.shared.has_idle_worker() {
            return;
        }
        let taken = now.saturating_sub(part.since);
        let done = next.saturating_sub(part.range.start).max(1);
        if taken < WORTH_SHARING || taken.saturating_mul(left as u64) / (done as u64) < WORTH_SHARING {
            return;
        }
        let at = part.items.end - left / 2;
        let Served { index, generation, fields } = self.job;
        // SAFETY: the worker's intent names the job; it has the part in hand, and stands before that item.
        if unsafe { self.shared.cut_off(index, generation, fields, at, part.dirty) } {
            part.items.end = at;
            part.range.end = part.range.end.min(at);
        }
    }

    /// Keeps what an item said when it panicked.
    #[cfg(feature = "std")]
    #[cold]
    pub(super) fn note_panic(&self, item: usize, message: &super::status::PanicMessage) {
        self.stay_single();
        // SAFETY: the worker's intent names the job.
        unsafe { super::message::note(self.shared, self.job.fields, item, message) };
    }

    /// What [`Run::end`] does for an item that was begun by [`Plain::begin`] and is not OK. From then on there is no `Plain`.
    #[cold]
    pub(super) fn end_failed(&mut self, item: usize, code: i32) {
        self.end_with_status(item, code);
    }

    /// A task that forked and returned twice ends its copy here.
    #[inline(always)]
    pub(super) fn stay_single(&self) {
        if self.forked.load(Ordering::Relaxed) != self.generation {
            leave_forked_child();
        }
    }

    fn end_with_status(&mut self, item: usize, code: i32) {
        let status = if code == 0 { TaskStatus::OK } else { TaskStatus { kind: FAILED, code } };
        // SAFETY: the chunk is this worker's.
        unsafe {
            if !self.part.dirty {
                self.shared.fill_ok(self.job.fields, self.part.items.clone());
            }
            self.shared.status(self.job.fields, item).write(status);
        }
        self.part.dirty = true;
    }
}

/// What [`Run::begin`] and [`Run::end`] come to in a chunk in which nothing has gone wrong: what is looked at for each item, in
/// the loop's registers. (Behind `&mut Run` it would be loaded anew for each: the stores in between could change it, for all the
/// compiler knows.)
#[derive(Clone, Copy)]
pub(super) struct Plain<'a> {
    item: &'a AtomicU64,
    all_claimed: &'a AtomicU32,
    forked: &'a AtomicU64,
    generation: u64,
}

impl Plain<'_> {
    #[inline(always)]
    pub(super) fn begin(self, item: usize) {
        // Release: who reads it finds all earlier outputs written.
        self.item.store(ItemWord::new(item as u64, true, false).0, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn is_all_claimed(self) -> bool {
        self.all_claimed.load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    pub(super) fn stay_single(self) {
        if self.forked.load(Ordering::Relaxed) != self.generation {
            leave_forked_child();
        }
    }
}

#[cold]
fn leave_forked_child() -> ! {
    fork::exit_now(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks there are in so many items of so many nanoseconds; after each, how long it is to the next.
    fn looks(count: usize, each: u64) -> Vec<usize> {
        let mut looks = Looks { next: 0, last: 0, at: 0, step: 1 };
        let mut steps = Vec::new();
        for item in (1..count).filter(|&item| count - item >= 2) {
            if item >= looks.next {
                looks.plan(item, count - item, item as u64 * each);
                steps.push(looks.step);
            }
        }
        steps
    }

    #[test]
    fn after_quick_items_there_are_few_looks_and_after_long_ones_one_each() {
        assert_eq!(looks(1000, QUICK), [1; 998]);
        assert!(looks(1_000_000, 1).len() < 300);
        // Long ones that follow are found before much of what was left is done.
        let mut looks = Looks { next: 0, last: 0, at: 0, step: 1 };
        while looks.next < 900_000 {
            let item = looks.next.max(1);
            let left = 1_000_000 - item;
            looks.plan(item, left, item as u64);
            assert!(looks.step <= left / LOOKS);
        }
        let item = looks.next;
        looks.plan(item, 1_000_000 - item, looks.at + QUICK * looks.step as u64);
        assert_eq!(looks.step, 1);
    }
}
