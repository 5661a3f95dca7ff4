//! What results promise that nobody waits for at once.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{AsyncResult, Error, Pool, Process, Shared, TaskError, wait_any, wait_any_timeout};
use support::{eventually, is_running, note_wake, resources, send};

fn main() {
    support::run(&[
        ("results_are_there_when_they_are_ready_and_as_often_as_wanted", ready),
        ("ten_thousand_results_may_be_pending_and_come_in_any_order", many),
        ("a_wait_that_times_out_changes_nothing", timeouts),
        ("cancelling_stops_what_waits_and_what_runs", cancel),
        ("cancelling_what_has_ended_is_refused", cancel_late),
        ("a_result_that_is_dropped_goes_on_and_leaves_nothing", dropped),
        ("a_finished_result_outlives_its_pool_and_a_pending_one_is_cancelled", outlives),
        ("a_descriptor_is_readable_once_the_result_is_ready", descriptors),
        ("a_descriptor_does_not_wait_for_a_dead_supervisor", descriptor_of_broken),
        ("many_threads_may_share_a_result", shared_result),
        ("a_result_belongs_to_the_process_that_made_the_pool", in_a_child),
        ("failures_of_each_item_are_told", failures),
        ("results_that_fill_the_arena_are_refused_and_freed_ones_make_room", full),
        ("an_empty_map_is_ready_at_once", empty),
        ("a_thousand_cycles_of_create_submit_terminate_leave_nothing", cycles),
        ("closing_lets_pending_results_end", closing),
    ]);
}

fn sleep(milliseconds: &u64) -> u64 {
    std::thread::sleep(Duration::from_millis(*milliseconds));
    *milliseconds
}

const LONG: u64 = 1_000_000;

fn ready() {
    gate::close();
    let pool = Pool::new(2).unwrap();
    let slow = pool.apply_async(|x| (gate::pass(), *x).1, &50).unwrap();
    assert!(!slow.ready());
    assert_eq!(slow.get_timeout(Duration::ZERO), Err(Error::WouldBlock));
    let quick = pool.apply_async(|x| x + 1, &1u8).unwrap();
    assert_eq!((quick.get(), quick.ready(), quick.get()), (Ok(2), true, Ok(2)));
    gate::open();
    assert_eq!((slow.get(), slow.get()), (Ok(50), Ok(50)));
    let map = pool.map_async(|x| x * 3, &[1u64, 2, 3]).unwrap();
    map.wait().unwrap();
    assert_eq!((map.len(), map.get().unwrap(), map.get().unwrap()), (3, vec![3, 6, 9], vec![3, 6, 9]));
    assert_eq!(map.get_into(&mut [0; 2]), Err(Error::InvalidArgument));
    for _ in 0..5 {
        let started = Instant::now();
        let soon = pool.apply_async(sleep, &30).unwrap();
        soon.wait().unwrap();
        assert!(started.elapsed() >= Duration::from_millis(30));
        note_wake(started);
    }
}

fn many() {
    let pool = Pool::new(3).unwrap();
    // The workers cannot begin before all have been asked for: so none may wait for room.
    let workers: Vec<u32> = (0..3).map(|worker| pool.worker_statistics(worker).unwrap().pid as u32).collect();
    workers.iter().for_each(|&worker| send(worker, libc::SIGSTOP));
    let pending: Vec<AsyncResult<u64>> =
        (0..10_000u64).map(|x| pool.apply_async(|x| x * 7, &x).unwrap()).collect();
    assert!(!pending.iter().any(AsyncResult::ready));
    workers.iter().for_each(|&worker| send(worker, libc::SIGCONT));
    for (x, result) in pending.iter().enumerate().rev() {
        assert_eq!(result.get().unwrap(), x as u64 * 7);
    }
    eventually("all are counted", || pool.statistics().items == 10_000);
}

fn timeouts() {
    gate::close();
    let pool = Pool::new(1).unwrap();
    let result = pool.map_async(|x| (gate::pass(), *x).1, &[20, 20, 20]).unwrap();
    let started = Instant::now();
    assert_eq!(result.wait_timeout(Duration::from_millis(10)), Err(Error::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(10));
    assert_eq!(result.get_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
    gate::open();
    assert_eq!(result.get().unwrap(), [20; 3]);
    assert_eq!(result.get_timeout(Duration::ZERO).unwrap(), [20; 3], "what is there needs no time");
}

fn cancel() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..20 {
        let first = pool.batch().chunk_size(1).map_async(sleep, &[0, 0, LONG, LONG, LONG]).unwrap();
        let behind: Vec<_> = (0..100).map(|x| pool.apply_async(sleep, &(LONG + x)).unwrap()).collect();
        std::thread::sleep(Duration::from_millis(2));
        for result in behind.iter().rev() {
            result.cancel().unwrap();
            assert!(result.ready());
            assert_eq!(result.get(), Err(Error::Task { index: 0, error: TaskError::Cancelled }));
            assert_eq!(result.cancel(), Err(Error::Busy));
        }
        first.cancel().unwrap();
        let each = first.try_get().unwrap();
        assert!(each[..2].iter().all(|item| matches!(item, Ok(0) | Err(TaskError::Cancelled))), "{each:?}");
        assert_eq!(each[2..], [Err(TaskError::Cancelled); 3]);
        assert_eq!(pool.apply(|x| x + 1, &1u8), Ok(2), "the workers are free");
    }
    assert_eq!(pool.statistics().crashes, 0, "nobody's fault");
}

fn cancel_late() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..200 {
        let result = pool.map_async(|x| x + 1, &[1u8, 2]).unwrap();
        match result.cancel() {
            Ok(()) => assert!(result.try_get().unwrap().contains(&Err(TaskError::Cancelled))),
            Err(error) => {
                assert_eq!((error, result.get()), (Error::Busy, Ok(vec![2, 3])));
            }
        }
    }
}

