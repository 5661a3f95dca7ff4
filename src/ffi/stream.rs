//! Streams of items through a pool.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use super::pool::{checked, forq_pool, forq_task_fn, forq_task_status, host};
use super::{borrow, borrow_mut, deadline, status};
use crate::error::{Error, Result};
use crate::pool::host::Host;
use crate::pool::job::Job;
use crate::pool::stream::Channel;

/// Items put one by one, results taken one by one, in their order or as they come; any of the process's threads may do either. Kept until it is
/// freed, also after its pool was. In a forked child every call but forq_stream_free gives -EPERM.
/// What a death does is said at forq_pool.
pub struct forq_stream {
    _private: [u8; 0],
}

/// What a stream is made with.
#[repr(C)]
pub struct forq_stream_options {
    /// What is run on each item. It must have been mapped before the pool was made.
    pub r#fn: forq_task_fn,
    /// The same for all items; copied. NULL if the size is 0.
    pub context: *const c_void,
    /// Bytes.
    pub context_size: usize,
    /// Bytes of an input; 0: none.
    pub input_size: usize,
    /// Bytes of an output; 0: none.
    pub output_size: usize,
    /// How many items may be put more than results were taken: 1 to 2^31.
    pub window: usize,
    /// Results come in the order of the items; else as they are ready.
    pub ordered: bool,
    /// Must be zero.
    pub reserved: [u64; 8],
}

/// # Safety
/// As [`borrow`].
unsafe fn channel<'a>(s: *const forq_stream) -> Result<&'a Channel> {
    // SAFETY: by contract; a stream is a pointer to a channel.
    unsafe { borrow(s.cast::<Channel>()) }
}

/// Opens a stream. At most a window of items is between the two ends, so both may be endless.
///
/// Returns 0; -EPERM in another process; -ESHUTDOWN after close; -ECHILD if the pool is broken; -EINVAL for NULL, a window of 0 or too large,
/// reserved fields not zero, a function that was not mapped when the pool was made; -ENOMEM if it does not fit the arena.
///
/// # Safety
/// `p` must be NULL or a pool, the others NULL or valid, and fn must respect the sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_stream(
    p: *mut forq_pool,
    options: *const forq_stream_options,
    stream_out: *mut *mut forq_stream,
) -> c_int {
    // SAFETY: by contract.
    let checked = unsafe { host(p).and(borrow(options)).and_then(|o| Ok((o, borrow_mut(stream_out)?))) };
    status(checked.and_then(|(options, stream_out)| {
        let (job, ordered) = job_of(options)?;
        let this = NonNull::new(p.cast::<Host>()).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        *stream_out = unsafe { Host::open_stream(this, &job, ordered) }?.as_ptr().cast();
        Ok(())
    }))
}

fn job_of(given: &forq_stream_options) -> Result<(Job, bool)> {
    if given.reserved != [0; 8] || given.window == 0 {
        return Err(Error::InvalidArgument);
    }
    let anywhere = NonNull::<u8>::dangling().as_ptr().cast::<c_void>();
    checked(anywhere, given.input_size, given.window)?;
    checked(anywhere, given.output_size, given.window)?;
    let job = Job {
        context: checked(given.context, given.context_size, 1)?.cast(),
        context_size: given.context_size,
        input_size: given.input_size,
        output_size: given.output_size,
        count: given.window,
        ..Job::of_c(given.r#fn.ok_or(Error::InvalidArgument)?)
    };
    Ok((job, given.ordered))
}

/// Puts an item, copied; waits while the window is full: a thread that is alone must take results in between.
///
/// Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -ESHUTDOWN after finish, or after the pool was closed; -ECHILD if the pool is broken;
/// -EPERM; -EINVAL.
///
/// # Safety
/// `s` must be NULL or a stream, `input` as large as its inputs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_stream_put(
    s: *mut forq_stream,
    input: *const c_void,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    status(unsafe { channel(s) }.and_then(|channel| {
        let input = checked(input, channel.sizes().0, 1)?;
        let deadline = deadline(timeout_ns)?;
        // SAFETY: by contract.
        unsafe { channel.put(input.cast(), deadline) }
    }))
}

/// No more items: after the last result comes the end. Returns 0; -EPERM; -EINVAL.
///
/// # Safety
/// `s` must be NULL or a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_stream_finish(s: *mut forq_stream) -> c_int {
    // SAFETY: by contract.
    status(unsafe { channel(s) }.and_then(Channel::finish))
}

/// Takes the next result: the number of its item, counted from 0; its output, unless it crashed or was not run; how it ended. index_out and
/// status_out may be NULL.
///
/// Returns 0, whatever the status says; without status_out, -ECHILD if the item is not OK; -ESHUTDOWN at the end: all results were taken, and the
/// stream was finished or the pool closed; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -ECHILD if the pool is broken and nothing is left;
/// -EPERM; -EINVAL.
///
/// # Safety
/// `s` must be NULL or a stream, the others NULL or large enough.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_stream_next(
    s: *mut forq_stream,
    index_out: *mut u64,
    output_out: *mut c_void,
    status_out: *mut forq_task_status,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    status(unsafe { channel(s) }.and_then(|channel| {
        let output = checked(output_out, channel.sizes().1, 1)?.cast_mut();
        let deadline = deadline(timeout_ns)?;
        // SAFETY: by contract.
        let taken = unsafe { channel.next(output.cast(), deadline) }?;
        // SAFETY: by contract, each is NULL or writable.
        unsafe {
            if let Ok(index_out) = borrow_mut(index_out) {
                *index_out = taken.index;
            }
            if let Ok(status_out) = borrow_mut(status_out) {
                *status_out = forq_task_status { kind: taken.status.kind, code: taken.status.code };
            } else if taken.error.is_some() {
                return Err(Error::ChildLost);
            }
        }
        Ok(())
    }))
}

/// Ends a stream: items that nobody has begun are not run, results that were not taken are dropped. Before or after forq_pool_free. NULL does
/// nothing.
///
/// # Safety
/// `s` must be NULL or a stream, and not be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_stream_free(s: *mut forq_stream) {
    if let Some(channel) = NonNull::new(s.cast::<Channel>()) {
        // SAFETY: by contract.
        unsafe { Channel::free(channel) };
    }
}
