//! Ends: a queue that is closed, and tasks that are done.

use std::time::{Duration, Instant};

use forq::{Error, Process, Queue};

use crate::messages::LAPS;
use crate::people::{falls_asleep, join_all};
use crate::support::{eventually, note_wake, send};

pub(crate) fn told() {
    let (empty, full) = (Queue::<u64>::new(1).unwrap(), Queue::<u64>::new(1).unwrap());
    full.put(1).unwrap();
    let limit = Duration::from_secs(3600);
    let waiters: Vec<_> = (0..6)
        .map(|index| {
            let waiter = Process::spawn(|| {
                let (taken, refused) = match index {
                    0 | 1 => (empty.get().err(), full.put(2).err()),
                    2 => (empty.get_timeout(limit).err(), full.put_timeout(2, limit).err()),
                    _ => (Some(Error::Closed), full.put(2).err()),
                };
                let refused = refused.unwrap();
                assert_eq!((taken, refused.message, refused.error), (Some(Error::Closed), 2, Error::Closed));
            })
            .unwrap();
            falls_asleep(&waiter);
            waiter
        })
        .collect();
    for _ in 0..2 {
        let started = Instant::now();
        empty.close();
        assert!(empty.is_closed());
        std::thread::sleep(Duration::from_millis(20));
        full.close();
        eventually("all are told", || waiters.iter().all(|one| !crate::support::is_running(one.pid())));
        note_wake(started);
    }
    join_all(waiters);
    assert_eq!((empty.len(), full.len()), (0, 1));
    assert_eq!((full.get(), full.get()), (Ok(1), Err(Error::Closed)));
}

pub(crate) fn left() {
    for lap in LAPS {
        let queue = Queue::<u64>::new_at(5, lap).unwrap();
        assert_eq!(queue.put_many(&[1, 2, 3, 4]), Ok(4));
        assert!(!queue.is_closed());
        queue.close();
        queue.close();
        assert!(queue.is_closed());
        let refused = queue.put(9).unwrap_err();
        assert_eq!((refused.message, refused.error), (9, Error::Closed));
        assert_eq!(queue.try_put(9).unwrap_err().error, Error::Closed);
        assert_eq!(queue.put_timeout(9, Duration::from_secs(9)).unwrap_err().error, Error::Closed);
        assert_eq!(queue.put_many(&[1, 2]), Err(Error::Closed));
        let mut buffer = [0; 2];
        assert_eq!(queue.len(), 4);
        assert_eq!(queue.get(), Ok(1));
        assert_eq!(queue.get_many(&mut buffer), Ok(2));
        queue.close();
        assert_eq!((queue.len(), queue.try_get(), queue.len()), (1, Ok(4), 0));
        assert_eq!(queue.get(), Err(Error::Closed));
        assert_eq!(queue.try_get(), Err(Error::Closed));
        assert_eq!(queue.get_timeout(Duration::from_secs(9)), Err(Error::Closed));
        assert_eq!(queue.get_many(&mut buffer), Err(Error::Closed));
        // What was taken may still be marked done.
        for _ in 0..4 {
            assert_eq!(queue.join_timeout(Duration::ZERO), Err(Error::WouldBlock));
            queue.task_done().unwrap();
        }
        assert_eq!((queue.join(), queue.task_done()), (Ok(()), Err(Error::Overflow)));
        assert_eq!((queue.statistics().put, queue.statistics().got), (4, 4));
    }
    // In another process, too.
    let queue = Queue::<u64>::new(1).unwrap();
    let mut child = Process::spawn(|| queue.close()).unwrap();
    child.join().unwrap();
    assert!(queue.is_closed() && queue.put(1).is_err() && queue.get() == Err(Error::Closed));
}

pub(crate) fn closed_batch() {
    let queue = Queue::<u64>::new(3).unwrap();
    let mut producer = Process::spawn(|| {
        i32::from(queue.put_many(&[1, 2, 3, 4, 5]) != Ok(3) || queue.put_many(&[4]) != Err(Error::Closed))
    })
    .unwrap();
    falls_asleep(&producer);
    assert_eq!(queue.len(), 3);
    queue.close();
    assert!(producer.join().unwrap().success());
    let mut buffer = [0; 8];
    assert_eq!(queue.get_many(&mut buffer), Ok(3));
    assert_eq!((&buffer[..3], queue.get()), (&[1, 2, 3][..], Err(Error::Closed)));
}

