//! What the mutex promises about deaths, forks, panics and time.

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, ExitStatus, LockError, Mutex, Process, Shared};
use support::{Random, eventually, is_asleep, is_running, send};

fn main() {
    support::run(&[
        ("a_killed_holder_is_reported_to_the_next_locker", killed_holder),
        ("a_waiter_is_woken_by_the_death_of_the_holder", woken_by_death),
        ("a_death_that_nobody_repairs_is_told_again", told_again),
        ("locking_twice_is_an_error_at_once", locking_twice),
        ("a_guard_copied_by_fork_holds_nothing", copied_guard),
        ("a_guard_leaked_by_a_living_process_is_never_doubled", leaked_guard),
        ("a_holder_that_panics_leaves_word", panicking_holder),
        ("a_holder_that_executes_a_program_is_reported", executing_holder),
        ("a_stopped_holder_keeps_its_lock", stopped_holder),
        ("time_limits_end_waits_and_not_too_early", time_limits),
        ("no_increment_is_lost_between_processes", exact_counting),
        ("memory_with_a_lock_that_is_still_held_stays_mapped", leaked_memory),
        ("dead_waiters_neither_hang_nor_bury_the_living", dead_waiters),
        ("a_storm_of_kills_hangs_nobody_and_loses_nothing", storm),
        ("a_mutex_outside_shared_memory_serves_threads", private_mutex),
        ("several_locks_are_released_in_any_order", any_order),
        ("pthread_robust_locks_share_the_list_undisturbed", beside_pthread),
    ]);
}

/// Spawns a child that takes the lock and is killed with it.
fn kill_holder(mutex: &Shared<Mutex<u64>>) {
    let mut holder = Process::spawn(|| {
        let _guard = mutex.lock().map_err(|_| ()).expect("free");
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    assert_eq!(holder.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
}

fn killed_holder() {
    let mutex = Shared::new(Mutex::new(7u64)).unwrap();
    kill_holder(&mutex);
    match mutex.lock() {
        Err(LockError::OwnerDied(guard)) => {
            assert_eq!(*guard, 7);
            guard.mark_consistent();
        }
        other => panic!("{other:?}"),
    }
    assert!(mutex.lock().is_ok(), "repaired");
    assert_eq!(mutex.statistics().holder_deaths, 1);
}

fn woken_by_death() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut holder = Process::spawn(|| {
        let _guard = mutex.lock();
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("the child holds it", || mutex.owner() == Some(holder.pid()));
    let mut waiter =
        Process::spawn(|| i32::from(matches!(mutex.lock(), Err(LockError::OwnerDied(_))))).unwrap();
    eventually("the other waits", || is_asleep(waiter.pid()));
    holder.kill().unwrap();
    assert_eq!(waiter.join().unwrap(), ExitStatus::Exited(1));
    holder.join().unwrap();
    let statistics = mutex.statistics();
    assert_eq!((statistics.contended, statistics.holder_deaths), (1, 1));
    assert!(statistics.waited_ns >= statistics.waited_max_ns && statistics.waited_max_ns > 0);
}

fn told_again() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    kill_holder(&mutex);
    for _ in 0..3 {
        assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
        assert!(matches!(mutex.try_lock(), Err(LockError::OwnerDied(_))));
    }
    assert_eq!(mutex.statistics().holder_deaths, 1, "one death counts once");
    kill_holder_of_inconsistent(&mutex);
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    assert_eq!(mutex.statistics().holder_deaths, 2);
}

fn kill_holder_of_inconsistent(mutex: &Shared<Mutex<u64>>) {
    let mut holder = Process::spawn(|| {
        let _guard = mutex.lock().unwrap_err().into_guard().expect("told of the death before");
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    holder.join().unwrap();
}

fn locking_twice() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::Deadlock)));
    assert!(matches!(mutex.lock_timeout(Duration::MAX), Err(LockError::Deadlock)));
    assert!(matches!(mutex.try_lock(), Err(LockError::WouldBlock)));
    drop(guard);
    assert!(mutex.try_lock().is_ok());
}

fn copied_guard() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let guard = mutex.lock().unwrap();
    assert_eq!(Process::spawn(|| ()).unwrap_err(), Error::LockHeld);
    // SAFETY: one thread; the guard is used in the child to see that it panics.
    let mut child = unsafe {
        Process::spawn_unchecked(|| {
            let used = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| *guard));
            i32::from(used.is_err() && mutex.try_lock().is_err())
        })
    }
    .unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(1));
    // SAFETY: one thread; the guard's copy is only dropped.
    let mut child = unsafe { Process::spawn_unchecked(|| drop(std::ptr::read(&guard))) }.unwrap();
    assert!(child.join().unwrap().success());
    assert_eq!(mutex.owner(), Some(std::process::id()), "dropping the copy released nothing");
    drop(guard);
    assert_eq!(mutex.owner(), None);
}

