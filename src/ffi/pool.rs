//! Worker pools. What they have done: `pool_statistics`.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;

use super::{borrow, borrow_mut, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::pool::host::{Host, Options};
use crate::pool::job::{Job, Sink, Tally};
use crate::pool::status as task;
use crate::pool::status::TaskStatus;

/// Worker processes that run functions on many inputs, and survive what the functions do. Belongs to the
/// process that made it: in others, every call but forq_pool_free gives -EPERM. Any of its threads may use it.
///
/// A worker that dies costs the item in its hands, and is replaced. If the process that replaces them is killed, the pool is broken, and what is
/// pending ends CRASHED. When the process that made the pool dies, its workers do.
pub struct forq_pool {
    _private: [u8; 0],
}

/// A task: reads input, writes output, may read the job's context; each is NULL if it has no size. Returns 0, or its own code > 0.
pub type forq_task_fn =
    Option<unsafe extern "C" fn(input: *const c_void, output: *mut c_void, context: *const c_void) -> c_int>;

/// It returned 0.
pub const FORQ_TASK_OK: u32 = 0;
static_assertions::const_assert_eq!(FORQ_TASK_OK, task::OK);
/// It returned something else.
pub const FORQ_TASK_FAILED: u32 = 1;
static_assertions::const_assert_eq!(FORQ_TASK_FAILED, task::FAILED);
/// Its worker died of it.
pub const FORQ_TASK_CRASHED: u32 = 2;
static_assertions::const_assert_eq!(FORQ_TASK_CRASHED, task::CRASHED);
/// It ran longer than the pool allows.
pub const FORQ_TASK_TIMED_OUT: u32 = 3;
static_assertions::const_assert_eq!(FORQ_TASK_TIMED_OUT, task::TIMED_OUT);
/// The job ended before it did.
pub const FORQ_TASK_CANCELLED: u32 = 4;
static_assertions::const_assert_eq!(FORQ_TASK_CANCELLED, task::CANCELLED);

/// How one item of a job ended.
#[repr(C)]
pub struct forq_task_status {
    /// One of FORQ_TASK_OK, FAILED, CRASHED, TIMED_OUT, CANCELLED.
    pub kind: u32,
    /// FAILED: what the task returned. CRASHED: the signal, or -n when the task called _exit(n). Else 0.
    pub code: i32,
}
static_assertions::assert_eq_size!(forq_task_status, TaskStatus);
static_assertions::assert_eq_align!(forq_task_status, TaskStatus);

/// What a pool is made with. All bytes zero: the defaults.
#[repr(C)]
pub struct forq_pool_options {
    /// 0: forq_cpu_count(). At most 4094.
    pub workers: u32,
    /// After how many items a worker is replaced, so that what tasks leave behind does not pile up; 0: never.
    pub max_tasks_per_worker: u32,
    /// How often an item is tried whose worker died; 0 or 1: once.
    pub max_attempts: u32,
    /// Nanoseconds that an item may run: then its worker is killed and replaced, the item TIMED_OUT and not tried again. 0: for
    /// ever; negative: -EINVAL.
    pub task_timeout_ns: i64,
    /// Bytes of address space for inputs and results of jobs in flight, used as needed; 0: as much as the machine has memory, but no
    /// more than a quarter of the address space that the process may have (RLIMIT_AS).
    pub arena_size: usize,
    /// Run by each worker before its first task; not 0: it cannot work. NULL: none.
    pub initializer: Option<unsafe extern "C" fn(argument: *mut c_void) -> c_int>,
    /// Given to the initializer.
    pub initializer_argument: *mut c_void,
    /// SIGINT to the process group is the host's business; else it cancels what is pending and breaks the pool.
    pub ignore_interrupt: bool,
    /// Each worker stays on one CPU of those that this process may use: the first on the first, and around. The scheduler mostly
    /// does as well.
    pub pinned: bool,
    /// Must be zero.
    pub reserved: [u64; 8],
}

/// A function on many inputs.
#[repr(C)]
pub struct forq_job {
    /// What is run on each. It must have been mapped before the pool was made.
    pub r#fn: forq_task_fn,
    /// The same for all items; copied. NULL if the size is 0.
    pub context: *const c_void,
    /// Bytes.
    pub context_size: usize,
    /// count of them, side by side; copied.
    pub inputs: *const c_void,
    /// Bytes of one; 0: none.
    pub input_size: usize,
    /// How many items; 0: nothing to do.
    pub count: usize,
    /// Room for count results, side by side. Those of items that crashed or were not run stay as they were.
    pub outputs: *mut c_void,
    /// Bytes of one; 0: none.
    pub output_size: usize,
    /// Items a worker takes at a time; 0: chosen by the pool. A worker that has taken long for some of them leaves half of the rest to one
    /// that has nothing to do.
    pub chunk_size: usize,
    /// Room for count statuses, or NULL.
    pub statuses: *mut forq_task_status,
    /// Must be zero.
    pub reserved: [u64; 8],
}

/// # Safety
/// As [`borrow`].
pub(super) unsafe fn host<'a>(p: *const forq_pool) -> Result<&'a Host> {
    // SAFETY: by contract; a pool is a pointer to a host.
    unsafe { borrow(p.cast::<Host>()) }
}

/// Makes a pool and waits until its workers have run the initializer. Make it early: descriptors that are open
/// now stay open in the workers; afterwards the process may start threads. stdio is flushed. If this is the only
/// thread, the pool's processes are not seen by the process's own wait calls and SIGCHLD handler; else one is.
///
/// Returns 0; -EINVAL for NULL, more than 4094 workers, reserved fields not zero; -ECHILD if a worker could not start
/// or its initializer failed; -ENOMEM.
///
/// # Safety
/// `pool_out` must be NULL or writable, `options_or_null` NULL or options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_new(
    options_or_null: *const forq_pool_options,
    pool_out: *mut *mut forq_pool,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(pool_out) }.and_then(|pool_out| {
        // SAFETY: by contract.
        let options = unsafe { pool_options(options_or_null) }?;
        // SAFETY: by contract.
        *pool_out = unsafe { Host::start(&options) }?.as_ptr().cast();
        Ok(())
    });
    status(result)
}

