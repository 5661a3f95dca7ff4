//! POSIX's process-shared semaphore as a lock.

use std::cell::UnsafeCell;

use forq::{Shareable, Shared};

/// A semaphore of one permit in shared memory, and a number that it guards.
#[repr(C, align(64))]
pub(crate) struct PosixSemaphore {
    lock: UnsafeCell<libc::sem_t>,
    count: UnsafeCell<u64>,
}

// SAFETY: a process-shared semaphore is made to be used by several processes; the count only under it.
unsafe impl Send for PosixSemaphore {}
// SAFETY: as above.
unsafe impl Sync for PosixSemaphore {}
// SAFETY: as above.
unsafe impl Shareable for PosixSemaphore {}

impl PosixSemaphore {
    pub(crate) fn new() -> Shared<Self> {
        // SAFETY: zeroed, then initialised in its place by the book.
        unsafe {
            let this = Shared::new(Self { lock: std::mem::zeroed(), count: UnsafeCell::new(0) })
                .expect("shared memory");
            assert_eq!(libc::sem_init(this.lock.get(), 1, 1), 0);
            this
        }
    }

    /// Runs `section` with the permit.
    #[inline]
    pub(crate) fn with(&self, section: impl FnOnce(&mut u64)) {
        // SAFETY: initialised by `new`; the count is touched with the permit only.
        unsafe {
            while libc::sem_wait(self.lock.get()) != 0 {}
            section(&mut *self.count.get());
            libc::sem_post(self.lock.get());
        }
    }
}
