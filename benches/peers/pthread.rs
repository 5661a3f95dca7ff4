//! glibc's process-shared mutexes: plain, robust, adaptive.

use std::cell::UnsafeCell;

use forq::{Shareable, Shared};

/// A pthread mutex in shared memory, and a number that it guards.
#[repr(C, align(64))]
pub(crate) struct PthreadMutex {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    count: UnsafeCell<u64>,
}

/// What the mutex does beside excluding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Robust,
    /// Spins a little before it sleeps.
    #[allow(dead_code, reason = "for one of the benchmarks")]
    Adaptive,
}

// SAFETY: a process-shared mutex is made to be used by several processes; the count only under it.
unsafe impl Send for PthreadMutex {}
// SAFETY: as above.
unsafe impl Sync for PthreadMutex {}
// SAFETY: as above.
unsafe impl Shareable for PthreadMutex {}

impl PthreadMutex {
    pub(crate) fn new(kind: Kind) -> Shared<Self> {
        // SAFETY: zeroed, then initialised in its place by the book.
        unsafe {
            let this = Shared::new(Self { lock: std::mem::zeroed(), count: UnsafeCell::new(0) })
                .expect("shared memory");
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            match kind {
                Kind::Plain => 0,
                Kind::Robust => {
                    libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST)
                }
                Kind::Adaptive => {
                    libc::pthread_mutexattr_settype(&mut attributes, libc::PTHREAD_MUTEX_ADAPTIVE_NP)
                }
            };
            assert_eq!(libc::pthread_mutex_init(this.lock.get(), &attributes), 0);
            this
        }
    }

    /// Runs `section` with the lock held.
    #[inline]
    pub(crate) fn with(&self, section: impl FnOnce(&mut u64)) {
        // SAFETY: initialised by `new`; the count is touched under the lock only.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock(self.lock.get()), 0);
            section(&mut *self.count.get());
            libc::pthread_mutex_unlock(self.lock.get());
        }
    }

    #[allow(dead_code, reason = "for one of the benchmarks")]
    pub(crate) fn count(&self) -> u64 {
        // SAFETY: nobody else uses it any more.
        unsafe { *self.count.get() }
    }
}
