//! Forking, and leaving a forked child.

use super::errno;
use super::fd::{Fd, owned};
use super::thread;
use super::unshared::{Forking, Slot};
use crate::error::{Error, Result};

/// Which side of a fork we are on.
pub(crate) enum Fork {
    Parent(u32),
    Child,
}

/// Forks by libc, which runs the handlers of `pthread_atfork`.
///
/// # Safety
/// If other threads run, the child may do only what is safe in a signal handler.
pub(crate) unsafe fn fork() -> Result<Fork> {
    // SAFETY: by contract.
    unsafe { fork_keeping(None) }
}

/// As [`fork`]; of the descriptors that forks do not pass on, the child has the `kept` one.
///
/// # Safety
/// As [`fork`].
pub(crate) unsafe fn fork_keeping(kept: Option<Slot>) -> Result<Fork> {
    let forking = Forking::begin()?;
    // SAFETY: by contract.
    match errno::preserve(|| unsafe { libc::fork() }) {
        Ok(0) => {
            forking.complete_in_child(kept);
            Ok(Fork::Child)
        }
        Ok(pid) => Ok(Fork::Parent(pid as u32)),
        Err(libc::EAGAIN) => Err(Error::OutOfMemory),
        Err(code) => Err(Error::from_errno(code)),
    }
}

/// Forks a child whose end sends no signal to the parent, and which the parent's own `wait` calls do
/// not see. libc knows nothing of it: what libc keeps per thread is put right here as far as forq
/// needs it. Returns the child's pidfd to the parent.
///
/// # Safety
/// No other thread may run in this process.
pub(crate) unsafe fn fork_unseen() -> Result<(Fork, Option<Fd>)> {
    let forking = Forking::begin()?;
    let mut pidfd = -1i32;
    let flags = libc::CLONE_PIDFD as libc::c_long;
    // SAFETY: no new stack, so a copy of the address space as by fork; the kernel stores the pidfd.
    let result =
        errno::preserve(|| unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) });
    match result {
        Ok(0) => {
            // SAFETY: in such a child, before anything else.
            unsafe { thread::adopt_after_clone() };
            forking.complete_in_child(None);
            Ok((Fork::Child, None))
        }
        // SAFETY: the kernel made the descriptor for us.
        Ok(pid) => Ok((Fork::Parent(pid as u32), Some(unsafe { Fd::from_raw(pidfd) }.above_standard()?))),
        Err(libc::EAGAIN) => Err(Error::OutOfMemory),
        Err(code) => Err(Error::from_errno(code)),
    }
}

/// Aborts the process when it is dropped: so that no panic in a forked child unwinds into frames that are
/// a copy of its parent's.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        // SAFETY: never returns.
        unsafe { libc::abort() }
    }
}

/// Ends this process at once: no destructors, no handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}

/// Names this thread, for `ps` and the like: the first 15 bytes.
pub(crate) fn set_name(name: &core::ffi::CStr) {
    // SAFETY: a C string, of which the kernel reads at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Asks for a signal when the thread that forked this process ends.
pub(crate) fn set_parent_death_signal(signal: i32) {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) };
}

/// Moves a process into a group of its own; 0 means this one.
pub(crate) fn set_own_group(pid: u32) {
    // SAFETY: no pointers. An error means that the child has done it, or has ended.
    let _ = errno::preserve(|| unsafe { libc::setpgid(pid as i32, pid as i32) });
}

/// Adds to this thread's nice value, within its range; returns what it was.
pub(crate) fn add_nice(increment: i32) -> Result<i32> {
    // SAFETY: no pointers. -1 may be a value as well as an error: the error number tells.
    let before = unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        *errno = 0;
        let before = libc::getpriority(libc::PRIO_PROCESS, 0);
        let failed = *errno;
        *errno = saved;
        if failed != 0 {
            return Err(Error::from_errno(failed));
        }
        before
    };
    set_nice(before.saturating_add(increment).clamp(-20, 19))?;
    Ok(before)
}

/// Sets this thread's nice value.
pub(crate) fn set_nice(value: i32) -> Result<()> {
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) })
        .map(drop)
        .map_err(Error::from_errno)
}

/// A descriptor that becomes readable when the process `pid` ends.
pub(super) fn open_pidfd(pid: u32) -> Result<Fd> {
    // SAFETY: no pointers; the kernel makes a close-on-exec descriptor.
    owned(|| unsafe { libc::syscall(libc::SYS_pidfd_open, pid as i32, 0) as i32 })
}
