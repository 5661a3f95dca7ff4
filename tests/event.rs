//! What the event promises about setting, clearing, deaths and stops.

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Event, ExitStatus, Process, Shared};
use support::{Random, eventually, is_asleep, send};

fn main() {
    support::run(&[
        ("an_event_is_set_until_it_is_cleared", setting),
        ("zeroed_memory_is_an_event_that_is_not_set", zeroed),
        ("time_limits_end_waits_and_not_too_early", time_limits),
        ("set_wakes_all_who_sleep", wakes_all),
        ("a_waiter_does_not_miss_a_set_that_is_cleared_at_once", set_then_clear),
        ("who_waits_after_a_clear_waits", wait_after_clear),
        ("setting_makes_no_system_call_while_nobody_sleeps", no_system_call),
        ("killed_waiters_hold_nobody_up", killed_waiters),
        ("a_stopped_waiter_does_not_stop_the_others", stopped_waiter),
        ("a_killed_setter_leaves_nobody_asleep_next_to_a_set_event", killed_setter),
        ("a_set_in_a_signal_handler_is_a_set", signal_handler),
        ("a_wait_ends_by_a_signal_only_if_the_thread_asked_for_it", interrupted),
        ("what_was_written_before_a_set_is_seen_after_a_clear_or_a_wait", no_lost_work),
        ("more_waiters_than_cpus_go_round_by_round", rounds),
        ("an_event_outside_shared_memory_serves_threads", threads),
    ]);
}

fn waiter(event: &Event) -> Process {
    Process::spawn(|| i32::from(event.wait() != Ok(()))).unwrap()
}

fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

fn setting() {
    let event = Shared::new(Event::new()).unwrap();
    assert!(!event.is_set());
    event.clear();
    assert_eq!(event.wait_timeout(Duration::ZERO), Err(Error::WouldBlock));
    event.set();
    event.set();
    assert!(event.is_set());
    assert_eq!((event.wait(), event.wait_timeout(Duration::ZERO)), (Ok(()), Ok(())));
    let mut child = Process::spawn(|| {
        assert!(event.is_set());
        event.clear();
    })
    .unwrap();
    assert!(child.join().unwrap().success());
    assert!(!event.is_set());
}

fn zeroed() {
    // SAFETY: valid when all bytes are zero: this is the promise.
    let event: Shared<Event> = Shared::new(unsafe { std::mem::zeroed() }).unwrap();
    assert!(!event.is_set());
    let mut waiter = waiter(&event);
    falls_asleep(&waiter);
    event.set();
    assert!(waiter.join().unwrap().success());
}

fn time_limits() {
    let event = Shared::new(Event::new()).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(event.wait_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
    }
    for limit in [Duration::MAX, Duration::from_nanos(i64::MAX as u64)] {
        let mut waiter = Process::spawn(|| i32::from(event.wait_timeout(limit).is_err())).unwrap();
        falls_asleep(&waiter);
        event.set();
        assert!(waiter.join().unwrap().success());
        assert_eq!(event.wait_timeout(Duration::from_nanos(1)), Ok(()), "set is set, whatever the time");
        event.clear();
    }
}

fn wakes_all() {
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..10 {
        let mut waiters: Vec<_> = (0..6).map(|_| waiter(&event)).collect();
        waiters.iter().for_each(falls_asleep);
        let started = Instant::now();
        event.set();
        assert!(waiters.iter_mut().all(|waiter| waiter.join().unwrap().success()));
        support::note_wake(started);
        event.clear();
    }
}

fn set_then_clear() {
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..50 {
        let mut waiters: Vec<_> = (0..3).map(|_| waiter(&event)).collect();
        waiters.iter().for_each(falls_asleep);
        event.set();
        event.clear();
        assert!(waiters.iter_mut().all(|waiter| waiter.join().unwrap().success()));
        assert!(!event.is_set());
    }
    // Also one that was stopped over many rounds, and one that runs into its time limit meanwhile.
    let mut limit = Duration::from_millis(100);
    while !set_while_stopped(&event, limit) {
        limit *= 2;
    }
}

