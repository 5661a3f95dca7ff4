//! The kinds of maps besides the plain one, and limits on items and workers.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Pool, Shared, TaskError, fork_map};
use support::{eventually, resources, send};

fn main() {
    support::run(&[
        ("starmap_takes_tuples", tuples),
        ("bytes_of_any_size_cross_up_to_the_bound", bytes),
        #[cfg(feature = "serde")]
        ("any_serialisable_type_crosses", serialised),
        #[cfg(feature = "serde")]
        ("a_result_that_panics_while_it_is_read_leaves_the_pool_whole", bomb),
        ("pure_maps_give_the_same_and_a_crash_costs_one_item", pure),
        ("pure_maps_survive_kills", pure_kills),
        ("fork_map_captures_anything", captured),
        ("fork_map_contains_crashes_and_leaves_nothing", captured_faults),
        ("items_over_their_time_cost_themselves", time_limit),
        ("quick_items_are_not_taken_for_slow_ones", quick_items),
        ("workers_are_replaced_after_so_many_items", replaced),
        ("a_long_item_first_holds_up_nobody", skew),
        ("an_interrupt_cancels_what_is_pending", interrupt),
        ("pinned_workers_stay_on_their_cpu", pinned),
        ("the_last_job_tells_its_speed_up", last_job),
        ("memory_is_given_back_after_a_while_idle", given_back),
        ("sixty_four_workers_do_ten_million_items", scale),
    ]);
}

fn tuples() {
    let pool = Pool::new(2).unwrap();
    let products = pool.starmap(|(a, b)| a * f64::from(b), &[(0.5, 3u8), (2.0, 4)]).unwrap();
    assert_eq!(products, [1.5, 8.0]);
    let mixed: Vec<(u8, u64, u16, i32, f32, [u8; 3])> =
        (0..1000).map(|x| (x as u8, x << 40, x as u16, -(x as i32), 0.5, [1, 2, x as u8])).collect();
    let all = |(a, b, c, d, e, f): (u8, u64, u16, i32, f32, [u8; 3])| {
        (a == f[2] && i32::from(c) == -d && b == u64::from(c) << 40 && e == 0.5) as u8
    };
    assert_eq!(pool.batch().chunk_size(7).starmap(all, &mixed).unwrap(), [1; 1000]);
}

fn bytes() {
    let pool = Pool::new(3).unwrap();
    let inputs: Vec<Vec<u8>> = (0..500usize).map(|size| vec![size as u8; size * 3 % 1000]).collect();
    let doubled = pool.map_bytes(2000, |input| [input, input].concat(), &inputs).unwrap();
    assert!(doubled.iter().zip(&inputs).all(|(double, input)| *double == [&input[..], input].concat()));
    assert_eq!(pool.map_bytes(0, |_| [], &["a", "b"]).unwrap(), [b"", b""]);
    assert_eq!(pool.map_bytes(5, |input| input.to_vec(), &[] as &[&str]).unwrap(), [b""; 0]);
    let too_large = pool.map_bytes(999, |input| vec![0; input.len()], &[vec![0; 999], vec![0; 1000]]);
    assert_eq!(too_large, Err(Error::Task { index: 1, error: TaskError::TooLarge }));
    let crashed =
        pool.map_bytes(9, |input| if input == b"x" { std::process::abort() } else { *b"ok" }, &["a", "x"]);
    assert_eq!(crashed, Err(Error::Task { index: 1, error: TaskError::Signaled(libc::SIGABRT) }));
    assert_eq!(pool.map_bytes(usize::MAX, |_| [], &["a"]), Err(Error::InvalidArgument));
    assert_eq!(pool.map_bytes(usize::MAX / 2, |_| [], &["a", "b", "c"]), Err(Error::InvalidArgument));
}

