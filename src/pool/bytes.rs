//! Inputs and results of any size: bytes, and with feature `serde` whatever can be made of them.
//!
//! Inputs travel side by side in the job's context, each found by its offset; a result has room up to a bound.

use std::panic::AssertUnwindSafe;

use super::Pool;
use super::batch::Batch;
use super::closure::{conjure, each_item, job_of};
use super::job::{Job, Sink};
use super::job_error;
use super::run::Run;
use super::status::TOO_LARGE;
use crate::error::{Error, Result};

/// As a result, of [`AsyncResult`](super::AsyncResult): a byte string of any size up to the bound.
#[derive(Debug)]
pub enum Bytes {}

/// Before each result stands its size.
const HEAD: usize = size_of::<u64>();

/// Bytes of a result of at most `bound` with its head.
pub(super) fn room(bound: usize) -> Result<usize> {
    let room = bound.checked_next_multiple_of(HEAD).and_then(|size| size.checked_add(HEAD));
    room.ok_or(Error::InvalidArgument)
}

/// The bytes of a result, of its output.
pub(super) fn written(output: &[u8]) -> &[u8] {
    let (head, rest) = output.split_at(HEAD.min(output.len()));
    let size = head.try_into().map_or(0, u64::from_ne_bytes) as usize;
    &rest[..size.min(rest.len())]
}

/// Puts a result where a task's function writes it; how much that was, or the item's code.
pub(super) fn put(result: &[u8], output: &mut [u8]) -> core::result::Result<usize, i32> {
    output.get_mut(..result.len()).ok_or(TOO_LARGE)?.copy_from_slice(result);
    Ok(result.len())
}

/// Runs `function` for each item; it writes into the room of `bound` bytes for its result, and says how much, or gives the
/// item's code.
///
/// # Safety
/// The job's outputs must be [`room`] for a bound, and bytes.
pub(super) unsafe fn each_item_writes(
    run: &mut Run<'_>,
    bound: usize,
    function: impl Fn(usize, &mut [u8]) -> core::result::Result<usize, i32>,
) {
    let (outputs, size) = (run.output(0), run.output(1) as usize - run.output(0) as usize);
    // Where it is read from, others could write.
    let bound = bound.min(size - HEAD);
    each_item(run, |item| {
        // SAFETY: the item's own place in the results, of which any bytes are valid.
        let (head, output) = unsafe {
            let head = outputs.add(item * size);
            (head.cast::<u64>(), core::slice::from_raw_parts_mut(head.add(HEAD), bound))
        };
        match function(item, output) {
            Ok(size) => {
                // SAFETY: aligned, since all sizes are multiples of it.
                unsafe { head.write(size as u64) };
                0
            }
            Err(code) => code,
        }
    });
}

/// The bound, then inputs one after the other; and where each lies.
pub(super) struct Packed {
    bytes: Vec<u8>,
    places: Vec<[usize; 2]>,
}

impl Packed {
    /// Of byte strings.
    pub(super) fn of(bound: usize, inputs: &[impl AsRef<[u8]>]) -> Self {
        let mut packed = Self::new(bound);
        for input in inputs {
            let start = packed.bytes.len();
            packed.bytes.extend_from_slice(input.as_ref());
            packed.places.push([start, packed.bytes.len() - start]);
        }
        packed
    }

    fn new(bound: usize) -> Self {
        Self { bytes: (bound as u64).to_ne_bytes().to_vec(), places: Vec::new() }
    }

    #[cfg(feature = "serde")]
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        self.places.push([start, self.bytes.len() - start]);
        Ok(())
    }
}

/// The job of a closure of type `F` on packed inputs.
fn packed_job<F: Copy>(
    runner: super::run::Runner,
    inputs: &Packed,
    bound: usize,
    chunk: usize,
) -> Result<Job> {
    let output_size = room(bound)?;
    let job = job_of::<u8, [usize; 2], u64, F>(runner, &inputs.bytes, &inputs.places, chunk);
    Ok(Job { output_size, ..job })
}

