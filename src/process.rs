//! Child processes: forked, joined, signalled by descriptor.

use core::ffi::CStr;
use core::time::Duration;

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::fd::Fd;
use crate::sys::fork::{self, Fork};
use crate::sys::pidfd::{self, Ended};
use crate::sys::{proc, signal, stdio, thread};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// It left with this code.
    Exited(u8),
    /// This signal ended it.
    Signaled(i32),
    /// It has ended, but somebody else collected its status (a `waitpid(-1)` in the host program, or an
    /// ignored SIGCHLD) and the kernel, older than 6.15, no longer tells it.
    Unknown,
}

impl ExitStatus {
    /// Whether it left with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl From<Ended> for ExitStatus {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Exited(code) => Self::Exited(code),
            Ended::Signaled(signal) => Self::Signaled(signal),
            Ended::Unknown => Self::Unknown,
        }
    }
}

/// What a child's function may return: its exit code.
pub trait ExitCode {
    /// The code, of which the lowest eight bits count.
    fn code(self) -> i32;
}

impl ExitCode for () {
    fn code(self) -> i32 {
        0
    }
}

/// Names the type `!`, which stable Rust lets functions return but not be written elsewhere.
#[doc(hidden)]
pub trait Returned {
    #[doc(hidden)]
    type Type;
}

impl<T> Returned for fn() -> T {
    type Type = T;
}

/// A function that never returns has no code.
impl ExitCode for <fn() -> ! as Returned>::Type {
    fn code(self) -> i32 {
        self
    }
}

impl ExitCode for i32 {
    fn code(self) -> i32 {
        self
    }
}

impl ExitCode for u8 {
    fn code(self) -> i32 {
        self.into()
    }
}

impl<E: core::fmt::Display> ExitCode for core::result::Result<(), E> {
    /// 0, or 1 after printing the error to standard error (under `std`).
    fn code(self) -> i32 {
        match self {
            Ok(()) => 0,
            Err(_error) => {
                #[cfg(feature = "std")]
                std::eprintln!("Error: {_error}");
                1
            }
        }
    }
}

/// How to start a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessOptions<'a> {
    name: Option<&'a CStr>,
    daemon: bool,
    own_group: bool,
    nice: i32,
}

impl<'a> ProcessOptions<'a> {
    /// No name, not a daemon, in the parent's group, as nice as the parent.
    #[must_use]
    pub const fn new() -> Self {
        Self { name: None, daemon: false, own_group: false, nice: 0 }
    }

    /// The name that `ps` shows: its first 15 bytes.
    #[must_use]
    pub const fn name(mut self, name: &'a CStr) -> Self {
        self.name = Some(name);
        self
    }

    /// Whether the process ends when its parent process ends, however that ends. The end of the
    /// thread that spawned it does not count. In the child the last real-time signal is used for this.
    #[must_use]
    pub const fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Whether it gets a process group of its own.
    #[must_use]
    pub const fn own_group(mut self, own_group: bool) -> Self {
        self.own_group = own_group;
        self
    }

    /// How much nicer than its parent it is: -39 to 39; less nice needs the privilege.
    #[must_use]
    pub const fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    /// Starts a process as [`Process::spawn`] does, with these options.
    ///
    /// # Errors
    /// As there; [`Error::InvalidArgument`] for a nice value out of range, [`Error::NotPermitted`]
    /// without the privilege for it.
    pub fn spawn<R: ExitCode>(self, function: impl FnOnce() -> R) -> Result<Process> {
        check_fork_is_safe()?;
        // SAFETY: this is the only thread.
        unsafe { self.spawn_unchecked(function) }
    }

