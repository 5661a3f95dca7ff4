//! The supervisor killed before each instruction of what it does: everything pending ends, calls return, nobody is left.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{AsyncResult, Error, Pool, Shared, TaskError};

use super::support::{eventually, is_asleep, is_running, send};
use super::tracee::{Tracee, is_asleep_anywhere};
use super::way::at_each;
use super::{INPUTS, ITEMS, TWICE, counts, forget, kill, note, who_ran, worker_of};

/// Unoptimised, a fork and its closing of descriptors are 200,000 instructions, most of them in loops.
const STRIDE: usize = if cfg!(debug_assertions) { 1500 } else { 60 };

/// What every item gets that is pending when the supervisor is killed.
const LOST: Result<u8, TaskError> = Err(TaskError::Signaled(libc::SIGKILL));

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn workers_of(pool: &Pool) -> [u32; 2] {
    [worker_of(pool, 0, 0), worker_of(pool, 1, 0)]
}

fn end(worker: u32) {
    send(worker, libc::SIGKILL);
    eventually("it is dead", || !is_running(worker));
}

/// A job that is never done, under way in both workers.
fn endless(pool: &Pool) -> AsyncResult<[u8]> {
    forget();
    let forever = |&x: &u8| -> u8 {
        note(x.into());
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    };
    let job = pool.batch().chunk_size(1).map_async(forever, &[0, 1]).unwrap();
    eventually("it is under way", || who_ran(0) != 0 && who_ran(1) != 0);
    job
}

/// Whether a dead worker has been replaced, as far as the supervisor goes.
fn is_replaced(pool: &Pool, workers: [u32; 2], dead: u32) -> bool {
    let index = workers.iter().position(|&worker| worker == dead).unwrap();
    ![0, dead].contains(&(pool.worker_statistics(index).unwrap().pid as u32))
}

/// What holds of every pool whose supervisor was killed: calls return, it can be freed, and nobody is left.
fn check_broken(pool: Pool, processes: &[u32], at: usize) {
    // Until it is known, items may still be taken, and be lost. (Who asks is told at once; who sleeps, within 250 ms.)
    eventually("it is known", || match pool.apply_async(|x| x + 1, &1u8) {
        Err(Error::ChildLost | Error::Closed) => true,
        Ok(item) => {
            eventually("it has ended", || item.ready());
            match item.get() {
                Ok(2) | Err(Error::Task { index: 0, error: TaskError::Signaled(libc::SIGKILL) }) => false,
                other => panic!("{at}: {other:?}"),
            }
        }
        other => panic!("{at}: {other:?}"),
    });
    let mut all = processes.to_vec();
    all.extend((0..2).map(|index| pool.worker_statistics(index).unwrap().pid as u32));
    let started = Instant::now();
    drop(pool);
    assert!(started.elapsed() < Duration::from_secs(30), "{at}");
    eventually("nobody is left", || !all.iter().any(|&pid| pid != 0 && is_running(pid)));
}

/// How a job ended that was pending.
fn outcomes<R: bytemuck::Pod>(job: &AsyncResult<[R]>) -> Vec<Result<R, TaskError>> {
    // Who asks is told at once; who sleeps, within 250 ms.
    eventually("it is known", || job.ready());
    job.try_get().unwrap()
}

pub(crate) fn burying() {
    counts();
    at_each(STRIDE, 1000, |at, way| {
        let pool = Pool::new(2).unwrap();
        let workers = workers_of(&pool);
        let job = endless(&pool);
        let tracee = Tracee::attach(parent_of(workers[0]));
        end(workers[0]);
        let done = way.go(&tracee, at, || is_replaced(&pool, workers, workers[0]));
        kill(&tracee);
        assert_eq!(outcomes(&job), [LOST; 2], "{at}");
        check_broken(pool, &workers, at);
        done
    });
}

/// Noted as an item: that the first may end, so that the rest is cut.
const CUT: u32 = TWICE as u32 - 1;

fn is_cutting() -> bool {
    who_ran(CUT as usize) != 0
}

