//! The pool's processes killed, or stopped, before each instruction of what they do, by ptrace.
//!
//! Every so many instructions by default; `FORQ_EVERY=1 cargo test --release --test pool_crash_points` takes each one.
//! Linux on x86_64 and aarch64: where processes cannot be stepped, nothing is shown, and said so.

#[path = "support/path.rs"]
mod path;
#[path = "pool_crash_points/supervisor.rs"]
mod supervisor;
mod support;
#[path = "support/tracee.rs"]
mod tracee;
#[path = "pool_crash_points/way.rs"]
mod way;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{AsyncResult, Pool, Shared, TaskError};
use support::{eventually, is_asleep, is_stopped, progress, send};
use tracee::{Tracee, every, first};
use way::at_each;

fn main() {
    support::run(&[
        ("a_worker_killed_at_any_instruction_costs_one_item", worker_once),
        ("a_worker_killed_at_any_instruction_costs_nothing_where_items_are_tried_again", worker_again),
        ("a_worker_of_a_stream_killed_at_any_instruction_costs_one_item", stream),
        ("a_worker_killed_at_any_instruction_of_its_retirement_costs_nothing", retiring),
        ("a_worker_stopped_at_any_instruction_takes_nothing_that_came_later", stopped),
        ("a_worker_killed_at_any_instruction_of_a_cut_or_of_taking_the_piece_costs_one_item", cutting),
        ("a_worker_stopped_at_any_instruction_of_a_cut_loses_nothing", stopped_cutting),
        (
            "a_supervisor_killed_at_any_instruction_of_burying_a_worker_ends_what_is_pending",
            supervisor::burying,
        ),
        (
            "a_supervisor_killed_at_any_instruction_of_burying_who_had_cut_keeps_what_was_done",
            supervisor::burying_cutter,
        ),
        (
            "a_supervisor_killed_at_any_instruction_of_replacing_a_worker_ends_what_is_pending",
            supervisor::replacing,
        ),
        (
            "a_supervisor_killed_at_any_instruction_of_stopping_items_ends_what_is_pending",
            supervisor::condemning,
        ),
        (
            "a_supervisor_stopped_at_any_instruction_of_stopping_an_item_costs_no_other",
            supervisor::stopped_condemning,
        ),
        ("a_supervisor_killed_at_any_instruction_of_a_cancel_lets_it_return", supervisor::cancelling),
        ("a_supervisor_killed_at_any_instruction_of_a_close_lets_join_return", supervisor::closing),
        ("a_supervisor_killed_at_any_instruction_of_a_terminate_lets_join_return", supervisor::terminating),
    ]);
}

const ITEMS: usize = 6;
/// Items of two chunks.
const TWICE: usize = 2 * ITEMS;
/// Items of a job whose memory is larger than that of the others.
const BLANK: usize = 500;

forq::shareable! {
    struct Counts {
        runs: [AtomicU32; TWICE],
        /// Who ran each last.
        by: [AtomicU32; TWICE],
    }
}

static COUNTS: OnceLock<Shared<Counts>> = OnceLock::new();

fn counts() -> &'static [AtomicU32; TWICE] {
    let zero = || [const { AtomicU32::new(0) }; TWICE];
    &COUNTS.get_or_init(|| Shared::new(Counts { runs: zero(), by: zero() }).unwrap()).runs
}

fn forget() {
    counts().iter().chain(&COUNTS.get().unwrap().by).for_each(|word| word.store(0, Ordering::Relaxed));
}

/// Who ran an item last; 0: nobody.
fn who_ran(item: usize) -> u32 {
    COUNTS.get().unwrap().by[item].load(Ordering::Relaxed)
}

fn note(item: u32) {
    let counts = COUNTS.get().unwrap();
    counts.by[item as usize].store(std::process::id(), Ordering::Relaxed);
    counts.runs[item as usize].fetch_add(1, Ordering::Relaxed);
}

fn kill(tracee: &Tracee) {
    send(tracee.pid() as u32, libc::SIGKILL);
    // The parent learns of it when we have.
    // SAFETY: no place for the result.
    while unsafe { libc::waitpid(tracee.pid(), std::ptr::null_mut(), libc::__WALL) } == tracee.pid() {}
}

fn worker_of(pool: &Pool, index: usize, before: u32) -> u32 {
    let pid = || pool.worker_statistics(index).unwrap().pid as u32;
    eventually("there is a worker, at rest", || pid() != 0 && pid() != before && is_asleep(pid()));
    pid()
}

fn task(&x: &u32) -> u32 {
    note(x);
    x + 100
}

