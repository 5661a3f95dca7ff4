//! What the semaphore promises about permits, time, deaths and stops.

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Process, Semaphore, Shared};
use support::{Random, eventually, is_asleep, send};

fn main() {
    support::run(&[
        ("permits_are_counted", counting),
        ("what_cannot_be_is_refused_at_once", refused_arguments),
        ("a_release_above_the_bound_gives_nothing", over_release),
        ("zeroed_memory_is_a_semaphore_without_permits", zeroed),
        ("time_limits_end_waits_and_not_too_early", time_limits),
        ("a_sleeper_is_woken_by_a_release", woken),
        ("a_release_wakes_as_many_as_it_gives_permits", woken_together),
        ("an_uncontended_use_makes_no_system_call", no_system_call),
        ("killed_waiters_take_no_permit_and_no_wake_up_along", killed_waiters),
        ("a_stopped_waiter_does_not_stop_the_others", stopped_waiter),
        ("permits_of_the_dead_are_gone", dead_owner),
        ("a_release_in_a_signal_handler_is_a_release", signal_handler),
        ("a_wait_ends_by_a_signal_only_if_the_thread_asked_for_it", interrupted),
        ("a_permit_is_given_back_once_and_only_by_who_took_it", permits),
        ("every_permit_is_taken_once_by_more_processes_than_there_are_cpus", exact_accounts),
        ("a_storm_of_kills_hangs_nobody_and_invents_no_permit", storm),
        ("a_semaphore_outside_shared_memory_serves_threads", threads),
    ]);
}

/// A child that acquires and ends.
fn waiter(semaphore: &Semaphore) -> Process {
    Process::spawn(|| i32::from(semaphore.acquire() != Ok(()))).unwrap()
}

fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

fn counting() {
    let semaphore = Shared::new(Semaphore::new(2)).unwrap();
    assert_eq!(semaphore.value(), 2);
    semaphore.acquire().unwrap();
    semaphore.acquire_timeout(Duration::ZERO).unwrap();
    assert_eq!(semaphore.try_acquire(), Err(Error::WouldBlock));
    semaphore.release(3).unwrap();
    semaphore.release(0).unwrap();
    assert_eq!(semaphore.value(), 3);
    semaphore.acquire_timeout(Duration::MAX).unwrap();
    let mut child =
        Process::spawn(|| semaphore.try_acquire().map_or(9, |()| semaphore.value() as i32)).unwrap();
    assert_eq!(child.join().unwrap(), forq::ExitStatus::Exited(1));
    assert_eq!(semaphore.value(), 1);
}

fn refused_arguments() {
    std::panic::set_hook(Box::new(|_| ()));
    let panics = |permits, max| std::panic::catch_unwind(|| Semaphore::bounded(permits, max)).is_err();
    assert!(panics(0, 0) && panics(2, 1) && panics(0, 1 << 31) && panics(u32::MAX, u32::MAX));
    assert!(!panics(1, 1) && !panics(Semaphore::MAX_PERMITS, Semaphore::MAX_PERMITS));
    assert!(std::panic::catch_unwind(|| Semaphore::new(1 << 31)).is_err());
}

fn over_release() {
    let bounded = Shared::new(Semaphore::bounded(1, 3)).unwrap();
    assert_eq!(bounded.release(3), Err(Error::Overflow));
    assert_eq!(bounded.release(u32::MAX), Err(Error::Overflow));
    assert_eq!(bounded.value(), 1, "all or nothing");
    bounded.release(2).unwrap();
    assert_eq!(bounded.release(1), Err(Error::Overflow));
    let greatest = Shared::new(Semaphore::new(Semaphore::MAX_PERMITS - 1)).unwrap();
    greatest.release(1).unwrap();
    assert_eq!(greatest.release(1), Err(Error::Overflow));
    assert_eq!(greatest.value(), Semaphore::MAX_PERMITS);
    // Also when somebody is waiting.
    let empty = Shared::new(Semaphore::bounded(0, 1)).unwrap();
    let mut waiter = waiter(&empty);
    falls_asleep(&waiter);
    assert_eq!(empty.release(2), Err(Error::Overflow));
    assert_eq!(empty.value(), 0);
    empty.release(1).unwrap();
    assert!(waiter.join().unwrap().success());
}

