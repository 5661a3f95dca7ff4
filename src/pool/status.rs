//! How tasks end.

/// How one item of a job ended: the C face's structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct TaskStatus {
    /// One of the `FORQ_TASK_` constants.
    pub(crate) kind: u32,
    /// FAILED: what the function returned; CRASHED: the signal, or -n when the task called `_exit(n)`; else 0.
    pub(crate) code: i32,
}

/// It returned 0.
pub(crate) const OK: u32 = 0;
/// It returned something else, or panicked.
pub(crate) const FAILED: u32 = 1;
/// Its worker died of it.
pub(crate) const CRASHED: u32 = 2;
/// It ran longer than the pool allows.
pub(crate) const TIMED_OUT: u32 = 3;
/// It was not run, or stopped, because the job ended first.
pub(crate) const CANCELLED: u32 = 4;
/// In the arena only: it crashed so many times (the code), and is to be tried again.
pub(super) const RETRY: u32 = 5;

/// The code of an item whose Rust closure panicked.
pub(super) const PANICKED: i32 = i32::MIN;

impl TaskStatus {
    pub(super) const OK: Self = Self { kind: OK, code: 0 };
    pub(super) const CANCELLED: Self = Self { kind: CANCELLED, code: 0 };

    pub(super) fn is_ok(self) -> bool {
        self.kind == OK
    }

    /// Why it did not succeed, if it did not.
    pub(crate) fn error(self) -> Option<TaskError> {
        match (self.kind, self.code) {
            (OK, _) => None,
            (FAILED, PANICKED) => Some(TaskError::Panicked),
            (FAILED, code) => Some(TaskError::Failed(code)),
            (CRASHED, code) if code > 0 => Some(TaskError::Signaled(code)),
            (CRASHED, code) => Some(TaskError::Exited(code.unsigned_abs() as u8)),
            (TIMED_OUT, _) => Some(TaskError::TimedOut),
            _ => Some(TaskError::Cancelled),
        }
    }
}

/// Why a task did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked; its worker lives, and printed the message to standard error.
    Panicked,
    /// A C function returned this code.
    Failed(i32),
    /// This signal ended its worker: a fault of its own, or somebody's `kill`.
    Signaled(i32),
    /// It left its worker by `_exit` with this code.
    Exited(u8),
    /// It ran longer than the pool allows.
    TimedOut,
    /// The job ended before it did.
    Cancelled,
}

impl core::fmt::Display for TaskError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Panicked => f.write_str("panicked"),
            Self::Failed(code) => write!(f, "failed with code {code}"),
            Self::Signaled(signal) => write!(f, "crashed its worker with signal {signal}"),
            Self::Exited(code) => write!(f, "ended its worker with exit code {code}"),
            Self::TimedOut => f.write_str("ran longer than allowed"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}

#[cfg(feature = "std")]
impl std::error::Error for TaskError {}
