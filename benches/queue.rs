//! The queue beside those of the kernel, of Boost.Interprocess and of Concurrency Kit, and a ring between threads.
//!
//! `cargo bench --bench queue`: `ROUNDS` (11) paired rounds in changing order; medians. `CELLS` picks some by parts of their titles. Each side
//! copies its messages from and to private memory; count and sum of the sequence numbers are checked in every sample. Boost and
//! Concurrency Kit take part where their headers are installed (libboost-dev, libck-dev): else a line says that they do not.

#[path = "queue/flow.rs"]
mod flow;
#[path = "peers/futex.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod futex;
#[path = "peers/kernel.rs"]
mod kernel;
#[path = "queue/latency.rs"]
mod latency;
#[path = "queue/line.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod line;
#[path = "queue/peers.rs"]
mod peers;
mod support;

use std::time::{Duration, Instant};

use flow::{batches, flow, flow_of_bytes, flow_of_threads};
use forq::{ByteQueue, Queue};
use forq_bench_peers::{boost, ck};
use latency::{asleep, awake, put_to_idle};
use line::Word;
use support::{Peer, brief, criterion, is_picked, is_trial, paired, start};

const CAPACITY: usize = 1024;
const ROUNDS: usize = 11;
const FASTER: &str = "million/s (more is better)";
const SOONER: &str = "ns (less is better)";

/// How many messages each side of a fast peer passes in one sample.
const MANY: usize = 4_000_000;
/// Of one that enters the kernel for each.
const FEW: usize = 150_000;

/// What the queue is measured beside, for messages of 8 bytes.
struct Others {
    rings: [Option<ck::Ring>; 2],
    boost: Option<boost::Queue>,
    pipe: kernel::Pipe,
    pair: kernel::SocketPair,
    message_queue: Option<kernel::MessageQueue>,
}

impl Others {
    fn new() -> Self {
        let others = Self {
            rings: [(); 2].map(|()| ck::Ring::new(CAPACITY as u32)),
            boost: boost::Queue::new(CAPACITY, 8),
            pipe: kernel::Pipe::new(),
            pair: kernel::SocketPair::new(),
            message_queue: kernel::MessageQueue::new(8),
        };
        for (name, is_there) in [
            ("Concurrency Kit's ring (libck-dev)", others.rings[0].is_some()),
            ("Boost.Interprocess (libboost-dev)", others.boost.is_some()),
            ("POSIX message queues", others.message_queue.is_some()),
        ] {
            if !is_there {
                println!("not measured: {name} is not installed");
            }
        }
        others
    }
}

fn tables() {
    let queue = || Queue::<u64>::new(CAPACITY).expect("shared memory");
    let (one, two) = (queue(), queue());
    let others = Others::new();
    for pairs in [1, 2] {
        let title = format!("{pairs} to {pairs}, 8 bytes");
        if is_picked(&title) {
            throughput(&title, &one, &others, pairs);
        }
    }
    for size in [64, 1 << 10, 64 << 10] {
        let title = format!("1 to 1, {size} bytes");
        if is_picked(&title) {
            sizes(&title, size, &others);
        }
    }
    if is_picked("batches") {
        let many = brief(MANY) as u64;
        let mut peers: Vec<Peer<'_>> = vec![
            ("batches of 16", Box::new(|| batches(&one, 16, 4 * many))),
            ("one by one", Box::new(|| flow(&one, 1, many))),
        ];
        paired("batches, 1 to 1, 8 bytes", FASTER, ROUNDS, &mut peers);
    }
    if is_picked("one way, awake") {
        let trips = brief(200_000) as u64;
        let mut peers: Vec<Peer<'_>> = vec![("forq queue", Box::new(|| awake(&one, &two, trips)))];
        if let [Some(there), Some(back)] = &others.rings {
            peers.push(("Concurrency Kit MPMC (spins)", Box::new(move || awake(there, back, trips))));
        }
        paired("one way, awake, 8 bytes", SOONER, ROUNDS, &mut peers);
    }
    if is_picked("one way, asleep") {
        let (word, count) = (Word::new(), brief(300));
        let mut peers: Vec<Peer<'_>> = vec![
            ("forq queue", Box::new(|| asleep(&one, count))),
            ("futex, nothing else", Box::new(|| asleep(&word, count))),
        ];
        if let Some(boost) = &others.boost {
            peers.push(("Boost message_queue", Box::new(move || asleep(boost, count))));
        }
        peers.push(("pipe(2)", Box::new(|| asleep(&others.pipe, count))));
        paired("one way, asleep, 8 bytes", SOONER, ROUNDS, &mut peers);
    }
    if is_picked("idle") {
        let count = brief(200);
        let mut peers: Vec<Peer<'_>> = vec![
            ("16 asleep", Box::new(|| put_to_idle(&one, 16, count))),
            ("1 asleep", Box::new(|| put_to_idle(&one, 1, count))),
        ];
        paired("a put while consumers are idle", SOONER, ROUNDS, &mut peers);
    }
}

/// From one or two to as many, 8 bytes.
fn throughput(title: &str, queue: &Queue<u64>, others: &Others, pairs: usize) {
    let (many, few) = ((brief(MANY) / pairs) as u64, (brief(FEW) / pairs) as u64);
    let between_threads = crossbeam_queue::ArrayQueue::new(CAPACITY);
    let mut peers: Vec<Peer<'_>> = vec![("forq queue", Box::new(|| flow(queue, pairs, many)))];
    if let Some(ring) = &others.rings[0] {
        peers.push(("Concurrency Kit MPMC (spins)", Box::new(move || flow(ring, pairs, many))));
    }
    if let Some(boost) = &others.boost {
        peers.push(("Boost message_queue", Box::new(move || flow(boost, pairs, many / 8))));
    }
    peers.push(("pipe(2)", Box::new(|| flow(&others.pipe, pairs, few))));
    peers.push(("SEQPACKET socketpair", Box::new(|| flow(&others.pair, pairs, few))));
    if let Some(queue) = &others.message_queue {
        peers.push(("POSIX mq", Box::new(move || flow(queue, pairs, few))));
    }
    peers.push(("crossbeam, threads (spins)", Box::new(|| flow_of_threads(&between_threads, pairs, many))));
    paired(title, FASTER, ROUNDS, &mut peers);
}

/// From one to one, messages of bytes, in queues of no more than 4 MiB.
fn sizes(title: &str, size: usize, others: &Others) {
    let capacity = CAPACITY.min((4 << 20) / size);
    let count = |most: usize| brief(most.min((512 << 20) / size)) as u64;
    let queue = ByteQueue::new(capacity, size).expect("shared memory");
    let boost = boost::Queue::new(capacity, size);
    let mut peers: Vec<Peer<'_>> =
        vec![("forq queue", Box::new(|| flow_of_bytes(&queue, size, count(MANY / 4))))];
    if let Some(boost) = &boost {
        peers.push(("Boost message_queue", Box::new(move || flow_of_bytes(boost, size, count(MANY / 8)))));
    }
    peers.push(("pipe(2)", Box::new(|| flow_of_bytes(&others.pipe, size, count(FEW)))));
    peers.push(("SEQPACKET socketpair", Box::new(|| flow_of_bytes(&others.pair, size, count(FEW)))));
    paired(title, FASTER, ROUNDS, &mut peers);
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
    start();
    if !is_trial() {
        tables();
    }
    let queue = Queue::<u64>::new(CAPACITY).expect("shared memory");
    let mut criterion = criterion();
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