fn zeroed() {
    // SAFETY: valid when all bytes are zero: this is the promise.
    let semaphore: Shared<Semaphore> = Shared::new(unsafe { std::mem::zeroed() }).unwrap();
    assert_eq!(semaphore.try_acquire(), Err(Error::WouldBlock));
    semaphore.release(Semaphore::MAX_PERMITS).unwrap();
    assert_eq!(semaphore.release(1), Err(Error::Overflow));
    semaphore.acquire().unwrap();
}

fn time_limits() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(semaphore.acquire_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(semaphore.acquire_timeout(Duration::ZERO), Err(Error::WouldBlock));
    assert_eq!(semaphore.value(), 0);
    for limit in [Duration::MAX, Duration::from_nanos(i64::MAX as u64)] {
        let mut waiter = Process::spawn(|| i32::from(semaphore.acquire_timeout(limit).is_err())).unwrap();
        falls_asleep(&waiter);
        semaphore.release(1).unwrap();
        assert!(waiter.join().unwrap().success());
    }
}

fn woken() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    for _ in 0..20 {
        let mut waiter = waiter(&semaphore);
        falls_asleep(&waiter);
        semaphore.release(1).unwrap();
        assert!(waiter.join().unwrap().success());
        assert_eq!(semaphore.value(), 0);
    }
}

fn woken_together() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    let mut waiters: Vec<_> = (0..6).map(|_| waiter(&semaphore)).collect();
    waiters.iter().for_each(falls_asleep);
    semaphore.release(4).unwrap();
    eventually("four have gone", || ended(&mut waiters) == 4);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ended(&mut waiters), 4, "two still wait");
    semaphore.release(2).unwrap();
    assert!(waiters.iter_mut().all(|waiter| waiter.join().unwrap().success()));
    assert_eq!(semaphore.value(), 0);
}

fn ended(processes: &mut [Process]) -> usize {
    processes.iter_mut().filter_map(|process| process.try_join().unwrap()).count()
}

fn no_system_call() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    support::allows_no_system_call(|| {
        for _ in 0..1000 {
            semaphore.release(2).unwrap();
            semaphore.acquire().unwrap();
            semaphore.try_acquire().unwrap();
            assert!(semaphore.try_acquire().is_err());
        }
    });
    // Nor after somebody waited and is gone: the first release finds nobody, the next ones do not look.
    assert!(semaphore.acquire_timeout(Duration::from_nanos(1)).is_err());
    semaphore.release(1).unwrap();
    support::allows_no_system_call(|| {
        for _ in 0..1000 {
            semaphore.release(1).unwrap();
            semaphore.acquire().unwrap();
        }
    });
}

fn killed_waiters() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..100 {
        let mut killed: Vec<_> = (0..3).map(|_| waiter(&semaphore)).collect();
        let mut living = waiter(&semaphore);
        killed.iter().for_each(falls_asleep);
        falls_asleep(&living);
        // Woken and killed at once, in either order: whoever dies asleep took nothing, who dies with a permit took one.
        let before = round % 2 == 0;
        if before {
            killed.iter_mut().for_each(|waiter| waiter.kill().unwrap());
        }
        semaphore.release(1).unwrap();
        if !before {
            std::thread::sleep(Duration::from_micros(random.below(60)));
            // The one that got the permit may have ended.
            for waiter in &mut killed {
                let _ = waiter.kill();
            }
        }
        let lucky =
            killed.iter_mut().map(|waiter| waiter.join().unwrap()).filter(|end| end.success()).count();
        assert!(lucky <= 1 && (lucky == 0 || !before));
        let started = Instant::now();
        if before {
            assert!(living.join().unwrap().success());
            support::note_wake(started);
            assert_eq!(semaphore.value(), 0);
            continue;
        }
        // Whoever took the permit, living or dead by now, nobody sleeps next to it.
        eventually("it is taken", || semaphore.value() == 0);
        support::note_wake(started);
        semaphore.release(1).unwrap();
        assert!(living.join().unwrap().success());
        while semaphore.try_acquire().is_ok() {}
    }
}

