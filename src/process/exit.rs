//! How processes end: what their functions return, and what their parents learn.

use crate::sys::pidfd::Ended;

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
