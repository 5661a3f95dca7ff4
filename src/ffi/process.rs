//! Processes.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::ManuallyDrop;

use super::pipe::forq_connection;
use super::{borrow, borrow_mut, deadline, status};
use crate::error::{Error, Result};
use crate::pipe::pipe_to_child;
use crate::process::{ExitStatus, Parts, Process, ProcessOptions};

/// `FORQ_EXIT_UNKNOWN` of the header.
const EXIT_UNKNOWN: i32 = i32::MIN;

/// A child process. Declared by the caller; all bytes zero: none. It may be moved, is copied by fork, does
/// not belong in shared memory, and is used by one thread at a time.
///
/// A process that is neither joined nor closed runs on. In a forked child the copy may ask and signal, but not join.
///
/// However it dies, forq_process_join tells. It outlives its parent, unless it is a daemon.
#[repr(C)]
pub struct forq_process {
    /// Not for users.
    _generation: u64,
    /// Not for users.
    _pid: i32,
    /// The descriptor, plus one.
    _descriptor: i32,
    /// Not for users.
    _ended: i32,
    /// Not for users.
    _exit_code: i32,
    /// Not for users.
    _reserved: u64,
}
static_assertions::const_assert_eq!(size_of::<forq_process>(), 32);

/// What a child runs; its value & 255 is the exit code.
pub type forq_process_fn = Option<unsafe extern "C" fn(argument: *mut c_void) -> c_int>;

/// How to start a process. All bytes zero: as if there were none.
#[repr(C)]
pub struct forq_process_options {
    /// What ps shows, its first 15 bytes; NULL: none.
    pub name: *const c_char,
    /// Ends when its parent process ends, however that ends. The last real-time signal is used for it.
    pub daemon: bool,
    /// Gets a process group of its own.
    pub own_group: bool,
    /// How much nicer than its parent, -39 to 39; less nice needs the privilege (-EPERM).
    pub nice: i32,
    /// Must be zero.
    pub reserved: [u64; 8],
}

impl forq_process {
    const NONE: Self =
        Self { _generation: 0, _pid: 0, _descriptor: 0, _ended: 0, _exit_code: 0, _reserved: 0 };

    fn store(process: Process) -> Self {
        let parts = process.into_parts();
        let exit_code = parts.status.map(code_of);
        Self {
            _generation: parts.generation,
            _pid: parts.pid as i32,
            _descriptor: parts.descriptor + 1,
            _ended: exit_code.is_some().into(),
            _exit_code: exit_code.unwrap_or(0),
            _reserved: 0,
        }
    }

    /// The process that the handle stands for, still owned by the handle.
    fn load(&self) -> Result<ManuallyDrop<Process>> {
        if self._descriptor <= 0 {
            return Err(Error::InvalidArgument);
        }
        let status = match (self._ended, self._exit_code) {
            (0, _) => None,
            (_, EXIT_UNKNOWN) => Some(ExitStatus::Unknown),
            (_, code) if code < 0 => Some(ExitStatus::Signaled(-code)),
            (_, code) => Some(ExitStatus::Exited(code as u8)),
        };
        let (pid, descriptor) = (self._pid as u32, self._descriptor - 1);
        let parts = Parts { pid, generation: self._generation, descriptor, status };
        // SAFETY: the descriptor is the handle's; it is not dropped here.
        Ok(ManuallyDrop::new(unsafe { Process::from_parts(parts) }))
    }
}

fn code_of(status: ExitStatus) -> i32 {
    match status {
        ExitStatus::Exited(code) => code.into(),
        ExitStatus::Signaled(signal) => -signal,
        ExitStatus::Unknown => EXIT_UNKNOWN,
    }
}

/// # Safety
/// As [`borrow`]; the name must be NULL or a C string.
unsafe fn options<'a>(options: *const forq_process_options) -> Result<ProcessOptions<'a>> {
    if options.is_null() {
        return Ok(ProcessOptions::new());
    }
    // SAFETY: by contract.
    let given = unsafe { borrow(options) }?;
    if given.reserved != [0; 8] {
        return Err(Error::InvalidArgument);
    }
    let chosen = ProcessOptions::new().daemon(given.daemon).own_group(given.own_group).nice(given.nice);
    if given.name.is_null() {
        return Ok(chosen);
    }
    // SAFETY: by contract.
    Ok(chosen.name(unsafe { CStr::from_ptr(given.name) }))
}

