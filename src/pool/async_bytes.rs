//! Results of any size that nobody waits for yet.

use core::time::Duration;

use super::asynchronous::AsyncResult;
use super::bytes::{Bytes, Packed, bytes_job, written};
use super::job::{Job, Sink};
use super::{Pool, job_error};
use crate::error::Result;
use crate::sys::clock::Deadline;

impl<T: ?Sized> AsyncResult<T> {
    /// The byte strings of all items.
    fn bytes(&self, deadline: Deadline) -> Result<Vec<Vec<u8>>> {
        let mut outputs = Vec::with_capacity(self.flight().shape().count);
        let mut take = |_, output: &[u8]| outputs.push(written(output).to_vec());
        let mut sink = Sink { take: Some(&mut take), ..Sink::NOTHING };
        // SAFETY: no buffers.
        let tally = unsafe { self.flight().get(&mut sink, deadline) }?;
        job_error(&tally, deadline).map(|()| outputs)
    }
}

impl AsyncResult<Bytes> {
    /// Waits for the result. May be called again, and gives the same.
    ///
    /// # Errors
    /// As [`AsyncResult::get`] of other results; [`TaskError::TooLarge`](crate::TaskError::TooLarge) if it was over the bound.
    pub fn get(&self) -> Result<Vec<u8>> {
        self.bytes(Deadline::FOREVER).map(|outputs| outputs.concat())
    }

    /// [`AsyncResult::get`] for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`](crate::Error::TimedOut), or [`Error::WouldBlock`](crate::Error::WouldBlock) if `timeout` is zero. The
    /// work goes on.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.bytes(Deadline::after(timeout)).map(|outputs| outputs.concat())
    }
}

impl AsyncResult<[Bytes]> {
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

    /// Waits for the results. May be called again, and gives the same.
    ///
    /// # Errors
    /// As of one.
    pub fn get(&self) -> Result<Vec<Vec<u8>>> {
        self.bytes(Deadline::FOREVER)
    }

    /// [`AsyncResult::get`] for at most `timeout`.
    ///
    /// # Errors
    /// As of one.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<Vec<u8>>> {
        self.bytes(Deadline::after(timeout))
    }
}

impl Pool {
    /// Has `function` run on one byte string, and returns at once: the input is copied. The result is a byte string of at most
    /// `bound` bytes.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let loud = pool.apply_bytes_async(100, |word| word.to_ascii_uppercase(), b"fork")?;
    /// assert_eq!(loud.get()?, b"FORK");
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn apply_bytes_async<B: AsRef<[u8]>, F>(
        &self,
        bound: usize,
        _function: F,
        input: &[u8],
    ) -> Result<AsyncResult<Bytes>>
    where
        F: Fn(&[u8]) -> B + Copy + Send + Sync + 'static,
    {
        let packed = Packed::of(bound, &[input]);
        let job = bytes_job::<B, F>(&packed, bound, 0)?;
        // SAFETY: one result, read as the runner writes it.
        unsafe { AsyncResult::submit(self, &Job { is_apply: true, has_statuses: true, ..job }) }
    }

    /// Has `function` run on byte strings of any sizes, and returns at once: the inputs are copied. The results are byte strings of
    /// at most `bound` bytes.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let loud = pool.map_bytes_async(100, |word| word.to_ascii_uppercase(), &["fork", "queue"])?;
    /// assert_eq!(loud.get()?, [&b"FORK"[..], b"QUEUE"]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn map_bytes_async<B: AsRef<[u8]>, F>(
        &self,
        bound: usize,
        _function: F,
        inputs: &[impl AsRef<[u8]>],
    ) -> Result<AsyncResult<[Bytes]>>
    where
        F: Fn(&[u8]) -> B + Copy + Send + Sync + 'static,
    {
        let packed = Packed::of(bound, inputs);
        let job = bytes_job::<B, F>(&packed, bound, 0)?;
        // SAFETY: as many results, read as the runner writes them.
        unsafe { AsyncResult::submit(self, &Job { has_statuses: true, ..job }) }
    }
}