fn stopped_waiter() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    let mut stopped = waiter(&semaphore);
    falls_asleep(&stopped);
    send(stopped.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(stopped.pid()));
    let mut others: Vec<_> = (0..2).map(|_| waiter(&semaphore)).collect();
    others.iter().for_each(falls_asleep);
    semaphore.release(1).unwrap();
    semaphore.release(1).unwrap();
    assert!(others.iter_mut().all(|other| other.join().unwrap().success()));
    assert_eq!(stopped.try_join().unwrap(), None);
    send(stopped.pid(), libc::SIGCONT);
    semaphore.release(1).unwrap();
    assert!(stopped.join().unwrap().success());
}

fn dead_owner() {
    let semaphore = Shared::new(Semaphore::new(2)).unwrap();
    let mut owner = Process::spawn(|| {
        semaphore.acquire().unwrap();
        let _permit = semaphore.permit().unwrap();
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    owner.join().unwrap();
    assert_eq!(semaphore.try_acquire(), Err(Error::WouldBlock));
}

/// For the handler.
static IN_HANDLER: std::sync::OnceLock<Shared<[Semaphore]>> = std::sync::OnceLock::new();

extern "C" fn release_two(_signal: i32) {
    for semaphore in &**IN_HANDLER.get().unwrap() {
        semaphore.release(1).unwrap();
    }
}

fn signal_handler() {
    const SIGNALS: u32 = 1000;
    let semaphores = IN_HANDLER.get_or_init(|| Shared::slice_with(2, |_| Semaphore::new(0)).unwrap());
    let mutex = Shared::new(forq::Mutex::new(0u64)).unwrap();
    let handled: extern "C" fn(i32) = release_two;
    // SAFETY: the handler calls nothing but what may be called in one.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as libc::sighandler_t) };
    // It interrupts locks, releases and waits.
    let mut busy = Process::spawn(|| {
        loop {
            *mutex.lock().unwrap() += 1;
            semaphores[0].release(1).unwrap();
            semaphores[0].acquire().unwrap();
            let _ =
                semaphores[0].acquire_timeout(Duration::from_micros(20)).map(|()| semaphores[0].release(1));
        }
    })
    .unwrap();
    eventually("it works", || *mutex.lock().unwrap() > 10);
    for sent in 0..SIGNALS {
        send(busy.pid(), libc::SIGUSR1);
        assert_eq!(semaphores[1].acquire_timeout(Duration::from_secs(30)), Ok(()), "signal {sent}");
    }
    let counted = *mutex.lock().unwrap();
    eventually("it goes on", || *mutex.lock().unwrap() > counted);
    busy.kill().unwrap();
    busy.join().unwrap();
    assert!(semaphores[0].value() >= SIGNALS - 1);
}

extern "C" fn ignore(_signal: i32) {}

fn interrupted() {
    let semaphore = Shared::new(Semaphore::new(0)).unwrap();
    let handled: extern "C" fn(i32) = ignore;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as libc::sighandler_t) };
    let mut deaf = waiter(&semaphore);
    let mut listening = Process::spawn(|| {
        forq::set_interruptible(true);
        i32::from(semaphore.acquire() != Err(Error::Interrupted))
    })
    .unwrap();
    falls_asleep(&deaf);
    falls_asleep(&listening);
    // `signal` restarts system calls, but not a futex call with a time limit.
    eventually("it hears", || {
        send(deaf.pid(), libc::SIGUSR1);
        send(listening.pid(), libc::SIGUSR1);
        listening.try_join().unwrap().is_some_and(|status| status.success())
    });
    assert_eq!(deaf.try_join().unwrap(), None);
    semaphore.release(1).unwrap();
    assert!(deaf.join().unwrap().success());
}

fn permits() {
    let semaphore = Shared::new(Semaphore::bounded(2, 2)).unwrap();
    let first = semaphore.permit().unwrap();
    let second = semaphore.try_permit().unwrap();
    assert_eq!(semaphore.permit_timeout(Duration::from_millis(1)).unwrap_err(), Error::TimedOut);
    assert_eq!(semaphore.try_permit().unwrap_err(), Error::WouldBlock);
    let mut child = Process::spawn(|| {
        // SAFETY: a copy, as fork makes them; the original is forgotten by the end of the child.
        drop(unsafe { std::ptr::read(&first) });
        i32::from(semaphore.value() != 0)
    })
    .unwrap();
    assert!(child.join().unwrap().success());
    assert_eq!(semaphore.value(), 0, "the parent's permit is the parent's");
    drop(first);
    assert_eq!(semaphore.value(), 1);
    std::mem::forget(second);
    std::panic::set_hook(Box::new(|_| ()));
    let panicked = std::panic::catch_unwind(|| {
        let _permit = semaphore.permit().unwrap();
        panic!("in the middle");
    });
    assert!(panicked.is_err());
    assert_eq!(semaphore.value(), 1);
}

