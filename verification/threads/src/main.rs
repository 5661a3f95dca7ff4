//! Threads of one process over every primitive, for ThreadSanitizer: what each guards, or hands over, is memory that is read and written
//! plainly, so that an ordering that is missing in forq is a data race here. Run by `verification/sanitizers.sh`; see `verification/README.md`.
//!
//! An argument selects the cases whose names contain it; `FORQ_ROUNDS` sets how often each does what it does.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use forq::{
    Array, Barrier, Condvar, Event, List, Manager, Mutex, Queue, ReentrantMutex, Semaphore, Shared, Value,
    byte_channel, channel,
};

const THREADS: usize = 3;

/// A number in ordinary memory.
#[derive(Default)]
struct Plain(UnsafeCell<u64>);

// SAFETY: that it is so is what is checked.
unsafe impl Sync for Plain {}

impl Plain {
    fn add(&self) {
        // SAFETY: as above.
        unsafe { *self.0.get() += 1 }
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }

    fn set(&self, value: u64) {
        // SAFETY: as above.
        unsafe { *self.0.get() = value }
    }
}

fn together(run: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for index in 0..THREADS {
            let run = &run;
            scope.spawn(move || run(index));
        }
    });
}

/// Now and then other threads' turn: so that they meet, and sleep.
fn now_and_then(round: usize) {
    if round % 64 == 0 {
        thread::yield_now();
    }
    if round % 512 == 0 {
        thread::sleep(Duration::from_micros(200));
    }
}

fn mutex(rounds: usize) {
    let (mutex, plain) = (Shared::new(Mutex::new(0u64)).unwrap(), Plain::default());
    together(|index| {
        for round in 0..rounds {
            let mut guard = match (index + round) % 3 {
                0 => mutex.lock().unwrap(),
                1 => mutex.lock_timeout(Duration::from_secs(60)).unwrap(),
                _ => loop {
                    if let Ok(guard) = mutex.try_lock() {
                        break guard;
                    }
                    thread::yield_now();
                },
            };
            *guard += 1;
            plain.add();
            now_and_then(round);
        }
    });
    assert_eq!(*mutex.lock().unwrap(), (rounds * THREADS) as u64);
    assert_eq!(plain.get(), (rounds * THREADS) as u64);
    assert_eq!(mutex.statistics().acquisitions, (rounds * THREADS + 1) as u64);
}

fn reentrant(rounds: usize) {
    let (mutex, plain) = (Shared::new(ReentrantMutex::new(0u64)).unwrap(), Plain::default());
    together(|_| {
        for round in 0..rounds {
            let _outer = mutex.lock().unwrap();
            let _inner = mutex.lock().unwrap();
            plain.add();
            now_and_then(round);
        }
    });
    assert_eq!(plain.get(), (rounds * THREADS) as u64);
}

fn semaphore(rounds: usize) {
    let (semaphore, plain) = (Shared::new(Semaphore::new(1)).unwrap(), Plain::default());
    together(|index| {
        for round in 0..rounds {
            if (index + round) % 2 == 0 {
                semaphore.acquire().unwrap();
            } else {
                semaphore.acquire_timeout(Duration::from_secs(60)).unwrap();
            }
            plain.add();
            now_and_then(round);
            semaphore.release(1).unwrap();
        }
    });
    assert_eq!(plain.get(), (rounds * THREADS) as u64);
}

/// A buffer for one, behind a mutex and two condition variables.
fn condvar(rounds: usize) {
    let (full, room, free) = (
        Shared::new(Mutex::new(0u64)).unwrap(),
        Shared::new(Condvar::new()).unwrap(),
        Shared::new(Condvar::new()).unwrap(),
    );
    let plain = Plain::default();
    let sum = AtomicUsize::new(0);
    together(|index| {
        for round in 0..rounds * 2 {
            if index == 0 {
                let mut guard = free.wait_while(full.lock().unwrap(), |full| *full == 1).unwrap();
                plain.set(round as u64);
                *guard = 1;
                room.notify_one();
            } else if round % 2 == index - 1 {
                let mut guard = room.wait_while(full.lock().unwrap(), |full| *full == 0).unwrap();
                sum.fetch_add(plain.get() as usize, Ordering::Relaxed);
                *guard = 0;
                free.notify_all();
            }
        }
    });
    assert_eq!(sum.into_inner(), rounds * (rounds * 2 - 1));
}

fn event(rounds: usize) {
    let rounds = rounds / 4;
    let events = Shared::slice_with(rounds, |_| Event::new()).unwrap();
    let plains: Vec<_> = (0..rounds).map(|_| Plain::default()).collect();
    together(|index| {
        for (round, (event, plain)) in events.iter().zip(&plains).enumerate() {
            if index == 0 {
                now_and_then(round);
                plain.set(round as u64);
                event.set();
            } else if (index + round) % 2 == 0 {
                while !event.is_set() {
                    thread::yield_now();
                }
                assert_eq!(plain.get(), round as u64);
            } else {
                event.wait().unwrap();
                assert_eq!(plain.get(), round as u64);
            }
        }
    });
}

/// Between two meetings each writes what the next one reads after the meeting.
fn barrier(rounds: usize) {
    let rounds = rounds / 2;
    let barrier = Shared::new(Barrier::new(THREADS as u32)).unwrap();
    let plains: Vec<_> = (0..THREADS).map(|_| Plain::default()).collect();
    together(|index| {
        for round in 0..rounds {
            plains[index].set(round as u64);
            barrier.wait().unwrap();
            assert_eq!(plains[(index + 1) % THREADS].get(), round as u64);
            barrier.wait().unwrap();
        }
    });
}

