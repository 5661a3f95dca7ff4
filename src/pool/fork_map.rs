//! Maps that fork for each call, so that the function may capture anything.

use core::marker::PhantomData;

use bytemuck::Pod;

use super::PoolBuilder;
use super::closure::{each_item, job_of};
use super::job::Job;
use super::run::{Run, Runner};
use crate::error::Result;
use crate::process::check_fork_is_safe;

/// Where the function and the items are: at the same addresses in every fork.
type Captured = [usize; 2];

/// # Safety
/// There must be a function and items of these types at those addresses, as long as the result is used.
unsafe fn captured<'a, I, F>([function, items]: Captured) -> (&'a F, *const I) {
    // SAFETY: by contract.
    let function = unsafe { &*core::ptr::with_exposed_provenance::<F>(function) };
    (function, core::ptr::with_exposed_provenance::<I>(items))
}

/// # Safety
/// The context must be one [`Captured`] of these types, alive when the worker's ancestors were forked.
unsafe fn run_captured<I, R: Pod, F: Fn(&I) -> R>(run: &mut Run<'_>) {
    // SAFETY: by contract; the worker has a copy of what the host had then.
    let (function, items) = unsafe { captured::<I, F>(run.context().cast::<Captured>().read()) };
    let outputs = run.output(0).cast::<R>();
    each_item(run, |item| {
        // SAFETY: by contract, and there are as many items as the job has.
        let output = function(unsafe { &*items.add(item) });
        // SAFETY: the item's own place in the results, aligned.
        unsafe { outputs.add(item).write(output) };
        0
    });
}

/// Runs `function` on each item in forked processes, so many at a time (0: as many as CPUs); the results in the order of the items.
///
/// The processes are forked by this call, and have a copy (made page by page, when it is written to) of all that this process has: `function` may capture
/// anything by reference, and items may be of any type. What it changes, only its own process sees. As with a [`Pool`](crate::Pool), an item that
/// crashes its process costs that item, and the rest is done. For many short calls a pool is faster: this one costs
/// a fork for each process and one more.
///
/// ```no_run
/// let words = vec![String::from("fork"), String::from("queue")];
/// let suffix = String::from("s");
/// let lengths = forq::fork_map(2, &words, |word| (word.len() + suffix.len()) as u64)?;
/// assert_eq!(lengths, [5, 6]);
/// # Ok::<(), forq::Error>(())
/// ```
///
/// # Errors
/// [`Error::MultiThreaded`](crate::Error::MultiThreaded) if other threads run, see [`fork_map_unchecked`];
/// [`Error::LockHeld`](crate::Error::LockHeld); [`Error::Task`](crate::Error::Task) for the first item that did not succeed, once all
/// have ended; [`Error::ChildLost`](crate::Error::ChildLost), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
#[cfg(feature = "std")]
pub fn fork_map<I, R: Pod>(workers: usize, items: &[I], function: impl Fn(&I) -> R) -> Result<Vec<R>> {
    check_fork_is_safe()?;
    // SAFETY: this is the only thread.
    unsafe { fork_map_unchecked(workers, items, function) }
}

/// As [`fork_map`], although other threads may be running.
///
/// # Errors
/// As there, but for the refusals of forks.
///
/// # Safety
/// If other threads run, the function may do only what is safe in a signal handler: locks that those threads hold, the allocator's
/// among them, stay locked in the forks for ever.
#[cfg(feature = "std")]
pub unsafe fn fork_map_unchecked<I, R: Pod>(
    workers: usize,
    items: &[I],
    function: impl Fn(&I) -> R,
) -> Result<Vec<R>> {
    let mut outputs = vec![R::zeroed(); items.len()];
    // SAFETY: by contract.
    unsafe {
        super::Pool::builder().workers(workers).fork_map_into_unchecked(items, function, &mut outputs)
    }?;
    Ok(outputs)
}

