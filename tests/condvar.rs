//! What the condition variable promises: who is woken, and who is not. What deaths change about it is in `condvar_faults.rs`.

#[path = "support/room.rs"]
mod room;
mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use forq::{Condvar, ExitStatus, LockError, Mutex, Process, Shared};
use room::{Room, join_all, kill_all, settle};
use support::{Random, eventually, send};

fn main() {
    support::run(&[
        ("a_notify_with_nobody_waiting_is_not_kept", nobody_waiting),
        ("a_waiter_returns_when_notified_and_not_before", notified),
        ("notify_reaches_as_many_as_it_says_of_those_who_wait", reaches_so_many),
        ("late_comers_take_nobodys_place_and_time_outs_no_notify", exact_matching),
        ("no_one_returns_unnotified_while_the_mutex_is_held_long", long_holder),
        ("time_limits_end_waits_and_not_too_early", time_limits),
        ("a_time_limit_covers_all_rounds_of_a_conditional_wait", conditional_time_limit),
        ("more_processes_than_cpus_meet_again_and_again", crowd),
        ("two_mutexes_share_the_notifies", two_mutexes),
        ("a_condvar_outside_shared_memory_serves_threads", threads),
        ("a_guard_copied_by_fork_waits_for_nothing", copied_guard),
        ("a_full_count_is_refused_with_the_guard_given_back", full_count),
        ("a_signal_ends_the_wait_of_who_asked_for_it", interrupted),
    ]);
}

fn nobody_waiting() {
    let room = Room::new();
    room.condvar.notify_one();
    room.condvar.notify(7);
    room.condvar.notify_all();
    assert_eq!(room.condvar.waiters(), 0);
    let guard = room.mutex.lock().unwrap();
    let (_guard, result) = room.condvar.wait_timeout(guard, Duration::from_millis(50)).unwrap();
    assert!(result.timed_out());
}

fn notified() {
    let room = Room::new();
    let mut waiter = Process::spawn(|| {
        let mut guard = room.mutex.lock().unwrap();
        while *guard == 0 {
            guard = room.condvar.wait(guard).unwrap();
            room.returned.fetch_add(1, Relaxed);
        }
        assert!(room.mutex.owner() == Some(std::process::id()));
        *guard = 2;
    })
    .unwrap();
    eventually("it waits", || room.condvar.waiters() == 1);
    settle();
    assert_eq!(room.returned(), 0, "it returned by itself");
    room.condvar.notify(0);
    assert_eq!(room.condvar.waiters(), 1);
    *room.mutex.lock().unwrap() = 1;
    room.condvar.notify_one();
    assert!(waiter.join().unwrap().success());
    assert_eq!((*room.mutex.lock().unwrap(), room.returned(), room.condvar.waiters()), (2, 1, 0));
}

fn reaches_so_many() {
    for (waiting, notifies) in [(1, vec![1]), (5, vec![2, 1, 2]), (6, vec![3, 1]), (4, vec![usize::MAX])] {
        let room = Room::new();
        let mut waiters = room.waiters(waiting);
        let mut expected = 0;
        for n in notifies {
            room.condvar.notify(n);
            expected = waiting.min(expected + n.min(waiting));
            eventually("so many return", || room.returned() == expected as u32);
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(room.returned(), expected as u32);
            assert_eq!(room.condvar.waiters(), waiting - expected);
        }
        settle();
        assert_eq!(room.returned(), expected as u32);
        kill_all(&mut waiters);
    }
}

const RECORDS: usize = 40_000;

forq::shareable! {
    struct Ledger {
        mutex: Mutex<[u64; 3]>,
        condvar: Condvar,
        /// When a waiter came and when it returned; of one that timed out, nothing.
        came: [AtomicU64; RECORDS],
        left: [AtomicU64; RECORDS],
        stop: AtomicU32,
    }
}

/// Of the numbers under the mutex: the time, how many waits were ended by a notify, how many wait and are not granted.
const TIME: usize = 0;
const RETURNS: usize = 1;
const WAITING: usize = 2;

