//! The ring: two sides and slots, in memory that processes share. Its short paths; the long ones are in [`attend`](super::attend).
//!
//! Two locks, one a side, and one word a slot whose store commits (see [`slot`](super::slot)): so a producer and a consumer never
//! wait for each other's lock, and a death costs the next holder of that side nothing but a look. Compared with claims of single slots (D. Vyukov's
//! bounded queue): those need as many locked instructions, and a claimer that dies leaves a hole that nobody can tell from a slow one.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::layout::{self, Geometry, Header};
use super::role::{Consumer, Producer, Role};
use super::slot::{Position, Stage, Word, begins_high, ready_sequence, settled};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::cpu;
use crate::sys::thread::{self, Thread};

/// A queue as this process knows it: where it is, and a private copy of its geometry.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    header: NonNull<Header>,
    pub(super) geometry: Geometry,
}

// SAFETY: it is memory that all of the process's threads have mapped; what is done there is atomic or under the sides' locks.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

/// What a get found.
pub(crate) enum Got {
    /// A message of so many bytes, which is in the buffer.
    Message(usize),
    /// A message of so many bytes, which does not fit and stays.
    TooLarge(#[cfg_attr(not(feature = "capi"), expect(dead_code, reason = "only C is told how many"))] usize),
}

/// The right to use one slot: its side is held, and the slot is ready.
pub(super) struct Turn<R> {
    position: Position,
    /// Where the slot begins.
    slot: *mut u8,
    pub(super) word: Word,
    role: PhantomData<R>,
}

impl<R> Turn<R> {
    /// Where its message goes or is.
    #[inline(always)]
    pub(super) fn message(&self) -> *mut u8 {
        // SAFETY: the slot is larger than its word.
        unsafe { self.slot.add(size_of::<Word>()) }
    }
}

impl Ring {
    /// The bytes that a queue takes; 0 if there can be none such.
    pub(crate) fn required_size(capacity: usize, message_size: usize) -> usize {
        Geometry::new(capacity, message_size).map_or(0, |geometry| geometry.size)
    }

    /// Makes a queue. `InvalidArgument` if it does not fit, or the memory is not aligned to 64 bytes. The counts begin at the lap
    /// `2^31 * high + lap`; slots that are 0 already need not be written.
    ///
    /// # Safety
    /// `memory` must be writable for `size` bytes, stay mapped while the ring is used, and be used by nobody else until this returns.
    pub(crate) unsafe fn make(
        memory: NonNull<u8>,
        size: usize,
        geometry: (usize, usize),
        (lap, high): (u32, u32),
        is_zero: bool,
    ) -> Result<Self> {
        let geometry = Geometry::new(geometry.0, geometry.1)?;
        if size < geometry.size || !memory.cast::<Header>().is_aligned() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: by contract and the check.
        unsafe { layout::initialize(memory, geometry, lap, high, is_zero) };
        Ok(Self { header: memory.cast(), geometry })
    }

    /// Finds a queue that was made there: `Protocol` if there is none.
    ///
    /// # Safety
    /// `memory` must be readable and writable for `size` bytes, and stay mapped while the ring is used.
    pub(crate) unsafe fn find(memory: NonNull<u8>, size: usize) -> Result<Self> {
        if !memory.cast::<Header>().is_aligned() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: by contract and the check.
        let geometry = unsafe { layout::check(memory, size) }?;
        Ok(Self { header: memory.cast(), geometry })
    }

    #[inline(always)]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: mapped while the ring is used; any bytes are a valid header.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.geometry.capacity as usize
    }

    pub(crate) fn message_size(&self) -> usize {
        self.geometry.message_size as usize
    }

    /// The slot at an index, which must be below the capacity.
    #[inline(always)]
    fn slot(&self, index: u32) -> *mut u8 {
        let offset = size_of::<Header>() + index as usize * self.geometry.stride;
        // SAFETY: the memory goes on for the geometry's size, which has room for so many slots.
        unsafe { self.header.cast::<u8>().add(offset).as_ptr() }
    }

    #[inline(always)]
    fn word_at(&self, index: u32) -> &AtomicU64 {
        // SAFETY: a slot begins with its word, aligned as the header and the stride are; only ever accessed as an atomic.
        unsafe { &*self.slot(index).cast::<AtomicU64>() }
    }

