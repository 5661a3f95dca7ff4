//! The lock behind `lock_api`'s guards, between processes.

mod support;

use std::time::{Duration, Instant};

use forq::{ExitStatus, Process, RawLock, Shared};
use support::send;

type Mutex<T> = lock_api::Mutex<RawLock, T>;

fn main() {
    support::run(&[
        ("no_increment_is_lost_between_processes", exact_counting),
        ("a_death_hands_it_to_the_next", dead_holder),
        ("time_limits_end_waits", time_limits),
        ("outside_shared_memory_it_serves_threads", private),
    ]);
}

fn exact_counting() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut children: Vec<Process> =
        (0..4).map(|_| Process::spawn(|| (0..50_000).for_each(|_| *mutex.lock() += 1)).unwrap()).collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!(*mutex.lock(), 200_000);
}

fn dead_holder() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut holder = Process::spawn(|| {
        let mut guard = mutex.lock();
        *guard = 7;
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    assert_eq!(holder.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    assert!(!mutex.is_locked());
    assert_eq!(*mutex.lock(), 7);
}

fn time_limits() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let _held = mutex.lock();
    let child = || {
        let started = Instant::now();
        assert!(mutex.try_lock().is_none());
        assert!(mutex.try_lock_for(Duration::from_millis(30)).is_none());
        assert!(mutex.try_lock_until(Instant::now() + Duration::from_millis(30)).is_none());
        assert!(started.elapsed() >= Duration::from_millis(60));
    };
    // SAFETY: one thread; the child uses no guard of the parent's.
    let mut child = unsafe { Process::spawn_unchecked(child) }.unwrap();
    assert!(child.join().unwrap().success());
}

fn private() {
    static COUNT: Mutex<u64> = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| *COUNT.lock() += 1));
        }
    });
    assert_eq!(*COUNT.lock(), 40_000);
}