fn dropped() {
    static RUNS: std::sync::OnceLock<Shared<AtomicU32>> = std::sync::OnceLock::new();
    let runs = RUNS.get_or_init(|| Shared::new(AtomicU32::new(0)).unwrap());
    drop(Pool::new(1).unwrap());
    let before = resources();
    let pool = Pool::builder().workers(2).arena_size(1 << 20).build().unwrap();
    let count = |_: &[u8; 1000]| {
        RUNS.get().unwrap().fetch_add(1, Ordering::Relaxed);
    };
    // Far more than fits at a time: what is dropped makes room when it has run.
    for _ in 0..20_000 {
        drop(pool.apply_async(count, &[0; 1000]).unwrap());
    }
    eventually("all have run", || runs.load(Ordering::Relaxed) == 20_000);
    // A byte in, one out, eight of status.
    assert!(pool.map(|x| *x, &[0u8; 90_000]).is_ok(), "the memory is free again");
    drop(pool);
    assert_eq!(resources(), before);
}

fn outlives() {
    drop(Pool::new(1).unwrap());
    let before = resources();
    let pool = Pool::new(2).unwrap();
    let finished = pool.map_async(|x| x + 1, &[1u64, 2]).unwrap();
    finished.wait().unwrap();
    let watched = pool.apply_async(|x| x + 1, &1u8).unwrap();
    watched.wait().unwrap();
    let pending = pool.apply_async(sleep, &LONG).unwrap();
    pending.as_fd().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pending.get());
        std::thread::sleep(Duration::from_millis(20));
        drop(pool);
        let cancelled = Err(Error::Task { index: 0, error: TaskError::Cancelled });
        assert_eq!(waiter.join().unwrap(), cancelled);
        assert_eq!((pending.get(), pending.cancel()), (cancelled, Err(Error::Busy)));
    });
    assert_eq!(finished.get().unwrap(), [2, 3]);
    assert_eq!(wait_any(&[&pending.as_fd().unwrap(), &watched.as_fd().unwrap()]).unwrap(), [0, 1]);
    drop((watched, pending));
    assert_eq!(finished.get().unwrap(), [2, 3]);
    drop(finished);
    assert_eq!(resources(), before);
}

fn descriptors() {
    drop(Pool::new(1).unwrap());
    let before = resources();
    let pool = Pool::new(2).unwrap();
    let now = Duration::ZERO;
    for round in 0..50 {
        let quick = pool.apply_async(|x| x + 1, &1u8).unwrap();
        let slow = pool.apply_async(sleep, &10).unwrap();
        let stuck = pool.apply_async(sleep, &LONG).unwrap();
        let fds = [quick.as_fd().unwrap(), slow.as_fd().unwrap(), stuck.as_fd().unwrap()];
        assert_eq!(fds[1].as_raw_fd(), slow.as_fd().unwrap().as_raw_fd(), "the same each time");
        assert_eq!(wait_any_timeout(&[&fds[2]], now), Err(Error::WouldBlock));
        let started = Instant::now();
        assert_eq!(wait_any(&[&fds[1]]).unwrap(), [0]);
        assert!(slow.ready());
        if round > 0 {
            note_wake(started);
        }
        assert_eq!(wait_any(&[&fds[0], &fds[1]]).unwrap(), [0, 1], "and stays so");
        stuck.cancel().unwrap();
        assert_eq!(wait_any(&[&fds[2]]).unwrap(), [0]);
        assert_eq!((quick.get(), slow.get()), (Ok(2), Ok(10)));
    }
    // Of a crash, whose end the supervisor sees.
    let crashed = pool.apply_async(|_: &u8| -> u8 { std::process::abort() }, &0).unwrap();
    assert_eq!(wait_any(&[&crashed.as_fd().unwrap()]).unwrap(), [0]);
    assert!(crashed.get().is_err());
    // Many at a time.
    let many: Vec<_> = (0..150).map(|_| pool.apply_async(sleep, &1).unwrap()).collect();
    let fds: Vec<_> = many.iter().map(|result| result.as_fd().unwrap()).collect();
    fds.iter().for_each(|fd| assert_eq!(wait_any(&[fd]).unwrap(), [0]));
    drop((many, crashed, pool));
    assert_eq!(resources(), before);
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn descriptor_of_broken() {
    let pool = Pool::new(2).unwrap();
    let stuck = pool.apply_async(sleep, &LONG).unwrap();
    let fd = stuck.as_fd().unwrap();
    let worker = pool.worker_statistics(0).unwrap().pid as u32;
    send(parent_of(worker), libc::SIGKILL);
    assert_eq!(wait_any(&[&fd]).unwrap(), [0]);
    let crashed = Err(Error::Task { index: 0, error: TaskError::Signaled(libc::SIGKILL) });
    assert_eq!((stuck.ready(), stuck.get()), (true, crashed));
    assert_eq!(pool.apply_async(sleep, &0).unwrap_err(), Error::ChildLost);
    eventually("the workers are gone", || !is_running(worker));
}

fn shared_result() {
    let pool = Pool::new(2).unwrap();
    for round in 0..30u64 {
        let result = pool.map_async(sleep, &[round % 3, LONG]).unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..4).map(|_| scope.spawn(|| result.try_get().unwrap())).collect();
            std::thread::sleep(Duration::from_millis(round % 4));
            let cancels: Vec<_> = (0..3).map(|_| scope.spawn(|| result.cancel())).collect();
            let cancelled = cancels.into_iter().map(|cancel| cancel.join().unwrap());
            assert!(cancelled.filter(Result::is_ok).count() >= 1);
            let seen: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
            assert!(seen.iter().all(|each| *each == seen[0]), "all see the same");
            assert_eq!(seen[0][1], Err(TaskError::Cancelled));
        });
    }
}

