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

#[path = "peers/futex.rs"]
mod futex;
#[path = "peers/pthread.rs"]
mod pthread;
#[path = "peers/semaphore.rs"]
mod semaphore;
mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Mutex, Process, Shared};
use futex::WordLock;
use pthread::{Kind, PthreadMutex};
use semaphore::PosixSemaphore;
use support::{median, setting};

const PROCESSES: [usize; 4] = [1, 2, 4, 8];
/// Nanoseconds.
const SECTIONS: [u64; 4] = [0, 100, 1_000, 10_000];
const MOST: usize = 8;

forq::shareable! {
    struct Course {
        ready: AtomicU32,
        go: AtomicU32,
        stop: AtomicU32,
        /// What the guarded counter rose by.
        counted: AtomicU64,
        lanes: [Lane; MOST],
    }
}

forq::shareable! {
    /// What one process did.
    struct Lane {
        sections: AtomicU64,
        cpu_ns: AtomicU64,
        sleeps: AtomicU64,
    }
}

/// forq's lock when its waiters sleep at once.
const HASTY: &str = "forq, no back-off";

/// What one lock did in one cell.
#[derive(Clone, Copy, Default)]
struct Sample {
    /// Sections a microsecond.
    rate: f64,
    fairness: f64,
    cpu_ns: f64,
    sleeps: f64,
}

/// Busy for so many nanoseconds, by a calibrated number of steps that depend on each other: reads no clock.
#[derive(Clone, Copy)]
struct Work {
    steps: u64,
}

impl Work {
    fn calibrate(nanos: u64) -> Self {
        const TRIAL: u64 = 1_000_000;
        let fastest = (0..20).map(|_| {
            let started = Instant::now();
            std::hint::black_box(Self { steps: TRIAL }.run(1));
            started.elapsed().as_nanos() as f64 / TRIAL as f64
        });
        let step = fastest.fold(f64::MAX, f64::min);
        Self { steps: (nanos as f64 / step) as u64 }
    }

    /// Works on `x`, so that it cannot begin before `x` is known: the processor would overlap it with the work before.
    #[inline]
    fn run(self, x: u64) -> u64 {
        if self.steps > 0 { self.steps(x) } else { x }
    }