/// # Safety
/// As [`borrow`].
unsafe fn pool_options(options: *const forq_pool_options) -> Result<Options> {
    if options.is_null() {
        return Ok(Options::DEFAULT);
    }
    // SAFETY: by contract.
    let given = unsafe { borrow(options) }?;
    if given.reserved != [0; 8] {
        return Err(Error::InvalidArgument);
    }
    Ok(Options {
        workers: given.workers as usize,
        max_attempts: given.max_attempts,
        max_tasks: given.max_tasks_per_worker,
        task_timeout: u64::try_from(given.task_timeout_ns).map_err(|_| Error::InvalidArgument)?,
        arena_size: given.arena_size,
        initializer: given.initializer,
        initializer_argument: given.initializer_argument,
        ignore_interrupt: given.ignore_interrupt,
        pinned: given.pinned,
        ..Options::DEFAULT
    })
}

/// Runs fn on one input and waits for its result.
///
/// Returns what fn returned when >= 0; -ECHILD if it crashed, was lost or returned a negative value; -ETIMEDOUT, or -EAGAIN
/// if timeout_ns is 0: then it is cancelled; -EPERM in another process; -ESHUTDOWN after close; -EINVAL; -ENOMEM.
///
/// # Safety
/// The buffers must be as large as said, and fn must respect that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_apply(
    p: *mut forq_pool,
    r#fn: forq_task_fn,
    input: *const c_void,
    input_size: usize,
    output_out: *mut c_void,
    output_size: usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { host(p) }.and_then(|host| {
        let deadline = deadline(timeout_ns)?;
        let job = apply_job(r#fn, input, input_size, output_size)?;
        let outputs = checked(output_out, output_size, 1)?.cast_mut().cast();
        let mut sink = Sink { outputs, ..Sink::NOTHING };
        // SAFETY: by contract.
        let tally = host.enter(|host| unsafe { host.run(&job, &mut sink, deadline) })?;
        if tally.timed_out { Err(out_of_time(timeout_ns)) } else { Ok(tally) }
    });
    returned(result)
}

