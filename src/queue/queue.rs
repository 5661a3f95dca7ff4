//! Queues of plain values.

use core::marker::PhantomData;
use core::mem::{MaybeUninit, size_of};
use core::ptr::NonNull;
use core::time::Duration;

use bytemuck::Pod;

use super::memory::Memory;
use super::ring::Got;
use super::statistics::QueueStatistics;
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// A bounded first-in first-out queue of plain values in shared memory, for the threads of any processes: any number of producers and of
/// consumers.
///
/// When [`Queue::put`] has returned, every process sees the message; what one producer puts comes out in its order. Putting waits while
/// the queue is full, getting while it is empty; neither enters the kernel unless somebody must sleep or be woken. Who waits looks for
/// 1.6 us, yields a few times, then sleeps, and is woken one at a time: a put costs the same however many consumers wait.
///
/// **Deaths.** A process may be killed at any instruction of any call: nobody hangs, no message is torn or doubled, and at most the one in its hands
/// (of a batch: those) is gone. A put that had not returned may have arrived or not; a message that a consumer took and died with is
/// counted by [`QueueStatistics::lost`] as far as that can be seen. A process that is stopped while it waits stops nobody; one that is
/// stopped in the middle of copying a message holds up its side, as the holder of any lock.
///
/// The queue is shared with every process forked later. (Also with those that have the same memory by another way: see [`Queue::make_in`].)
/// Dropping it ends this process's use only.
///
/// ```
/// use forq::{Process, Queue};
///
/// let squares = Queue::<u64>::new(16)?;
/// # let spawn = |f: &dyn Fn()| unsafe { Process::spawn_unchecked(|| f()) };
/// # if false { Process::spawn(|| ())?; }
/// let mut child = spawn(&|| {
///     for x in 0..100 {
///         squares.put(x * x).unwrap();
///     }
///     squares.close();
/// })?;
/// let mut sum = 0;
/// while let Ok(square) = squares.get() {
///     sum += square;
/// }
/// child.join()?;
/// assert_eq!(sum, 328_350);
/// # Ok::<(), forq::Error>(())
/// ```
///
/// Two locks, one a side, and a sequence number a slot whose store commits; the split of the two sides is that of M. M. Michael and M. L. Scott,
/// "Simple, fast, and practical non-blocking and blocking concurrent queue algorithms" (1996), the sequence numbers are those of D. Vyukov's bounded queue (2010).
pub struct Queue<T: Pod> {
    memory: Memory,
    message: PhantomData<fn(T) -> T>,
}

/// Why a message was not put, and the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutError<T> {
    /// What was to be put.
    pub message: T,
    /// Why it was not.
    pub error: Error,
}

impl<T> From<PutError<T>> for Error {
    fn from(refused: PutError<T>) -> Self {
        refused.error
    }
}

impl<T> core::fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.error.fmt(f)
    }
}

#[cfg(feature = "std")]
impl<T: core::fmt::Debug> std::error::Error for PutError<T> {}

impl<T: Pod> Queue<T> {
    /// An empty queue for `capacity` messages, in memory of its own, shared with every later fork. Pages come with their first use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the capacity is 0 or above 2^31, the type has no size, or the size in bytes overflows;
    /// [`Error::OutOfMemory`].
    pub fn new(capacity: usize) -> Result<Self> {
        Self::new_at(capacity, (0, 0))
    }

    /// As [`Queue::new`], with counts that begin at a late lap: for tests of their wrapping.
    #[doc(hidden)]
    pub fn new_at(capacity: usize, lap: (u32, u32)) -> Result<Self> {
        Ok(Self { memory: Memory::new(capacity, size_of::<T>(), lap)?, message: PhantomData })
    }

    /// The bytes that a queue takes, for [`Queue::make_in`]; 0 if there can be none such.
    #[must_use]
    pub fn required_size(capacity: usize) -> usize {
        super::ring::Ring::required_size(capacity, size_of::<T>())
    }