    /// Where a side is, and what the slot there says. `Protocol`: no such slot.
    #[inline(always)]
    pub(super) fn look<R: Role>(&self) -> Result<(Position, Word, Stage)> {
        let position = Position(R::own(self.header()).position.load(Ordering::Relaxed));
        if position.index() >= self.geometry.capacity {
            return Err(Error::Protocol);
        }
        // Acquire pairs with the Release of `commit`: a message is seen with its word, and a slot is free once it was read.
        let word = Word(self.word_at(position.index()).load(Ordering::Acquire));
        let stage = word.stage(position.lap(), R::READY);
        if stage == Stage::Ready && word.length() > self.geometry.message_size {
            return Err(Error::Protocol);
        }
        Ok((position, word, stage))
    }

    /// The turn at the next slot, if it is ready. Only by the side's holder.
    #[inline(always)]
    pub(super) fn turn<R: Role>(&self) -> Option<Turn<R>> {
        let position = Position(R::own(self.header()).position.load(Ordering::Relaxed));
        self.turn_at(position, self.slot(position.index().min(self.geometry.capacity - 1)))
    }

    /// The turn that follows one that was committed, if its slot is ready. Only by the side's holder. A batch steps so without reading the position
    /// that it has just written.
    #[inline(always)]
    pub(super) fn turn_after<R: Role>(&self, turn: &Turn<R>) -> Option<Turn<R>> {
        let next = Position(turn.position.0.wrapping_add(1));
        if next.index() < self.geometry.capacity {
            self.turn_at(next, turn.slot.wrapping_add(self.geometry.stride))
        } else {
            self.turn()
        }
    }

    #[inline(always)]
    fn turn_at<R: Role>(&self, position: Position, slot: *mut u8) -> Option<Turn<R>> {
        // SAFETY: as in `word_at`. Acquire as in `look`.
        let word = Word(unsafe { &*slot.cast::<AtomicU64>() }.load(Ordering::Acquire));
        let is_ready = position.index() < self.geometry.capacity
            && word.sequence() == ready_sequence(position.lap(), R::READY)
            && (R::PRODUCES || word.length() <= self.geometry.message_size);
        is_ready.then_some(Turn { position, slot, word, role: PhantomData })
    }

    /// Takes the side and waits for a slot. An error: the side is not held, and the pending entry cleared.
    #[inline(always)]
    pub(super) fn begin<R: Role>(&self, thread: &Thread, deadline: Deadline) -> Result<Turn<R>> {
        let side = R::own(self.header());
        // Nothing after the locked instruction begins before its end. So what depends on the position is worked out before it, of
        // a guess, which is right unless others take turns with us.
        let guess = Position(side.position.load(Ordering::Relaxed));
        let slot = self.slot(guess.index().min(self.geometry.capacity - 1));
        side.begin(thread);
        let holds = side.take_at_rest(thread);
        if holds {
            let turn = if side.position.load(Ordering::Relaxed) == guess.0 {
                self.turn_at::<R>(guess, slot)
            } else {
                self.turn::<R>()
            };
            if let Some(turn) = turn {
                return Ok(turn);
            }
        }
        self.attend::<R>(thread, deadline, holds)
    }

    /// Hands the slot to the other side, and steps to the next. The first store decides: before it, nothing has happened; after it, all has.
    #[inline(always)]
    pub(super) fn commit<R: Role>(&self, turn: &Turn<R>, length: u32) {
        self.commit_ahead(turn, length, self.geometry.ahead);
    }

    /// As [`Ring::commit`], with the line fetched that is so many bytes ahead.
    #[inline(always)]
    pub(super) fn commit_ahead<R: Role>(&self, turn: &Turn<R>, length: u32, ahead: usize) {
        let committed = Word::new(turn.word.sequence().wrapping_add(1), length);
        if cfg!(forq_fault = "early_step") {
            self.step::<R>(turn.position);
        }
        // SAFETY: as in `word_at`. Release pairs with the Acquire of `look`.
        unsafe { &*turn.slot.cast::<AtomicU64>() }.store(committed.0, Ordering::Release);
        // A locked instruction waits for the stores before it: so the line must be there when its turn comes.
        cpu::prefetch_to_write(turn.slot.wrapping_add(ahead));
        if !cfg!(forq_fault = "early_step") {
            self.step::<R>(turn.position);
        }
    }

    /// Moves the side on by one. Only by its holder.
    #[inline(always)]
    pub(super) fn step<R: Role>(&self, from: Position) {
        let side = R::own(self.header());
        let next = Position(from.0.wrapping_add(1));
        if next.index() == self.geometry.capacity {
            return self.begin_lap::<R>(from);
        }
        side.position.store(next.0, Ordering::Relaxed);
    }

