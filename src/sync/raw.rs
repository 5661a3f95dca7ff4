//! The lock itself: robust, process-shared, fair to the dead. [`Mutex`](super::mutex::Mutex) and the
//! C face stand on it.
//!
//! Why not the textbook futex lock, or libc's robust one: their word (thread id and a waiters bit)
//! loses a wake-up when a woken waiter is killed before it marks itself as waiting again, or the
//! releaser between its store and its wake call, while a third process takes the lock in between.
//! Here those who wait are *counted* in the same 64 bits, so that whoever holds the lock next knows
//! that there are others; and the kernel, told by the pending entry, wakes one for who dies on the
//! way. Checked exhaustively by the models in `verification/models`, and by killing at every
//! instruction in `verification/crash_points.rs`. The transitions are listed in [`state`](super::state).

use super::deadlock::Edge;
use super::pace::Row;
use super::state::State;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, const_fn, modelled};
use crate::sys::clock::Deadline;
use crate::sys::is_planted;
use crate::sys::robust::Node;
use crate::sys::thread::{self, Thread};

/// Not in shared memory (yet): not linked into the robust list, since a value may move or be
/// forgotten while it is locked. Zero bytes mean shared.
pub(super) const PRIVATE: u32 = 1;
/// Its holder may lock it again.
pub(crate) const RECURSIVE: u32 = 2;
/// Anybody may release it, so nobody owns it, and nobody's death is told.
pub(crate) const ANY_RELEASE: u32 = 4;

/// The lock, 128 bytes: a hot line that an uncontended use touches, and a cold one.
///
/// Valid when all bytes are zero. Those who hold it write the fields marked (holder) plainly; those
/// who wait write the cold line by atomic additions. All counters are Relaxed: they order nothing.
#[repr(C, align(64))]
pub(crate) struct RawMutex {
    pub(super) state: modelled::AtomicU64,
    /// (holder) The holder's process below, the low half of its `turns` above: valid while that is the number of turns.
    /// One store at taking; ended by the one that counts the turn.
    pub(super) stamp: AtomicU64,
    /// (holder) How often it was released, or reported.
    pub(super) turns: AtomicU64,
    /// (holder) In the holder's robust list.
    node: Node,
    /// (holder)
    pub(super) contended: AtomicU64,
    /// (holder) The process whose thread ended with the lock held, until it is known to have ended as a whole; else 0.
    pub(super) leaker: AtomicU32,
    /// Not 0 only if the state is special.
    flags: AtomicU32,
    /// (holder) How often it was locked again.
    pub(super) depth: AtomicU32,
    /// (holder) How fast it changes hands: see [`Pace`](super::pace::Pace).
    pub(super) row: Row,

    pub(super) slept: AtomicU64,
    pub(super) waited_ns: AtomicU64,
    pub(super) waited_max_ns: AtomicU64,
    pub(super) holder_deaths: AtomicU64,
    /// (holder) How many wake calls in a row woke nobody, and since when: see [`Useless`](super::useless::Useless).
    pub(super) useless_wakes: AtomicU32,
    /// What waiters have learnt, for the next: see [`Pace`](super::pace::Pace).
    pub(super) hot: AtomicU32,
    /// (holder) Whom it waits for.
    pub(super) edge: Edge,
    _reserved: [u8; 8],
}

/// Where the list pointers point, from the start of the lock.
pub(super) const NEXT_OFFSET: usize = core::mem::offset_of!(RawMutex, node) + size_of::<usize>();

#[cfg(all(target_pointer_width = "64", not(loom)))]
mod layout {
    use super::*;
    use core::mem::offset_of;
    use static_assertions::const_assert_eq;

    const_assert_eq!(size_of::<RawMutex>(), 128);
    // As in libc's own mutexes, which stand in the same list.
    const_assert_eq!(NEXT_OFFSET, 32);
    const_assert_eq!(offset_of!(RawMutex, contended), 40);
    const_assert_eq!(offset_of!(RawMutex, slept), 64);
    // The kernel finds the word where libc's own mutexes have it.
    const_assert_eq!(
        NEXT_OFFSET as isize + crate::sys::robust::FUTEX_OFFSET,
        super::super::state::FUTEX_BYTE as isize
    );
}

// SAFETY: all fields are atomic but the node, which only the holder touches.
unsafe impl Sync for RawMutex {}
// SAFETY: as above. A lock that is moved is private, so that nobody has its address.
unsafe impl Send for RawMutex {}

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// As it was left by its last holder.
    Clean,
    /// What it guards may be in the middle of a change: the last holder died, or one before it did
    /// and nobody has declared it repaired.
    Inconsistent {
        /// The process whose thread ended with the lock held; 0: none that is not known to have ended.
        leaker: u32,
    },
}

impl RawMutex {
    const_fn! {
        /// One that is not yet in shared memory.
        pub(crate) const fn new_private() -> Self {
            // There loom's models would miss the short paths; nothing is linked in any case.
            Self::with_flags(if cfg!(loom) { 0 } else { PRIVATE })
        }
    }

