//! What deaths and stops change about the condition variable: nothing is lost to them.

#[path = "support/room.rs"]
mod room;
mod support;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use forq::{Condvar, ExitStatus, LockError, Mutex, Process, Shared};
use room::{Room, join_all, kill_all, settle};
use support::{Random, eventually, send};

fn main() {
    support::run(&[
        ("what_went_to_a_killed_sleeper_reaches_another", killed_sleepers),
        ("what_a_killed_waiter_was_granted_reaches_another", killed_with_grant),
        ("the_dead_of_several_generations_keep_nothing_from_the_living", dead_generations),
        ("the_killed_are_forgotten_by_a_notify_of_all", forgotten),
        ("who_comes_after_a_death_does_not_return_by_it", later_waiters),
        ("a_notify_of_all_is_not_delayed_by_the_dead_or_stopped", all_beside_dead),
        ("a_holder_that_dies_meanwhile_is_told_with_the_mutex_held", dead_holder),
        ("a_death_of_who_should_have_notified_is_told_to_the_waiters", dead_notifier),
        ("a_stopped_waiter_holds_nobody_up_and_loses_nothing", stopped),
        ("a_bounded_buffer_comes_out_even", || bounded_buffer(0)),
        ("a_bounded_buffer_comes_out_even_while_everybody_is_killed", || bounded_buffer(kills())),
    ]);
}

fn kills() -> u32 {
    std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(150)
}

fn killed_sleepers() {
    for (dead, living) in [(1, 1), (3, 2), (1, 5)] {
        // Beside the dead, and behind them: the notifies come one by one, and all at once.
        for (behind, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
            let room = Room::new();
            let mut victims = room.waiters(dead + usize::from(behind));
            if behind {
                room.condvar.notify_one();
                eventually("one returns", || room.returned() == 1);
            }
            let survivors = room.waiters(living);
            kill_all(&mut victims);
            let before = room.returned();
            for notify in 1..=living as u32 {
                room.condvar.notify_one();
                if !at_once {
                    eventually("a survivor returns", || room.returned() >= before + notify);
                }
            }
            eventually("the survivors return", || room.returned() == before + living as u32);
            join_all(survivors);
        }
    }
}

fn killed_with_grant() {
    let room = Room::new();
    for _ in 0..5 {
        let returned = room.returned();
        let mut waiters = room.waiters(3);
        let guard = room.mutex.lock().unwrap();
        room.condvar.notify_one();
        // It was woken, and waits for the mutex: whichever it was, kill two of three.
        std::thread::sleep(Duration::from_millis(30));
        kill_all(&mut waiters[..2]);
        drop(guard);
        eventually("the third returns", || room.returned() == returned + 1);
        assert!(waiters[2].join().unwrap().success());
        room.condvar.notify_all();
    }
}

fn dead_generations() {
    let room = Room::new();
    let mut random = Random(4242);
    for _ in 0..12 {
        let (mut living, mut dead) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            match random.below(3) {
                0 => dead.push(room.waiter()),
                1 => living.push(room.waiter()),
                _ => room.condvar.notify_one(),
            }
        }
        living.push(room.waiter());
        kill_all(&mut dead);
        settle();
        // As many notifies as there are living must do, however many dead there are.
        let left =
            living.iter_mut().filter_map(|waiter| waiter.try_join().unwrap().is_none().then_some(())).count();
        room.condvar.notify(left / 2);
        (left / 2..left).for_each(|_| room.condvar.notify_one());
        join_all(living);
        room.condvar.notify_all();
    }
}

fn forgotten() {
    let room = Room::new();
    let mut victims = room.waiters(4);
    room.condvar.notify_one();
    eventually("one returns", || room.returned() == 1);
    kill_all(&mut victims);
    assert_eq!(room.condvar.waiters(), 3, "the dead stay counted");
    room.condvar.notify_all();
    assert_eq!(room.condvar.waiters(), 0);
    // Nothing of theirs is left: nobody returns by it.
    let guard = room.mutex.lock().unwrap();
    let (_, result) = room.condvar.wait_timeout(guard, Duration::from_millis(700)).unwrap();
    assert!(result.timed_out());
}

fn later_waiters() {
    let room = Room::new();
    let mut victims = room.waiters(2);
    let guard = room.mutex.lock().unwrap();
    room.condvar.notify_all();
    // One dies that was notified; it will never return.
    kill_all(&mut victims[..1]);
    drop(guard);
    eventually("the other returns", || room.returned() == 1);
    let later = room.waiters(2);
    room.condvar.notify_one();
    eventually("one of the later ones returns", || room.returned() == 2);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!((room.returned(), room.condvar.waiters()), (2, 1), "one was notified");
    room.condvar.notify_one();
    join_all(later);
    assert!(victims[1].join().unwrap().success());
}

