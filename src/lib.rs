//! Processes, locks and worker pools in shared memory that survive the death of any participant.
//!
//! What Python's `multiprocessing` gives Python programs, for Rust and C, at the speed of shared memory. One
//! promise decides every design question: **a process may be killed at any instruction of any
//! operation, and nobody hangs, nothing committed is lost or doubled, and whoever comes next is told.**
//!
//! | | what a death does | waiting |
//! |---|---|---|
//! | [`Mutex`] | the next to lock is told, with the lock held ([`LockError::OwnerDied`]) | spins 2.7 us (50 us while the lock changes hands), yields, sleeps |
//! | [`Semaphore`] | permits have no owner: a dead process's are gone | spins 1.6 us, yields, sleeps |
//! | [`Event`] | nothing | " |
//! | [`Barrier`] | one killed while it waits has arrived; one killed before is missed, and a time-out tells all ([`Error::Broken`]) | " |
//! | [`Condvar`] | a notify that a dead waiter took reaches another within 250 ms; a holder's is told to each waiter within as long | spins 1.6 us, yields, sleeps |
//! | [`Process`] | its parent learns how it ended | sleeps |
//! | [`Queue`] | at most the message in the dead one's hands is gone, and counted; nothing to repair | looks 1.6 us, yields (50 us where sleeps are short), sleeps |
//! | [`channel()`] | what was committed stays; the other end is told when nobody has taken the dead one's place for half a second ([`Error::Disconnected`]) | looks, yields, sleeps; wait-free when neither full nor empty |
//! | [`pipe()`] | a message arrives whole or not at all; when every copy of an end is gone, the other end is told, after what was sent | sleeps |
//! | [`Pool`] | a worker's costs the item it was on; the host's ends all; the supervisor's breaks the pool, and pending calls say so | yields a little, sleeps |
//! | [`Value`], [`Array`] | one in a call has set the element or not; one with the guard is told of, as with a [`Mutex`] | as [`Mutex`] |
//! | [`List`], [`Dict`] of a [`Manager`] | one in any operation leaves the collection as before or after it, and nobody need be told | for other operations on the same list, or the same part of a dict; as [`Mutex`] |
//! | [`Shared`] | memory stays with whoever maps it | |
//! | [`Segment`] | one that creates it has made a whole one or none; memory stays as long as its name, and with whoever maps it | for who makes an object, as [`Mutex`] |
//!
//! Nothing but the channel is lock-free in the sense of never waiting for others, but nobody waits for the dead: the
//! kernel reports a holder's death at once (robust futexes), and every sleep is bounded, so that what no kernel
//! reports is found by looking, within a second. An uncontended lock enters the kernel neither way.
//!
//! ```no_run
//! use forq::{Mutex, Pool, Process, Shared};
//!
//! # fn main() -> forq::Result<()> {
//! let pool = Pool::new(0)?; // as many workers as there are CPUs
//! let inputs: Vec<u64> = (0..1_000_000).collect();
//! let squares = pool.map(|x| x * x, &inputs)?;
//!
//! let total = Shared::new(Mutex::new(0u64))?;
//! let mut child = Process::spawn(|| *total.lock().unwrap() += squares.len() as u64)?;
//! child.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Forks and threads
//! A fork copies only the calling thread, and other threads' locks in whatever state they are. So what
//! forks is safe only in a process with one thread, and refuses otherwise; unsafe forms
//! stand beside it. Make pools first, then start threads. All users of an object share one PID namespace.
//!
//! # Features
//! - `std` (default): `std::error::Error`, results as `Vec`, panics caught in children and tasks, guards that
//!   mark what a panic left. Without it the crate is `no_std`, needs no allocator, and only libc.
//! - `serde`: `Pool::map_serde`, inputs and results of any serialisable type.
//! - `lock_api`: the mutex behind the traits of the `lock_api` crate, as `RawLock`.
//! - `serde`: what serde can write and read, as keys, values and items ([`Stored`]).
//! - `capi`: the symbols of `include/forq.h`.
//!
//! Linux 5.4 or newer; 64-bit. On 32-bit machines deaths of lock holders are found by looking ([`is_robust`]).
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    loom,
    allow(dead_code, unused_imports, reason = "the stand-ins for loom leave a part of floor 0 unused")
)]

#[cfg(not(target_os = "linux"))]
compile_error!("forq is made of futexes, pidfds and robust lists: it needs Linux");

mod channel;
mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
mod manager;
mod pipe;
mod pool;
mod process;
mod queue;
mod shared;
mod sync;
mod sys;

#[doc(hidden)]
pub use channel::{__byte_channel_in_lap, __channel_in_lap};
pub use channel::{ByteReceiver, ByteSender, Message, Receiver, Sender, Slot, byte_channel, channel};
pub use error::{Error, Result};
pub use manager::dict::Dict;
pub use manager::list::List;
#[cfg(feature = "std")]
pub use manager::manager_view::{CollectionView, ManagerView};
pub use manager::namespace::Namespace;
#[cfg(feature = "serde")]
pub use manager::stored::Serde;
pub use manager::stored::Stored;
pub use manager::{Handle, Manager};
pub use pipe::{Connection, pipe, pipe_one_way};
#[cfg(feature = "std")]
pub use pipe::{wait_any, wait_any_timeout};
#[cfg(feature = "std")]
pub use pool::pool_view::{PoolView, WorkerView};
pub use pool::{
    AsyncResult, Batch, Imap, JobStatistics, Numbered, PanicMessage, Pool, PoolBuilder, PoolStatistics,
    Stream, TaskError, WorkerStatistics,
};
#[cfg(feature = "std")]
pub use pool::{Bytes, fork_map, fork_map_bytes, fork_map_unchecked};
pub use process::{ExitCode, ExitStatus, Process, ProcessOptions};
pub use queue::{ByteQueue, PutError, Queue, QueueStatistics};
#[cfg(feature = "std")]
pub use queue::{QueueSideView, QueueView};
pub use shared::Shareable;
pub use shared::array::Array;
pub use shared::segment::Segment;
#[cfg(feature = "std")]
pub use shared::segment_view::{ObjectView, SegmentView};
#[doc(hidden)]
pub use shared::shareable::assert_pod as __assert_pod;
pub use shared::shared::Shared;
pub use shared::value::{Number, Value};
pub use sync::backoff::Backoff;
pub use sync::barrier::Barrier;
pub use sync::condvar::{Condvar, WaitTimeout, WaitTimeoutResult};
pub use sync::event::Event;
#[cfg(feature = "lock_api")]
pub use sync::lock_api::RawLock;
pub use sync::mutex::{LockError, LockResult, Mutex, MutexGuard};
#[cfg(feature = "std")]
pub use sync::name_view::NameView;
pub use sync::names::ObjectKind;
pub use sync::permit::Permit;
pub use sync::reentrant::{ReentrantLockResult, ReentrantMutex, ReentrantMutexGuard};
pub use sync::semaphore::Semaphore;
pub use sync::statistics::MutexStatistics;
#[cfg(feature = "std")]
pub use sync::view::MutexView;

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

/// For measurements: whether waiters back off before they sleep, in this process and those forked from it later.
#[doc(hidden)]
pub fn __set_backoff(on: bool) {
    sync::pace::set(on);
}

/// Whether waits of this thread end with [`Error::Interrupted`] after a signal handler ran, or go on, as they do
/// at first. For language bindings, whose handlers only take note. Returns what it was.
pub fn set_interruptible(on: bool) -> bool {
    sys::thread::current().set_interruptible(on)
}
