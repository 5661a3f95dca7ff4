//! Ways to wait for a word, each in the same lock: forq's back-off beside only spinning, only yielding, crossbeam's and parking_lot's.
//!
//! `cargo bench --bench backoff`: as many processes as there are CPUs, twice and four times as many contend for a word that says who
//! may go on. Where a way to wait has the verdict that it is time to sleep, the lock sleeps: else it goes on and on. Samples of
//! `MILLIS` (20), `ROUNDS` (15) paired rounds; columns as those of `contention`. `CELLS` picks some by a part of the title.

#[path = "peers/backoffs.rs"]
mod backoffs;
#[path = "contention/course.rs"]
mod course;
#[path = "peers/futex.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod futex;
mod support;

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backoffs::{OnlySpins, OnlyYields, Wait};
use course::{Work, cell, peer};
use forq::{Shareable, Shared};
use support::{is_picked, is_quick, is_trial, setting, start};

/// Nanoseconds.
const SECTIONS: [u64; 2] = [100, 10_000];

/// A word, and a number that it guards: the third mutex of U. Drepper, "Futexes are tricky" (2011), with a wait before the sleep.
#[repr(C, align(64))]
struct Lock {
    word: AtomicU32,
    count: UnsafeCell<u64>,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;

// SAFETY: the count is touched under the lock only.
unsafe impl Sync for Lock {}
// SAFETY: as above; nothing in it is an address.
unsafe impl Shareable for Lock {}

impl Lock {
    fn new() -> Shared<Self> {
        Shared::new(Self { word: AtomicU32::new(FREE), count: UnsafeCell::new(0) }).expect("shared memory")
    }

    fn try_take(&self) -> bool {
        // Acquire pairs with the Release in `with`.
        self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Runs `section` with the lock held, which it waits for in this way.
    #[inline]
    fn with<W: Wait>(&self, section: impl FnOnce(&mut u64)) {
        if !self.try_take() {
            self.wait::<W>();
        }
        // SAFETY: the lock is held.
        section(unsafe { &mut *self.count.get() });
        if self.word.swap(FREE, Ordering::Release) == WAITED_FOR {
            futex::wake(&self.word);
        }
    }

    #[cold]
    fn wait<W: Wait>(&self) {
        let mut way = W::default();
        loop {
            if self.word.load(Ordering::Relaxed) == FREE && self.try_take() {
                return;
            }
            if !way.wait() {
                break;
            }
        }
        // Acquire pairs with the Release in `with`.
        while self.word.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            futex::wait(&self.word, WAITED_FOR);
        }
    }
}

fn main() {
    start();
    let millis = if is_trial() { 2 } else { setting("MILLIS", if is_quick() { 5 } else { 20 }) };
    let time = Duration::from_millis(millis as u64);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from).min(course::MOST / 4);
    let locks: [Shared<Lock>; 5] = std::array::from_fn(|_| Lock::new());
    let peers = [
        peer!("forq", false, |section| locks[0].with::<forq::Backoff>(section)),
        peer!("spin only", false, |section| locks[1].with::<OnlySpins>(section)),
        peer!("yield only", false, |section| locks[2].with::<OnlyYields>(section)),
        peer!("crossbeam", false, |section| locks[3].with::<crossbeam_utils::Backoff>(section)),
        peer!("parking_lot", false, |section| locks[4].with::<parking_lot_core::SpinWait>(section)),
    ];
    for nanos in SECTIONS {
        let work = Work::calibrate(nanos);
        for times in [1, 2, 4] {
            let title = format!("{times} a CPU x {nanos} ns");
            if is_picked(&title) {
                cell(&title, times * cpus, work, time, 15, &peers, &|_| ());
            }
        }
    }
}
