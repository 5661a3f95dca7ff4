//! Processes that run section after section under one lock until they are stopped, and what that gave.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Process, Shared};

use crate::support::{Rounds, median, record, shuffle};

/// As many processes as a course has room for.
pub(crate) const MOST: usize = 64;

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
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    pub(crate) fn calibrate(nanos: u64) -> Self {
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
    pub(crate) fn run(self, x: u64) -> u64 {
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

/// A lock: one section of it with work inside and outside.
pub(crate) struct Peer<'a> {
    pub(crate) name: &'static str,
    pub(crate) is_threads: bool,
    pub(crate) round: Box<dyn Fn(Work) + Sync + 'a>,
    /// Sections so far.
    pub(crate) count: Box<dyn Fn() -> u64 + Sync + 'a>,
}

/// A [`Peer`]: its name, whether it is between threads, and what runs a section with the lock held and the counter that it guards.
macro_rules! peer {
    ($name:expr, $is_threads:expr, |$section:ident| $with:expr) => {
        $crate::course::Peer {
            name: $name,
            is_threads: $is_threads,
            round: Box::new(|work: $crate::course::Work| {
                let made = std::cell::Cell::new(0);
                let $section = |count: &mut u64| {
                    *count += 1;
                    made.set(work.run(*count));
                };
                $with;
                std::hint::black_box(work.run(made.get()));
            }),
            count: Box::new(|| {
                let sections = std::cell::Cell::new(0);
                let $section = |count: &mut u64| sections.set(*count);
                $with;
                sections.get()
            }),
        }
    };
}
pub(crate) use peer;

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

/// Measures one cell, `rounds` rounds where time is no limit; prints and records it. Each round calls `prepare` before each peer. Gives the
/// samples of all: of each peer the throughput in each round.
pub(crate) fn cell(
    title: &str,
    processes: usize,
    work: Work,
    time: Duration,
    rounds: usize,
    peers: &[Peer<'_>],
    prepare: &dyn Fn(&Peer<'_>),
) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::new(); peers.len()];
    let mut order: Vec<usize> = (0..peers.len()).collect();
    for round in Rounds::new(rounds) {
        shuffle(&mut order);
        for &which in &order {
            let peer = &peers[which];
            prepare(peer);
            let sample = sample(processes, time, work, peer);
            if round > 0 {
                samples[which].push(sample);
            }
        }
    }
    println!("\n{title}: {} rounds of {} ms", samples[0].len(), time.as_millis());
    println!(
        "  {:<24}{:>12}{:>10}{:>12}{:>12}{:>14}",
        "",
        "sections/us",
        "fairness",
        "CPU ns",
        "sleeps/1000",
        format!("{} / this", peers[0].name)
    );
    let rates = |which: usize| -> Vec<f64> { samples[which].iter().map(|sample| sample.rate).collect() };
    for (which, peer) in peers.iter().enumerate() {
        let own = &samples[which];
        let noted = |what: &str, unit: &str, field: fn(&Sample) -> f64| -> f64 {
            let values: Vec<f64> = own.iter().map(field).collect();
            record(&format!("{title}{what}"), peer.name, unit, &values);
            median(&values)
        };
        let rate = noted("", "sections/us (more is better)", |sample| sample.rate);
        let fairness = noted(": fairness", "fewest by most (more is better)", |sample| sample.fairness);
        let cpu = noted(": CPU", "ns a section (less is better)", |sample| sample.cpu_ns);
        let sleeps = noted(": sleeps", "in 1000 sections (less is better)", |sample| sample.sleeps);
        let ratios: Vec<f64> =
            rates(0).iter().zip(rates(which)).map(|(first, other)| first / other).collect();
        println!(
            "  {:<24}{rate:>12.3}{fairness:>10.2}{cpu:>12.0}{sleeps:>12.2}{:>14.3}",
            peer.name,
            median(&ratios)
        );
    }
    (0..peers.len()).map(rates).collect()
}
