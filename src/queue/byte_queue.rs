//! Queues of messages of any length up to a limit.

use core::ptr::NonNull;
use core::time::Duration;

use super::memory::Memory;
use super::ring::{Got, Ring};
use super::statistics::QueueStatistics;
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// As [`Queue`](crate::Queue), of byte strings of up to a fixed length, each with its own. The empty one is a message, too.
///
/// ```
/// let words = forq::ByteQueue::new(4, 16)?;
/// words.put(b"shared")?;
/// words.put(b"")?;
/// let mut buffer = [0; 16];
/// let length = words.get(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"shared");
/// assert_eq!(words.get(&mut buffer)?, 0);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct ByteQueue {
    memory: Memory,
}

impl ByteQueue {
    /// An empty queue for `capacity` messages of up to `message_size` bytes, in memory of its own, shared with every later fork. Pages come with
    /// their first use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if one is 0, the capacity is above 2^31, the size above 2^32 - 1, or the product overflows;
    /// [`Error::OutOfMemory`].
    pub fn new(capacity: usize, message_size: usize) -> Result<Self> {
        Self::new_at(capacity, message_size, (0, 0))
    }

    /// As [`ByteQueue::new`], with counts that begin at a late lap: for tests of their wrapping.
    #[doc(hidden)]
    pub fn new_at(capacity: usize, message_size: usize, lap: (u32, u32)) -> Result<Self> {
        Ok(Self { memory: Memory::new(capacity, message_size, lap)? })
    }

    /// The bytes that a queue takes, for [`ByteQueue::make_in`]; 0 if there can be none such.
    #[must_use]
    pub fn required_size(capacity: usize, message_size: usize) -> usize {
        Ring::required_size(capacity, message_size)
    }

    /// As [`Queue::make_in`](crate::Queue::make_in).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn make_in(
        memory: NonNull<u8>,
        size: usize,
        capacity: usize,
        message_size: usize,
    ) -> Result<Self> {
        // SAFETY: by contract.
        Ok(Self { memory: unsafe { Memory::make_in(memory, size, capacity, message_size) }? })
    }

    /// As [`Queue::find_in`](crate::Queue::find_in), whatever the messages' size.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn find_in(memory: NonNull<u8>, size: usize) -> Result<Self> {
        // SAFETY: by contract.
        Ok(Self { memory: unsafe { Memory::find_in(memory, size) }? })
    }

    fn put_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        // SAFETY: a slice.
        unsafe { self.memory.ring.put(message.as_ptr(), message.len(), deadline) }
    }

    fn get_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        // SAFETY: a slice.
        match unsafe { self.memory.get(buffer.as_mut_ptr(), buffer.len(), deadline) }? {
            Got::Message(length) => Ok(length),
            Got::TooLarge(_) => Err(Error::MessageSize),
        }
    }

    /// Puts a message, waiting while the queue is full.
    ///
    /// # Errors
    /// [`Error::MessageSize`] if it is longer than messages may be; else as [`Queue::put`](crate::Queue::put).
    pub fn put(&self, message: &[u8]) -> Result<()> {
        self.put_until(message, Deadline::FOREVER)
    }

    /// As [`ByteQueue::put`], but does not wait: [`Error::WouldBlock`] if the queue is full.
    ///
    /// # Errors
    /// As [`ByteQueue::put`].
    pub fn try_put(&self, message: &[u8]) -> Result<()> {
        self.put_until(message, Deadline::NOW)
    }

    /// As [`ByteQueue::put`], but waits for so long at most: then [`Error::TimedOut`].
    ///
    /// # Errors
    /// As [`ByteQueue::put`].
    pub fn put_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.put_until(message, Deadline::after(timeout))
    }

    /// Takes the next message into a buffer, waiting while the queue is empty; tells its length.
    ///
    /// # Errors
    /// [`Error::MessageSize`] if it does not fit: it stays. [`Error::Closed`] if the queue is closed and nothing is left; else as
    /// [`Queue::put`](crate::Queue::put).
    pub fn get(&self, buffer: &mut [u8]) -> Result<usize> {
        self.get_until(buffer, Deadline::FOREVER)
    }

    /// As [`ByteQueue::get`], but does not wait: [`Error::WouldBlock`] if the queue is empty.
    ///
    /// # Errors
    /// As [`ByteQueue::get`].
    pub fn try_get(&self, buffer: &mut [u8]) -> Result<usize> {
        self.get_until(buffer, Deadline::NOW)
    }

    /// As [`ByteQueue::get`], but waits for so long at most: then [`Error::TimedOut`].
    ///
    /// # Errors
    /// As [`ByteQueue::get`].
    pub fn get_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.get_until(buffer, Deadline::after(timeout))
    }

    /// As [`Queue::close`](crate::Queue::close).
    pub fn close(&self) {
        self.memory.ring.close();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.memory.ring.is_closed()
    }

    /// As [`Queue::task_done`](crate::Queue::task_done).
    ///
    /// # Errors
    /// As there.
    pub fn task_done(&self) -> Result<()> {
        self.memory.ring.task_done()
    }

    /// As [`Queue::join`](crate::Queue::join).
    ///
    /// # Errors
    /// As there.
    pub fn join(&self) -> Result<()> {
        self.memory.ring.join(Deadline::FOREVER)
    }

    /// As [`Queue::join_timeout`](crate::Queue::join_timeout).
    ///
    /// # Errors
    /// As there.
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.memory.ring.join(Deadline::after(timeout))
    }

    /// A descriptor of this process that is readable while there may be messages, or the queue is closed: for poll, epoll and event loops,
    /// not for reading. Made at the first call; until somebody asks for one, readiness costs nothing, then one
    /// system call or two of the put that ends emptiness. Who finds it readable calls [`ByteQueue::try_get`] until that fails, which makes it unreadable. (A
    /// datagram socket, so that processes that were there before reach it, too: they must be in the same network namespace.)
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] without descriptors; [`Error::OutOfSpace`] if 32 processes have one. From then on, a put that ends emptiness fails with
    /// [`Error::OutOfMemory`] if its process has no descriptor left to tell by.
    #[cfg(feature = "std")]
    pub fn readiness(&self) -> Result<std::os::fd::BorrowedFd<'_>> {
        let raw = self.memory.descriptor()?;
        // SAFETY: open as long as the queue is.
        Ok(unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) })
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        self.memory.ring.set_name(name.as_bytes())
    }

    /// How many messages are in it now; also after it was closed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.ring.len()
    }

    /// Whether there is no message in it now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it holds at most: what it was made with.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.ring.capacity()
    }

    /// How long a message may be, in bytes: what it was made with.
    #[must_use]
    pub fn message_size(&self) -> usize {
        self.memory.ring.message_size()
    }

    /// What it has done.
    #[must_use]
    pub fn statistics(&self) -> QueueStatistics {
        self.memory.ring.statistics()
    }
}

impl core::fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ByteQueue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