fn all_beside_dead() {
    let room = Room::new();
    let mut victims = room.waiters(3);
    let mut stopped = room.waiters(2);
    let living = room.waiters(3);
    stopped.iter().for_each(|waiter| send(waiter.pid(), libc::SIGSTOP));
    kill_all(&mut victims);
    room.condvar.notify_all();
    join_all(living);
    stopped.iter().for_each(|waiter| send(waiter.pid(), libc::SIGCONT));
    stopped.iter_mut().for_each(|waiter| assert!(waiter.join().unwrap().success()));
}

fn dead_holder() {
    let room = Room::new();
    let told = || {
        Process::spawn(|| {
            let guard = room.mutex.lock().unwrap();
            let Err(LockError::OwnerDied(guard)) = room.condvar.wait(guard) else { panic!("not told") };
            assert_eq!((*guard, room.mutex.owner()), (7, Some(std::process::id())));
            guard.mark_consistent();
        })
        .unwrap()
    };
    for timed in [false, true] {
        let mut waiter = told();
        eventually("it waits", || room.condvar.waiters() == 1);
        let mut holder = Process::spawn(|| {
            let mut guard = room.mutex.lock().unwrap();
            *guard = 7;
            room.condvar.notify_one();
            std::mem::forget(guard);
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        assert_eq!(holder.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        assert!(waiter.join().unwrap().success());
        if timed {
            // Also if its time runs out.
            let mut guard = room.mutex.lock().unwrap();
            let mut holder = dying_holder(&room);
            let error = loop {
                // On a loaded machine its time may be up before the holder has come.
                match room.condvar.wait_timeout(guard, Duration::from_millis(600)) {
                    Ok((ours, result)) => {
                        assert!(result.timed_out());
                        guard = ours;
                    }
                    Err(error) => break error,
                }
            };
            let LockError::OwnerDied((guard, _)) = error else { panic!("not told") };
            guard.mark_consistent();
            drop(guard);
            holder.join().unwrap();
        }
    }
    assert!(room.mutex.lock().is_ok());
}

/// Takes the mutex as soon as it can, and dies with it.
fn dying_holder(room: &Shared<Room>) -> Process {
    // SAFETY: one thread; a guard that the parent holds is not used in the child.
    unsafe {
        Process::spawn_unchecked(|| {
            std::mem::forget(room.mutex.lock());
            send(std::process::id(), libc::SIGKILL);
        })
    }
    .unwrap()
}

fn dead_notifier() {
    let room = Room::new();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            Process::spawn(|| {
                let mut guard = room.mutex.lock().unwrap();
                while *guard == 0 {
                    guard = match room.condvar.wait(guard) {
                        Ok(guard) => guard,
                        Err(error) => {
                            let mut guard = error.into_guard().unwrap();
                            *guard = 1;
                            guard.mark_consistent();
                            room.condvar.notify_all();
                            room.returned.fetch_add(1, Relaxed);
                            guard
                        }
                    };
                }
            })
            .unwrap()
        })
        .collect();
    eventually("they wait", || room.condvar.waiters() == 3);
    dying_holder(&room).join().unwrap();
    // Nobody notifies, and nobody else locks.
    join_all(waiters);
    assert_eq!(room.returned(), 1, "one repairs and notifies the others");
}

fn stopped() {
    let room = Room::new();
    // Beside others of its generation.
    let mut waiters = room.waiters(2);
    send(waiters[0].pid(), libc::SIGSTOP);
    room.condvar.notify_one();
    eventually("the other returns", || room.returned() == 1);
    assert!(waiters[1].join().unwrap().success());
    // Ahead of a late-comer: the notify is the stopped one's, but the late-comer does not wait for it to go on.
    let late = room.waiter();
    room.condvar.notify_one();
    eventually("the late-comer returns", || room.returned() == 2);
    join_all(vec![late]);
    send(waiters[0].pid(), libc::SIGCONT);
    assert!(waiters[0].join().unwrap().success());
    assert_eq!(room.condvar.waiters(), 0);
}

/// Places of the buffer.
const PLACES: u64 = 8;

forq::shareable! {
    struct Buffer {
        /// How many were put and taken, their sums, a copy of these four, whether the copy is in force; then the places.
        shelf: Mutex<[u64; 9 + PLACES as usize]>,
        not_empty: Condvar,
        not_full: Condvar,
        /// How many are put and taken in all; changed under the mutex.
        items: AtomicU64,
    }
}

const PUT: usize = 0;
const TAKEN: usize = 1;
const PUT_SUM: usize = 2;
const TAKEN_SUM: usize = 3;
const COPY: usize = 4;
const IN_FORCE: usize = 8;
const FIRST: usize = 9;
type Shelf<'a> = forq::MutexGuard<'a, [u64; 9 + PLACES as usize]>;

impl Buffer {
    /// The guard; after a death, what was half done is undone and everybody called.
    fn repaired<'a>(&self, result: forq::LockResult<'a, [u64; 9 + PLACES as usize]>) -> Shelf<'a> {
        result.unwrap_or_else(|error| {
            let mut shelf = error.into_guard().expect("only deaths are told");
            if shelf[IN_FORCE] == 1 {
                shelf.copy_within(COPY..IN_FORCE, 0);
                shelf[IN_FORCE] = 0;
            }
            shelf.mark_consistent();
            self.not_empty.notify_all();
            self.not_full.notify_all();
            shelf
        })
    }

    fn wait<'a>(&self, condvar: &Condvar, shelf: Shelf<'a>) -> Shelf<'a> {
        self.repaired(condvar.wait(shelf))
    }

    fn change(shelf: &mut Shelf<'_>, change: impl FnOnce(&mut [u64])) {
        use std::sync::atomic::{Ordering::SeqCst, compiler_fence};
        shelf.copy_within(0..COPY, COPY);
        compiler_fence(SeqCst);
        shelf[IN_FORCE] = 1;
        compiler_fence(SeqCst);
        change(&mut shelf[..]);
        compiler_fence(SeqCst);
        shelf[IN_FORCE] = 0;
    }

    fn produce(&self) {
        let mut shelf = self.repaired(self.shelf.lock());
        while shelf[PUT] < self.items.load(Relaxed) {
            if shelf[PUT] - shelf[TAKEN] == PLACES {
                shelf = self.wait(&self.not_full, shelf);
                continue;
            }
            Self::change(&mut shelf, |shelf| {
                let value = shelf[PUT] * 3 + 1;
                shelf[FIRST + (shelf[PUT] % PLACES) as usize] = value;
                shelf[PUT_SUM] += value;
                shelf[PUT] += 1;
            });
            self.not_empty.notify_one();
            drop(shelf);
            shelf = self.repaired(self.shelf.lock());
        }
        self.not_full.notify_all();
    }

    fn consume(&self) {
        let mut shelf = self.repaired(self.shelf.lock());
        while shelf[TAKEN] < self.items.load(Relaxed) {
            if shelf[TAKEN] == shelf[PUT] {
                shelf = self.wait(&self.not_empty, shelf);
                continue;
            }
            Self::change(&mut shelf, |shelf| {
                shelf[TAKEN_SUM] += shelf[FIRST + (shelf[TAKEN] % PLACES) as usize];
                shelf[TAKEN] += 1;
            });
            self.not_full.notify_one();
            drop(shelf);
            shelf = self.repaired(self.shelf.lock());
        }
        self.not_empty.notify_all();
    }
}

