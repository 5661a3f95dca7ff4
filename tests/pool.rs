//! What the pool promises while nobody dies: results, errors, time, threads.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{Error, Mutex, Pool, Process, Shared, TaskError};
use support::{eventually, is_asleep, is_running, resources};

fn main() {
    support::run(&[
        ("results_come_in_the_order_of_the_inputs", ordered),
        ("every_chunk_size_gives_the_same_results", chunk_sizes),
        ("values_of_any_plain_type_and_size_cross", types),
        ("a_context_is_seen_by_every_item", context),
        ("nothing_to_do_is_fine", nothing),
        ("a_job_that_cannot_fit_is_refused_and_the_next_is_done", too_large),
        ("a_pool_belongs_to_the_process_that_made_it", in_a_child),
        ("closed_pools_take_no_work_and_finish_what_is_pending", closing),
        ("terminating_cancels_what_is_pending", terminating),
        ("a_time_limit_cancels_the_rest_and_frees_the_workers", time_limit),
        ("many_threads_may_map_at_once", many_threads),
        ("more_jobs_than_slots_wait_their_turn", many_jobs),
        ("pools_may_be_nested", nested),
        ("a_hundred_pools_leave_nothing_behind", no_leaks),
        ("dropping_a_pool_with_work_pending_ends_it", dropped),
        ("making_a_pool_beside_threads_is_refused", beside_threads),
        ("a_pool_at_rest_costs_nothing", at_rest),
        ("statistics_add_up", statistics),
        ("who_sees_an_item_counted_sees_its_time", counted_with_time),
        ("an_initializer_runs_once_in_each_worker", initializer),
        ("memory_of_large_jobs_is_given_back", memory),
    ]);
}

fn ordered() {
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u64> = (0..100_000).collect();
    for _ in 0..3 {
        let squares = pool.map(|x| x * x, &inputs).unwrap();
        assert!(squares.iter().enumerate().all(|(index, &square)| square == (index * index) as u64));
    }
    assert_eq!(pool.apply(|x| x + 1, &1u8).unwrap(), 2);
}

fn chunk_sizes() {
    let pool = Pool::new(3).unwrap();
    let inputs: Vec<u32> = (0..1000).collect();
    for chunk_size in [0, 1, 2, 7, 999, 1000, 1001, usize::MAX] {
        let doubled = pool.batch().chunk_size(chunk_size).map(|x| x * 2, &inputs).unwrap();
        assert!(doubled.iter().zip(&inputs).all(|(double, input)| *double == input * 2));
    }
}

#[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Big {
    name: [u8; 4000],
    values: [f64; 12],
}

fn types() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(|x| -x, &[1.5f64, -2.0]).unwrap(), [-1.5, 2.0]);
    assert_eq!(pool.map(|x| [x[1], x[0]], &[[1u8, 2], [3, 4]]).unwrap(), [[2, 1], [4, 3]]);
    let big = Big { name: [7; 4000], values: [0.25; 12] };
    let back = pool.map(|big: &Big| Big { values: [big.values[0] * 2.0; 12], ..*big }, &[big; 33]).unwrap();
    assert!(back.iter().all(|back| *back == Big { values: [0.5; 12], ..big }));
    assert_eq!(pool.map(|()| (), &[(); 5]).unwrap(), [(); 5]);
    assert_eq!(pool.map(|_: &()| 3u16, &[(); 5]).unwrap(), [3; 5]);
    fn item(x: &i8) -> i8 {
        x / 2
    }
    assert_eq!(pool.map(item, &[8i8, -8]).unwrap(), [4, -4]);
}

fn context() {
    let pool = Pool::new(2).unwrap();
    let table: Vec<u32> = (0..1000).map(|x| x * 3).collect();
    let inputs: Vec<u16> = (0..1000).collect();
    let found = pool.map_with(&table, |table, &index| table[usize::from(index)], &inputs).unwrap();
    assert_eq!(found, table);
    assert_eq!(pool.map_with(&[] as &[u64], |none, x| none.len() as u8 + x, &[1u8]).unwrap(), [1]);
}

fn nothing() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.map(|x| *x, &[] as &[u64]).unwrap(), []);
    let mut short = [0u8; 1];
    assert_eq!(pool.batch().map_into(|x| *x, &[1u8, 2], &mut short), Err(Error::InvalidArgument));
}

fn too_large() {
    let pool = Pool::builder().workers(1).arena_size(1 << 20).build().unwrap();
    let large = vec![0u64; 1 << 20];
    assert_eq!(pool.map(|x| *x, &large), Err(Error::OutOfMemory));
    assert_eq!(pool.map(|x| x + 1, &large[..100]).unwrap(), [1; 100]);
    assert_eq!(Pool::builder().workers(100_000).build().unwrap_err(), Error::InvalidArgument);
}

