//! The consumer's end of a channel for values.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::time::Duration;

use bytemuck::Pod;

use super::side::{Consuming, End, Turn};
use crate::error::Result;
use crate::sys::clock::Deadline;

/// The end of a [`channel()`](crate::channel()) that gets values, in the order in which they were put.
///
/// Dropping it where it was used ends the use of the side: the producer is told when it has to wait, unless another process
/// takes the side over. What was not got stays.
pub struct Receiver<T: Pod> {
    end: End<Consuming>,
    values: PhantomData<fn() -> T>,
}

impl<T: Pod> Receiver<T> {
    pub(super) fn new(end: End<Consuming>) -> Self {
        Self { end, values: PhantomData }
    }

    /// Takes the next value, waiting for it for ever if it must. Wait-free while there is one.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if it was closed and nothing is left;
    /// [`Error::Disconnected`](crate::Error::Disconnected) if nothing is left and the producer is gone;
    /// [`Error::NotPermitted`](crate::Error::NotPermitted) if another process is just getting;
    /// [`Error::Interrupted`](crate::Error::Interrupted), if this thread asked for it; [`Error::Protocol`](crate::Error::Protocol) if
    /// the shared memory holds what cannot be.
    #[inline]
    pub fn get(&mut self) -> Result<T> {
        self.get_until(Deadline::FOREVER)
    }

    /// Takes the next value if there is one.
    ///
    /// # Errors
    /// As [`Receiver::get`], and [`Error::WouldBlock`](crate::Error::WouldBlock).
    #[inline]
    pub fn try_get(&mut self) -> Result<T> {
        self.get_until(Deadline::NOW)
    }

    /// Takes the next value, waiting for it for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`Receiver::get`], and [`Error::TimedOut`](crate::Error::TimedOut) ([`Error::WouldBlock`](crate::Error::WouldBlock) if
    /// `timeout` is zero).
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<T> {
        self.get_until(Deadline::after(timeout))
    }

    #[inline(always)]
    fn get_until(&mut self, deadline: Deadline) -> Result<T> {
        match self.end.begin() {
            Some(turn) => self.finish(turn),
            None => self.get_slow(deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_slow(&mut self, deadline: Deadline) -> Result<T> {
        let turn = self.end.ready(deadline)?;
        self.finish(turn)
    }

    #[inline(always)]
    fn finish(&mut self, turn: Turn) -> Result<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the slot has the size of a value, and is this side's until `advance`.
        unsafe {
            core::ptr::copy_nonoverlapping(turn.slot(), value.as_mut_ptr().cast(), size_of::<T>());
        }
        self.end.advance(turn)?;
        // SAFETY: all bytes are written, and any bytes are a value.
        Ok(unsafe { value.assume_init() })
    }

    /// Gives the channel, both ends, a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        self.end.channel().set_name(name.as_bytes())
    }

    /// No more values are put, by whatever process; what is left can be got. Who waits is woken. Again: changes nothing.
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

impl<T: Pod> core::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}