fn leaked_guard() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut child = Process::spawn(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(mutex.lock().unwrap())).join().unwrap();
        });
        // The same process: it may still have a reference to the value.
        assert!(matches!(mutex.lock(), Err(LockError::Leaked)));
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("the guard is leaked", || mutex.statistics().acquisitions >= 2 && mutex.owner().is_none());
    assert!(matches!(mutex.lock(), Err(LockError::Leaked)));
    child.kill().unwrap();
    child.join().unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))), "now nobody can refer to it");
}

fn panicking_holder() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    std::panic::set_hook(Box::new(|_| ()));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut guard = mutex.lock().unwrap();
        *guard = 1;
        panic!("in the middle");
    }));
    assert!(panicked.is_err());
    let guard = mutex.lock().unwrap_err().into_guard().unwrap();
    guard.mark_consistent();
    drop(guard);
    assert!(mutex.lock().is_ok());
    assert_eq!(mutex.statistics().holder_deaths, 0, "nobody died");
}

fn executing_holder() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut child = Process::spawn(|| {
        std::mem::forget(mutex.lock().unwrap());
        let arguments = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
        // SAFETY: C strings, and a null at the end.
        unsafe { libc::execvp(c"sleep".as_ptr(), arguments.as_ptr()) };
    })
    .unwrap();
    eventually("the lock is free", || mutex.statistics().acquisitions == 1 && mutex.owner().is_none());
    child.kill().unwrap();
    child.join().unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
}

fn stopped_holder() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut holder = Process::spawn(|| {
        let mut guard = mutex.lock().unwrap();
        send(std::process::id(), libc::SIGSTOP);
        *guard = 5;
    })
    .unwrap();
    eventually("the child holds it", || mutex.owner() == Some(holder.pid()));
    eventually("it is stopped", || support::is_stopped(holder.pid()));
    assert!(matches!(mutex.lock_timeout(Duration::from_millis(700)), Err(LockError::TimedOut)));
    holder.signal(libc::SIGCONT).unwrap();
    eventually("the holder is done", || {
        mutex.lock_timeout(Duration::from_secs(1)).is_ok_and(|guard| *guard == 5)
    });
    holder.join().unwrap();
}

fn time_limits() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    let mut holder = Process::spawn(|| {
        let _guard = mutex.lock();
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("the child holds it", || mutex.owner() == Some(holder.pid()));
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(300)] {
        let started = Instant::now();
        assert!(matches!(mutex.lock_timeout(wait), Err(LockError::TimedOut)));
        assert!(started.elapsed() >= wait);
    }
    assert!(matches!(mutex.lock_timeout(Duration::ZERO), Err(LockError::WouldBlock)));
    holder.kill().unwrap();
    holder.join().unwrap();
    assert!(matches!(mutex.lock_timeout(Duration::MAX), Err(LockError::OwnerDied(_))));
}

