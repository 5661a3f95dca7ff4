//! What the pool promises when tasks crash, workers are killed, and the host or the supervisor dies.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, ExitStatus, Mutex, Pool, Process, Shared, TaskError};
use support::{Random, eventually, has_begun, is_running, send};

fn main() {
    support::run(&[
        ("a_crash_costs_one_item_and_is_told", crashes),
        ("an_item_that_panics_costs_itself_and_its_worker_lives", panics),
        ("an_item_is_tried_as_often_as_allowed", attempts),
        ("killed_workers_cost_nothing_when_items_are_tried_again", killed_workers),
        ("every_item_has_one_status_whoever_is_killed", exactly_one_status),
        ("a_task_that_forks_and_returns_twice_completes_once", forking_task),
        ("a_stopped_worker_holds_up_only_what_it_has_in_hand", stopped_worker),
        ("the_host_s_death_ends_all", host_killed),
        ("a_host_that_executes_another_program_ends_all", host_executes),
        ("the_supervisor_s_death_ends_what_is_pending_within_a_second", supervisor_killed),
        ("workers_that_cannot_be_replaced_break_the_pool", not_replaceable),
        ("an_interrupt_ends_the_pool_unless_it_is_the_host_s_business", interrupt),
        ("the_host_s_own_children_and_handlers_are_not_disturbed", host_with_children),
        ("a_host_that_ignores_sigchld_gets_right_answers", sigchld_ignored),
        ("locks_in_tasks_know_their_worker", locks_in_tasks),
        ("attempts_are_counted_for_each_item_alone", attempts_beside_failures),
        ("signals_to_an_interruptible_host_break_nothing", interruptible_host),
        ("a_host_without_standard_streams_may_have_a_pool", closed_streams),
        ("a_panic_that_panics_again_stays_in_the_worker", panicking_payload),
        ("memory_and_slots_are_reused_safely_while_workers_stop_and_go_on", stop_and_go),
    ]);
}

fn crashes() {
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u32> = (0..1000).collect();
    for _ in 0..3 {
        let each = pool
            .batch()
            .try_map(
                |&x| {
                    match x {
                        // SAFETY: none; this is the fault that is shown.
                        100 => unsafe { std::ptr::null_mut::<u32>().write_volatile(1) },
                        200 => std::process::abort(),
                        // SAFETY: leaves at once.
                        300 => unsafe { libc::_exit(3) },
                        400 => send(std::process::id(), libc::SIGKILL),
                        // SAFETY: leaves at once.
                        500 => unsafe { libc::_exit(0) },
                        _ => {}
                    }
                    x * 2
                },
                &inputs,
            )
            .unwrap();
        for (&input, outcome) in inputs.iter().zip(&each) {
            match input {
                100 => assert_eq!(*outcome, Err(TaskError::Signaled(libc::SIGSEGV))),
                200 => assert_eq!(*outcome, Err(TaskError::Signaled(libc::SIGABRT))),
                300 => assert_eq!(*outcome, Err(TaskError::Exited(3))),
                400 => assert_eq!(*outcome, Err(TaskError::Signaled(libc::SIGKILL))),
                500 => assert_eq!(*outcome, Err(TaskError::Exited(0))),
                _ => assert_eq!(*outcome, Ok(input * 2)),
            }
        }
        assert_eq!(pool.map(|x| x + 1, &inputs).unwrap()[999], 1000, "the next map works");
    }
    assert_eq!(pool.statistics().crashes, 15);
    let failed = pool.map(|&x| if x == 7 { std::process::abort() } else { x }, &inputs);
    assert_eq!(failed, Err(Error::Task { index: 7, error: TaskError::Signaled(libc::SIGABRT) }));
}

