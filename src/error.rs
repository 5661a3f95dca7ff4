//! The crate's one error type, and the errno that stands for each in the C face.

use crate::pool::TaskError;
use crate::sys::errno;

/// What went wrong. The call changed nothing unless the variant says otherwise.
///
/// [`Error::errno`] gives the code that the C face returns for it (there negated).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A call that was not to wait would have had to (`EAGAIN`).
    WouldBlock,
    /// In use by somebody: a held lock, a process that still runs (`EBUSY`).
    Busy,
    /// The time given ran out (`ETIMEDOUT`).
    TimedOut,
    /// A signal handler ran and this thread asked to be told (`EINTR`).
    Interrupted,
    /// The holder of a lock died; see [`LockError::OwnerDied`](crate::LockError::OwnerDied) (`EOWNERDEAD`).
    OwnerDied,
    /// Waiting would never end (`EDEADLK`).
    Deadlock,
    /// Not by this thread or process: not the holder, not the parent, not the pool's maker (`EPERM`).
    NotPermitted,
    /// Released more often than acquired (`EOVERFLOW`).
    Overflow,
    /// The other end is gone (`EPIPE`).
    Disconnected,
    /// The barrier is broken, or was reset while this call waited (`EPIPE`).
    Broken,
    /// Closed by this side (`ESHUTDOWN`).
    Closed,
    /// Does not fit; nothing was consumed (`EMSGSIZE`).
    MessageSize,
    /// A worker, task or child was lost, or the pool is broken (`ECHILD`).
    ChildLost,
    /// The process has ended (`ESRCH`).
    NoSuchProcess,
    /// An index past the end (`ERANGE`).
    OutOfRange,
    /// No such thing (`ENOENT`).
    NotFound,
    /// It exists already (`EEXIST`).
    AlreadyExists,
    /// Not what was expected: no forq segment of this layout; a message where a descriptor is next, or the other way
    /// round (`EPROTO`).
    Protocol,
    /// An argument is not valid: zero, too large, overflowing, out of order (`EINVAL`).
    InvalidArgument,
    /// Memory, processes or descriptors are exhausted (`ENOMEM`).
    OutOfMemory,
    /// The space set aside is full (`ENOSPC`).
    OutOfSpace,
    /// The kernel lacks what this needs (`ENOSYS`).
    Unsupported,
    /// Forking would copy other threads' locks in whatever state they are: other threads run, or
    /// that could not be ruled out because `/proc` is not mounted (`EPERM`).
    MultiThreaded,
    /// This thread holds a forq lock, whose guard a fork would double (`EDEADLK`).
    LockHeld,
    /// A task of a map did not succeed: the first one, by index (`ECHILD`).
    Task {
        /// Which item.
        index: usize,
        /// How it ended.
        error: TaskError,
    },
    /// Another error of the operating system, by its errno.
    Os(i32),
}

/// The crate's results.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// The errno that stands for this error, positive.
    ///
    /// ```
    /// assert_eq!(forq::Error::InvalidArgument.errno(), 22);
    /// ```
    #[must_use]
    pub fn errno(self) -> i32 {
        match self {
            Self::WouldBlock => errno::EAGAIN,
            Self::Busy => errno::EBUSY,
            Self::TimedOut => errno::ETIMEDOUT,
            Self::Interrupted => errno::EINTR,
            Self::OwnerDied => errno::EOWNERDEAD,
            Self::Deadlock | Self::LockHeld => errno::EDEADLK,
            Self::NotPermitted | Self::MultiThreaded => errno::EPERM,
            Self::Overflow => errno::EOVERFLOW,
            Self::Disconnected | Self::Broken => errno::EPIPE,
            Self::Closed => errno::ESHUTDOWN,
            Self::MessageSize => errno::EMSGSIZE,
            Self::ChildLost | Self::Task { .. } => errno::ECHILD,
            Self::NoSuchProcess => errno::ESRCH,
            Self::OutOfRange => errno::ERANGE,
            Self::NotFound => errno::ENOENT,
            Self::AlreadyExists => errno::EEXIST,
            Self::Protocol => errno::EPROTO,
            Self::InvalidArgument => errno::EINVAL,
            Self::OutOfMemory => errno::ENOMEM,
            Self::OutOfSpace => errno::ENOSPC,
            Self::Unsupported => errno::ENOSYS,
            Self::Os(code) => code,
        }
    }

    /// The error that an errno of a system call stands for.
    pub(crate) fn from_errno(code: i32) -> Self {
        match code {
            errno::EINVAL => Self::InvalidArgument,
            errno::ENOMEM => Self::OutOfMemory,
            errno::EPERM | errno::EACCES => Self::NotPermitted,
            errno::ESRCH => Self::NoSuchProcess,
            errno::ENOSYS => Self::Unsupported,
            errno::ENOSPC => Self::OutOfSpace,
            errno::EEXIST => Self::AlreadyExists,
            errno::ENOENT => Self::NotFound,
            other => Self::Os(other),
        }
    }

    /// What the error means, in a few words, without a trailing full stop.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::MultiThreaded => "other threads run in this process, so a fork is not safe",
            Self::LockHeld => "this thread holds a forq lock",
            Self::Broken => "the barrier is broken",
            other => message_of(other.errno()),
        }
    }
}

/// What an errno of the C face means: one text for both faces. Safe in signal handlers.
pub(crate) fn message_of(code: i32) -> &'static str {
    let text = c_message_of(code);
    // The table holds ASCII only.
    text.to_str().unwrap_or("unknown error")
}

/// [`message_of`] for C.
pub(crate) fn c_message_of(code: i32) -> &'static core::ffi::CStr {
    match code {
        0 => c"success",
        errno::EAGAIN => c"the call would have to wait",
        errno::EBUSY => c"in use",
        errno::ETIMEDOUT => c"the time ran out",
        errno::EINTR => c"interrupted by a signal",
        errno::EOWNERDEAD => c"the holder died; the lock is held",
        errno::EDEADLK => c"waiting would never end",
        errno::EPERM => c"not by this thread or process",
        errno::EOVERFLOW => c"released too often",
        errno::EPIPE => c"the other end is gone, or the barrier is broken",
        errno::ESHUTDOWN => c"closed",
        errno::EMSGSIZE => c"does not fit",
        errno::ECHILD => c"a worker, task or child was lost",
        errno::ESRCH => c"the process has ended",
        errno::ERANGE => c"index past the end",
        errno::ENOENT => c"not found",
        errno::EEXIST => c"exists already",
        errno::EPROTO => c"not a forq segment of this layout, or not the message that was expected",
        errno::EINVAL => c"invalid argument",
        errno::ENOMEM => c"out of memory, processes or descriptors",
        errno::ENOSPC => c"no space left",
        errno::ENOSYS => c"not supported by this kernel",
        _ => c"unknown error",
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Task { index, error } => write!(f, "task {index} {error}"),
            Self::Os(code) => write!(f, "system error {code}"),
            other => f.write_str(other.message()),
        }
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::from_raw_os_error(error.errno())
    }
}