fn exact_counting() {
    const EACH: u64 = 100_000;
    for processes in [2, 4, 8] {
        let count = Shared::new(Mutex::new(0u64)).unwrap();
        let mut children: Vec<_> = (0..processes)
            .map(|_| Process::spawn(|| (0..EACH).for_each(|_| *count.lock().unwrap() += 1)).unwrap())
            .collect();
        assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
        assert_eq!(*count.lock().unwrap(), processes * EACH);
        let statistics = count.statistics();
        assert_eq!(statistics.acquisitions, processes * EACH + 1);
        assert!(statistics.contended < statistics.acquisitions);
    }
}

fn leaked_memory() {
    let mutex = Shared::new(Mutex::new(3u64)).unwrap();
    let address = &raw const *mutex;
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex);
    // The thread's robust list still names it: libc may write there.
    let other = Shared::new(Mutex::new(4u64)).unwrap();
    assert_eq!(*other.lock().unwrap(), 4);
    // SAFETY: this is the promise: it is still mapped, and nobody else uses it.
    assert_eq!(unsafe { (*address).owner() }, Some(std::process::id()));
}

fn dead_waiters() {
    let mutex = Shared::new(Mutex::new(0u64)).unwrap();
    for round in 0..5u64 {
        let guard = mutex.lock().unwrap();
        // SAFETY: one thread; the guard is not used in the children.
        let spawn = || unsafe {
            Process::spawn_unchecked(|| {
                mutex.lock().map_or(9, |mut value| {
                    *value += 1;
                    0
                })
            })
        };
        let mut killed: Vec<_> = (0..8).map(|_| spawn().unwrap()).collect();
        let mut living: Vec<_> = (0..2).map(|_| spawn().unwrap()).collect();
        std::thread::sleep(Duration::from_millis(30));
        for waiter in &mut killed {
            waiter.kill().unwrap();
            waiter.join().unwrap();
        }
        drop(guard);
        for waiter in &mut living {
            assert!(waiter.join().unwrap().success());
        }
        // More than enough releases to take the count of waiters anew.
        for _ in 0..100 {
            drop(mutex.lock().unwrap());
        }
        assert_eq!(*mutex.lock().unwrap(), 2 * (round + 1));
    }
}

forq::shareable! {
    struct Storm {
        /// Two numbers that are equal whenever nobody is in the middle.
        pair: Mutex<[u64; 2]>,
        /// Increments that were finished: counted inside the lock, after both.
        finished: AtomicU64,
        told: AtomicU64,
        progress: [AtomicU32; 4],
    }
}