fn locks_in_tasks() {
    static LOCK: std::sync::OnceLock<Shared<Mutex<u64>>> = std::sync::OnceLock::new();
    let lock = LOCK.get_or_init(|| Shared::new(Mutex::new(0)).unwrap());
    // This process has its identity before the pool is made: no worker may go under it.
    *lock.lock().unwrap() += 1;
    let pool = Pool::new(3).unwrap();
    let task = |&x: &u32| {
        let lock = LOCK.get().unwrap();
        let mut count = lock.lock().unwrap_or_else(|error| error.into_guard().unwrap());
        count.mark_consistent();
        *count += 1;
        if x % 50 == 49 {
            std::process::abort();
        }
        u32::from(lock.owner() == Some(std::process::id()))
    };
    let each = pool.batch().chunk_size(1).try_map(task, &(0..1000).collect::<Vec<u32>>()).unwrap();
    for (index, outcome) in each.iter().enumerate() {
        let crashed = index % 50 == 49;
        assert_eq!(*outcome, if crashed { Err(TaskError::Signaled(libc::SIGABRT)) } else { Ok(1) });
    }
    let count = *lock.lock().unwrap_or_else(|error| error.into_guard().unwrap());
    assert_eq!((count, lock.statistics().holder_deaths), (1001, 20));
}

fn attempts_beside_failures() {
    static RUNS: std::sync::OnceLock<Shared<AtomicU32>> = std::sync::OnceLock::new();
    let runs = RUNS.get_or_init(|| Shared::new(AtomicU32::new(0)).unwrap());
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::builder().workers(1).max_attempts(3).build().unwrap();
    for _ in 0..3 {
        runs.store(0, Ordering::Relaxed);
        let task = |&x: &u32| match x {
            1 => panic!("this one only fails"),
            2 => {
                RUNS.get().unwrap().fetch_add(1, Ordering::Relaxed);
                std::process::abort()
            }
            x => x,
        };
        let each = pool.batch().chunk_size(4).try_map(task, &[0, 1, 2, 3]).unwrap();
        let crashed = Err(TaskError::Signaled(libc::SIGABRT));
        assert_eq!([each[0], each[2], each[3]], [Ok(0), crashed, Ok(3)]);
        assert_eq!(said(&each[1]), "this one only fails");
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }
}

fn interruptible_host() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: a handler that does nothing, and a timer that runs every half millisecond.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as libc::sighandler_t;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::sigaction(libc::SIGWINCH, &action, std::ptr::null_mut());
        let often = libc::timeval { tv_sec: 0, tv_usec: 500 };
        let timer = libc::itimerval { it_interval: often, it_value: often };
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
    forq::set_interruptible(true);
    for _ in 0..3 {
        let pool = Pool::new(2).unwrap();
        let mut interrupted = 0;
        for x in 0..10u64 {
            // SAFETY: the group of this test.
            unsafe { libc::kill(0, libc::SIGWINCH) };
            let task = |x: &u64| {
                std::thread::sleep(Duration::from_millis(100));
                x + 1
            };
            match pool.apply(task, &x) {
                Ok(y) => assert_eq!(y, x + 1),
                Err(Error::Interrupted) => interrupted += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(interrupted > 0, "no wait was interrupted: this shows nothing");
    }
    // SAFETY: all kinds of children are asked for: none is left.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) }, -1);
}

fn closed_streams() {
    let mut child = Process::spawn(|| {
        // SAFETY: closes what this process does not use any more.
        unsafe { (0..3).for_each(|stream| assert_eq!(libc::close(stream), 0)) };
        let pool = Pool::new(2).unwrap();
        let worker = pool.worker_statistics(0).unwrap().pid as u32;
        std::thread::sleep(Duration::from_millis(300));
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", parent_of(worker))).unwrap();
        let used: u64 = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum();
        i32::from(pool.apply(|x| x + 1, &1u8) == Ok(2) && used <= 2)
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(1));
}

struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("again");
    }
}

fn panicking_payload() {
    std::panic::set_hook(Box::new(|_| ()));
    let host = std::process::id();
    let pool = Pool::new(1).unwrap();
    let each =
        pool.batch().try_map(|&x: &u8| if x == 1 { std::panic::panic_any(Twice) } else { x }, &[0, 1, 2]);
    assert_eq!(std::process::id(), host, "the worker came back as a second host");
    let each = each.unwrap();
    assert_eq!([each[0], each[2]], [Ok(0), Ok(2)]);
    assert_eq!(said(&each[1]), "");
    let mut child = Process::spawn(|| -> i32 { std::panic::panic_any(Twice) }).unwrap();
    assert_eq!(std::process::id(), host, "the child came back as a second host");
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(101));
}

