//! The mutex beside glibc's process-shared ones: between processes, in one run.
//!
//! `cargo bench --bench mutex`: first a table of paired rounds (what claims are made from; `ROUNDS` sets
//! their number), then criterion's own samples. Every run checks that no increment was lost.

#[path = "peers/pthread.rs"]
mod pthread;
mod support;

use std::time::{Duration, Instant};

use criterion::BenchmarkId;
use forq::{Mutex, Shared};
use pthread::{Kind, PthreadMutex};
use support::{Peer, brief, criterion, is_trial, paired, start, together};

/// A lock around a counter.
trait Counter {
    fn increment(&self);
    fn count(&self) -> u64;
}

impl Counter for Mutex<u64> {
    fn increment(&self) {
        *self.lock().expect("nobody dies here") += 1;
    }

    fn count(&self) -> u64 {
        *self.lock().expect("nobody dies here")
    }
}

impl Counter for PthreadMutex {
    fn increment(&self) {
        self.with(|count| *count += 1);
    }

    fn count(&self) -> u64 {
        self.count()
    }
}

/// So many increments by each of so many processes that start together.
fn contend(counter: &impl Counter, processes: usize, each: u64) -> Duration {
    let before = counter.count();
    let (done, elapsed) = together(processes, |_| {
        (0..each).for_each(|_| counter.increment());
        each
    });
    assert_eq!(counter.count() - before, done, "an increment was lost");
    elapsed
}

/// Increments in this process alone.
fn alone(counter: &impl Counter, count: u64) -> Duration {
    let started = Instant::now();
    (0..count).for_each(|_| counter.increment());
    started.elapsed()
}

fn main() {
    start();
    let forq = Shared::new(Mutex::new(0u64)).expect("shared memory");
    let robust = PthreadMutex::new(Kind::Robust);
    let plain = PthreadMutex::new(Kind::Plain);

    if !is_trial() {
        tables(&forq, &robust, &plain);
    }

    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("mutex/uncontended");
    group.bench_function("forq", |b| b.iter_custom(|count| alone(&*forq, count)));
    group.bench_function("glibc robust", |b| b.iter_custom(|count| alone(&*robust, count)));
    group.bench_function("glibc plain", |b| b.iter_custom(|count| alone(&*plain, count)));
    group.finish();
    let mut group = criterion.benchmark_group("mutex/empty section");
    for processes in [2, 4] {
        let of = |name: &str| BenchmarkId::new(name, processes);
        let each = |count: u64| count.div_ceil(processes as u64);
        group.bench_function(of("forq"), |b| b.iter_custom(|n| contend(&*forq, processes, each(n))));
        group
            .bench_function(of("glibc robust"), |b| b.iter_custom(|n| contend(&*robust, processes, each(n))));
        group.bench_function(of("glibc plain"), |b| b.iter_custom(|n| contend(&*plain, processes, each(n))));
    }
    group.finish();
    criterion.final_summary();
}

fn tables(forq: &Mutex<u64>, robust: &PthreadMutex, plain: &PthreadMutex) {
    const ROUNDS: usize = 21;
    let count = brief(5_000_000) as u64;
    let per = |elapsed: Duration| elapsed.as_nanos() as f64 / count as f64;
    let mut peers: [Peer<'_>; 3] = [
        ("forq", Box::new(|| per(alone(forq, count)))),
        ("glibc robust", Box::new(|| per(alone(robust, count)))),
        ("glibc plain", Box::new(|| per(alone(plain, count)))),
    ];
    paired("uncontended lock + unlock", "ns (less is better)", ROUNDS, &mut peers);
    for processes in [2, 4] {
        let each = brief(4_000_000 / processes) as u64;
        let rate = |elapsed: Duration| (each * processes as u64) as f64 / elapsed.as_secs_f64() / 1e6;
        let mut peers: [Peer<'_>; 3] = [
            ("forq", Box::new(|| rate(contend(forq, processes, each)))),
            ("glibc robust", Box::new(|| rate(contend(robust, processes, each)))),
            ("glibc plain", Box::new(|| rate(contend(plain, processes, each)))),
        ];
        paired(
            &format!("{processes} processes, empty section"),
            "million/s (more is better)",
            ROUNDS,
            &mut peers,
        );
    }
}