    /// One copy for all peers, and in registers only: a copy in each one's own frame, through memory, ran up to twice as fast for
    /// some as for others, by how well the processor forwarded stores to loads there.
    #[inline(never)]
    fn steps(self, mut x: u64) -> u64 {
        for _ in 0..self.steps {
            // Shift and multiplication take turns, so that the compiler cannot draw several steps together.
            x = (x ^ x >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        x
    }
}

/// CPU time and voluntary switches of the calling thread.
fn usage() -> (u64, u64) {
    // SAFETY: zero is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    (nanos(usage.ru_utime) + nanos(usage.ru_stime), usage.ru_nvcsw as u64)
}

/// Runs section after section from the common start to the end.
fn run_lane(course: &Course, lane: &Lane, round: &dyn Fn()) {
    course.ready.fetch_add(1, Ordering::Release);
    while course.go.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    let before = usage();
    let mut sections = 0;
    while course.stop.load(Ordering::Relaxed) == 0 {
        round();
        sections += 1;
    }
    let after = usage();
    lane.sections.store(sections, Ordering::Relaxed);
    lane.cpu_ns.store(after.0 - before.0, Ordering::Relaxed);
    lane.sleeps.store(after.1 - before.1, Ordering::Relaxed);
}

/// One sample of one lock.
fn sample(processes: usize, time: Duration, work: Work, peer: &Peer<'_>) -> Sample {
    let course = Shared::new(Course {
        ready: AtomicU32::new(0),
        go: AtomicU32::new(0),
        stop: AtomicU32::new(0),
        counted: AtomicU64::new(0),
        lanes: std::array::from_fn(|_| Lane {
            sections: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            sleeps: AtomicU64::new(0),
        }),
    })
    .expect("shared memory");
    let course = &*course;
    let lanes = &course.lanes[..processes];
    let run = |lane| run_lane(course, lane, &|| (peer.round)(work));
    let run = &run;
    let before = (peer.count)();
    let mut children: Vec<Process> = if peer.is_threads {
        // Their lock is in the memory of the one process.
        let threads = || {
            std::thread::scope(|scope| {
                lanes.iter().for_each(|lane| {
                    scope.spawn(move || run(lane));
                });
            });
            course.counted.store((peer.count)() - before, Ordering::Relaxed);
        };
        vec![Process::spawn(threads).expect("a process")]
    } else {
        lanes.iter().map(|lane| Process::spawn(|| run(lane)).expect("processes are to be had")).collect()
    };
    while course.ready.load(Ordering::Acquire) < processes as u32 {
        std::thread::yield_now();
    }
    let started = Instant::now();
    course.go.store(1, Ordering::Release);
    std::thread::sleep(time);
    course.stop.store(1, Ordering::Relaxed);
    let elapsed = started.elapsed();
    assert!(children.iter_mut().all(|child| child.join().expect("a child").success()));
    let sum = |of: fn(&Lane) -> &AtomicU64| -> f64 {
        lanes.iter().map(|lane| of(lane).load(Ordering::Relaxed) as f64).sum()
    };
    let each = || lanes.iter().map(|lane| lane.sections.load(Ordering::Relaxed));
    let sections = sum(|lane| &lane.sections);
    let counted = course.counted.load(Ordering::Relaxed) + (peer.count)() - before;
    assert_eq!(counted as f64, sections, "{}: increments were lost", peer.name);
    let sections = sections.max(1.0);
    Sample {
        rate: sections / elapsed.as_nanos() as f64 * 1e3,
        fairness: each().min().unwrap_or(0) as f64 / each().max().unwrap_or(1).max(1) as f64,
        cpu_ns: sum(|lane| &lane.cpu_ns) / sections,
        sleeps: sum(|lane| &lane.sleeps) / sections * 1e3,
    }
}

/// A lock: what it may be compared with, and one section of it with work inside and outside.
struct Peer<'a> {
    name: &'static str,
    /// Between processes, and able to sleep: what the default is measured against.
    is_rival: bool,
    is_threads: bool,
    round: Box<dyn Fn(Work) + Sync + 'a>,
    /// Sections so far.
    count: Box<dyn Fn() -> u64 + Sync + 'a>,
}

fn main() {
    let is_trial = std::env::args().any(|argument| argument == "--test");
    let rounds = if is_trial { 1 } else { setting("ROUNDS", 15) };
    let time = Duration::from_millis(if is_trial { 2 } else { setting("MILLIS", 20) as u64 });
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

    /// `with` runs what it is given with the lock held and the counter that it guards.
    macro_rules! peer {
        ($name:expr, $is_rival:expr, $is_threads:expr, |$section:ident| $with:expr) => {
            Peer {
                name: $name,
                is_rival: $is_rival,
                is_threads: $is_threads,
                round: Box::new(|work: Work| {
                    let made = Cell::new(0);
                    let $section = |count: &mut u64| {
                        *count += 1;
                        made.set(work.run(*count));
                    };
                    $with;
                    std::hint::black_box(work.run(made.get()));
                }),
                count: Box::new(|| {
                    let sections = Cell::new(0);
                    let $section = |count: &mut u64| sections.set(*count);
                    $with;
                    sections.get()
                }),
            }
        };
    }
    let mut peers = vec![
        peer!("forq", false, false, |section| section(&mut forq.lock().expect("nobody dies"))),
        peer!(HASTY, false, false, |section| section(&mut hasty.lock().expect("nobody dies"))),
        peer!("glibc plain", true, false, |section| plain.with(section)),
        peer!("glibc robust", true, false, |section| robust.with(section)),
        peer!("glibc adaptive", true, false, |section| adaptive.with(section)),
        peer!("sem_t", true, false, |section| posix.with(section)),
        peer!("futex only", true, false, |section| sleeping.with(section)),
        peer!("spin only", false, false, |section| spinning.with(section)),
        peer!("std (threads)", false, true, |section| section(&mut std_mutex.lock().expect("no panic"))),
        peer!("parking_lot (threads)", false, true, |section| section(&mut parking_lot.lock())),
    ];
    peers.retain(|peer| wanted.is_empty() || wanted.split(',').any(|name| peer.name == name.trim()));

    let mut ratios: Vec<(String, f64)> = Vec::new();
    for nanos in SECTIONS {
        let work = Work::calibrate(nanos);
        for processes in PROCESSES {
            let title = format!("{processes} x {nanos}");
            if picked.is_empty() || picked.split(',').any(|cell| cell.trim() == title) {
                let ratio = cell(&title, processes, work, time, rounds, &peers);
                ratios.extend(ratio.map(|ratio| (title, ratio)));
            }
        }
    }
    ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((title, worst)) = ratios.first() {
        let median = median(&ratios.iter().map(|cell| cell.1).collect::<Vec<_>>());
        println!(
            "\nforq / best lock between processes that can sleep: median of the cells {median:.3}, worst {worst:.3} ({title} ns)"
        );
    }
}

/// Puts them in another order, each as likely as any other (R. Durstenfeld, 1964).
fn shuffle(order: &mut [usize]) {
    static LAST: AtomicU64 = AtomicU64::new(1);
    for last in (1..order.len()).rev() {
        // The step of G. Steele et al.'s SplitMix (2014).
        let mut random = LAST.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        random = (random ^ random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ random >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(last, ((random ^ random >> 31) % (last as u64 + 1)) as usize);
    }
}

/// Measures one cell; the ratio of the first peer's throughput to its best rival's.
fn cell(
    title: &str,
    processes: usize,
    work: Work,
    time: Duration,
    rounds: usize,
    peers: &[Peer<'_>],
) -> Option<f64> {
    let mut samples = vec![Vec::new(); peers.len()];
    let mut order: Vec<usize> = (0..peers.len()).collect();
    for round in 0..=rounds {
        shuffle(&mut order);
        for &which in &order {
            let peer = &peers[which];
            forq::__set_backoff(peer.name != HASTY);
            let sample = sample(processes, time, work, peer);
            // The first round warms up.
            if round > 0 {
                samples[which].push(sample);
            }
        }
    }
    forq::__set_backoff(true);
    println!("\n{title} ns: {rounds} rounds of {} ms", time.as_millis());
    println!(
        "  {:<24}{:>12}{:>10}{:>12}{:>12}{:>14}",
        "", "sections/us", "fairness", "CPU ns", "sleeps/1000", "forq / this"
    );
    let mut best: Option<(f64, f64)> = None;
    for (peer, own) in peers.iter().zip(&samples) {
        let of = |field: fn(&Sample) -> f64| median(&own.iter().map(field).collect::<Vec<_>>());
        let pairs: Vec<f64> =
            samples[0].iter().zip(own).map(|(first, other)| first.rate / other.rate).collect();
        let (rate, ratio) = (of(|sample| sample.rate), median(&pairs));
        println!(
            "  {:<24}{rate:>12.3}{:>10.2}{:>12.0}{:>12.2}{ratio:>14.3}",
            peer.name,
            of(|sample| sample.fairness),
            of(|sample| sample.cpu_ns),
            of(|sample| sample.sleeps)
        );
        if peer.is_rival && best.is_none_or(|(most, _)| rate > most) {
            best = Some((rate, ratio));
        }
    }
    best.map(|(_, ratio)| ratio)
}
