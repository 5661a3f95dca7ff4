//! Processes do random things with every primitive at once while they are killed at random: nobody stops, all accounts close.
//!
//! `FORQ_KILLS` sets how many die (1,000 unless given; `FORQ_KILLS=1000000 cargo test --release --test storm` is the long form).

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{
    Barrier, Condvar, Event, ExitStatus, LockError, Mutex, MutexGuard, Process, ReentrantMutex, Semaphore,
    Shared,
};
use support::{Random, is_asleep, send};

fn main() {
    support::run(&[
        ("four_processes_survive_a_storm_of_kills", || storm(4)),
        ("more_processes_than_cores_survive_a_storm_of_kills", || storm(8)),
    ]);
}

const MOST: usize = 8;
const LOCKS: usize = 3;
/// What a wait for others may take that may never come.
const PATIENCE: Duration = Duration::from_millis(100);
/// Who is asleep for so long without having done anything has been forgotten.
const STALL: Duration = Duration::from_secs(1);

forq::shareable! {
    /// What one worker says of itself; kept when it dies, and used by its successor.
    struct Slot {
        progress: AtomicU64,
        added: [AtomicU64; LOCKS],
        added_twice: AtomicU64,
        put: AtomicU64,
        got: AtomicU64,
        released: AtomicU64,
        acquired: AtomicU64,
    }
}

forq::shareable! {
    struct World {
        accounts: [Mutex<[u64; 2]>; LOCKS],
        nested: ReentrantMutex<[AtomicU64; 2]>,
        /// Put, got, and what should be their difference.
        tokens: Mutex<[u64; 3]>,
        more: Condvar,
        permits: Semaphore,
        event: Event,
        barrier: Barrier,
        slots: [Slot; MOST],
        /// Workers pause between operations: busy ones hide lost wake-ups.
        is_quiet: AtomicU32,
        stop: AtomicU32,
    }
}

fn zero() -> AtomicU64 {
    AtomicU64::new(0)
}