fn panics() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::new(2).unwrap();
    let each = pool.batch().chunk_size(10).try_map(|x| 10 / x, &[1i32, 0, 2, 0, 0, 5]).unwrap();
    assert_eq!([each[0], each[2], each[5]], [Ok(10), Ok(5), Ok(2)]);
    assert!([1, 3, 4].iter().all(|&item| said(&each[item]) == "attempt to divide by zero"));
    assert_eq!(pool.statistics().crashes, 0);
    let failed =
        pool.map(|&x| if x < 3 { x } else { panic!("item {x} is {}", "\u{fc}".repeat(60)) }, &[1, 2, 3, 4]);
    let Err(Error::Task { index: 2, error }) = failed else { panic!("{failed:?}") };
    // 94 bytes are kept, of characters that are whole.
    assert_eq!(error.to_string(), format!("panicked: item 3 is {}", "\u{fc}".repeat(42)));
    // More than are kept: each fails, and none is told another's message.
    let each =
        pool.batch().try_map(|&x: &u32| -> u32 { panic!("{x}") }, &(0..1000).collect::<Vec<u32>>()).unwrap();
    let told = each.iter().enumerate().filter(|(index, outcome)| {
        let said = said(outcome);
        assert!(said.is_empty() || said == index.to_string());
        !said.is_empty()
    });
    assert_eq!(told.count(), 64);
}

/// What an item said that panicked.
fn said<R: std::fmt::Debug>(outcome: &Result<R, TaskError>) -> String {
    match outcome {
        Err(TaskError::Panicked(message)) => message.as_str().to_owned(),
        other => panic!("no panic: {other:?}"),
    }
}

fn attempts() {
    forq::shareable! {
        struct Tries {
            count: [AtomicU32; 8],
        }
    }
    static TRIES: std::sync::OnceLock<Shared<Tries>> = std::sync::OnceLock::new();
    let tries = TRIES.get_or_init(|| Shared::new(Tries { count: [const { AtomicU32::new(0) }; 8] }).unwrap());
    let pool = Pool::builder().workers(2).max_attempts(3).build().unwrap();
    let each = pool
        .batch()
        .chunk_size(8)
        .try_map(
            |&x: &u32| {
                let before = TRIES.get().unwrap().count[x as usize].fetch_add(1, Ordering::Relaxed);
                // Item 2 succeeds the third time, item 5 never.
                if x == 2 && before < 2 || x == 5 {
                    std::process::abort();
                }
                x
            },
            &[0, 1, 2, 3, 4, 5, 6, 7],
        )
        .unwrap();
    assert_eq!(each[5], Err(TaskError::Signaled(libc::SIGABRT)));
    assert!(each.iter().enumerate().all(|(index, outcome)| index == 5 || *outcome == Ok(index as u32)));
    let counts: Vec<u32> = tries.count.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert_eq!(counts, [1, 1, 3, 1, 1, 3, 1, 1]);
}

/// Kills workers at random moments while `work` runs; how many.
fn kill_during<R>(pool: &Pool, workers: usize, seed: u64, work: impl FnOnce() -> R + Send) -> (R, u32)
where
    R: Send,
{
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut random = Random(seed);
            let mut kills = 0;
            while done.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_micros(200 + random.below(3000)));
                let victim = pool.worker_statistics(random.below(workers as u64) as usize).unwrap().pid;
                if has_begun(victim) {
                    send(victim as u32, libc::SIGKILL);
                    kills += 1;
                }
            }
            kills
        });
        let result = work();
        done.store(1, Ordering::Relaxed);
        (result, killer.join().unwrap())
    })
}

fn spin(nanos: u128) {
    let started = Instant::now();
    while started.elapsed().as_nanos() < nanos {
        std::hint::spin_loop();
    }
}

