//! Signal dispositions and masks of processes that forq makes, and a descriptor to read signals from.

use super::errno;
use super::fd::{Fd, owned};
use super::{fork, proc};
use crate::error::Result;

pub(crate) use libc::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGURG};

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = core::mem::MaybeUninit::zeroed();
    // SAFETY: initialised by sigemptyset before it is used.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Gives signals their default actions.
pub(crate) fn set_default(signals: &[i32]) {
    set_action(signals, libc::SIG_DFL);
}

/// Ignores signals.
pub(crate) fn ignore(signals: &[i32]) {
    set_action(signals, libc::SIG_IGN);
}

fn set_action(signals: &[i32], action: libc::sighandler_t) {
    for &signal in signals {
        // SAFETY: not a handler but one of the two constants.
        unsafe { libc::signal(signal, action) };
    }
}

/// Blocks all signals.
pub(crate) fn block_all() {
    let mut set = core::mem::MaybeUninit::zeroed();
    // SAFETY: initialised by sigfillset before it is used.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), core::ptr::null_mut());
    }
}

fn unblock(signal: i32) {
    let set = set_of(&[signal]);
    // SAFETY: a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, core::ptr::null_mut()) };
}

/// Blocks exactly these signals.
pub(crate) fn set_blocked(signals: &[i32]) {
    let set = set_of(signals);
    // SAFETY: a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, core::ptr::null_mut()) };
}

/// A descriptor that reads signals which are blocked.
pub(crate) fn descriptor(signals: &[i32]) -> Result<Fd> {
    let set = set_of(signals);
    // SAFETY: a valid set; a new descriptor.
    owned(|| unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
}

/// The next signal that waits in such a descriptor.
pub(crate) fn next_of(descriptor: &Fd) -> Option<i32> {
    let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
    let read = descriptor.read(&mut record).ok()?;
    (read == record.len()).then(|| i32::from_ne_bytes([record[0], record[1], record[2], record[3]]))
}

/// Sends a signal to a child of this process that was not yet collected.
pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: no pointers.
    let _ = errno::preserve(|| unsafe { libc::kill(pid as i32, signal) });
}

static PARENT: super::atomic::AtomicU32 = super::atomic::AtomicU32::new(0);

/// Ends this process when its parent process has ended: at the end of any thread of the parent
/// the kernel sends a signal, and the handler looks whether the parent is still there.
pub(crate) fn end_with_parent(parent: u32) {
    use super::atomic::Ordering;
    extern "C" fn handler(_: i32) {
        // Relaxed: written before the signal was asked for.
        if proc::parent_pid() != PARENT.load(Ordering::Relaxed) {
            send(proc::pid(), SIGKILL);
        }
    }
    PARENT.store(parent, Ordering::Relaxed);
    let signal = libc::SIGRTMAX();
    // SAFETY: a handler that makes only system calls; the structure is initialised.
    unsafe {
        let mut action = core::mem::MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, core::ptr::null_mut());
    }
    // The thread that spawned us may have blocked it.
    unblock(signal);
    fork::set_parent_death_signal(signal);
    if proc::parent_pid() != parent {
        // It ended before we asked.
        fork::exit_now(1);
    }
}