/// Many wait, some with a time limit, and come again at once, late for each notify. Each notify must be matched by one
/// who came before it and left after it, and nobody may leave unmatched.
fn exact_matching() {
    let ledger = Shared::new(Ledger {
        mutex: Mutex::new([0; 3]),
        condvar: Condvar::new(),
        came: [const { AtomicU64::new(0) }; RECORDS],
        left: [const { AtomicU64::new(0) }; RECORDS],
        stop: AtomicU32::new(0),
    })
    .unwrap();
    let ledger = &ledger;
    let waiters: Vec<_> = (0..10u64)
        .map(|seed| {
            Process::spawn(move || {
                let mut random = Random(seed + 77);
                while ledger.stop.load(Relaxed) == 0 {
                    let mut guard = ledger.mutex.lock().unwrap();
                    guard[TIME] += 1;
                    guard[WAITING] += 1;
                    let came = guard[TIME];
                    let timeout = match random.below(3) {
                        0 => Duration::from_micros(random.below(300)),
                        _ => Duration::from_secs(1000),
                    };
                    let (mut guard, result) = ledger.condvar.wait_timeout(guard, timeout).unwrap();
                    guard[TIME] += 1;
                    if result.timed_out() {
                        guard[WAITING] -= 1;
                        continue;
                    }
                    let record = guard[RETURNS] as usize;
                    guard[RETURNS] += 1;
                    ledger.came[record].store(came, Relaxed);
                    ledger.left[record].store(guard[TIME], Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    let mut notifies = Vec::new();
    let mut random = Random(0xF00D);
    let notify = |n: usize, notifies: &mut Vec<u64>| {
        let mut guard = ledger.mutex.lock().unwrap();
        guard[TIME] += 1;
        let reached = guard[WAITING].min(n as u64);
        // The state says the same: nobody is counted twice, nobody forgotten.
        assert_eq!(ledger.condvar.waiters() as u64, guard[WAITING]);
        guard[WAITING] -= reached;
        notifies.extend((0..reached).map(|_| guard[TIME]));
        match n {
            usize::MAX => ledger.condvar.notify_all(),
            1 => ledger.condvar.notify_one(),
            n => ledger.condvar.notify(n),
        }
    };
    let until = Instant::now() + Duration::from_secs(5);
    while (Instant::now() < until || notifies.len() <= 1000) && notifies.len() < RECORDS - 100 {
        let n = if random.below(20) == 0 { usize::MAX } else { 1 + random.below(4) as usize };
        notify(n, &mut notifies);
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    }
    eventually("every notify is taken", || ledger.mutex.lock().unwrap()[RETURNS] == notifies.len() as u64);
    // Now none but late-comers wait, and stay.
    settle();
    assert_eq!(ledger.mutex.lock().unwrap()[RETURNS], notifies.len() as u64);
    let mut waits: Vec<_> = (0..notifies.len())
        .map(|record| (ledger.came[record].load(Relaxed), ledger.left[record].load(Relaxed)))
        .collect();
    ledger.stop.store(1, Relaxed);
    while ledger.condvar.waiters() > 0 {
        ledger.condvar.notify_all();
        std::thread::sleep(Duration::from_millis(1));
    }
    join_all(waiters);
    assert!(matched(&notifies, &mut waits), "somebody returned by another's notify");
}

/// Whether each notify can be given to one who waited then. The earliest to leave comes first: if any
/// choice works, this one does.
fn matched(notifies: &[u64], waits: &mut [(u64, u64)]) -> bool {
    use std::cmp::Reverse;
    waits.sort_unstable();
    let mut coming = waits.iter().peekable();
    let mut waiting = std::collections::BinaryHeap::new();
    for &notify in notifies {
        while let Some(&(_, left)) = coming.next_if(|&&(came, _)| came < notify) {
            waiting.push(Reverse(left));
        }
        match waiting.pop() {
            Some(Reverse(left)) if left > notify => {}
            _ => return false,
        }
    }
    waiting.is_empty() && coming.next().is_none()
}

fn long_holder() {
    let room = Room::new();
    let mut early = room.waiters(2);
    let guard = room.mutex.lock().unwrap();
    room.condvar.notify_one();
    drop(guard);
    eventually("one returns", || room.returned() == 1);
    // One of two is left. The next notify goes to it; a late-comer must not have it, however long the one cannot return.
    let mut late = room.waiters(2);
    for returned in 2..=3 {
        let guard = room.mutex.lock().unwrap();
        room.condvar.notify_one();
        std::thread::sleep(Duration::from_millis(1000));
        drop(guard);
        eventually("another one returns", || room.returned() == returned);
        settle();
    }
    assert_eq!(room.returned(), 3);
    assert!(early.iter_mut().all(|waiter| waiter.join().unwrap().success()));
    assert_eq!(room.condvar.waiters(), 1);
    kill_all(&mut late);
}

fn time_limits() {
    let room = Room::new();
    for wait in [0, 1, 1000, 5_000_000, 300_000_000].map(Duration::from_nanos) {
        let guard = room.mutex.lock().unwrap();
        let started = Instant::now();
        let (guard, result) = room.condvar.wait_timeout(guard, wait).unwrap();
        assert!(result.timed_out() && started.elapsed() >= wait);
        assert_eq!((room.condvar.waiters(), room.mutex.owner()), (0, Some(std::process::id())));
        drop(guard);
    }
    let waiter = Process::spawn(|| {
        let guard = room.mutex.lock().unwrap();
        assert!(!room.condvar.wait_timeout(guard, Duration::MAX).unwrap().1.timed_out());
    })
    .unwrap();
    eventually("it waits", || room.condvar.waiters() == 1);
    // One that times out beside it leaves the notify to it.
    let guard = room.mutex.lock().unwrap();
    assert!(room.condvar.wait_timeout(guard, Duration::from_millis(5)).unwrap().1.timed_out());
    room.condvar.notify_one();
    join_all(vec![waiter]);
}

fn conditional_time_limit() {
    let room = Room::new();
    let mut nudger = Process::spawn(|| {
        loop {
            room.condvar.notify_all();
            std::thread::sleep(Duration::from_millis(20));
        }
    })
    .unwrap();
    let mut guard = room.mutex.lock().unwrap();
    let (mut looks, mut limit) = (0, Duration::from_millis(300));
    // Until it was notified in between: where the nudger does not run so often, that takes longer.
    while looks <= 2 {
        looks = 0;
        let started = Instant::now();
        let condition = |value: &mut u64| {
            looks += 1;
            *value == 0
        };
        let result;
        (guard, result) = room.condvar.wait_timeout_while(guard, limit, condition).unwrap();
        assert!(result.timed_out() && started.elapsed() >= limit);
        limit *= 2;
    }
    let (mut guard, result) = room.condvar.wait_timeout_while(guard, Duration::ZERO, |_| false).unwrap();
    assert!(!result.timed_out());
    *guard = 3;
    assert_eq!(
        *room
            .condvar
            .wait_while(guard, |value| {
                *value -= 1;
                *value > 0
            })
            .unwrap(),
        0
    );
    nudger.kill().unwrap();
    nudger.join().unwrap();
}

fn crowd() {
    const CROWD: u64 = 40;
    const ROUNDS: u64 = 20;
    let room = Room::new();
    // Each round ends when all have come: the last one calls the others.
    let processes: Vec<_> = (0..CROWD)
        .map(|_| {
            Process::spawn(|| {
                for round in 1..=ROUNDS {
                    let mut guard = room.mutex.lock().unwrap();
                    *guard += 1;
                    if *guard == round * CROWD {
                        room.condvar.notify_all();
                    } else {
                        drop(room.condvar.wait_while(guard, |come| *come < round * CROWD).unwrap());
                    }
                }
            })
            .unwrap()
        })
        .collect();
    join_all(processes);
    assert_eq!((*room.mutex.lock().unwrap(), room.condvar.waiters()), (CROWD * ROUNDS, 0));
}

fn two_mutexes() {
    let room = Room::new();
    let one = room.waiter();
    let mut other = Process::spawn(|| {
        let guard = room.other.lock().unwrap();
        drop(room.condvar.wait(guard).unwrap());
        room.returned.fetch_add(1, Relaxed);
    })
    .unwrap();
    eventually("both wait", || room.condvar.waiters() == 2);
    room.condvar.notify(2);
    join_all(vec![one]);
    assert!(other.join().unwrap().success());
}

fn threads() {
    let pair = (Mutex::new(0u64), Condvar::new());
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (mutex, condvar) = &pair;
            scope.spawn(move || {
                for _ in 0..500 {
                    let mut guard =
                        condvar.wait_while(mutex.lock().unwrap(), |count| *count % 4 != turn).unwrap();
                    *guard += 1;
                    condvar.notify_all();
                }
            });
        }
    });
    assert_eq!(*pair.0.lock().unwrap(), 2000);
}

fn copied_guard() {
    let room = Room::new();
    let guard = room.mutex.lock().unwrap();
    // SAFETY: one thread; the guard is used in the child to see that it panics.
    let mut child = unsafe {
        Process::spawn_unchecked(|| {
            std::panic::set_hook(Box::new(|_| ()));
            let copy = std::ptr::read(&guard);
            let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| room.condvar.wait(copy)));
            i32::from(waited.is_err() && room.condvar.waiters() == 0)
        })
    }
    .unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(1));
    assert_eq!(room.mutex.owner(), Some(std::process::id()));
    drop(guard);
}

