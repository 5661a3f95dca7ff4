//! The pool beside what its parts cost bare: forked processes, futex round trips.
//!
//! `cargo bench --bench pool`: first tables of paired rounds (`ROUNDS` sets their number), then criterion's
//! own samples. Every run checks its results.

mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use forq::{Pool, Process, Shared};
use support::{Peer, paired, pin, setting, together};

const MILLION: usize = 1_000_000;
const ITEMS: usize = 100_000;

/// Work of a fixed number of steps: the same whoever does it.
fn work(steps: u32) -> u32 {
    (0..steps).fold(1, |x, step| black_box(x ^ step).wrapping_mul(0x9E37_79B1))
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
    let pool = Pool::new(2).expect("a pool of two");
    if !std::env::args().any(|argument| argument == "--test") {
        tables(&pool);
    }
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0; MILLION];
    let mut criterion = Criterion::default().configure_from_args().sample_size(15);
    let mut group = criterion.benchmark_group("pool");
    group.bench_function("map of x * x over 10^6", |b| {
        b.iter(|| pool.batch().map_into(|x| x.wrapping_mul(*x), &inputs, &mut outputs));
    });
    group.bench_function("apply", |b| b.iter(|| pool.apply(|x| x + 1, &1u64)));
    group.bench_function("start and stop of 2", |b| b.iter(|| Pool::new(2)));
    group.finish();
    criterion.final_summary();
}

fn tables(pool: &Pool) {
    let rounds = setting("ROUNDS", 15);
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0; MILLION];
    let mut serial = vec![0; MILLION];
    let milliseconds = |started: Instant| started.elapsed().as_secs_f64() * 1e3;
    let mut peers: [Peer<'_>; 2] = [
        (
            "forq, 2 workers",
            Box::new(|| {
                let started = Instant::now();
                pool.batch().map_into(|x| x.wrapping_mul(*x), &inputs, &mut outputs).expect("a map");
                assert_eq!(outputs[999_999], 999_998_000_001);
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
    ];
    paired("map of x * x over 10^6 u64", "ms (less is better)", rounds, &mut peers);
    overhead(pool, rounds);
    for (title, cpus) in [("one CPU", [0, 0]), ("two CPUs", [0, 1])] {
        apply(title, cpus, rounds);
    }
    rest(pool);
}

/// 10^5 items of 10 us one by one, beside two bare processes that do half each.
fn overhead(pool: &Pool, rounds: usize) {
    let steps = [ten_microseconds(); ITEMS];
    let mut pool_times = Vec::new();
    let mut bare_times = Vec::new();
    for round in 0..=rounds.min(15) {
        let (_, bare) =
            together(2, |_| steps[..ITEMS / 2].iter().map(|&steps| u64::from(work(steps) & 1)).sum());
        let started = Instant::now();
        pool.batch().chunk_size(1).map(|&steps| work(steps), &steps).expect("a map");
        if round > 0 {
            pool_times.push(started.elapsed().as_secs_f64());
            bare_times.push(bare.as_secs_f64());
        }
    }
    let each: Vec<f64> = pool_times
        .iter()
        .zip(&bare_times)
        .map(|(pool, bare)| (pool - bare) * 2.0 / ITEMS as f64 * 1e9)
        .collect();
    println!("\n10^5 items of 10 us, chunk size 1, 2 workers: {} paired rounds", each.len());
    println!(
        "  forq {:.1} ms, two bare processes {:.1} ms",
        support::median(&pool_times) * 1e3,
        support::median(&bare_times) * 1e3
    );
    println!("  overhead an item, median of the rounds: {:.0} ns of one worker", support::median(&each));
}

/// `apply` beside a futex round trip between two processes, both pinned the same way.
fn apply(title: &str, cpus: [usize; 2], rounds: usize) {
    const TRIPS: u32 = 2000;
    let sample = |measure: &dyn Fn() -> Duration| {
        let nanos = Shared::new(std::sync::atomic::AtomicU64::new(0)).expect("shared memory");
        let mut host = Process::spawn(|| nanos.store(measure().as_nanos() as u64, Ordering::Relaxed))
            .expect("a process");
        assert!(host.join().expect("a child").success());
        nanos.load(Ordering::Relaxed) as f64 / f64::from(TRIPS) / 1e3
    };
    let pool = || {
        let to_worker = || pin(cpus[1]);
        let pool = Pool::builder().workers(1).initializer(&to_worker).build().expect("a pool");
        pin(cpus[0]);
        for warm_up in 0..100u64 {
            assert_eq!(pool.apply(|x| x + 1, &warm_up).expect("an apply"), warm_up + 1);
        }
        let started = Instant::now();
        for x in 0..u64::from(TRIPS) {
            assert_eq!(pool.apply(|x| x + 1, &x).expect("an apply"), x + 1);
        }
        started.elapsed()
    };
    let futex = || {
        let ball = Shared::new(AtomicU32::new(0)).expect("shared memory");
        let mut other = Process::spawn(|| {
            pin(cpus[1]);
            (0..TRIPS + 100).for_each(|trip| hit(&ball, 2 * trip + 1));
        })
        .expect("a process");
        pin(cpus[0]);
        let mut started = Instant::now();
        for trip in 0..TRIPS + 100 {
            if trip == 100 {
                started = Instant::now();
            }
            hit(&ball, 2 * trip);
        }
        while ball.load(Ordering::Acquire) != 2 * (TRIPS + 100) {
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
    println!(
        "\nat rest for 2 s: {:.4} % of one CPU, both workers together",
        (used() - before) as f64 / 2e9 * 100.0
    );
}
