//! Maps with options, and the loop that runs a Rust closure over a chunk.

use core::mem::{align_of, size_of};
use core::time::Duration;

use bytemuck::Pod;

#[cfg(feature = "std")]
use super::TaskError;
use super::job::{Job, Tally};
#[cfg(feature = "std")]
use super::status::PANICKED;
use super::status::TaskStatus;
use super::worker::Run;
use super::{Pool, job_error};
use crate::error::Result;
use crate::sys::clock::Deadline;

/// How a map is to be run. From [`Pool::batch`].
///
/// ```
/// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
/// use std::time::Duration;
/// let lengths = pool.batch().chunk_size(1).timeout(Duration::from_secs(60)).map(|x| x % 7, &[8u8, 9])?;
/// assert_eq!(lengths, [1, 2]);
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Batch<'a> {
    pool: &'a Pool,
    chunk_size: usize,
    timeout: Option<Duration>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        Self { pool, chunk_size: 0, timeout: None }
    }

    /// Items a worker takes at a time; 0: chosen by the pool, so that all workers end at about one time.
    pub fn chunk_size(mut self, items: usize) -> Self {
        self.chunk_size = items;
        self
    }

    /// How long the map may take: then what is not done is cancelled, what is being run is stopped
    /// by killing its worker, and the map fails with [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn deadline(&self) -> Deadline {
        self.timeout.map_or(Deadline::FOREVER, Deadline::after)
    }

    /// [`Pool::map`] with these options.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`](crate::Error::TimedOut).
    #[cfg(feature = "std")]
    pub fn map<I: Pod, R: Pod, F>(self, function: F, inputs: &[I]) -> Result<Vec<R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let mut outputs = vec![R::zeroed(); inputs.len()];
        self.map_into(function, inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// [`Pool::map_with`] with these options.
    ///
    /// # Errors
    /// As [`Batch::map`].
    #[cfg(feature = "std")]
    pub fn map_with<C: Pod, I: Pod, R: Pod, F>(
        self,
        context: &[C],
        function: F,
        inputs: &[I],
    ) -> Result<Vec<R>>
    where
        F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
    {
        let mut outputs = vec![R::zeroed(); inputs.len()];
        self.run(context, function, inputs, &mut outputs, None)?;
        Ok(outputs)
    }

    /// Maps into a slice of the caller's: without an allocation. The outputs of items that did not succeed stay as they were.
    ///
    /// # Errors
    /// As [`Batch::map`]; [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the slices differ in length.
    pub fn map_into<I: Pod, R: Pod, F>(self, function: F, inputs: &[I], outputs: &mut [R]) -> Result<()>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.run(&[] as &[u8], move |_: &[u8], input: &I| function(input), inputs, outputs, None)
    }

    /// Maps, and tells of each item how it ended.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let each = pool.batch().try_map(|x| 100 / x, &[5i32, 0, 2])?;
    /// assert_eq!(each[0], Ok(20));
    /// assert_eq!(each[1], Err(forq::TaskError::Panicked));
    /// assert_eq!(each[2], Ok(50));
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Batch::map`], but for [`Error::Task`](crate::Error::Task), [`Error::TimedOut`](crate::Error::TimedOut) and, of a pool that
    /// broke on the way, [`Error::ChildLost`](crate::Error::ChildLost): the items tell.
    #[cfg(feature = "std")]
    pub fn try_map<I: Pod, R: Pod, F>(
        self,
        function: F,
        inputs: &[I],
    ) -> Result<Vec<core::result::Result<R, TaskError>>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let mut outputs = vec![R::zeroed(); inputs.len()];
        let mut statuses = vec![TaskStatus::OK; inputs.len()];
        let with = move |_: &[u8], input: &I| function(input);
        self.tally(&[] as &[u8], with, inputs, &mut outputs, Some(&mut statuses))?;
        let each = outputs.into_iter().zip(statuses);
        Ok(each.map(|(output, status)| status.error().map_or(Ok(output), Err)).collect())
    }

    /// [`Pool::apply`] with these options.
    ///
    /// # Errors
    /// As [`Batch::map`].
    pub fn apply<I: Pod, R: Pod, F>(self, function: F, input: &I) -> Result<R>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let mut output = [R::zeroed()];
        self.map_into(function, core::slice::from_ref(input), &mut output)?;
        Ok(output[0])
    }

    fn run<C: Pod, I: Pod, R: Pod, F>(
        self,
        context: &[C],
        function: F,
        inputs: &[I],
        outputs: &mut [R],
        statuses: Option<&mut [TaskStatus]>,
    ) -> Result<()>
    where
        F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
    {
        let deadline = self.deadline();
        job_error(&self.tally(context, function, inputs, outputs, statuses)?, deadline)
    }

    fn tally<C: Pod, I: Pod, R: Pod, F>(
        self,
        context: &[C],
        _function: F,
        inputs: &[I],
        outputs: &mut [R],
        statuses: Option<&mut [TaskStatus]>,
    ) -> Result<Tally>
    where
        F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
    {
        const {
            assert!(size_of::<F>() == 0, "a task must not capture anything: the workers do not have it");
            assert!(
                align_of::<C>() <= 64 && align_of::<I>() <= 64 && align_of::<R>() <= 64,
                "alignment over 64"
            );
        }
        if inputs.len() != outputs.len() {
            return Err(crate::Error::InvalidArgument);
        }
        let job = Job {
            runner: run_closure::<C, I, R, F>,
            task: 0,
            context: context.as_ptr().cast(),
            context_size: size_of_val(context),
            inputs: inputs.as_ptr().cast(),
            input_size: size_of::<I>(),
            count: inputs.len(),
            outputs: outputs.as_mut_ptr().cast(),
            output_size: size_of::<R>(),
            chunk_size: self.chunk_size,
            statuses: statuses.map_or(core::ptr::null_mut(), |statuses| statuses.as_mut_ptr()),
        };
        let deadline = self.deadline();
        // SAFETY: the buffers are slices of these types and lengths, and the runner is for these types.
        self.pool.host().enter(|host| unsafe { host.run(&job, deadline) })
    }
}

/// Runs a closure over a chunk.
///
/// # Safety
/// The job's sizes must be those of the types.
unsafe fn run_closure<C: Pod, I: Pod, R: Pod, F>(run: &mut Run<'_>)
where
    F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
{
    // SAFETY: the type has no bytes, and the caller of `map` had a value of it, which is Copy.
    let function = unsafe { core::ptr::NonNull::<F>::dangling().read() };
    // SAFETY: the host copied that many, aligned, and changes nothing as long as a worker is on the job.
    let context =
        unsafe { core::slice::from_raw_parts(run.context().cast::<C>(), run.context_length::<C>()) };
    // Taken once: the stores of the loop could change what they are computed from, for all the compiler knows.
    let (inputs, outputs) = (run.input(0).cast::<I>(), run.output(0).cast::<R>());
    let mut item = run.range.start;
    let end = run.range.end;
    while item < end {
        let mut until_panic = |item: &mut usize| {
            while *item < end {
                run.begin(*item);
                // SAFETY: as for the context; any bytes are a valid `I`.
                let input = unsafe { &*inputs.add(*item) };
                let output = function(context, input);
                // SAFETY: the item's own place in the results, aligned.
                unsafe { outputs.add(*item).write(output) };
                run.end(*item, 0);
                *item += 1;
            }
        };
        #[cfg(feature = "std")]
        if crate::process::caught(|| until_panic(&mut item)).is_none() {
            run.end(item, PANICKED);
            item += 1;
        }
        #[cfg(not(feature = "std"))]
        until_panic(&mut item);
    }
}
