//! Floor 0: one function for one system call. The only files that name libc; everything above uses these.

pub(crate) mod atomic;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod errno;
pub(crate) mod fd;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod map;
pub(crate) mod once;
#[cfg(forq_panic_handler)]
mod panic;
pub(crate) mod pidfd;
pub(crate) mod proc;
pub(crate) mod robust;
pub(crate) mod sealed;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stdio;
pub(crate) mod thread;
mod tls;
pub(crate) mod unshared;
