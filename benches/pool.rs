//! The pool beside other pools (Python's, a pool of forks and sockets in C, threads of rayon and OpenMP as yardsticks), and beside what its parts
//! cost bare: forked processes, futex round trips.
//!
//! `cargo bench --bench pool`: first tables of paired rounds (`ROUNDS` sets their number; `CELLS` picks some, as in `CELLS=tiny,start`:
//! their names are in `tables`), then, unless some were picked, criterion's own samples. Every run checks its results.

#[path = "pool/memory.rs"]
mod memory;
#[path = "peers/pools.rs"]
mod pools;
#[path = "peers/program.rs"]
mod program;
#[path = "pool/scheduling.rs"]
mod scheduling;
mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{Pool, Process, Shared};
use rayon::prelude::*;
use support::{
    Peer, await_one_thread, brief, criterion, is_quick, is_trial, paired, pin, record, setting, start,
};

const MILLION: usize = 1_000_000;
const ITEMS: usize = 100_000;

/// Work of a fixed number of steps: the same whoever does it, instruction by instruction that of `work` in peers/pool.c.
fn work(steps: u32) -> u32 {
    (0..steps).fold(1, |x: u32, step| {
        let mut next = u64::from((x ^ step).wrapping_mul(0x9E37_79B1));
        // SAFETY: no instruction. The value stays in its register, but nobody knows which it is.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) next, options(nomem, nostack, preserves_flags)) };
        next as u32
    })
}

/// How many steps take 10 us here, by the fastest of many tries.
fn ten_microseconds() -> u32 {
    const STEPS: u32 = 100_000;
    let fastest = (0..50)
        .map(|_| {
            let started = Instant::now();
            black_box(work(STEPS));
            started.elapsed().as_nanos()
        })
        .min()
        .unwrap_or(1);
    (10_000 * u128::from(STEPS) / fastest.max(1)) as u32
}

fn main() {
    start();
    if !is_trial() {
        tables();
        if std::env::var_os("CELLS").is_some() {
            return;
        }
    }
    let pool = Pool::new(2).expect("a pool of two");
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0; MILLION];
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("pool");
    group.bench_function("map of x * x over 10^6", |b| {
        b.iter(|| pool.batch().map_into(|x| x.wrapping_mul(*x), &inputs, &mut outputs));
    });
    group.bench_function("apply", |b| b.iter(|| pool.apply(|x| x + 1, &1u64)));
    group.bench_function("start and stop of 2", |b| b.iter(|| Pool::new(2)));
    group.finish();
    criterion.final_summary();
}

fn tables() {
    let rounds = if is_quick() { 1 } else { setting("ROUNDS", 15) };
    let picked = std::env::var("CELLS").unwrap_or_default();
    let wanted = |name: &str| picked.is_empty() || picked.split(',').any(|cell| cell.trim() == name);
    let pool = &Pool::new(2).expect("a pool of two");
    let mut others = pools::Pools::start();
    if wanted("tiny") {
        tiny(pool, &mut others, rounds);
    }
    if wanted("one") {
        one_by_one(pool, &mut others, rounds);
    }
    if wanted("apply") {
        small(pool, &mut others, rounds);
    }
    if wanted("start") {
        start_and_stop(&mut others, rounds);
    }
    drop(others);
    if wanted("overhead") {
        scheduling::overhead(pool, rounds);
    }
    if wanted("efficiency") {
        scheduling::efficiency(pool, "10^5 items of 10 us", brief(ITEMS), ten_microseconds(), rounds.min(7));
        scheduling::efficiency(
            pool,
            "500 items of 10 ms",
            brief(500),
            ten_microseconds() * 1000,
            rounds.min(5),
        );
    }
    if wanted("scale") {
        scheduling::scale(rounds.min(5));
    }
    if wanted("skew") {
        scheduling::skew(pool, rounds.min(3));
    }
    if wanted("cluster") {
        scheduling::cluster(pool, rounds.min(3));
    }
    if wanted("memory") {
        memory::memory(pool);
    }
    if wanted("faults") {
        memory::faults(pool);
    }
    if wanted("pinned") {
        for (title, cpus) in [("one CPU", [0, 0]), ("two CPUs", [0, 1])] {
            apply(title, cpus, rounds);
        }
    }
    if wanted("rest") {
        rest(pool);
    }
}

