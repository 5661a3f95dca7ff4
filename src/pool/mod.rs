//! A pool of worker processes: the face for Rust. The C face stands on [`host`] too.
//!
//! Who does what: the *host* ([`host`], [`flight`]) is the process that made the pool. The *supervisor*
//! ([`supervisor`], [`settle`]) is its child, and the parent of the *workers* ([`recruit`], [`worker`], [`run`]). They meet in the control
//! block ([`control`], [`view`]), whose words ([`word`]) say at every instant who has what in hand.

mod arena;
#[cfg(feature = "std")]
mod async_bytes;
mod asynchronous;
mod batch;
mod books;
mod builder;
#[cfg(feature = "std")]
mod bytes;
#[cfg(feature = "capi")]
mod c_task;
mod closure;
mod code;
mod collect;
mod control;
mod descriptors;
mod extents;
mod flight;
mod fork_map;
pub(crate) mod host;
mod imap;
pub(crate) mod job;
mod message;
mod overdue;
mod piece;
#[cfg(feature = "std")]
pub(crate) mod pool_view;
mod recruit;
pub(crate) mod result;
mod run;
mod set;
mod settle;
mod star;
mod statistics;
pub(crate) mod status;
pub(crate) mod stream;
mod supervisor;
mod tidy;
mod view;
mod word;
mod worker;

use core::ptr::NonNull;
use core::time::Duration;

use bytemuck::Pod;

pub use asynchronous::AsyncResult;
pub use batch::Batch;
pub use builder::PoolBuilder;
#[cfg(feature = "std")]
pub use bytes::Bytes;
#[cfg(feature = "std")]
pub use fork_map::of_bytes::fork_map_bytes;
#[cfg(feature = "std")]
pub use fork_map::{fork_map, fork_map_unchecked};
pub use imap::{Imap, Numbered, Stream};
pub use statistics::{JobStatistics, PoolStatistics, WorkerStatistics};
pub use status::{PanicMessage, TaskError};

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use host::Host;

/// Worker processes that run functions on many inputs, and survive what the functions do.
///
/// An item whose function crashes its worker (a segmentation fault, `abort`, somebody's SIGKILL) costs
/// that item; the rest of the job is done by the others, and the worker is replaced. When the host dies,
/// SIGKILL included, the workers end within a second.
///
/// Functions are function items and closures that capture nothing, checked at compile time: the workers
/// were forked when the pool was made, and have the same code but not what was made later. Inputs and
/// results are plain data ([`bytemuck::Pod`]) and travel through shared memory. Make the pool early:
/// descriptors open then stay open in the workers. Afterwards the host may start threads.
///
/// All methods may be called by several threads at a time, in the process that made the pool; in
/// others they give [`Error::NotPermitted`]. Dropping the pool ends its workers at once.
///
/// ```
/// # // Doc tests run in a process with other threads.
/// # use forq::Pool;
/// # let pool = unsafe { Pool::builder().workers(2).build_unchecked()? };
/// # if false {
/// let pool = Pool::new(2)?;
/// # }
/// let inputs: Vec<u64> = (0..1000).collect();
/// let squares = pool.map(|x| x * x, &inputs)?;
/// assert_eq!(squares[999], 998_001);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Pool {
    host: NonNull<Host>,
}

