//! The loops that run a Rust closure over a chunk.

use core::mem::{align_of, size_of};

use bytemuck::Pod;

use super::job::Job;
use super::run::{Run, Runner};
#[cfg(feature = "std")]
use super::status::{PANICKED, PanicMessage};

/// A job whose function is the closure type `F`: checked at compile time to capture nothing. `I` must be a type of which any bytes are
/// a value, but for padding.
pub(super) fn job_of<C: Pod, I: Copy, R: Pod, F: Copy>(
    runner: Runner,
    context: &[C],
    inputs: &[I],
    chunk_size: usize,
) -> Job {
    const {
        assert!(size_of::<F>() == 0, "a task must not capture anything: the workers do not have it");
        assert!(align_of::<C>() <= 64 && align_of::<I>() <= 64 && align_of::<R>() <= 64, "alignment over 64");
    }
    Job {
        runner,
        task: 0,
        context: context.as_ptr().cast(),
        context_size: size_of_val(context),
        inputs: inputs.as_ptr().cast(),
        input_size: size_of::<I>(),
        count: inputs.len(),
        output_size: size_of::<R>(),
        chunk_size,
        has_statuses: false,
        has_messages: cfg!(feature = "std"),
        pure: false,
        is_apply: false,
    }
}

/// The value of a closure that captures nothing.
///
/// # Safety
/// Somebody must have had a value of the type.
pub(super) unsafe fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0) }
    // SAFETY: the type has no bytes, and a value of it was there and is Copy.
    unsafe { core::ptr::NonNull::<F>::dangling().read() }
}

/// Runs a closure over a chunk.
///
/// # Safety
/// The job's sizes must be those of the types, and the types' values must be valid in any bytes that the host copied.
pub(super) unsafe fn run_closure<C: Pod, I: Copy, R: Pod, F>(run: &mut Run<'_>)
where
    F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
{
    // SAFETY: the caller of `map` had one.
    let function = unsafe { conjure::<F>() };
    // SAFETY: the host copied that many, aligned, and changes nothing as long as a worker is on the job.
    let context =
        unsafe { core::slice::from_raw_parts(run.context().cast::<C>(), run.context_length::<C>()) };
    // Taken once: the stores of the loop could change what they are computed from, for all the compiler knows.
    let (inputs, outputs) = (run.input(0).cast::<I>(), run.output(0).cast::<R>());
    each_item(run, |item| {
        // SAFETY: as for the context; a value by contract.
        let input = unsafe { &*inputs.add(item) };
        let output = function(context, input);
        // SAFETY: the item's own place in the results, aligned.
        unsafe { outputs.add(item).write(output) };
        0
    });
}

/// As [`run_closure`], without announcing items: so that the loop may be vectorised. If something goes wrong, the chunk is run
/// again, item by item.
///
/// # Safety
/// As there.
pub(super) unsafe fn run_pure<C: Pod, I: Copy, R: Pod, F>(run: &mut Run<'_>)
where
    F: Fn(&[C], &I) -> R + Copy + Send + Sync + 'static,
{
    if run.may_run_twice() {
        // SAFETY: as in `run_closure`.
        let (function, context) = unsafe {
            let context = core::slice::from_raw_parts(run.context().cast::<C>(), run.context_length::<C>());
            (conjure::<F>(), context)
        };
        let range = run.range();
        // SAFETY: the chunk's items: inputs that only the host has written, outputs that are this worker's.
        let (inputs, outputs) = unsafe {
            let inputs = run.input(range.start).cast::<I>();
            let outputs = run.output(range.start).cast::<R>();
            (
                core::slice::from_raw_parts(inputs, range.len()),
                core::slice::from_raw_parts_mut(outputs, range.len()),
            )
        };
        let all = || {
            for (output, input) in outputs.iter_mut().zip(inputs) {
                *output = function(context, input);
            }
        };
        if caught(all) {
            run.stay_single();
            return;
        }
    }
    // SAFETY: by contract.
    unsafe { run_closure::<C, I, R, F>(run) };
}

/// Whether it did not panic.
fn caught(function: impl FnOnce()) -> bool {
    #[cfg(feature = "std")]
    return crate::process::caught(function).is_some();
    #[cfg(not(feature = "std"))]
    {
        function();
        true
    }
}

/// Runs `function`, which returns an item's code, for each item that is to be run; a panic is the item's failure.
#[inline(always)]
pub(super) fn each_item(run: &mut Run<'_>, function: impl Fn(usize) -> i32) {
    let mut item = run.range().start;
    while item < run.range().end {
        #[cfg(feature = "std")]
        {
            let said = crate::process::caught_telling(
                || each_until_panic(run, &mut item, &function),
                |text| PanicMessage::new(text.unwrap_or_default().as_bytes()),
            );
            if let Err(message) = said {
                run.note_panic(item, &message);
                run.end(item, PANICKED);
                item += 1;
                share(run, item);
            }
        }
        #[cfg(not(feature = "std"))]
        each_until_panic(run, &mut item, &function);
    }
}

/// Runs items from `item` on; after a panic that is the one that did it.
#[inline(always)]
pub(super) fn each_until_panic(run: &mut Run<'_>, item: &mut usize, function: &impl Fn(usize) -> i32) {
    // What is shared is shared outside of the inner loop, which so makes no calls but the function's: all it needs stays in registers.
    while *item < run.range().end
        && let Some(plain) = run.plain()
    {
        let end = run.range().end;
        let code = loop {
            plain.begin(*item);
            let code = function(*item);
            plain.stay_single();
            *item += 1;
            // One branch for what is rare.
            if (*item >= end) | (code != 0) | plain.is_all_claimed() {
                break code;
            }
        };
        if code != 0 {
            run.end_failed(*item - 1, code);
        }
        share(run, *item);
    }
    while *item < run.range().end {
        run.begin(*item);
        let code = function(*item);
        run.end(*item, code);
        *item += 1;
        share(run, *item);
    }
}

/// Leaves some of what is left to others, if they have nothing to do.
#[inline(always)]
fn share(run: &mut Run<'_>, next: usize) {
    if run.is_all_claimed() {
        run.share(next);
    }
}
