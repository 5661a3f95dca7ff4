//! The producer's end of a channel for values.

use core::marker::PhantomData;
use core::time::Duration;

use bytemuck::Pod;

use super::side::{End, Producing, Turn};
use crate::queue::PutError;
use crate::sys::clock::Deadline;

/// The end of a [`channel()`](crate::channel()) that puts values.
///
/// Dropping it where it was used ends the use of the side: the consumer is told when it has to wait, unless another process
/// takes the side over. What was put stays. To say that all has been put, [`close`](Sender::close).
pub struct Sender<T: Pod> {
    end: End<Producing>,
    values: PhantomData<fn(T)>,
}

impl<T: Pod> Sender<T> {
    pub(super) fn new(end: End<Producing>) -> Self {
        Self { end, values: PhantomData }
    }

    /// Puts a value, waiting for room for ever if it must. Wait-free while there is room.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed); [`Error::Disconnected`](crate::Error::Disconnected) if there is no room and the consumer is gone;
    /// [`Error::NotPermitted`](crate::Error::NotPermitted) if another process is just putting;
    /// [`Error::Interrupted`](crate::Error::Interrupted), if this thread asked for it; [`Error::Protocol`](crate::Error::Protocol) if
    /// the shared memory holds what cannot be. The value comes back with the error.
    #[inline]
    pub fn put(&mut self, value: T) -> core::result::Result<(), PutError<T>> {
        self.put_until(value, Deadline::FOREVER)
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// As [`Sender::put`], and [`Error::WouldBlock`](crate::Error::WouldBlock).
    #[inline]
    pub fn try_put(&mut self, value: T) -> core::result::Result<(), PutError<T>> {
        self.put_until(value, Deadline::NOW)
    }

    /// Puts a value, waiting for room for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`Sender::put`], and [`Error::TimedOut`](crate::Error::TimedOut) ([`Error::WouldBlock`](crate::Error::WouldBlock) if
    /// `timeout` is zero).
    pub fn put_timeout(&mut self, value: T, timeout: Duration) -> core::result::Result<(), PutError<T>> {
        self.put_until(value, Deadline::after(timeout))
    }

    #[inline(always)]
    fn put_until(&mut self, value: T, deadline: Deadline) -> core::result::Result<(), PutError<T>> {
        match self.end.begin() {
            Some(turn) => self.finish(turn, value),
            None => self.put_slow(value, deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&mut self, value: T, deadline: Deadline) -> core::result::Result<(), PutError<T>> {
        match self.end.ready(deadline) {
            Ok(turn) => self.finish(turn, value),
            Err(error) => Err(PutError { message: value, error }),
        }
    }

    #[inline(always)]
    fn finish(&mut self, turn: Turn, value: T) -> core::result::Result<(), PutError<T>> {
        let from = (&raw const value).cast::<u8>();
        // SAFETY: the slot has the size of a value, and is this side's until `advance`.
        unsafe { core::ptr::copy_nonoverlapping(from, turn.slot(), size_of::<T>()) };
        self.end.advance(turn).map_err(|error| PutError { message: value, error })
    }

    /// Gives the channel, both ends, a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        self.end.channel().set_name(name.as_bytes())
    }

    /// No more values are put, by whatever process; the consumer gets what is left, then
    /// [`Error::Closed`](crate::Error::Closed). Who waits is woken. Again: changes nothing.
    pub fn close(&self) {
        self.end.channel().close();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.end.channel().is_closed()
    }

    /// How many values are there; another number may be true by now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end.channel().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how many values there is room in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.channel().capacity()
    }

    /// For tests: the shared memory.
    #[doc(hidden)]
    #[must_use]
    pub fn __memory(&self) -> *mut [u8] {
        self.end.channel().bytes()
    }
}

impl<T: Pod> core::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}
