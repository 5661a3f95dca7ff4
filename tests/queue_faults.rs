//! Producers and consumers of a queue are killed at random: nobody stops, no message is torn or doubled, all accounts close.
//!
//! `FORQ_KILLS` sets how many die (1,000 unless given).

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{ByteQueue, Error, ExitStatus, Process, Queue, Shared};
use support::{Random, is_asleep, send};

fn main() {
    support::run(&[
        ("a_queue_of_one_survives_a_storm_of_kills", || {
            storm(2, Line::Values(Queue::new_at(1, (u32::MAX - 99, u32::MAX)).unwrap()))
        }),
        ("batches_survive_a_storm_of_kills", || storm(4, Line::Values(Queue::new(24).unwrap()))),
        ("messages_of_all_lengths_survive_a_storm_of_kills", || {
            storm(3, Line::Bytes(ByteQueue::new(3, 256).unwrap()))
        }),
        ("large_messages_survive_a_storm_of_kills", || {
            storm(2, Line::Bytes(ByteQueue::new(2, 32 << 10).unwrap()))
        }),
        ("what_consumers_took_and_died_with_stays_unfinished", unfinished),
    ]);
}

/// Producers at most, and consumers.
const MOST: usize = 4;
/// Messages of a batch.
const BATCH: usize = 8;
/// Numbers of one producer's messages.
const NUMBERS: u64 = 1 << 25;
/// Who is asleep for so long without having done anything has been forgotten.
const STALL: Duration = Duration::from_secs(1);
/// What a wait may take that ends without having got anything.
const PATIENCE: Duration = Duration::from_millis(50);

/// The queue that is tested.
enum Line {
    Values(Queue<[u64; 4]>),
    Bytes(ByteQueue),
}

forq::shareable! {
    /// What one worker says of itself; kept when it dies, and used by its successor.
    struct Worker {
        progress: AtomicU64,
        /// Messages that its present call may put or take.
        hand: AtomicU64,
        /// The highest number that was ever used for a message.
        begun: AtomicU64,
        /// Messages of which it knows that they were put, or that it noted.
        done: AtomicU64,
        /// Tasks of which it knows that they were marked.
        marked: AtomicU64,
        /// The last number that it got of each producer.
        last: [AtomicU64; MOST],
    }
}

forq::shareable! {
    struct World {
        /// The producers, then the consumers.
        workers: [Worker; 2 * MOST],
        /// Workers pause between operations: busy ones hide lost wake-ups.
        is_quiet: AtomicU32,
    }
}

fn zero() -> AtomicU64 {
    AtomicU64::new(0)
}

/// One storm: what all its processes share.
struct Storm {
    line: Line,
    world: Shared<World>,
    /// A bit for each number of each producer, set when its message was got.
    seen: Shared<[AtomicU64]>,
}

/// Scatters bits (the finalizer of D. Stafford's Mix13).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// What a message of a producer says: its name, and bytes that follow from it.
fn compose(name: u64, message: &mut [u8]) {
    for (place, bytes) in message.chunks_mut(8).enumerate() {
        let word = if place == 0 { name } else { mix(name ^ (place as u64) << 56) };
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }
}

/// Of the message with this name.
fn length(name: u64, limit: usize) -> usize {
    match mix(name) % 4 {
        0 => 8,
        1 => limit,
        _ => 8 + (mix(name) >> 8) as usize % (limit - 7),
    }
}

impl Storm {
    fn new(line: Line) -> Self {
        let worker = || Worker {
            progress: zero(),
            hand: zero(),
            begun: zero(),
            done: zero(),
            marked: zero(),
            last: std::array::from_fn(|_| zero()),
        };
        let world = World { workers: std::array::from_fn(|_| worker()), is_quiet: AtomicU32::new(0) };
        Self {
            line,
            world: Shared::new(world).unwrap(),
            seen: Shared::slice_with(MOST * NUMBERS as usize / 64, |_| zero()).unwrap(),
        }
    }

