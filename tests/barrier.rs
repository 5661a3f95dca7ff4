//! What the barrier promises about numbers, time, resets, deaths and stops.

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Barrier, Error, ExitStatus, Process, Shared};
use support::{Random, eventually, is_asleep, send};

fn main() {
    support::run(&[
        ("all_leave_together_each_with_a_number_of_its_own", numbers),
        ("what_cannot_be_is_refused_at_once", refused_arguments),
        ("a_barrier_without_parties_lets_nobody_wait", zeroed),
        ("only_the_last_one_comes_without_waiting", without_waiting),
        ("a_time_out_breaks_it_for_the_others_and_for_later_ones", time_out),
        ("time_limits_end_waits_and_not_too_early", time_limits),
        ("an_abort_breaks_it_until_a_reset", abort),
        ("a_reset_sends_the_waiting_away_and_is_whole_at_once", reset),
        ("a_reset_at_rest_changes_nothing", reset_at_rest),
        ("it_serves_100000_rounds_of_4_processes", reuse),
        ("what_was_written_before_it_is_seen_after_it", publication),
        ("more_parties_than_cpus_meet", crowd),
        ("more_processes_than_parties_share_it", more_than_parties),
        ("meeting_makes_no_system_call_while_nobody_sleeps", no_system_call),
        ("a_party_killed_while_it_waits_has_arrived", killed_waiting),
        ("a_party_killed_before_is_missed_and_the_time_out_tells", killed_before),
        ("killed_waiters_do_not_hold_up_a_reset_or_an_abort", killed_then_reset),
        ("a_stopped_party_stops_nobody_who_has_come", stopped),
        ("a_wait_ends_by_a_signal_only_if_the_thread_asked_for_it", interrupted),
        ("a_storm_of_kills_and_resets_hangs_nobody", storm),
    ]);
}

const BROKEN: i32 = 101;
const TIMED_OUT: i32 = 102;

fn code(result: forq::Result<u32>) -> i32 {
    match result {
        Ok(number) => number as i32,
        Err(Error::Broken) => BROKEN,
        Err(Error::TimedOut) => TIMED_OUT,
        Err(_) => 103,
    }
}

fn party(barrier: &Barrier) -> Process {
    Process::spawn(|| code(barrier.wait())).unwrap()
}

fn end(process: &mut Process) -> i32 {
    match process.join().unwrap() {
        ExitStatus::Exited(code) => i32::from(code),
        other => panic!("{other:?}"),
    }
}

/// It has come, and sleeps.
fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

fn numbers() {
    for parties in [1, 2, 5] {
        let barrier = Shared::new(Barrier::new(parties)).unwrap();
        assert_eq!(barrier.parties(), parties);
        let mut others = Vec::new();
        for come in 1..parties {
            let other = party(&barrier);
            falls_asleep(&other);
            others.push(other);
            assert_eq!(barrier.waiting(), come);
        }
        let started = Instant::now();
        assert_eq!(barrier.wait(), Ok(parties - 1), "the last one");
        let numbers: Vec<_> = others.iter_mut().map(end).collect();
        assert!(numbers.into_iter().eq(0..parties as i32 - 1), "in the order in which they came");
        support::note_wake(started);
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
    }
}

fn refused_arguments() {
    std::panic::set_hook(Box::new(|_| ()));
    for parties in [0, Barrier::MAX_PARTIES + 1, u32::MAX] {
        assert!(std::panic::catch_unwind(|| Barrier::new(parties)).is_err());
    }
    assert_eq!(Barrier::new(Barrier::MAX_PARTIES).try_wait(), Err(Error::WouldBlock));
}

fn zeroed() {
    // SAFETY: any bytes are a barrier.
    let barrier: Shared<Barrier> = Shared::new(unsafe { std::mem::zeroed() }).unwrap();
    assert_eq!(barrier.wait(), Err(Error::InvalidArgument));
    assert_eq!(barrier.try_wait(), Err(Error::InvalidArgument));
    assert_eq!(barrier.wait_timeout(Duration::from_secs(1)), Err(Error::InvalidArgument));
    assert_eq!((barrier.parties(), barrier.waiting()), (0, 0));
}

