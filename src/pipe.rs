//! Pipes: two connected ends that carry messages between processes.

mod inbox;
#[cfg(feature = "std")]
mod io;
mod packet;
#[cfg(any(feature = "std", feature = "capi"))]
mod wait;

use core::mem::MaybeUninit;
use core::time::Duration;

use inbox::Inboxes;
#[cfg(feature = "capi")]
pub(crate) use wait::wait_ready;
#[cfg(feature = "std")]
pub use wait::{wait_any, wait_any_timeout};

pub(crate) use packet::Received;

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::fd;
#[cfg(any(feature = "std", feature = "capi"))]
use crate::sys::fd::Fd;
use crate::sys::socket;
use crate::sys::unshared::{self, Descriptor, Slot};

/// What an end may do. C's value of both is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    Receive,
    Send,
}

/// One end of a pipe: sends messages to the other end, and receives what that one sends.
///
/// A message arrives whole or not at all, whoever is killed, and messages of several senders do not mix. An empty message is a message.
/// Any number of threads and processes (children have copies of the ends of their parent) may use an end at once; one receives
/// at a time, and the others wait for their turn, which a killed one gives up (one that is stopped does not). A sender of the largest message so far
/// waits for the end of the turn that just is, a moment.
///
/// An end is gone when every copy of it, in whatever process, was dropped or died with its process. Then the other end
/// receives what was sent before, then [`Error::Disconnected`]; sending gives the same, and never a signal. So drop the end that a process
/// does not use: a child that keeps a copy of its parent's end waits for itself. For [`Process::spawn_piped`](crate::Process::spawn_piped)
/// this is done by itself.
///
/// Up to 64 KiB a message is copied through the kernel; of a larger one, the rest is handed over as a sealed memory file. A sender
/// waits while the kernel's buffer (usually 208 KiB) is full.
///
/// ```
/// let (here, there) = forq::pipe()?;
/// here.send(b"question")?;
/// let mut buffer = [0; 100];
/// let size = there.recv(&mut buffer)?;
/// assert_eq!(&buffer[..size], b"question");
/// there.send(b"answer")?;
/// drop(there);
/// assert_eq!(here.recv(&mut buffer)?, 6);
/// assert_eq!(here.recv(&mut buffer), Err(forq::Error::Disconnected));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    descriptor: Descriptor,
    inboxes: Inboxes,
    direction: Direction,
}

/// Two connected ends: what one sends the other receives. Both are close-on-exec, and copied by forks.
///
/// ```no_run
/// use forq::Process;
///
/// let (parent, child) = forq::pipe()?;
/// let mut process = Process::spawn(|| child.send(b"hello"))?;
/// drop(child); // so that the end of the child is seen
/// let mut buffer = [0; 16];
/// assert_eq!(parent.recv(&mut buffer)?, 5);
/// assert_eq!(parent.recv(&mut buffer), Err(forq::Error::Disconnected));
/// process.join()?;
/// # Ok::<(), forq::Error>(())
/// ```
///
/// Here the child keeps a copy of its parent's end, and would never see that one gone. It can drop its copy, if the parent has the end in an
/// `Option` and the closure begins with `drop(parent.take())`; or use [`Process::spawn_piped`](crate::Process::spawn_piped).
///
/// # Errors
/// [`Error::OutOfMemory`]: no memory or descriptors left.
pub fn pipe() -> Result<(Connection, Connection)> {
    let (one, other) = socket::pair()?;
    connect(one.into(), other.into(), [Direction::Both; 2])
}

/// The end that receives and the end that sends, of a pipe in one direction. The wrong direction is [`Error::NotPermitted`].
///
/// ```
/// let (receiver, sender) = forq::pipe_one_way()?;
/// sender.send(b"one way")?;
/// assert_eq!(receiver.recv(&mut [0; 16])?, 7);
/// assert_eq!(receiver.send(b"back"), Err(forq::Error::NotPermitted));
/// # Ok::<(), forq::Error>(())
/// ```
///
/// # Errors
/// As [`pipe`].
pub fn pipe_one_way() -> Result<(Connection, Connection)> {
    let (receiver, sender) = socket::pair()?;
    connect(receiver.into(), sender.into(), [Direction::Receive, Direction::Send])
}

/// A parent's end and its child's: forks do not pass them on, but for the child's to that child.
pub(crate) fn pipe_to_child() -> Result<(Connection, Connection)> {
    let (parent, child) = unshared::socket_pair()?;
    connect(parent, child, [Direction::Both; 2])
}

fn connect(
    one: Descriptor,
    other: Descriptor,
    directions: [Direction; 2],
) -> Result<(Connection, Connection)> {
    let (inboxes, others) = Inboxes::new()?;
    Ok((
        Connection { descriptor: one, inboxes, direction: directions[0] },
        Connection { descriptor: other, inboxes: others, direction: directions[1] },
    ))
}

/// What a connection is made of: for the C face, whose handles are plain structures.
#[cfg(feature = "capi")]
pub(crate) struct Parts {
    pub(crate) descriptor: i32,
    pub(crate) slot: Option<Slot>,
    /// The inboxes of both ends, and which is this one's.
    pub(crate) inboxes: (core::ptr::NonNull<u8>, usize),
    pub(crate) direction: Direction,
}

