//! Histories of a queue, with kills, are those of a first-in first-out queue.
//!
//! Several processes put and take at random and are killed; each operation is recorded with its times. `FORQ_HISTORIES` sets how many
//! histories of 10,000 operations (10 unless given).

#[path = "queue_histories/history.rs"]
mod history;
#[path = "queue_histories/planted.rs"]
mod planted;
mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use forq::{Error, ExitStatus, Process, Queue, Shared};
use history::{Act, Operation, check};
use support::{Random, send};

fn main() {
    support::run(&[
        ("the_checker_knows_values_that_cannot_be", planted::values),
        ("the_checker_knows_orders_that_cannot_be", planted::order),
        ("the_checker_knows_what_the_dead_may_have_done", planted::deaths),
        ("the_checker_knows_when_there_was_something", planted::empty),
        ("the_checker_knows_how_much_room_there_is", planted::capacity),
        ("a_fault_planted_in_a_recorded_history_is_found", planted_fault),
        ("histories_with_kills_are_those_of_a_queue", histories),
    ]);
}

/// Operations of a history, at least.
const OPERATIONS: usize = 10_000;
/// Those of one worker and its successors, at most.
const MOST: usize = 2 * OPERATIONS;
/// Workers at most: producers, then consumers.
const WORKERS: usize = 6;

/// What is recorded in place of an answer.
const NONE_YET: u64 = 0;
const DONE: u64 = 1;
const BUSY: u64 = 2;
const CLOSED: u64 = 3;
/// With the value above it.
const VALUE: u64 = 4;

forq::shareable! {
    struct Record {
        /// Of a put; 0 of a get.
        value: AtomicU64,
        begin: AtomicU64,
        end: AtomicU64,
        answer: AtomicU64,
    }
}

forq::shareable! {
    struct Head {
        /// How many records each worker has.
        used: [AtomicU64; WORKERS],
        stop: AtomicU32,
    }
}

/// What the processes of the histories share, one after the other.
struct Recorder {
    head: Shared<Head>,
    records: Shared<[Record]>,
    panics: &'static AtomicU64,
}

