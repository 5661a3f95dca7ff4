//! Floor 0: one function for one system call. The only files that name libc; everything above uses these.

pub(crate) mod atomic;
pub(crate) mod bell;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod errno;
pub(crate) mod fd;
pub(crate) mod fork;
#[cfg_attr(loom, path = "loom/futex.rs")]
pub(crate) mod futex;
pub(crate) mod map;
pub(crate) mod maps;
#[cfg_attr(loom, path = "loom/membarrier.rs")]
pub(crate) mod membarrier;
pub(crate) mod once;
#[cfg(forq_panic_handler)]
mod panic;
pub(crate) mod pidfd;
pub(crate) mod proc;
pub(crate) mod random;
pub(crate) mod robust;
pub(crate) mod sealed;
pub(crate) mod shm;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stdio;
#[cfg_attr(loom, path = "loom/thread.rs")]
pub(crate) mod thread;
mod tls;
pub(crate) mod unshared;

/// Whether a fault is planted, so that it is shown to be found. Under loom, and in builds for ThreadSanitizer, `FORQ_FAULT` says which; otherwise
/// none is.
#[cfg(not(any(loom, forq_planted)))]
#[inline(always)]
pub(crate) const fn is_planted(_fault: &str) -> bool {
    false
}

/// As above.
#[cfg(any(loom, forq_planted))]
pub(crate) fn is_planted(fault: &str) -> bool {
    static PLANTED: std::sync::OnceLock<std::string::String> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("FORQ_FAULT").unwrap_or_default()) == fault
}
