//! Processes, locks and worker pools in shared memory that survive the death of any participant.
#![cfg_attr(not(feature = "std"), no_std)]

mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
mod pool;
mod process;
mod shared;
mod sync;
mod sys;

pub use error::{Error, Result};
pub use pool::{Batch, Pool, PoolBuilder, PoolStatistics, TaskError, WorkerStatistics};
pub use process::{ExitCode, ExitStatus, Process, ProcessOptions};
pub use shared::Shareable;
#[doc(hidden)]
pub use shared::shareable::assert_pod as __assert_pod;
pub use shared::shared::Shared;
pub use sync::backoff::Backoff;
pub use sync::mutex::{LockError, LockResult, Mutex, MutexGuard};
pub use sync::statistics::MutexStatistics;

/// How many CPUs this process may use: those of its affinity mask, or fewer if its control group has a
/// quota (rounded up). At least 1.
#[must_use]
pub fn cpu_count() -> usize {
    sys::cpu::count() as usize
}

/// Whether the kernel reports the death of a lock's holder at once to this thread's peers. Otherwise (no robust
/// lists, or another C library's) it is found by looking, within a second.
#[must_use]
pub fn is_robust() -> bool {
    sys::thread::current().is_robust()
}

/// Whether waits of this thread end with [`Error::Interrupted`] after a signal handler ran, or go on, as they do
/// at first. For language bindings, whose handlers only take note. Returns what it was.
pub fn set_interruptible(on: bool) -> bool {
    sys::thread::current().set_interruptible(on)
}