fn killed_workers() {
    let pool = Pool::builder().workers(3).max_attempts(u32::MAX).build().unwrap();
    let inputs: Vec<u64> = (0..20_000).collect();
    let mut killed = 0;
    for round in 0..4 {
        let task = |&x: &u64| {
            spin(20_000);
            x * 3
        };
        let batch = pool.batch().chunk_size([0, 1, 64, 5000][round as usize]);
        let (outputs, kills) = kill_during(&pool, 3, round + 1, || batch.map(task, &inputs));
        let outputs = outputs.unwrap();
        assert!(outputs.iter().enumerate().all(|(index, &output)| output == index as u64 * 3));
        killed += kills;
    }
    assert!(killed > 20, "only {killed} kills");
}

fn exactly_one_status() {
    static RUNS: std::sync::OnceLock<Shared<[AtomicU32]>> = std::sync::OnceLock::new();
    const COUNT: usize = 20_000;
    let runs = RUNS.get_or_init(|| Shared::slice_with(COUNT, |_| AtomicU32::new(0)).unwrap());
    let kills_wanted =
        std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(300u32);
    let pool = Pool::new(3).unwrap();
    let inputs: Vec<u32> = (0..COUNT as u32).collect();
    let (mut kills, mut lost, mut seed) = (0, 0, 1);
    while kills < kills_wanted {
        runs.iter().for_each(|run| run.store(0, Ordering::Relaxed));
        let task = |&x: &u32| {
            spin(10_000);
            RUNS.get().unwrap()[x as usize].fetch_add(1, Ordering::Relaxed);
            x + 1
        };
        seed += 1;
        let (each, killed) = kill_during(&pool, 3, seed, || pool.batch().try_map(task, &inputs));
        kills += killed;
        for (index, outcome) in each.unwrap().iter().enumerate() {
            let ran = runs[index].load(Ordering::Relaxed);
            match outcome {
                Ok(output) => {
                    assert!(*output == index as u32 + 1 && ran == 1, "item {index} ran {ran} times")
                }
                Err(TaskError::Signaled(libc::SIGKILL)) => {
                    assert!(ran <= 1, "item {index} ran {ran} times");
                    lost += 1;
                }
                Err(other) => panic!("item {index}: {other}"),
            }
        }
    }
    assert!(lost <= kills, "a kill costs one item at most");
    eventually("all are replaced", || (0..3).all(|worker| pool.worker_statistics(worker).unwrap().pid != 0));
}

fn forking_task() {
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u32> = (0..100).collect();
    let task = |&x: &u32| {
        if x % 10 == 0 {
            // SAFETY: a worker has one thread.
            unsafe { libc::fork() };
        }
        x + 1
    };
    for chunk_size in [1, 10, 100] {
        let outputs = pool.batch().chunk_size(chunk_size).map(task, &inputs).unwrap();
        assert!(outputs.iter().zip(&inputs).all(|(output, input)| *output == input + 1));
    }
    eventually("each item is counted once", || pool.statistics().items == 300);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(pool.statistics().items, 300);
}

fn stopped_worker() {
    let pool = Pool::new(2).unwrap();
    let stopped = pool.worker_statistics(0).unwrap().pid as u32;
    send(stopped, libc::SIGSTOP);
    let inputs: Vec<u32> = (0..10_000).collect();
    for _ in 0..20 {
        assert_eq!(pool.map(|x| x + 1, &inputs).unwrap()[9999], 10_000);
    }
    send(stopped, libc::SIGCONT);
    assert_eq!(pool.map(|x| x + 1, &inputs).unwrap()[9999], 10_000);
}

