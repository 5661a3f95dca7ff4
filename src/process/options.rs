//! How processes start.

use core::ffi::CStr;

use super::{ExitCode, Process, check_fork_is_safe};
#[cfg(feature = "std")]
use super::{PANICKED, caught, flush_rust};
use crate::error::{Error, Result};
use crate::pipe::{Connection, pipe_to_child};
use crate::sys::fd::Fd;
use crate::sys::fork::{self, Fork};
use crate::sys::unshared::Slot;
use crate::sys::{pidfd, proc, signal, stdio};

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
        // SAFETY: by contract.
        unsafe { self.spawn_keeping(None, function) }
    }

    /// Starts a process as [`Process::spawn_piped`] does, with these options.
    ///
    /// # Errors
    /// As [`ProcessOptions::spawn`].
    pub fn spawn_piped<R: ExitCode>(
        self,
        function: impl FnOnce(Connection) -> R,
    ) -> Result<(Process, Connection)> {
        check_fork_is_safe()?;
        // SAFETY: this is the only thread.
        unsafe { self.spawn_piped_unchecked(function) }
    }

    /// [`ProcessOptions::spawn_piped`] although other threads may be running.
    ///
    /// # Errors
    /// As there, but for the two refusals.
    ///
    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`].
    pub unsafe fn spawn_piped_unchecked<R: ExitCode>(
        self,
        function: impl FnOnce(Connection) -> R,
    ) -> Result<(Process, Connection)> {
        let (mine, theirs) = pipe_to_child()?;
        // The closure owns the child's end: not run in the parent, it closes that end there.
        // SAFETY: by contract.
        let process = unsafe { self.spawn_keeping(theirs.slot(), move || function(theirs)) }?;
        Ok((process, mine))
    }

    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`].
    unsafe fn spawn_keeping<R: ExitCode>(
        self,
        kept: Option<Slot>,
        function: impl FnOnce() -> R,
    ) -> Result<Process> {
        #[cfg(feature = "std")]
        let single = proc::is_single_threaded();
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
        unsafe { self.start(kept, run) }
    }

    /// Forks and runs `function` in the child; its value is the exit code. Of the ends of pipes to children, the child has the
    /// `kept` one.
    ///
    /// # Safety
    /// As [`ProcessOptions::spawn_unchecked`]. `function` must not unwind.
    pub(crate) unsafe fn start(self, kept: Option<Slot>, function: impl FnOnce() -> i32) -> Result<Process> {
        if !(-39..=39).contains(&self.nice) {
            return Err(Error::InvalidArgument);
        }
        let parent = proc::pid();
        let (started, start) = Fd::pipe()?;
        let streams = stdio::flush(proc::is_single_threaded());
        // Less nice needs a privilege: tried by the parent, which can still say so.
        let nice_before = if self.nice < 0 { Some(fork::add_nice(self.nice)?) } else { None };
        // SAFETY: by contract.
        let forked = unsafe { fork::fork_keeping(kept) };
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
