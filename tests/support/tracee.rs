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
        let deadline = Instant::now() + patience;
        loop {
            let mut status = 0;
            // SAFETY: a place for the result.
            match unsafe { libc::waitpid(self.0, &mut status, libc::__WALL | libc::WNOHANG) } {
                0 if Instant::now() > deadline => return false,
                0 => std::thread::yield_now(),
                pid => {
                    assert_eq!(pid, self.0);
                    assert!(libc::WIFSTOPPED(status), "it ended: {status:#x}");
                    return true;
                }
            }
        }
    }

    /// Executes so many instructions; how many it were until it fell asleep.
    pub(crate) fn step(&self, count: usize) -> usize {
        for done in 0..count {
            self.request(libc::PTRACE_SINGLESTEP);
            // It may only be waiting for a CPU.
            while !self.stopped(Duration::from_millis(20)) {
                if is_asleep_anywhere(self.0 as u32) {
                    return done;
                }
            }
        }
        count
    }

    /// Executes so many instructions; how many it were until it slept, with all done that it was to do.
    #[allow(dead_code, reason = "a part is for another test")]
    pub(crate) fn step_until(&self, count: usize, is_over: impl Fn() -> bool) -> usize {
        for done in 0..count {
            self.request(libc::PTRACE_SINGLESTEP);
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

pub(crate) fn is_asleep_anywhere(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
