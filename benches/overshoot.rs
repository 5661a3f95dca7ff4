//! How much later than its time limit a wait ends that nobody ends before.
//!
//! `cargo bench --bench overshoot`: `WAITS` (200) waits of each kind and limit; quantiles of what passed beyond the limit. No
//! wait may end before its time. A plain sleep is beside it: what the kernel's timer and the way back to the CPU take.

mod support;

use std::time::{Duration, Instant};

use forq::{Barrier, Condvar, Error, Event, LockError, Mutex, Process, Semaphore, Shared};
use support::{brief, is_trial, median, quantile, record, setting, start};

forq::shareable! {
    struct Objects {
        held: Mutex<u64>,
        own: Mutex<u64>,
        condvar: Condvar,
        semaphore: Semaphore,
        event: Event,
        barrier: Barrier,
        is_held: Event,
        done: Event,
    }
}

/// A kind of wait, for a time.
type Wait<'a> = (&'a str, Box<dyn Fn(Duration) + 'a>);

fn waits(objects: &Objects) -> Vec<Wait<'_>> {
    vec![
        ("plain sleep", Box::new(std::thread::sleep)),
        (
            "mutex, held by another process",
            Box::new(|time| assert!(matches!(objects.held.lock_timeout(time), Err(LockError::TimedOut)))),
        ),
        (
            "semaphore",
            Box::new(|time| assert_eq!(objects.semaphore.acquire_timeout(time), Err(Error::TimedOut))),
        ),
        (
            "condition variable",
            Box::new(|time| {
                let guard = objects.own.lock().expect("nobody died");
                let (_guard, result) = objects.condvar.wait_timeout(guard, time).expect("nobody died");
                assert!(result.timed_out());
            }),
        ),
        ("event", Box::new(|time| assert_eq!(objects.event.wait_timeout(time), Err(Error::TimedOut)))),
        (
            "barrier",
            Box::new(|time| {
                assert_eq!(objects.barrier.wait_timeout(time), Err(Error::TimedOut));
                objects.barrier.reset();
            }),
        ),
    ]
}

/// Microseconds beyond the limit, the least first.
fn overshoots(wait: &dyn Fn(Duration), limit: Duration, count: usize) -> Vec<f64> {
    let mut beyond: Vec<f64> = (0..count)
        .map(|_| {
            let started = Instant::now();
            wait(limit);
            let passed = started.elapsed();
            assert!(passed >= limit, "a wait of {limit:?} ended after {passed:?}");
            (passed - limit).as_nanos() as f64 / 1000.0
        })
        .collect();
    beyond.sort_by(f64::total_cmp);
    beyond
}

fn main() {
    start();
    let count = if is_trial() { 3 } else { brief(setting("WAITS", 200)).max(1) };
    let objects = Shared::new(Objects {
        held: Mutex::new(0),
        own: Mutex::new(0),
        condvar: Condvar::new(),
        semaphore: Semaphore::new(0),
        event: Event::new(),
        barrier: Barrier::new(2),
        is_held: Event::new(),
        done: Event::new(),
    })
    .expect("shared memory");
    let mut holder = Process::spawn(|| {
        let _guard = objects.held.lock().expect("the first");
        objects.is_held.set();
        objects.done.wait().expect("no signals");
    })
    .expect("a process");
    objects.is_held.wait().expect("no signals");
    for limit in [Duration::from_millis(1), Duration::from_millis(20)] {
        let title = format!("beyond a limit of {limit:?}");
        println!("\n{title}: {count} waits each, us");
        for (name, wait) in waits(&objects) {
            let beyond = overshoots(&wait, limit, count);
            record(&title, name, "us (less is better)", &beyond);
            println!(
                "  {name:<32} median {:>8.1}  90 % {:>8.1}  99 % {:>8.1}  least {:>8.1}  most {:>8.1}",
                median(&beyond),
                quantile(&beyond, 0.9),
                quantile(&beyond, 0.99),
                beyond[0],
                beyond[count - 1]
            );
        }
    }
    objects.done.set();
    assert!(holder.join().expect("the holder").success());
}