/// A map of next to nothing.
fn tiny(pool: &Pool, others: &mut pools::Pools, rounds: usize) {
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0; MILLION];
    let mut serial = vec![0; MILLION];
    let best = best_chunk(others);
    let milliseconds = |started: Instant| started.elapsed().as_secs_f64() * 1e3;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let mut in_threads = vec![0; MILLION];
    let (mut pure, forq) = (
        vec![0; MILLION],
        Box::new(|| {
            let started = Instant::now();
            pool.batch().map_into(|x| x.wrapping_mul(*x), &inputs, &mut outputs).expect("a map");
            assert_eq!(outputs[999_999], 999_998_000_001);
            milliseconds(started)
        }),
    );
    let mut peers: Vec<Peer<'_>> = vec![
        ("forq, 2 workers", forq),
        (
            "forq map_pure",
            Box::new(|| {
                let started = Instant::now();
                pool.batch().map_pure_into(|x| x.wrapping_mul(*x), &inputs, &mut pure).expect("a map");
                assert_eq!(pure[999_999], 999_998_000_001);
                milliseconds(started)
            }),
        ),
        (
            "this process alone",
            Box::new(|| {
                let started = Instant::now();
                for (output, input) in serial.iter_mut().zip(&inputs) {
                    *output = black_box(input.wrapping_mul(*input));
                }
                milliseconds(started)
            }),
        ),
        (
            "rayon, 2 threads",
            Box::new(|| {
                let started = Instant::now();
                threads.install(|| {
                    inputs.par_iter().map(|x| x.wrapping_mul(*x)).collect_into_vec(&mut in_threads)
                });
                milliseconds(started)
            }),
        ),
    ];
    let tiny = format!("tiny {best}");
    if let Some(peer) = &mut others.fork {
        peers.push(("C, forks and sockets", Box::new(move || peer.sample(&tiny) / 1e6)));
    }
    if let Some(peer) = &mut others.openmp {
        peers.push(("OpenMP, 2 threads, static", Box::new(|| peer.sample("tiny 0") / 1e6)));
    }
    if let Some(peer) = &mut others.python {
        peers.push(("Python Pool.map", Box::new(|| peer.sample("tiny 0") / 1e6)));
    }
    paired("map of x * x over 10^6 u64", "ms (less is better)", rounds, &mut peers);
    drop(peers);
    drop(threads);
    await_one_thread();
}

/// The chunk with which the pool in C is fastest.
fn best_chunk(others: &mut pools::Pools) -> usize {
    let Some(peer) = &mut others.fork else { return 0 };
    let mut fastest =
        |chunk: usize| (0..5).map(|_| peer.sample(&format!("tiny {chunk}"))).fold(f64::MAX, f64::min);
    let chunks = [1000, 2000, 4000, 8000, 16_000, 31_250, 62_500, 125_000, 250_000, 500_000];
    let best = chunks
        .into_iter()
        .map(|chunk| (fastest(chunk), chunk))
        .min_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or(0, |(_, chunk)| chunk)
}

/// Items of 10 us, one by one: the time of each pool over what two workers need without any overhead.
fn one_by_one(pool: &Pool, others: &mut pools::Pools, rounds: usize) {
    let count = brief(20_000);
    let steps = vec![ten_microseconds(); count];
    let request = format!("work {} {count} 1", steps[0]);
    let (c, python) = (request.clone(), format!("work 10000 {count} 1"));
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq, chunks of 1",
        Box::new(|| {
            let started = Instant::now();
            pool.batch().chunk_size(1).map(|&steps| work(steps), &steps).expect("a map");
            started.elapsed().as_secs_f64() * 1e3
        }),
    )];
    if let Some(peer) = &mut others.openmp {
        peers.push(("OpenMP, dynamic 1", Box::new(move || peer.sample(&request) / 1e6)));
    }
    if let Some(peer) = &mut others.fork {
        peers.push(("C, forks and sockets", Box::new(move || peer.sample(&c) / 1e6)));
    }
    if let Some(peer) = &mut others.python {
        peers.push(("Python imap, chunksize 1", Box::new(move || peer.sample(&python) / 1e6)));
    }
    paired(
        "20,000 items of 10 us one by one",
        "ms, 100 without overhead (less is better)",
        rounds.min(7),
        &mut peers,
    );
}

/// `apply` as it is used: not pinned.
fn small(pool: &Pool, others: &mut pools::Pools, rounds: usize) {
    const APPLIES: u64 = 500;
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq apply",
        Box::new(|| {
            let started = Instant::now();
            for x in 0..APPLIES {
                assert_eq!(pool.apply(|x| x * x, &x).expect("an apply"), x * x);
            }
            started.elapsed().as_secs_f64() / APPLIES as f64 * 1e6
        }),
    )];
    let per = |nanos: f64| nanos / APPLIES as f64 / 1e3;
    if let Some(peer) = &mut others.fork {
        peers.push(("C, forks and sockets", Box::new(move || per(peer.sample("apply 500")))));
    }
    if let Some(peer) = &mut others.python {
        peers.push(("Python Pool.apply", Box::new(move || per(peer.sample("apply 500")))));
    }
    paired("apply", "us (less is better)", rounds, &mut peers);
}

