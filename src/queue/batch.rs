//! Many messages for the price of one lock: committed one by one, so that a death costs at most those of its own batch.

use super::ring::{Got, Ring, copy};
use super::role::{Consumer, Producer, Role};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::thread;

/// So many bytes ahead a batch fetches what it needs next: it is there sooner than who takes the side for each message.
const AHEAD: usize = 512;

impl Ring {
    /// Puts `count` messages of `length` bytes each that lie side by side, one after the other; how many. An error: none.
    ///
    /// # Safety
    /// `messages` must be readable for `count * length` bytes.
    pub(crate) unsafe fn put_many(
        &self,
        messages: *const u8,
        length: usize,
        count: usize,
        deadline: Deadline,
    ) -> Result<usize> {
        if length > self.geometry.message_size as usize {
            return Err(Error::MessageSize);
        }
        if count == 0 {
            return Ok(0);
        }
        let thread = thread::current();
        let side = Producer::own(self.header());
        let mut turn = self.begin::<Producer>(thread, deadline)?;
        let (mut done, ahead) = (0, self.geometry.stride.max(AHEAD));
        loop {
            // SAFETY: as in `put`; `done` is below `count`.
            unsafe { copy(messages.add(done * length), turn.message(), length) };
            self.commit_ahead(&turn, length as u32, ahead);
            done += 1;
            if done == count {
                break;
            }
            if side.load().has_waiters() {
                // Whoever waits need not do so until all are put.
                self.ring_if_awaited::<Producer>();
            }
            turn = match self.turn_after(&turn) {
                Some(turn) => turn,
                None => match self.attend(thread, deadline, true) {
                    Ok(turn) => turn,
                    Err(_) => return Ok(done),
                },
            };
        }
        self.leave::<Producer>(thread);
        Ok(done)
    }

    /// Takes at least one and at most `count` messages, each of exactly `length` bytes, side by side into a buffer; how many. It
    /// stops before a message of another length: `TooLarge` if that is the first one.
    ///
    /// # Safety
    /// `buffer` must be writable for `count * length` bytes.
    pub(crate) unsafe fn get_many(
        &self,
        buffer: *mut u8,
        length: usize,
        count: usize,
        deadline: Deadline,
    ) -> Result<Got> {
        if count == 0 {
            return Ok(Got::Message(0));
        }
        let thread = thread::current();
        let side = Consumer::own(self.header());
        let mut turn = Some(self.begin::<Consumer>(thread, deadline)?);
        let (mut done, ahead) = (0, self.geometry.stride.max(AHEAD));
        let mut other = None;
        while let Some(taken) = turn {
            let found = taken.word.length() as usize;
            if found != length {
                other = Some(found);
                break;
            }
            // SAFETY: as in `get`; `done` is below `count`.
            unsafe { copy(taken.message(), buffer.add(done * length), length) };
            self.commit_ahead(&taken, 0, ahead);
            done += 1;
            if done == count {
                break;
            }
            if side.load().has_waiters() {
                self.ring_if_awaited::<Consumer>();
            }
            turn = self.turn_after(&taken);
        }
        self.leave::<Consumer>(thread);
        match other {
            Some(found) if done == 0 => Ok(Got::TooLarge(found)),
            _ => Ok(Got::Message(done)),
        }
    }
}