#[cfg(feature = "serde")]
fn serialised() {
    let pool = Pool::new(2).unwrap();
    type Record = (String, Option<Vec<u32>>, HashMap<u8, String>);
    let records: Vec<Record> = (0..300u32)
        .map(|x| {
            (
                format!("name {x}"),
                (x % 3 != 0).then(|| (0..x % 50).collect()),
                HashMap::from([(x as u8, "y".repeat(x as usize % 9))]),
            )
        })
        .collect();
    let task = |(name, numbers, words): Record| -> Result<(String, u32), String> {
        let sum = numbers.map(|numbers| numbers.iter().sum()).ok_or(name.clone())?;
        Ok((words.into_values().fold(name, |name, word| name + &word), sum))
    };
    let told = pool.map_serde(200, task, &records).unwrap();
    assert!(told.iter().zip(&records).all(|(told, record)| *told == task(record.clone())));
    let long = pool.map_serde(10, |size: usize| "x".repeat(size), &[9, 10]);
    assert_eq!(long, Err(Error::Task { index: 1, error: TaskError::TooLarge }));
    std::panic::set_hook(Box::new(|_| ()));
    let failed =
        pool.map_serde(10, |text: String| text.parse::<u8>().unwrap(), &["7".to_owned(), "x".to_owned()]);
    assert!(
        matches!(failed, Err(Error::Task { index: 1, error: TaskError::Panicked(said) }) if said.as_str().contains("InvalidDigit"))
    );
}

#[cfg(feature = "serde")]
struct Bomb(u32);

#[cfg(feature = "serde")]
impl serde::Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        assert!(number != 13, "boom");
        Ok(Self(number))
    }
}

#[cfg(feature = "serde")]
fn bomb() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::new(2).unwrap();
    for _ in 0..3 {
        let inputs: Vec<u32> = (0..10_000).collect();
        let map = || pool.map_serde(10, |x: u32| Bomb(x), &inputs).map(drop);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(map)).unwrap_err();
        assert_eq!(panicked.downcast_ref(), Some(&"boom"));
        let good = pool.map_serde(10, |x: u32| Bomb(x), &[1, 2, 3]).unwrap();
        assert!(good.iter().map(|bomb| bomb.0).eq([1, 2, 3]));
    }
    // And it ends: no call is counted that is no more.
    drop(pool);
}

fn pure() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u32> = (0..100_000).collect();
    for chunk_size in [0, 1, 17, 100_000] {
        let squares = pool.batch().chunk_size(chunk_size).map_pure(|x| x.wrapping_mul(*x), &inputs).unwrap();
        assert!(squares.iter().zip(&inputs).all(|(square, x)| *square == x.wrapping_mul(*x)));
    }
    for index in [0usize, 500, 99_999] {
        let crash = pool.map_pure(
            |&x| if x == 500 || x == 0 || x == 99_999 { std::process::abort() } else { x },
            &inputs[index..],
        );
        assert_eq!(crash, Err(Error::Task { index: 0, error: TaskError::Signaled(libc::SIGABRT) }));
        let mut outputs = vec![7; inputs.len()];
        let map = pool.batch().map_pure_into(
            |&x| if x % 1000 == 999 { panic!("{x}") } else { x + 1 },
            &inputs,
            &mut outputs,
        );
        assert!(
            matches!(map, Err(Error::Task { index: 999, error: TaskError::Panicked(said) }) if ["999", ""].contains(&said.as_str()))
        );
        assert!(
            outputs.iter().zip(&inputs).all(|(output, x)| *output == if x % 1000 == 999 { 7 } else { x + 1 })
        );
    }
    eventually("all are replaced", || (0..2).all(|worker| pool.worker_statistics(worker).unwrap().pid != 0));
}

fn pure_kills() {
    let pool = Pool::builder().workers(3).max_attempts(u32::MAX).build().unwrap();
    let inputs: Vec<u64> = (0..20_000).collect();
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut kills = 0;
            while done.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_micros(700));
                // One is left in peace: where starting takes longer than the next kill, five that end before they began are given up.
                let victim = pool.worker_statistics(1 + kills % 2).unwrap().pid;
                if victim != 0 {
                    send(victim as u32, libc::SIGKILL);
                    kills += 1;
                }
            }
            kills
        });
        for _ in 0..15 {
            let outputs =
                pool.map_pure(|&x| (0..200u64).fold(x, |x, y| x.rotate_left(5) ^ y), &inputs).unwrap();
            assert!(
                outputs
                    .iter()
                    .zip(&inputs)
                    .all(|(&output, &x)| output == (0..200u64).fold(x, |x, y| x.rotate_left(5) ^ y))
            );
        }
        done.store(1, Ordering::Relaxed);
        assert!(killer.join().unwrap() > 10);
    });
}

