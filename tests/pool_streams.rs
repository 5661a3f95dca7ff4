//! What streams promise: order, back-pressure, endless inputs, one result for each item whatever happens.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Pool, Process, TaskError};
use support::{Random, is_running, note_wake, resources, send};

fn main() {
    support::run(&[
        ("imap_gives_results_in_order_and_reads_inputs_as_they_are_wanted", lazily),
        ("imap_unordered_gives_what_is_ready_first", unordered),
        ("inputs_may_be_endless", endless),
        ("a_full_window_holds_up_the_one_who_puts", window),
        ("one_slow_item_does_not_end_an_unordered_stream", slow_item),
        ("waits_end_in_time", timeouts),
        ("many_threads_may_put_and_take", threads),
        ("crashes_panics_and_retries_cost_their_items", failures),
        ("every_item_has_one_result_whoever_is_killed", killed_workers),
        ("closing_the_pool_gives_what_was_put_and_ends", closing),
        ("terminating_cancels_what_is_under_way", terminating),
        ("the_supervisor_s_death_ends_every_item", supervisor_killed),
        ("a_dropped_stream_leaves_nothing", dropped),
        ("streams_and_maps_share_the_workers", beside_maps),
        ("workers_are_replaced_in_the_middle_of_a_stream", replaced),
        ("a_stream_belongs_to_the_process_that_made_the_pool", in_a_child),
        ("bad_windows_are_refused", bad),
    ]);
}

fn sleep(milliseconds: &u64) -> u64 {
    std::thread::sleep(Duration::from_millis(*milliseconds));
    *milliseconds
}

const LONG: u64 = 1_000_000;

fn lazily() {
    let pool = Pool::new(3).unwrap();
    for window in [1, 2, 7, 1000] {
        let read = Cell::new(0u64);
        let inputs = (0..5000u64).inspect(|_| read.set(read.get() + 1));
        let mut taken = 0;
        for square in pool.imap(|x| x * x, inputs, window).unwrap() {
            assert_eq!(square, Ok(taken * taken));
            taken += 1;
            assert!(read.get() <= taken + window as u64 + 1, "{} read, {taken} taken", read.get());
        }
        assert_eq!(taken, 5000);
    }
    assert_eq!(pool.imap(|x| *x, [] as [u8; 0], 3).unwrap().count(), 0);
}

fn unordered() {
    gate::close();
    let pool = Pool::new(2).unwrap();
    let task = |&x: &u64| {
        if x == 300 {
            gate::pass();
        }
        x
    };
    for _ in 0..5 {
        gate::close();
        let started = Instant::now();
        let mut results = pool.imap_unordered(task, [300, 1, 2], 3).unwrap();
        assert_eq!(results.next(), Some(Ok(1)));
        note_wake(started);
        assert_eq!(results.next(), Some(Ok(2)));
        gate::open();
        assert_eq!((results.next(), results.next()), (Some(Ok(300)), None));
    }
    for window in [1, 3, 64] {
        let mut sorted: Vec<u64> =
            pool.imap_unordered(|x| x + 1, 0..3000, window).unwrap().map(Result::unwrap).collect();
        sorted.sort_unstable();
        assert!(sorted.iter().zip(1..).all(|(&result, expected)| result == expected));
        assert_eq!(sorted.len(), 3000);
    }
}

fn endless() {
    let pool = Pool::new(2).unwrap();
    let mut squares = pool.imap(|x| x * x, 0u64.., 50).unwrap();
    assert_eq!(squares.nth(20_000), Some(Ok(400_000_000)));
    drop(squares);
    assert_eq!(pool.apply(|x| x + 1, &1u8), Ok(2));
}

