//! Processes at a queue: stopped, killed, forked.

use std::time::{Duration, Instant};

use forq::{Error, Process, Queue};

use crate::messages::LAPS;
use crate::support::{Random, eventually, is_asleep, is_stopped, note_wake, send};

/// A child that takes one message and ends.
pub(crate) fn getter(queue: &Queue<u64>) -> Process {
    Process::spawn(|| i32::from(queue.get().is_err())).unwrap()
}

/// A child that puts one message and ends.
pub(crate) fn putter(queue: &Queue<u64>, message: u64) -> Process {
    Process::spawn(|| i32::from(queue.put(message).is_err())).unwrap()
}

pub(crate) fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

pub(crate) fn join_all(mut processes: Vec<Process>) {
    for process in &mut processes {
        assert!(process.join().unwrap().success());
    }
}

pub(crate) fn kill(process: &mut Process) {
    process.kill().unwrap();
    process.join().unwrap();
}

fn stop(process: &Process) {
    send(process.pid(), libc::SIGSTOP);
    eventually("it is stopped", || is_stopped(process.pid()));
}

pub(crate) fn stopped_consumer() {
    let queue = Queue::<u64>::new(2).unwrap();
    // The leader, then a follower of a living one.
    for stopped_first in [true, false] {
        let mut first = getter(&queue);
        falls_asleep(&first);
        let mut second = getter(&queue);
        falls_asleep(&second);
        let (stopped, living) =
            if stopped_first { (&mut first, &mut second) } else { (&mut second, &mut first) };
        stop(stopped);
        let started = Instant::now();
        queue.put(1).unwrap();
        assert!(living.join().unwrap().success());
        note_wake(started);
        // New ones, with and without waiting.
        for number in 0..1000 {
            queue.put(number).unwrap();
            assert_eq!(queue.try_get(), Ok(number));
            queue.put(number).unwrap();
            assert_eq!(queue.get(), Ok(number));
        }
        assert_eq!(queue.try_get(), Err(Error::WouldBlock));
        assert_eq!(queue.get_timeout(Duration::from_millis(10)), Err(Error::TimedOut));
        let mut third = getter(&queue);
        falls_asleep(&third);
        let started = Instant::now();
        queue.put(2).unwrap();
        assert!(third.join().unwrap().success());
        note_wake(started);
        assert_eq!(stopped.try_join().unwrap(), None);
        send(stopped.pid(), libc::SIGCONT);
        queue.put(3).unwrap();
        assert!(stopped.join().unwrap().success());
        assert!(queue.is_empty());
    }
}

/// Collects one that has gone well, if there is one.
fn one_goes(processes: &mut Vec<Process>) -> bool {
    let gone = processes.iter_mut().position(|one| one.try_join().unwrap().is_some());
    gone.map(|gone| processes.remove(gone)).is_some_and(|mut gone| gone.join().unwrap().success())
}

/// Whoever waits behind one that is stopped is woken, by each thing that is done.
fn behind_a_stopped_one(producers: bool) {
    let queue = Queue::<u64>::new(1).unwrap();
    let sleeper = || {
        let sleeper = if producers { putter(&queue, 1) } else { getter(&queue) };
        falls_asleep(&sleeper);
        sleeper
    };
    let act = || if producers { queue.get().is_ok() } else { queue.put(1).is_ok() };
    for _ in 0..10 {
        if producers {
            queue.put(0).unwrap();
        }
        let mut stopped = sleeper();
        let mut others = vec![sleeper(), sleeper()];
        stop(&stopped);
        for _ in 0..2 {
            let started = Instant::now();
            assert!(act());
            eventually("one of the others goes", || one_goes(&mut others));
            note_wake(started);
        }
        send(stopped.pid(), libc::SIGCONT);
        assert!(act());
        assert!(stopped.join().unwrap().success());
        while queue.try_get().is_ok() {}
    }
}

pub(crate) fn behind_a_stopped_consumer() {
    behind_a_stopped_one(false);
}

pub(crate) fn behind_a_stopped_producer() {
    behind_a_stopped_one(true);
}

pub(crate) fn stopped_producer() {
    let queue = Queue::<u64>::new(1).unwrap();
    queue.put(0).unwrap();
    for stopped_first in [true, false] {
        let mut first = putter(&queue, 100);
        falls_asleep(&first);
        let mut second = putter(&queue, 100);
        falls_asleep(&second);
        let (stopped, living) =
            if stopped_first { (&mut first, &mut second) } else { (&mut second, &mut first) };
        stop(stopped);
        assert_eq!(queue.get(), Ok(0));
        assert!(living.join().unwrap().success());
        assert_eq!(queue.get(), Ok(100));
        for number in 0..1000 {
            queue.try_put(number).unwrap();
            assert_eq!(queue.get(), Ok(number));
            queue.put(number).unwrap();
            assert!(queue.try_put(number).is_err());
            assert_eq!(queue.get(), Ok(number));
        }
        queue.put(1).unwrap();
        let mut third = putter(&queue, 2);
        falls_asleep(&third);
        let started = Instant::now();
        assert_eq!(queue.get(), Ok(1));
        assert!(third.join().unwrap().success());
        note_wake(started);
        assert_eq!((queue.get(), stopped.try_join().unwrap()), (Ok(2), None));
        send(stopped.pid(), libc::SIGCONT);
        assert!(stopped.join().unwrap().success());
        assert_eq!(queue.get(), Ok(100));
        queue.put(0).unwrap();
    }
}