/// Runs `function` on the bytes of each item; it writes into the room for its result, and says how much, or gives the item's code.
///
/// # Safety
/// The job must be a [`packed_job`].
unsafe fn run_packed(
    run: &mut Run<'_>,
    function: impl Fn(&[u8], &mut [u8]) -> core::result::Result<usize, i32>,
) {
    let inputs = run.input(0).cast::<[usize; 2]>();
    // SAFETY: the host copied that many, and changes nothing as long as a worker is on the job.
    let all = unsafe { core::slice::from_raw_parts(run.context(), run.context_length::<u8>()) };
    let bound = all.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes) as usize);
    let call = |item: usize, output: &mut [u8]| {
        // SAFETY: the host copied one for each item.
        let [start, length] = unsafe { *inputs.add(item) };
        function(all.get(start..start + length).unwrap_or_default(), output)
    };
    // SAFETY: the bound is that by which the job was made.
    unsafe { each_item_writes(run, bound, call) };
}

/// The job of a closure of type `F` on byte strings.
pub(super) fn bytes_job<B: AsRef<[u8]>, F: Fn(&[u8]) -> B + Copy>(
    inputs: &Packed,
    bound: usize,
    chunk: usize,
) -> Result<Job> {
    packed_job::<F>(run_bytes::<B, F>, inputs, bound, chunk)
}

/// # Safety
/// As [`run_packed`].
unsafe fn run_bytes<B: AsRef<[u8]>, F: Fn(&[u8]) -> B + Copy>(run: &mut Run<'_>) {
    // SAFETY: the caller of the map had one.
    let function = unsafe { conjure::<F>() };
    let call = |input: &[u8], output: &mut [u8]| put(function(input).as_ref(), output);
    // SAFETY: by contract.
    unsafe { run_packed(run, call) };
}

impl Batch<'_> {
    /// Runs a packed job, and gives each result's bytes to `take`.
    pub(super) fn run_packed(self, job: &Job, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (mut taken, mut panic) = (Ok(()), None);
        let mut take = |_, output: &[u8]| {
            if taken.is_ok() && panic.is_none() {
                // The caller's code, which may panic: the job is to be ended all the same.
                match std::panic::catch_unwind(AssertUnwindSafe(|| take(written(output)))) {
                    Ok(result) => taken = result,
                    Err(payload) => panic = Some(payload),
                }
            }
        };
        let mut sink = Sink { take: Some(&mut take), ..Sink::NOTHING };
        let deadline = self.deadline();
        // SAFETY: the job's buffers are borrowed by the caller, and its runner is for them.
        let tally = self.pool.host().enter(|host| unsafe { host.run(job, &mut sink, deadline) });
        if let Some(payload) = panic {
            std::panic::resume_unwind(payload);
        }
        job_error(&tally?, deadline)?;
        taken
    }

    /// [`Pool::map_bytes`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn map_bytes<B: AsRef<[u8]>, F>(
        self,
        bound: usize,
        _function: F,
        inputs: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Vec<u8>>>
    where
        F: Fn(&[u8]) -> B + Copy + Send + Sync + 'static,
    {
        let packed = Packed::of(bound, inputs);
        let job = bytes_job::<B, F>(&packed, bound, self.chunk_size)?;
        let mut outputs = Vec::with_capacity(inputs.len());
        self.run_packed(&job, |output| {
            outputs.push(output.to_vec());
            Ok(())
        })?;
        Ok(outputs)
    }
}

impl Pool {
    /// Runs `function` on one byte string; its result is a byte string of at most `bound` bytes.
    ///
    /// # Errors
    /// As [`Pool::map_bytes`].
    pub fn apply_bytes<B: AsRef<[u8]>, F>(&self, bound: usize, function: F, input: &[u8]) -> Result<Vec<u8>>
    where
        F: Fn(&[u8]) -> B + Copy + Send + Sync + 'static,
    {
        self.batch().map_bytes(bound, function, &[input]).map(|outputs| outputs.concat())
    }