const INPUTS: [u32; ITEMS] = [0, 1, 2, 3, 4, 5];

/// Kills the only worker before instruction 0, n, 2n .. of a job that `begin` hands out, and has `check` look at what came of it. `items`: how
/// many it has, if they are counted.
fn kill_worker<J>(pool: &Pool, items: usize, begin: impl Fn() -> J, check: impl Fn(J, usize)) {
    let (mut before, mut total) = (0, 0);
    at_each(10, 1000, |at, way| {
        let worker = worker_of(pool, 0, before);
        before = worker;
        forget();
        let tracee = Tracee::attach(worker);
        let job = begin();
        let done = way.go(&tracee, at, || true);
        kill(&tracee);
        check(job, at);
        if items > 0 {
            total += items;
            check_count(pool, total, at);
        }
        done
    });
}

/// Each item that has ended is counted once. (Not of streams: who takes a result may come before who counts it, and that one may die.)
fn check_count(pool: &Pool, items: usize, at: usize) {
    // Who counts them may come a little later than who sees the result.
    eventually("all items are counted", || pool.statistics().items >= items as u64);
    assert_eq!(pool.statistics().items, items as u64, "{at}: items are counted twice");
}

/// What came of a job, which ends whoever is killed.
fn ended(job: &AsyncResult<[u32]>) -> Vec<Result<u32, TaskError>> {
    eventually("the job has ended", || job.ready());
    job.try_get().unwrap()
}

/// Each item ended once: at most one of them by the death of its worker.
fn check_once(each: &[Result<u32, TaskError>], most_lost: usize, at: usize) {
    let mut lost = 0;
    for (x, outcome) in each.iter().enumerate() {
        let runs = counts()[x].load(Ordering::Relaxed);
        match outcome {
            Ok(output) => assert!(*output == x as u32 + 100 && runs == 1, "{at}: item {x} ran {runs} times"),
            Err(TaskError::Signaled(libc::SIGKILL)) => {
                assert!(runs <= 1, "{at}: item {x} ran {runs} times");
                lost += 1;
            }
            Err(other) => panic!("{at}: item {x} {other}"),
        }
    }
    assert!(lost <= most_lost, "{at}: {lost} lost: {each:?}");
}

fn worker_once() {
    counts();
    let pool = Pool::new(1).unwrap();
    let begin = || pool.batch().chunk_size(2).map_async(task, &INPUTS).unwrap();
    kill_worker(&pool, ITEMS, begin, |job: AsyncResult<[u32]>, at| {
        check_once(&ended(&job), 1, at);
    });
}

fn worker_again() {
    counts();
    let pool = Pool::builder().workers(1).max_attempts(3).build().unwrap();
    let begin = || pool.batch().chunk_size(3).map_async(task, &INPUTS).unwrap();
    kill_worker(&pool, ITEMS, begin, |job: AsyncResult<[u32]>, at| {
        eventually("the job has ended", || job.ready());
        assert_eq!(job.get().unwrap(), [100, 101, 102, 103, 104, 105], "{at}");
        let runs = counts()[..ITEMS].iter().map(|runs| runs.load(Ordering::Relaxed));
        assert!(runs.clone().all(|runs| runs >= 1) && runs.sum::<u32>() <= ITEMS as u32 + 1, "{at}");
    });
}

fn stream() {
    counts();
    let pool = Pool::new(1).unwrap();
    let stream = pool.stream(task, 4, false).unwrap();
    let begin = || INPUTS[..4].iter().for_each(|x| stream.put(x).unwrap());
    kill_worker(&pool, 0, begin, |(), at| {
        let mut each = [Err(TaskError::Cancelled); 4];
        for _ in 0..4 {
            let (number, result) = stream.next().unwrap().unwrap();
            let place = &mut each[number as usize % 4];
            assert_eq!(std::mem::replace(place, result), Err(TaskError::Cancelled), "{at}: twice");
        }
        check_once(&each, 1, at);
    });
}

fn retiring() {
    counts();
    // It leaves in the middle of the only chunk.
    let pool = Pool::builder().workers(1).max_tasks_per_worker(4).build().unwrap();
    let (mut at, stride) = (first(), every(20));
    let mut before = 0;
    loop {
        let worker = worker_of(&pool, 0, before);
        forget();
        let tracee = Tracee::attach(worker);
        let job = pool.batch().chunk_size(ITEMS).map_async(task, &INPUTS).unwrap();
        let left = tracee.step_to_end(at) < at;
        if !left {
            kill(&tracee);
        }
        check_once(&job.try_get().unwrap(), 1, at);
        progress();
        if left {
            return;
        }
        // The next job is for a fresh worker: the replacement may have run a part of this one.
        let used = worker_of(&pool, 0, worker);
        send(used, libc::SIGKILL);
        (before, at) = (used, at + stride);
    }
}