fn in_a_child() {
    let pool = Pool::new(1).unwrap();
    let result = pool.apply_async(|x| x + 1, &1u8).unwrap();
    let mut child = Process::spawn(|| {
        let refused = result.get() == Err(Error::NotPermitted)
            && result.cancel() == Err(Error::NotPermitted)
            && result.wait() == Err(Error::NotPermitted)
            && result.as_fd().is_err()
            && !result.ready();
        // SAFETY: the child's copy, not used again.
        unsafe { std::ptr::drop_in_place((&raw const result).cast_mut()) };
        i32::from(refused)
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), forq::ExitStatus::Exited(1));
    assert_eq!(result.get(), Ok(2));
}

fn failures() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::builder().workers(2).max_attempts(2).build().unwrap();
    let task = |&x: &u32| match x {
        3 => panic!("three"),
        5 => std::process::abort(),
        x => x,
    };
    let result = pool.map_async(task, &[1, 2, 3, 4, 5, 6]).unwrap();
    let each = result.try_get().unwrap();
    assert_eq!([each[0], each[1], each[3], each[5]], [Ok(1), Ok(2), Ok(4), Ok(6)]);
    assert!(matches!(each[2], Err(TaskError::Panicked(said)) if said.as_str() == "three"));
    assert_eq!(each[4], Err(TaskError::Signaled(libc::SIGABRT)));
    assert!(matches!(result.get(), Err(Error::Task { index: 2, .. })));
    assert_eq!(pool.statistics().crashes, 2);
}

fn full() {
    let pool = Pool::builder().workers(1).arena_size(1 << 20).build().unwrap();
    let mut kept = vec![];
    let refused = loop {
        match pool.apply_async(|x: &[u8; 4096]| x[0], &[7; 4096]) {
            Ok(result) => kept.push(result),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::OutOfMemory);
    assert!(kept.len() > 150, "{}", kept.len());
    assert!(kept.iter().all(|result| result.get() == Ok(7)));
    drop(kept.pop());
    assert!(pool.apply_async(|x: &[u8; 4096]| x[0], &[7; 4096]).is_ok());
}

fn empty() {
    let pool = Pool::new(1).unwrap();
    let result = pool.map_async(|x| *x, &[] as &[u64]).unwrap();
    assert!(result.ready() && result.is_empty());
    assert_eq!((result.get(), result.cancel()), (Ok(vec![]), Err(Error::Busy)));
    assert_eq!(wait_any(&[&result.as_fd().unwrap()]).unwrap(), [0]);
}

fn cycles() {
    drop(Pool::new(1).unwrap());
    let before = resources();
    for round in 0..1000u64 {
        let pool = Pool::new(1 + round as usize % 2).unwrap();
        let results: Vec<_> =
            (0..round % 5).map(|x| pool.apply_async(sleep, &(x % 3 * LONG)).unwrap()).collect();
        if round % 3 == 0 {
            pool.terminate().unwrap();
            pool.join().unwrap();
            results.iter().for_each(|result| assert!(result.ready()));
        }
        if round % 2 == 0 {
            drop(pool);
            for result in &results {
                assert!(matches!(result.get(), Ok(_) | Err(Error::Task { error: TaskError::Cancelled, .. })));
            }
        }
    }
    assert_eq!(resources(), before);
}

fn closing() {
    let pool = Pool::new(2).unwrap();
    let results: Vec<_> = (0..200).map(|_| pool.apply_async(sleep, &1).unwrap()).collect();
    pool.close().unwrap();
    assert_eq!(pool.apply_async(sleep, &1).unwrap_err(), Error::Closed);
    pool.join().unwrap();
    assert!(results.iter().all(|result| result.get_timeout(Duration::ZERO) == Ok(1)));
}
