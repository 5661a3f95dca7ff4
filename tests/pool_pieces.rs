//! Long items that lie together in one chunk: the chunk is shared in pieces, and every item has one status whatever happens meanwhile.

mod support;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{AsyncResult, Error, Pool, Shared, TaskError};
use support::{Random, eventually, progress, send};

fn main() {
    support::run(&[
        ("long_items_that_lie_together_are_shared_by_all_workers", shared),
        ("a_chunk_of_the_caller_s_choice_is_shared_too", chosen_size),
        ("one_worker_alone_and_map_pure_share_nothing", not_shared),
        ("every_item_of_a_shared_chunk_has_one_status_whoever_is_killed", killed),
        ("items_of_pieces_are_tried_as_often_as_allowed", attempts),
        ("items_that_fail_beside_pieces_keep_their_status", failing),
        ("items_that_fail_in_a_piece_keep_their_status_if_who_cut_it_is_killed", failing_beside_deaths),
        ("workers_that_are_replaced_after_so_many_items_share_too", replaced),
        ("a_job_may_be_cancelled_while_it_is_cut", cancelled),
        ("a_map_may_run_out_of_time_while_its_chunks_are_cut", out_of_time),
        ("items_over_their_time_cost_themselves_in_pieces_too", overdue),
    ]);
}

const COUNT: usize = 20_000;

forq::shareable! {
    /// How often an item ran, and in which process last.
    struct Runs {
        count: AtomicU32,
        process: AtomicU32,
    }
}

static RUNS: OnceLock<Shared<[Runs]>> = OnceLock::new();

/// Made before the pool: the workers have it.
fn runs() -> &'static [Runs] {
    RUNS.get_or_init(|| {
        Shared::slice_with(COUNT, |_| Runs { count: AtomicU32::new(0), process: AtomicU32::new(0) }).unwrap()
    })
}

fn forget() {
    runs().iter().for_each(|run| {
        run.count.store(0, Ordering::Relaxed);
        run.process.store(0, Ordering::Relaxed);
    });
}

fn note(x: u32) {
    let run = &RUNS.get().unwrap()[x as usize];
    run.count.fetch_add(1, Ordering::Relaxed);
    run.process.store(std::process::id(), Ordering::Relaxed);
}

fn ran(x: usize) -> u32 {
    runs()[x].count.load(Ordering::Relaxed)
}

/// How many of these items each process ran.
fn shares(items: std::ops::Range<usize>) -> Vec<usize> {
    let mut processes: Vec<u32> =
        runs()[items].iter().map(|run| run.process.load(Ordering::Relaxed)).collect();
    processes.sort_unstable();
    processes.chunk_by(|one, other| one == other).map(<[u32]>::len).collect()
}

fn inputs(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

fn nap(micros: u64) {
    std::thread::sleep(Duration::from_micros(micros));
}

fn shared() {
    runs();
    for workers in [2, 4] {
        let pool = Pool::new(workers).unwrap();
        // The cluster is a part of one chunk in the middle.
        let task = |&x: &u32| {
            note(x);
            if (10_000..10_200).contains(&x) {
                nap(2000);
            }
            x + 1
        };
        // Each about its part: half of that at least. On a loaded machine one may get to run too late for that, now and then.
        eventually("all share it", || {
            forget();
            let outputs = pool.batch().chunk_size(500).map(task, &inputs(COUNT)).unwrap();
            assert!(outputs.iter().enumerate().all(|(x, &output)| output == x as u32 + 1));
            assert!((0..COUNT).all(|x| ran(x) == 1));
            let shares = shares(10_000..10_200);
            println!("     {shares:?}");
            shares.len() == workers && shares.iter().all(|&share| share >= 200 / workers / 2)
        });
    }
}

fn chosen_size() {
    runs();
    let pool = Pool::new(2).unwrap();
    // The last piece ends long after what it was cut from.
    let task = |&x: &u32| {
        note(x);
        nap(if x == 199 { 50_000 } else { 1000 });
    };
    eventually("both share it", || {
        forget();
        pool.batch().chunk_size(200).map(task, &inputs(200)).unwrap();
        let shares = shares(0..200);
        shares.len() == 2 && shares.iter().all(|&share| share >= 50)
    });
}

fn not_shared() {
    runs();
    forget();
    let pool = Pool::new(1).unwrap();
    let task = |&x: &u32| {
        note(x);
        nap(1000);
    };
    pool.batch().chunk_size(50).map(task, &inputs(100)).unwrap();
    assert_eq!(shares(0..100), [100]);
    // Its items are not announced, so nobody knows where to cut.
    forget();
    let pool = Pool::new(2).unwrap();
    let mut outputs = vec![0; 100];
    let task = |&x: &u32| {
        note(x);
        nap(1000);
        x
    };
    pool.batch().chunk_size(100).map_pure_into(task, &inputs(100), &mut outputs).unwrap();
    assert_eq!(outputs, inputs(100));
    assert_eq!(shares(0..100), [100]);
}

/// Kills workers at random moments while `work` runs; how many.
fn kill_during<R: Send>(pool: &Pool, seed: u64, pause: u64, work: impl FnOnce() -> R + Send) -> (R, u32) {
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut random, mut kills) = (Random(seed), 0);
            while done.load(Ordering::Relaxed) == 0 {
                nap(random.below(pause));
                let victim = pool.worker_statistics(random.below(3) as usize).unwrap().pid;
                if support::has_begun(victim) {
                    send(victim as u32, libc::SIGKILL);
                    kills += 1;
                }
            }
            kills
        });
        let result = work();
        done.store(1, Ordering::Relaxed);
        (result, killer.join().unwrap())
    })
}