forq::shareable! {
    struct Family {
        workers: [AtomicU64; 3],
        supervisor: AtomicU64,
    }
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

impl Family {
    fn new() -> Shared<Self> {
        let workers = [const { AtomicU64::new(0) }; 3];
        Shared::new(Self { workers, supervisor: AtomicU64::new(0) }).unwrap()
    }

    fn note(&self, pool: &Pool) {
        for (index, worker) in self.workers.iter().enumerate() {
            worker.store(pool.worker_statistics(index).unwrap().pid as u64, Ordering::Relaxed);
        }
        let worker = self.workers[0].load(Ordering::Relaxed) as u32;
        self.supervisor.store(parent_of(worker).into(), Ordering::Release);
    }

    fn all(&self) -> Vec<u32> {
        let pids = self.workers.iter().chain([&self.supervisor]);
        pids.map(|pid| pid.load(Ordering::Acquire) as u32).filter(|&pid| pid != 0).collect()
    }

    fn is_noted(&self) -> bool {
        self.supervisor.load(Ordering::Acquire) != 0
    }

    fn must_end(&self) {
        eventually("no process of the pool is left", || !self.all().into_iter().any(is_running));
    }
}

fn host_with_pool(family: &Shared<Family>, busy: bool, then: impl Fn()) -> Process {
    Process::spawn(|| {
        let pool = Pool::new(3).unwrap();
        family.note(&pool);
        std::thread::scope(|scope| {
            if busy {
                scope.spawn(|| pool.map(|_| std::thread::sleep(Duration::from_secs(1000)), &[0u8; 30]));
            }
            then();
            std::thread::sleep(Duration::from_secs(1000));
        });
    })
    .unwrap()
}

fn host_killed() {
    for busy in [false, true] {
        let family = Family::new();
        let mut host = host_with_pool(&family, busy, || ());
        eventually("the pool is made", || family.is_noted());
        std::thread::sleep(Duration::from_millis(20));
        assert!(family.all().into_iter().all(is_running));
        host.kill().unwrap();
        host.join().unwrap();
        family.must_end();
    }
}

fn host_executes() {
    for busy in [false, true] {
        let family = Family::new();
        let mut host = host_with_pool(&family, busy, || {
            std::thread::sleep(Duration::from_millis(20));
            let arguments = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
            // SAFETY: C strings, and a null at the end.
            unsafe { libc::execvp(c"sleep".as_ptr(), arguments.as_ptr()) };
        });
        eventually("the pool is made", || family.is_noted());
        family.must_end();
        assert!(host.is_alive());
        host.kill().unwrap();
        host.join().unwrap();
    }
}

fn supervisor_killed() {
    gate::close();
    let pool = Pool::new(2).unwrap();
    let worker = pool.worker_statistics(0).unwrap().pid as u32;
    let supervisor = parent_of(worker);
    std::thread::scope(|scope| {
        let inputs: Vec<u32> = (0..100).collect();
        let pending = scope.spawn({
            let pool = &pool;
            move || {
                let task = |&x: &u32| {
                    if x >= 4 {
                        gate::pass();
                    }
                    x + 1
                };
                pool.batch().chunk_size(1).try_map(task, &inputs).unwrap()
            }
        });
        gate::wait_for(2);
        send(supervisor, libc::SIGKILL);
        let each = pending.join().unwrap();
        for (index, outcome) in each.iter().enumerate() {
            match outcome {
                Ok(output) => assert!(index < 4 && *output == index as u32 + 1),
                other => assert!(index >= 4 && *other == Err(TaskError::Signaled(libc::SIGKILL))),
            }
        }
    });
    for _ in 0..3 {
        assert_eq!(pool.apply(|x| *x, &0u8), Err(Error::ChildLost));
    }
    eventually("the workers are gone", || !is_running(worker));
    pool.close().unwrap();
    pool.join().unwrap();
}

fn not_replaceable() {
    let good = Shared::new(AtomicU32::new(1)).unwrap();
    let initializer = || i32::from(good.load(Ordering::Relaxed) == 0);
    let pool = Pool::builder().workers(1).initializer(&initializer).build().unwrap();
    assert_eq!(pool.apply(|x| *x, &1u8).unwrap(), 1);
    good.store(0, Ordering::Relaxed);
    let each = pool
        .batch()
        .chunk_size(1)
        .try_map(|&x: &u8| if x == 0 { std::process::abort() } else { x }, &[0, 1, 2]);
    let each = each.unwrap();
    assert_eq!(each[0], Err(TaskError::Signaled(libc::SIGABRT)));
    assert!(each[1..].iter().all(|outcome| matches!(outcome, Err(TaskError::Signaled(_)))));
    assert_eq!(pool.apply(|x| *x, &1u8), Err(Error::ChildLost));
}

fn interrupt() {
    for ignored in [false, true] {
        let family = Family::new();
        gate::close();
        let mut host = Process::spawn(|| {
            // SAFETY: no pointers; a handler that is a constant.
            unsafe {
                libc::setpgid(0, 0);
                libc::signal(libc::SIGINT, libc::SIG_IGN);
            }
            let pool = Pool::builder().workers(3).ignore_interrupt(ignored).build().unwrap();
            family.note(&pool);
            let task = |&milliseconds: &u64| {
                gate::come();
                std::thread::sleep(Duration::from_millis(milliseconds));
            };
            let items = [if ignored { 20 } else { 1_000_000 }; 100];
            let outcome = pool.batch().chunk_size(1).try_map(task, &items);
            let good = outcome.unwrap().iter().filter(|item| item.is_ok()).count();
            i32::from(good == 100)
        })
        .unwrap();
        gate::wait_for(3);
        // SAFETY: the group of our own child.
        unsafe { libc::kill(-(host.pid() as i32), libc::SIGINT) };
        assert_eq!(host.join().unwrap(), ExitStatus::Exited(ignored.into()));
        family.must_end();
    }
}

fn host_with_children() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_: i32) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only adds to an atomic.
    unsafe { libc::signal(libc::SIGCHLD, count as extern "C" fn(i32) as libc::sighandler_t) };
    let pool = Pool::new(2).unwrap();
    let crashed: Result<u8, Error> = pool.apply(|_| std::process::abort(), &0u8);
    assert!(crashed.is_err());
    // SAFETY: no place for the result: there is no child of ours to wait for.
    let none = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    assert_eq!(none, -1, "the supervisor is not seen");
    // SAFETY: one thread.
    let own = unsafe { libc::fork() };
    if own == 0 {
        // SAFETY: the child leaves.
        unsafe { libc::_exit(5) };
    }
    let mut status = 0;
    let waited = loop {
        // SAFETY: a place for the result.
        match unsafe { libc::waitpid(-1, &mut status, 0) } {
            -1 => continue,
            pid => break pid,
        }
    };
    assert_eq!((waited, libc::WEXITSTATUS(status)), (own, 5));
    assert_eq!(pool.map(|x| x + 1, &[1u8, 2]).unwrap(), [2, 3]);
    drop(pool);
    assert_eq!(SEEN.load(Ordering::Relaxed), 1, "only its own child's end was signalled");
}

