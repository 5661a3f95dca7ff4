//! What a map takes of memory: pages, and faults.

use std::time::{Duration, Instant};

use forq::Pool;

use crate::MILLION;
use crate::support::{is_quick, record};

/// Bytes of shared memory that are present in this process.
fn shared() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// Pages of the arena that a map of 10^6 items takes, over those of the caller's arrays.
pub(crate) fn memory(_: &Pool) {
    let pool = Pool::new(2).expect("a pool");
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0u64; MILLION];
    let before = shared();
    pool.batch().map_into(|x| x ^ 1, &inputs, &mut outputs).expect("a map");
    let taken = shared() - before;
    let times = taken / (16.0 * MILLION as f64);
    record("memory of a map over 10^6 u64", "by the caller's arrays", "times (less is better)", &[times]);
    println!("\nmap over 10^6 u64: shared memory of {times:.4} times the caller's arrays");
}

/// Page faults of a map of 8 MB in and out: of the first, of one soon after, of one after a rest in which the pool gave its memory back.
pub(crate) fn faults(pool: &Pool) {
    let of = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        rest.split(' ').nth(7).and_then(|faults| faults.parse().ok()).unwrap_or(0)
    };
    let all = || -> [u64; 3] {
        let workers =
            [0, 1].map(|worker| pool.worker_statistics(worker).map_or(0, |worker| worker.pid as u32));
        [of(std::process::id()), of(workers[0]), of(workers[1])]
    };
    let inputs: Vec<u64> = (0..MILLION as u64).collect();
    let mut outputs = vec![0; MILLION];
    println!("\nmap of x * x over 10^6 u64: page faults of the host and the workers, and time");
    for (name, pause, maps) in [("first", 0, 1), ("soon after", 0, 20), ("after a rest", 11_000, 1)] {
        if pause > 0 && is_quick() {
            continue;
        }
        std::thread::sleep(Duration::from_millis(pause));
        let before = all();
        let mut best = f64::MAX;
        for _ in 0..maps {
            let started = Instant::now();
            pool.batch().map_into(|x| x.wrapping_mul(*x), &inputs, &mut outputs).expect("a map");
            best = best.min(started.elapsed().as_secs_f64() * 1e3);
        }
        let after = all();
        let each: Vec<u64> =
            after.iter().zip(before).map(|(after, before)| (after - before) / maps).collect();
        println!("  {name:<14} {each:?}  {best:.2} ms");
    }
}
