//! Results that nobody waits for yet: the face for Rust.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::time::Duration;

use bytemuck::Pod;

use super::batch::Batch;
use super::host::Host;
use super::job::{Job, Sink, Tally};
use super::result::Flight;
use super::{Pool, job_error};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// The result of work that goes on: of [`Pool::apply_async`] an `AsyncResult<R>`, of [`Pool::map_async`] an `AsyncResult<[R]>`; of
/// byte strings `AsyncResult<Bytes>` and `AsyncResult<[Bytes]>`.
///
/// It keeps what it needs: it may outlive the pool, and if it was ready when the pool was dropped, it stays so. Dropping it lets go: the
/// work goes on, and its results are dropped. It belongs to the process that made the pool; in others its methods give
/// [`Error::NotPermitted`].
pub struct AsyncResult<T: ?Sized> {
    flight: NonNull<Flight>,
    result: PhantomData<fn() -> *const T>,
}

// SAFETY: a flight's words are atomics; results are copied out of memory that nobody changes any more.
unsafe impl<T: ?Sized> Send for AsyncResult<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized> Sync for AsyncResult<T> {}

impl<T: ?Sized> AsyncResult<T> {
    /// # Safety
    /// The job's results must be of the type `T`, or its elements.
    pub(super) unsafe fn submit(pool: &Pool, job: &Job) -> Result<Self> {
        // SAFETY: the job's buffers are borrowed until it returns; by contract.
        let flight = unsafe { Host::submit(pool.host, job) }?;
        Ok(Self { flight, result: PhantomData })
    }

    pub(super) fn flight(&self) -> &Flight {
        // SAFETY: freed by `drop`.
        unsafe { self.flight.as_ref() }
    }

    /// Waits until it is ready: all its items have ended, in whatever way.
    ///
    /// # Errors
    /// [`Error::ChildLost`] if the pool ended first: then it is ready too; [`Error::NotPermitted`]; [`Error::Interrupted`].
    pub fn wait(&self) -> Result<()> {
        self.flight().wait(Deadline::FOREVER)
    }

    /// [`AsyncResult::wait`] for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero. The work goes on.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.flight().wait(Deadline::after(timeout))
    }

    /// Whether it is ready. Never waits; of another process's it is not.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.flight().is_ready() == Ok(true)
    }

    /// Stops what has not ended: items that nobody has begun are cancelled, the workers of those that are being run are killed and
    /// replaced, and waited for. Then it is ready; what had been done stays done.
    ///
    /// # Errors
    /// [`Error::Busy`] if all had ended; [`Error::NotPermitted`].
    pub fn cancel(&self) -> Result<()> {
        self.flight().cancel()
    }

    /// The number of [`AsyncResult::as_fd`]: open until this is dropped.
    ///
    /// # Errors
    /// As there.
    pub fn raw_fd(&self) -> Result<i32> {
        self.flight().descriptor()
    }

    /// A descriptor that is readable once it is ready, for event loops: nothing is to be read from it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if descriptors are exhausted; [`Error::NotPermitted`].
    #[cfg(feature = "std")]
    pub fn as_fd(&self) -> Result<std::os::fd::BorrowedFd<'_>> {
        let descriptor = self.raw_fd()?;
        // SAFETY: open until the result is dropped.
        Ok(unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) })
    }

    /// # Safety
    /// The outputs must have room for all.
    unsafe fn copy_out(
        &self,
        outputs: *mut u8,
        errors: Option<&mut dyn FnMut(usize, super::TaskError)>,
        deadline: Deadline,
    ) -> Result<Tally> {
        let mut sink = Sink { outputs, errors, ..Sink::NOTHING };
        // SAFETY: by contract.
        unsafe { self.flight().get(&mut sink, deadline) }
    }
}

impl<R: Pod> AsyncResult<R> {
    /// Waits for the result. May be called again, and gives the same.
    ///
    /// # Errors
    /// [`Error::Task`] if it did not succeed; [`Error::NotPermitted`]; [`Error::Interrupted`].
    pub fn get(&self) -> Result<R> {
        self.get_until(Deadline::FOREVER)
    }

    /// [`AsyncResult::get`] for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero. The work goes on.
    pub fn get_timeout(&self, timeout: Duration) -> Result<R> {
        self.get_until(Deadline::after(timeout))
    }