fn without_waiting() {
    let barrier = Shared::new(Barrier::new(2)).unwrap();
    assert_eq!(barrier.try_wait(), Err(Error::WouldBlock));
    assert_eq!(barrier.wait_timeout(Duration::ZERO), Err(Error::WouldBlock));
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false), "nothing has changed");
    let mut other = party(&barrier);
    falls_asleep(&other);
    assert_eq!(barrier.try_wait(), Ok(1));
    assert_eq!(end(&mut other), 0);
}

fn time_out() {
    let barrier = Shared::new(Barrier::new(5)).unwrap();
    let mut others: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
    others.iter().for_each(falls_asleep);
    let mut hasty = Process::spawn(|| code(barrier.wait_timeout(Duration::from_millis(60)))).unwrap();
    assert_eq!(end(&mut hasty), TIMED_OUT);
    assert!(others.iter_mut().all(|other| end(other) == BROKEN));
    assert_eq!((barrier.is_broken(), barrier.waiting()), (true, 0));
    for late in [barrier.wait(), barrier.try_wait(), barrier.wait_timeout(Duration::from_secs(5))] {
        assert_eq!(late, Err(Error::Broken));
    }
    barrier.reset();
    assert!(!barrier.is_broken());
    // Two whose time is up at the same moment: one breaks it.
    for _ in 0..20 {
        let mut hasty: Vec<_> = (0..4)
            .map(|_| Process::spawn(|| code(barrier.wait_timeout(Duration::from_millis(20)))).unwrap())
            .collect();
        let ends: Vec<_> = hasty.iter_mut().map(end).collect();
        assert_eq!(ends.iter().filter(|&&end| end == TIMED_OUT).count(), 1, "{ends:?}");
        assert_eq!(ends.iter().filter(|&&end| end == BROKEN).count(), 3, "{ends:?}");
        barrier.reset();
    }
}

fn time_limits() {
    let barrier = Shared::new(Barrier::new(2)).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(barrier.wait_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
        barrier.reset();
    }
    for limit in [Duration::MAX, Duration::from_nanos(i64::MAX as u64)] {
        let mut other = Process::spawn(|| code(barrier.wait_timeout(limit))).unwrap();
        falls_asleep(&other);
        assert_eq!(barrier.wait_timeout(limit), Ok(1));
        assert_eq!(end(&mut other), 0);
    }
}

fn abort() {
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
    waiting.iter().for_each(falls_asleep);
    barrier.abort();
    assert!(waiting.iter_mut().all(|party| end(party) == BROKEN));
    barrier.abort();
    assert_eq!(barrier.wait(), Err(Error::Broken));
    barrier.reset();
    let mut waiting: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
    assert_eq!(barrier.wait_timeout(Duration::from_secs(30)).map(|_| ()), Ok(()));
    assert!(waiting.iter_mut().all(|party| end(party) < 3));
    barrier.abort();
    assert!(barrier.is_broken(), "also when nobody waits");
}

fn reset() {
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    for _ in 0..30 {
        let mut old: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
        old.iter().for_each(falls_asleep);
        barrier.reset();
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        // While the old ones still leave.
        let mut new: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
        assert!(barrier.wait_timeout(Duration::from_secs(30)).is_ok());
        assert!(new.iter_mut().all(|party| end(party) < 3));
        assert!(old.iter_mut().all(|party| end(party) == BROKEN));
    }
    // One that is stopped meanwhile learns how its own round ended, not the latest one.
    let mut old = party(&barrier);
    falls_asleep(&old);
    send(old.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(old.pid()));
    barrier.reset();
    let mut kept: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
    barrier.wait().unwrap();
    assert!(kept.iter_mut().all(|party| end(party) < 3));
    send(old.pid(), libc::SIGCONT);
    assert_eq!(end(&mut old), BROKEN);
    let mut complete = party(&barrier);
    falls_asleep(&complete);
    send(complete.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(complete.pid()));
    let mut second = party(&barrier);
    barrier.wait().unwrap();
    assert!(end(&mut second) < 3);
    barrier.abort();
    barrier.reset();
    send(complete.pid(), libc::SIGCONT);
    assert_eq!(end(&mut complete), 0, "its round was completed");
}