/// Sets and clears while one that waits is stopped, for longer than it waits; false: the machine was too slow for this limit.
fn set_while_stopped(event: &Event, limit: Duration) -> bool {
    let started = Instant::now();
    let mut stopped = Process::spawn(|| i32::from(event.wait_timeout(limit) != Ok(()))).unwrap();
    eventually("it sleeps, or its time is up", || is_asleep(stopped.pid()) || started.elapsed() > limit);
    send(stopped.pid(), libc::SIGSTOP);
    let is_over = |stopped: &mut Process| stopped.try_join().unwrap().is_some();
    eventually("it is stopped", || support::is_stopped(stopped.pid()) || is_over(&mut stopped));
    for _ in 0..1000 {
        event.set();
        event.clear();
    }
    let in_time = started.elapsed() < limit;
    std::thread::sleep(limit);
    send(stopped.pid(), libc::SIGCONT);
    let told = stopped.join().unwrap().success();
    assert!(told || !in_time, "it was set in time");
    in_time
}

fn wait_after_clear() {
    let event = Shared::new(Event::new()).unwrap();
    event.set();
    event.clear();
    let mut late = waiter(&event);
    falls_asleep(&late);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(late.try_join().unwrap(), None, "an earlier set is not for it");
    event.set();
    assert!(late.join().unwrap().success());
}

fn no_system_call() {
    let event = Shared::new(Event::new()).unwrap();
    let use_it = || {
        for _ in 0..1000 {
            event.set();
            event.set();
            event.wait().unwrap();
            event.clear();
            assert!(!event.is_set());
        }
    };
    support::allows_no_system_call(use_it);
    // Nor after somebody waited and was woken or gave up.
    assert!(event.wait_timeout(Duration::from_nanos(1)).is_err());
    event.set();
    event.clear();
    support::allows_no_system_call(use_it);
}

fn killed_waiters() {
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..50 {
        let mut killed: Vec<_> = (0..3).map(|_| waiter(&event)).collect();
        let mut living = waiter(&event);
        killed.iter().for_each(falls_asleep);
        falls_asleep(&living);
        killed.iter_mut().for_each(|waiter| waiter.kill().unwrap());
        event.set();
        let started = Instant::now();
        assert!(living.join().unwrap().success());
        support::note_wake(started);
        assert!(
            killed.iter_mut().all(|waiter| waiter.join().unwrap() == ExitStatus::Signaled(libc::SIGKILL))
        );
        event.clear();
    }
}

fn stopped_waiter() {
    let event = Shared::new(Event::new()).unwrap();
    let mut stopped = waiter(&event);
    falls_asleep(&stopped);
    send(stopped.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(stopped.pid()));
    let mut other = waiter(&event);
    falls_asleep(&other);
    event.set();
    assert!(other.join().unwrap().success());
    event.clear();
    send(stopped.pid(), libc::SIGCONT);
    assert!(stopped.join().unwrap().success(), "it was set while it waited");
}

fn killed_setter() {
    let event = Shared::new(Event::new()).unwrap();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    // So short that about as many come so far as do not, however fast the machine is.
    let (mut set, mut longest) = (0, 150);
    for _ in 0..200 {
        let mut waiter = waiter(&event);
        falls_asleep(&waiter);
        let mut setter = Process::spawn(|| {
            std::hint::black_box(());
            event.set();
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(longest)));
        let _ = setter.kill();
        setter.join().unwrap();
        if event.is_set() {
            set += 1;
            longest = (longest * 7 / 8).max(50);
            let started = Instant::now();
            assert!(waiter.join().unwrap().success());
            support::note_wake(started);
            event.clear();
        } else {
            longest = (longest * 8 / 7 + 1).min(50_000);
            waiter.kill().unwrap();
            waiter.join().unwrap();
        }
    }
    assert!(set > 0, "none came so far: this shows nothing");
}

/// For the handler.
static IN_HANDLER: std::sync::OnceLock<Shared<[Event]>> = std::sync::OnceLock::new();

extern "C" fn set_both(_signal: i32) {
    let [kept, answer] = &**IN_HANDLER.get().unwrap() else { return };
    kept.set();
    assert!(kept.is_set(), "nobody clears it");
    answer.set();
}

