//! One side of a queue: the lock that its producers, or its consumers, take turns by, and where they are.
//!
//! Never does code of the user's run while a side is held, so it is not linked into the robust list: the pending entry
//! alone names it, from before it is taken until after whoever must be was woken. (One store, instead of the five that a linked
//! lock takes.)

use super::patience::Lesson;
use super::state::{Announced, Number, State};
use crate::error::{Error, Result};
use crate::sync::pace::Pace;
use crate::sync::state::FUTEX_BYTE;
use crate::sync::useless::Useless;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, modelled};
use crate::sys::clock::{self, Deadline};
use crate::sys::futex;
use crate::sys::proc;
use crate::sys::thread::Thread;

/// 128 bytes: a hot line, and a cold one that only those who wait touch.
///
/// Valid when all bytes are zero, and whatever they are. Who holds the side writes the fields marked (holder) plainly.
#[repr(C, align(64))]
pub(super) struct Side {
    state: AtomicU64,
    /// (holder) Lap and index of the slot that is next: see [`Position`](super::slot::Position).
    pub(super) position: AtomicU64,
    /// (holder) The state at rest, as far as is known: what the short paths compare with.
    rest: AtomicU64,
    /// (holder) How often the lap has passed 2^31, or one less.
    pub(super) high: AtomicU32,
    /// What waiters have learnt, for the next: see [`Pace`].
    pub(super) hot: AtomicU32,
    /// (holder) What its leaders have learnt.
    pub(super) lesson: Lesson,
    _hot: [u32; 7],

    /// Changed before the other side's leader is woken, which sleeps while it stays.
    pub(super) bell: AtomicU32,
    /// Waits of the other side's leaders.
    events: AtomicU32,
    /// (holder) How many wake calls in a row woke nobody, and since when.
    useless_wakes: AtomicU32,
    _unused: u32,
    /// Calls that had to wait for the other side.
    pub(super) waits: AtomicU64,
    /// (holder) Messages that were taken out by who died before its call returned.
    pub(super) lost: AtomicU64,
    _cold: [u64; 4],
}
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Side>(), 128);

/// One call's wait for a side.
pub(super) struct Wait {
    pub(super) deadline: Deadline,
    pub(super) pace: Pace,
    pub(super) announced: Option<Announced>,
    pub(super) sleeps: u32,
    ticks: u32,
}

impl Wait {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self { deadline, pace: Pace::new(), announced: None, sleeps: 0, ticks: 0 }
    }

    /// Counts what was done without a sleep, which would end with the deadline: where a stranger writes into the queue all the time, there
    /// might be no sleep.
    pub(super) fn tick(&mut self) -> Result<()> {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks % 1024 == 0 && !self.deadline.is_now() && self.deadline.has_passed() {
            return Err(Error::TimedOut);
        }
        Ok(())
    }
}