fn sigchld_ignored() {
    // SAFETY: not a handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let pool = Pool::new(2).unwrap();
    let each =
        pool.batch().try_map(|&x: &u8| if x == 1 { std::process::abort() } else { x }, &[0, 1, 2]).unwrap();
    assert_eq!(each, [Ok(0), Err(TaskError::Signaled(libc::SIGABRT)), Ok(2)]);
    assert_eq!(pool.map(|x| x + 1, &[1u8, 2]).unwrap(), [2, 3]);
}

fn stop_and_go() {
    let pool = Pool::new(2).unwrap();
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(42);
            while done.load(Ordering::Relaxed) == 0 {
                let worker = pool.worker_statistics(random.below(2) as usize).unwrap().pid as u32;
                send(worker, libc::SIGSTOP);
                std::thread::sleep(Duration::from_micros(random.below(200)));
                send(worker, libc::SIGCONT);
                std::thread::sleep(Duration::from_micros(random.below(50)));
            }
        });
        for round in 0..5000u64 {
            assert_eq!(pool.apply(|x| x + 1, &round).unwrap(), round + 1);
            let inputs = [round; 5];
            assert_eq!(pool.batch().chunk_size(1).map(|x| x * 2, &inputs).unwrap(), [round * 2; 5]);
            support::progress();
        }
        done.store(1, Ordering::Relaxed);
    });
}
