//! Streams: the face for Rust.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::time::Duration;

use bytemuck::Pod;

use super::host::Host;
use super::job::Job;
use super::stream::{Channel, Taken};
use super::{Pool, TaskError};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// Items put one by one, results taken one by one. From [`Pool::stream`].
///
/// At most a *window* of items is between, so neither side runs away from the other: both may be endless. Several threads may put
/// and take. Dropping it ends it: items that no worker has begun are not run. It may outlive the pool; then it gives what
/// was done.
///
/// ```
/// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
/// let stream = pool.stream(|x| x * x, 10, true)?;
/// for x in 0..5u64 {
///     stream.put(&x)?;
/// }
/// stream.finish()?;
/// let mut squares = vec![];
/// while let Some((_, square)) = stream.next()? {
///     squares.push(square.unwrap());
/// }
/// assert_eq!(squares, [0, 1, 4, 9, 16]);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Stream<I, R> {
    channel: NonNull<Channel>,
    types: PhantomData<fn(I) -> R>,
}

// SAFETY: a channel's books are behind a lock, the rest is atomics.
unsafe impl<I, R> Send for Stream<I, R> {}
// SAFETY: as above.
unsafe impl<I, R> Sync for Stream<I, R> {}

/// A result of a [`Stream`]: the number of its item, from 0, and what came of it.
pub type Numbered<R> = (u64, core::result::Result<R, TaskError>);

impl<I: Pod, R: Pod> Stream<I, R> {
    fn channel(&self) -> &Channel {
        // SAFETY: freed by `drop`.
        unsafe { self.channel.as_ref() }
    }

    /// Puts an item; waits while the window is full. A thread alone must take results in between.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`Stream::finish`] or [`Pool::close`]; [`Error::ChildLost`] if the pool is broken;
    /// [`Error::NotPermitted`] in a process that did not make the pool; [`Error::Interrupted`].
    pub fn put(&self, input: &I) -> Result<()> {
        self.put_until(input, Deadline::FOREVER)
    }

    /// [`Stream::put`], without waiting.
    ///
    /// # Errors
    /// As there, and [`Error::WouldBlock`] if the window is full.
    pub fn try_put(&self, input: &I) -> Result<()> {
        self.put_until(input, Deadline::NOW)
    }