    #[cold]
    fn begin_lap<R: Role>(&self, from: Position) {
        let side = R::own(self.header());
        let next = Position::new(from.lap().wrapping_add(1), 0);
        side.position.store(next.0, Ordering::Relaxed);
        if begins_high(next.lap()) {
            let before = settled(side.high.load(Ordering::Relaxed), from.lap());
            // Release pairs with the Acquire of `passed`: who sees it sees the position.
            side.high.store(settled(before, next.lap()), Ordering::Release);
        }
    }

    /// Releases the side.
    #[inline(always)]
    pub(super) fn leave<R: Role>(&self, thread: &Thread) {
        let side = R::own(self.header());
        if !side.leave_at_rest(thread) {
            self.leave_awaited::<R>(thread);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn leave_awaited<R: Role>(&self, thread: &Thread) {
        if !R::own(self.header()).release() {
            R::other(self.header()).relieve();
        }
        thread.clear_pending();
    }

    /// Wakes the other side's leader, if it may sleep, while this side is held.
    pub(super) fn ring_if_awaited<R: Role>(&self) {
        if !R::own(self.header()).ring_if_awaited() {
            R::other(self.header()).relieve();
        }
    }

    /// Puts a message of `length` bytes. `MessageSize` if it is too large.
    ///
    /// # Safety
    /// `message` must be readable for `length` bytes.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, message: *const u8, length: usize, deadline: Deadline) -> Result<()> {
        if length > self.geometry.message_size as usize {
            return Err(Error::MessageSize);
        }
        let thread = thread::current();
        let turn = self.begin::<Producer>(thread, deadline)?;
        if cfg!(forq_fault = "early_commit") {
            self.commit(&turn, length as u32);
        }
        // SAFETY: `length` is not above what a slot has room for; nobody else uses a slot whose turn we have.
        unsafe { copy(message, turn.message(), length) };
        if !cfg!(forq_fault = "early_commit") {
            self.commit(&turn, length as u32);
        }
        self.leave::<Producer>(thread);
        Ok(())
    }

    /// Takes the next message, into a buffer of `room` bytes. One that does not fit stays.
    ///
    /// # Safety
    /// `buffer` must be writable for `room` bytes.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, buffer: *mut u8, room: usize, deadline: Deadline) -> Result<Got> {
        let thread = thread::current();
        let turn = self.begin::<Consumer>(thread, deadline)?;
        let length = turn.word.length() as usize;
        if length > room {
            self.leave::<Consumer>(thread);
            return Ok(Got::TooLarge(length));
        }
        if cfg!(forq_fault = "unordered") && self.is_ready_ahead::<Consumer>(1) {
            let next = self.slot((turn.position.index() + 1) % self.geometry.capacity);
            // SAFETY: another slot, which is ours as long as the side is.
            unsafe { core::ptr::swap_nonoverlapping(turn.message(), next.add(size_of::<Word>()), length) };
        }
        // SAFETY: `length` was checked against what a slot holds, when the word was read, and against the buffer.
        unsafe { copy(turn.message(), buffer, length) };
        self.commit(&turn, 0);
        self.leave::<Consumer>(thread);
        Ok(Got::Message(length))
    }

    /// Whether the side has something to do at the slot so many behind its next one, too. Only by its holder.
    pub(super) fn is_ready_ahead<R: Role>(&self, count: u32) -> bool {
        let position = Position(R::own(self.header()).position.load(Ordering::Relaxed));
        let index = u64::from(position.index()) + u64::from(count);
        let (lap, index) = match index.checked_sub(self.geometry.capacity.into()) {
            Some(index) => (position.lap().wrapping_add(1), index),
            None => (position.lap(), index),
        };
        // Not relied on, so Relaxed.
        index < self.geometry.capacity.into()
            && Word(self.word_at(index as u32).load(Ordering::Relaxed)).sequence()
                == ready_sequence(lap, R::READY)
    }

    /// Whether the side has something to do at its next slot. A hint, unless the side is held.
    pub(super) fn is_ready<R: Role>(&self) -> bool {
        !matches!(self.look::<R>(), Ok((_, _, Stage::Waiting)))
    }
}

/// Copies between a slot and private memory.
///
/// # Safety
/// Both must be valid for `length` bytes, and not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: by contract. The bytes mean nothing to us, so it does not matter if a stranger changes them meanwhile.
    unsafe {
        if length == size_of::<u64>() {
            to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned());
        } else {
            to.copy_from_nonoverlapping(from, length);
        }
    }
}