    /// Runs `function` on byte strings of any sizes; its results are byte strings of at most `bound` bytes.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let loud = pool.map_bytes(100, |word| word.to_ascii_uppercase(), &["fork", "queue", ""])?;
    /// assert_eq!(loud, [&b"FORK"[..], b"QUEUE", b""]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::map`]; a result over the bound is [`TaskError::TooLarge`](crate::TaskError::TooLarge). Room for all results up to the bound must
    /// fit the arena.
    pub fn map_bytes<B: AsRef<[u8]>, F>(
        &self,
        bound: usize,
        function: F,
        inputs: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Vec<u8>>>
    where
        F: Fn(&[u8]) -> B + Copy + Send + Sync + 'static,
    {
        self.batch().map_bytes(bound, function, inputs)
    }
}

#[cfg(feature = "serde")]
mod serialised {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::super::status::NOT_SERIALISABLE;
    use super::*;

    /// # Safety
    /// As [`run_packed`].
    unsafe fn run_serialised<I: DeserializeOwned, R: Serialize, F: Fn(I) -> R + Copy>(run: &mut Run<'_>) {
        // SAFETY: the caller of the map had one.
        let function = unsafe { conjure::<F>() };
        let call = |input: &[u8], output: &mut [u8]| {
            let result = function(postcard::from_bytes(input).map_err(|_| NOT_SERIALISABLE)?);
            match postcard::to_slice(&result, output) {
                Ok(bytes) => Ok(bytes.len()),
                Err(postcard::Error::SerializeBufferFull) => Err(TOO_LARGE),
                Err(_) => Err(NOT_SERIALISABLE),
            }
        };
        // SAFETY: by contract.
        unsafe { run_packed(run, call) };
    }

    impl Batch<'_> {
        /// [`Pool::map_serde`] with these options.
        ///
        /// # Errors
        /// As there.
        pub fn map_serde<I, R, F>(self, bound: usize, _function: F, inputs: &[I]) -> Result<Vec<R>>
        where
            I: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
            F: Fn(I) -> R + Copy + Send + Sync + 'static,
        {
            let mut packed = Packed::new(bound);
            for input in inputs {
                packed.push(|bytes| {
                    let start = core::mem::take(bytes);
                    *bytes = postcard::to_extend(input, start).map_err(|_| Error::InvalidArgument)?;
                    Ok(())
                })?;
            }
            let job = packed_job::<F>(run_serialised::<I, R, F>, &packed, bound, self.chunk_size)?;
            let mut outputs = Vec::with_capacity(inputs.len());
            self.run_packed(&job, |output| {
                outputs.push(postcard::from_bytes(output).map_err(|_| Error::Protocol)?);
                Ok(())
            })?;
            Ok(outputs)
        }
    }

    impl Pool {
        /// Runs `function` on values of any type that serde knows: they travel as bytes, by postcard, and so do the results, each
        /// of at most `bound` bytes. (Feature `serde`.)
        ///
        /// ```
        /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
        /// let names = vec![(String::from("Ada"), 1815u16), (String::from("Grace"), 1906)];
        /// let told = pool.map_serde(100, |(name, year): (String, u16)| format!("{name}, {year}"), &names)?;
        /// assert_eq!(told, ["Ada, 1815", "Grace, 1906"]);
        /// # Ok::<(), forq::Error>(())
        /// ```
        ///
        /// # Errors
        /// As [`Pool::map`]; a result over the bound is [`TaskError::TooLarge`](crate::TaskError::TooLarge), one that cannot be
        /// serialised [`TaskError::NotSerialisable`](crate::TaskError::NotSerialisable); [`Error::InvalidArgument`] if an input cannot;
        /// [`Error::Protocol`] if a result's type does not read what it wrote.
        pub fn map_serde<I, R, F>(&self, bound: usize, function: F, inputs: &[I]) -> Result<Vec<R>>
        where
            I: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
            F: Fn(I) -> R + Copy + Send + Sync + 'static,
        {
            self.batch().map_serde(bound, function, inputs)
        }
    }
}
