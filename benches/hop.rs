//! One process tells another, and is told back: what a hop takes, one way, on one CPU and between two.
//!
//! `cargo bench --bench hop`: `ROUNDS` (15) paired rounds of `HOPS` (20,000) hops each, in changing order; medians.
//! `PEERS` picks some. On one CPU nobody gains by spinning: what counts is how soon the CPU is given away.

#[path = "peers/futex.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod futex;
mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use forq::{Condvar, Event, Mutex, Process, Semaphore, Shared};
use support::{Peer, brief, is_trial, paired, pin, setting, start};

/// A ball that goes to and fro between side 0 and side 1.
trait Table: Sync {
    /// Gives the ball to the other side.
    fn pass(&self, side: usize);
    /// Waits for it.
    fn take(&self, side: usize);
}

impl Table for [Semaphore; 2] {
    fn pass(&self, side: usize) {
        self[1 - side].release(1).expect("one ball");
    }

    fn take(&self, side: usize) {
        self[side].acquire().expect("no signals");
    }
}

impl Table for [Event; 2] {
    fn pass(&self, side: usize) {
        self[1 - side].set();
    }

    fn take(&self, side: usize) {
        self[side].wait().expect("no signals");
        self[side].clear();
    }
}

/// Nobody has it.
const NOBODYS: u64 = 2;

forq::shareable! {
    struct Monitor {
        ball: Mutex<u64>,
        come: [Condvar; 2],
    }
}

impl Table for Monitor {
    fn pass(&self, side: usize) {
        *self.ball.lock().expect("nobody dies") = 1 - side as u64;
        self.come[1 - side].notify_one();
    }

    fn take(&self, side: usize) {
        let ball = self.ball.lock().expect("nobody dies");
        let mut ball = self.come[side].wait_while(ball, |ball| *ball != side as u64).expect("nobody dies");
        *ball = NOBODYS;
    }
}

/// Two words and the system call, nothing else.
impl Table for [AtomicU32; 2] {
    fn pass(&self, side: usize) {
        self[1 - side].store(1, Ordering::Release);
        futex::wake(&self[1 - side]);
    }

    fn take(&self, side: usize) {
        while self[side].compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
            futex::wait(&self[side], 0);
        }
    }
}

/// Nanoseconds a hop.
fn play(table: &(impl Table + ?Sized), cpus: [usize; 2], hops: u64) -> f64 {
    let side = |own: usize| {
        pin(cpus[own]);
        for _ in 0..hops / 2 {
            table.take(own);
            table.pass(own);
        }
    };
    let mut children: Vec<Process> =
        (0..2).map(|own| Process::spawn(|| side(own)).expect("a process")).collect();
    std::thread::sleep(std::time::Duration::from_millis(2));
    let started = Instant::now();
    table.pass(1);
    assert!(children.iter_mut().all(|child| child.join().expect("a child").success()));
    let elapsed = started.elapsed();
    // The ball comes back to where it was.
    table.take(0);
    elapsed.as_nanos() as f64 / hops as f64
}

fn main() {
    start();
    let hops = if is_trial() { 100 } else { brief(setting("HOPS", 20_000)) as u64 };
    let picked = std::env::var("PEERS").unwrap_or_default();
    let semaphores = Shared::new([const { Semaphore::new(0) }; 2]).expect("shared memory");
    let events = Shared::new([const { Event::new() }; 2]).expect("shared memory");
    let monitor = Shared::new(Monitor { ball: Mutex::new(NOBODYS), come: [const { Condvar::new() }; 2] })
        .expect("shared memory");
    let words = Shared::new([const { AtomicU32::new(0) }; 2]).expect("shared memory");
    for (title, cpus) in [("both on one CPU", [0, 0]), ("on two CPUs", [0, 1])] {
        let mut peers: Vec<Peer<'_>> = vec![
            ("plain futex", Box::new(|| play(&*words, cpus, hops))),
            ("forq semaphore", Box::new(|| play(&*semaphores, cpus, hops))),
            ("forq event", Box::new(|| play(&*events, cpus, hops))),
            ("forq mutex and condvar", Box::new(|| play(&*monitor, cpus, hops))),
        ];
        peers.retain(|peer| picked.is_empty() || picked.split(',').any(|name| peer.0 == name.trim()));
        paired(&format!("one hop, {title}"), "ns (less is better)", 15, &mut peers);
    }
}