fn signal_handler() {
    let events = IN_HANDLER.get_or_init(|| Shared::slice_with(2, |_| Event::new()).unwrap());
    let handled: extern "C" fn(i32) = set_both;
    // SAFETY: the handler calls nothing but what may be called in one.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as libc::sighandler_t) };
    let mut busy = Process::spawn(|| {
        loop {
            // Its own handler ends the wait.
            events[0].wait().unwrap();
        }
    })
    .unwrap();
    std::thread::sleep(Duration::from_millis(20));
    for _ in 0..500 {
        send(busy.pid(), libc::SIGUSR1);
        events[1].wait_timeout(Duration::from_secs(30)).unwrap();
        events[1].clear();
        events[0].wait().unwrap();
    }
    busy.kill().unwrap();
    busy.join().unwrap();
}

extern "C" fn ignore(_signal: i32) {}

fn interrupted() {
    let event = Shared::new(Event::new()).unwrap();
    let handled: extern "C" fn(i32) = ignore;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as libc::sighandler_t) };
    let mut deaf = waiter(&event);
    let mut listening = Process::spawn(|| {
        forq::set_interruptible(true);
        i32::from(event.wait() != Err(Error::Interrupted))
    })
    .unwrap();
    falls_asleep(&deaf);
    falls_asleep(&listening);
    eventually("it hears", || {
        send(deaf.pid(), libc::SIGUSR1);
        send(listening.pid(), libc::SIGUSR1);
        listening.try_join().unwrap().is_some_and(|status| status.success())
    });
    assert_eq!(deaf.try_join().unwrap(), None);
    event.set();
    assert!(deaf.join().unwrap().success());
}

forq::shareable! {
    struct Work {
        there: Event,
        made: AtomicU64,
        taken: AtomicU64,
    }
}

/// The usual loop: clear, look for work, wait.
fn no_lost_work() {
    const ITEMS: u64 = 200_000;
    let work =
        Shared::new(Work { there: Event::new(), made: AtomicU64::new(0), taken: AtomicU64::new(0) }).unwrap();
    let mut worker = Process::spawn(|| {
        let mut taken = 0;
        while taken < ITEMS {
            work.there.wait().unwrap();
            work.there.clear();
            // Relaxed: the event is what orders it.
            taken = work.made.load(Ordering::Relaxed);
            work.taken.store(taken, Ordering::Relaxed);
        }
    })
    .unwrap();
    let mut random = Random(7);
    for item in 1..=ITEMS {
        work.made.store(item, Ordering::Relaxed);
        work.there.set();
        if random.below(1000) == 0 {
            eventually("it is taken", || work.taken.load(Ordering::Relaxed) == item);
        }
    }
    assert!(worker.join().unwrap().success());
}

forq::shareable! {
    struct Rounds {
        gates: [Event; 2],
        passed: AtomicU32,
    }
}

fn rounds() {
    const ROUNDS: u32 = 2000;
    const WAITERS: u32 = 6;
    let rounds =
        Shared::new(Rounds { gates: [const { Event::new() }; 2], passed: AtomicU32::new(0) }).unwrap();
    let mut waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            Process::spawn(|| {
                for round in 0..ROUNDS {
                    rounds.gates[round as usize % 2].wait().unwrap();
                    rounds.passed.fetch_add(1, Ordering::Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    for round in 0..ROUNDS {
        let started = Instant::now();
        rounds.gates[round as usize % 2].set();
        while rounds.passed.load(Ordering::Relaxed) < (round + 1) * WAITERS {
            assert!(started.elapsed() < Duration::from_secs(100), "round {round}");
            std::thread::yield_now();
        }
        rounds.gates[round as usize % 2].clear();
        support::progress();
    }
    assert!(waiters.iter_mut().all(|waiter| waiter.join().unwrap().success()));
}

fn threads() {
    let event = std::sync::Arc::new(Event::default());
    let waiting = event.clone();
    let thread = std::thread::spawn(move || waiting.wait());
    std::thread::sleep(Duration::from_millis(20));
    event.set();
    assert_eq!(thread.join().unwrap(), Ok(()));
    assert_eq!(format!("{event:?}"), "Event { is_set: true, .. }");
}
