//! glibc's process-shared mutexes, plain and robust.

use std::cell::UnsafeCell;

use forq::{Shareable, Shared};

/// A pthread mutex in shared memory, and a number that it guards.
#[repr(C, align(64))]
pub(crate) struct PthreadMutex {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    count: UnsafeCell<u64>,
}

// SAFETY: a process-shared mutex is made to be used by several processes; the count only under it.
unsafe impl Send for PthreadMutex {}
// SAFETY: as above.
unsafe impl Sync for PthreadMutex {}
// SAFETY: as above.
unsafe impl Shareable for PthreadMutex {}

impl PthreadMutex {
    pub(crate) fn new(robust: bool) -> Shared<Self> {
        // SAFETY: zeroed, then initialised in its place by the book.
        unsafe {
            let this = Shared::new(Self { lock: std::mem::zeroed(), count: UnsafeCell::new(0) })
                .expect("shared memory");
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            let kind = if robust { libc::PTHREAD_MUTEX_ROBUST } else { libc::PTHREAD_MUTEX_STALLED };
            libc::pthread_mutexattr_setrobust(&mut attributes, kind);
            libc::pthread_mutex_init(this.lock.get(), &attributes);
            this
        }
    }

    pub(crate) fn increment(&self) {
        // SAFETY: initialised by `new`; the count is touched under the lock only.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock(self.lock.get()), 0);
            *self.count.get() += 1;
            libc::pthread_mutex_unlock(self.lock.get());
        }
    }

    pub(crate) fn count(&self) -> u64 {
        // SAFETY: nobody else uses it any more.
        unsafe { *self.count.get() }
    }
}