    fn get_until(&self, deadline: Deadline) -> Result<R> {
        let mut output = R::zeroed();
        // SAFETY: one item, of this type.
        let tally = unsafe { self.copy_out((&raw mut output).cast(), None, deadline) }?;
        job_error(&tally, deadline).map(|()| output)
    }
}

impl<R: Pod> AsyncResult<[R]> {
    /// How many results there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flight().shape().count
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the results, and copies them into a slice of the caller's; those of items that did not succeed stay as they were.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the slice is not as long as there are results; [`Error::Task`] for the first item that did not
    /// succeed; [`Error::NotPermitted`]; [`Error::Interrupted`].
    pub fn get_into(&self, outputs: &mut [R]) -> Result<()> {
        self.get_into_until(outputs, Deadline::FOREVER)
    }

    fn get_into_until(&self, outputs: &mut [R], deadline: Deadline) -> Result<()> {
        if outputs.len() != self.len() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: as many as there are, of this type.
        let tally = unsafe { self.copy_out(outputs.as_mut_ptr().cast(), None, deadline) }?;
        job_error(&tally, deadline)
    }

    /// Waits for the results. May be called again, and gives the same.
    ///
    /// # Errors
    /// As [`AsyncResult::get_into`].
    #[cfg(feature = "std")]
    pub fn get(&self) -> Result<Vec<R>> {
        let mut outputs = vec![R::zeroed(); self.len()];
        self.get_into(&mut outputs).map(|()| outputs)
    }

    /// [`AsyncResult::get`] for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero. The work goes on.
    #[cfg(feature = "std")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<R>> {
        let mut outputs = vec![R::zeroed(); self.len()];
        self.get_into_until(&mut outputs, Deadline::after(timeout)).map(|()| outputs)
    }

    /// Waits for the results, and tells of each item how it ended.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; [`Error::Interrupted`].
    #[cfg(feature = "std")]
    pub fn try_get(&self) -> Result<Vec<core::result::Result<R, super::TaskError>>> {
        let mut outputs = vec![R::zeroed(); self.len()];
        let mut errors = Vec::new();
        let mut note = |item, error| errors.push((item, error));
        // SAFETY: as many as there are, of this type.
        unsafe { self.copy_out(outputs.as_mut_ptr().cast(), Some(&mut note), Deadline::FOREVER) }?;
        let mut each: Vec<_> = outputs.into_iter().map(Ok).collect();
        errors.into_iter().for_each(|(item, error)| each[item] = Err(error));
        Ok(each)
    }
}

impl<T: ?Sized> Drop for AsyncResult<T> {
    fn drop(&mut self) {
        // SAFETY: from `submit`, and not used again.
        unsafe { Flight::free(self.flight) };
    }
}

impl<T: ?Sized> core::fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.ready()).finish()
    }
}

impl Pool {
    /// Has `function` run on one input, and returns at once: the input is copied.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let answers: Vec<_> =
    ///     (0..1000u64).map(|x| pool.apply_async(|x| x * x, &x)).collect::<Result<_, _>>()?;
    /// assert_eq!(answers[30].get()?, 900);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ChildLost`] if the pool is broken; [`Error::Closed`]; [`Error::OutOfMemory`] if more than 262144 results are kept, or
    /// they fill the arena; [`Error::NotPermitted`]; [`Error::InvalidArgument`] as for [`Pool::map`].
    pub fn apply_async<I: Pod, R: Pod, F>(&self, function: F, input: &I) -> Result<AsyncResult<R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let job = self.batch().plain_job(function, core::slice::from_ref(input));
        // SAFETY: one result of this type.
        unsafe { AsyncResult::submit(self, &Job { is_apply: true, has_statuses: true, ..job }) }
    }

    /// Has `function` run on each input, and returns at once: the inputs are copied.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn map_async<I: Pod, R: Pod, F>(&self, function: F, inputs: &[I]) -> Result<AsyncResult<[R]>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().map_async(function, inputs)
    }
}

impl Batch<'_> {
    /// [`Pool::map_async`] with this chunk size; a time limit is not heeded: the result has its own.
    ///
    /// # Errors
    /// As there.
    pub fn map_async<I: Pod, R: Pod, F>(self, function: F, inputs: &[I]) -> Result<AsyncResult<[R]>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let job = Job { has_statuses: true, ..self.plain_job(function, inputs) };
        // SAFETY: results of this type.
        unsafe { AsyncResult::submit(self.pool, &job) }
    }
}