fn storm() {
    let kills = std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(1000u32);
    let storm = Shared::new(Storm {
        pair: Mutex::new([0, 0]),
        finished: AtomicU64::new(0),
        told: AtomicU64::new(0),
        progress: [const { AtomicU32::new(0) }; 4],
    })
    .unwrap();
    let spawn = |index: usize| {
        let storm = &storm;
        Process::spawn(move || {
            loop {
                let mut pair = match storm.pair.lock() {
                    Ok(pair) => pair,
                    Err(error) => {
                        let mut pair = error.into_guard().expect("only deaths are told");
                        storm.told.fetch_add(1, Ordering::Relaxed);
                        pair[1] = pair[0];
                        pair.mark_consistent();
                        pair
                    }
                };
                assert_eq!(pair[0], pair[1], "a death in the middle was not told");
                pair[0] += 1;
                std::hint::black_box(&mut pair);
                pair[1] += 1;
                drop(pair);
                storm.progress[index].fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap()
    };
    let mut children: Vec<_> = (0..4).map(spawn).collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for kill in 0..kills {
        let victim = random.below(4) as usize;
        std::thread::sleep(Duration::from_micros(random.below(500)));
        children[victim].kill().unwrap();
        assert_eq!(children[victim].join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        if kill % 50 == 0 {
            // Everybody who lives goes on.
            let before: Vec<_> =
                storm.progress.iter().map(|progress| progress.load(Ordering::Relaxed)).collect();
            for other in (0..4).filter(|&other| other != victim) {
                eventually("a survivor makes progress", || {
                    storm.progress[other].load(Ordering::Relaxed) != before[other]
                });
            }
        }
        children[victim] = spawn(victim);
    }
    for child in &mut children {
        child.kill().unwrap();
        child.join().unwrap();
    }
    let statistics = storm.pair.statistics();
    assert!(storm.told.load(Ordering::Relaxed) <= statistics.holder_deaths);
    assert!(statistics.holder_deaths > 0, "no holder was hit: the storm shows nothing");
}

fn private_mutex() {
    let mutex = std::sync::Arc::new(Mutex::new(0u64));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mutex = mutex.clone();
            std::thread::spawn(move || (0..10_000).for_each(|_| *mutex.lock().unwrap() += 1))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*mutex.lock().unwrap(), 40_000);
    // A value that moves while a guard of it was forgotten is no danger: nothing refers to it.
    let moved = Mutex::new(1u64);
    std::mem::forget(moved.lock().unwrap());
    let boxed = Box::new(moved);
    drop(boxed);
    let shared = Shared::new(Mutex::new(1u64)).unwrap();
    assert!(shared.lock().is_ok());
    // A thread that ends with such a lock is found by looking.
    let held = std::sync::Arc::new(Mutex::new(0u64));
    let holder = held.clone();
    std::thread::spawn(move || std::mem::forget(holder.lock().unwrap())).join().unwrap();
    assert!(matches!(held.lock(), Err(LockError::Leaked)));
}

fn any_order() {
    let locks = Shared::slice_with(5, |_| Mutex::new(0u64)).unwrap();
    let mut guards: Vec<_> = locks.iter().map(|lock| Some(lock.lock().unwrap())).collect();
    for index in [2, 0, 4, 1, 3] {
        guards[index] = None;
        assert_eq!(
            locks.iter().filter(|lock| lock.owner().is_some()).count(),
            guards.iter().flatten().count()
        );
    }
    let mut child = Process::spawn(|| {
        let guards: Vec<_> = locks.iter().map(|lock| lock.lock().unwrap()).collect();
        std::mem::forget(guards);
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    child.join().unwrap();
    assert!(locks.iter().all(|lock| matches!(lock.lock(), Err(LockError::OwnerDied(_)))));
    assert!(!is_running(child.pid()));
}

fn beside_pthread() {
    const SIZE: usize = 4096;
    // SAFETY: pthread mutexes in shared memory, used by the book.
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), SIZE, prot, flags, -1, 0);
        assert!(memory != libc::MAP_FAILED);
        let theirs = memory.cast::<libc::pthread_mutex_t>();
        let mut attributes = std::mem::zeroed();
        libc::pthread_mutexattr_init(&mut attributes);
        libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
        libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST);
        for index in 0..2 {
            libc::pthread_mutex_init(theirs.add(index), &attributes);
        }
        let ours = Shared::slice_with(2, |_| Mutex::new(0u64)).unwrap();
        let interleave = || {
            let first = ours[0].lock().unwrap();
            assert_eq!(libc::pthread_mutex_lock(theirs), 0);
            let second = ours[1].lock().unwrap();
            assert_eq!(libc::pthread_mutex_lock(theirs.add(1)), 0);
            (first, second)
        };
        let (first, second) = interleave();
        drop(first);
        assert_eq!(libc::pthread_mutex_unlock(theirs), 0);
        drop(second);
        assert_eq!(libc::pthread_mutex_unlock(theirs.add(1)), 0);
        let mut child = Process::spawn(|| {
            std::mem::forget(interleave());
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        child.join().unwrap();
        assert!(ours.iter().all(|lock| matches!(lock.lock(), Err(LockError::OwnerDied(_)))));
        assert_eq!(libc::pthread_mutex_lock(theirs), libc::EOWNERDEAD);
        assert_eq!(libc::pthread_mutex_lock(theirs.add(1)), libc::EOWNERDEAD);
    }
}
