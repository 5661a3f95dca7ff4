//! What the reentrant lock promises beyond the mutex.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{ExitStatus, LockError, Process, ReentrantMutex, Shared};
use support::{eventually, send};

fn main() {
    support::run(&[
        ("its_holder_locks_it_again_and_others_wait_for_the_last_guard", again),
        ("a_death_releases_all_holds_and_is_told_once", dead_holder),
        ("guards_may_be_dropped_in_any_order", any_order),
        ("no_increment_is_lost_between_processes", exact_counting),
        ("outside_shared_memory_it_serves_threads", private),
        ("a_child_of_a_fork_holds_none_of_it", forked),
    ]);
}

fn shared() -> Shared<ReentrantMutex<AtomicU64>> {
    Shared::new(ReentrantMutex::new(AtomicU64::new(0))).unwrap()
}

/// What another process is told when it tries; also while this one holds the lock.
fn others_try(mutex: &ReentrantMutex<AtomicU64>) -> i32 {
    let child = || match mutex.try_lock() {
        Ok(_) => 0,
        Err(LockError::WouldBlock) => 1,
        Err(_) => 2,
    };
    // SAFETY: one thread, and the child uses no guard of the parent's.
    let mut child = unsafe { Process::spawn_unchecked(child) }.unwrap();
    match child.join().unwrap() {
        ExitStatus::Exited(code) => code.into(),
        status => panic!("{status:?}"),
    }
}

fn again() {
    let mutex = shared();
    let first = mutex.lock().unwrap();
    let second = mutex.try_lock().unwrap();
    let third = mutex.lock_timeout(Duration::from_nanos(1)).unwrap();
    for guard in [first, second, third] {
        assert_eq!(others_try(&mutex), 1);
        assert_eq!(mutex.owner(), Some(std::process::id()));
        drop(guard);
    }
    assert_eq!(others_try(&mutex), 0);
    assert_eq!(mutex.owner(), None);
    assert_eq!(mutex.statistics().acquisitions, 2, "locking again counts as nothing");
}

fn dead_holder() {
    let mutex = shared();
    let mut holder = Process::spawn(|| {
        let _guards = [mutex.lock().unwrap(), mutex.lock().unwrap(), mutex.lock().unwrap()];
        mutex.lock().unwrap().store(7, Ordering::Relaxed);
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    assert_eq!(holder.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    {
        let guard = mutex.lock().unwrap_err().into_guard().expect("told");
        assert_eq!(guard.load(Ordering::Relaxed), 7);
        drop(mutex.lock().expect("who holds it is not told again"));
        guard.mark_consistent();
    }
    assert_eq!(others_try(&mutex), 0, "one drop released it: the dead one's holds are gone");
    drop(mutex.lock().expect("repaired"));
}

fn any_order() {
    let mutex = shared();
    let (first, second) = (mutex.lock().unwrap(), mutex.lock().unwrap());
    drop(first);
    assert_eq!(second.load(Ordering::Relaxed), 0);
    assert_eq!(others_try(&mutex), 1);
    drop(second);
    assert_eq!(others_try(&mutex), 0);
}

fn exact_counting() {
    const EACH: u64 = 50_000;
    let mutex = shared();
    let mut children: Vec<Process> = (0..4)
        .map(|_| {
            Process::spawn(|| {
                for _ in 0..EACH {
                    let outer = mutex.lock().unwrap();
                    let before = outer.load(Ordering::Relaxed);
                    mutex.lock().unwrap().store(before + 1, Ordering::Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!(mutex.lock().unwrap().load(Ordering::Relaxed), 4 * EACH);
}

fn private() {
    let mutex = ReentrantMutex::new(std::cell::Cell::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let (outer, inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
                    inner.set(outer.get() + 1);
                }
            });
        }
    });
    assert_eq!(mutex.lock().unwrap().get(), 40_000);
}

fn forked() {
    let mutex = shared();
    let guard = mutex.lock().unwrap();
    let child = || {
        let copy = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| guard.load(Ordering::Relaxed)));
        assert!(copy.is_err(), "a copied guard guards nothing");
        // Not held here, so waiting for it is no circle of one.
        assert!(matches!(mutex.lock_timeout(Duration::from_millis(20)), Err(LockError::TimedOut)));
    };
    // SAFETY: one thread; the guard's copy is used to see that it panics.
    let mut child = unsafe { Process::spawn_unchecked(child) }.unwrap();
    assert!(child.join().unwrap().success());
    eventually("still held", || mutex.owner() == Some(std::process::id()));
    drop(guard);
}
