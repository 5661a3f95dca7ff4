//! Child processes: forked, joined, signalled by descriptor.

mod exit;
mod options;

use core::time::Duration;

pub use exit::{ExitCode, ExitStatus};
pub use options::ProcessOptions;

use crate::error::{Error, Result};
use crate::pipe::Connection;
use crate::sys::clock::Deadline;
use crate::sys::fd::Fd;
use crate::sys::{pidfd, proc, signal, thread};

/// The exit code of a child whose function panicked: that of a Rust program whose `main` did.
#[cfg(feature = "std")]
const PANICKED: i32 = 101;

/// Runs a stranger's code; `None` if it panicked. What the panic carried is dropped here too, and may panic itself.
#[cfg(feature = "std")]
pub(crate) fn caught<R>(function: impl FnOnce() -> R) -> Option<R> {
    caught_telling(function, |_| ()).ok()
}

/// As [`caught`]; `tell` is given what the panic said, if it said something, and makes the error of it.
#[cfg(feature = "std")]
pub(crate) fn caught_telling<R, E>(
    function: impl FnOnce() -> R,
    tell: impl FnOnce(Option<&str>) -> E,
) -> core::result::Result<R, E> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    catch_unwind(AssertUnwindSafe(function)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let told = tell(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)));
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            core::mem::forget(second);
        }
        told
    })
}

/// Writes out what `print!` has buffered.
#[cfg(feature = "std")]
pub(crate) fn flush_rust() {
    use std::io::Write;
    let _ = std::io::stdout().flush();
}

/// Refuses what would copy other threads' locks, or double a guard.
pub(crate) fn check_fork_is_safe() -> Result<()> {
    if !proc::is_single_threaded() {
        return Err(Error::MultiThreaded);
    }
    if thread::current().holds_lock() {
        return Err(Error::LockHeld);
    }
    Ok(())
}

/// A child process of this one.
///
/// Dropping it does not end the process: it runs on, as a thread of `std` does when its handle is
/// dropped. (Once ended it then stays in the process table until this process ends.)
/// In a child forked later the copied handle may signal and ask, but not join: [`Error::NotPermitted`].
///
/// ```no_run
/// use forq::{ExitStatus, Process};
///
/// let mut child = Process::spawn(|| 7)?;
/// assert_eq!(child.join()?, ExitStatus::Exited(7));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Debug)]
pub struct Process {
    pid: u32,
    generation: u64,
    descriptor: Fd,
    status: Option<ExitStatus>,
}

/// What a process handle is made of: for the C face, whose handles are plain structures.
#[cfg(feature = "capi")]
pub(crate) struct Parts {
    pub(crate) pid: u32,
    pub(crate) generation: u64,
    pub(crate) descriptor: i32,
    pub(crate) status: Option<ExitStatus>,
}

#[cfg(feature = "capi")]
impl Process {
    pub(crate) fn into_parts(self) -> Parts {
        let Self { pid, generation, descriptor, status } = self;
        Parts { pid, generation, descriptor: descriptor.into_raw(), status }
    }

    /// # Safety
    /// The parts must come from [`Process::into_parts`], and the result be the only owner of the descriptor that is dropped.
    pub(crate) unsafe fn from_parts(parts: Parts) -> Self {
        let Parts { pid, generation, descriptor, status } = parts;
        // SAFETY: by contract.
        Self { pid, generation, descriptor: unsafe { Fd::from_raw(descriptor) }, status }
    }
}

impl Process {
    fn new(pid: u32, descriptor: Fd) -> Self {
        Self { pid, generation: thread::generation(), descriptor, status: None }
    }

    /// Forks a child that runs `function` and leaves with its value as exit code.
    ///
    /// The closure may borrow from this process: the child has a copy of everything; what is to be
    /// seen by both must be in [`Shared`](crate::Shared). Standard output is flushed before the fork, and in the child
    /// at its end, which comes by `_exit`: destructors of the parent's frames do not run there. A panic ends the child with code 101
    /// after printing its message.
    ///
    /// # Errors
    /// [`Error::MultiThreaded`] if other threads run in this process (not one that was joined; a test of libtest is
    /// one beside others: its program needs `harness = false`), see [`Process::spawn_unchecked`]; [`Error::LockHeld`] while
    /// this thread holds a forq lock; [`Error::OutOfMemory`] if the system is out of processes,
    /// descriptors or memory.
    pub fn spawn<R: ExitCode>(function: impl FnOnce() -> R) -> Result<Self> {
        ProcessOptions::new().spawn(function)
    }

