//! Processes by descriptor: their end, their status, signals. Never another process that got the same id.

use super::clock::{self, Deadline};
use super::errno::{self, ECHILD, EINTR, ESRCH};
use super::fd::{Fd, poll};
use super::fork;
use crate::error::{Error, Result};

/// How a process ended, as far as it could be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(u8),
    Signaled(i32),
    /// Somebody else has collected the status, and the kernel no longer tells.
    Unknown,
}

/// A descriptor for a process: surely the right one for a child that was not yet collected.
pub(crate) fn open(pid: u32) -> Result<Fd> {
    fork::open_pidfd(pid)
}

/// Sends a signal.
pub(crate) fn signal(pidfd: i32, signal: i32) -> Result<()> {
    // SAFETY: no signal information is given.
    let sent = errno::preserve(|| unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, core::ptr::null::<u8>(), 0)
    });
    sent.map(drop).map_err(Error::from_errno)
}

/// Whether the process has ended, waiting until `deadline` for it.
pub(crate) fn wait_end(pidfd: i32, deadline: Deadline) -> Result<bool> {
    poll([pidfd], deadline).map(|[ended]| ended)
}

/// Whether the process has ended; if that cannot be learnt now, it has not.
pub(crate) fn has_ended(pidfd: i32) -> bool {
    loop {
        match poll([pidfd], Deadline::NOW) {
            Ok([ended]) => return ended,
            Err(Error::Interrupted) => {}
            Err(_) => return false,
        }
    }
}

/// Waits until `deadline` for the end of a child, and collects its status.
pub(crate) fn join(pidfd: i32, deadline: Deadline) -> Result<Ended> {
    loop {
        // What only asks is not interrupted.
        let has_ended = if deadline.is_now() { has_ended(pidfd) } else { wait_end(pidfd, deadline)? };
        if !has_ended {
            return Err(if deadline.is_now() { Error::WouldBlock } else { Error::TimedOut });
        }
        match collect(pidfd) {
            Some(ended) => return Ok(ended),
            // Ended, but a tracer holds it still.
            None if deadline.is_now() => return Err(Error::WouldBlock),
            None if deadline.has_passed() => return Err(Error::TimedOut),
            None => clock::sleep(1_000_000),
        }
    }
}

/// Collects a child of this id, waiting for its end.
pub(crate) fn collect_pid(pid: u32) {
    // SAFETY: no place for the result is given.
    while errno::preserve(|| unsafe { libc::waitpid(pid as i32, core::ptr::null_mut(), libc::__WALL) })
        == Err(EINTR)
    {}
}

/// Collects the status of an ended child: `None` while the kernel does not hand it out yet.
pub(crate) fn collect(pidfd: i32) -> Option<Ended> {
    loop {
        let mut status = core::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // __WALL: also a child whose end sends no signal.
        let options = libc::WEXITED | libc::WNOHANG | libc::__WALL;
        // SAFETY: a place for the result, zeroed, since it stays untouched when there is nothing to collect.
        let result = errno::preserve(|| unsafe {
            libc::waitid(libc::P_PIDFD, pidfd as libc::id_t, status.as_mut_ptr(), options)
        });
        match result {
            Ok(_) => {
                // SAFETY: zeroed, then filled by the kernel.
                let status = unsafe { status.assume_init() };
                // SAFETY: what waitid filled in; zero if nothing.
                return (unsafe { status.si_pid() } != 0)
                    .then(|| ended(status.si_code, unsafe { status.si_status() }));
            }
            Err(EINTR) => {}
            Err(ECHILD) => return Some(told_afterwards(pidfd)),
            Err(_) => return Some(Ended::Unknown),
        }
    }
}

fn ended(code: i32, status: i32) -> Ended {
    if code == libc::CLD_EXITED { Ended::Exited(status as u8) } else { Ended::Signaled(status) }
}

/// A child that ended, of those this process has: its id, and how.
pub(crate) fn collect_any() -> Option<(u32, Ended)> {
    let mut status = 0;
    // SAFETY: a place for the result.
    let pid =
        errno::preserve(|| unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) }).ok()?;
    (pid > 0).then(|| (pid as u32, from_wait_status(status)))
}

fn from_wait_status(status: i32) -> Ended {
    if libc::WIFSIGNALED(status) {
        Ended::Signaled(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status) as u8)
    }
}

/// `struct pidfd_info` of linux/pidfd.h, first version.
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}
static_assertions::const_assert_eq!(size_of::<PidfdInfo>(), 64);

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: libc::c_ulong = 0xC040_FF0B;
const INFO_EXIT: u64 = 1 << 3;

/// The status of a process that somebody else has collected: kernels from 6.15 tell it.
fn told_afterwards(pidfd: i32) -> Ended {
    let mut asked_again = false;
    // Far longer than any release takes.
    for _ in 0..10_000 {
        let mut info = PidfdInfo { mask: INFO_EXIT, cgroup_id: 0, ids: [0; 11], exit_code: 0 };
        // SAFETY: the structure is as large as the request's number says.
        match errno::preserve(|| unsafe { libc::ioctl(pidfd, GET_INFO as _, &mut info) }) {
            Ok(_) if info.mask & INFO_EXIT != 0 => return from_wait_status(info.exit_code),
            // It is being released at this moment.
            Ok(_) => clock::sleep(50_000),
            // Released between the kernel's two looks: asked once more, it tells.
            Err(ESRCH) if !asked_again => asked_again = true,
            Err(_) => break,
        }
    }
    Ended::Unknown
}
