//! Messages of bytes: in and out by copying, or where they are.

use core::mem::MaybeUninit;
use core::ptr;

use super::side::{Consuming, End, Producing, Turn};
use crate::error::{Error, Result};
use crate::pipe::Received;
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::sys::thread;

impl End<Producing> {
    /// Copies a message in.
    #[inline]
    pub(crate) fn put(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        if message.len() > self.ring().message_size() {
            return Err(Error::MessageSize);
        }
        match self.begin() {
            Some(turn) => self.finish_put(turn, message),
            None => self.put_slow(message, deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        let turn = self.ready(deadline)?;
        self.finish_put(turn, message)
    }

    #[inline(always)]
    fn finish_put(&mut self, turn: Turn, message: &[u8]) -> Result<()> {
        if cfg!(forq_fault = "early_commit") {
            let next = self.side().position.next().0;
            self.words().position::<Producing>().store(next, Ordering::Relaxed);
        }
        // SAFETY: the slot has room for it, and is this side's until `advance`.
        unsafe { copy(message.as_ptr(), turn.slot(), message.len()) };
        let at = self.side().position;
        self.ring().set_size(at, message.len());
        self.advance(turn)
    }

    /// A slot of `message_size` bytes to write to: until [`End::commit`], the same each time.
    pub(crate) fn reserve(&mut self, deadline: Deadline) -> Result<*mut u8> {
        if !self.is_lent(thread::current()) {
            self.ready(deadline)?;
            self.lend();
        }
        Ok(self.side().cursor)
    }

    /// Puts what was written to the slot. A size that cannot be changes nothing; otherwise the slot is not lent any more.
    pub(crate) fn commit(&mut self, size: usize) -> Result<()> {
        let turn = self.take_back()?;
        if size > self.ring().message_size() {
            self.lend();
            return Err(Error::MessageSize);
        }
        if self.channel().is_closed() {
            self.leave_be();
            return Err(Error::Closed);
        }
        let at = self.side().position;
        self.ring().set_size(at, size);
        self.advance(turn)
    }
}

impl End<Consuming> {
    /// Copies a message out. Of the buffer, the size received is initialised afterwards.
    #[inline]
    pub(crate) fn get(&mut self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<Received> {
        match self.begin() {
            Some(turn) => self.finish_get(turn, buffer),
            None => self.get_slow(buffer, deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_slow(&mut self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<Received> {
        let turn = self.ready(deadline)?;
        self.finish_get(turn, buffer)
    }

    #[inline(always)]
    fn finish_get(&mut self, turn: Turn, buffer: &mut [MaybeUninit<u8>]) -> Result<Received> {
        let at = self.side().position;
        let size = match self.ring().size(at) {
            Ok(size) if size <= buffer.len() => size,
            other => {
                self.leave_be();
                return other.map(Received::TooLarge);
            }
        };
        // SAFETY: the message is no larger than its slot, nor than the buffer; the slot is this side's until `advance`.
        unsafe { copy(turn.slot(), buffer.as_mut_ptr().cast(), size) };
        self.advance(turn)?;
        Ok(Received::Message(size))
    }

    /// Where the next message is, and its size: until [`End::release`], the same each time.
    pub(crate) fn peek(&mut self, deadline: Deadline) -> Result<(*const u8, usize)> {
        let is_lent = self.is_lent(thread::current());
        if !is_lent {
            self.ready(deadline)?;
        }
        let at = self.side().position;
        let size = self.ring().size(at);
        match size {
            Ok(_) if !is_lent => self.lend(),
            Err(_) if !is_lent => self.leave_be(),
            _ => {}
        }
        Ok((self.side().cursor, size?))
    }

    /// Takes the message that was looked at.
    pub(crate) fn release(&mut self) -> Result<()> {
        let turn = self.take_back()?;
        self.advance(turn)
    }
}

/// Copies bytes, of which those in shared memory may be written by other processes meanwhile: any bytes will do. Up to 16 without a call.
///
/// # Safety
/// So many bytes must be mapped at both, and not overlap.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, size: usize) {
    // SAFETY: by contract; both parts are inside the whole.
    unsafe {
        match size {
            8..=16 => copy_ends::<8>(from, to, size),
            4..=7 => copy_ends::<4>(from, to, size),
            _ => ptr::copy_nonoverlapping(from, to, size),
        }
    }
}

/// Copies the first and the last `N` bytes.
///
/// # Safety
/// As [`copy`]; `size` must be at least `N`.
#[inline(always)]
unsafe fn copy_ends<const N: usize>(from: *const u8, to: *mut u8, size: usize) {
    // SAFETY: by contract.
    unsafe {
        let last = size - N;
        let (first, end) = (from.cast::<[u8; N]>().read(), from.add(last).cast::<[u8; N]>().read());
        to.cast::<[u8; N]>().write(first);
        to.add(last).cast::<[u8; N]>().write(end);
    }
}