    /// Makes an empty queue in the caller's memory, which is never freed. Others that have mapped the same memory, at
    /// whatever address, find it by [`Queue::find_in`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] as [`Queue::new`], and if the queue does not fit or the memory is not aligned to 64 bytes.
    ///
    /// # Safety
    /// `memory` must be writable for `size` bytes, stay mapped while this value lives, and be used by nobody until this returns; then
    /// only as this queue.
    pub unsafe fn make_in(memory: NonNull<u8>, size: usize, capacity: usize) -> Result<Self> {
        // SAFETY: by contract.
        let memory = unsafe { Memory::make_in(memory, size, capacity, size_of::<T>()) }?;
        Ok(Self { memory, message: PhantomData })
    }

    /// Finds a queue that [`Queue::make_in`] has made there.
    ///
    /// # Errors
    /// [`Error::Protocol`] if there is none, one of another version of forq or for messages of another size; [`Error::InvalidArgument`] if the memory
    /// is not aligned to 64 bytes.
    ///
    /// # Safety
    /// `memory` must be readable and writable for `size` bytes, stay mapped while this value lives, and be used only as this queue.
    pub unsafe fn find_in(memory: NonNull<u8>, size: usize) -> Result<Self> {
        // SAFETY: by contract.
        let memory = unsafe { Memory::find_in(memory, size) }?;
        if memory.ring.message_size() != size_of::<T>() {
            return Err(Error::Protocol);
        }
        Ok(Self { memory, message: PhantomData })
    }

    #[inline(always)]
    fn put_until(&self, message: T, deadline: Deadline) -> core::result::Result<(), PutError<T>> {
        // SAFETY: a value, which is valid for its size; plain data has no bytes that could not be read.
        unsafe { self.memory.ring.put((&raw const message).cast(), size_of::<T>(), deadline) }
            .map_err(|error| PutError { message, error })
    }

    #[inline(always)]
    fn get_until(&self, deadline: Deadline) -> Result<T> {
        let mut message = MaybeUninit::<T>::uninit();
        // SAFETY: a place for a value.
        match unsafe { self.memory.get(message.as_mut_ptr().cast(), size_of::<T>(), deadline) }? {
            // SAFETY: all its bytes were written, and any bytes are a value.
            Got::Message(size) if size == size_of::<T>() => Ok(unsafe { message.assume_init() }),
            // Put by a stranger.
            Got::Message(_) | Got::TooLarge(_) => Err(Error::Protocol),
        }
    }

    /// Puts a message, waiting while the queue is full.
    ///
    /// # Errors
    /// The message comes back, with [`Error::Closed`] after [`Queue::close`]; [`Error::Interrupted`], see [`set_interruptible`](crate::set_interruptible);
    /// [`Error::Deadlock`] in a signal handler that interrupted another call on the queue; [`Error::Protocol`] if a stranger has written into the queue.
    #[inline]
    pub fn put(&self, message: T) -> core::result::Result<(), PutError<T>> {
        self.put_until(message, Deadline::FOREVER)
    }

    /// As [`Queue::put`], but does not wait: [`Error::WouldBlock`] if the queue is full.
    ///
    /// # Errors
    /// As [`Queue::put`].
    #[inline]
    pub fn try_put(&self, message: T) -> core::result::Result<(), PutError<T>> {
        self.put_until(message, Deadline::NOW)
    }

    /// As [`Queue::put`], but waits for so long at most: then [`Error::TimedOut`].
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub fn put_timeout(&self, message: T, timeout: Duration) -> core::result::Result<(), PutError<T>> {
        self.put_until(message, Deadline::after(timeout))
    }

    /// Takes the next message, waiting while the queue is empty.
    ///
    /// # Errors
    /// [`Error::Closed`] if the queue is closed and nothing is left; else as [`Queue::put`].
    #[inline]
    pub fn get(&self) -> Result<T> {
        self.get_until(Deadline::FOREVER)
    }

