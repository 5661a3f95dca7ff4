//! What a program that is looked at loses: a contended mutex and a queue, with and without `forq-top` beside them.
//!
//! `cargo bench --bench under_top`: `ROUNDS` (9) paired rounds of `SECONDS` (3) each, in changing order; medians. Two processes take one
//! mutex in turn with putting to and getting from one queue; counted is what they do in a second of CPU time, so that a loaded machine can tell.
//! Beside them a process takes samples as `forq-top --json` does, of all processes of this user, once a second; what that takes is told, too.

#[path = "../examples/inspect/mod.rs"]
mod inspect;
#[path = "../examples/forq-top/json.rs"]
mod json;
#[path = "../examples/forq-top/sample.rs"]
mod sample;
mod support;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Mutex, Process, Queue, Shared};
use sample::Sampler;
use support::{Peer, paired, setting, together};

/// Millions of operations in a second of CPU time.
fn work(length: Duration) -> f64 {
    let count = Shared::new(Mutex::new(0u64)).expect("memory");
    let queue = Queue::<u64>::new(1024).expect("memory");
    count.set_name("count").expect("a name");
    queue.set_name("messages").expect("a name");
    let spent = Shared::new(AtomicU64::new(0)).expect("memory");
    let (done, _) = together(2, |_| {
        let (started, before, mut done) = (Instant::now(), cpu_time(), 0);
        while started.elapsed() < length {
            for round in 0..100 {
                *count.lock().expect("nobody dies") += 1;
                queue.put(round).expect("it is open");
                queue.get().expect("it is open");
                done += 3;
            }
        }
        spent.fetch_add(cpu_time() - before, Ordering::Relaxed);
        done
    });
    done as f64 / spent.load(Ordering::Relaxed) as f64 * 1e3
}

/// Nanoseconds of CPU time that this process has used.
fn cpu_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Adds the CPU time of each sample, how many there were, and in how many it saw both objects.
fn under_top(length: Duration, [spent, samples, seen]: &[AtomicU64; 3]) -> f64 {
    let mut top = Process::spawn(|| {
        let (mut sampler, started) = (Sampler::new(&[]), Instant::now());
        let mut out = std::fs::File::create("/dev/null").expect("a sink");
        for second in 1.. {
            let before = cpu_time();
            let sample = sampler.next().expect("/proc is there").expect("no process was asked for");
            writeln!(out, "{}", sample.to_json()).expect("a sink takes all");
            spent.fetch_add(cpu_time() - before, Ordering::Relaxed);
            samples.fetch_add(1, Ordering::Relaxed);
            let is_both = sample.mutexes.iter().any(|row| row.name == "count")
                && sample.queues.iter().any(|row| row.name == "messages");
            seen.fetch_add(is_both.into(), Ordering::Relaxed);
            std::thread::sleep(
                (started + Duration::from_secs(second)).saturating_duration_since(Instant::now()),
            );
        }
    })
    .expect("a process");
    let rate = work(length);
    top.kill().expect("it runs");
    top.join().expect("a child");
    rate
}

fn main() {
    support::start();
    // Not less than a second, in which forq-top looks once.
    let length = Duration::from_secs(setting("SECONDS", if support::is_quick() { 1 } else { 3 }) as u64);
    let cost = Shared::new([const { AtomicU64::new(0) }; 3]).expect("memory");
    let mut peers: [Peer<'_>; 2] =
        [("under forq-top", Box::new(|| under_top(length, &cost))), ("alone", Box::new(|| work(length)))];
    paired(
        "mutex and queue, 2 processes",
        "million operations in a second of CPU time",
        setting("ROUNDS", 9),
        &mut peers,
    );
    let [spent, samples, seen] = cost.each_ref().map(|number| number.load(Ordering::Relaxed));
    // A quick run may be over between two samples.
    assert!(seen > 0 || support::is_quick(), "it looked at something else");
    println!("  a sample takes {:.2} ms of CPU time", spent as f64 / 1e6 / samples.max(1) as f64);
}
