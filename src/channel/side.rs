//! One side of a channel, as this process uses it: the short paths, which pay for nobody who does not sleep.
//!
//! **Order.** A side writes or reads a slot and then stores its position (Release); the other loads that (Acquire) before it uses
//! the slot. Then the side looks whether somebody waits for it. A sleeper says that it may sleep, then looks once more; so between
//! the store and the look on one side, and between announcing and looking on the other, there must be a barrier, or each could
//! miss the other. The sleeper makes it for both ([`membarrier`]); the side only keeps the compiler from changing
//! the order. Where the kernel refuses, the side makes its own, and says so in its [`Owner`] word.
//!
//! **Deaths.** From before the store until after the wake call the thread's will names the futex at which the other side sleeps: should
//! it be killed in between, the kernel wakes the sleeper, which finds what was committed.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::Channel;
use super::gate::Gate;
use super::owner::{Owner, Watch};
use super::patience::Lesson;
use super::position::Position;
use super::ring::{Ring, Words};
use crate::error::Result;
use crate::sys::atomic::Ordering;
use crate::sys::robust::Pending;
use crate::sys::thread::{self, Thread};
use crate::sys::{is_planted, membarrier};

/// Which of the two.
pub(crate) trait Role {
    /// The other one.
    type Other: Role;
    /// Where its words are.
    const SIDE: usize;
    const PUTS: bool;

    /// How many slots a side at `own` may use, the other being at `other`. `None` if the two cannot be.
    fn ready(own: Position, other: Position, capacity: u32) -> Option<u32>;
}

/// The side that puts.
pub(crate) enum Producing {}

/// The side that gets.
pub(crate) enum Consuming {}

impl Role for Producing {
    type Other = Consuming;
    const SIDE: usize = 0;
    const PUTS: bool = true;

    fn ready(own: Position, other: Position, capacity: u32) -> Option<u32> {
        own.ahead_of(other, capacity).map(|taken| capacity - taken)
    }
}

impl Role for Consuming {
    type Other = Producing;
    const SIDE: usize = 1;
    const PUTS: bool = false;

    fn ready(own: Position, other: Position, capacity: u32) -> Option<u32> {
        other.ahead_of(own, capacity)
    }
}

/// What this process knows of its use of a side, in memory of its own.
#[repr(align(128))]
pub(super) struct Side {
    /// The slot that the side uses next, and the end of those that are surely ready, or of the ring: nothing is looked at before that.
    pub(super) cursor: *mut u8,
    pub(super) limit: *mut u8,
    /// The cursor as a position.
    pub(super) position: Position,
    /// The fork generation in which the rest is true; 0: in none.
    pub(super) generation: u64,
    /// What the side's owner word says as long as nobody has taken it over.
    pub(super) owner: Owner,
    /// What the side's gate says as long as there is nothing to do: 0, or what it never says, for a side that makes its own barriers.
    quiet: u64,
    /// The channel's; here, since they are wanted with the rest.
    words: NonNull<Words>,
    stride: usize,
    /// A slot is lent to the user, and the limit is kept here meanwhile.
    pub(super) lent: Option<*mut u8>,
    pub(super) watch: Watch,
    pub(super) lesson: Lesson,
}

impl Side {
    /// Not used by this process.
    pub(super) fn unused(ring: &Ring) -> Self {
        Self {
            cursor: core::ptr::null_mut(),
            limit: core::ptr::null_mut(),
            position: Position::new(0, 0),
            generation: 0,
            owner: Owner::NOBODY,
            quiet: 0,
            words: NonNull::from(ring.words()),
            stride: ring.stride(),
            lent: None,
            watch: Watch::NEW,
            lesson: Lesson::default(),
        }
    }

    /// Makes it this process's, as `owner`, at that position: one of the ring's.
    pub(super) fn take(&mut self, ring: &Ring, thread: &Thread, owner: Owner, position: Position) {
        let cursor = ring.slot(position.index());
        let quiet = if owner.is_fenced() { Gate::NEVER } else { Gate::QUIET };
        *self = Self {
            cursor,
            limit: cursor,
            position,
            generation: thread.generation(),
            owner,
            quiet,
            ..Self::unused(ring)
        };
    }

    /// Notes that so many slots are ready.
    pub(super) fn set_ready(&mut self, ring: &Ring, count: u32) {
        let index = self.position.index();
        // Not beyond the end of the lap.
        self.limit = ring.slot(index + count.min(ring.capacity() - index));
    }

    pub(super) fn has_ready(&self) -> bool {
        self.cursor != self.limit
    }
}

/// A call that is under way: what it would otherwise look for again and again.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    thread: &'static Thread,
    words: NonNull<Words>,
    slot: *mut u8,
}

impl Turn {
    /// The slot that is ready.
    #[inline(always)]
    pub(super) fn slot(&self) -> *mut u8 {
        self.slot
    }
}