forq::shareable! {
    struct Account {
        permits: Semaphore,
        released: AtomicU64,
        acquired: AtomicU64,
    }
}

fn exact_accounts() {
    const PRODUCERS: u64 = 3;
    const CONSUMERS: u64 = 5;
    const EACH: u64 = 60_000;
    let account = Shared::new(Account {
        permits: Semaphore::new(0),
        released: AtomicU64::new(0),
        acquired: AtomicU64::new(0),
    })
    .unwrap();
    let mut producers: Vec<_> = (0..PRODUCERS)
        .map(|seed| {
            let account = &account;
            Process::spawn(move || {
                let mut random = Random(seed + 1);
                let mut left = EACH;
                while left > 0 {
                    let permits = (1 + random.below(4)).min(left);
                    account.permits.release(permits as u32).unwrap();
                    account.released.fetch_add(permits, Ordering::Relaxed);
                    left -= permits;
                }
            })
            .unwrap()
        })
        .collect();
    let mut consumers: Vec<_> = (0..CONSUMERS)
        .map(|_| {
            Process::spawn(|| {
                for _ in 0..PRODUCERS * EACH / CONSUMERS {
                    account.permits.acquire().unwrap();
                    account.acquired.fetch_add(1, Ordering::Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    assert!(producers.iter_mut().chain(&mut consumers).all(|child| child.join().unwrap().success()));
    assert_eq!(account.released.load(Ordering::Relaxed), PRODUCERS * EACH);
    assert_eq!(account.acquired.load(Ordering::Relaxed), PRODUCERS * EACH);
    assert_eq!(account.permits.value(), 0);
}

forq::shareable! {
    struct Storm {
        permits: Semaphore,
        /// Rounds that each went through.
        progress: [AtomicU32; 4],
    }
}

fn storm() {
    let kills = std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(500u32);
    let storm =
        Shared::new(Storm { permits: Semaphore::bounded(2, 2), progress: [const { AtomicU32::new(0) }; 4] })
            .unwrap();
    let spawn = |index: usize| {
        let storm = &storm;
        Process::spawn(move || {
            loop {
                storm.permits.acquire().unwrap();
                storm.progress[index].fetch_add(1, Ordering::Relaxed);
                std::hint::black_box(storm);
                storm.permits.release(1).unwrap();
            }
        })
        .unwrap()
    };
    let mut children: Vec<_> = (0..4).map(spawn).collect();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for _ in 0..kills {
        let victim = random.below(4) as usize;
        std::thread::sleep(Duration::from_micros(random.below(500)));
        children[victim].kill().unwrap();
        children[victim].join().unwrap();
        let before: Vec<_> = storm.progress.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let moved = || (0..4).any(|other| storm.progress[other].load(Ordering::Relaxed) != before[other]);
        // At most one permit died with it. If there is none left, all sleep and nobody moves: it is replaced. (Asleep twice: who was between the
        // two, with a permit, has moved.)
        let all_sleep =
            || (0..4).filter(|&other| other != victim).all(|other| is_asleep(children[other].pid()));
        let started = Instant::now();
        while !moved() {
            if all_sleep() && storm.permits.value() == 0 && all_sleep() && !moved() {
                storm.permits.release(1).unwrap();
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "a permit is free, or was given, and nobody moves"
            );
            std::thread::sleep(Duration::from_micros(50));
        }
        children[victim] = spawn(victim);
    }
    for child in &mut children {
        child.kill().unwrap();
        child.join().unwrap();
    }
    assert!(storm.permits.value() <= 2, "never more than the bound");
}

fn threads() {
    let semaphore = std::sync::Arc::new(Semaphore::new(1));
    let inside = std::sync::Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            std::thread::spawn(move || {
                for _ in 0..10_000 {
                    let _permit = semaphore.permit().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(semaphore.value(), 1);
}