pub(crate) fn burying_cutter() {
    counts();
    at_each(STRIDE, 1000, |at, way| {
        let pool = Pool::new(2).unwrap();
        let workers = workers_of(&pool);
        forget();
        let task = |&x: &u32| {
            note(x);
            // The first is done when the other worker has gone to sleep; the others never.
            while x > 0 || !is_cutting() {
                std::thread::sleep(Duration::from_millis(1));
            }
            x + 100
        };
        let job = pool.batch().chunk_size(ITEMS).map_async(task, &INPUTS).unwrap();
        eventually("the first runs", || who_ran(0) != 0);
        let idle = workers[usize::from(workers[0] == who_ran(0))];
        eventually("the other sleeps", || is_asleep(idle));
        note(CUT);
        // The second half of what is left after the first item.
        eventually("it has been cut", || who_ran(1) != 0 && who_ran(4) != 0);
        let cutter = who_ran(1);
        assert!(workers.contains(&cutter) && who_ran(4) != cutter);
        let tracee = Tracee::attach(parent_of(cutter));
        end(cutter);
        let done = way.go(&tracee, at, || is_replaced(&pool, workers, cutter));
        kill(&tracee);
        let lost = Err(TaskError::Signaled(libc::SIGKILL));
        assert_eq!(outcomes(&job), [Ok(100), lost, lost, lost, lost, lost], "{at}");
        check_broken(pool, &workers, at);
        done
    });
}

static STARTED: OnceLock<Shared<[AtomicU32]>> = OnceLock::new();

/// Those that replace others never come to work: the supervisor dies while one of them is being made, or made ready.
pub(crate) fn replacing() {
    const MOST: usize = 8;
    counts();
    let started = STARTED.get_or_init(|| Shared::slice_with(MOST, |_| AtomicU32::new(0)).unwrap());
    at_each(STRIDE, 1000, |at, way| {
        started.iter().for_each(|pid| pid.store(0, Ordering::Relaxed));
        let initializer = || {
            let own = std::process::id();
            let take =
                |pid: &AtomicU32| pid.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if STARTED.get().unwrap().iter().position(take) >= Some(2) {
                std::thread::sleep(Duration::from_secs(1000));
            }
        };
        let pool = Pool::builder().workers(2).initializer(&initializer).build().unwrap();
        let workers = workers_of(&pool);
        let job = endless(&pool);
        let tracee = Tracee::attach(parent_of(workers[0]));
        end(workers[0]);
        let done = way.go(&tracee, at, || started[2].load(Ordering::Relaxed) != 0);
        kill(&tracee);
        assert_eq!(outcomes(&job), [LOST; 2], "{at}");
        let all: Vec<u32> = started.iter().map(|pid| pid.load(Ordering::Relaxed)).collect();
        check_broken(pool, &all, at);
        done
    });
}

pub(crate) fn condemning() {
    counts();
    let limit = Duration::from_millis(5);
    at_each(2 * STRIDE, 1000, |at, way| {
        let pool = Pool::builder().workers(2).task_timeout(limit).build().unwrap();
        let workers = workers_of(&pool);
        // Before they have any time to be over.
        let tracee = Tracee::attach(parent_of(workers[0]));
        let job = endless(&pool);
        // It finds both over their time.
        std::thread::sleep(2 * limit);
        let done = way.go(&tracee, at, || job.ready());
        kill(&tracee);
        let each = outcomes(&job);
        let may_be = |item: &Result<u8, TaskError>| *item == Err(TaskError::TimedOut) || *item == LOST;
        assert!(each.iter().all(may_be), "{at}: {each:?}");
        if done < at {
            assert!(each == [Err(TaskError::TimedOut); 2], "{at}: {each:?}");
        }
        check_broken(pool, &workers, at);
        done
    });
}

static GATE: OnceLock<Shared<AtomicU32>> = OnceLock::new();

