//! Waiting for one of many: connections, processes, and whatever else has a descriptor.

#[cfg(feature = "std")]
use core::time::Duration;
#[cfg(feature = "std")]
use std::{os::fd::AsFd, os::fd::AsRawFd, vec::Vec};

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::fd;

/// Waits until one of `fds` is readable or at its end: calls `tell` for each, in their order; returns how many are.
pub(crate) fn wait_ready(
    fds: impl ExactSizeIterator<Item = i32>,
    deadline: Deadline,
    tell: impl FnMut(bool),
) -> Result<usize> {
    if fds.len() == 0 {
        return Err(Error::InvalidArgument);
    }
    match fd::poll_many(fds, deadline, tell)? {
        0 if deadline.is_now() => Err(Error::WouldBlock),
        0 => Err(Error::TimedOut),
        ready => Ok(ready),
    }
}

/// Waits until at least one is ready: a connection has something to receive or its other end is gone, a process has ended, another
/// descriptor is readable or at its end. Returns which are, by index.
///
/// ```
/// use std::os::fd::AsFd;
///
/// let (here, there) = forq::pipe()?;
/// let (other, _kept) = forq::pipe()?;
/// there.send(b"now")?;
/// assert_eq!(forq::wait_any(&[&other, &here])?, [1]);
/// # Ok::<(), forq::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] for none, or more than this process may have open; [`Error::Interrupted`].
#[cfg(feature = "std")]
pub fn wait_any(of: &[&dyn AsFd]) -> Result<Vec<usize>> {
    wait_any_until(of, Deadline::FOREVER)
}

/// As [`wait_any`], for at most `timeout`.
///
/// # Errors
/// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
#[cfg(feature = "std")]
pub fn wait_any_timeout(of: &[&dyn AsFd], timeout: Duration) -> Result<Vec<usize>> {
    wait_any_until(of, Deadline::after(timeout))
}

#[cfg(feature = "std")]
fn wait_any_until(of: &[&dyn AsFd], deadline: Deadline) -> Result<Vec<usize>> {
    let mut ready = Vec::new();
    let mut index = 0;
    wait_ready(of.iter().map(|one| one.as_fd().as_raw_fd()), deadline, |is_ready| {
        if is_ready {
            ready.push(index);
        }
        index += 1;
    })?;
    Ok(ready)
}
