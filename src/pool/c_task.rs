//! Tasks that are C functions: one call an item.

use core::ffi::c_void;

use super::closure::each_until_panic;
use super::job::Job;
use super::run::Run;

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
            output_size: 0,
            chunk_size: 0,
            has_statuses: false,
            has_messages: false,
            pure: false,
            is_apply: false,
        }
    }
}

/// # Safety
/// The job's task must be a [`TaskFn`].
unsafe fn run(run: &mut Run<'_>) {
    // SAFETY: by contract.
    let task = unsafe { core::mem::transmute::<usize, TaskFn>(run.task()) };
    let [context_size, input_size, output_size] = run.sizes();
    let null = core::ptr::null();
    let context = if context_size == 0 { null } else { run.context().cast() };
    let mut item = run.range().start;
    // Taken once: see `Plain`. What has no size is NULL there as here.
    let (inputs, outputs) = (run.input(0), run.output(0));
    let call = |item: usize| {
        let input = if input_size == 0 { null } else { inputs.wrapping_add(item * input_size).cast() };
        let output = if output_size == 0 {
            core::ptr::null_mut()
        } else {
            outputs.wrapping_add(item * output_size).cast()
        };
        // SAFETY: the caller vouched for the task and its buffers' sizes.
        unsafe { task(input, output, context) }
    };
    // C functions do not panic.
    each_until_panic(run, &mut item, &call);
}