/// This process's handle of one side. Who has it, has the side for itself within the process.
pub(crate) struct End<R: Role> {
    channel: NonNull<Channel>,
    role: PhantomData<R>,
}

// SAFETY: whichever thread has the handle uses the side; what is shared is atomic.
unsafe impl<R: Role> Send for End<R> {}
// SAFETY: through a shared reference only atomics and what never changes are used.
unsafe impl<R: Role> Sync for End<R> {}

impl<R: Role> End<R> {
    /// # Safety
    /// The channel must outlive the handle, and no other handle of this side be used in this process meanwhile.
    pub(crate) unsafe fn new(channel: NonNull<Channel>) -> Self {
        Self { channel, role: PhantomData }
    }

    pub(crate) fn channel(&self) -> &Channel {
        // SAFETY: it outlives the handle; its fields but the sides are used through shared references only.
        unsafe { self.channel.as_ref() }
    }

    pub(crate) fn address(&self) -> NonNull<Channel> {
        self.channel
    }

    #[inline(always)]
    pub(super) fn ring(&self) -> &Ring {
        &self.channel().ring
    }

    pub(super) fn words(&self) -> &Words {
        self.ring().words()
    }

    #[inline(always)]
    pub(super) fn side(&mut self) -> &mut Side {
        // SAFETY: this handle, which is borrowed mutably, is the only one of the side.
        unsafe { &mut *self.channel().sides[R::SIDE].get() }
    }

    /// Whether the side is as this process left it: it used it before, in this life, and nobody has taken it over.
    pub(super) fn is_ours(&mut self, thread: &Thread) -> bool {
        // Relaxed: as in `begin`.
        let owner = self.words().owner::<R>().load(Ordering::Relaxed);
        let side = self.side();
        side.generation == thread.generation() && side.owner.0 == owner
    }

    pub(super) fn parts(&mut self) -> (&Ring, &mut Side) {
        // SAFETY: as in `side`.
        let side = unsafe { &mut *self.channel().sides[R::SIDE].get() };
        (self.ring(), side)
    }

    /// Begins a call, if a slot is surely ready: until [`End::advance`] or [`End::leave_be`]. `None`: see [`End::ready`].
    #[inline(always)]
    pub(super) fn begin(&mut self) -> Option<Turn> {
        let thread = thread::current();
        let side = self.side();
        // SAFETY: the channel's words, mapped as long as the handle.
        let words = unsafe { side.words.as_ref() };
        // Relaxed: who comes from another process is ordered by the user, or by its end.
        let owner = words.owner::<R>().load(Ordering::Relaxed);
        let is_closed = R::PUTS && words.gate::<R>().look().is_closed();
        let is_ours = side.generation == thread.generation() && side.owner.0 == owner;
        if !side.has_ready() || !is_ours || is_closed {
            return None;
        }
        // Relaxed: who comes while a call is under way breaks the rules; most such are caught.
        words.busy::<R>().store(1, Ordering::Relaxed);
        Some(Turn { thread, words: side.words, slot: side.cursor })
    }

    /// Of a call that has found a slot ready by other ways.
    pub(super) fn turn(&mut self, thread: &'static Thread) -> Turn {
        let side = self.side();
        Turn { thread, words: side.words, slot: side.cursor }
    }

    /// Commits: the other side may use the slot. The call is over.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), of a put: the consumer was told that the channel had ended before it.
    #[inline(always)]
    pub(super) fn advance(&mut self, turn: Turn) -> Result<()> {
        let side = self.side();
        side.cursor = turn.slot.wrapping_add(side.stride);
        let position = side.position.next();
        side.position = position;
        let quiet = side.quiet;
        // SAFETY: the channel's words, mapped as long as the handle.
        let words = unsafe { turn.words.as_ref() };
        let gate = words.gate::<R>();
        // SAFETY: mapped as long as the handle; the futex half has no bits below 30.
        let will = unsafe { turn.thread.bequeath_over(gate.futex()) };
        let release = if is_planted("relaxed_position") { Ordering::Relaxed } else { Ordering::Release };
        // Release pairs with the Acquire of `look_again`: what was written to, or read from, the slot comes before.
        words.position::<R>().store(position.0, release);
        membarrier::light();
        if !gate.look().is(quiet) {
            return self.advance_slow(turn, will);
        }
        // Release: a successor that finds no call under way finds the position too.
        words.busy::<R>().store(0, Ordering::Release);
        turn.thread.restore_pending(will);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn advance_slow(&mut self, turn: Turn, will: Pending) -> Result<()> {
        let result = self.tell();
        self.leave_be();
        turn.thread.restore_pending(will);
        result
    }

    /// The call is over.
    pub(super) fn leave_be(&self) {
        // Release: a successor that finds no call under way finds the position too.
        self.words().busy::<R>().store(0, Ordering::Release);
    }
}