fn window() {
    let pool = Pool::new(2).unwrap();
    let stream = pool.stream(|x| x + 1, 6, true).unwrap();
    for round in 0..100u64 {
        (0..6).for_each(|x| stream.try_put(&(round * 6 + x)).unwrap());
        assert_eq!(stream.try_put(&0), Err(Error::WouldBlock), "the seventh waits");
        (0..6).for_each(|x| assert_eq!(stream.next().unwrap(), Some((round * 6 + x, Ok(round * 6 + x + 1)))));
        assert_eq!(stream.try_next(), Err(Error::WouldBlock));
    }
    (0..6).for_each(|x| stream.put(&x).unwrap());
    for x in 6..10 {
        std::thread::scope(|scope| {
            let put = scope.spawn(|| {
                stream.put(&x).unwrap();
                Instant::now()
            });
            std::thread::sleep(Duration::from_millis(30));
            assert!(!put.is_finished());
            let taken = Instant::now();
            stream.next().unwrap();
            assert!(put.join().unwrap() >= taken);
            note_wake(taken);
        });
    }
    stream.finish().unwrap();
    assert_eq!(stream.put(&0), Err(Error::Closed));
    (4..10).for_each(|x| assert_eq!(stream.next().unwrap().unwrap().1, Ok(x + 1)));
    assert_eq!((stream.next(), stream.try_next()), (Ok(None), Ok(None)));
}

fn slow_item() {
    let pool = Pool::new(2).unwrap();
    let stream = pool.stream(sleep, 4, false).unwrap();
    stream.put(&LONG).unwrap();
    // Far more items than the window, past the one that never ends.
    for x in 0..1000u64 {
        stream.put(&(x % 2)).unwrap();
        assert_eq!(stream.next().unwrap(), Some((x + 1, Ok(x % 2))));
    }
    assert_eq!(stream.try_next(), Err(Error::WouldBlock));
}

fn timeouts() {
    let pool = Pool::new(1).unwrap();
    let stream = pool.stream(sleep, 2, true).unwrap();
    let started = Instant::now();
    assert_eq!(stream.next_timeout(Duration::from_millis(20)), Err(Error::TimedOut));
    stream.put(&LONG).unwrap();
    stream.put_timeout(&1, Duration::from_millis(20)).unwrap();
    assert_eq!(stream.put_timeout(&1, Duration::from_millis(20)), Err(Error::TimedOut));
    assert_eq!(stream.next_timeout(Duration::from_millis(20)), Err(Error::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(60));
}

fn threads() {
    const EACH: u64 = 3000;
    let pool = Pool::new(2).unwrap();
    for ordered in [true, false] {
        let stream = pool.stream(|x: &u64| x * 2, 32, ordered).unwrap();
        let putting = AtomicU32::new(3);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (stream, putting) = (&stream, &putting);
                scope.spawn(move || {
                    (0..EACH).for_each(|x| stream.put(&(thread * EACH + x)).unwrap());
                    if putting.fetch_sub(1, Ordering::AcqRel) == 1 {
                        stream.finish().unwrap();
                    }
                });
            }
            let take = || {
                let mut taken = vec![];
                while let Some((number, result)) = stream.next().unwrap() {
                    taken.push((number, result.unwrap()));
                }
                taken
            };
            let takers: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
            let mut all: Vec<_> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
            assert_eq!(all.len() as u64, 3 * EACH);
            all.sort_unstable();
            assert!(
                all.iter().zip(0..).all(|(&(number, _), expected)| number == expected),
                "each number once"
            );
            all.sort_unstable_by_key(|&(_, result)| result);
            assert!(all.iter().zip(0..).all(|(&(_, result), x)| result == x * 2), "each result once");
        });
    }
}