/// Each message is the place of a number that its sender wrote before.
fn queue(rounds: usize) {
    let queue = Queue::<u64>::new(5).unwrap();
    let plains: Vec<_> = (0..rounds * 2).map(|_| Plain::default()).collect();
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for half in 0..2 {
            let (queue, plains, taken) = (&queue, &plains, &taken);
            scope.spawn(move || {
                for index in half * rounds..(half + 1) * rounds {
                    plains[index].set(index as u64 + 1);
                    if index % 7 == 0 {
                        assert_eq!(queue.put_many(&[index as u64]).unwrap(), 1);
                    } else {
                        queue.put(index as u64).unwrap();
                    }
                }
            });
            scope.spawn(move || {
                loop {
                    let mut some = [0; 3];
                    let got = if taken.load(Ordering::Relaxed) % 3 == 0 {
                        queue.get_many(&mut some)
                    } else {
                        queue.get().map(|one| {
                            some[0] = one;
                            1
                        })
                    };
                    let Ok(got) = got else { break };
                    for &index in &some[..got] {
                        assert_eq!(plains[index as usize].get(), index + 1);
                        queue.task_done().unwrap();
                        if taken.fetch_add(1, Ordering::Relaxed) + 1 == rounds * 2 {
                            queue.close();
                        }
                    }
                }
            });
        }
    });
    queue.join().unwrap();
    assert_eq!(taken.into_inner(), rounds * 2);
}

fn channels(rounds: usize) {
    let (mut sender, mut receiver) = channel::<u64>(4).unwrap();
    let plains: Vec<_> = (0..rounds * 2).map(|_| Plain::default()).collect();
    thread::scope(|scope| {
        let plains = &plains;
        scope.spawn(move || {
            for index in 0..rounds * 2 {
                plains[index].set(index as u64 + 1);
                sender.put(index as u64).unwrap();
            }
        });
        scope.spawn(move || {
            for index in 0..rounds * 2 {
                assert_eq!(receiver.get().unwrap(), index as u64);
                assert_eq!(plains[index].get(), index as u64 + 1);
            }
        });
    });
    let (mut sender, mut receiver) = byte_channel(4, 24).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for index in 0..rounds {
                let text = [index as u8; 24];
                if index % 2 == 0 {
                    sender.put(&text[..index % 25]).unwrap();
                } else {
                    let mut slot = sender.reserve().unwrap();
                    slot.write(0, &text).unwrap();
                    slot.commit(index % 25).unwrap();
                }
            }
        });
        scope.spawn(move || {
            let mut buffer = [0; 24];
            for index in 0..rounds {
                if index % 3 == 0 {
                    let message = receiver.peek().unwrap();
                    assert_eq!(message.to_vec(), vec![index as u8; index % 25]);
                    message.release();
                } else {
                    assert_eq!(receiver.get(&mut buffer).unwrap(), index % 25);
                }
            }
        });
    });
}

fn values(rounds: usize) {
    let value = Value::<u64>::new(0).unwrap();
    let array = Array::<u64>::new(4).unwrap();
    let plain = Plain::default();
    together(|index| {
        for round in 0..rounds {
            value.add(1).unwrap();
            array.set(index, &(round as u64)).unwrap();
            assert_eq!(array.get(index).unwrap(), round as u64);
            let mut all = array.lock().unwrap();
            all[3] += 1;
            plain.add();
            drop(all);
            now_and_then(round);
        }
    });
    assert_eq!(value.get().unwrap(), (rounds * THREADS) as u64);
    assert_eq!(array.get(3).unwrap(), plain.get());
}

fn collections(rounds: usize) {
    let rounds = rounds / 4;
    let manager = Manager::new(1 << 20).unwrap();
    let counts = manager.dict::<u64, u64>("counts").unwrap();
    let numbers: List<'_, u64> = manager.list("numbers").unwrap();
    let plain = Plain::default();
    together(|index| {
        for round in 0..rounds as u64 {
            counts
                .update(&(round % 50), |count| {
                    plain.get();
                    Some(count.unwrap_or(0) + 1)
                })
                .unwrap();
            counts.get(&((round + 7) % 50)).unwrap();
            if round % 5 == 0 {
                counts.remove(&(1000 + index as u64)).unwrap();
                counts.set(&(1000 + index as u64), &round).unwrap();
            }
            match (round + index as u64) % 4 {
                0 | 1 => numbers.push(&round).unwrap(),
                2 => drop(numbers.pop().unwrap()),
                _ => drop(numbers.get(0)),
            }
            now_and_then(round as usize);
        }
    });
    let total: u64 = (0..50).map(|key| counts.get(&key).unwrap().unwrap_or(0)).sum();
    assert_eq!(total, (rounds * THREADS) as u64);
    manager.__check().unwrap();
}

fn main() {
    let rounds = std::env::var("FORQ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4000);
    let filter = std::env::args().nth(1).unwrap_or_default();
    let cases: [(&str, fn(usize)); 10] = [
        ("mutex", mutex),
        ("reentrant", reentrant),
        ("semaphore", semaphore),
        ("condvar", condvar),
        ("event", event),
        ("barrier", barrier),
        ("queue", queue),
        ("channels", channels),
        ("values", values),
        ("collections", collections),
    ];
    for (name, case) in cases.into_iter().filter(|(name, _)| name.contains(&filter)) {
        case(rounds);
        println!("{name}: {rounds} rounds");
    }
}