/// Ends each item once: OK if it ran once, or lost with its worker; how many were.
fn check(each: &[Result<u32, TaskError>]) -> u32 {
    let mut lost = 0;
    for (x, outcome) in each.iter().enumerate() {
        match outcome {
            Ok(output) => assert!(*output == x as u32 + 1 && ran(x) == 1, "item {x} ran {} times", ran(x)),
            Err(TaskError::Signaled(libc::SIGKILL)) => {
                assert!(ran(x) <= 1, "item {x} ran {} times", ran(x));
                lost += 1;
            }
            Err(other) => panic!("item {x}: {other}"),
        }
    }
    lost
}

fn wanted_kills(default: u32) -> u32 {
    std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(default)
}

/// Items of which a tenth, in clusters, are long.
fn clustered(&x: &u32) -> u32 {
    note(x);
    if x % 500 < 50 {
        nap(200);
    }
    x + 1
}

fn killed() {
    runs();
    let pool = Pool::new(3).unwrap();
    let (mut kills, mut lost, mut seed) = (0, 0, 1);
    while kills < wanted_kills(300) {
        forget();
        seed += 1;
        let batch = pool.batch().chunk_size([500, 1000][seed as usize % 2]);
        let (each, killed) = kill_during(&pool, seed, 2000, || batch.try_map(clustered, &inputs(1000)));
        kills += killed;
        lost += check(&each.unwrap());
        progress();
    }
    assert!(lost <= kills, "a kill costs one item at most");
    eventually("all are replaced", || (0..3).all(|worker| pool.worker_statistics(worker).unwrap().pid != 0));
}

fn attempts() {
    runs();
    let pool = Pool::builder().workers(3).max_attempts(3).build().unwrap();
    forget();
    let task = |&x: &u32| {
        note(x);
        nap(500);
        if x % 20 == 7 {
            std::process::abort();
        }
        x + 1
    };
    let each = pool.batch().chunk_size(100).try_map(task, &inputs(200)).unwrap();
    for (x, outcome) in each.iter().enumerate() {
        let (expected, tries) =
            if x % 20 == 7 { (Err(TaskError::Signaled(libc::SIGABRT)), 3) } else { (Ok(x as u32 + 1), 1) };
        assert_eq!((*outcome, ran(x)), (expected, tries), "item {x}");
    }
    // By kills none is lost.
    for seed in 1..20 {
        let pool = Pool::builder().workers(3).max_attempts(u32::MAX).build().unwrap();
        let batch = pool.batch().chunk_size(1000);
        let (outputs, _) = kill_during(&pool, seed, 4000, || batch.map(clustered, &inputs(1000)));
        assert!(outputs.unwrap().iter().enumerate().all(|(x, &output)| output == x as u32 + 1));
        progress();
    }
}

/// Their panics are meant; ours are told.
fn silence_workers() {
    let (own, usual) = (std::process::id(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |why| {
        if std::process::id() == own {
            usual(why);
        }
    }));
}

fn failing() {
    runs();
    silence_workers();
    let pool = Pool::new(3).unwrap();
    let task = |&x: &u32| {
        note(x);
        nap(300);
        assert!(x % 3 != 1, "no");
        x + 1
    };
    eventually("it was cut", || {
        forget();
        let each = pool.batch().chunk_size(400).try_map(task, &inputs(400)).unwrap();
        for (x, outcome) in each.iter().enumerate() {
            match outcome {
                Ok(output) => assert!(*output == x as u32 + 1 && x % 3 != 1),
                Err(error) => assert!(x % 3 == 1 && matches!(error, TaskError::Panicked(_)), "{x}: {error}"),
            }
            assert_eq!(ran(x), 1, "item {x}");
        }
        shares(0..400).len() > 1
    });
}

