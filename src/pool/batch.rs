//! Maps with options.

use core::time::Duration;

use bytemuck::Pod;

#[cfg(feature = "std")]
use super::TaskError;
use super::closure::{job_of, run_closure, run_pure};
use super::job::{Job, Sink, Tally};
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
    pub(super) pool: &'a Pool,
    pub(super) chunk_size: usize,
    timeout: Option<Duration>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        Self { pool, chunk_size: 0, timeout: None }
    }

    /// Items a worker takes at a time; 0: chosen by the pool, so that all workers end at about one time.
    ///
    /// Either way a worker that has taken long for some of them (50 us and more) leaves half of the rest to one that has nothing to do, again and
    /// again: long items that lie side by side are shared. (It does so between two items, and not in a map of pure functions.)
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

    pub(super) fn deadline(&self) -> Deadline {
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
        self.run(self.job(context, function, inputs), &mut outputs)?;
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
        self.run(self.plain_job(function, inputs), outputs)
    }

    /// [`Pool::map_pure`] with these options, into a slice of the caller's.
    ///
    /// # Errors
    /// As [`Batch::map_into`].
    pub fn map_pure_into<I: Pod, R: Pod, F>(self, function: F, inputs: &[I], outputs: &mut [R]) -> Result<()>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        fn runner<I: Pod, R: Pod, G>(_: G) -> super::run::Runner
        where
            G: Fn(&[u8], &I) -> R + Copy + Send + Sync + 'static,
        {
            run_pure::<u8, I, R, G>
        }
        let runner = runner(move |_: &[u8], input: &I| function(input));
        let job = Job { pure: true, ..job_of::<u8, I, R, F>(runner, &[], inputs, self.chunk_size) };
        self.run(job, outputs)
    }

    /// [`Pool::map_pure`] with these options.
    ///
    /// # Errors
    /// As [`Batch::map`].
    #[cfg(feature = "std")]
    pub fn map_pure<I: Pod, R: Pod, F>(self, function: F, inputs: &[I]) -> Result<Vec<R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let mut outputs = vec![R::zeroed(); inputs.len()];
        self.map_pure_into(function, inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// Maps, and tells of each item how it ended.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// use forq::TaskError;
    /// let each = pool.batch().try_map(|x| 100 / x, &[5i32, 0, 2])?;
    /// assert_eq!(each[0], Ok(20));
    /// assert!(matches!(each[1], Err(TaskError::Panicked(said)) if said.as_str() == "attempt to divide by zero"));
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
        let mut errors = Vec::new();
        let job = Job { has_statuses: true, ..self.plain_job(function, inputs) };
        self.tally(job, &mut outputs, Some(&mut |item, error| errors.push((item, error))))?;
        let mut each: Vec<_> = outputs.into_iter().map(Ok).collect();
        errors.into_iter().for_each(|(item, error)| each[item] = Err(error));
        Ok(each)
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

    /// A job of a closure with a context.
    pub(super) fn job<C: Pod, I: Copy, R: Pod, F>(self, context: &[C], _function: F, inputs: &[I]) -> Job
    where
        F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
    {
        job_of::<C, I, R, F>(run_closure::<C, I, R, F>, context, inputs, self.chunk_size)
    }

    /// A job of a closure without.
    pub(super) fn plain_job<I: Copy, R: Pod, F>(self, function: F, inputs: &[I]) -> Job
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.job(&[] as &[u8], move |_: &[u8], input: &I| function(input), inputs)
    }

    pub(super) fn run<R: Pod>(self, job: Job, outputs: &mut [R]) -> Result<()> {
        let deadline = self.deadline();
        job_error(&self.tally(job, outputs, None)?, deadline)
    }

    pub(super) fn tally<R: Pod>(
        self,
        job: Job,
        outputs: &mut [R],
        errors: Option<&mut dyn FnMut(usize, super::TaskError)>,
    ) -> Result<Tally> {
        if job.count != outputs.len() || job.output_size != size_of::<R>() {
            return Err(crate::Error::InvalidArgument);
        }
        let mut sink = Sink { outputs: outputs.as_mut_ptr().cast(), errors, ..Sink::NOTHING };
        let deadline = self.deadline();
        // SAFETY: the outputs are as many and as large as the job's, whose maker vouched for its inputs and runner.
        self.pool.host().enter(|host| unsafe { host.run(&job, &mut sink, deadline) })
    }
}