    const_fn! {
        /// One that is not yet in shared memory, which its holder may lock again.
        pub(crate) const fn new_private_recursive() -> Self {
            Self::with_flags(PRIVATE | RECURSIVE)
        }
    }

    const_fn! {
        const fn with_flags(flags: u32) -> Self {
            let state = if flags == 0 { State::FREE } else { State::SPECIAL };
            Self {
                state: modelled::AtomicU64::new(state.0),
                stamp: AtomicU64::new(0),
                turns: AtomicU64::new(0),
                node: Node::new(),
                contended: AtomicU64::new(0),
                leaker: AtomicU32::new(0),
                flags: AtomicU32::new(flags),
                depth: AtomicU32::new(0),
                row: Row::new(),
                slept: AtomicU64::new(0),
                waited_ns: AtomicU64::new(0),
                waited_max_ns: AtomicU64::new(0),
                holder_deaths: AtomicU64::new(0),
                useless_wakes: AtomicU32::new(0),
                hot: AtomicU32::new(0),
                edge: Edge::new(),
                _reserved: [0; 8],
            }
        }
    }

    pub(super) const EDGE_OFFSET: usize = core::mem::offset_of!(Self, edge);

    pub(super) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// The lock whose list node's `next` is there.
    ///
    /// # Safety
    /// It must be the node of a lock that stays mapped while the reference lives.
    pub(crate) unsafe fn of_node<'a>(next: *const u8) -> &'a Self {
        // SAFETY: by contract.
        unsafe { &*next.sub(NEXT_OFFSET).cast() }
    }

    /// Declares that the lock now has its place in shared memory, and will not move.
    pub(crate) fn place(&mut self) {
        let flags = *self.flags.get_mut() & !PRIVATE;
        *self = Self::with_flags(flags);
    }

    /// As [`RawMutex::place`], of one that nobody uses.
    #[cfg(feature = "lock_api")]
    pub(super) fn place_shared(&self) {
        let flags = self.flags.load(Ordering::Relaxed) & !PRIVATE;
        self.flags.store(flags, Ordering::Relaxed);
        self.state.store(Self::with_flags(flags).load().0, Ordering::Relaxed);
    }

    /// Makes it free and its statistics zero, of the kind that the flags say.
    ///
    /// # Safety
    /// Nobody may be using it.
    pub(crate) unsafe fn initialize(this: *mut Self, flags: u32) {
        // SAFETY: by contract.
        unsafe { this.write(Self::with_flags(flags)) };
    }

    pub(super) fn load(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Replaces one state by another, seeing all that happened before the last release.
    pub(super) fn take(&self, from: State, to: State) -> core::result::Result<(), State> {
        // Acquire pairs with the Release of `change`. The kernel's own change at a death is ordered by the kernel.
        let ordering = if is_planted("relaxed_take") { Ordering::Relaxed } else { Ordering::Acquire };
        self.state.compare_exchange(from.0, to.0, ordering, Ordering::Relaxed).map(drop).map_err(State)
    }

    /// Replaces one state by another, letting all that happened before be seen by the next taker.
    pub(super) fn change(&self, from: State, to: State) -> core::result::Result<(), State> {
        let ordering = if is_planted("relaxed_release") { Ordering::Relaxed } else { Ordering::Release };
        self.state.compare_exchange(from.0, to.0, ordering, Ordering::Relaxed).map(drop).map_err(State)
    }

    /// Takes the lock if it is plain and free; else [`RawMutex::lock_slow`] is to be called.
    #[inline(always)]
    pub(crate) fn lock_fast(&self) -> Option<&'static Thread> {
        let thread = thread::current();
        // SAFETY: this thread's entry; the lock stays mapped while it is borrowed or held.
        unsafe { self.begin(thread) };
        match self.take(State::FREE, State(thread.locked())) {
            Ok(()) => self.enter(thread),
            Err(seen) => return self.lock_in_later_epoch(thread, seen),
        }
        Some(thread)
    }

    /// After a heal the free state names another epoch.
    #[cold]
    #[inline(never)]
    fn lock_in_later_epoch(&self, thread: &'static Thread, seen: State) -> Option<&'static Thread> {
        let is_free = seen.in_first_epoch() == State::FREE;
        if !is_free || self.take(seen, State(seen.0 | thread.locked())).is_err() {
            return None;
        }
        self.enter(thread);
        Some(thread)
    }

    /// Waits for the lock until `deadline`; [`Deadline::NOW`] only tries.
    #[inline]
    pub(crate) fn lock(&self, deadline: Deadline) -> Result<Acquired> {
        match self.lock_fast() {
            Some(_) => Ok(Acquired::Clean),
            None => self.lock_slow(deadline),
        }
    }

    /// Takes the lock only if it is free: `Busy` otherwise, also if this thread holds it.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn try_lock(&self) -> Result<Acquired> {
        self.lock(Deadline::NOW).map_err(|error| match error {
            Error::WouldBlock | Error::Deadlock => Error::Busy,
            other => other,
        })
    }