/// Of those that wait, one is killed, before or while the other side does what they wait for: the rest go, one each time.
fn die_asleep(followers: usize, kill_leader: bool) {
    for producers in [false, true] {
        let queue = Queue::<u64>::new(1).unwrap();
        // One more message, or room for one more; unless that is so already.
        let act = || if producers { queue.try_get().is_ok() } else { queue.try_put(7).is_ok() };
        // Killed before or meanwhile; with so many behind.
        let mut fastest = [[Duration::MAX; 4]; 2];
        for round in 0..20 {
            if producers {
                queue.put(0).unwrap();
            }
            let mut sleepers: Vec<_> = (0..=followers)
                .map(|_| {
                    let sleeper = if producers { putter(&queue, 1) } else { getter(&queue) };
                    falls_asleep(&sleeper);
                    sleeper
                })
                .collect();
            let mut dead = sleepers.remove(if kill_leader { 0 } else { followers });
            if round % 2 == 1 {
                assert!(act());
            }
            // It may have ended, with what was meant for another.
            let _ = dead.kill();
            dead.join().unwrap();
            while !sleepers.is_empty() {
                let started = Instant::now();
                act();
                eventually("one goes", || one_goes(&mut sleepers));
                let fastest = &mut fastest[round % 2][sleepers.len()];
                *fastest = started.elapsed().min(*fastest);
            }
            while queue.try_get().is_ok() {}
            let told = queue.statistics();
            assert_eq!(told.put, told.got);
        }
        let woken =
            fastest.iter().all(|of| of[..followers].iter().all(|&one| one < Duration::from_millis(240)));
        assert!(woken, "found by looking, not woken: {fastest:?}");
    }
}

pub(crate) fn killed_leader() {
    die_asleep(1, true);
    die_asleep(3, true);
}

pub(crate) fn killed_follower() {
    die_asleep(1, false);
    die_asleep(3, false);
}

/// Many deaths in a row, of whoever sleeps; then both sides go on as on the first day.
pub(crate) fn killed_one_after_the_other() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for lap in LAPS {
        let queue = Queue::<u64>::new_at(1, lap).unwrap();
        for _ in 0..30 {
            let producers = queue.len() == 1;
            let mut sleepers: Vec<_> =
                (0..3).map(|_| if producers { putter(&queue, 1) } else { getter(&queue) }).collect();
            std::thread::sleep(Duration::from_micros(random.below(300)));
            while !sleepers.is_empty() {
                let index = random.below(sleepers.len() as u64) as usize;
                kill(&mut sleepers.remove(index));
            }
            assert_eq!(queue.len(), usize::from(producers), "nobody could do anything");
            if producers {
                assert_eq!(queue.get(), Ok(1));
            } else {
                queue.put(1).unwrap();
            }
        }
        let told = queue.statistics();
        assert_eq!((told.put, told.lost), (15, 0));
    }
}

pub(crate) fn gave_up() {
    let queue = Queue::<u64>::new(2).unwrap();
    for round in 0..50 {
        let limit = Duration::from_micros(200 * (round % 5));
        let quitters = (0..3)
            .map(|_| {
                let queue = &queue;
                Process::spawn(move || {
                    for _ in 0..5 {
                        let _ = queue.get_timeout(limit);
                    }
                })
                .unwrap()
            })
            .collect();
        join_all(quitters);
        let mut patient = getter(&queue);
        falls_asleep(&patient);
        let started = Instant::now();
        queue.put(1).unwrap();
        assert!(patient.join().unwrap().success());
        note_wake(started);
    }
}

pub(crate) fn generations() {
    let queue = Queue::<u64>::new(4).unwrap();
    let mut child = Process::spawn(|| {
        queue.put(1).unwrap();
        let mut grandchild = Process::spawn(|| {
            queue.put(2).unwrap();
            let _ = queue.get();
        })
        .unwrap();
        assert!(grandchild.join().unwrap().success());
        queue.put(3).unwrap();
    })
    .unwrap();
    assert!(child.join().unwrap().success());
    assert_eq!((queue.get(), queue.get(), queue.len()), (Ok(2), Ok(3), 0));
    // Of a fork that forq did not make.
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let good = queue.put(4).is_ok();
        // SAFETY: the child ends here.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    assert_eq!(queue.get(), Ok(4));
    // SAFETY: our child; no place for the result.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

pub(crate) fn threads() {
    const EACH: u64 = 5_000;
    let queue = Queue::<u64>::new(3).unwrap();
    let sum = Queue::<u64>::new(4).unwrap();
    let work = || {
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| (0..EACH).map(|_| queue.get().unwrap()).sum::<u64>());
            scope.spawn(|| (0..EACH).for_each(|number| queue.put(number).unwrap()));
            sum.put(consumer.join().unwrap()).unwrap();
        });
    };
    let child = Process::spawn(work).unwrap();
    work();
    join_all(vec![child]);
    assert_eq!(sum.get().unwrap() + sum.get().unwrap(), EACH * (EACH - 1));
    assert!(queue.is_empty());
}