fn full_count() {
    let room = Room::new();
    // SAFETY: any bytes are a condition variable, and nobody uses it; these say that as many wait as can be counted.
    unsafe { (&raw const room.condvar).cast_mut().write_bytes(0xff, 1) };
    let Err(LockError::TooManyWaiters(guard)) = room.condvar.wait(room.mutex.lock().unwrap()) else {
        panic!("not refused")
    };
    assert_eq!(room.mutex.owner(), Some(std::process::id()));
    room.condvar.notify_all();
    let timeout = Duration::from_millis(1);
    assert!(room.condvar.wait_timeout(guard, timeout).unwrap().1.timed_out());
}

fn interrupted() {
    extern "C" fn handler(_: i32) {}
    let room = Room::new();
    let mut waiter = Process::spawn(|| {
        // SAFETY: a handler that does nothing.
        unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
        room.stage.store(1, Relaxed);
        let guard = room.mutex.lock().unwrap();
        let (guard, result) = room.condvar.wait_timeout(guard, Duration::from_millis(300)).unwrap();
        assert!(result.timed_out(), "signals are not told to who did not ask");
        forq::set_interruptible(true);
        room.stage.store(2, Relaxed);
        assert!(matches!(room.condvar.wait(guard), Err(LockError::Interrupted)));
        assert!(room.mutex.owner() != Some(std::process::id()) && room.condvar.waiters() == 0);
    })
    .unwrap();
    eventually("it handles signals", || room.stage.load(Relaxed) > 0);
    eventually("it is told", || {
        send(waiter.pid(), libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(5));
        waiter.try_join().unwrap().is_some()
    });
    assert!(waiter.join().unwrap().success());
}