fn stopped() {
    counts();
    let pool = Pool::new(2).unwrap();
    let mut killed = 0;
    at_each(10, 1000, |at, way| {
        let (stepped, other) = (worker_of(&pool, 0, 0), worker_of(&pool, 1, 0));
        forget();
        send(other, libc::SIGSTOP);
        let tracee = Tracee::attach(stepped);
        let first = pool.batch().chunk_size(1).map_async(task, &INPUTS[..2]).unwrap();
        let done = way.go(&tracee, at, || true);
        // While it stands there, slots and memory are used again and again by others.
        send(other, libc::SIGCONT);
        for round in 0..4u64 {
            assert_eq!(pool.apply(|x| x * 2, &round), Ok(round * 2), "{at}");
            let more = pool.batch().chunk_size(1).map(|x| x + 7, &[round, round + 1, round + 2]);
            assert_eq!(more.unwrap(), [round + 7, round + 8, round + 9], "{at}");
        }
        let_go(tracee, done < at);
        killed += u64::from(done < at);
        check_once(&first.try_get().unwrap(), 0, at);
        assert_eq!(pool.map(|x| x + 1, &[1u8; 20]).unwrap(), [2; 20]);
        assert!(pool.statistics().replaced <= killed);
        done
    });
}

/// Lets a stepped process go on; one that sleeps is ended: with a step pending it could not be let go, it might die of that.
fn let_go(tracee: Tracee, is_asleep: bool) {
    if is_asleep {
        kill(&tracee);
    } else {
        tracee.release();
    }
}

/// Two workers at rest, the second of which is stopped: it is idle, for all that the first can see.
fn stepped_and_stopped(pool: &Pool, before: u32) -> (u32, u32) {
    let (stepped, other) = (worker_of(pool, 0, before), worker_of(pool, 1, 0));
    forget();
    send(other, libc::SIGSTOP);
    eventually("it is stopped", || is_stopped(other));
    (stepped, other)
}

const TWO_CHUNKS: [u32; TWICE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// The first worker runs a chunk, and then another: items are long, so it cuts pieces off that one; since the other does not come, it takes
/// them itself, and cuts them too.
fn two_chunks(pool: &Pool) -> AsyncResult<[u32]> {
    let task = |x: &u32| {
        note(*x);
        std::thread::sleep(Duration::from_micros(60));
        x + 100
    };
    pool.batch().chunk_size(ITEMS).map_async(task, &TWO_CHUNKS).unwrap()
}

fn cutting() {
    counts();
    let pool = Pool::new(2).unwrap();
    let (mut before, mut total) = (0, 0);
    at_each(10, 1000, |at, way| {
        let (stepped, other) = stepped_and_stopped(&pool, before);
        before = stepped;
        // What a job finds in its memory is a first item's number, nothing that fits.
        assert_eq!(pool.batch().chunk_size(BLANK).map(|&x| x, &[0u64; BLANK]).unwrap(), [0; BLANK]);
        let tracee = Tracee::attach(stepped);
        let job = two_chunks(&pool);
        // Not while it sleeps in an item.
        let done = way.go(&tracee, at, || is_asleep(stepped));
        kill(&tracee);
        send(other, libc::SIGCONT);
        check_once(&ended(&job), 1, at);
        total += BLANK + TWICE;
        check_count(&pool, total, at);
        done
    });
}

fn stopped_cutting() {
    counts();
    let pool = Pool::new(2).unwrap();
    let (mut killed, mut shared) = (0, 0);
    at_each(10, 1000, |at, way| {
        let (stepped, other) = stepped_and_stopped(&pool, 0);
        let tracee = Tracee::attach(stepped);
        let job = two_chunks(&pool);
        let done = way.go(&tracee, at, || is_asleep(stepped));
        send(other, libc::SIGCONT);
        eventually("the other has done what there is", || is_asleep(other));
        if who_ran(ITEMS) == stepped && who_ran(TWICE - 1) == other {
            shared += 1;
        }
        let_go(tracee, done < at);
        killed += u64::from(done < at);
        check_once(&job.try_get().unwrap(), 0, at);
        assert!(pool.statistics().replaced <= killed);
        done
    });
    assert!(shared > 0, "no chunk was cut: this shows nothing");
}
