//! Messages where they are: written and read without a copy.
//!
//! The bytes are in memory that other processes map too. Safe code copies them in and out; who makes references answers for it that no process
//! breaks the rules meanwhile.

use super::side::{Consuming, End, Producing};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::thread;

/// A place for the next message: see [`ByteSender::reserve`](crate::ByteSender::reserve).
///
/// In a child forked meanwhile it is nothing: what is done with it there is an error.
#[must_use = "nothing is put before it is committed"]
pub struct Slot<'a> {
    end: &'a mut End<Producing>,
    start: *mut u8,
}

/// The next message: see [`ByteReceiver::peek`](crate::ByteReceiver::peek).
///
/// In a child forked meanwhile releasing it does nothing.
pub struct Message<'a> {
    end: &'a mut End<Consuming>,
    start: *const u8,
    size: usize,
}

// SAFETY: the slot belongs to whoever has the handle, in whatever thread.
unsafe impl Send for Slot<'_> {}
// SAFETY: as above.
unsafe impl Send for Message<'_> {}

impl<'a> Slot<'a> {
    pub(super) fn reserve(end: &'a mut End<Producing>, deadline: Deadline) -> Result<Self> {
        let start = end.reserve(deadline)?;
        Ok(Self { end, start })
    }

    /// How many bytes there are: the largest size of a message.
    #[must_use]
    pub fn size(&self) -> usize {
        self.end.channel().message_size()
    }

    /// Copies bytes into the slot, from `offset` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if they do not fit; [`Error::NotPermitted`] in a child forked since. Nothing is copied then.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        if !self.end.is_lent(thread::current()) {
            return Err(Error::NotPermitted);
        }
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.size()) {
            return Err(Error::OutOfRange);
        }
        // SAFETY: inside the slot, by the check, which is this process's while it is lent.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(offset), bytes.len()) };
        Ok(())
    }

    /// The first byte of the slot, of [`Slot::size`]. What stands there is left from an earlier lap.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    /// The bytes of the slot. What stands there is left from an earlier lap.
    ///
    /// # Safety
    /// Not in a child forked since; and while the reference lives no process may write to the channel's memory but by its functions.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: mapped, this size; alone, by contract.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.size()) }
    }

    /// Puts a message: the first `size` bytes of the slot.
    ///
    /// # Errors
    /// [`Error::MessageSize`] if there are fewer; [`Error::Closed`]; [`Error::InvalidArgument`] in a child forked since. Then nothing was put.
    pub fn commit(self, size: usize) -> Result<()> {
        self.end.commit(size)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // Committed, it is not lent any more.
        if self.end.take_back().is_ok() {
            self.end.leave_be();
        }
    }
}

impl<'a> Message<'a> {
    pub(super) fn peek(end: &'a mut End<Consuming>, deadline: Deadline) -> Result<Self> {
        let (start, size) = end.peek(deadline)?;
        Ok(Self { end, start, size })
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether it is an empty message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Copies bytes out of the message, from `offset` on, as many as `buffer` has.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there are not so many.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        if offset.checked_add(buffer.len()).is_none_or(|end| end > self.size) {
            return Err(Error::OutOfRange);
        }
        // SAFETY: inside the message, by the check; any bytes will do.
        unsafe { core::ptr::copy_nonoverlapping(self.start.add(offset), buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }

    /// A copy of the message.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn to_vec(&self) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0; self.size];
        // As many as there are.
        let _ = self.read(0, &mut bytes);
        bytes
    }

    /// The first byte of the message, of [`Message::len`].
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.start
    }

    /// The bytes of the message.
    ///
    /// # Safety
    /// Not in a child forked since; and while the reference lives no process may write to the channel's memory but by its functions.
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: mapped, this size; unchanged, by contract.
        unsafe { core::slice::from_raw_parts(self.start, self.size) }
    }

    /// Takes the message: its place may be used for another one.
    pub fn release(self) {
        // Not in a child forked since.
        let _ = self.end.release();
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        // Released, it is not lent any more.
        if self.end.take_back().is_ok() {
            self.end.leave_be();
        }
    }
}
