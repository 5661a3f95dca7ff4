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
/// The code of an item whose result was larger than its bound.
pub(super) const TOO_LARGE: i32 = i32::MIN + 1;
/// The code of an item whose input or result could not be serialised.
#[cfg(feature = "serde")]
pub(super) const NOT_SERIALISABLE: i32 = i32::MIN + 2;
/// Bytes that are kept of what a panic said.
pub(super) const PANIC_TEXT: usize = 94;

/// What a panic said: the first 94 bytes, of UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PanicMessage {
    length: u8,
    text: [u8; PANIC_TEXT],
}

impl PanicMessage {
    /// Nothing is known of it.
    pub(super) const NONE: Self = Self { length: 0, text: [0; PANIC_TEXT] };

    /// As much of a text as is kept; what is no UTF-8 ends it.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(PANIC_TEXT)];
        let valid = match core::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let mut message = Self::NONE;
        message.text[..valid].copy_from_slice(&bytes[..valid]);
        message.length = valid as u8;
        message
    }

    #[cfg(feature = "std")]
    pub(super) fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    /// The text; empty if the panic carried none, or if too many items of the job panicked to keep them all (64 are kept; of a
    /// stream all, if its window is not over 1024).
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length.into()).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("")
    }
}

impl core::fmt::Debug for PanicMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl TaskStatus {
    pub(super) const OK: Self = Self { kind: OK, code: 0 };
    pub(super) const CANCELLED: Self = Self { kind: CANCELLED, code: 0 };

    pub(super) fn is_ok(self) -> bool {
        self.kind == OK
    }

    /// Why it did not succeed, if it did not; what a panic said is not known here.
    pub(crate) fn error(self) -> Option<TaskError> {
        match (self.kind, self.code) {
            (OK, _) => None,
            (FAILED, PANICKED) => Some(TaskError::Panicked(PanicMessage::NONE)),
            #[cfg(feature = "serde")]
            (FAILED, NOT_SERIALISABLE) => Some(TaskError::NotSerialisable),
            (FAILED, TOO_LARGE) => Some(TaskError::TooLarge),
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
    /// It panicked, and said this; its worker lives, and printed the whole to standard error.
    Panicked(PanicMessage),
    /// Its result was larger than the bound it was given.
    TooLarge,
    /// Its input could not be read, or its result not be written (feature `serde`).
    #[cfg(feature = "serde")]
    NotSerialisable,
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
            Self::Panicked(message) if message.as_str().is_empty() => f.write_str("panicked"),
            Self::Panicked(message) => write!(f, "panicked: {}", message.as_str()),
            #[cfg(feature = "serde")]
            Self::NotSerialisable => f.write_str("has an input or a result that cannot be serialised"),
            Self::TooLarge => f.write_str("gave a result larger than its bound"),
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