    /// As [`Queue::get`], but does not wait: [`Error::WouldBlock`] if the queue is empty.
    ///
    /// # Errors
    /// As [`Queue::get`].
    #[inline]
    pub fn try_get(&self) -> Result<T> {
        self.get_until(Deadline::NOW)
    }

    /// As [`Queue::get`], but waits for so long at most: then [`Error::TimedOut`].
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.get_until(Deadline::after(timeout))
    }

    /// Puts messages one after the other, for the price of one lock: no other producer's come between unless the queue fills up. Waits until
    /// all are put; tells how many were, if an error ended it after the first.
    ///
    /// # Errors
    /// As [`Queue::put`], when none was put.
    pub fn put_many(&self, messages: &[T]) -> Result<usize> {
        self.put_many_until(messages, Deadline::FOREVER)
    }

    /// As [`Queue::put_many`], but waits for so long at most in all; a time of 0 puts what there is room for.
    ///
    /// # Errors
    /// As [`Queue::put_many`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if the time is 0, when none was put.
    pub fn put_many_timeout(&self, messages: &[T], timeout: Duration) -> Result<usize> {
        self.put_many_until(messages, Deadline::after(timeout))
    }

    fn put_many_until(&self, messages: &[T], deadline: Deadline) -> Result<usize> {
        // SAFETY: a slice, of plain values.
        unsafe {
            self.memory.ring.put_many(messages.as_ptr().cast(), size_of::<T>(), messages.len(), deadline)
        }
    }

    /// Takes what messages there are, as many as fit, waiting for the first; tells how many.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub fn get_many(&self, messages: &mut [T]) -> Result<usize> {
        self.get_many_until(messages, Deadline::FOREVER)
    }

    /// As [`Queue::get_many`], but waits for so long at most.
    ///
    /// # Errors
    /// As [`Queue::get_many`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if the time is 0.
    pub fn get_many_timeout(&self, messages: &mut [T], timeout: Duration) -> Result<usize> {
        self.get_many_until(messages, Deadline::after(timeout))
    }

    fn get_many_until(&self, messages: &mut [T], deadline: Deadline) -> Result<usize> {
        let place = messages.as_mut_ptr().cast();
        // SAFETY: a slice, of plain values, any bytes of which are one.
        match unsafe { self.memory.get_many(place, size_of::<T>(), messages.len(), deadline) }? {
            Got::Message(count) => Ok(count),
            Got::TooLarge(_) => Err(Error::Protocol),
        }
    }

    /// No more puts, here or anywhere: they fail with [`Error::Closed`], those that wait included. Gets take what is left, then fail likewise.
    /// Closing again does nothing.
    pub fn close(&self) {
        self.memory.ring.close();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.memory.ring.is_closed()
    }

    /// Marks one of the messages that were taken as done, for [`Queue::join`].
    ///
    /// # Errors
    /// [`Error::Overflow`] if as many have been marked as were put.
    pub fn task_done(&self) -> Result<()> {
        self.memory.ring.task_done()
    }

    /// Waits until every message put has been marked done. What a consumer took and died with stays unfinished: where that can happen,
    /// [`Queue::join_timeout`] is for.
    ///
    /// # Errors
    /// [`Error::Interrupted`], see [`set_interruptible`](crate::set_interruptible).
    pub fn join(&self) -> Result<()> {
        self.memory.ring.join(Deadline::FOREVER)
    }

    /// As [`Queue::join`], but waits for so long at most.
    ///
    /// # Errors
    /// As [`Queue::join`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if the time is 0.
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.memory.ring.join(Deadline::after(timeout))
    }

    /// A descriptor of this process that is readable while there may be messages, or the queue is closed: for poll, epoll and event loops,
    /// not for reading. Made at the first call; until somebody asks for one, readiness costs nothing, then one
    /// system call or two of the put that ends emptiness. Who finds it readable calls [`Queue::try_get`] until that fails, which makes it unreadable. (A
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

    /// What it has done.
    #[must_use]
    pub fn statistics(&self) -> QueueStatistics {
        self.memory.ring.statistics()
    }
}

impl<T: Pod> core::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
