//! A chunk in a worker's hands: what the loops that run its items see of it.

use core::ops::Range;

use super::control::{Fields, Shared};
use super::status::{FAILED, TaskStatus};
use super::word::{ItemWord, Turn};
use super::worker::leave;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::{clock, fork, thread};

/// Runs the items of a chunk: one function for C tasks, one for each Rust closure.
pub(crate) type Runner = unsafe fn(&mut Run<'_>);

/// A chunk that is being run.
pub(crate) struct Run<'a> {
    shared: &'a Shared,
    fields: &'a Fields,
    item: &'a AtomicU64,
    /// Where items have a time limit: the worker's turn, and when it began.
    timed: Option<(&'a AtomicU64, &'a AtomicU64)>,
    /// What every fork wipes: a task that forks and returns twice must not complete twice.
    forked: &'a AtomicU64,
    generation: u64,
    chunk: Range<usize>,
    /// The items that are still to be run.
    pub(super) range: Range<usize>,
    dirty: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        fields: &'a Fields,
        item: &'a AtomicU64,
        timed: Option<(&'a AtomicU64, &'a AtomicU64)>,
        chunk: Range<usize>,
        range: Range<usize>,
        dirty: bool,
    ) -> Self {
        let forked = thread::generation_word();
        let generation = forked.load(Ordering::Relaxed);
        Self { shared, fields, item, timed, forked, generation, chunk, range, dirty }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether items need not be announced: nobody has died in this chunk before, and items have no time limit.
    pub(super) fn may_run_twice(&self) -> bool {
        self.fields.pure && !self.dirty && self.timed.is_none()
    }

    #[cfg(feature = "capi")]
    pub(super) fn task(&self) -> usize {
        self.fields.task
    }

    /// Bytes of the context, of an input, of an output.
    #[cfg(feature = "capi")]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.fields.context_size, self.fields.input_size, self.fields.output_size]
    }

    pub(super) fn context(&self) -> *const u8 {
        self.shared.arena(self.fields.context)
    }

    /// How many values of a type the context is; of no size, none.
    pub(super) fn context_length<C>(&self) -> usize {
        self.fields.context_size.checked_div(size_of::<C>()).unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn input(&self, item: usize) -> *const u8 {
        self.shared.arena(self.fields.inputs).wrapping_add(item * self.fields.input_size)
    }

    #[inline(always)]
    pub(super) fn output(&self, item: usize) -> *mut u8 {
        self.shared.arena(self.fields.outputs).wrapping_add(item * self.fields.output_size)
    }

    /// How items are announced while none was other than OK and none has a time limit; see [`Plain`].
    #[inline(always)]
    pub(super) fn plain(&self) -> Option<Plain<'a>> {
        let plain = Plain { item: self.item, forked: self.forked, generation: self.generation };
        (!self.dirty && self.timed.is_none()).then_some(plain)
    }

    /// Says which item is run next: should its worker die, it is known which one did it.
    #[inline(always)]
    pub(super) fn begin(&self, item: usize) {
        // Release: who reads it finds all earlier outputs written.
        self.item.store(ItemWord::new(item as u64, true, self.dirty).0, Ordering::Release);
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
        if code != 0 || self.dirty {
            self.end_with_status(item, code);
        }
        if let Some((turn, _)) = self.timed {
            leave(turn);
        }
    }

    /// Keeps what an item said when it panicked.
    #[cfg(feature = "std")]
    #[cold]
    pub(super) fn note_panic(&self, item: usize, message: &super::status::PanicMessage) {
        self.stay_single();
        // SAFETY: the worker's intent names the job.
        unsafe { super::message::note(self.shared, self.fields, item, message) };
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
            if !self.dirty {
                self.shared.fill_ok(self.fields, self.chunk.clone());
            }
            self.shared.status(self.fields, item).write(status);
        }
        self.dirty = true;
    }
}

/// What [`Run::begin`] and [`Run::end`] come to in a chunk in which nothing has gone wrong: what is looked at for each item, in
/// the loop's registers. (Behind `&mut Run` it would be loaded anew for each: the stores in between could change it, for all the
/// compiler knows.)
#[derive(Clone, Copy)]
pub(super) struct Plain<'a> {
    item: &'a AtomicU64,
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
