//! How a worker begins: a fork of the supervisor makes itself ready, serves, and leaves.

use core::cell::Cell;

use super::supervisor::Plan;
use super::worker;
use crate::sys::atomic::Ordering;
use crate::sys::signal::{self, SIGINT, SIGKILL};
use crate::sys::{cpu, fork, futex, proc};

/// Exit code of a worker whose initializer failed.
const NOT_READY: i32 = 1;

/// The life of a worker. Never returns.
pub(super) fn become_worker(plan: &Plan, index: usize, supervisor: u32) -> ! {
    fork::set_parent_death_signal(SIGKILL);
    if proc::parent_pid() != supervisor {
        fork::exit_now(NOT_READY);
    }
    fork::set_name(c"forq-worker");
    if plan.ignore_interrupt {
        signal::ignore(&[SIGINT]);
    }
    signal::set_blocked(&[]);
    if plan.pinned {
        cpu::pin(index);
    }
    let context = worker::Context {
        shared: &plan.shared,
        index,
        supervisor,
        timed: plan.task_timeout != 0,
        allowance: Cell::new(if plan.max_tasks == 0 { u64::MAX } else { plan.max_tasks.into() }),
        flush: plan.flush,
        streams: plan.streams,
    };
    if let Some(initializer) = plan.initializer {
        // SAFETY: the pool's maker vouched for it; its argument is in our copy of the maker's memory.
        if unsafe { initializer(plan.initializer_argument) } != 0 {
            context.flush();
            fork::exit_now(NOT_READY);
        }
    }
    let control = plan.shared.control();
    let slot = plan.shared.worker(index);
    // The supervisor writes it too, but perhaps later than the host looks.
    slot.pid.store(proc::pid(), Ordering::Release);
    slot.ready.store(1, Ordering::Release);
    control.ready.fetch_add(1, Ordering::Release);
    futex::wake(control.ready.as_ptr(), i32::MAX);
    worker::serve(&context);
    context.flush();
    fork::exit_now(0)
}
