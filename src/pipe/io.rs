//! What needs the standard library: results as `Vec`, descriptors with owners, `Read` and `Write`.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::vec::Vec;

use super::{Connection, Received};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::fd::Fd;

impl Connection {
    /// Receives a message of any size, waiting for it.
    ///
    /// ```
    /// let (here, there) = forq::pipe()?;
    /// here.send(&vec![7; 1 << 20])?;
    /// assert_eq!(there.recv_vec()?, vec![7; 1 << 20]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::recv`], but for `MessageSize`; [`Error::OutOfMemory`] also if there is no memory for it: it stays.
    pub fn recv_vec(&self) -> Result<Vec<u8>> {
        self.recv_vec_until(Deadline::FOREVER)
    }

    /// Receives a message of any size, waiting for at most `timeout`.
    ///
    /// # Errors
    /// As [`Connection::recv_vec`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn recv_vec_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.recv_vec_until(Deadline::after(timeout))
    }

    fn recv_vec_until(&self, deadline: Deadline) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            match self.receive_until(message.spare_capacity_mut(), deadline)? {
                Received::Message(size) => {
                    // SAFETY: so many bytes have been received.
                    unsafe { message.set_len(size) };
                    return Ok(message);
                }
                // No lock is held while memory is found. Another receiver may take this message meanwhile.
                Received::TooLarge(size) => {
                    message.try_reserve_exact(size).map_err(|_| Error::OutOfMemory)?;
                }
            }
        }
    }

    /// Sends a copy of a descriptor, which the other end receives by [`Connection::recv_fd`], in its turn among the messages.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// let (here, there) = forq::pipe()?;
    /// here.send_fd(std::fs::File::open("Cargo.toml").unwrap())?;
    /// let mut text = String::new();
    /// std::fs::File::from(there.recv_fd()?).read_to_string(&mut text).unwrap();
    /// assert!(text.contains("forq"));
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_fd(&self, fd: impl AsFd) -> Result<()> {
        self.send_fd_until(fd.as_fd().as_raw_fd(), Deadline::FOREVER)
    }

    /// Sends a copy of a descriptor, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// As [`Connection::send_timeout`].
    pub fn send_fd_timeout(&self, fd: impl AsFd, timeout: Duration) -> Result<()> {
        self.send_fd_until(fd.as_fd().as_raw_fd(), Deadline::after(timeout))
    }

    /// Receives a descriptor, waiting for it. It is close-on-exec.
    ///
    /// # Errors
    /// As [`Connection::recv`]; [`Error::Protocol`] if a message is next, which stays; [`Error::OutOfMemory`] if there is
    /// no room for it among this process's descriptors: it stays.
    pub fn recv_fd(&self) -> Result<OwnedFd> {
        self.recv_fd_until(Deadline::FOREVER).map(owned)
    }

    /// Receives a descriptor, waiting for at most `timeout`.
    ///
    /// # Errors
    /// As [`Connection::recv_fd`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn recv_fd_timeout(&self, timeout: Duration) -> Result<OwnedFd> {
        self.recv_fd_until(Deadline::after(timeout)).map(owned)
    }
}

fn owned(fd: Fd) -> OwnedFd {
    // SAFETY: open, and given away here.
    unsafe { OwnedFd::from_raw_fd(fd.into_raw()) }
}

impl AsFd for Connection {
    /// Readable while there is something to receive or the other end is gone: for poll and epoll, not for reading.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as `self` is.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}

/// Each read takes one message, which must fit. 0 is the end, so empty messages are passed over.
impl io::Read for &Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.recv(buffer) {
                Ok(0) => {}
                Err(Error::Disconnected) => return Ok(0),
                other => return Ok(other?),
            }
        }
    }
}

/// Each write sends one message; an empty one is not sent.
impl io::Write for &Connection {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if !message.is_empty() {
            self.send(message)?;
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As of a reference.
impl io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

/// As of a reference.
impl io::Write for Connection {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        (&*self).write(message)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
