//! Turns of the workers on a CPU: with the real bound most of them wait for it, and only one at a time leads a victim to
//! its death, which must come before anybody's bound passes.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// A byte for each CPU. Record locks: they belong to a process, not to its forks, and end with it.
static FILE: OnceLock<OwnedFd> = OnceLock::new();

/// In force until it is dropped.
pub(super) struct Turn(libc::off_t);

impl Turn {
    /// Waits for that of the CPU on which this process stays.
    pub(super) fn take() -> Self {
        // SAFETY: no arguments.
        let cpu = libc::off_t::from(unsafe { libc::sched_getcpu() });
        set(libc::F_WRLCK, cpu);
        Self(cpu)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        set(libc::F_UNLCK, self.0);
    }
}

/// Must have been called before there are workers.
pub(super) fn prepare() {
    FILE.get_or_init(|| {
        // SAFETY: a C string.
        let file = unsafe { libc::memfd_create(c"turns".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(file >= 0, "a memory file");
        // SAFETY: just opened, nobody else's.
        unsafe { OwnedFd::from_raw_fd(file) }
    });
}

fn set(kind: libc::c_int, byte: libc::off_t) {
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    let file = FILE.get().expect("prepared").as_raw_fd();
    // SAFETY: a valid lock description.
    while unsafe { libc::fcntl(file, libc::F_SETLKW, &lock) } != 0 {}
}
