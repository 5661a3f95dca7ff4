//! The channel beside rtrb, and beside a bare copy.
//!
//! `cargo bench --bench channel`: first tables of `ROUNDS` (15) paired rounds in changing order, from which claims are made
//! (`CELLS` picks some by parts of their titles), then criterion's own samples. Producer and consumer run on CPUs of their own, copy each
//! message from and to a private buffer, and start together; count and sum of what arrives are checked in every run.

#[path = "peers/memcpy.rs"]
mod memcpy;
#[path = "peers/ring.rs"]
mod ring;
mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytemuck::Pod;
use forq::{Process, Shared};
use support::{Peer, Spin, criterion, is_picked, is_quick, is_trial, paired, pin, start};

/// A message: the first eight bytes are its number.
trait Numbered: Pod + Send + Sync + std::fmt::Debug {
    fn numbered(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Numbered for u64 {
    fn numbered(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl<const N: usize> Numbered for [u64; N] {
    fn numbered(number: u64) -> Self {
        let mut message = [1; N];
        message[0] = number;
        message
    }

    fn number(&self) -> u64 {
        self[0]
    }
}

forq::shareable! {
    /// What the two of a run share.
    struct Course {
        ready: AtomicU64,
        nanos: AtomicU64,
        sum: AtomicU64,
    }
}

impl Course {
    fn new() -> Shared<Self> {
        let word = || AtomicU64::new(0);
        Shared::new(Self { ready: word(), nanos: word(), sum: word() }).expect("shared memory")
    }

    fn start(&self) {
        self.ready.fetch_add(1, Ordering::AcqRel);
        while self.ready.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
    }

    fn produce(&self, count: u64, mut put: impl FnMut(u64)) {
        pin(1);
        self.start();
        (0..count).for_each(&mut put);
    }

    /// The time is the consumer's: from the common start to the last message.
    fn consume(&self, count: u64, mut get: impl FnMut() -> u64) {
        pin(0);
        self.start();
        let started = Instant::now();
        let sum = (0..count).fold(0u64, |sum, _| sum.wrapping_add(get()));
        self.nanos.store(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.sum.store(sum, Ordering::Relaxed);
    }

    fn taken(&self, count: u64) -> Duration {
        assert_eq!(
            self.sum.load(Ordering::Relaxed),
            count * (count - 1) / 2,
            "a message was lost or doubled"
        );
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

/// Runs the two as threads of one child.
fn threads(count: u64, produce: impl FnMut(u64) + Send, consume: impl FnMut() -> u64) -> Duration {
    let course = Course::new();
    let body = || {
        std::thread::scope(|scope| {
            scope.spawn(|| course.produce(count, produce));
            course.consume(count, consume);
        });
    };
    let mut child = Process::spawn(body).expect("a process");
    assert!(child.join().expect("a child").success());
    course.taken(count)
}

/// Runs the two as processes.
fn processes(count: u64, produce: impl FnMut(u64), consume: impl FnMut() -> u64) -> Duration {
    let course = Course::new();
    let mut producer = Process::spawn(|| course.produce(count, produce)).expect("a process");
    let mut consumer = Process::spawn(|| course.consume(count, consume)).expect("a process");
    for child in [&mut producer, &mut consumer] {
        assert!(child.join().expect("a child").success());
    }
    course.taken(count)
}

/// Where the two run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Threads,
    Processes,
}

fn run(place: Place, count: u64, produce: impl FnMut(u64) + Send, consume: impl FnMut() -> u64) -> Duration {
    match place {
        Place::Threads => threads(count, produce, consume),
        Place::Processes => processes(count, produce, consume),
    }
}

/// forq, as users use it.
fn values<T: Numbered>(place: Place, capacity: usize, count: u64) -> Duration {
    let (mut sender, mut receiver) = forq::channel::<T>(capacity).expect("memory");
    run(
        place,
        count,
        move |number| sender.put(black_box(T::numbered(number))).expect("nobody dies here"),
        || black_box(receiver.get().expect("nobody dies here")).number(),
    )
}

/// forq, with waiting as the others'.
fn spinning<T: Numbered>(place: Place, capacity: usize, count: u64) -> Duration {
    let (mut sender, mut receiver) = forq::channel::<T>(capacity).expect("memory");
    let put = move |number| {
        let (mut spin, value) = (Spin::new(), black_box(T::numbered(number)));
        while sender.try_put(value).is_err() {
            spin.wait();
        }
    };
    let get = || {
        let mut spin = Spin::new();
        loop {
            if let Ok(value) = receiver.try_get() {
                return black_box(value).number();
            }
            spin.wait();
        }
    };
    run(place, count, put, get)
}

/// forq's messages of bytes.
fn bytes<T: Numbered>(place: Place, capacity: usize, count: u64) -> Duration {
    let (mut sender, mut receiver) = forq::byte_channel(capacity, size_of::<T>()).expect("memory");
    let mut buffer = T::numbered(0);
    let put = move |number| {
        sender.put(bytemuck::bytes_of(&black_box(T::numbered(number)))).expect("nobody dies here");
    };
    let get = || {
        let size = receiver.get(bytemuck::bytes_of_mut(&mut buffer)).expect("nobody dies here");
        assert_eq!(size, size_of::<T>());
        black_box(&buffer).number()
    };
    run(place, count, put, get)
}

/// forq's messages written and read where they are: filled from a buffer, and copied to one.
fn in_place<const N: usize>(place: Place, capacity: usize, count: u64) -> Duration {
    let (mut sender, mut receiver) = forq::byte_channel(capacity, N).expect("memory");
    let (mut source, mut into) = (vec![1u8; N], vec![0u8; N]);
    let put = move |number: u64| {
        source[..8].copy_from_slice(&number.to_le_bytes());
        let mut slot = sender.reserve().expect("nobody dies here");
        slot.write(0, &source).expect("it fits");
        slot.commit(N).expect("nobody dies here");
    };
    let get = || {
        let message = receiver.peek().expect("nobody dies here");
        message.read(0, &mut into).expect("it is whole");
        message.release();
        u64::from_le_bytes(black_box(&into)[..8].try_into().expect("eight bytes"))
    };
    run(place, count, put, get)
}

fn rtrb<T: Numbered>(capacity: usize, count: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(capacity);
    threads(
        count,
        move |number| ring::put(&mut producer, black_box(T::numbered(number))),
        || black_box(ring::get(&mut consumer)).number(),
    )
}

/// How many it takes to fill a sample's time.
fn calibrate(run: &dyn Fn(u64) -> Duration) -> u64 {
    let sample = Duration::from_millis(if is_quick() { 30 } else { 150 });
    let mut count = 1000;
    loop {
        let taken = run(count);
        if taken > sample / 8 {
            return (count as f64 * sample.as_secs_f64() / taken.as_secs_f64()) as u64;
        }
        count *= 4;
    }
}

/// One way to hand messages over: its name, and what so many take.
type Way<'a> = (&'a str, Box<dyn Fn(u64) -> Duration + 'a>);

fn table(title: &str, ways: &[Way<'_>]) {
    if !is_picked(title) {
        return;
    }
    let mut peers: Vec<Peer<'_>> = ways
        .iter()
        .map(|(name, run)| {
            let count = calibrate(run);
            let sample = move || count as f64 / run(count).as_secs_f64() / 1e6;
            (*name, Box::new(sample) as Box<dyn FnMut() -> f64>)
        })
        .collect();
    paired(title, "million/s (more is better)", 15, &mut peers);
}

/// Slots of small messages, and of large ones.
const SMALL: usize = 1024;
const LARGE: usize = 8;
const KIB_64: usize = 64 << 10;

fn values_of<T: Numbered>(title: &str, capacity: usize) {
    use Place::{Processes, Threads};
    table(
        title,
        &[
            ("forq, threads", Box::new(move |n| values::<T>(Threads, capacity, n))),
            ("rtrb, threads", Box::new(move |n| rtrb::<T>(capacity, n))),
            ("forq try, threads", Box::new(move |n| spinning::<T>(Threads, capacity, n))),
            ("forq bytes, threads", Box::new(move |n| bytes::<T>(Threads, capacity, n))),
            ("forq, processes", Box::new(move |n| values::<T>(Processes, capacity, n))),
            ("forq bytes, processes", Box::new(move |n| bytes::<T>(Processes, capacity, n))),
        ],
    );
}

fn tables() {
    use Place::{Processes, Threads};
    values_of::<u64>("8 bytes", SMALL);
    values_of::<[u64; 8]>("64 bytes", SMALL);
    values_of::<[u64; 128]>("1 KiB", SMALL / 8);
    table(
        "64 KiB, in place",
        &[
            ("forq, threads", Box::new(|n| in_place::<KIB_64>(Threads, LARGE, n))),
            ("a fresh block's copy", Box::new(|n| memcpy::fresh_copies::<KIB_64>(LARGE, n))),
            ("forq, processes", Box::new(|n| in_place::<KIB_64>(Processes, LARGE, n))),
            ("forq bytes, threads", Box::new(|n| bytes::<[u64; KIB_64 / 8]>(Threads, LARGE, n))),
            ("rtrb, threads", Box::new(|n| rtrb::<[u64; KIB_64 / 8]>(LARGE, n))),
        ],
    );
}

fn main() {
    start();
    if !is_trial() {
        tables();
    }
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("channel/8 bytes");
    group.bench_function("forq", |b| b.iter_custom(|n| values::<u64>(Place::Threads, SMALL, n)));
    group.bench_function("forq, processes", |b| b.iter_custom(|n| values::<u64>(Place::Processes, SMALL, n)));
    group.bench_function("rtrb", |b| b.iter_custom(|n| rtrb::<u64>(SMALL, n)));
    group.finish();
    let mut group = criterion.benchmark_group("channel/64 KiB");
    group.bench_function("forq", |b| b.iter_custom(|n| in_place::<KIB_64>(Place::Threads, LARGE, n)));
    group.bench_function("copy", |b| b.iter_custom(|n| memcpy::fresh_copies::<KIB_64>(LARGE, n)));
    group.finish();
    criterion.final_summary();
}