/// Forks a child that runs fn(argument) and leaves by _exit with its value & 255.
///
/// stdio is flushed before the fork, and by the child at its end. The child has a copy of everything; what both are
/// to see must be in shared memory. If other threads run, the child may do only what is safe in a signal handler.
/// Returns 0; -EINVAL for NULL, reserved fields not zero, or nice out of range; -EPERM for less nice without
/// the privilege; -ENOMEM.
///
/// # Safety
/// `p` must be NULL or writable, the function safe to call in a child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_spawn(
    p: *mut forq_process,
    r#fn: forq_process_fn,
    argument: *mut c_void,
    options_or_null: *const forq_process_options,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(p) }.and_then(|p| {
        let function = r#fn.ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract. A function that unwinds aborts.
        *p = forq_process::store(unsafe { options(options_or_null)?.start(None, || function(argument)) }?);
        Ok(())
    });
    status(result)
}

/// As forq_process_spawn, with a pipe between parent and child: the child runs fn(its end, argument), end_out is the other end.
///
/// Each end belongs to one process: forks that forq makes do not pass it on, so that the end of either process is seen by the
/// other whatever was forked in between. To the child of such a fork a handle that it copied says that the other end is gone.
/// Returns as forq_process_spawn.
///
/// # Safety
/// `p` and `end_out` must be NULL or writable, the function safe to call in a child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_spawn_piped(
    p: *mut forq_process,
    r#fn: Option<unsafe extern "C" fn(end: *mut forq_connection, argument: *mut c_void) -> c_int>,
    argument: *mut c_void,
    options_or_null: *const forq_process_options,
    end_out: *mut forq_connection,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { borrow_mut(p).and_then(|p| Ok((p, borrow_mut(end_out)?))) };
    status(both.and_then(|(p, end_out)| {
        let function = r#fn.ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        let options = unsafe { options(options_or_null) }?;
        let (mine, theirs) = pipe_to_child()?;
        let kept = theirs.slot();
        // Not run in the parent, it closes the child's end there.
        let run = move || {
            let mut end = forq_connection::store(theirs);
            // SAFETY: by contract. A function that unwinds aborts.
            unsafe { function(&mut end, argument) }
        };
        // SAFETY: by contract.
        *p = forq_process::store(unsafe { options.start(kept, run) }?);
        *end_out = forq_connection::store(mine);
        Ok(())
    }))
}

/// Waits for the end of a process for at most timeout_ns. Again: the same answer.
///
/// exit_code_out: the code, or -signal, or FORQ_EXIT_UNKNOWN.
/// Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it runs; -EPERM if this process is not its parent; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a handle, `exit_code_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_join(
    p: *mut forq_process,
    exit_code_out: *mut c_int,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { borrow_mut(p).and_then(|p| Ok((p, borrow_mut(exit_code_out)?))) };
    status(both.and_then(|(p, exit_code_out)| {
        let ended = code_of(p.load()?.join_until(deadline(timeout_ns)?)?);
        (p._ended, p._exit_code) = (1, ended);
        *exit_code_out = ended;
        Ok(())
    }))
}

/// 1 if the process has not ended, 0 if it has; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_is_alive(p: *mut forq_process) -> c_int {
    // SAFETY: by contract.
    super::count(unsafe { borrow(p) }.and_then(forq_process::load).map(|p| p.is_alive().into()))
}

/// Sends a signal: to this process or to none, since it goes by descriptor. May be called in a signal handler.
///
/// Returns 0; -ESRCH if it has ended; -EINVAL for no such signal; -EPERM.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_signal(p: *mut forq_process, signal: c_int) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow(p) }.and_then(forq_process::load).and_then(|p| p.signal(signal)))
}

/// Asks a process to end: SIGTERM. Returns as forq_process_signal.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_terminate(p: *mut forq_process) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow(p) }.and_then(forq_process::load).and_then(|p| p.terminate()))
}

/// Ends a process: SIGKILL. Returns as forq_process_signal.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_kill(p: *mut forq_process) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow(p) }.and_then(forq_process::load).and_then(|p| p.kill()))
}

/// The process id; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_pid(p: *const forq_process) -> c_int {
    // SAFETY: by contract.
    super::count(unsafe { borrow(p) }.and_then(forq_process::load).map(|p| p.pid() as usize))
}

/// A descriptor that is readable once the process has ended: for poll and epoll; the handle's. -EINVAL.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_fd(p: *const forq_process) -> c_int {
    // SAFETY: by contract.
    super::count(unsafe { borrow(p) }.and_then(|p| p.load().map(|_| (p._descriptor - 1) as usize)))
}

/// Gives up the handle of an ended process, joined or not; all bytes are zero afterwards.
///
/// Returns 0; -EBUSY while it runs (in another process than its parent that does not matter); -EINVAL.
///
/// # Safety
/// `p` must be NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_process_close(p: *mut forq_process) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(p) }.and_then(|p| {
        let mut process = p.load()?;
        match process.try_join() {
            Ok(None) => return Err(Error::Busy),
            Ok(Some(_)) | Err(Error::NotPermitted) => {}
            Err(error) => return Err(error),
        }
        *p = forq_process::NONE;
        drop(ManuallyDrop::into_inner(process));
        Ok(())
    });
    status(result)
}