#[cfg(feature = "capi")]
impl Connection {
    pub(crate) fn into_parts(self) -> Parts {
        let Self { descriptor, inboxes, direction } = self;
        let (descriptor, slot) = descriptor.into_parts();
        Parts { descriptor, slot, inboxes: inboxes.into_raw(), direction }
    }

    /// # Safety
    /// The parts must come from [`Connection::into_parts`], in this process or one that it was forked from, and the result be
    /// the only owner that is dropped.
    pub(crate) unsafe fn from_parts(parts: Parts) -> Self {
        let Parts { descriptor, slot, inboxes: (both, own), direction } = parts;
        // SAFETY: by contract.
        let (descriptor, inboxes) =
            unsafe { (Descriptor::from_parts(descriptor, slot), Inboxes::from_raw(both, own)) };
        Self { descriptor, inboxes, direction }
    }
}

impl Connection {
    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the other end is gone; [`Error::NotPermitted`] at an end that only receives;
    /// [`Error::Deadlock`] in a signal handler that interrupted a receiver at the other end;
    /// [`Error::OutOfMemory`] if there is no memory or descriptor for it; [`Error::OutOfSpace`] if it is larger than this process's files may be;
    /// [`Error::Interrupted`].
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::FOREVER)
    }

    /// Sends a message, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`Connection::send`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero: then nothing was sent.
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_until(message, Deadline::after(timeout))
    }

    /// Sends a message if there is room (and, if it is the largest so far, nobody is just receiving).
    ///
    /// # Errors
    /// As [`Connection::send`], and [`Error::WouldBlock`]: then nothing was sent.
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::NOW)
    }

    pub(crate) fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.check_not(Direction::Receive)?;
        packet::send(self.raw(), self.inboxes.others(), message, deadline)
    }

    /// Receives a message into the beginning of `buffer`, waiting for it; returns its size.
    ///
    /// # Errors
    /// [`Error::Disconnected`] at the end: the other end is gone and all that it sent was received; [`Error::MessageSize`] if the message does not
    /// fit: it stays, see [`Connection::next_size`]; [`Error::Protocol`] if a descriptor is next, which stays;
    /// [`Error::NotPermitted`] at an end that only sends; [`Error::OutOfMemory`] if no descriptor is left for a large message, which stays;
    /// [`Error::Interrupted`].
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.recv_until(buffer, Deadline::FOREVER)
    }

    /// Receives a message, waiting for at most `timeout`.
    ///
    /// # Errors
    /// As [`Connection::recv`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn recv_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.recv_until(buffer, Deadline::after(timeout))
    }

    /// Receives a message if there is one (and no other receiver of this end is just taking one).
    ///
    /// # Errors
    /// As [`Connection::recv`], and [`Error::WouldBlock`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.recv_until(buffer, Deadline::NOW)
    }

    fn recv_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        // SAFETY: the same bytes, which are only ever overwritten by initialised ones.
        let buffer = unsafe { &mut *(core::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        match self.receive_until(buffer, deadline)? {
            Received::Message(size) => Ok(size),
            Received::TooLarge(_) => Err(Error::MessageSize),
        }
    }

    /// Of the buffer, the size received is initialised afterwards.
    pub(crate) fn receive_until(
        &self,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<Received> {
        self.check_not(Direction::Send)?;
        packet::receive(self.raw(), self.inboxes.own(), buffer, deadline)
    }

    /// Waits for a message, which stays; returns its size. (Another receiver of this end may take it.)
    ///
    /// # Errors
    /// As [`Connection::recv`], but for `MessageSize`.
    pub fn next_size(&self) -> Result<usize> {
        self.check_not(Direction::Send)?;
        packet::next_size(self.raw(), self.inboxes.own(), Deadline::FOREVER)
    }

    /// Whether there is something to receive or the other end is gone, waiting for it for at most `timeout`; zero only asks.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] at an end that only sends; [`Error::Interrupted`].
    pub fn poll(&self, timeout: Duration) -> Result<bool> {
        self.poll_until(Deadline::after(timeout))
    }

    pub(crate) fn poll_until(&self, deadline: Deadline) -> Result<bool> {
        self.check_not(Direction::Send)?;
        fd::poll([self.raw()], deadline).map(|[ready]| ready)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn send_fd_until(&self, fd: i32, deadline: Deadline) -> Result<()> {
        self.check_not(Direction::Receive)?;
        packet::send_descriptor(self.raw(), self.inboxes.others(), fd, deadline)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn recv_fd_until(&self, deadline: Deadline) -> Result<Fd> {
        self.check_not(Direction::Send)?;
        packet::receive_descriptor(self.raw(), self.inboxes.own(), deadline)
    }

    pub(crate) fn raw(&self) -> i32 {
        self.descriptor.raw()
    }

    /// For the fork of the child whose end this is.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.descriptor.slot()
    }

    fn check_not(&self, direction: Direction) -> Result<()> {
        if self.direction == direction { Err(Error::NotPermitted) } else { Ok(()) }
    }
}
