//! The library as a whole, and shared memory.

use core::ffi::{c_char, c_int, c_void};

use super::{borrow_mut, status};
use crate::error::{Error, c_message_of};
use crate::shared::shared;
use crate::sys::{cpu, thread};

/// The version of the library: "MAJOR.MINOR.PATCH". Static.
#[unsafe(no_mangle)]
pub extern "C" fn forq_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// What a negative status means, in a few words. Static; may be called in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn forq_strerror(status: c_int) -> *const c_char {
    c_message_of(if status > 0 { c_int::MAX } else { status.wrapping_neg() }).as_ptr()
}

/// CPUs that this process may use: those of its affinity mask, or fewer if its control group has a quota
/// (rounded up). At least 1.
#[unsafe(no_mangle)]
pub extern "C" fn forq_cpu_count() -> u32 {
    cpu::count()
}

/// Whether waits of this thread end with -EINTR after a signal handler ran (not 0), or go on (0, as at
/// first). For language bindings. Returns what it was.
#[unsafe(no_mangle)]
pub extern "C" fn forq_set_interruptible(on: c_int) -> c_int {
    c_int::from(thread::current().set_interruptible(on != 0))
}

/// 1: the kernel reports the death of a lock's holder at once. 0: it is found by looking, within a second.
#[unsafe(no_mangle)]
pub extern "C" fn forq_is_robust() -> c_int {
    c_int::from(thread::current().is_robust())
}

/// Allocates zeroed, page-aligned memory that every later fork shares.
///
/// Returns 0; -EINVAL for NULL, size 0 or one that overflows; -ENOMEM.
///
/// # Safety
/// `memory_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_shared_alloc(size: usize, memory_out: *mut *mut c_void) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(memory_out) }.and_then(|memory_out| {
        *memory_out = shared::alloc(size)?.as_ptr().cast();
        Ok(())
    });
    status(result)
}

/// Ends this process's use of memory from forq_shared_alloc, given its size. NULL does nothing.
///
/// No thread of this process may hold a lock in it, or be inside a call on anything in it.
/// Returns 0; -EINVAL for an address or size that cannot be.
///
/// # Safety
/// As said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_shared_free(memory: *mut c_void, size: usize) -> c_int {
    if memory.is_null() {
        return 0;
    }
    // SAFETY: by contract.
    status(unsafe { shared::free(memory.cast(), size) }.map_err(|_| Error::InvalidArgument))
}