    /// Tells the kernel that the state is about to change hands. Taking leaves it told (an entry that is
    /// also in the list is looked at once): only giving up and releasing end it.
    ///
    /// # Safety
    /// As [`Thread::set_pending`].
    #[inline(always)]
    pub(super) unsafe fn begin(&self, thread: &Thread) {
        if cfg!(forq_fault = "no_pending") {
            return;
        }
        // SAFETY: by contract.
        unsafe { thread.set_pending(&self.node) };
    }

    /// What every taker does once the state is its own, and shared.
    #[inline(always)]
    pub(super) fn enter(&self, thread: &Thread) {
        // SAFETY: just taken, so in no list; it stays where it is until it is released.
        unsafe { thread.link(&self.node) };
        self.stamp(thread);
    }

    /// Writes down whose turn it is.
    #[inline(always)]
    pub(super) fn stamp(&self, thread: &Thread) {
        let turn = self.turns.load(Ordering::Relaxed);
        self.stamp.store(u64::from(thread.pid()) | turn << 32, Ordering::Relaxed);
    }

    /// Counts the turn that ends, and thereby makes the stamp void. Only by the holder.
    #[inline(always)]
    pub(super) fn end_turn(&self) {
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// How many turns have ended: during one, its number. After a death the dead one's has ended too.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether its holder has locked it once. Only by the holder.
    pub(crate) fn is_first_hold(&self) -> bool {
        self.depth.load(Ordering::Relaxed) == 0
    }

    /// The process whose turn it is; 0: none, or one that has not written it down yet.
    pub(super) fn stamped(&self) -> u32 {
        let stamp = self.stamp.load(Ordering::Relaxed);
        if stamp >> 32 == self.turns.load(Ordering::Relaxed) & 0xffff_ffff { stamp as u32 } else { 0 }
    }

    /// Takes it out of this thread's list, in which it is, and ends the turn.
    #[inline(always)]
    pub(super) fn leave(&self, thread: &Thread) {
        // SAFETY: this thread's entry; the lock stays mapped while it is borrowed, and is in its list while held.
        unsafe {
            self.begin(thread);
            thread.unlink(&self.node);
        }
        // From here on a death leaves no guard behind; nor does one before the next owner's stamp.
        self.end_turn();
        if cfg!(forq_fault = "late_pending") {
            thread.clear_pending();
        }
    }

    /// Releases the lock: `NotPermitted` if this thread does not hold it.
    #[inline]
    pub(crate) fn unlock(&self) -> Result<()> {
        self.unlock_by(thread::current())
    }

    /// As [`RawMutex::unlock`], by the calling thread, whose block this is.
    #[inline(always)]
    pub(crate) fn unlock_by(&self, thread: &Thread) -> Result<()> {
        let plain = State(thread.locked());
        if self.load() != plain {
            return self.unlock_slow(thread);
        }
        self.leave(thread);
        match self.change(plain, State::FREE) {
            Ok(()) => thread.clear_pending(),
            Err(_) => self.release_and_end(thread),
        }
        Ok(())
    }

    /// Declares what the lock guards repaired: `NotPermitted` by another than the holder,
    /// `InvalidArgument` if there is nothing to repair.
    pub(crate) fn consistent(&self) -> Result<()> {
        loop {
            let state = self.load();
            if !self.is_held_by_me(state) {
                return Err(Error::NotPermitted);
            }
            if !state.is_inconsistent() {
                return Err(Error::InvalidArgument);
            }
            if self.change(state, state.repaired()).is_ok() {
                self.clear_leaker();
                return Ok(());
            }
        }
    }

    /// Forgets whose thread left the lock held: that process has ended. Only by the holder.
    pub(crate) fn clear_leaker(&self) {
        self.leaker.store(0, Ordering::Relaxed);
    }

    /// Leaves word for the next taker that what the lock guards is in the middle of a change. Only by the holder.
    #[cold]
    pub(crate) fn mark_inconsistent(&self) {
        loop {
            let state = self.load();
            if !self.is_held_by_me(state) || self.change(state, state.broken()).is_ok() {
                return;
            }
        }
    }

    /// Whether this thread holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.is_held_by_me(self.load())
    }

    fn is_held_by_me(&self, state: State) -> bool {
        state.owner() == State(thread::current().locked()).owner()
    }

    /// The holder's thread id; 0: nobody, or the lock has no owner.
    pub(crate) fn owner(&self) -> u32 {
        let state = self.load();
        if state.is_unowned() { 0 } else { state.owner() }
    }

    /// Whether nobody holds it.
    pub(crate) fn is_free(&self) -> bool {
        self.load().is_free()
    }

    /// Whether a thread of this process holds it, or did when it ended: its list may still name the lock.
    pub(crate) fn is_held_here(&self) -> bool {
        !self.load().is_free() && self.stamped() == thread::current().pid()
    }
}
