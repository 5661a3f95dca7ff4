//! The ends of a channel for messages of bytes.

use core::mem::MaybeUninit;
use core::time::Duration;

use super::side::{Consuming, End, Producing};
use super::slot::{Message, Slot};
use crate::error::{Error, Result};
use crate::pipe::Received;
use crate::sys::clock::Deadline;

/// The end of a [`byte_channel`](crate::byte_channel) that puts messages.
///
/// Dropping it where it was used ends the use of the side, as with a [`Sender`](crate::Sender).
pub struct ByteSender {
    end: End<Producing>,
}

/// The end of a [`byte_channel`](crate::byte_channel) that gets messages, in the order in which they were put.
///
/// Dropping it where it was used ends the use of the side, as with a [`Receiver`](crate::Receiver).
pub struct ByteReceiver {
    end: End<Consuming>,
}

impl ByteSender {
    pub(super) fn new(end: End<Producing>) -> Self {
        Self { end }
    }

    /// Puts a message, waiting for room for ever if it must. Wait-free while there is room.
    ///
    /// # Errors
    /// [`Error::MessageSize`] if it is larger than messages may be; else as [`Sender::put`](crate::Sender::put).
    #[inline]
    pub fn put(&mut self, message: &[u8]) -> Result<()> {
        self.end.put(message, Deadline::FOREVER)
    }

    /// Puts a message if there is room.
    ///
    /// # Errors
    /// As [`ByteSender::put`], and [`Error::WouldBlock`].
    #[inline]
    pub fn try_put(&mut self, message: &[u8]) -> Result<()> {
        self.end.put(message, Deadline::NOW)
    }

    /// Puts a message, waiting for room for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`ByteSender::put`], and [`Error::TimedOut`] ([`Error::WouldBlock`] if `timeout` is zero).
    pub fn put_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<()> {
        self.end.put(message, Deadline::after(timeout))
    }

    /// A place in the channel to write the next message to, waiting for room: no copy is made. It is put by
    /// [`Slot::commit`]; dropped, or in a process that is killed, it never was.
    ///
    /// ```
    /// let (mut sender, mut receiver) = forq::byte_channel(4, 1 << 16)?;
    /// let mut slot = sender.reserve()?;
    /// slot.write(0, b"in ")?;
    /// slot.write(3, b"place")?;
    /// slot.commit(8)?;
    /// let message = receiver.peek()?;
    /// assert_eq!(message.to_vec(), b"in place");
    /// message.release();
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Sender::put`](crate::Sender::put).
    pub fn reserve(&mut self) -> Result<Slot<'_>> {
        Slot::reserve(&mut self.end, Deadline::FOREVER)
    }

    /// As [`ByteSender::reserve`], if there is room.
    ///
    /// # Errors
    /// As [`ByteSender::try_put`].
    pub fn try_reserve(&mut self) -> Result<Slot<'_>> {
        Slot::reserve(&mut self.end, Deadline::NOW)
    }

    /// As [`ByteSender::reserve`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// As [`ByteSender::put_timeout`].
    pub fn reserve_timeout(&mut self, timeout: Duration) -> Result<Slot<'_>> {
        Slot::reserve(&mut self.end, Deadline::after(timeout))
    }
}

impl ByteReceiver {
    pub(super) fn new(end: End<Consuming>) -> Self {
        Self { end }
    }

    /// Takes the next message into the beginning of `buffer`, waiting for it for ever if it must; returns its size. Wait-free while
    /// there is one.
    ///
    /// # Errors
    /// [`Error::MessageSize`] if it does not fit: it stays, see [`ByteReceiver::peek`]; else as [`Receiver::get`](crate::Receiver::get).
    #[inline]
    pub fn get(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.get_until(buffer, Deadline::FOREVER)
    }

    /// Takes the next message if there is one.
    ///
    /// # Errors
    /// As [`ByteReceiver::get`], and [`Error::WouldBlock`].
    #[inline]
    pub fn try_get(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.get_until(buffer, Deadline::NOW)
    }

    /// Takes the next message, waiting for it for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`ByteReceiver::get`], and [`Error::TimedOut`] ([`Error::WouldBlock`] if `timeout` is zero).
    pub fn get_timeout(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.get_until(buffer, Deadline::after(timeout))
    }

    #[inline]
    fn get_until(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        // SAFETY: the same bytes, which are only ever overwritten by initialised ones.
        let buffer = unsafe { &mut *(core::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        match self.end.get(buffer, deadline)? {
            Received::Message(size) => Ok(size),
            Received::TooLarge(_) => Err(Error::MessageSize),
        }
    }

    /// The next message where it is, waiting for it: no copy is made. It is taken by [`Message::release`]; dropped, or in a process that is
    /// killed, it stays.
    ///
    /// # Errors
    /// As [`Receiver::get`](crate::Receiver::get).
    pub fn peek(&mut self) -> Result<Message<'_>> {
        Message::peek(&mut self.end, Deadline::FOREVER)
    }

    /// As [`ByteReceiver::peek`], if there is one.
    ///
    /// # Errors
    /// As [`ByteReceiver::try_get`].
    pub fn try_peek(&mut self) -> Result<Message<'_>> {
        Message::peek(&mut self.end, Deadline::NOW)
    }

    /// As [`ByteReceiver::peek`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// As [`ByteReceiver::get_timeout`].
    pub fn peek_timeout(&mut self, timeout: Duration) -> Result<Message<'_>> {
        Message::peek(&mut self.end, Deadline::after(timeout))
    }
}

macro_rules! both_ends {
    ($($end:ident)*) => { $(
        impl $end {
            /// Gives the channel, both ends, a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
            ///
            /// # Errors
            /// As there.
            pub fn set_name(&self, name: &str) -> crate::Result<()> {
                self.end.channel().set_name(name.as_bytes())
            }

            /// No more messages are put, by whatever process; what is left can be got, then it is [`Error::Closed`]. Who waits is woken.
            /// Again: changes nothing.
            pub fn close(&self) {
                self.end.channel().close();
            }

            /// Whether it was closed.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.end.channel().is_closed()
            }

            /// How many messages are there; another number may be true by now.
            #[must_use]
            pub fn len(&self) -> usize {
                self.end.channel().len()
            }

            /// Whether none is.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// For how many messages there is room in all.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.end.channel().capacity()
            }

            /// How large a message may be, in bytes.
            #[must_use]
            pub fn message_size(&self) -> usize {
                self.end.channel().message_size()
            }

            /// For tests: the shared memory.
            #[doc(hidden)]
            #[must_use]
            pub fn __memory(&self) -> *mut [u8] {
                self.end.channel().bytes()
            }
        }

        impl core::fmt::Debug for $end {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("message_size", &self.message_size())
                    .finish()
            }
        }
    )* };
}
both_ends!(ByteSender ByteReceiver);