fn failures() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::builder().workers(2).max_attempts(2).build().unwrap();
    let task = |&x: &u64| match x % 10 {
        3 => panic!("{x}"),
        5 => std::process::abort(),
        _ => x,
    };
    for (ordered, window) in [(true, 8), (false, 8), (true, 1)] {
        let stream = pool.stream(task, window, ordered).unwrap();
        let mut next = 0;
        for x in 0..100 {
            while stream.try_put(&x) == Err(Error::WouldBlock) {
                check(stream.next().unwrap().unwrap(), ordered.then_some(&mut next));
            }
        }
        stream.finish().unwrap();
        while let Some(result) = stream.next().unwrap() {
            check(result, ordered.then_some(&mut next));
        }
    }
    fn check((number, result): forq::Numbered<u64>, next: Option<&mut u64>) {
        match number % 10 {
            3 => {
                assert!(
                    matches!(result, Err(TaskError::Panicked(said)) if said.as_str() == number.to_string() || said.as_str().is_empty())
                );
            }
            5 => assert_eq!(result, Err(TaskError::Signaled(libc::SIGABRT))),
            _ => assert_eq!(result, Ok(number)),
        }
        if let Some(next) = next {
            assert_eq!(number, *next);
            *next += 1;
        }
    }
    assert_eq!(pool.statistics().crashes, 3 * 10 * 2);
}

fn killed_workers() {
    for (attempts, ordered) in [(1, true), (u32::MAX, false), (u32::MAX, true)] {
        let pool = Pool::builder().workers(3).max_attempts(attempts).build().unwrap();
        let spin = |&x: &u64| {
            let started = Instant::now();
            while started.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            x * 3
        };
        let stream = pool.stream(spin, 16, ordered).unwrap();
        let done = AtomicU32::new(0);
        let kills = AtomicU32::new(0);
        let lost = std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let mut random = Random(7);
                while done.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(Duration::from_micros(200 + random.below(2000)));
                    let victim = pool.worker_statistics(random.below(3) as usize).unwrap().pid;
                    if support::has_begun(victim) {
                        send(victim as u32, libc::SIGKILL);
                        kills.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let putter = scope.spawn(|| {
                (0..20_000u64).for_each(|x| stream.put(&x).unwrap());
                stream.finish().unwrap();
            });
            let mut seen = vec![false; 20_000];
            let mut lost = 0;
            while let Some((number, result)) = stream.next().unwrap() {
                assert!(!std::mem::replace(&mut seen[number as usize], true));
                match result {
                    Ok(result) => assert_eq!(result, number * 3),
                    Err(TaskError::Signaled(libc::SIGKILL)) if attempts == 1 => lost += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            done.store(1, Ordering::Relaxed);
            assert!(seen.iter().all(|&seen| seen));
            // Joined, not only over: the next pool is made by a process with one thread.
            [killer, putter].into_iter().for_each(|thread| thread.join().unwrap());
            lost
        });
        let kills = kills.load(Ordering::Relaxed);
        assert!(kills > 10 && lost <= kills, "{kills} kills, {lost} lost");
    }
}

fn closing() {
    let pool = Pool::new(2).unwrap();
    let stream = pool.stream(sleep, 20, true).unwrap();
    (0..20).for_each(|_| stream.put(&2).unwrap());
    pool.close().unwrap();
    assert_eq!(stream.put(&0), Err(Error::Closed));
    assert_eq!(pool.stream(sleep, 1, true).unwrap_err(), Error::Closed);
    (0..20).for_each(|number| assert_eq!(stream.next().unwrap(), Some((number, Ok(2)))));
    assert_eq!(stream.next(), Ok(None));
    pool.join().unwrap();
}

fn terminating() {
    for ordered in [true, false] {
        let pool = Pool::new(2).unwrap();
        let stream = pool.stream(sleep, 20, ordered).unwrap();
        stream.put(&0).unwrap();
        assert_eq!(stream.next().unwrap(), Some((0, Ok(0))));
        (0..10).for_each(|_| stream.put(&LONG).unwrap());
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| stream.next());
            std::thread::sleep(Duration::from_millis(10));
            pool.terminate().unwrap();
            let first = taker.join().unwrap().unwrap().unwrap();
            assert_eq!(first.1, Err(TaskError::Cancelled));
        });
        (1..10).for_each(|_| assert_eq!(stream.next().unwrap().unwrap().1, Err(TaskError::Cancelled)));
        assert_eq!(stream.next(), Ok(None));
    }
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn supervisor_killed() {
    let pool = Pool::new(2).unwrap();
    let stream = pool.stream(sleep, 20, true).unwrap();
    let idle = pool.stream(sleep, 20, true).unwrap();
    (0..10).for_each(|_| stream.put(&LONG).unwrap());
    let worker = pool.worker_statistics(0).unwrap().pid as u32;
    send(parent_of(worker), libc::SIGKILL);
    for number in 0..10 {
        assert_eq!(stream.next().unwrap(), Some((number, Err(TaskError::Signaled(libc::SIGKILL)))));
    }
    assert_eq!((stream.next(), stream.put(&0)), (Err(Error::ChildLost), Err(Error::ChildLost)));
    assert_eq!(idle.next(), Err(Error::ChildLost));
    support::eventually("the workers are gone", || !is_running(worker));
}