impl PoolBuilder<'_> {
    /// [`fork_map`] with these options, into a slice of the caller's: without an allocation. The outputs of items that did not
    /// succeed stay as they were.
    ///
    /// # Errors
    /// As [`fork_map`]; [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the slices differ in length.
    pub fn fork_map_into<I, R: Pod>(
        self,
        items: &[I],
        function: impl Fn(&I) -> R,
        outputs: &mut [R],
    ) -> Result<()> {
        check_fork_is_safe()?;
        // SAFETY: this is the only thread.
        unsafe { self.fork_map_into_unchecked(items, function, outputs) }
    }

    /// As [`PoolBuilder::fork_map_into`], although other threads may be running.
    ///
    /// # Errors
    /// As there, but for the refusals of forks.
    ///
    /// # Safety
    /// As [`fork_map_unchecked`].
    pub unsafe fn fork_map_into_unchecked<I, R: Pod, F: Fn(&I) -> R>(
        self,
        items: &[I],
        function: F,
        outputs: &mut [R],
    ) -> Result<()> {
        // Before the forks, and until they have ended.
        let captured: [Captured; 1] =
            [[(&raw const function).expose_provenance(), items.as_ptr().expose_provenance()]];
        let runner: Runner = run_captured::<I, R, F>;
        // SAFETY: by contract.
        let pool = unsafe { self.build_unchecked() }?;
        let nothing: &[()] = &[];
        let job = job_of::<Captured, (), R, PhantomData<F>>(runner, &captured, nothing, 0);
        let job = Job { count: items.len(), ..job };
        pool.batch().run(job, outputs)
    }
}

#[cfg(feature = "std")]
pub(super) mod of_bytes {
    use super::super::bytes::{each_item_writes, put, room};
    use super::*;

    /// # Safety
    /// The context must be one [`Captured`] of these types, alive when the worker's ancestors were forked, and the bound by which the
    /// job was made.
    unsafe fn run_captured_bytes<I, B: AsRef<[u8]>, F: Fn(&I) -> B>(run: &mut Run<'_>) {
        // SAFETY: by contract.
        let (bound, function, items) = unsafe {
            let [function, items, bound] = run.context().cast::<[usize; 3]>().read();
            let (function, items) = captured::<I, F>([function, items]);
            (bound, function, items)
        };
        // SAFETY: by contract, and there are as many items as the job has.
        let call =
            |item: usize, output: &mut [u8]| put(function(unsafe { &*items.add(item) }).as_ref(), output);
        // SAFETY: by contract.
        unsafe { each_item_writes(run, bound, call) };
    }

    /// As [`fork_map`], with results that are byte strings of at most `bound` bytes.
    ///
    /// ```no_run
    /// let words = vec![String::from("fork"), String::from("queue")];
    /// let plurals = forq::fork_map_bytes(2, 100, &words, |word| format!("{word}s"))?;
    /// assert_eq!(plurals, [&b"forks"[..], b"queues"]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fork_map`]; a result over the bound is [`TaskError::TooLarge`](crate::TaskError::TooLarge).
    pub fn fork_map_bytes<I, B: AsRef<[u8]>>(
        workers: usize,
        bound: usize,
        items: &[I],
        function: impl Fn(&I) -> B,
    ) -> Result<Vec<Vec<u8>>> {
        super::super::Pool::builder().workers(workers).fork_map_bytes(bound, items, function)
    }

    impl PoolBuilder<'_> {
        /// [`fork_map_bytes`] with these options.
        ///
        /// # Errors
        /// As there.
        pub fn fork_map_bytes<I, B: AsRef<[u8]>>(
            self,
            bound: usize,
            items: &[I],
            function: impl Fn(&I) -> B,
        ) -> Result<Vec<Vec<u8>>> {
            check_fork_is_safe()?;
            // SAFETY: this is the only thread.
            unsafe { self.fork_map_bytes_unchecked(bound, items, function) }
        }

        /// As [`PoolBuilder::fork_map_bytes`], although other threads may be running.
        ///
        /// # Errors
        /// As there, but for the refusals of forks.
        ///
        /// # Safety
        /// As [`fork_map_unchecked`].
        pub unsafe fn fork_map_bytes_unchecked<I, B: AsRef<[u8]>, F: Fn(&I) -> B>(
            self,
            bound: usize,
            items: &[I],
            function: F,
        ) -> Result<Vec<Vec<u8>>> {
            // Before the forks, and until they have ended.
            let captured =
                [[(&raw const function).expose_provenance(), items.as_ptr().expose_provenance(), bound]];
            let output_size = room(bound)?;
            let runner: Runner = run_captured_bytes::<I, B, F>;
            // SAFETY: by contract.
            let pool = unsafe { self.build_unchecked() }?;
            let nothing: &[()] = &[];
            let job = job_of::<[usize; 3], (), u64, PhantomData<F>>(runner, &captured, nothing, 0);
            let job = Job { count: items.len(), output_size, ..job };
            let mut outputs = Vec::with_capacity(items.len());
            pool.batch().run_packed(&job, |output| {
                outputs.push(output.to_vec());
                Ok(())
            })?;
            Ok(outputs)
        }
    }
}