impl Side {
    #[inline(always)]
    pub(super) fn load(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    /// As [`Side::load`], seeing all that happened before the last release.
    pub(super) fn load_acquire(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    pub(super) fn futex(&self) -> *const u32 {
        modelled::futex(&self.state, FUTEX_BYTE)
    }

    /// Replaces one state by another. Acquire and Release pair with each other: whoever takes the side sees what was done under it, and
    /// a leader of the other side that leaves its mark after a release sees what that release published.
    pub(super) fn change(&self, from: State, to: State) -> core::result::Result<(), State> {
        self.state
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
            .map_err(State)
    }

    /// Tells the kernel that this side is about to change hands; until [`Thread::clear_pending`].
    #[inline(always)]
    pub(super) fn begin(&self, thread: &Thread) {
        if cfg!(forq_fault = "no_pending") {
            return;
        }
        // SAFETY: the side stays mapped while it is borrowed; its futex word holds only thread ids.
        unsafe { thread.set_pending_word(self.futex()) };
    }

    /// Takes it if it is free and nobody waits for anything.
    #[inline(always)]
    pub(super) fn take_at_rest(&self, thread: &Thread) -> bool {
        let rest = State::at_rest(self.rest.load(Ordering::Relaxed)).0;
        let held = rest | State::held_by(thread.tid());
        // Acquire pairs with the Release of a release. The kernel's own change at a death is ordered by the kernel.
        self.state.compare_exchange(rest, held, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Releases it if nobody waits for anything. The pending entry is then cleared.
    #[inline(always)]
    pub(super) fn leave_at_rest(&self, thread: &Thread) -> bool {
        let rest = State::at_rest(self.rest.load(Ordering::Relaxed)).0;
        let held = rest | State::held_by(thread.tid());
        let left = self.state.compare_exchange(held, rest, Ordering::Release, Ordering::Relaxed).is_ok();
        if left {
            thread.clear_pending();
        }
        left
    }

    pub(super) fn is_held_by(&self, thread: &Thread) -> bool {
        self.load().owner() == State::held_by(thread.tid())
    }

    /// Turns that have passed, as far as a waiter is interested.
    pub(super) fn turns(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Releases it and wakes whom there is. Only by the holder, with its pending entry set, which stays. Whether the other side's
    /// leader has heard, if it had to be woken.
    ///
    /// The bell is changed before the release and rung after it, so that there is no instruction at which a death leaves the
    /// other side's leader asleep: before the release the kernel marks this word, on which that leader sleeps too, and wakes one there; after
    /// it the bell has changed, for who is not asleep yet, and the kernel wakes one for the pending entry.
    #[cold]
    #[inline(never)]
    pub(super) fn release(&self) -> bool {
        self.heal_if_useless();
        let mut rung = None;
        let before = loop {
            let state = self.load();
            if state.event().is_some() && rung != state.event() {
                self.change_bell();
                rung = state.event();
            }
            if self.change(state, state.released()).is_ok() {
                break state;
            }
        };
        let leaders = rung.map(|number| self.ring(number));
        if before.has_announced() {
            self.wake_follower(leaders.map_or(0, |woken| woken.max(1)));
        }
        leaders != Some(0)
    }

    fn change_bell(&self) {
        self.bell.fetch_add(1, Ordering::Relaxed);
    }

    /// Wakes the other side's leader, whose wait that is, and those who were that and have lost their side: the bell has been changed. How
    /// many: none that is stopped.
    ///
    /// All of them, because a wake-up for one might go to a former leader, or to one that is awake and has not left the bell's queue yet.
    fn ring(&self, number: Number) -> usize {
        let mut woken = futex::wake(&raw const self.bell as *const u32, i32::MAX);
        if woken == 0 {
            // It is awake, or about to sleep and will see the bell; or it could not sleep on several words; or it is stopped.
            woken = futex::wake_among(self.futex(), i32::MAX, LEADER);
        }
        self.clear_event(number);
        woken
    }

    /// Wakes the other side's leader, if it may sleep, while this side is held; or before another takes its place. Whether it has heard, if it
    /// had to be woken.
    pub(super) fn ring_if_awaited(&self) -> bool {
        let Some(number) = self.load().event() else { return true };
        self.change_bell();
        self.ring(number) > 0
    }

    /// Wakes one of this side's followers, who finds something to do, in the place of a leader that has not heard: it may be stopped, and is
    /// not among the kernel's sleepers then.
    pub(super) fn relieve(&self) {
        let state = self.load();
        if state.is_asleep() && state.has_announced() {
            futex::wake(self.futex(), 1);
        }
    }

    /// One more for each leader of the other side that may be among those who sleep on this word, and is woken instead.
    fn wake_follower(&self, leaders: usize) {
        let useless = Useless(self.useless_wakes.load(Ordering::Relaxed));
        let count = i32::try_from(leaders).unwrap_or(i32::MAX).saturating_add(1);
        let woken = futex::wake(self.futex(), count);
        let next = if woken > 0 { Useless::NONE } else { useless.one_more(clock::now()) };
        if next != useless {
            self.useless_wakes.store(next.0, Ordering::Relaxed);
        }
    }

    /// What the other side's leader does when it wakes: that may have been in the place of one who waits for this side. Also when
    /// it was woken by the bell, since until it ran it was in this word's queue, too.
    ///
    /// A dead holder may have been healing, with nobody counted: its heir wakes all.
    pub(super) fn pass_on(&self) {
        let state = self.load();
        let is_awaited = state.has_announced() || state.owner_died();
        if state.is_free() && is_awaited && !cfg!(forq_fault = "no_pass_on") {
            futex::wake(self.futex(), 1);
        }
    }

    /// Leaves word that the other side's leader is about to sleep; the state then, and which wait it is.
    ///
    /// Word that stands is somebody else's: of a leader that is gone, or that has lost its side and may be asleep. It is rung for, not forgotten:
    /// whoever would have rung for it rings for one wait only. (The bell that the caller goes by is then another, so it looks again.)
    pub(super) fn set_event(&self) -> (State, Number) {
        let number = Number::of(self.events.fetch_add(1, Ordering::Relaxed));
        loop {
            self.ring_if_awaited();
            let state = self.load();
            let awaited = state.with_event(number);
            if state.event().is_none() && self.change(state, awaited).is_ok() {
                return (awaited, number);
            }
        }
    }

    /// Takes that word back, if it still stands.
    pub(super) fn clear_event(&self, number: Number) {
        loop {
            let state = self.load();
            if state.event() != Some(number) || self.change(state, state.without_event()).is_ok() {
                return;
            }
        }
    }

    /// Marks that the holder only waits for the other side.
    pub(super) fn fall_asleep(&self) {
        loop {
            let state = self.load();
            if self.change(state, state.asleep()).is_ok() {
                return;
            }
        }
    }

    /// Ends that, if this thread still holds the side: whether it does.
    pub(super) fn wake_up(&self, thread: &Thread) -> bool {
        loop {
            let state = self.load();
            if state.owner() != State::held_by(thread.tid()) {
                return false;
            }
            if self.change(state, state.awake()).is_ok() {
                return true;
            }
        }
    }

    /// What the taker finds of a dead holder: while it holds the side with its pending entry set, so that its own death leaves
    /// this to the next one.
    pub(super) fn inherit(&self) {
        // It may have been healing, or about to wake somebody: the other side's leader sleeps on this word, too.
        futex::wake(self.futex(), i32::MAX);
    }

    /// Does for a holder that is gone what the kernel would have done, had it known.
    #[cold]
    pub(super) fn bury(&self, seen: State) {
        let state = self.load();
        if state.owner() == seen.owner() && !state.is_free() && proc::is_gone(state.owner_tid()) {
            let _ = self.change(state, state.bereaved());
        }
    }

    /// Withdraws from waiting for the side. If the side is free, a wake-up may have been meant for this thread: another one gets it.
    /// The pending entry stays until then.
    #[cold]
    pub(super) fn withdraw(&self, thread: &Thread, wait: &Wait) {
        if wait.announced.is_some() {
            loop {
                let state = self.load();
                let withdrawn = state.without(wait.announced);
                if withdrawn == state || self.change(state, withdrawn).is_ok() {
                    break;
                }
            }
            if self.load().is_free() {
                futex::wake(self.futex(), 1);
            }
        }
        thread.clear_pending();
    }

    /// After many wake calls for nobody: takes the count of waiters anew, and wakes all, who announce themselves again. While
    /// it is held, so that whoever takes it from us, should we die, does the rest.
    fn heal_if_useless(&self) {
        let useless = Useless(self.useless_wakes.load(Ordering::Relaxed));
        if !useless.are_many() || !useless.are_old(clock::now()) {
            return;
        }
        self.useless_wakes.store(Useless::NONE.0, Ordering::Relaxed);
        loop {
            let state = self.load();
            if !state.has_announced() || state.is_free() {
                return;
            }
            let healed = state.healed();
            if self.change(state, healed).is_ok() {
                self.rest.store(healed.rest_hint(), Ordering::Relaxed);
                futex::wake(self.futex(), i32::MAX);
                return;
            }
        }
    }

    /// Takes the mark away that bells must be rung.
    pub(super) fn disarm(&self) {
        loop {
            let state = self.load();
            if !state.is_armed() || self.change(state, state.disarmed()).is_ok() {
                return;
            }
        }
    }

    /// Closes it, if that has not been done. Only the producers' side.
    pub(super) fn close(&self) {
        loop {
            let state = self.load();
            if state.is_closed() || self.change(state, state.closed()).is_ok() {
                return;
            }
        }
    }

    /// Wakes all who sleep here, of either side.
    pub(super) fn wake_all(&self) {
        self.change_bell();
        futex::wake(&raw const self.bell as *const u32, i32::MAX);
        futex::wake(self.futex(), i32::MAX);
    }
}

/// The group of leaders of the other side, where they cannot sleep on several words.
pub(super) const LEADER: u32 = 1 << 1;