/// The item that it finds over its time ends while it stands there: it is over its time, or OK, and in that case nobody is killed for it.
pub(crate) fn stopped_condemning() {
    counts();
    let gate = GATE.get_or_init(|| Shared::new(AtomicU32::new(0)).unwrap());
    let limit = Duration::from_millis(5);
    let late = |outcome: &Result<u32, TaskError>| *outcome == Err(TaskError::TimedOut);
    let mut in_time = 0;
    at_each(STRIDE / 6, 1000, |at, way| {
        forget();
        gate.store(0, Ordering::Relaxed);
        let pool = Pool::builder().workers(1).task_timeout(limit).build().unwrap();
        let worker = worker_of(&pool, 0, 0);
        let supervisor = parent_of(worker);
        let tracee = Tracee::attach(supervisor);
        let task = |&x: &u32| {
            note(x);
            while x == 0 && GATE.get().unwrap().load(Ordering::Relaxed) == 0 {
                std::hint::spin_loop();
            }
            x + 100
        };
        let job = pool.batch().chunk_size(ITEMS).map_async(task, &INPUTS).unwrap();
        eventually("it is under way", || who_ran(0) == worker);
        std::thread::sleep(2 * limit);
        let done = way.go(&tracee, at, || job.ready());
        gate.store(1, Ordering::Relaxed);
        if done < at {
            kill(&tracee);
        } else {
            // At rest, or waiting to be killed.
            eventually("it has gone on", || !is_running(worker) || is_asleep_anywhere(worker));
            tracee.release();
        }
        let each = outcomes(&job);
        assert!((0..ITEMS).all(|item| counts()[item].load(Ordering::Relaxed) == 1), "{at}");
        for (x, outcome) in each.iter().enumerate() {
            assert!(late(outcome) || *outcome == Ok(x as u32 + 100), "{at}: {each:?}");
        }
        if done == at {
            eventually("it has looked", || is_asleep_anywhere(supervisor));
            // Whoever was killed does not run it.
            let next = pool.batch().try_map(|&x: &u32| x + 100, &[7]).unwrap();
            assert!(late(&next[0]) || next[0] == Ok(107), "{at}: {next:?}");
            let late = each.iter().chain(&next).filter(|outcome| late(outcome)).count();
            eventually("who was late is replaced", || pool.statistics().replaced >= late as u64);
            assert_eq!(pool.statistics().replaced, late as u64, "{at}: nobody else is: {each:?}");
            in_time += usize::from(each[0].is_ok());
        }
        done
    });
    assert!(in_time > 0, "no item ended before it was stopped: this shows nothing");
}

pub(crate) fn cancelling() {
    counts();
    at_each(2 * STRIDE, 1000, |at, way| {
        // The thread of an earlier trial may not be quite gone, and this one forks.
        eventually("there is one thread", || {
            std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
        });
        let pool = Pool::new(2).unwrap();
        let workers = workers_of(&pool);
        let job = endless(&pool);
        let tracee = Tracee::attach(parent_of(workers[0]));
        let thread = AtomicU32::new(0);
        let (done, told) = std::thread::scope(|scope| {
            let cancel = scope.spawn(|| {
                // SAFETY: no arguments.
                thread.store(unsafe { libc::gettid() } as u32, Ordering::Relaxed);
                job.cancel()
            });
            eventually("it waits for the supervisor", || is_asleep(thread.load(Ordering::Relaxed)));
            let done = way.go(&tracee, at, || cancel.is_finished());
            kill(&tracee);
            (done, cancel.join().unwrap())
        });
        assert_eq!(told, Ok(()), "{at}");
        let each = outcomes(&job);
        assert!(each == [Err(TaskError::Cancelled); 2] || each == [LOST; 2], "{at}: {each:?}");
        check_broken(pool, &workers, at);
        done
    });
}

pub(crate) fn closing() {
    at_each(STRIDE / 6, 500, |at, _| {
        let pool = Pool::new(2).unwrap();
        let workers = workers_of(&pool);
        let tracee = Tracee::attach(parent_of(workers[0]));
        pool.close().unwrap();
        let done = tracee.step_to_end(at);
        if done == at {
            kill(&tracee);
        }
        pool.join().unwrap();
        check_broken(pool, &workers, at);
        done
    });
}

pub(crate) fn terminating() {
    counts();
    at_each(STRIDE / 6, 500, |at, _| {
        let pool = Pool::new(2).unwrap();
        let workers = workers_of(&pool);
        let job = endless(&pool);
        let tracee = Tracee::attach(parent_of(workers[0]));
        pool.terminate().unwrap();
        let done = tracee.step_to_end(at);
        if done == at {
            kill(&tracee);
        }
        pool.join().unwrap();
        let each = outcomes(&job);
        let is_lost = each == [LOST; 2];
        assert!(is_lost || each == [Err(TaskError::Cancelled); 2], "{at}: {each:?}");
        // Once it has said how the pool ended, that stands.
        assert!(!is_lost || done == at, "{at}: {each:?}");
        check_broken(pool, &workers, at);
        done
    });
}
