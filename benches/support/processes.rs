//! Processes that start together, each on a CPU of its own if it likes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Process, Shared};

forq::shareable! {
    /// What processes that are measured share.
    struct Start {
        ready: AtomicU32,
        go: AtomicU32,
        /// Operations done, summed at the end.
        done: AtomicU64,
    }
}

/// Starts processes together, each running `work` with its index until it returns a number of operations;
/// gives the operations of all and the time from the common start to the last one's end.
pub(crate) fn together(processes: usize, work: impl Fn(usize) -> u64) -> (u64, Duration) {
    let start =
        Shared::new(Start { ready: AtomicU32::new(0), go: AtomicU32::new(0), done: AtomicU64::new(0) })
            .expect("shared memory is to be had");
    let mut children: Vec<Process> = (0..processes)
        .map(|index| {
            let child = || {
                start.ready.fetch_add(1, Ordering::Release);
                while start.go.load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
                start.done.fetch_add(work(index), Ordering::Relaxed);
            };
            Process::spawn(child).expect("processes are to be had")
        })
        .collect();
    while start.ready.load(Ordering::Acquire) < processes as u32 {
        std::thread::yield_now();
    }
    let started = Instant::now();
    start.go.store(1, Ordering::Release);
    assert!(children.iter_mut().all(|child| child.join().expect("a child").success()));
    (start.done.load(Ordering::Relaxed), started.elapsed())
}

/// Asks the scheduler to keep this process on one CPU.
pub(crate) fn pin(cpu: usize) {
    // SAFETY: a zeroed set is an empty one, and as large as we say.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Waits until the threads of this process have gone that were joined: a join may come sooner, and what forks wants no others.
pub(crate) fn await_one_thread() {
    while std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Nanoseconds since an arbitrary moment, the same for all processes.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