/// A pool made, and ended.
fn start_and_stop(others: &mut pools::Pools, rounds: usize) {
    let mut peers: Vec<Peer<'_>> = vec![
        (
            "forq start + stop",
            Box::new(|| {
                let started = Instant::now();
                drop(Pool::new(2).expect("a pool"));
                started.elapsed().as_secs_f64() * 1e6
            }),
        ),
        (
            "forq start",
            Box::new(|| {
                let started = Instant::now();
                let pool = Pool::new(2).expect("a pool");
                let taken = started.elapsed().as_secs_f64() * 1e6;
                drop(pool);
                taken
            }),
        ),
        (
            "three forks, one by one",
            Box::new(|| {
                let started = Instant::now();
                for _ in 0..3 {
                    let mut child = Process::spawn(|| ()).expect("a process");
                    child.join().expect("a child");
                }
                started.elapsed().as_secs_f64() * 1e6
            }),
        ),
    ];
    if let Some(peer) = &mut others.fork {
        peers.push(("C, forks and sockets", Box::new(|| peer.sample("start") / 1e3)));
    }
    if let Some(peer) = &mut others.python {
        peers.push(("Python Pool", Box::new(|| peer.sample("start") / 1e3)));
    }
    paired("a pool of 2", "us (less is better)", rounds, &mut peers);
}

/// `apply` beside a futex round trip between two processes, both pinned the same way.
fn apply(title: &str, cpus: [usize; 2], rounds: usize) {
    let trips = brief(2000) as u32;
    let sample = |measure: &dyn Fn() -> Duration| {
        let nanos = Shared::new(std::sync::atomic::AtomicU64::new(0)).expect("shared memory");
        let mut host = Process::spawn(|| nanos.store(measure().as_nanos() as u64, Ordering::Relaxed))
            .expect("a process");
        assert!(host.join().expect("a child").success());
        nanos.load(Ordering::Relaxed) as f64 / f64::from(trips) / 1e3
    };
    let pool = || {
        let to_worker = || pin(cpus[1]);
        let pool = Pool::builder().workers(1).initializer(&to_worker).build().expect("a pool");
        pin(cpus[0]);
        for warm_up in 0..100u64 {
            assert_eq!(pool.apply(|x| x + 1, &warm_up).expect("an apply"), warm_up + 1);
        }
        let started = Instant::now();
        for x in 0..u64::from(trips) {
            assert_eq!(pool.apply(|x| x + 1, &x).expect("an apply"), x + 1);
        }
        started.elapsed()
    };
    let futex = || {
        let ball = Shared::new(AtomicU32::new(0)).expect("shared memory");
        let mut other = Process::spawn(|| {
            pin(cpus[1]);
            (0..trips + 100).for_each(|trip| hit(&ball, 2 * trip + 1));
        })
        .expect("a process");
        pin(cpus[0]);
        let mut started = Instant::now();
        for trip in 0..trips + 100 {
            if trip == 100 {
                started = Instant::now();
            }
            hit(&ball, 2 * trip);
        }
        while ball.load(Ordering::Acquire) != 2 * (trips + 100) {
            std::thread::yield_now();
        }
        let elapsed = started.elapsed();
        assert!(other.join().expect("a child").success());
        elapsed
    };
    let mut peers: [Peer<'_>; 2] =
        [("forq apply", Box::new(|| sample(&pool))), ("futex round trip", Box::new(|| sample(&futex)))];
    paired(&format!("apply, pinned to {title}"), "us (less is better)", rounds, &mut peers);
}

/// Waits until the ball is here, and sends it back.
fn hit(ball: &AtomicU32, turn: u32) {
    loop {
        let seen = ball.load(Ordering::Acquire);
        if seen == turn {
            break;
        }
        // SAFETY: the word is mapped; the kernel only compares it.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                ball.as_ptr(),
                libc::FUTEX_WAIT,
                seen,
                std::ptr::null::<libc::timespec>(),
            );
        }
    }
    ball.store(turn + 1, Ordering::Release);
    // SAFETY: only an address.
    unsafe { libc::syscall(libc::SYS_futex, ball.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// CPU time that the workers take while there is nothing to do.
fn rest(pool: &Pool) {
    let used = || -> u64 {
        (0..2)
            .filter_map(|worker| pool.worker_statistics(worker))
            .filter_map(|worker| std::fs::read_to_string(format!("/proc/{}/schedstat", worker.pid)).ok())
            .filter_map(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    std::thread::sleep(Duration::from_millis(100));
    let before = used();
    std::thread::sleep(Duration::from_secs(2));
    let percent = (used() - before) as f64 / 2e9 * 100.0;
    record("at rest", "both workers together", "% of one CPU (less is better)", &[percent]);
    println!("\nat rest for 2 s: {percent:.4} % of one CPU, both workers together");
}