/// A job of one item.
pub(super) fn apply_job(
    r#fn: forq_task_fn,
    input: *const c_void,
    input_size: usize,
    output_size: usize,
) -> Result<Job> {
    checked(NonNull::<u8>::dangling().as_ptr().cast(), output_size, 1)?;
    Ok(Job {
        inputs: checked(input, input_size, 1)?.cast(),
        input_size,
        count: 1,
        output_size,
        has_statuses: true,
        ..Job::of_c(r#fn.ok_or(Error::InvalidArgument)?)
    })
}

/// What the function of the one item returned.
pub(super) fn returned(result: Result<Tally>) -> c_int {
    match result.map(|tally| tally.first) {
        Err(error) => -error.errno(),
        Ok(None) => 0,
        Ok(Some((_, TaskStatus { kind: task::FAILED, code }))) if code > 0 => code,
        Ok(Some(_)) => -Error::ChildLost.errno(),
    }
}

/// Runs a job and waits for all its items. In every case the buffers are the caller's again on return.
///
/// Returns 0 if all items are OK; -ECHILD if not, see statuses; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: then
/// what was not done is cancelled, and what was being run is stopped by killing its worker; -EPERM in another process; -ESHUTDOWN after close; -EINVAL for NULL, sizes whose product overflows, reserved
/// fields not zero, a function that was not mapped when the pool was made; -ENOMEM if the job does not fit the arena.
///
/// # Safety
/// The buffers must be as large as said, and fn must respect that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_map(p: *mut forq_pool, job: *const forq_job, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { host(p) }.and_then(|host| {
        // SAFETY: by contract.
        let (job, mut sink) = unsafe { job_of(job) }?;
        checked(sink.outputs.cast(), job.output_size, job.count)?;
        let deadline = deadline(timeout_ns)?;
        // SAFETY: by contract.
        host.enter(|host| unsafe { host.run(&job, &mut sink, deadline) })
    });
    status(result.and_then(|tally| match tally {
        Tally { timed_out: true, .. } => Err(out_of_time(timeout_ns)),
        Tally { failed: 0, .. } => Ok(()),
        _ => Err(Error::ChildLost),
    }))
}

pub(super) fn out_of_time(timeout_ns: i64) -> Error {
    if timeout_ns == 0 { Error::WouldBlock } else { Error::TimedOut }
}

/// A buffer of `count` elements: not null unless it is empty, and its size no overflow.
pub(super) fn checked(buffer: *const c_void, size: usize, count: usize) -> Result<*const c_void> {
    let bytes = size
        .checked_mul(count)
        .filter(|&bytes| bytes <= isize::MAX as usize)
        .ok_or(Error::InvalidArgument)?;
    if buffer.is_null() && bytes > 0 { Err(Error::InvalidArgument) } else { Ok(buffer) }
}

/// # Safety
/// As [`borrow`].
pub(super) unsafe fn job_of<'a>(job: *const forq_job) -> Result<(Job, Sink<'a>)> {
    // SAFETY: by contract.
    let given = unsafe { borrow(job) }?;
    if given.reserved != [0; 8] {
        return Err(Error::InvalidArgument);
    }
    let job = Job {
        context: checked(given.context, given.context_size, 1)?.cast(),
        context_size: given.context_size,
        inputs: checked(given.inputs, given.input_size, given.count)?.cast(),
        input_size: given.input_size,
        count: given.count,
        output_size: given.output_size,
        chunk_size: given.chunk_size,
        has_statuses: !given.statuses.is_null(),
        ..Job::of_c(given.r#fn.ok_or(Error::InvalidArgument)?)
    };
    let outputs = given.outputs.cast();
    Ok((job, Sink { outputs, statuses: given.statuses.cast(), ..Sink::NOTHING }))
}

/// Takes no new work; workers leave when what is pending is done. Returns 0; -EPERM; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_close(p: *mut forq_pool) -> c_int {
    // SAFETY: by contract.
    status(unsafe { host(p) }.and_then(|host| host.enter(Host::close)))
}

/// Ends all workers: SIGTERM, and after half a second SIGKILL. Pending items are cancelled. Returns 0; -EPERM; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_terminate(p: *mut forq_pool) -> c_int {
    // SAFETY: by contract.
    status(unsafe { host(p) }.and_then(|host| host.enter(Host::terminate)))
}

/// Waits until all workers have ended.
///
/// Returns 0; -EINVAL before close or terminate; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EPERM.
///
/// # Safety
/// `p` must be NULL or a pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_join(p: *mut forq_pool, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    status(unsafe { host(p) }.and_then(|host| {
        let deadline = deadline(timeout_ns)?;
        host.enter(|host| host.join(deadline))
    }))
}

/// Ends a pool: terminates and reaps its workers; threads inside a call on it get -ECHILD first. In a forked child only
/// the child's copies are let go. NULL does nothing.
///
/// # Safety
/// `p` must be NULL or a pool, and not be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_free(p: *mut forq_pool) {
    if let Some(host) = NonNull::new(p.cast::<Host>()) {
        // SAFETY: by contract.
        unsafe { Host::free(host) };
    }
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc; -EPERM in another process than the pool's maker.
///
/// # Safety
/// `p` must be NULL or a pool, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_set_name(p: *const forq_pool, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { host(p).and_then(|host| host.enter(|host| host.set_name(object_name(name)))) })
}