fn reset_at_rest() {
    let barrier = Shared::new(Barrier::new(2)).unwrap();
    barrier.reset();
    let mut other = party(&barrier);
    assert!(barrier.wait().is_ok());
    assert!(end(&mut other) < 2);
    barrier.reset();
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

const REUSES: u32 = 100_000;
const REUSERS: u32 = 4;

forq::shareable! {
    struct Reuse {
        barrier: Barrier,
        /// Who had which number, a bit each: written in one round, checked in the next, emptied in the one after.
        seen: [AtomicU32; 3],
    }
}

fn reuse() {
    let reuse = Shared::new(Reuse { barrier: Barrier::new(REUSERS), seen: [const { AtomicU32::new(0) }; 3] })
        .unwrap();
    let mut children: Vec<_> = (0..REUSERS)
        .map(|_| {
            Process::spawn(|| {
                for round in 0..REUSES as usize {
                    let number = reuse.barrier.wait().unwrap();
                    assert!(number < REUSERS);
                    let seen = reuse.seen[round % 3].fetch_or(1 << number, Ordering::Relaxed);
                    assert_eq!(seen & 1 << number, 0, "round {round}: the number {number} came twice");
                    if round > 0 {
                        let last = reuse.seen[(round - 1) % 3].load(Ordering::Relaxed);
                        assert_eq!(last, (1 << REUSERS) - 1, "round {round}: all were there before");
                    }
                    if number == 0 {
                        reuse.seen[(round + 1) % 3].store(0, Ordering::Relaxed);
                    }
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!((reuse.barrier.waiting(), reuse.barrier.is_broken()), (0, false));
}

forq::shareable! {
    struct Publication {
        barrier: Barrier,
        written: [AtomicU64; 3],
    }
}

fn publication() {
    let all =
        Shared::new(Publication { barrier: Barrier::new(3), written: [const { AtomicU64::new(0) }; 3] })
            .unwrap();
    let mut children: Vec<_> = (0..3)
        .map(|me| {
            let all = &all;
            Process::spawn(move || {
                for round in 1..=20_000 {
                    // Relaxed: the barrier is what orders them.
                    all.written[me].store(round, Ordering::Relaxed);
                    all.barrier.wait().unwrap();
                    assert!(all.written.iter().all(|other| other.load(Ordering::Relaxed) == round));
                    all.barrier.wait().unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
}

fn crowd() {
    const PARTIES: u32 = 24;
    let barrier = Shared::new(Barrier::new(PARTIES)).unwrap();
    let sum = Shared::new(AtomicU64::new(0)).unwrap();
    let mut children: Vec<_> = (0..PARTIES)
        .map(|_| {
            Process::spawn(|| {
                for _ in 0..500 {
                    sum.fetch_add(barrier.wait().unwrap().into(), Ordering::Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!(sum.load(Ordering::Relaxed), 500 * u64::from(PARTIES * (PARTIES - 1) / 2));
}

fn more_than_parties() {
    const PROCESSES: u64 = 5;
    const EACH: u64 = 20_000;
    let barrier = Shared::new(Barrier::new(2)).unwrap();
    let counts = Shared::new([const { AtomicU64::new(0) }; 2]).unwrap();
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Process::spawn(|| {
                loop {
                    match barrier.wait() {
                        Ok(number) => {
                            // All together, so that nobody is left alone at the end.
                            if counts[number as usize].fetch_add(1, Ordering::Relaxed) + 1 >= EACH
                                && number == 1
                            {
                                barrier.abort();
                                return;
                            }
                        }
                        Err(Error::Broken) => return,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    let [first, second] = [0, 1].map(|number: usize| counts[number].load(Ordering::Relaxed));
    assert!(second >= EACH);
    // Nobody whose round was completed has been told otherwise: but for those last rounds whose first
    // ones had more than sixteen rounds, an abort among them, to find out.
    assert!(first + PROCESSES >= second, "{first} {second}");
}

fn no_system_call() {
    let barrier = Shared::new(Barrier::new(1)).unwrap();
    let pair = Shared::new(Barrier::new(2)).unwrap();
    support::allows_no_system_call(|| {
        for _ in 0..1000 {
            assert_eq!(barrier.wait(), Ok(0));
            assert_eq!(pair.try_wait(), Err(Error::WouldBlock));
            pair.abort();
            pair.reset();
        }
    });
}

fn killed_waiting() {
    let barrier = Shared::new(Barrier::new(4)).unwrap();
    for _ in 0..30 {
        let mut killed: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
        let mut living = party(&barrier);
        killed.iter().for_each(falls_asleep);
        falls_asleep(&living);
        for party in &mut killed {
            party.kill().unwrap();
            party.join().unwrap();
        }
        assert_eq!(barrier.waiting(), 3);
        assert_eq!(barrier.wait(), Ok(3));
        let started = Instant::now();
        assert!(end(&mut living) < 3);
        support::note_wake(started);
    }
}

fn killed_before() {
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    let mut early = Process::spawn(|| {
        send(std::process::id(), libc::SIGKILL);
        code(barrier.wait())
    })
    .unwrap();
    early.join().unwrap();
    let mut forever = party(&barrier);
    falls_asleep(&forever);
    assert_eq!(barrier.wait_timeout(Duration::from_millis(50)), Err(Error::TimedOut));
    assert_eq!(end(&mut forever), BROKEN);
    assert_eq!(barrier.wait(), Err(Error::Broken));
}

fn killed_then_reset() {
    let barrier = Shared::new(Barrier::new(4)).unwrap();
    for round in 0..20 {
        let mut killed = party(&barrier);
        let mut living = party(&barrier);
        falls_asleep(&killed);
        falls_asleep(&living);
        killed.kill().unwrap();
        if round % 2 == 0 {
            barrier.reset();
        } else {
            barrier.abort();
            barrier.reset();
        }
        let started = Instant::now();
        assert_eq!(end(&mut living), BROKEN);
        support::note_wake(started);
        killed.join().unwrap();
        assert_eq!(barrier.waiting(), 0);
    }
}

fn stopped() {
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    let mut asleep = party(&barrier);
    falls_asleep(&asleep);
    send(asleep.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(asleep.pid()));
    let mut other = party(&barrier);
    falls_asleep(&other);
    assert_eq!(barrier.wait(), Ok(2));
    assert_eq!(end(&mut other), 1);
    assert_eq!(asleep.try_join().unwrap(), None);
    // The others go on with the next rounds meanwhile.
    let mut companions: Vec<_> = (0..2).map(|_| party(&barrier)).collect();
    assert!(barrier.wait().is_ok());
    assert!(companions.iter_mut().all(|party| end(party) < 3));
    send(asleep.pid(), libc::SIGCONT);
    assert_eq!(end(&mut asleep), 0);
}

extern "C" fn ignore(_signal: i32) {}

fn interrupted() {
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    let handled: extern "C" fn(i32) = ignore;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as libc::sighandler_t) };
    let mut deaf = party(&barrier);
    falls_asleep(&deaf);
    for _ in 0..20 {
        send(deaf.pid(), libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((deaf.try_join().unwrap(), barrier.waiting()), (None, 1));
    let mut listening = Process::spawn(|| {
        forq::set_interruptible(true);
        i32::from(barrier.wait() != Err(Error::Interrupted))
    })
    .unwrap();
    falls_asleep(&listening);
    eventually("it hears", || {
        send(listening.pid(), libc::SIGUSR1);
        listening.try_join().unwrap().is_some_and(|status| status.success())
    });
    assert_eq!(end(&mut deaf), BROKEN, "who leaves early breaks it");
}

fn storm() {
    let kills = std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(300u32);
    let barrier = Shared::new(Barrier::new(3)).unwrap();
    let progress = Shared::new([const { AtomicU32::new(0) }; 4]).unwrap();
    let spawn = |index: usize| {
        let (barrier, progress) = (&barrier, &progress);
        Process::spawn(move || {
            loop {
                match barrier.wait() {
                    Ok(number) => assert!(number < 3),
                    Err(Error::Broken) => barrier.reset(),
                    Err(other) => panic!("{other}"),
                }
                progress[index].fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap()
    };
    let mut children: Vec<_> = (0..4).map(spawn).collect();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for kill in 0..kills {
        let victim = random.below(4) as usize;
        std::thread::sleep(Duration::from_micros(random.below(500)));
        match kill % 10 {
            3 => barrier.reset(),
            7 => barrier.abort(),
            _ => {}
        }
        children[victim].kill().unwrap();
        assert_eq!(children[victim].join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        // The three others go on.
        let before: Vec<_> = progress.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        eventually("the survivors meet", || {
            (0..4)
                .filter(|&other| other != victim)
                .any(|other| progress[other].load(Ordering::Relaxed) != before[other])
        });
        children[victim] = spawn(victim);
    }
    for child in &mut children {
        child.kill().unwrap();
        child.join().unwrap();
    }
}
