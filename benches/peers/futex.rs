//! The least that excludes and sleeps, and the least that excludes: yardsticks for what waiting costs.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

use forq::{Shareable, Shared};

/// A word, and a number that it guards.
#[repr(C, align(64))]
pub(crate) struct WordLock {
    word: AtomicU32,
    sleeps: bool,
    count: UnsafeCell<u64>,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;

// SAFETY: the count is touched under the lock only.
unsafe impl Sync for WordLock {}
// SAFETY: as above; nothing in it is an address.
unsafe impl Shareable for WordLock {}

impl WordLock {
    /// One that sleeps at once: the third mutex of U. Drepper, "Futexes are tricky" (2011).
    pub(crate) fn sleeping() -> Shared<Self> {
        Self::new(true)
    }

    /// One that only spins, looking before each try (T. E. Anderson, 1990).
    pub(crate) fn spinning() -> Shared<Self> {
        Self::new(false)
    }

    fn new(sleeps: bool) -> Shared<Self> {
        Shared::new(Self { word: AtomicU32::new(FREE), sleeps, count: UnsafeCell::new(0) })
            .expect("shared memory")
    }

    /// Runs `section` with the lock held.
    #[inline]
    pub(crate) fn with(&self, section: impl FnOnce(&mut u64)) {
        // Acquire pairs with the Release below.
        if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            if self.sleeps { self.sleep() } else { self.spin() }
        }
        // SAFETY: the lock is held.
        section(unsafe { &mut *self.count.get() });
        if self.word.swap(FREE, Ordering::Release) == WAITED_FOR {
            wake(&self.word);
        }
    }

    #[cold]
    fn sleep(&self) {
        while self.word.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            wait(&self.word, WAITED_FOR);
        }
    }

    #[cold]
    fn spin(&self) {
        loop {
            while self.word.load(Ordering::Relaxed) != FREE {
                std::hint::spin_loop();
            }
            if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }
}

/// Sleeps if the word is as expected.
pub(crate) fn wait(word: &AtomicU32, expected: u32) {
    call(word, libc::FUTEX_WAIT, expected);
}

/// Wakes one sleeper.
pub(crate) fn wake(word: &AtomicU32) {
    call(word, libc::FUTEX_WAKE, 1);
}

fn call(word: &AtomicU32, operation: i32, value: u32) {
    // SAFETY: the word is mapped while it is borrowed.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, std::ptr::null::<libc::timespec>())
    };
}