fn captured() {
    let table: HashMap<String, u64> = (0..1000).map(|x| (format!("word {x}"), x * x)).collect();
    let words: Vec<String> = (0..1000).map(|x| format!("word {x}")).collect();
    let own = std::process::id();
    let seen = fork_map(3, &words, |word| [table[word], u64::from(std::process::id() == own)]).unwrap();
    assert!(seen.iter().zip(0..).all(|(seen, x)| *seen == [x * x, 0]));
    let boxed: Box<dyn Fn(&String) -> u8> = Box::new(|word| word.len() as u8);
    assert_eq!(fork_map(0, &words[..2], boxed).unwrap(), [6, 6]);
    assert_eq!(fork_map(1, &[] as &[String], |_| 0u8).unwrap(), []);
    let counter = Shared::new(AtomicU64::new(0)).unwrap();
    fork_map(2, &words, |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(counter.load(Ordering::Relaxed), 1000);
}

fn captured_faults() {
    fork_map(2, &[1], |_| ()).unwrap();
    let before = resources();
    let bad = 30;
    let crashed =
        fork_map(2, &(0..100).collect::<Vec<u32>>(), |&x| if x == bad { std::process::abort() } else { x });
    assert_eq!(crashed, Err(Error::Task { index: 30, error: TaskError::Signaled(libc::SIGABRT) }));
    let mut outputs = [9; 4];
    let limited = Pool::builder().workers(2).task_timeout(Duration::from_millis(250)).fork_map_into(
        &[0u32, 1, bad, 2],
        |&x| {
            if x == bad {
                std::thread::sleep(Duration::from_secs(1000));
            }
            x + 1
        },
        &mut outputs,
    );
    assert_eq!((limited, outputs), (Err(Error::Task { index: 2, error: TaskError::TimedOut }), [1, 2, 9, 3]));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    assert_eq!(fork_map(1, &[1u8], |x| *x), Err(Error::MultiThreaded));
    drop(stop);
    let _ = thread.join().unwrap();
    assert_eq!(resources(), before);
}

fn time_limit() {
    // So long that no other item takes it on a loaded machine.
    let limit = Duration::from_millis(250);
    let pool = Pool::builder().workers(2).task_timeout(limit).max_attempts(3).build().unwrap();
    let task = |&x: &u64| {
        match x {
            50 => std::thread::sleep(Duration::from_secs(1000)),
            60 => std::process::abort(),
            _ => {}
        }
        x
    };
    let inputs: Vec<u64> = (0..100).collect();
    for chunk_size in [0, 1, 30, 100] {
        let started = Instant::now();
        let each = pool.batch().chunk_size(chunk_size).try_map(task, &inputs).unwrap();
        assert!(started.elapsed() >= limit, "not before its time");
        for (x, outcome) in each.iter().enumerate() {
            match x {
                50 => assert_eq!(*outcome, Err(TaskError::TimedOut)),
                60 => assert_eq!(*outcome, Err(TaskError::Signaled(libc::SIGABRT))),
                _ => assert_eq!(*outcome, Ok(x as u64)),
            }
        }
        // Asleep, the supervisor has no clock; the next item is watched all the same.
        std::thread::sleep(limit * 3 / 2);
        let over = pool.apply(task, &50);
        assert_eq!(over, Err(Error::Task { index: 0, error: TaskError::TimedOut }));
    }
    assert_eq!(pool.statistics().crashes, 4 * 3, "only those that crashed");
    eventually("all are replaced", || pool.statistics().replaced == 4 * (3 + 2));
}

fn quick_items() {
    // Items are far below the limit, chunks and jobs above: nobody is killed.
    let is_fine = || {
        let pool = Pool::builder().workers(3).task_timeout(Duration::from_secs(2)).build().unwrap();
        let sleep = |&x: &u64| {
            std::thread::sleep(Duration::from_millis(10));
            x + 1
        };
        let outputs = pool.batch().chunk_size(250).map(sleep, &[7; 750]);
        outputs.is_ok_and(|outputs| outputs == [8; 750]) && pool.statistics().replaced == 0
    };
    // A chunk that is taken for an item is always over its time; an item only where its worker does not run for two seconds.
    assert!((0..3).any(|_| is_fine()));
}

fn replaced() {
    let runs = Shared::new(AtomicU64::new(0)).unwrap();
    let count = || {
        runs.fetch_add(1, Ordering::Relaxed);
    };
    let pool = Pool::builder().workers(2).max_tasks_per_worker(5).initializer(&count).build().unwrap();
    let inputs: Vec<u32> = (0..200).collect();
    for chunk_size in [0, 1, 3, 200] {
        let pids = pool.batch().chunk_size(chunk_size).map(|_| std::process::id(), &inputs).unwrap();
        let mut counts = HashMap::new();
        pids.iter().for_each(|pid| *counts.entry(*pid).or_insert(0) += 1);
        assert!(counts.values().all(|&count| count <= 5) && counts.len() >= 40, "{counts:?}");
    }
    assert_eq!(pool.statistics().crashes, 0);
    pool.close().unwrap();
    pool.join().unwrap();
    assert_eq!(pool.statistics().items, 800, "each is counted once");
    assert!(runs.load(Ordering::Relaxed) >= 160, "each replacement was initialized");
}

fn skew() {
    // The first item lasts until 800 of the 999 others are done: by the other worker alone.
    gate::close();
    let pool = Pool::new(2).unwrap();
    let task = |&is_long: &u8| {
        if is_long == 1 {
            gate::pass();
        } else if gate::come() == 1 + 800 {
            gate::open();
        }
    };
    let mut items = vec![0u8; 1000];
    items[0] = 1;
    pool.map(task, &items).unwrap();
    let shares: Vec<u64> = (0..2).map(|worker| pool.worker_statistics(worker).unwrap().items).collect();
    assert!(shares.iter().any(|&items| items <= 200), "{shares:?}");
}

fn interrupt() {
    let mut host = forq::Process::spawn(|| {
        // SAFETY: no pointers; a handler that is a constant.
        unsafe {
            libc::setpgid(0, 0);
            libc::signal(libc::SIGINT, libc::SIG_IGN);
        }
        gate::close();
        let pool = Pool::new(3).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gate::wait_for(3);
                // SAFETY: our own group.
                unsafe { libc::kill(0, libc::SIGINT) };
            });
            let each = pool.batch().chunk_size(1).try_map(|_| gate::pass(), &[0u8; 50]).unwrap();
            assert!(each.iter().all(|item| *item == Err(TaskError::Cancelled)), "{each:?}");
        });
        assert_eq!(pool.apply(|x| *x, &1u8), Err(Error::ChildLost));
    })
    .unwrap();
    assert!(host.join().unwrap().success());
}