fn in_a_child() {
    let pool = Pool::new(1).unwrap();
    let mut child = Process::spawn(|| {
        let all = pool.map(|x| *x, &[1u8]) == Err(Error::NotPermitted)
            && pool.close() == Err(Error::NotPermitted)
            && pool.terminate() == Err(Error::NotPermitted)
            && pool.join() == Err(Error::NotPermitted);
        // SAFETY: the child's copy: the parent's is not touched, and this one not used again.
        unsafe { std::ptr::drop_in_place((&raw const pool).cast_mut()) };
        i32::from(all)
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), forq::ExitStatus::Exited(1));
    assert_eq!(pool.map(|x| *x, &[1u8]).unwrap(), [1], "the child's copy took nothing from us");
}

fn closing() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.join(), Err(Error::InvalidArgument), "before close");
    std::thread::scope(|scope| {
        let pending = scope.spawn(|| {
            pool.batch().chunk_size(1).map(|_| std::thread::sleep(Duration::from_millis(2)), &[0u8; 50])
        });
        eventually("it is under way", || pool.statistics().items > 2);
        pool.close().unwrap();
        assert_eq!(pool.apply(|x| *x, &0u8), Err(Error::Closed));
        pool.join().unwrap();
        assert!(pending.join().unwrap().is_ok());
    });
    assert_eq!(pool.join_timeout(Duration::ZERO), Ok(()));
    pool.close().unwrap();
}

fn terminating() {
    gate::close();
    let pool = Pool::new(2).unwrap();
    std::thread::scope(|scope| {
        let pending = scope.spawn(|| pool.batch().try_map(|_| gate::pass(), &[0u8; 50]));
        gate::wait_for(2);
        pool.terminate().unwrap();
        pool.join().unwrap();
        let each = pending.join().unwrap().unwrap();
        assert!(each.iter().all(|item| *item == Err(TaskError::Cancelled)));
    });
    assert_eq!(pool.apply(|x| *x, &0u8), Err(Error::Closed));
}

fn time_limit() {
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u32> = (0..100).collect();
    let task = |&x: &u32| {
        if x % 10 == 9 {
            std::thread::sleep(Duration::from_secs(1000));
        }
        x + 1
    };
    let (mut begun, mut limit) = (0, Duration::from_millis(30));
    while begun < 5 {
        let each = match pool.batch().chunk_size(1).timeout(limit).try_map(task, &inputs) {
            Ok(each) if each[0].is_ok() => each,
            // On a loaded machine the time may be up before the first item is done.
            early => {
                assert!(early.is_ok() || early == Err(Error::TimedOut), "{early:?}");
                limit *= 2;
                continue;
            }
        };
        begun += 1;
        for (input, outcome) in inputs.iter().zip(&each) {
            assert!(*outcome == Ok(input + 1) || *outcome == Err(TaskError::Cancelled), "{outcome:?}");
            assert!(input % 10 != 9 || outcome.is_err());
        }
        assert_eq!(pool.map(|x| x + 1, &inputs).unwrap()[99], 100, "the workers are free again");
    }
    let batch = pool.batch().timeout(Duration::from_millis(5));
    assert_eq!(batch.map(|_| std::thread::sleep(Duration::from_secs(1000)), &[0u8]), Err(Error::TimedOut));
    assert_eq!(pool.batch().timeout(Duration::MAX).map(|x| *x, &[4u8]).unwrap(), [4]);
}

fn many_threads() {
    let pool = Pool::new(2).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..200u64 {
                    let inputs: Vec<u64> = (0..round % 50 + 1).map(|x| x + thread * 1000).collect();
                    let outputs = pool.map(|x| x * 3, &inputs).unwrap();
                    assert!(outputs.iter().zip(&inputs).all(|(output, input)| *output == input * 3));
                    assert_eq!(pool.apply(|x| x + 7, &round).unwrap(), round + 7);
                }
            });
        }
    });
}

fn many_jobs() {
    let pool = Pool::new(2).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..100u64 {
            let pool = &pool;
            scope.spawn(move || {
                let wait = |x: &u64| {
                    std::thread::sleep(Duration::from_millis(2));
                    x + 1
                };
                assert_eq!(pool.apply(wait, &thread).unwrap(), thread + 1);
            });
        }
    });
}

fn nested() {
    let pool = Pool::new(2).unwrap();
    let sums = pool
        .map(
            |&n: &u64| {
                let inner = Pool::new(2).expect("a worker has one thread");
                let inputs: Vec<u64> = (0..n).collect();
                inner.map(|x| x * 2, &inputs).expect("the inner pool works").iter().sum::<u64>()
            },
            &[10, 100],
        )
        .unwrap();
    assert_eq!(sums, [90, 9900]);
}

fn no_leaks() {
    drop(Pool::new(1).unwrap());
    let before = resources();
    for workers in 0..100 {
        let pool = Pool::new(workers % 4 + 1).unwrap();
        if workers % 2 == 0 {
            assert_eq!(pool.apply(|x| x + 1, &workers).unwrap(), workers + 1);
        }
        if workers % 3 == 0 {
            pool.close().unwrap();
            pool.join().unwrap();
        }
    }
    assert_eq!(resources(), before);
    // SAFETY: no place for the result. The supervisors are of no ordinary kind: all kinds are asked for.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) }, -1);
}