/// What was put comes out and nothing else, whenever the close comes.
pub(crate) fn close_in_a_crowd() {
    for round in 0..100 {
        let queue = Queue::<u64>::new(1 + round % 3).unwrap();
        let counts = Queue::<[u64; 2]>::new(4).unwrap();
        let children = (0..4)
            .map(|index| {
                let (queue, counts) = (&queue, &counts);
                Process::spawn(move || {
                    let mut count = 0;
                    let produces = index % 2 == 0;
                    while if produces { queue.put(1).is_ok() } else { queue.get().is_ok() } {
                        count += 1;
                    }
                    counts.put(if produces { [count, 0] } else { [0, count] }).unwrap();
                })
                .unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_micros(100 * round as u64));
        queue.close();
        join_all(children);
        let sum = (0..4)
            .map(|_| counts.get().unwrap())
            .fold([0, 0], |sum, part| [sum[0] + part[0], sum[1] + part[1]]);
        assert_eq!(sum[0], sum[1], "put and got");
        assert_eq!((queue.statistics().put, queue.statistics().got), (sum[0], sum[1]));
    }
}

pub(crate) fn join() {
    for lap in LAPS {
        let queue = Queue::<u64>::new_at(4, lap).unwrap();
        assert_eq!(queue.join(), Ok(()), "nothing was put");
        queue.put_many(&[1, 2]).unwrap();
        let started = Instant::now();
        assert_eq!(queue.join_timeout(Duration::from_millis(20)), Err(Error::TimedOut));
        assert!(started.elapsed() >= Duration::from_millis(20));
        let mut joiner = Process::spawn(|| queue.join()).unwrap();
        falls_asleep(&joiner);
        queue.get().unwrap();
        queue.task_done().unwrap();
        queue.get().unwrap();
        assert_eq!(queue.join_timeout(Duration::from_millis(1)), Err(Error::TimedOut), "taken is not done");
        assert_eq!(joiner.try_join().unwrap(), None);
        let started = Instant::now();
        queue.task_done().unwrap();
        assert!(joiner.join().unwrap().success());
        note_wake(started);
        assert_eq!(queue.join_timeout(Duration::from_secs(9)), Ok(()));
        // And again.
        queue.put(3).unwrap();
        assert_eq!(queue.join_timeout(Duration::ZERO), Err(Error::WouldBlock));
        queue.task_done().unwrap();
        assert_eq!(queue.join(), Ok(()), "a message need not be taken to be done");
    }
}

pub(crate) fn overflow() {
    for lap in LAPS {
        let queue = Queue::<u64>::new_at(1, lap).unwrap();
        assert_eq!(queue.task_done(), Err(Error::Overflow));
        for _ in 0..30 {
            queue.put(1).unwrap();
            queue.get().unwrap();
            queue.task_done().unwrap();
            assert_eq!(queue.task_done(), Err(Error::Overflow), "from {lap:?}");
            assert_eq!(queue.join_timeout(Duration::ZERO), Ok(()));
        }
    }
    // As many as there are, however many mark them.
    const EACH: u64 = 5_000;
    let queue = Queue::<u64>::new(8).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            Process::spawn(|| {
                let mut marked = 0;
                while queue.get().is_ok() {
                    queue.task_done().unwrap();
                    marked += 1;
                }
                let _ = marked;
            })
            .unwrap()
        })
        .collect();
    for number in 0..EACH {
        queue.put(number).unwrap();
    }
    assert_eq!(queue.join(), Ok(()));
    assert_eq!(queue.task_done(), Err(Error::Overflow));
    assert!(queue.is_empty(), "all done means all taken, here");
    queue.close();
    join_all(workers);
}

pub(crate) fn dead_consumer() {
    let queue = Queue::<u64>::new(4).unwrap();
    queue.put_many(&[1, 2]).unwrap();
    let mut consumer = Process::spawn(|| {
        queue.get().unwrap();
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    consumer.join().unwrap();
    assert_eq!(queue.get(), Ok(2), "its message is gone, as it had been delivered");
    queue.task_done().unwrap();
    assert_eq!(queue.join_timeout(Duration::from_millis(30)), Err(Error::TimedOut));
    assert_eq!(queue.statistics().lost, 0, "it had returned");
    queue.task_done().unwrap();
    assert_eq!(queue.join(), Ok(()));
}

pub(crate) fn joiners() {
    let queue = Queue::<u64>::new(4).unwrap();
    for _ in 0..20 {
        queue.put(1).unwrap();
        let mut joiners: Vec<_> = (0..4).map(|_| Process::spawn(|| queue.join()).unwrap()).collect();
        joiners.iter().for_each(falls_asleep);
        let mut dead = joiners.remove(1);
        crate::people::kill(&mut dead);
        queue.get().unwrap();
        let started = Instant::now();
        queue.task_done().unwrap();
        join_all(joiners);
        note_wake(started);
    }
}