fn pinned() {
    let pool = Pool::builder().workers(3).pinned(true).build().unwrap();
    let cpus = pool
        .batch()
        .chunk_size(1)
        .map(
            |_| {
                std::thread::sleep(Duration::from_millis(2));
                std::thread::available_parallelism().unwrap().get() as u64
            },
            &[0u8; 30],
        )
        .unwrap();
    assert_eq!(cpus, [1; 30]);
}

fn last_job() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.last_job(), None);
    let task = |_: &u8| std::thread::sleep(Duration::from_millis(5));
    // A worker that does not run after its last item may add its time too late for the map's end.
    eventually("both have added their time", || {
        pool.batch().chunk_size(1).map(task, &[0u8; 40]).unwrap();
        let job = pool.last_job().unwrap();
        assert_eq!((job.items, job.workers), (40, 2));
        assert!(job.wall_ns >= 100_000_000, "{job:?}");
        assert!(job.speed_up() <= 2.0 && job.efficiency() <= 1.0);
        job.busy_ns >= 200_000_000 && (0.0..=1.0).contains(&job.serial_part().unwrap())
    });
}

fn given_back() {
    let shared = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let pool = Pool::new(1).unwrap();
    let before = shared();
    for round in 0..2u64 {
        pool.map(|x| x + 1, &vec![round; 1 << 20]).unwrap();
        assert!(shared() > before + 8000, "{} KiB", shared());
        eventually("it is given back", || shared() < before + 1000);
        assert_eq!(pool.map(|x| x + 1, &vec![round; 1000]).unwrap(), vec![round + 1; 1000]);
    }
    let kept = pool.map_async(|x| x + 1, &vec![7u64; 1 << 20]).unwrap();
    kept.wait().unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert!(
        kept.get().unwrap().iter().all(|&output| output == 8),
        "a result is kept as long as it is wanted"
    );
}

fn scale() {
    let pool = Pool::new(64).unwrap();
    let inputs: Vec<u32> = (0..10_000_000).collect();
    let mut outputs = vec![0u32; inputs.len()];
    pool.batch().map_into(|x| x ^ 0x5555_5555, &inputs, &mut outputs).unwrap();
    assert!(outputs.iter().zip(&inputs).all(|(output, input)| *output == input ^ 0x5555_5555));
    let few = pool.batch().chunk_size(1).map(|x| x + 1, &inputs[..100_000]).unwrap();
    assert!(few.iter().zip(&inputs).all(|(output, input)| *output == input + 1));
}