fn world() -> Shared<World> {
    Shared::new(World {
        accounts: std::array::from_fn(|_| Mutex::new([0; 2])),
        nested: ReentrantMutex::new([zero(), zero()]),
        tokens: Mutex::new([0; 3]),
        more: Condvar::new(),
        permits: Semaphore::new(0),
        event: Event::new(),
        barrier: Barrier::new(2),
        slots: std::array::from_fn(|_| Slot {
            progress: zero(),
            added: std::array::from_fn(|_| zero()),
            added_twice: zero(),
            put: zero(),
            got: zero(),
            released: zero(),
            acquired: zero(),
        }),
        is_quiet: AtomicU32::new(0),
        stop: AtomicU32::new(0),
    })
    .unwrap()
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The guard; what a dead holder left in the middle is repaired first.
fn sound<'a, T: std::fmt::Debug>(
    locked: Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>,
    repair: impl FnOnce(&mut T),
) -> MutexGuard<'a, T> {
    match locked {
        Ok(guard) => guard,
        Err(LockError::OwnerDied(mut guard)) => {
            repair(&mut guard);
            guard.mark_consistent();
            guard
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn repair_tokens(tokens: &mut [u64; 3]) {
    tokens[2] = tokens[0] - tokens[1];
}

impl World {
    fn work(&self, slot: &Slot, mut random: Random) {
        while self.stop.load(Ordering::Relaxed) == 0 {
            self.act(slot, &mut random);
            count(&slot.progress);
            if self.is_quiet.load(Ordering::Relaxed) != 0 {
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
        }
    }

    fn act(&self, slot: &Slot, random: &mut Random) {
        match random.below(12) {
            0..=2 => self.add(slot, random.below(LOCKS as u64) as usize),
            3 => self.add_twice(slot),
            4 => {
                let mut tokens = sound(self.tokens.lock(), repair_tokens);
                tokens[0] += 1;
                tokens[2] += 1;
                if random.below(4) == 0 {
                    self.more.notify_all()
                } else {
                    self.more.notify_one()
                }
                drop(tokens);
                count(&slot.put);
            }
            5 => self.take_token(slot),
            6 => {
                self.permits.release(1).unwrap();
                count(&slot.released);
            }
            7 => {
                if self.permits.acquire_timeout(PATIENCE).is_ok() {
                    count(&slot.acquired);
                }
            }
            8 => self.event.set(),
            9 => self.event.clear(),
            10 => drop(self.event.wait_timeout(PATIENCE)),
            _ => match self.barrier.wait_timeout(PATIENCE) {
                Ok(index) => assert!(index < 2),
                Err(_) => self.barrier.reset(),
            },
        }
    }

    fn add(&self, slot: &Slot, which: usize) {
        let mut account = sound(self.accounts[which].lock(), |account| account[1] = account[0]);
        assert_eq!(account[0], account[1], "two in a section, or a death that was not told");
        account[0] += 1;
        account[1] += 1;
        drop(account);
        count(&slot.added[which]);
    }

    fn add_twice(&self, slot: &Slot) {
        let outer = match self.nested.lock() {
            Ok(outer) => outer,
            Err(LockError::OwnerDied(outer)) => {
                outer[1].store(outer[0].load(Ordering::Relaxed), Ordering::Relaxed);
                outer.mark_consistent();
                outer
            }
            Err(other) => panic!("{other:?}"),
        };
        let (first, second) = (outer[0].load(Ordering::Relaxed), outer[1].load(Ordering::Relaxed));
        assert_eq!(first, second);
        outer[0].store(first + 1, Ordering::Relaxed);
        self.nested.lock().expect("held already")[1].store(second + 1, Ordering::Relaxed);
        drop(outer);
        count(&slot.added_twice);
    }

    fn take_token(&self, slot: &Slot) {
        let tokens = sound(self.tokens.lock(), repair_tokens);
        let waited = self.more.wait_timeout_while(tokens, PATIENCE, |tokens| tokens[2] == 0);
        let (mut tokens, taken) = match waited {
            Ok((tokens, outcome)) => (tokens, !outcome.timed_out()),
            Err(LockError::OwnerDied((mut tokens, _))) => {
                repair_tokens(&mut tokens);
                tokens.mark_consistent();
                self.more.notify_all();
                (tokens, false)
            }
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(tokens[0] - tokens[1], tokens[2], "a death that was not told");
        if taken {
            tokens[1] += 1;
            tokens[2] -= 1;
        }
        drop(tokens);
        if taken {
            count(&slot.got);
        }
    }

    /// What all workers say together.
    fn sum(&self, of: impl Fn(&Slot) -> &AtomicU64) -> u64 {
        self.slots.iter().map(|slot| of(slot).load(Ordering::Relaxed)).sum()
    }

    /// Every death may have come between something done and its being counted, and hides no more than that.
    fn close(&self, kills: u64) {
        let within = |what: &str, done: u64, counted: u64| {
            assert!((counted..=counted + kills).contains(&done), "{what}: {done} done, {counted} counted");
        };
        for (which, account) in self.accounts.iter().enumerate() {
            let account = *sound(account.lock(), |account| account[1] = account[0]);
            assert_eq!(account[0], account[1]);
            within("accounts", account[0], self.sum(|slot| &slot.added[which]));
            assert!(self.accounts[which].statistics().holder_deaths <= kills);
        }
        let nested = self.nested.lock().or_else(LockError::into_guard).unwrap();
        within("nested", nested[0].load(Ordering::Relaxed), self.sum(|slot| &slot.added_twice));
        let tokens = sound(self.tokens.lock(), repair_tokens);
        within("tokens put", tokens[0], self.sum(|slot| &slot.put));
        within("tokens got", tokens[1], self.sum(|slot| &slot.got));
        let permits = u64::from(self.permits.value());
        let balance = self.sum(|slot| &slot.released).abs_diff(self.sum(|slot| &slot.acquired));
        assert!(permits.abs_diff(balance) <= kills, "{permits} permits, {balance} by the accounts");
    }
}

/// What the supervisor knows of a worker.
struct Watched {
    process: Process,
    progress: u64,
    since: Instant,
}

fn storm(workers: usize) {
    let wanted: u64 =
        std::env::var("FORQ_KILLS").ok().and_then(|value| value.parse().ok()).unwrap_or(1000) / 2;
    let world = world();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut spawn = |index: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (world, random) = (&world, Random(seed | 1));
        let process = Process::spawn(move || world.work(&world.slots[index], random)).unwrap();
        Watched { process, progress: 0, since: Instant::now() }
    };
    let mut all: Vec<Watched> = (0..workers).map(&mut spawn).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d ^ workers as u64);
    let (mut kills, mut longest) = (0, Duration::ZERO);
    while kills < wanted {
        // A third of the time is quiet.
        world.is_quiet.store(u32::from(kills % 300 >= 200), Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
        let index = random.below(workers as u64) as usize;
        send(all[index].process.pid(), libc::SIGKILL);
        match all[index].process.join().unwrap() {
            ExitStatus::Signaled(libc::SIGKILL) => kills += 1,
            status => panic!("a worker failed: {status:?}"),
        }
        all[index] = spawn(index);
        watch(&world, &mut all, &mut longest);
    }
    // And now without deaths, quietly: whoever was forgotten stays so.
    world.is_quiet.store(1, Ordering::Relaxed);
    let end = Instant::now() + STALL + Duration::from_millis(500);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        watch(&world, &mut all, &mut longest);
    }
    world.stop.store(1, Ordering::Relaxed);
    for watched in &mut all {
        assert!(watched.process.join().unwrap().success());
    }
    world.close(kills);
    println!(
        "     {kills} kills, {} operations, longest without progress {} ms",
        world.sum(|slot| &slot.progress),
        longest.as_millis()
    );
}

/// Nobody is asleep for longer than that without progress. (Who is not asleep waits for a CPU, which others have.)
fn watch(world: &World, all: &mut [Watched], longest: &mut Duration) {
    for (index, watched) in all.iter_mut().enumerate() {
        let progress = world.slots[index].progress.load(Ordering::Relaxed);
        if progress != watched.progress {
            (watched.progress, watched.since) = (progress, Instant::now());
        }
        let stalled = watched.since.elapsed();
        *longest = (*longest).max(stalled);
        let is_forgotten = stalled > STALL && is_asleep(watched.process.pid());
        assert!(!is_forgotten, "worker {index} has been asleep for {stalled:?}");
        assert!(stalled < 30 * STALL, "worker {index} has not moved for {stalled:?}");
    }
}