    /// [`Stream::put`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn put_timeout(&self, input: &I, timeout: Duration) -> Result<()> {
        self.put_until(input, Deadline::after(timeout))
    }

    fn put_until(&self, input: &I, deadline: Deadline) -> Result<()> {
        // SAFETY: an input of the stream's type.
        unsafe { self.channel().put(core::ptr::from_ref(input).cast(), deadline) }
    }

    /// No more items: after the last result comes the end.
    ///
    /// # Errors
    /// [`Error::NotPermitted`].
    pub fn finish(&self) -> Result<()> {
        self.channel().finish()
    }

    /// The next result, waiting for it; `None` at the end: after [`Stream::finish`] or [`Pool::close`], when all have been taken.
    ///
    /// # Errors
    /// [`Error::ChildLost`] if the pool is broken and nothing is left; [`Error::NotPermitted`]; [`Error::Interrupted`].
    pub fn next(&self) -> Result<Option<Numbered<R>>> {
        self.next_until(Deadline::FOREVER)
    }

    /// [`Stream::next`], without waiting.
    ///
    /// # Errors
    /// As there, and [`Error::WouldBlock`] if none is ready.
    pub fn try_next(&self) -> Result<Option<Numbered<R>>> {
        self.next_until(Deadline::NOW)
    }

    /// [`Stream::next`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`Error::TimedOut`], or [`Error::WouldBlock`] if `timeout` is zero.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Option<Numbered<R>>> {
        self.next_until(Deadline::after(timeout))
    }

    fn next_until(&self, deadline: Deadline) -> Result<Option<Numbered<R>>> {
        let mut output = R::zeroed();
        // SAFETY: room for an output of the stream's type.
        match unsafe { self.channel().next((&raw mut output).cast(), deadline) } {
            Ok(Taken { index, error, .. }) => Ok(Some((index, error.map_or(Ok(output), Err)))),
            Err(Error::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<I, R> Drop for Stream<I, R> {
    fn drop(&mut self) {
        // SAFETY: from `open_stream`, and not used again.
        unsafe { Channel::free(self.channel) };
    }
}

impl<I, R> core::fmt::Debug for Stream<I, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// The results of [`Pool::imap`] and [`Pool::imap_unordered`].
#[derive(Debug)]
#[must_use = "inputs are read only as results are taken"]
pub struct Imap<I, R, S> {
    stream: Stream<I, R>,
    inputs: Option<S>,
    /// Read from the inputs, and not yet put.
    waiting: Option<I>,
}

impl<I: Pod, R: Pod, S: Iterator<Item = I>> Imap<I, R, S> {
    /// Puts items until the window is full or there are no more.
    fn fill(&mut self) -> Result<()> {
        while let Some(inputs) = &mut self.inputs {
            let Some(input) = self.waiting.take().or_else(|| inputs.next()) else {
                self.inputs = None;
                return self.stream.finish();
            };
            match self.stream.try_put(&input) {
                Ok(()) => {}
                Err(Error::WouldBlock) => {
                    self.waiting = Some(input);
                    return Ok(());
                }
                // What was put before still comes.
                Err(error) => {
                    self.inputs = None;
                    self.stream.finish()?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl<I: Pod, R: Pod, S: Iterator<Item = I>> Iterator for Imap<I, R, S> {
    type Item = Result<R>;

    /// The next result. An item that did not succeed is an [`Error::Task`], and the others still come; any other error
    /// says that inputs are not read further.
    fn next(&mut self) -> Option<Result<R>> {
        if let Err(error) = self.fill() {
            return Some(Err(error));
        }
        match self.stream.next() {
            Ok(None) => None,
            Ok(Some((_, Ok(output)))) => Some(Ok(output)),
            Ok(Some((number, Err(error)))) => Some(Err(Error::Task { index: number as usize, error })),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Pool {
    /// Opens a stream: items are put, and results taken, in their order or as they come. `window`: how many items may be put
    /// more than results were taken.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a window of 0 or more than 2^31, or a function from a library that was loaded after the pool was made;
    /// [`Error::OutOfMemory`] if it does not fit the arena; [`Error::Closed`]; [`Error::ChildLost`]; [`Error::NotPermitted`].
    pub fn stream<I: Pod, R: Pod, F>(&self, function: F, window: usize, ordered: bool) -> Result<Stream<I, R>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
    {
        let job = self.batch().plain_job(function, &[] as &[I]);
        let job = Job { inputs: core::ptr::null(), count: window, ..job };
        // SAFETY: the runner is for these types.
        let channel = unsafe { Host::open_stream(self.host, &job, ordered) }?;
        Ok(Stream { channel, types: PhantomData })
    }

    /// Runs `function` on each input, lazily: inputs are read as results are taken, at most a window ahead, so both may be
    /// endless. Results come in the order of the inputs.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let squares = pool.imap(|x| x * x, 0u64.., 100)?; // endless
    /// let first: Vec<u64> = squares.take(4).collect::<Result<_, _>>()?;
    /// assert_eq!(first, [0, 1, 4, 9]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::stream`].
    pub fn imap<I: Pod, R: Pod, F, S>(
        &self,
        function: F,
        inputs: S,
        window: usize,
    ) -> Result<Imap<I, R, S::IntoIter>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
        S: IntoIterator<Item = I>,
    {
        let stream = self.stream(function, window, true)?;
        Ok(Imap { stream, inputs: Some(inputs.into_iter()), waiting: None })
    }

    /// As [`Pool::imap`], with results in the order in which they are ready: one that takes long holds up no other.
    ///
    /// # Errors
    /// As [`Pool::stream`].
    pub fn imap_unordered<I: Pod, R: Pod, F, S>(
        &self,
        function: F,
        inputs: S,
        window: usize,
    ) -> Result<Imap<I, R, S::IntoIter>>
    where
        F: Fn(&I) -> R + Copy + Send + Sync + 'static,
        S: IntoIterator<Item = I>,
    {
        let stream = self.stream(function, window, false)?;
        Ok(Imap { stream, inputs: Some(inputs.into_iter()), waiting: None })
    }
}
