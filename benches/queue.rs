//! The queue beside those of the kernel, of Boost.Interprocess and of Concurrency Kit, and a ring between threads.
//!
//! `cargo bench --bench queue`: `ROUNDS` (11) paired rounds in changing order; medians. `CELLS` picks some by a part of the title. Each side
//! copies its messages from and to private memory; count and sum of the sequence numbers are checked in every sample. Boost and
//! Concurrency Kit take part where their headers are installed (libboost-dev, libck-dev): else a line says that they do not.

#[path = "peers/futex.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod futex;
#[path = "peers/kernel.rs"]
mod kernel;
mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use forq::{Connection, Queue, Shared};
use forq_bench_peers::{boost, ck};
use support::{Peer, Spin, median, paired, pin, setting, together};

const CAPACITY: usize = 1024;

/// What messages of 8 bytes pass through.
trait Line: Sync {
    fn put(&self, message: u64);
    fn get(&self) -> u64;
}

impl Line for Queue<u64> {
    fn put(&self, message: u64) {
        Queue::put(self, message).expect("nobody closes it");
    }

    fn get(&self) -> u64 {
        Queue::get(self).expect("nobody closes it")
    }
}

impl Line for ck::Ring {
    fn put(&self, message: u64) {
        ck::Ring::put(self, message);
    }

    fn get(&self) -> u64 {
        ck::Ring::get(self)
    }
}

/// Those that take bytes.
macro_rules! line_of_bytes {
    ($($peer:ty),*) => { $(
        impl Line for $peer {
            fn put(&self, message: u64) {
                <$peer>::put(self, &message.to_ne_bytes());
            }

            fn get(&self) -> u64 {
                let mut message = [0; 8];
                <$peer>::get(self, &mut message);
                u64::from_ne_bytes(message)
            }
        }
    )* };
}
line_of_bytes!(boost::Queue, kernel::Pipe, kernel::SocketPair, kernel::MessageQueue);

/// A ring between threads, which spins.
impl Line for crossbeam_queue::ArrayQueue<u64> {
    fn put(&self, message: u64) {
        let mut spin = Spin::new();
        while self.push(message).is_err() {
            spin.wait();
        }
    }

    fn get(&self) -> u64 {
        let mut spin = Spin::new();
        loop {
            match self.pop() {
                Some(message) => return message,
                None => spin.wait(),
            }
        }
    }
}

/// What each of the parties does: the first ones produce.
fn party(line: &impl Line, index: usize, each: u64, producers: usize, sum: &AtomicU64) {
    let mut seen = 0u64;
    if index < producers {
        let first = index as u64 * each;
        (first..first + each).for_each(|number| line.put(number));
    } else {
        (0..each).for_each(|_| seen = seen.wrapping_add(line.get()));
    }
    sum.fetch_add(seen, Ordering::Relaxed);
}

/// Million messages a second, from so many producers to as many consumers, each a process.
fn flow(line: &impl Line, pairs: usize, each: u64) -> f64 {
    let sum = Shared::new(AtomicU64::new(0)).expect("shared memory");
    let (_, taken) = together(2 * pairs, |index| {
        party(line, index, each, pairs, &sum);
        0
    });
    rate(pairs as u64 * each, sum.load(Ordering::Relaxed), taken)
}