    /// Starts a process although other threads may be running.
    ///
    /// # Errors
    /// As [`ProcessOptions::spawn`], but for the two refusals.
    ///
    /// # Safety
    /// If other threads run, the function may do only what is safe in a signal handler: locks they
    /// hold, the allocator's among them, stay locked in the child for ever. If this thread holds a
    /// forq lock, its guard must not be used in the child.
    pub unsafe fn spawn_unchecked<R: ExitCode>(self, function: impl FnOnce() -> R) -> Result<Process> {
        #[cfg(feature = "std")]
        let single = fork::is_single_threaded();
        #[cfg(feature = "std")]
        if single {
            flush_rust();
        }
        let run = || {
            #[cfg(feature = "std")]
            {
                let code = caught(|| function().code()).unwrap_or(PANICKED);
                if single {
                    flush_rust();
                }
                code
            }
            #[cfg(not(feature = "std"))]
            function().code()
        };
        // SAFETY: by contract.
        unsafe { self.start(run) }
    }

    /// Forks and runs `function` in the child; its value is the exit code.
    ///
    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`]. `function` must not unwind.
    pub(crate) unsafe fn start(self, function: impl FnOnce() -> i32) -> Result<Process> {
        if !(-39..=39).contains(&self.nice) {
            return Err(Error::InvalidArgument);
        }
        let parent = proc::pid();
        let (started, start) = Fd::pipe()?;
        let streams = stdio::flush(fork::is_single_threaded());
        // Less nice needs a privilege: tried by the parent, which can still say so.
        let nice_before = if self.nice < 0 { Some(fork::add_nice(self.nice)?) } else { None };
        // SAFETY: by contract.
        let forked = unsafe { fork::fork() };
        if let (Some(nice), Ok(Fork::Parent(_)) | Err(_)) = (nice_before, &forked) {
            // Being nicer is always allowed.
            let _ = fork::set_nice(nice);
        }
        match forked? {
            Fork::Child => {
                let _guard = fork::AbortOnUnwind;
                drop(start);
                // Not before the parent has its descriptor: else we might have ended, and been collected by
                // others, and our id be another process's. At its end the parent is gone.
                let _ = started.read(&mut [0]);
                drop(started);
                self.prepare_child(parent);
                let code = function();
                streams.flush();
                fork::exit_now(code & 0xff)
            }
            Fork::Parent(pid) => {
                if self.own_group {
                    fork::set_own_group(pid);
                }
                match pidfd::open(pid) {
                    Ok(descriptor) => {
                        start.write(&[1]);
                        Ok(Process::new(pid, descriptor))
                    }
                    Err(error) => {
                        // Nobody could ever learn of its end. It still waits.
                        signal::send(pid, signal::SIGKILL);
                        pidfd::collect_pid(pid);
                        Err(error)
                    }
                }
            }
        }
    }

    fn prepare_child(&self, parent: u32) {
        if self.own_group {
            fork::set_own_group(0);
        }
        if self.daemon {
            signal::end_with_parent(parent);
        }
        if self.nice > 0 {
            let _ = fork::add_nice(self.nice);
        }
        if let Some(name) = self.name {
            fork::set_name(name);
        }
    }
}

/// The exit code of a child whose function panicked: that of a Rust program whose `main` did.
#[cfg(feature = "std")]
const PANICKED: i32 = 101;

/// Runs a stranger's code; `None` if it panicked. What the panic carried is dropped here too, and may panic itself.
#[cfg(feature = "std")]
pub(crate) fn caught<R>(function: impl FnOnce() -> R) -> Option<R> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(value) => Some(value),
        Err(payload) => {
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                core::mem::forget(second);
            }
            None
        }
    }
}

/// Writes out what `print!` has buffered.
#[cfg(feature = "std")]
pub(crate) fn flush_rust() {
    use std::io::Write;
    let _ = std::io::stdout().flush();
}

/// Refuses what would copy other threads' locks, or double a guard.
pub(crate) fn check_fork_is_safe() -> Result<()> {
    if !fork::is_single_threaded() {
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
    /// [`Error::MultiThreaded`] if other threads run in this process (a test of libtest does: its
    /// program needs `harness = false`), see [`Process::spawn_unchecked`]; [`Error::LockHeld`] while
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
