//! How a pool is made.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::time::Duration;

use super::Pool;
use super::host::{Host, Options};
use crate::error::Result;
use crate::process::{ExitCode, check_fork_is_safe};

/// Makes a [`Pool`] with more to choose than [`Pool::new`].
#[must_use]
pub struct PoolBuilder<'a> {
    options: Options,
    borrows: PhantomData<&'a ()>,
}

impl PoolBuilder<'static> {
    pub(super) fn new() -> Self {
        let options = Options {
            #[cfg(feature = "std")]
            flush: Some(crate::process::flush_rust),
            ..Options::DEFAULT
        };
        Self { options, borrows: PhantomData }
    }
}

impl<'a> PoolBuilder<'a> {
    /// How many workers; 0: as many as [`cpu_count`](crate::cpu_count). At most 4094.
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = workers;
        self
    }

    /// How often an item is tried whose worker died; 0 and 1: once.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = attempts;
        self
    }

    /// After how many items a worker is replaced, so that what tasks leave behind does not pile up; 0: never.
    pub fn max_tasks_per_worker(mut self, items: u32) -> Self {
        self.options.max_tasks = items;
        self
    }

    /// How long an item may run: then its worker is killed and replaced, and the item has
    /// [timed out](crate::TaskError::TimedOut). It is not tried again. Zero: for ever. Each item costs two looks at the clock more.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.options.task_timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// How long workers have to leave after SIGTERM, at [`Pool::terminate`] and when the pool is dropped; then comes SIGKILL.
    /// Half a second unless it is set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Whether each worker stays on one CPU of those that this process may use: the first on the first, and around. The
    /// scheduler mostly does as well; it is for measurements, and for what lives by its caches.
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.options.pinned = pinned;
        self
    }

    /// Bytes of address space for inputs and results of the jobs in flight, used as needed; 0: as much
    /// as the machine has memory, but no more than a quarter of the address space that the process may
    /// have (`RLIMIT_AS`).
    pub fn arena_size(mut self, size: usize) -> Self {
        self.options.arena_size = size;
        self
    }

    /// Whether SIGINT is the host's business alone; otherwise a SIGINT to the process group breaks the pool.
    pub fn ignore_interrupt(mut self, ignore: bool) -> Self {
        self.options.ignore_interrupt = ignore;
        self
    }

    /// What each worker runs before its first item, replacements too. A code other than 0, an error or a
    /// panic means that it cannot work: then no pool is made.
    pub fn initializer<'b, R: ExitCode, F: Fn() -> R>(self, initializer: &'b F) -> PoolBuilder<'b>
    where
        'a: 'b,
    {
        unsafe extern "C" fn call<R: ExitCode, F: Fn() -> R>(initializer: *mut c_void) -> i32 {
            // SAFETY: the builder borrows it until the workers' parent has been forked, with a copy.
            let initializer = unsafe { &*initializer.cast_const().cast::<F>() };
            #[cfg(feature = "std")]
            return crate::process::caught(|| initializer().code()).unwrap_or(1);
            #[cfg(not(feature = "std"))]
            initializer().code()
        }
        let options = Options {
            initializer: Some(call::<R, F>),
            initializer_argument: core::ptr::from_ref(initializer).cast_mut().cast(),
            ..self.options
        };
        PoolBuilder { options, borrows: PhantomData }
    }

    /// Makes the pool, and waits until its workers are ready.
    ///
    /// # Errors
    /// As [`Pool::new`]; [`Error::ChildLost`](crate::Error::ChildLost) if an initializer failed.
    pub fn build(self) -> Result<Pool> {
        check_fork_is_safe()?;
        // SAFETY: this is the only thread.
        unsafe { self.build_unchecked() }
    }

    /// Makes the pool although other threads may be running.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`], but for the refusals of forks.
    ///
    /// # Safety
    /// If other threads run, initializer and tasks may do only what is safe in a signal handler: locks that
    /// those threads hold, the allocator's among them, stay locked in the workers for ever.
    pub unsafe fn build_unchecked(self) -> Result<Pool> {
        // SAFETY: by contract.
        unsafe { Host::start(&self.options) }.map(|host| Pool { host })
    }
}

impl core::fmt::Debug for PoolBuilder<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PoolBuilder").field("workers", &self.options.workers).finish_non_exhaustive()
    }
}
