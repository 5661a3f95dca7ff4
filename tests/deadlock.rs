//! Circles of waiters are reported to one of them, and nothing else is taken for one.

mod support;

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{ExitStatus, LockError, Mutex, Process, ReentrantMutex, Shareable, Shared};
use support::{Random, eventually, send};

fn main() {
    support::run(&[
        ("one_of_two_processes_in_a_circle_is_told", || circle(2)),
        ("one_of_three_processes_in_a_circle_is_told", || circle(3)),
        ("one_of_eight_processes_in_a_circle_is_told", || circle(8)),
        ("circles_follow_each_other", || (0..5).for_each(|_| circle(3))),
        ("a_circle_with_reentrant_locks_is_told", reentrant_circle),
        ("threads_of_one_process_in_a_circle_are_told", threads),
        ("who_waits_outside_a_circle_is_not_told", tail),
        ("waits_that_end_by_themselves_are_not_reported", timed_circle),
        ("a_limited_wait_in_an_endless_circle_ends_it", mixed_circle),
        ("the_dead_close_no_circle", dead_edge),
        ("mappings_of_their_own_are_left_alone", two_mappings),
        ("pthread_locks_held_meanwhile_stay_as_they_are", beside_pthread),
        ("an_order_that_is_kept_is_never_reported", hierarchy),
    ]);
}

const LOCKS: usize = 8;

forq::shareable! {
    struct Table {
        locks: [Mutex<u64>; LOCKS],
        ready: AtomicU32,
        told: AtomicU32,
        done: AtomicU32,
        slowest_us: AtomicU64,
    }
}

fn table() -> Shared<Table> {
    Shared::new(Table {
        locks: std::array::from_fn(|_| Mutex::new(0)),
        ready: AtomicU32::new(0),
        told: AtomicU32::new(0),
        done: AtomicU32::new(0),
        slowest_us: AtomicU64::new(0),
    })
    .unwrap()
}

fn meet(ready: &AtomicU32, parties: u32) {
    ready.fetch_add(1, Ordering::SeqCst);
    while ready.load(Ordering::SeqCst) < parties {
        std::thread::yield_now();
    }
}

fn join_all(children: Vec<Process>) {
    for mut child in children {
        assert_eq!(child.join().unwrap(), ExitStatus::Exited(0));
    }
}

/// Each of `parties` holds one lock and wants the next one's.
fn circle(parties: usize) {
    let table = table();
    let children: Vec<Process> = (0..parties)
        .map(|index| {
            let table = &table;
            Process::spawn(move || {
                let own = table.locks[index].lock().unwrap();
                meet(&table.ready, parties as u32);
                let started = Instant::now();
                match table.locks[(index + 1) % parties].lock() {
                    Ok(mut next) => *next += 1,
                    Err(LockError::Deadlock) => {
                        table.told.fetch_add(1, Ordering::SeqCst);
                        let micros = started.elapsed().as_micros() as u64;
                        table.slowest_us.fetch_max(micros, Ordering::SeqCst);
                    }
                    Err(other) => panic!("{other:?}"),
                }
                drop(own);
            })
            .unwrap()
        })
        .collect();
    join_all(children);
    assert_eq!(table.told.load(Ordering::SeqCst), 1, "exactly one is told");
    println!("     {parties}: after {} ms", table.slowest_us.load(Ordering::SeqCst) / 1000);
    assert!(table.locks.iter().all(|lock| lock.owner().is_none()));
}

fn reentrant_circle() {
    forq::shareable! {
        struct Both {
            plain: Mutex<u64>,
            again: ReentrantMutex<u64>,
            ready: AtomicU32,
            told: AtomicU32,
        }
    }
    let both = Shared::new(Both {
        plain: Mutex::new(0),
        again: ReentrantMutex::new(0),
        ready: AtomicU32::new(0),
        told: AtomicU32::new(0),
    })
    .unwrap();
    let first = Process::spawn(|| {
        let _outer = both.again.lock().unwrap();
        let _inner = both.again.lock().unwrap();
        meet(&both.ready, 2);
        both.told
            .fetch_add(u32::from(matches!(both.plain.lock(), Err(LockError::Deadlock))), Ordering::SeqCst);
    });
    let second = Process::spawn(|| {
        let _plain = both.plain.lock().unwrap();
        meet(&both.ready, 2);
        both.told
            .fetch_add(u32::from(matches!(both.again.lock(), Err(LockError::Deadlock))), Ordering::SeqCst);
    });
    join_all(vec![first.unwrap(), second.unwrap()]);
    assert_eq!(both.told.load(Ordering::SeqCst), 1);
}

