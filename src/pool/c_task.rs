//! Tasks that are C functions: one call an item.

use core::ffi::c_void;

use super::job::Job;
use super::worker::Run;

/// `forq_task_fn`: input, output, context.
pub(crate) type TaskFn = unsafe extern "C" fn(*const c_void, *mut c_void, *const c_void) -> i32;

impl Job {
    /// A job of C functions, without buffers.
    pub(crate) fn of_c(task: TaskFn) -> Self {
        Self {
            runner: run,
            task: task as usize,
            context: core::ptr::null(),
            context_size: 0,
            inputs: core::ptr::null(),
            input_size: 0,
            count: 0,
            outputs: core::ptr::null_mut(),
            output_size: 0,
            chunk_size: 0,
            statuses: core::ptr::null_mut(),
        }
    }
}

/// # Safety
/// The job's task must be a [`TaskFn`].
unsafe fn run(run: &mut Run<'_>) {
    // SAFETY: by contract.
    let task = unsafe { core::mem::transmute::<usize, TaskFn>(run.task()) };
    let context = run.context().cast();
    for item in run.range.clone() {
        run.begin(item);
        // SAFETY: the caller vouched for the task and its buffers' sizes.
        let code = unsafe { task(run.input(item).cast(), run.output(item).cast(), context) };
        run.end(item, code);
    }
}
