//! The mutex under contention, beside every lock that could stand in its place: 1, 2, 4 and 8 processes, sections
//! of nothing, 100 ns, 1 us and 10 us, and as long outside.
//!
//! `cargo bench --bench contention`. Each sample is `MILLIS` (20) of work, each cell `ROUNDS` (15) paired rounds after one that
//! warms up, each shuffled; printed are medians. `CELLS` and `PEERS` pick some, as in `CELLS="2 x 100, 4 x 0"`. With `--test` one
//! short round. Every sample checks that no increment of the guarded counter was lost.
//! - throughput: sections a microsecond, all processes together;
//! - fairness: fewest by most sections of a process, 1 is fair;
//! - CPU: nanoseconds of processor a section, the section's own included;
//! - sleeps: how often a thousand sections gave up the CPU in the kernel, by the kernel's count.

#[path = "contention/course.rs"]
mod course;
#[path = "peers/futex.rs"]
mod futex;
#[path = "peers/pthread.rs"]
mod pthread;
#[path = "peers/semaphore.rs"]
mod semaphore;
mod support;

use std::time::Duration;

use course::{Peer, Work, cell, peer};
use forq::{Mutex, Shared};
use futex::WordLock;
use pthread::{Kind, PthreadMutex};
use semaphore::PosixSemaphore;
use support::{is_quick, is_trial, median, record, setting, start};

const PROCESSES: [usize; 4] = [1, 2, 4, 8];
/// Nanoseconds.
const SECTIONS: [u64; 4] = [0, 100, 1_000, 10_000];

/// forq's lock when its waiters sleep at once.
const HASTY: &str = "forq, no back-off";
/// Between processes, and able to sleep: what the default is measured against.
const RIVALS: [&str; 5] = ["glibc plain", "glibc robust", "glibc adaptive", "sem_t", "futex only"];

fn main() {
    start();
    let millis = if is_trial() { 2 } else { setting("MILLIS", if is_quick() { 5 } else { 20 }) };
    let time = Duration::from_millis(millis as u64);
    let picked = std::env::var("CELLS").unwrap_or_default();
    let wanted = std::env::var("PEERS").unwrap_or_default();

    let forq = Shared::new(Mutex::new(0u64)).expect("shared memory");
    let hasty = Shared::new(Mutex::new(0u64)).expect("shared memory");
    let plain = PthreadMutex::new(Kind::Plain);
    let robust = PthreadMutex::new(Kind::Robust);
    let adaptive = PthreadMutex::new(Kind::Adaptive);
    let posix = PosixSemaphore::new();
    let sleeping = WordLock::sleeping();
    let spinning = WordLock::spinning();
    let std_mutex = std::sync::Mutex::new(0u64);
    let parking_lot = parking_lot::Mutex::new(0u64);
    let mut peers = vec![
        peer!("forq", false, |section| section(&mut forq.lock().expect("nobody dies"))),
        peer!(HASTY, false, |section| section(&mut hasty.lock().expect("nobody dies"))),
        peer!("glibc plain", false, |section| plain.with(section)),
        peer!("glibc robust", false, |section| robust.with(section)),
        peer!("glibc adaptive", false, |section| adaptive.with(section)),
        peer!("sem_t", false, |section| posix.with(section)),
        peer!("futex only", false, |section| sleeping.with(section)),
        peer!("spin only", false, |section| spinning.with(section)),
        peer!("std (threads)", true, |section| section(&mut std_mutex.lock().expect("no panic"))),
        peer!("parking_lot (threads)", true, |section| section(&mut parking_lot.lock())),
    ];
    peers.retain(|peer| wanted.is_empty() || wanted.split(',').any(|name| peer.name == name.trim()));

    let mut ratios: Vec<(String, f64)> = Vec::new();
    for nanos in SECTIONS {
        let work = Work::calibrate(nanos);
        for processes in PROCESSES {
            let title = format!("{processes} x {nanos}");
            if picked.is_empty() || picked.split(',').any(|cell| cell.trim() == title) {
                let prepare = |peer: &Peer<'_>| forq::__set_backoff(peer.name != HASTY);
                let rates = cell(&format!("{title} ns"), processes, work, time, 15, &peers, &prepare);
                forq::__set_backoff(true);
                ratios.extend(beside_best(&peers, &rates).map(|ratio| (title, ratio)));
            }
        }
    }
    ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((title, worst)) = ratios.first() {
        let all: Vec<f64> = ratios.iter().map(|cell| cell.1).collect();
        if all.len() == PROCESSES.len() * SECTIONS.len() {
            record("all cells", "forq / best lock between processes that can sleep", "ratio", &all);
        }
        println!(
            "\nforq / best lock between processes that can sleep: median of the cells {:.3}, worst {worst:.3} ({title} ns)",
            median(&all)
        );
    }
}

/// The first peer's throughput by that of its best rival, the one with the highest median.
fn beside_best(peers: &[Peer<'_>], rates: &[Vec<f64>]) -> Option<f64> {
    let rivals = peers.iter().zip(rates).filter(|(peer, _)| RIVALS.contains(&peer.name));
    let best = rivals.max_by(|one, other| median(one.1).total_cmp(&median(other.1)))?;
    let pairs: Vec<f64> = rates[0].iter().zip(best.1).map(|(first, other)| first / other).collect();
    Some(median(&pairs))
}