fn bounded_buffer(kills: u32) {
    let buffer = Shared::new(Buffer {
        shelf: Mutex::new([0; 9 + PLACES as usize]),
        not_empty: Condvar::new(),
        not_full: Condvar::new(),
        items: AtomicU64::new(if kills == 0 { 40_000 } else { u64::MAX }),
    })
    .unwrap();
    let spawn = |index: usize| {
        let buffer = &buffer;
        Process::spawn(move || if index < 4 { buffer.produce() } else { buffer.consume() }).unwrap()
    };
    let mut processes: Vec<_> = (0..8).map(spawn).collect();
    let mut random = Random(0xB0FF);
    for kill in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        let victim = random.below(8) as usize;
        processes[victim].kill().unwrap();
        processes[victim].join().unwrap();
        if kill % 10 == 0 {
            // Seven are left, of both kinds: they go on.
            let before = buffer.repaired(buffer.shelf.lock())[TAKEN];
            eventually("the others go on", || buffer.repaired(buffer.shelf.lock())[TAKEN] > before + 100);
        }
        processes[victim] = spawn(victim);
    }
    if kills > 0 {
        let shelf = buffer.repaired(buffer.shelf.lock());
        buffer.items.store(shelf[PUT] + 1000, Relaxed);
    }
    join_all(processes);
    let shelf = buffer.repaired(buffer.shelf.lock());
    let items = buffer.items.load(Relaxed);
    let sum = (0..items).map(|item| item * 3 + 1).sum::<u64>();
    assert_eq!(shelf[..COPY], [items, items, sum, sum]);
}