// SAFETY: the host's face is made of atomics and a lock.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Makes a pool of so many workers; 0: as many as [`cpu_count`](crate::cpu_count). Waits until they are ready.
    ///
    /// # Errors
    /// [`Error::MultiThreaded`] if other threads run in this process, see [`PoolBuilder::build_unchecked`];
    /// [`Error::LockHeld`] while this thread holds a forq lock; [`Error::InvalidArgument`] for more than
    /// 4094 workers; [`Error::ChildLost`] if a worker could not be made; [`Error::OutOfMemory`].
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// Makes a pool with more to choose.
    pub fn builder() -> PoolBuilder<'static> {
        PoolBuilder::new()
    }

    fn host(&self) -> &Host {
        // SAFETY: made by `Host::start`, freed by `drop`.
        unsafe { self.host.as_ref() }
    }

    /// How the next map is to be run: chunk size, time limit.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Runs `function` on each input; the results in the order of the inputs.
    ///
    /// # Errors
    /// [`Error::Task`] for the first item that did not succeed, once all have ended;
    /// [`Error::ChildLost`] if the pool is broken; [`Error::Closed`] after [`Pool::close`];
    /// [`Error::OutOfMemory`] if inputs and results do not fit the arena;
    /// [`Error::NotPermitted`] in a process that did not make the pool; [`Error::InvalidArgument`] for a
    /// function from a library that was loaded after the pool was made.
    #[cfg(feature = "std")]
    pub fn map<I: Pod, R: Pod, F>(&self, function: F, inputs: &[I]) -> Result<Vec<R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().map(function, inputs)
    }

    /// As [`Pool::map`], for functions without effects: a chunk of items may run twice, so that the pool need not
    /// know at every moment which item a worker is on. Then the compiler can run several items at a time in vector registers. An
    /// item that crashes its worker still costs only itself. What a worker has begun it does not share with idle ones: where single items take long, and
    /// lie together, [`Pool::map`] is better.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let halves = pool.map_pure(|x| x * 0.5, &[1.0f32; 10_000])?;
    /// assert!(halves.iter().all(|&half| half == 0.5));
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::map`].
    #[cfg(feature = "std")]
    pub fn map_pure<I: Pod, R: Pod, F>(&self, function: F, inputs: &[I]) -> Result<Vec<R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().map_pure(function, inputs)
    }

    /// Runs `function` on each input and on `context`, which is copied to the workers once.
    ///
    /// # Errors
    /// As [`Pool::map`].
    #[cfg(feature = "std")]
    pub fn map_with<C: Pod, I: Pod, R: Pod, F>(
        &self,
        context: &[C],
        function: F,
        inputs: &[I],
    ) -> Result<Vec<R>>
    where
        F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().map_with(context, function, inputs)
    }

    /// Runs `function` on one input, and waits for the result.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(1).build_unchecked()? };
    /// assert_eq!(pool.apply(|x| x + 1, &41u32)?, 42);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::map`].
    pub fn apply<I: Pod, R: Pod, F>(&self, function: F, input: &I) -> Result<R>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().apply(function, input)
    }

    /// Takes no new work; workers leave when what is pending is done.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] in a process that did not make the pool.
    pub fn close(&self) -> Result<()> {
        self.host().enter(Host::close)
    }

    /// Ends all workers: by SIGTERM, and after half a second by SIGKILL. Pending items are cancelled.
    ///
    /// # Errors
    /// As [`Pool::close`].
    pub fn terminate(&self) -> Result<()> {
        self.host().enter(Host::terminate)
    }

    /// Waits until all workers have ended, after [`Pool::close`] or [`Pool::terminate`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] before either; [`Error::NotPermitted`]; [`Error::Interrupted`].
    pub fn join(&self) -> Result<()> {
        self.host().enter(|host| host.join(Deadline::FOREVER))
    }

    /// [`Pool::join`] for at most `timeout`.
    ///
    /// # Errors
    /// As [`Pool::join`], and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.host().enter(|host| host.join(Deadline::after(timeout)))
    }

    /// Gives it a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> crate::Result<()> {
        self.host().set_name(name.as_bytes())
    }

    /// What the pool has done.
    #[must_use]
    pub fn statistics(&self) -> PoolStatistics {
        self.host().statistics()
    }

    /// What the last map or apply cost that a thread waited for; `None` before the first.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// pool.map(|x| x * 2, &[1u64; 1000])?;
    /// let job = pool.last_job().unwrap();
    /// assert!(job.items == 1000 && job.efficiency() <= 1.0);
    /// # Ok::<(), forq::Error>(())
    /// ```
    #[must_use]
    pub fn last_job(&self) -> Option<JobStatistics> {
        self.host().last_job()
    }

    /// What one worker has done; `None` if there are not so many.
    #[must_use]
    pub fn worker_statistics(&self, worker: usize) -> Option<WorkerStatistics> {
        self.host().worker_statistics(worker)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again.
        unsafe { Host::free(self.host) };
    }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool").field("statistics", &self.statistics()).finish()
    }
}

/// The error of a job that did not go well as a whole.
fn job_error(tally: &job::Tally, deadline: Deadline) -> Result<()> {
    match tally.first {
        None => Ok(()),
        Some(_) if tally.timed_out => {
            Err(if deadline.is_now() { Error::WouldBlock } else { Error::TimedOut })
        }
        Some((index, _)) => Err(Error::Task { index, error: tally.error.unwrap_or(TaskError::Cancelled) }),
    }
}
