//! Processes that are run instruction by instruction, by ptrace.

use std::time::{Duration, Instant};

use crate::support::eventually;

/// How many instructions lie between two kills.
pub(crate) fn every(default: usize) -> usize {
    let default = if cfg!(debug_assertions) { default * 30 } else { default };
    std::env::var("FORQ_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(default)
}

/// Before which instruction the first kill is.
pub(crate) fn first() -> usize {
    std::env::var("FORQ_FROM").ok().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// A process that is stepped.
pub(crate) struct Tracee(i32);

impl Tracee {
    /// Stops a process that sleeps.
    pub(crate) fn attach(pid: u32) -> Self {
        eventually("it sleeps", || is_asleep_anywhere(pid));
        // Kept pending, for `stopped` to take.
        // SAFETY: a valid set; the old one is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &child_signals(), std::ptr::null_mut()) };
        let tracee = Self(pid as i32);
        tracee.request(libc::PTRACE_SEIZE);
        tracee.request(libc::PTRACE_INTERRUPT);
        assert!(tracee.stopped(Duration::from_secs(30)), "it stops");
        tracee
    }

    pub(crate) fn request(&self, request: libc::c_uint) {
        // SAFETY: of the requests made here none has a place in our memory.
        let result = unsafe { libc::ptrace(request, self.0, 0, 0) };
        assert!(result == 0, "ptrace: {}", std::io::Error::last_os_error());
    }

    #[allow(dead_code, reason = "a part is for another test")]
    pub(crate) fn pid(&self) -> i32 {
        self.0
    }

    pub(crate) fn stopped(&self, patience: Duration) -> bool {
        let (signals, deadline) = (child_signals(), Instant::now() + patience);
        loop {
            let mut status = 0;
            // SAFETY: a place for the result.
            let pid = unsafe { libc::waitpid(self.0, &mut status, libc::__WALL | libc::WNOHANG) };
            if pid != 0 {
                assert_eq!(pid, self.0);
                assert!(libc::WIFSTOPPED(status), "it ended: {status:#x}");
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // Asleep, not yielding: on a loaded machine who yields waits for everybody else.
            // SAFETY: integers.
            let mut time: libc::timespec = unsafe { std::mem::zeroed() };
            (time.tv_sec, time.tv_nsec) = (left.as_secs() as _, left.subsec_nanos() as _);
            // SAFETY: the set and the time are valid; no information is asked for.
            unsafe { libc::sigtimedwait(&signals, std::ptr::null_mut(), &time) };
        }
    }

    /// Executes so many instructions; how many it were until it fell asleep.
    #[allow(dead_code, reason = "a part is for another test")]
    pub(crate) fn step(&self, count: usize) -> usize {
        self.step_until(count, || true)
    }

    /// Executes so many instructions; how many it were until it slept, with all done that it was to do.
    pub(crate) fn step_until(&self, count: usize, is_over: impl Fn() -> bool) -> usize {
        for done in 0..count {
            self.request(libc::PTRACE_SINGLESTEP);
            // It may only be waiting for a CPU, or for what it has to do.
            while !self.stopped(Duration::from_millis(20)) {
                if is_over() && is_asleep_anywhere(self.0 as u32) {
                    return done;
                }
            }
        }
        count
    }

    /// Executes so many instructions, however long it sleeps in between; how many it were until it ended.
    #[allow(dead_code, reason = "a part is for another test")]
    pub(crate) fn step_to_end(&self, count: usize) -> usize {
        for done in 0..count {
            self.request(libc::PTRACE_SINGLESTEP);
            let mut status = 0;
            // SAFETY: a place for the result.
            while unsafe { libc::waitpid(self.0, &mut status, libc::__WALL) } != self.0 {}
            if !libc::WIFSTOPPED(status) {
                return done;
            }
        }
        count
    }

    /// Lets it go on. It must not be asleep.
    pub(crate) fn release(self) {
        self.request(libc::PTRACE_DETACH);
    }
}

fn child_signals() -> libc::sigset_t {
    // SAFETY: an initialised set of one signal.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        set
    }
}

pub(crate) fn is_asleep_anywhere(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