    /// [`Process::spawn`] without its two refusals.
    ///
    /// # Errors
    /// As [`Process::spawn`], but for those.
    ///
    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`].
    pub unsafe fn spawn_unchecked<R: ExitCode>(function: impl FnOnce() -> R) -> Result<Self> {
        // SAFETY: by contract.
        unsafe { ProcessOptions::new().spawn_unchecked(function) }
    }

    /// As [`Process::spawn`], with a pipe between parent and child: the function gets one end, and the other one is returned.
    ///
    /// Each end belongs to one process: forq's forks (of processes and pools) do not pass it on, so that the end of either process
    /// is seen by the other whatever was forked in between. To a child that gets a copy all the same, since it was captured, it looks as
    /// if the other end were gone.
    ///
    /// ```no_run
    /// use forq::Process;
    ///
    /// let (mut child, connection) = Process::spawn_piped(|connection| {
    ///     let question = connection.recv_vec()?;
    ///     connection.send(&question.repeat(2))
    /// })?;
    /// connection.send(b"ha")?;
    /// assert_eq!(connection.recv_vec()?, b"haha");
    /// assert!(child.join()?.success());
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn_piped<R: ExitCode>(function: impl FnOnce(Connection) -> R) -> Result<(Self, Connection)> {
        ProcessOptions::new().spawn_piped(function)
    }

    /// [`Process::spawn_piped`] without the two refusals of [`Process::spawn`].
    ///
    /// # Errors
    /// As [`Process::spawn`], but for those.
    ///
    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`].
    pub unsafe fn spawn_piped_unchecked<R: ExitCode>(
        function: impl FnOnce(Connection) -> R,
    ) -> Result<(Self, Connection)> {
        // SAFETY: by contract.
        unsafe { ProcessOptions::new().spawn_piped_unchecked(function) }
    }

    /// Waits for the end of the process. Again: the same answer.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] in a process that is not its parent; [`Error::Interrupted`].
    pub fn join(&mut self) -> Result<ExitStatus> {
        self.join_until(Deadline::FOREVER)
    }

    /// Waits for the end of the process for at most `timeout`.
    ///
    /// # Errors
    /// As [`Process::join`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.join_until(Deadline::after(timeout))
    }

    /// The status if the process has ended; never waits.
    ///
    /// # Errors
    /// As [`Process::join`].
    pub fn try_join(&mut self) -> Result<Option<ExitStatus>> {
        match self.join_until(Deadline::NOW) {
            Ok(status) => Ok(Some(status)),
            Err(Error::WouldBlock) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn join_until(&mut self, deadline: Deadline) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        if self.generation != thread::generation() {
            return Err(Error::NotPermitted);
        }
        let status = pidfd::join(self.descriptor.raw(), deadline)?.into();
        self.status = Some(status);
        Ok(status)
    }

    /// Whether the process has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.status.is_none() && !pidfd::has_ended(self.descriptor.raw())
    }

    /// Sends a signal: to this process or to none, since it goes by descriptor.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`] if it has ended; [`Error::InvalidArgument`] for no signal of this system;
    /// [`Error::NotPermitted`] if it runs for another user now.
    pub fn signal(&self, number: i32) -> Result<()> {
        if !self.is_alive() {
            return Err(Error::NoSuchProcess);
        }
        pidfd::signal(self.descriptor.raw(), number)
    }

    /// Asks the process to end, by SIGTERM.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn terminate(&self) -> Result<()> {
        self.signal(signal::SIGTERM)
    }

    /// Ends the process, by SIGKILL.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn kill(&self) -> Result<()> {
        self.signal(signal::SIGKILL)
    }

    /// Its process id: of another process once it has been joined and the system came round to it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

#[cfg(feature = "std")]
impl std::os::fd::AsFd for Process {
    /// Readable once the process has ended: for poll and epoll.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        // SAFETY: open as long as `self` is.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.descriptor.raw()) }
    }
}
