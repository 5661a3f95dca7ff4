//! Results of work that nobody waits for yet.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use super::pool::{
    apply_job, checked, forq_job, forq_pool, forq_task_fn, forq_task_status, host, job_of, out_of_time,
    returned,
};
use super::{borrow, borrow_mut, deadline, status};
use crate::error::{Error, Result};
use crate::pool::host::Host;
use crate::pool::job::{Job, Sink, Tally};
use crate::pool::result::Flight;

/// The result of forq_pool_apply_async or forq_pool_map_async: kept until it is freed, also after its pool was. Belongs to the
/// process that made the pool: in others, every call but forq_result_free gives -EPERM. Any of its threads may use it.
/// What a death does is said at forq_pool.
pub struct forq_result {
    _private: [u8; 0],
}

/// # Safety
/// As [`borrow`].
unsafe fn flight<'a>(r: *const forq_result) -> Result<&'a Flight> {
    // SAFETY: by contract; a result is a pointer to a flight.
    unsafe { borrow(r.cast::<Flight>()) }
}

/// # Safety
/// As `Host::submit`.
unsafe fn submit(p: *mut forq_pool, job: Result<Job>, result_out: *mut *mut forq_result) -> Result<()> {
    // SAFETY: by contract.
    let result_out = unsafe { borrow_mut(result_out) }?;
    // SAFETY: by contract.
    unsafe { host(p) }?;
    let this = NonNull::new(p.cast::<Host>()).ok_or(Error::InvalidArgument)?;
    // SAFETY: by contract.
    *result_out = unsafe { Host::submit(this, &job?) }?.as_ptr().cast();
    Ok(())
}

/// Has fn run on one input, and returns at once: the input is copied.
///
/// Returns 0; -EPERM in another process; -ESHUTDOWN after close; -ECHILD if the pool is broken; -EINVAL; -ENOMEM if too many
/// results are kept, or they fill the arena.
///
/// # Safety
/// The input must be as large as said, fn must respect the sizes, and `result_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_apply_async(
    p: *mut forq_pool,
    r#fn: forq_task_fn,
    input: *const c_void,
    input_size: usize,
    output_size: usize,
    result_out: *mut *mut forq_result,
) -> c_int {
    let job = apply_job(r#fn, input, input_size, output_size).map(|job| Job { is_apply: true, ..job });
    // SAFETY: by contract.
    status(unsafe { submit(p, job, result_out) })
}

/// Has a job run, and returns at once: inputs and context are copied. Its outputs and statuses must be NULL: forq_result_get
/// gives them.
///
/// Returns as forq_pool_apply_async.
///
/// # Safety
/// The buffers must be as large as said, fn must respect that, and `result_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_map_async(
    p: *mut forq_pool,
    job: *const forq_job,
    result_out: *mut *mut forq_result,
) -> c_int {
    // SAFETY: by contract.
    let job = unsafe { job_of(job) }.and_then(|(job, sink)| {
        if !sink.outputs.is_null() || !sink.statuses.is_null() {
            return Err(Error::InvalidArgument);
        }
        checked(NonNull::<u8>::dangling().as_ptr().cast(), job.output_size, job.count)?;
        Ok(Job { has_statuses: true, ..job })
    });
    // SAFETY: by contract.
    status(unsafe { submit(p, job, result_out) })
}

/// Waits until the result is ready: all its items have ended, in whatever way.
///
/// Returns 0; -ECHILD if the pool ended before all was done: then it is ready too; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EPERM; -EINVAL.
///
/// # Safety
/// `r` must be NULL or a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_wait(r: *mut forq_result, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    status(unsafe { flight(r) }.and_then(|flight| flight.wait(deadline(timeout_ns)?)))
}

/// Whether the result is ready: 1 or 0. Never waits. -EPERM; -EINVAL.
///
/// # Safety
/// `r` must be NULL or a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_ready(r: *const forq_result) -> c_int {
    // SAFETY: by contract.
    let ready = unsafe { flight(r) }.and_then(Flight::is_ready);
    ready.map_or_else(|error| -error.errno(), c_int::from)
}

/// Waits for the result and copies it out: outputs_out has room for all outputs, or is NULL if they have no size; statuses_out has room
/// for a status of each item, or is NULL. May be called again, and gives the same. The outputs of items that crashed or were not run
/// are not written.
///
/// Of a map: returns 0 if all items are OK; -ECHILD if not, see the statuses. Of an apply: what fn returned when >= 0; else -ECHILD.
/// -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: then nothing is changed, and the work goes on. -EPERM; -EINVAL.
///
/// # Safety
/// `r` must be NULL or a result, the others NULL or large enough.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_get(
    r: *mut forq_result,
    outputs_out: *mut c_void,
    statuses_out: *mut forq_task_status,
    timeout_ns: i64,
) -> c_int {
    let mut is_apply = false;
    // SAFETY: by contract.
    let result = unsafe { flight(r) }.and_then(|flight| {
        let shape = flight.shape();
        is_apply = shape.is_apply;
        checked(outputs_out, shape.output_size, shape.count)?;
        let mut sink = Sink { outputs: outputs_out.cast(), statuses: statuses_out.cast(), ..Sink::NOTHING };
        // SAFETY: by contract.
        unsafe { flight.get(&mut sink, deadline(timeout_ns)?) }
    });
    let result =
        result.map_err(|error| if error == Error::TimedOut { out_of_time(timeout_ns) } else { error });
    match result {
        _ if is_apply => returned(result),
        Ok(Tally { failed: 0, .. }) => 0,
        Ok(_) => -Error::ChildLost.errno(),
        Err(error) => -error.errno(),
    }
}

/// Stops what has not ended: items that nobody has begun are cancelled; the workers of those that are being run are killed and replaced.
/// Waits until they are. Then the result is ready: what had been done stays done.
///
/// Returns 0 if anything was stopped; -EBUSY if all had ended; -EPERM; -EINVAL.
///
/// # Safety
/// `r` must be NULL or a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_cancel(r: *mut forq_result) -> c_int {
    // SAFETY: by contract.
    status(unsafe { flight(r) }.and_then(Flight::cancel))
}

/// A descriptor that is readable once the result is ready, for poll, epoll and forq_wait; the same each time. It belongs to the result and
/// is closed with it; nothing is to be read from it. -EPERM; -EINVAL; -ENOMEM if descriptors are exhausted.
///
/// # Safety
/// `r` must be NULL or a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_fd(r: *mut forq_result) -> c_int {
    // SAFETY: by contract.
    unsafe { flight(r) }.and_then(Flight::descriptor).unwrap_or_else(|error| -error.errno())
}

/// Lets go: what is being run and what waits to be run goes on, its outputs are dropped. Before or after forq_pool_free. NULL does nothing.
///
/// # Safety
/// `r` must be NULL or a result, and not be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_result_free(r: *mut forq_result) {
    if let Some(flight) = NonNull::new(r.cast::<Flight>()) {
        // SAFETY: by contract.
        unsafe { Flight::free(flight) };
    }
}