fn threads() {
    let table = table();
    std::thread::scope(|scope| {
        for index in 0..2 {
            let table = &table;
            scope.spawn(move || {
                let _own = table.locks[index].lock().unwrap();
                meet(&table.ready, 2);
                if matches!(table.locks[1 - index].lock(), Err(LockError::Deadlock)) {
                    table.told.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(table.told.load(Ordering::SeqCst), 1);
}

/// Two in a circle, a third that holds a lock of its own and waits for one of theirs.
fn tail() {
    let table = table();
    let mut children: Vec<Process> = (0..2usize)
        .map(|index| {
            let table = &table;
            Process::spawn(move || {
                let _own = table.locks[index].lock().unwrap();
                meet(&table.ready, 3);
                if matches!(table.locks[1 - index].lock(), Err(LockError::Deadlock)) {
                    table.told.fetch_add(1, Ordering::SeqCst);
                }
            })
            .unwrap()
        })
        .collect();
    children.push(
        Process::spawn(|| {
            let _own = table.locks[5].lock().unwrap();
            meet(&table.ready, 3);
            drop(table.locks[0].lock().expect("it is in no circle"));
        })
        .unwrap(),
    );
    join_all(children);
    assert_eq!(table.told.load(Ordering::SeqCst), 1);
}

fn timed_circle() {
    let table = table();
    let children = (0..2usize)
        .map(|index| {
            let table = &table;
            Process::spawn(move || {
                for round in 1..=3 {
                    let _own = table.locks[index].lock().unwrap();
                    meet(&table.ready, 4 * round - 2);
                    let wanted = table.locks[1 - index].lock_timeout(Duration::from_millis(400));
                    assert!(matches!(wanted, Err(LockError::TimedOut)), "{wanted:?}");
                    drop(wanted);
                    meet(&table.ready, 4 * round);
                }
            })
            .unwrap()
        })
        .collect();
    join_all(children);
}

fn mixed_circle() {
    let table = table();
    let endless = Process::spawn(|| {
        let _own = table.locks[0].lock().unwrap();
        meet(&table.ready, 2);
        drop(table.locks[1].lock().expect("the other one can end it, so this is no deadlock here"));
    });
    let limited = Process::spawn(|| {
        let own = table.locks[1].lock().unwrap();
        meet(&table.ready, 2);
        let wanted = table.locks[0].lock_timeout(Duration::from_secs(60));
        assert!(matches!(wanted, Err(LockError::Deadlock)), "{wanted:?}");
        drop(own);
    });
    join_all(vec![endless.unwrap(), limited.unwrap()]);
}

/// Who wanted the keeper's lock is killed while its edge stands in its own one; an heir takes that over, and waits for nobody.
/// Then the keeper wants it.
fn dead_edge() {
    let table = table();
    let stage = |number| {
        eventually("the next stage", || table.ready.load(Ordering::SeqCst) >= number);
    };
    let keeper = Process::spawn(|| {
        let _kept = table.locks[1].lock().unwrap();
        table.ready.store(1, Ordering::SeqCst);
        stage(4);
        drop(table.locks[0].lock().expect("the heir waits for nobody"));
    });
    stage(1);
    let mut doomed = Process::spawn(|| {
        let _own = table.locks[0].lock().unwrap();
        table.ready.store(2, Ordering::SeqCst);
        drop(table.locks[1].lock());
    })
    .unwrap();
    stage(2);
    std::thread::sleep(Duration::from_millis(200));
    send(doomed.pid(), libc::SIGKILL);
    doomed.join().unwrap();
    let heir = Process::spawn(|| {
        let own = table.locks[0].lock().unwrap_err().into_guard().expect("told of the death");
        own.mark_consistent();
        table.ready.store(4, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(700));
    });
    join_all(vec![keeper.unwrap(), heir.unwrap()]);
}

fn two_mappings() {
    let (one, two) = (table(), table());
    let endless = Process::spawn(|| {
        let _own = one.locks[0].lock().unwrap();
        meet(&one.ready, 2);
        drop(two.locks[0].lock().expect("released when the other one's time is up"));
    });
    let limited = Process::spawn(|| {
        let _own = two.locks[0].lock().unwrap();
        meet(&one.ready, 2);
        let wanted = one.locks[0].lock_timeout(Duration::from_millis(800));
        assert!(matches!(wanted, Err(LockError::TimedOut)), "{wanted:?}");
    });
    join_all(vec![endless.unwrap(), limited.unwrap()]);
}

/// A robust pthread mutex in shared memory.
#[repr(C, align(64))]
struct Pthread(UnsafeCell<libc::pthread_mutex_t>);
// SAFETY: process-shared.
unsafe impl Send for Pthread {}
// SAFETY: process-shared.
unsafe impl Sync for Pthread {}
// SAFETY: process-shared.
unsafe impl Shareable for Pthread {}

impl Pthread {
    fn new() -> Shared<Self> {
        // SAFETY: zeroed, then initialised in its place by the book.
        unsafe {
            let this = Shared::new(Self(std::mem::zeroed())).unwrap();
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            assert_eq!(libc::pthread_mutex_init(this.0.get(), &attributes), 0);
            this
        }
    }

    fn lock(&self) {
        // SAFETY: initialised.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0.get()) }, 0);
    }

    fn unlock(&self) {
        // SAFETY: initialised, and locked by this thread.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.0.get()) }, 0);
    }

    /// Its bytes, and what stands beside it in the page.
    fn bytes(&self) -> [u8; 256] {
        // SAFETY: a page is mapped.
        unsafe { self.0.get().cast::<[u8; 256]>().read_volatile() }
    }
}

fn beside_pthread() {
    let table = table();
    let children = (0..2usize)
        .map(|index| {
            let table = &table;
            Process::spawn(move || {
                let (before, after) = (Pthread::new(), Pthread::new());
                before.lock();
                let own = table.locks[index].lock().unwrap();
                after.lock();
                let as_held = (before.bytes(), after.bytes());
                meet(&table.ready, 2);
                let wanted = table.locks[1 - index].lock();
                if matches!(wanted, Err(LockError::Deadlock)) {
                    table.told.fetch_add(1, Ordering::SeqCst);
                    assert!(as_held == (before.bytes(), after.bytes()), "untouched");
                }
                drop(wanted);
                drop(own);
                after.unlock();
                before.unlock();
            })
            .unwrap()
        })
        .collect();
    join_all(children);
    assert_eq!(table.told.load(Ordering::SeqCst), 1);
}

/// Locks are taken in ascending order only, with pauses that make edges stand, while holders and waiters are killed.
fn hierarchy() {
    let seconds = std::env::var("FORQ_SECONDS").ok().and_then(|value| value.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    let table = table();
    let work = |seed: u64| {
        let mut random = Random(seed);
        while Instant::now() < end {
            let mut guards = Vec::new();
            for lock in &table.locks {
                if random.below(2) == 0 {
                    continue;
                }
                match lock.lock() {
                    Ok(guard) => guards.push(guard),
                    Err(LockError::OwnerDied(guard)) => {
                        guard.mark_consistent();
                        guards.push(guard);
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            // Mostly short; now and then so long that the others leave edges.
            let pause = if random.below(20) == 0 { 120_000 } else { random.below(200) };
            std::thread::sleep(Duration::from_micros(pause));
            table.done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut spawn = {
        let mut seed = 1u64;
        move || {
            seed += 1;
            Process::spawn(|| work(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))).unwrap()
        }
    };
    let mut children: Vec<Process> = (0..6).map(|_| spawn()).collect();
    let mut kills = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(random.below(60)));
        let victim = random.below(6) as usize;
        send(children[victim].pid(), libc::SIGKILL);
        match children[victim].join().unwrap() {
            ExitStatus::Signaled(libc::SIGKILL) => kills += 1,
            status => assert_eq!(status, ExitStatus::Exited(0), "a false alarm"),
        }
        children[victim] = spawn();
    }
    join_all(children);
    let rounds = table.done.load(Ordering::Relaxed);
    println!("     {rounds} rounds, {kills} kills in {seconds} s");
    assert!(rounds > 0 && kills > 0);
}