fn dropped() {
    drop(Pool::new(1).unwrap());
    let before = resources();
    for round in 0..200u64 {
        let pool = Pool::new(2).unwrap();
        let stream = pool.stream(|x| x + 1, 100, round % 2 == 0).unwrap();
        (0..round % 100).for_each(|x| stream.put(&x).unwrap());
        (0..round % 50).for_each(|_| assert!(stream.next().is_ok()));
        if round % 3 == 0 {
            drop(pool);
            while matches!(stream.next(), Ok(Some(_))) {}
        } else {
            drop(stream);
            assert_eq!(pool.map(|x| x + 1, &[round; 100]).unwrap(), [round + 1; 100]);
        }
    }
    assert_eq!(resources(), before);
}

fn beside_maps() {
    let pool = Pool::new(2).unwrap();
    std::thread::scope(|scope| {
        for ordered in [true, false] {
            let pool = &pool;
            scope.spawn(move || {
                let stream = pool.stream(|x| x + 1, 10, ordered).unwrap();
                for x in 0..2000u64 {
                    stream.put(&x).unwrap();
                    assert_eq!(stream.next().unwrap(), Some((x, Ok(x + 1))));
                }
            });
        }
        for round in 0..500u64 {
            assert_eq!(pool.map(|x| x * 2, &[round; 20]).unwrap(), [round * 2; 20]);
        }
    });
}

fn replaced() {
    let pool = Pool::builder().workers(2).max_tasks_per_worker(10).build().unwrap();
    let results = pool.imap(|_: &u32| std::process::id(), 0..500, 20).unwrap();
    let mut counts = std::collections::HashMap::new();
    results.for_each(|pid| *counts.entry(pid.unwrap()).or_insert(0) += 1);
    assert!(counts.len() >= 50 && counts.values().all(|&count| count <= 10), "{counts:?}");
}

fn in_a_child() {
    let pool = Pool::new(1).unwrap();
    let stream = pool.stream(|x| x + 1, 3, true).unwrap();
    stream.put(&1u8).unwrap();
    let mut child = Process::spawn(|| {
        let refused = stream.put(&1) == Err(Error::NotPermitted)
            && stream.next() == Err(Error::NotPermitted)
            && stream.finish() == Err(Error::NotPermitted);
        // SAFETY: the child's copy, not used again.
        unsafe { std::ptr::drop_in_place((&raw const stream).cast_mut()) };
        i32::from(refused)
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), forq::ExitStatus::Exited(1));
    assert_eq!(stream.next(), Ok(Some((0, Ok(2)))));
}

fn bad() {
    let pool = Pool::builder().workers(1).arena_size(1 << 20).build().unwrap();
    assert_eq!(pool.stream(|x: &u64| *x, 0, true).unwrap_err(), Error::InvalidArgument);
    assert_eq!(pool.stream(|x: &u64| *x, usize::MAX, true).unwrap_err(), Error::InvalidArgument);
    assert_eq!(pool.stream(|x: &u64| *x, 1 << 20, true).unwrap_err(), Error::OutOfMemory);
    assert!(pool.stream(|x: &u64| *x, 1 << 10, true).is_ok());
}