fn dropped() {
    let worker = Shared::new(AtomicU64::new(0)).unwrap();
    let mut host = Process::spawn(|| {
        let pool = Pool::new(1).unwrap();
        worker.store(pool.worker_statistics(0).unwrap().pid as u64, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pool.batch()
                    .timeout(Duration::from_millis(50))
                    .apply(|_| std::thread::sleep(Duration::from_secs(1000)), &0u8)
            });
        });
        drop(pool);
    })
    .unwrap();
    assert!(host.join().unwrap().success());
    assert!(!is_running(worker.load(Ordering::Relaxed) as u32));
}

fn beside_threads() {
    let lock = Shared::new(Mutex::new(0u64)).unwrap();
    let guard = lock.lock().unwrap();
    assert_eq!(Pool::new(1).unwrap_err(), Error::LockHeld);
    drop(guard);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    assert_eq!(Pool::new(1).unwrap_err(), Error::MultiThreaded);
    // SAFETY: the other thread waits, holding no lock.
    let pool = unsafe { Pool::builder().workers(1).build_unchecked() }.unwrap();
    assert_eq!(pool.apply(|x| x + 1, &1u8).unwrap(), 2);
    drop(stop);
    let _ = thread.join().unwrap();
}

/// CPU time of a process, in clock ticks.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn at_rest() {
    let pool = Pool::new(4).unwrap();
    pool.map(|x| *x, &[0u8; 100]).unwrap();
    let pids: Vec<i32> = (0..4).map(|worker| pool.worker_statistics(worker).unwrap().pid).collect();
    eventually("all are at rest", || pids.iter().all(|&pid| is_asleep(pid as u32)));
    let before: u64 = pids.iter().map(|&pid| ticks(pid)).sum();
    std::thread::sleep(Duration::from_secs(2));
    let after: u64 = pids.iter().map(|&pid| ticks(pid)).sum();
    // A tick is 10 ms: one that is charged by chance is allowed.
    assert!(after - before <= 1, "{} ticks in 2 s", after - before);
}

fn statistics() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..10 {
        pool.map(|x| *x, &[1u8; 1000]).unwrap();
    }
    eventually("all chunks are counted", || pool.statistics().items == 10_000);
    let sum = pool.statistics();
    assert_eq!((sum.workers, sum.crashes, sum.replaced), (2, 0, 0));
    let workers: Vec<_> = (0..2).map(|worker| pool.worker_statistics(worker).unwrap()).collect();
    assert_eq!(workers.iter().map(|worker| worker.items).sum::<u64>(), 10_000);
    assert!(workers.iter().all(|worker| is_running(worker.pid as u32)));
    assert!(sum.busy_ns > 0 && sum.busy_ns <= 2 * sum.wall_ns);
    assert_eq!(pool.worker_statistics(2), None);
}

fn counted_with_time() {
    let pool = Pool::new(1).unwrap();
    let task = |_: &u8| std::thread::sleep(Duration::from_millis(1));
    for round in 0..300 {
        eventually("all are counted", || pool.statistics().items == round * 3);
        let before = pool.statistics();
        let job = pool.batch().chunk_size(1).map_async(task, &[0; 3]).unwrap();
        while !job.ready() {
            let now = pool.statistics();
            let (items, busy_ns) = (now.items - before.items, now.busy_ns - before.busy_ns);
            assert!(busy_ns >= items * 1_000_000, "{items} items in {busy_ns} ns");
        }
    }
}

fn initializer() {
    let runs = Shared::new(AtomicU64::new(0)).unwrap();
    let count = || {
        runs.fetch_add(1, Ordering::Relaxed);
    };
    let pool = Pool::builder().workers(3).initializer(&count).build().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    let crashed: Result<u8, Error> = pool.apply(|_| std::process::abort(), &0u8);
    assert!(crashed.is_err());
    eventually("the replacement has run it too", || runs.load(Ordering::Relaxed) == 4);
    for fails in [|| 1, || -> i32 { std::process::exit(0) }, || -> i32 { panic!("not ready") }] {
        std::panic::set_hook(Box::new(|_| ()));
        assert_eq!(Pool::builder().workers(2).initializer(&fails).build().unwrap_err(), Error::ChildLost);
    }
}

fn memory() {
    let pool = Pool::new(1).unwrap();
    let shared = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    let inputs = vec![1u64; 12 << 20];
    let mut outputs = vec![0u64; 12 << 20];
    pool.batch().map_into(|x| x + 1, &inputs, &mut outputs).unwrap();
    assert!(outputs.iter().all(|&output| output == 2));
    assert!(shared() <= 80, "{} MiB are kept", shared());
    pool.batch().map_into(|x| x + 2, &inputs, &mut outputs).unwrap();
    assert!(outputs.iter().all(|&output| output == 3), "memory that was given back is as good as new");
}
