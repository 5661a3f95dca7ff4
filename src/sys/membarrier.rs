//! A memory barrier on every CPU at once, so that of two sides that must not miss each other only the rare one pays.
//!
//! Each of the two stores, then loads what the other stores; a barrier in between on both sides makes sure that at least one of
//! them sees the other. Where one side comes a hundred million times a second and the other only before it sleeps, the
//! latter makes the barrier for both: the kernel interrupts each CPU on which a registered process runs, and a thread that does not run has been
//! through a barrier already. See the kernel's `membarrier(2)`, `MEMBARRIER_CMD_GLOBAL_EXPEDITED` (Linux 4.16).

use super::atomic::{Ordering, compiler_fence};
use super::errno;

const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

fn call(command: libc::c_int) -> bool {
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }).is_ok()
}

/// From now on [`on_all_cpus`], called by whatever process, is a barrier of this process's threads, and of the children
/// that it forks. False where the kernel refuses: then they need barriers of their own.
pub(crate) fn register() -> bool {
    call(REGISTER_GLOBAL_EXPEDITED)
}

/// A full barrier of this thread, and of all threads of registered processes. False where the kernel refuses: it was none.
pub(crate) fn on_all_cpus() -> bool {
    call(GLOBAL_EXPEDITED)
}

/// The other side's part: keeps the compiler from moving a load before a store. The CPU may.
#[inline(always)]
pub(crate) fn light() {
    compiler_fence(Ordering::SeqCst);
}