/// As [`flow`], each a thread of one process.
fn flow_of_threads(line: &impl Line, pairs: usize, each: u64) -> f64 {
    let sum = AtomicU64::new(0);
    let start = std::sync::Barrier::new(2 * pairs + 1);
    let taken = std::thread::scope(|scope| {
        let (sum, start) = (&sum, &start);
        let parties: Vec<_> = (0..2 * pairs)
            .map(|index| {
                scope.spawn(move || {
                    start.wait();
                    party(line, index, each, pairs, sum);
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        parties.into_iter().for_each(|party| party.join().expect("no panic"));
        started.elapsed()
    });
    rate(pairs as u64 * each, sum.into_inner(), taken)
}

fn rate(count: u64, sum: u64, taken: Duration) -> f64 {
    assert_eq!(sum, count * (count - 1) / 2, "a message was lost or doubled");
    count as f64 / taken.as_secs_f64() / 1e6
}

/// As [`flow`] from one to one, in batches of so many, which are whole.
fn batches(queue: &Queue<u64>, size: usize, count: u64) -> f64 {
    let sum = Shared::new(AtomicU64::new(0)).expect("shared memory");
    let (_, taken) = together(2, |index| {
        let mut batch = vec![0; size];
        let (mut done, mut seen) = (0u64, 0u64);
        while done < count {
            let most = size.min((count - done) as usize);
            if index == 0 {
                batch.iter_mut().zip(done..).for_each(|(place, number)| *place = number);
                done += queue.put_many(&batch[..most]).expect("nobody closes it") as u64;
            } else {
                let got = queue.get_many(&mut batch[..most]).expect("nobody closes it");
                seen = batch[..got].iter().fold(seen, |seen, number| seen.wrapping_add(*number));
                done += got as u64;
            }
        }
        sum.fetch_add(seen, Ordering::Relaxed);
        0
    });
    rate(count, sum.load(Ordering::Relaxed), taken)
}

/// Nanoseconds one way between two that are awake: half of there and back.
fn awake(there: &impl Line, back: &impl Line, trips: u64) -> f64 {
    let nanos = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(2, |index| {
        pin(index);
        let started = Instant::now();
        for number in 0..trips {
            if index == 0 {
                there.put(number);
                assert_eq!(back.get(), number);
            } else {
                back.put(there.get());
            }
        }
        if index == 0 {
            nanos.store(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        0
    });
    nanos.load(Ordering::Relaxed) as f64 / trips as f64 / 2.0
}

/// Nanoseconds since an arbitrary moment, the same for all processes.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds from a put to the end of a get that slept, the median of so many.
fn asleep(line: &impl Line, messages: usize) -> f64 {
    let middle = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(2, |index| {
        pin(index);
        let mut taken = Vec::with_capacity(messages);
        for _ in 0..messages {
            if index == 0 {
                // Far longer than anybody spins.
                std::thread::sleep(Duration::from_micros(300));
                line.put(now());
            } else {
                let sent = line.get();
                taken.push((now() - sent) as f64);
            }
        }
        if index == 1 {
            middle.store(median(&taken) as u64, Ordering::Relaxed);
        }
        0
    });
    middle.load(Ordering::Relaxed) as f64
}

/// One word and the system call, nothing else.
struct Word(Shared<AtomicU64>, Shared<AtomicU32>);

impl Line for Word {
    fn put(&self, message: u64) {
        while self.1.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        self.0.store(message, Ordering::Relaxed);
        self.1.store(1, Ordering::Release);
        futex::wake(&self.1);
    }

    fn get(&self) -> u64 {
        while self.1.load(Ordering::Acquire) == 0 {
            futex::wait(&self.1, 0);
        }
        let message = self.0.load(Ordering::Relaxed);
        self.1.store(0, Ordering::Release);
        message
    }
}

/// Nanoseconds that a put takes while so many consumers sleep, the median of so many.
fn put_to_idle(queue: &Queue<u64>, consumers: usize, messages: usize) -> f64 {
    let middle = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(1 + consumers, |index| {
        if index > 0 {
            while queue.get().expect("nobody closes it") != 0 {}
            return 0;
        }
        let mut taken = Vec::with_capacity(messages);
        for _ in 0..messages {
            std::thread::sleep(Duration::from_micros(500));
            let before = now();
            queue.put(before).expect("nobody closes it");
            taken.push((now() - before) as f64);
        }
        for _ in 0..consumers {
            queue.put(0).expect("nobody closes it");
        }
        middle.store(median(&taken) as u64, Ordering::Relaxed);
        0
    });
    middle.load(Ordering::Relaxed) as f64
}

/// A pipe of forq's, of small messages.
struct Ends(Connection, Connection);

impl Line for Ends {
    fn put(&self, message: u64) {
        self.0.send(&message.to_ne_bytes()).expect("the other end is open");
    }

    fn get(&self) -> u64 {
        let mut message = [0; 8];
        assert_eq!(self.1.recv(&mut message), Ok(8));
        u64::from_ne_bytes(message)
    }
}

/// How many messages each side of a fast peer passes in one sample.
const MANY: u64 = 4_000_000;
/// Of one that enters the kernel for each.
const FEW: u64 = 150_000;

fn tables() {
    let rounds = setting("ROUNDS", 11);
    let cells = std::env::var("CELLS").unwrap_or_default();
    let is_wanted =
        |title: &str| cells.is_empty() || cells.split(',').any(|part| title.contains(part.trim()));
    let faster = "million/s (more is better)";
    let sooner = "ns (less is better)";
    let queue = || Queue::<u64>::new(CAPACITY).expect("shared memory");
    let (one, two) = (queue(), queue());
    let rings = [(); 2].map(|()| ck::Ring::new(CAPACITY as u32));
    let boost_queue = boost::Queue::new(CAPACITY, 8);
    let (pipe, pair) = (kernel::Pipe::new(), kernel::SocketPair::new());
    let message_queue = kernel::MessageQueue::new(8);
    for (name, is_there) in [
        ("Concurrency Kit's ring (libck-dev)", rings[0].is_some()),
        ("Boost.Interprocess (libboost-dev)", boost_queue.is_some()),
        ("POSIX message queues", message_queue.is_some()),
    ] {
        if !is_there {
            println!("not measured: {name} is not installed");
        }
    }

    for pairs in [1, 2] {
        let title = format!("{pairs} to {pairs}, 8 bytes");
        if !is_wanted(&title) {
            continue;
        }
        let (many, few) = (MANY / pairs as u64, FEW / pairs as u64);
        let between_threads = crossbeam_queue::ArrayQueue::new(CAPACITY);
        let mut peers: Vec<Peer<'_>> = vec![("forq queue", Box::new(|| flow(&one, pairs, many)))];
        if let Some(ring) = &rings[0] {
            peers.push(("Concurrency Kit MPMC (spins)", Box::new(move || flow(ring, pairs, many))));
        }
        if let Some(boost) = &boost_queue {
            peers.push(("Boost message_queue", Box::new(move || flow(boost, pairs, many / 8))));
        }
        peers.push(("pipe(2)", Box::new(|| flow(&pipe, pairs, few))));
        peers.push(("SEQPACKET socketpair", Box::new(|| flow(&pair, pairs, few))));
        if let Some(queue) = &message_queue {
            peers.push(("POSIX mq", Box::new(move || flow(queue, pairs, few))));
        }
        peers.push((
            "crossbeam, threads (spins)",
            Box::new(|| flow_of_threads(&between_threads, pairs, many)),
        ));
        paired(&title, faster, rounds, &mut peers);
    }

    if is_wanted("batches") {
        let mut peers: Vec<Peer<'_>> = vec![
            ("batches of 16", Box::new(|| batches(&one, 16, 4 * MANY))),
            ("one by one", Box::new(|| flow(&one, 1, MANY))),
        ];
        paired("batches, 1 to 1, 8 bytes", faster, rounds, &mut peers);
    }

    if is_wanted("one way, awake") {
        const TRIPS: u64 = 200_000;
        let mut peers: Vec<Peer<'_>> = vec![("forq queue", Box::new(|| awake(&one, &two, TRIPS)))];
        if let [Some(there), Some(back)] = &rings {
            peers.push(("Concurrency Kit MPMC (spins)", Box::new(move || awake(there, back, TRIPS))));
        }
        paired("one way, awake, 8 bytes", sooner, rounds, &mut peers);
    }

    if is_wanted("one way, asleep") {
        let word = || Shared::new(AtomicU64::new(0)).expect("shared memory");
        let words = Word(word(), Shared::new(AtomicU32::new(0)).expect("shared memory"));
        let mut peers: Vec<Peer<'_>> = vec![
            ("forq queue", Box::new(|| asleep(&one, 300))),
            ("futex, nothing else", Box::new(|| asleep(&words, 300))),
        ];
        if let Some(boost) = &boost_queue {
            peers.push(("Boost message_queue", Box::new(move || asleep(boost, 300))));
        }
        peers.push(("pipe(2)", Box::new(|| asleep(&pipe, 300))));
        paired("one way, asleep, 8 bytes", sooner, rounds, &mut peers);
    }

    if is_wanted("idle") {
        let mut peers: Vec<Peer<'_>> = vec![
            ("16 asleep", Box::new(|| put_to_idle(&one, 16, 200))),
            ("1 asleep", Box::new(|| put_to_idle(&one, 1, 200))),
        ];
        paired("a put while consumers are idle", sooner, rounds, &mut peers);
    }

    if is_wanted("pipe") {
        let (far, near) = forq::pipe().expect("descriptors are to be had");
        let ends = Ends(far, near);
        let mut peers: Vec<Peer<'_>> = vec![
            ("forq pipe", Box::new(|| flow(&ends, 1, FEW))),
            ("SEQPACKET socketpair", Box::new(|| flow(&pair, 1, FEW))),
        ];
        paired("pipe, 1 to 1, 8 bytes", faster, rounds, &mut peers);
    }
}

/// Puts and gets in one process, where nobody waits.
fn alone(queue: &Queue<u64>, count: u64) -> Duration {
    let started = Instant::now();
    for number in 0..count {
        queue.put(number).expect("nobody closes it");
        assert_eq!(queue.get(), Ok(number));
    }
    started.elapsed()
}

fn main() {
    if !std::env::args().any(|argument| argument == "--test") {
        tables();
    }
    let queue = Queue::<u64>::new(CAPACITY).expect("shared memory");
    let mut criterion = Criterion::default().configure_from_args().sample_size(15);
    let mut group = criterion.benchmark_group("queue");
    group.bench_function("put + get", |b| b.iter_custom(|count| alone(&queue, count)));
    for pairs in [1, 2] {
        group.bench_function(format!("{pairs} to {pairs}"), |b| {
            b.iter_custom(|count| {
                let each = count.div_ceil(pairs);
                let millions = flow(&queue, pairs as usize, each);
                Duration::from_secs_f64((each * pairs) as f64 / millions / 1e6)
            })
        });
    }
    group.finish();
    criterion.final_summary();
}