fn zero() -> AtomicU64 {
    AtomicU64::new(0)
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Recorder {
    fn new() -> Self {
        let record = |_| Record { value: zero(), begin: zero(), end: zero(), answer: zero() };
        let head = Head { used: std::array::from_fn(|_| zero()), stop: AtomicU32::new(0) };
        Self {
            head: Shared::new(head).unwrap(),
            records: Shared::slice_with((WORKERS + 1) * MOST, record).unwrap(),
            panics: support::count_panics(),
        }
    }

    fn of(&self, worker: usize) -> &[Record] {
        &self.records[worker * MOST..(worker + 1) * MOST]
    }

    fn clear(&self) {
        self.head.stop.store(0, Ordering::Relaxed);
        self.head.used.iter().for_each(|used| used.store(0, Ordering::Relaxed));
    }

    fn count(&self) -> usize {
        self.head.used.iter().map(|used| used.load(Ordering::Relaxed) as usize).sum()
    }

    /// Does one operation, and records it before and after. `value`: to put; 0: takes.
    fn record(
        record: &Record,
        value: u64,
        begun: impl FnOnce(),
        operation: impl FnOnce() -> Result<u64, Error>,
    ) -> bool {
        record.value.store(value, Ordering::Relaxed);
        record.answer.store(NONE_YET, Ordering::Relaxed);
        record.end.store(0, Ordering::Relaxed);
        record.begin.store(now(), Ordering::Relaxed);
        // From here on it may have happened.
        begun();
        let answer = match operation() {
            Ok(0) => DONE,
            Ok(value) => VALUE + value,
            Err(Error::WouldBlock | Error::TimedOut) => BUSY,
            Err(Error::Closed) => CLOSED,
            Err(other) => panic!("{other:?}"),
        };
        record.answer.store(answer, Ordering::Relaxed);
        record.end.store(now(), Ordering::Release);
        answer != CLOSED
    }

    /// What a worker does until it is stopped, or killed.
    fn work(&self, queue: &Queue<u64>, worker: usize, produces: bool, random: &mut Random) {
        let (used, records) = (&self.head.used[worker], self.of(worker));
        loop {
            let index = used.load(Ordering::Relaxed);
            if self.head.stop.load(Ordering::Relaxed) != 0 || index as usize == MOST {
                return;
            }
            let value = if produces { (worker as u64 + 1) << 32 | (index + 1) << 4 } else { 0 };
            let patience = Duration::from_micros(1 + random.below(300));
            let kind = random.below(8);
            let put = || match kind {
                0 | 1 => queue.try_put(value),
                2 => queue.put_timeout(value, patience),
                _ => queue.put(value),
            };
            let get = || match kind {
                0 | 1 => queue.try_get(),
                2 => queue.get_timeout(patience),
                _ => queue.get(),
            };
            let begun = || used.store(index + 1, Ordering::Relaxed);
            let goes_on = Self::record(&records[index as usize], value, begun, || {
                if produces { put().map(|()| 0).map_err(Error::from) } else { get() }
            });
            if !goes_on {
                return;
            }
            // So that there are lulls and crowds.
            for _ in 0..[0, 0, 0, 0, 0, 100, 400, 1600][random.below(8) as usize] {
                std::hint::spin_loop();
            }
        }
    }

    /// Notes that a worker is dead, now.
    fn bury(&self, worker: usize) {
        let used = self.head.used[worker].load(Ordering::Relaxed) as usize;
        if let Some(last) = used.checked_sub(1).map(|last| &self.of(worker)[last]) {
            if last.end.load(Ordering::Relaxed) == 0 {
                last.end.store(now(), Ordering::Relaxed);
            }
        }
    }

    /// The history: all that was recorded, and what the test took at the end.
    fn history(&self, rest: usize) -> Vec<Operation> {
        let used = self.head.used.iter().map(|used| used.load(Ordering::Relaxed) as usize).chain([rest]);
        used.enumerate().flat_map(|(worker, used)| self.of(worker)[..used].iter().map(operation)).collect()
    }
}

fn operation(record: &Record) -> Operation {
    let value = record.value.load(Ordering::Relaxed);
    let act = match (value, record.answer.load(Ordering::Relaxed)) {
        (0, NONE_YET) => Act::MayHaveGot,
        (0, BUSY) => Act::Empty,
        (0, CLOSED) => Act::Over,
        (0, answer) => Act::Got(answer - VALUE),
        (value, NONE_YET) => Act::MayHavePut(value),
        (value, DONE) => Act::Put(value),
        (_, BUSY) => Act::Full,
        _ => Act::Refused,
    };
    let (begin, end) = (record.begin.load(Ordering::Relaxed), record.end.load(Ordering::Relaxed));
    assert!(end >= begin && begin > 0, "{act:?} from {begin} to {end}");
    Operation { act, begin, end }
}

/// Records one history of so many producers and consumers; what happened, and how many were killed.
fn record(recorder: &Recorder, queue: &Queue<u64>, sides: [usize; 2], seed: u64) -> (Vec<Operation>, usize) {
    recorder.clear();
    let before = recorder.panics.load(Ordering::Relaxed);
    let mut random = Random(seed);
    let spawn = |worker: usize, seed: u64| {
        Process::spawn(move || recorder.work(queue, worker, worker < sides[0], &mut Random(seed | 1)))
            .unwrap()
    };
    let mut workers: Vec<_> =
        (0..sides[0] + sides[1]).map(|worker| spawn(worker, random.below(1 << 31))).collect();
    let mut kills = 0;
    while recorder.count() < OPERATIONS {
        std::thread::sleep(Duration::from_micros(random.below(800)));
        let victim = random.below(workers.len() as u64) as usize;
        send(workers[victim].pid(), libc::SIGKILL);
        match workers[victim].join().unwrap() {
            ExitStatus::Signaled(libc::SIGKILL) => kills += 1,
            status => panic!("a worker failed: {status:?}"),
        }
        recorder.bury(victim);
        workers[victim] = spawn(victim, random.below(1 << 31));
    }
    recorder.head.stop.store(1, Ordering::Relaxed);
    queue.close();
    for worker in &mut workers {
        assert!(worker.join().unwrap().success());
    }
    let mut rest = 0;
    loop {
        let record = &recorder.of(WORKERS)[rest];
        rest += 1;
        if !Recorder::record(record, 0, || (), || queue.get()) {
            break;
        }
    }
    assert_eq!(recorder.panics.load(Ordering::Relaxed), before, "a worker failed");
    (recorder.history(rest), kills)
}

/// Of each history: capacity, producers and consumers. One of a side alone must be told exactly.
const SETTINGS: [(usize, [usize; 2]); 8] = [
    (1, [2, 2]),
    (2, [3, 3]),
    (3, [1, 1]),
    (7, [2, 1]),
    (2, [1, 3]),
    (64, [2, 2]),
    (1, [1, 1]),
    (1000, [3, 2]),
];

fn histories() {
    let wanted = std::env::var("FORQ_HISTORIES").ok().and_then(|value| value.parse().ok()).unwrap_or(10);
    let recorder = Recorder::new();
    let (mut kills, mut lost, mut operations) = (0, 0, 0);
    for round in 0..wanted {
        let (capacity, sides) = SETTINGS[round % SETTINGS.len()];
        let queue = Queue::new_at(capacity, (u32::MAX - 50, u32::MAX)).unwrap();
        let (history, killed) = record(&recorder, &queue, sides, 0x9E37_79B9 + round as u64);
        lost += check(&history, capacity)
            .unwrap_or_else(|why| panic!("history {round}, {sides:?} at {capacity}: {why}"));
        kills += killed;
        operations += history.len();
    }
    println!("     {wanted} histories, {operations} operations, {kills} kills, {lost} values lost to them");
}

/// Two values of a history are exchanged: both that were put, in an order that all could see, and got in it.
fn planted_fault() {
    let recorder = Recorder::new();
    let mut planted = 0;
    for (round, (capacity, sides)) in SETTINGS.into_iter().enumerate() {
        let queue = Queue::new(capacity).unwrap();
        let (mut history, _) = record(&recorder, &queue, sides, 7 + round as u64);
        check(&history, capacity).unwrap();
        let mut gets: Vec<_> =
            (0..history.len()).filter(|&index| matches!(history[index].act, Act::Got(_))).collect();
        gets.sort_by_key(|&index| history[index].begin);
        let put_of = |value: u64| {
            let of = [Act::Put(value), Act::MayHavePut(value)];
            history.iter().find(|one| of.contains(&one.act)).copied().expect("it was put")
        };
        // Neighbours, or nearly: the smallest fault there is.
        let pair = gets.windows(4).skip(gets.len() / 3).find_map(|near| {
            let (first, second) = (near[0], near[3]);
            let (Act::Got(one), Act::Got(other)) = (history[first].act, history[second].act) else {
                return None;
            };
            let is_seen = history[first].end < history[second].begin && put_of(one).end < put_of(other).begin;
            is_seen.then_some((first, second))
        });
        let Some((first, second)) = pair else { continue };
        (history[first].act, history[second].act) = (history[second].act, history[first].act);
        assert!(check(&history, capacity).is_err(), "history {round}");
        planted += 1;
    }
    assert!(planted >= SETTINGS.len() / 2, "faults could be planted: {planted}");
}
