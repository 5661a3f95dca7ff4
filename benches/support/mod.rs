//! Paired rounds, and processes that start together.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Process, Shared};

/// A number from the environment, or the default.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The middle one; of an even number the mean of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// One thing to be measured: its name, and a function that gives one sample.
pub(crate) type Peer<'a> = (&'a str, Box<dyn FnMut() -> f64 + 'a>);

/// Takes `rounds` samples of each peer, in another order in each round; prints the medians, their spread, and
/// the median of each round's ratio of the first peer to the others.
pub(crate) fn paired(title: &str, unit: &str, rounds: usize, peers: &mut [Peer<'_>]) -> Vec<f64> {
    let mut samples = vec![Vec::new(); peers.len()];
    for round in 0..=rounds {
        for turn in 0..peers.len() {
            let which = (turn * 5 + round) % peers.len();
            let sample = peers[which].1();
            // The first round warms up.
            if round > 0 {
                samples[which].push(sample);
            }
        }
    }
    println!("\n{title}: {rounds} paired rounds, {unit}");
    let mut ratios = Vec::new();
    for (which, (name, _)) in peers.iter().enumerate() {
        let own = &samples[which];
        let each: Vec<f64> = samples[0].iter().zip(own).map(|(first, other)| first / other).collect();
        let (least, most) =
            own.iter().fold((f64::MAX, 0.0f64), |(least, most), &x| (least.min(x), most.max(x)));
        ratios.push(median(&each));
        println!(
            "  {name:<28} median {:>10.3}  ({least:.3} to {most:.3})  {} / this {:.3}",
            median(own),
            peers[0].0,
            median(&each)
        );
    }
    ratios
}

forq::shareable! {
    /// What processes that are measured share.
    pub(crate) struct Start {
        ready: AtomicU32,
        go: AtomicU32,
        /// Operations done, summed at the end.
        pub(crate) done: AtomicU64,
    }
}

/// Starts processes together, each running `work` with its index until it returns a number of operations;
/// gives the operations of all and the time from the common start to the last one's end.
pub(crate) fn together(processes: usize, work: impl Fn(usize) -> u64) -> (u64, Duration) {
    let start =
        Shared::new(Start { ready: AtomicU32::new(0), go: AtomicU32::new(0), done: AtomicU64::new(0) })
            .expect("shared memory is to be had");
    let mut children: Vec<Process> = (0..processes)
        .map(|index| {
            let child = || {
                start.ready.fetch_add(1, Ordering::Release);
                while start.go.load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
                start.done.fetch_add(work(index), Ordering::Relaxed);
            };
            Process::spawn(child).expect("processes are to be had")
        })
        .collect();
    while start.ready.load(Ordering::Acquire) < processes as u32 {
        std::thread::yield_now();
    }
    let started = Instant::now();
    start.go.store(1, Ordering::Release);
    assert!(children.iter_mut().all(|child| child.join().expect("a child").success()));
    (start.done.load(Ordering::Relaxed), started.elapsed())
}

/// Asks the scheduler to keep this process on one CPU.
pub(crate) fn pin(cpu: usize) {
    // SAFETY: a zeroed set is an empty one, and as large as we say.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// How all peers wait that only spin: a thousand pauses, then a yield.
pub(crate) struct Spin(u32);

impl Spin {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    #[inline]
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        if self.0 % 1000 == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