fn failing_beside_deaths() {
    runs();
    silence_workers();
    let pool = Pool::new(3).unwrap();
    let mut failed = 0;
    for seed in 1..40 {
        forget();
        // The first half, in which none fails, is left to who cuts the other off: it has no statuses when it is killed.
        let task = |&x: &u32| {
            note(x);
            nap(100);
            assert!(x < 200 || x % 10 != 9, "no");
            x + 1
        };
        let batch = pool.batch().chunk_size(400);
        let (each, _) = kill_during(&pool, seed, 8000, || batch.try_map(task, &inputs(400)));
        for (x, outcome) in each.unwrap().iter().enumerate() {
            let fails = x >= 200 && x % 10 == 9;
            match outcome {
                Ok(output) => assert!(*output == x as u32 + 1 && !fails && ran(x) == 1, "item {x}"),
                Err(TaskError::Panicked(_)) => assert!(fails && ran(x) == 1, "item {x}"),
                Err(error) => {
                    assert!(*error == TaskError::Signaled(libc::SIGKILL) && ran(x) <= 1, "{x}: {error}");
                }
            }
            failed += usize::from(fails && ran(x) == 1);
        }
        progress();
    }
    assert!(failed > 100, "{failed} items failed: this shows nothing");
}

fn replaced() {
    runs();
    for allowed in [1, 2, 7, 40] {
        forget();
        let pool = Pool::builder().workers(3).max_tasks_per_worker(allowed).build().unwrap();
        let count = (allowed as usize * 20).min(300);
        let task = |&x: &u32| {
            note(x);
            nap(300);
            x + 1
        };
        let outputs = pool.batch().chunk_size(count).map(task, &inputs(count)).unwrap();
        assert!(outputs.iter().enumerate().all(|(x, &output)| output == x as u32 + 1));
        assert!((0..count).all(|x| ran(x) == 1), "of {allowed} each");
        assert!(shares(0..count).iter().all(|&share| share <= allowed as usize));
    }
}

/// Items that did not succeed were stopped: they ran once at the most.
fn check_stopped(each: &[Result<u32, TaskError>]) -> usize {
    for (x, outcome) in each.iter().enumerate() {
        match outcome {
            Ok(output) => assert!(*output == x as u32 + 1 && ran(x) == 1, "item {x} ran {} times", ran(x)),
            Err(TaskError::Cancelled) => assert!(ran(x) <= 1, "item {x} ran {} times", ran(x)),
            Err(other) => panic!("item {x}: {other}"),
        }
    }
    each.iter().filter(|outcome| outcome.is_ok()).count()
}

fn cancelled() {
    runs();
    let pool = Pool::new(3).unwrap();
    let mut random = Random(3);
    let (mut done, mut stopped) = (0, 0);
    for _ in 0..300 {
        forget();
        let task = |&x: &u32| {
            note(x);
            nap(20);
            x + 1
        };
        let job: AsyncResult<[u32]> = pool.batch().chunk_size(32).map_async(task, &inputs(64)).unwrap();
        nap(random.below(4000));
        let ended = job.cancel();
        let each = job.try_get().unwrap();
        let good = check_stopped(&each);
        match ended {
            Ok(()) => stopped += 1,
            Err(error) => assert_eq!((error, good), (Error::Busy, 64)),
        }
        done += good;
        // What ran is not told otherwise later.
        assert_eq!(job.try_get().unwrap(), each);
        assert_eq!(pool.apply(|x| x + 1, &1u8), Ok(2));
        progress();
    }
    assert!(stopped > 20 && done > 100, "{stopped} jobs stopped, {done} items done: this shows nothing");
}

fn out_of_time() {
    runs();
    let pool = Pool::new(3).unwrap();
    let mut random = Random(5);
    let mut timed_out = 0;
    for _ in 0..100 {
        forget();
        let limit = Duration::from_micros(random.below(4000));
        let task = |&x: &u32| {
            note(x);
            nap(20);
            x + 1
        };
        let each = pool.batch().chunk_size(32).timeout(limit).try_map(task, &inputs(64));
        match each {
            Ok(each) => timed_out += usize::from(check_stopped(&each) < 64),
            Err(error) => assert!(matches!(error, Error::TimedOut | Error::WouldBlock), "{error}"),
        }
        assert_eq!(pool.apply(|x| x + 1, &1u8), Ok(2));
        progress();
    }
    assert!(timed_out > 5, "{timed_out} maps ran out of time: this shows nothing");
}

fn overdue() {
    runs();
    forget();
    let pool = Pool::builder().workers(3).task_timeout(Duration::from_millis(300)).build().unwrap();
    let task = |&x: &u32| {
        note(x);
        nap(if x % 40 == 39 { 1_000_000_000 } else { 1000 });
        x + 1
    };
    let each = pool.batch().chunk_size(120).try_map(task, &inputs(120)).unwrap();
    for (x, outcome) in each.iter().enumerate() {
        let expected = if x % 40 == 39 { Err(TaskError::TimedOut) } else { Ok(x as u32 + 1) };
        assert_eq!((*outcome, ran(x)), (expected, 1), "item {x}");
    }
    assert!(shares(0..120).len() >= 3, "nothing was cut: this shows nothing");
}