    /// What a worker does until the queue is closed, or it is killed.
    fn work(&self, index: usize, mut random: Random) {
        let worker = &self.world.workers[index];
        let mut buffer = vec![0; 64 << 10];
        loop {
            let ended = if index < MOST {
                self.produce(index as u64, worker, &mut random, &mut buffer)
            } else {
                self.consume(worker, &mut random, &mut buffer)
            };
            match ended {
                Ok(()) | Err(Error::TimedOut | Error::WouldBlock) => {}
                Err(Error::Closed) => return,
                Err(other) => panic!("{other:?}"),
            }
            worker.hand.store(0, Ordering::Relaxed);
            worker.progress.fetch_add(1, Ordering::Relaxed);
            if self.world.is_quiet.load(Ordering::Relaxed) != 0 {
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
        }
    }

    fn produce(
        &self,
        index: u64,
        worker: &Worker,
        random: &mut Random,
        buffer: &mut [u8],
    ) -> forq::Result<()> {
        let before = worker.begun.load(Ordering::Relaxed);
        let kind = random.below(8);
        let count =
            if kind < 2 && matches!(self.line, Line::Values(_)) { 1 + random.below(BATCH as u64) } else { 1 };
        assert!(before + count < NUMBERS, "more numbers");
        worker.hand.store(count, Ordering::Relaxed);
        worker.begun.store(before + count, Ordering::Relaxed);
        let name = |number| index << 48 | number;
        let put = match &self.line {
            Line::Values(queue) => {
                let mut batch = [[0u64; 4]; BATCH];
                let batch = &mut batch[..count as usize];
                for (place, message) in batch.iter_mut().enumerate() {
                    compose(name(before + 1 + place as u64), bytemuck::bytes_of_mut(message));
                }
                match kind {
                    0 => queue.put_many(batch).map(|count| count as u64),
                    1 => queue.put_many_timeout(batch, PATIENCE).map(|count| count as u64),
                    2 => queue.try_put(batch[0]).map(|()| 1).map_err(Error::from),
                    3 => queue.put_timeout(batch[0], PATIENCE).map(|()| 1).map_err(Error::from),
                    _ => queue.put(batch[0]).map(|()| 1).map_err(Error::from),
                }
            }
            Line::Bytes(queue) => {
                let name = name(before + 1);
                let message = &mut buffer[..length(name, queue.message_size())];
                compose(name, message);
                let put = match kind {
                    0 | 1 => queue.try_put(message),
                    2 | 3 => queue.put_timeout(message, PATIENCE),
                    _ => queue.put(message),
                };
                put.map(|()| 1)
            }
        };
        let done = put.unwrap_or(0);
        worker.done.fetch_add(done, Ordering::Relaxed);
        // Numbers that were not used are used again.
        worker.begun.store(before + done, Ordering::Relaxed);
        put.map(drop)
    }

    fn consume(&self, worker: &Worker, random: &mut Random, buffer: &mut [u8]) -> forq::Result<()> {
        let kind = random.below(8);
        worker.hand.store(if kind < 2 { BATCH as u64 } else { 1 }, Ordering::Relaxed);
        match &self.line {
            Line::Values(queue) => {
                let mut batch = [[0; 4]; BATCH];
                let count = match kind {
                    0 => queue.get_many(&mut batch)?,
                    1 => queue.get_many_timeout(&mut batch, PATIENCE)?,
                    _ => {
                        batch[0] = match kind {
                            2 => queue.try_get()?,
                            3 => queue.get_timeout(PATIENCE)?,
                            _ => queue.get()?,
                        };
                        1
                    }
                };
                for message in &batch[..count] {
                    self.note(worker, bytemuck::bytes_of(message));
                    queue.task_done()?;
                    worker.marked.fetch_add(1, Ordering::Relaxed);
                }
            }
            Line::Bytes(queue) => {
                let length = match kind {
                    0 => queue.try_get(buffer)?,
                    1 | 2 => queue.get_timeout(buffer, PATIENCE)?,
                    3 => match queue.get_timeout(&mut buffer[..100], PATIENCE) {
                        Err(Error::MessageSize) => return Ok(()),
                        other => other?,
                    },
                    _ => queue.get(buffer)?,
                };
                self.note(worker, &buffer[..length]);
                queue.task_done()?;
                worker.marked.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Looks at a message that was got, which nobody got before, and which is whole.
    fn note(&self, worker: &Worker, message: &[u8]) {
        let name = u64::from_le_bytes(message[..8].try_into().expect("it has a name"));
        let (producer, number) = ((name >> 48) as usize, name & ((1 << 48) - 1));
        assert!(producer < MOST && number > 0 && number < NUMBERS, "torn: {name:#x}");
        let mut expected = vec![0; message.len()];
        compose(name, &mut expected);
        assert!(message == expected, "torn");
        if let Line::Bytes(queue) = &self.line {
            assert_eq!(message.len(), length(name, queue.message_size()), "torn");
        }
        let last = worker.last[producer].swap(number, Ordering::Relaxed);
        assert!(number > last, "of producer {producer}: {number} after {last}");
        let place = producer * NUMBERS as usize + number as usize;
        let before = self.seen[place / 64].fetch_or(1 << (place % 64), Ordering::Relaxed);
        assert!(before & 1 << (place % 64) == 0, "doubled: {number} of producer {producer}");
        worker.done.fetch_add(1, Ordering::Relaxed);
    }

    /// After all have ended: what is left is taken, and the accounts are closed. `hands`: what the dead may have had, producers and
    /// consumers. How many messages consumers died with.
    fn close(&self, kills: u64, hands: [u64; 2]) -> u64 {
        let keeper = &self.world.workers[2 * MOST - 1];
        keeper.last.iter().for_each(|last| last.store(0, Ordering::Relaxed));
        let mut buffer = vec![0; 64 << 10];
        let (told, marks) = match &self.line {
            Line::Values(queue) => {
                let mut left = 0;
                assert_eq!(queue.statistics().put - queue.statistics().got, queue.len() as u64);
                while let Ok(message) = queue.get() {
                    self.note(keeper, bytemuck::bytes_of(&message));
                    left += 1;
                }
                assert!(left <= queue.capacity());
                (
                    queue.statistics(),
                    std::iter::repeat_with(|| queue.task_done()).take_while(Result::is_ok).count(),
                )
            }
            Line::Bytes(queue) => {
                assert_eq!(queue.statistics().put - queue.statistics().got, queue.len() as u64);
                while let Ok(length) = queue.get(&mut buffer) {
                    self.note(keeper, &buffer[..length]);
                }
                (
                    queue.statistics(),
                    std::iter::repeat_with(|| queue.task_done()).take_while(Result::is_ok).count(),
                )
            }
        };
        let (producers, consumers) = self.world.workers.split_at(MOST);
        let sum = |workers: &[Worker], of: fn(&Worker) -> &AtomicU64| -> u64 {
            workers.iter().map(|worker| of(worker).load(Ordering::Relaxed)).sum()
        };
        let begun = sum(producers, |worker| &worker.begun);
        let seen: u64 =
            self.seen.iter().map(|bits| u64::from(bits.load(Ordering::Relaxed).count_ones())).sum();
        for (index, producer) in producers.iter().enumerate() {
            let from = index * NUMBERS as usize / 64;
            let last = producer.begun.load(Ordering::Relaxed) as usize / 64;
            let beyond = &self.seen[from + last + 1..from + NUMBERS as usize / 64];
            assert!(beyond.iter().all(|bits| bits.load(Ordering::Relaxed) == 0), "got what was never put");
        }
        let within = |what: &str, least: u64, value: u64, more: u64| {
            assert!(
                (least..=least + more).contains(&value),
                "{what}: {value}, not {least} and at most {more} more"
            );
        };
        assert_eq!(told.put, told.got, "nothing is left");
        within("missing", 0, begun - seen, hands[0] + hands[1]);
        within("put", sum(producers, |worker| &worker.done), told.put, hands[0]);
        within("got", seen, told.got, hands[1]);
        within("lost", 0, told.lost, kills.min(begun - seen));
        // Of what was got, each that is not known to be marked had a consumer that died, or was taken here.
        within("marked", sum(consumers, |worker| &worker.marked) + marks as u64, told.put, hands[1]);
        told.got - seen
    }
}

/// What the supervisor knows of a worker.
struct Watched {
    process: Process,
    index: usize,
    progress: u64,
    since: Instant,
}

fn storm(pairs: usize, line: Line) {
    let wanted: u64 =
        std::env::var("FORQ_KILLS").ok().and_then(|value| value.parse().ok()).unwrap_or(1000) / 4;
    let storm = Storm::new(line);
    let panics = support::count_panics();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64 ^ pairs as u64;
    let mut spawn = |index: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (storm, random) = (&storm, Random(seed | 1));
        let process = Process::spawn(move || storm.work(index, random)).unwrap();
        Watched { process, index, progress: u64::MAX, since: Instant::now() }
    };
    let mut all: Vec<Watched> = (0..pairs).chain(MOST..MOST + pairs).map(&mut spawn).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d ^ pairs as u64);
    let (mut kills, mut hands, mut longest) = (0, [0; 2], Duration::ZERO);
    while kills < wanted {
        // A third of the time is quiet.
        storm.world.is_quiet.store(u32::from(kills % 150 >= 100), Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
        // Often two at a time, from both sides.
        for _ in 0..1 + random.below(2) {
            let victim = random.below(all.len() as u64) as usize;
            send(all[victim].process.pid(), libc::SIGKILL);
            match all[victim].process.join().unwrap() {
                ExitStatus::Signaled(libc::SIGKILL) => kills += 1,
                status => panic!("a worker failed: {status:?}"),
            }
            let index = all[victim].index;
            hands[index / MOST] += storm.world.workers[index].hand.swap(0, Ordering::Relaxed);
            all[victim] = spawn(index);
        }
        watch(&storm, &mut all, &mut longest);
        assert_eq!(panics.load(Ordering::Relaxed), 0, "a worker failed");
    }
    // And now without deaths, quietly: whoever was forgotten stays so.
    storm.world.is_quiet.store(1, Ordering::Relaxed);
    let end = Instant::now() + STALL + Duration::from_millis(500);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        watch(&storm, &mut all, &mut longest);
    }
    match &storm.line {
        Line::Values(queue) => queue.close(),
        Line::Bytes(queue) => queue.close(),
    }
    for watched in &mut all {
        assert!(watched.process.join().unwrap().success());
    }
    assert_eq!(panics.load(Ordering::Relaxed), 0, "a worker failed");
    let lost = storm.close(kills, hands);
    let messages: u64 =
        storm.world.workers[..MOST].iter().map(|worker| worker.done.load(Ordering::Relaxed)).sum();
    println!(
        "     {kills} kills, {messages} messages, {lost} lost with their consumers, longest without progress {} ms",
        longest.as_millis()
    );
}

/// Nobody is asleep for longer than that without progress. (Who is not asleep waits for a CPU, which others have.)
fn watch(storm: &Storm, all: &mut [Watched], longest: &mut Duration) {
    for watched in all.iter_mut() {
        let progress = storm.world.workers[watched.index].progress.load(Ordering::Relaxed);
        if progress != watched.progress {
            (watched.progress, watched.since) = (progress, Instant::now());
        }
        let stalled = watched.since.elapsed();
        *longest = (*longest).max(stalled);
        let is_forgotten = stalled > STALL && is_asleep(watched.process.pid());
        assert!(!is_forgotten, "worker {} has been asleep for {stalled:?}", watched.index);
        assert!(stalled < 30 * STALL, "worker {} has not moved for {stalled:?}", watched.index);
    }
}

fn unfinished() {
    const DEAD: u64 = 30;
    let queue = Queue::<u64>::new(8).unwrap();
    let mut alive = Process::spawn(|| {
        while queue.get().is_ok() {
            queue.task_done().unwrap();
        }
    })
    .unwrap();
    let mut put = 0;
    for _ in 0..DEAD {
        let mut dying = Process::spawn(|| {
            queue.get().unwrap();
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        while dying.try_join().unwrap().is_none() {
            queue.put(1).unwrap();
            put += 1;
        }
    }
    assert_eq!(queue.join_timeout(Duration::from_millis(50)), Err(Error::TimedOut));
    queue.close();
    assert!(alive.join().unwrap().success());
    let told = queue.statistics();
    assert_eq!((told.put, told.got, told.lost), (put, put, 0));
    for _ in 0..DEAD {
        assert_eq!(queue.join_timeout(Duration::ZERO), Err(Error::WouldBlock));
        queue.task_done().unwrap();
    }
    assert_eq!((queue.join(), queue.task_done()), (Ok(()), Err(Error::Overflow)));
}
