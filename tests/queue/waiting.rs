//! Who waits, how long, and what ends it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Process, Queue, Shared};

use crate::people::{falls_asleep, getter, join_all, putter};
use crate::support::{self, eventually, note_wake, send};

pub(crate) fn time_limits() {
    let (empty, full) = (Queue::<u64>::new(1).unwrap(), Queue::<u64>::new(1).unwrap());
    full.put(1).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(empty.get_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
        let started = Instant::now();
        assert_eq!(full.put_timeout(2, wait).unwrap_err().error, Error::TimedOut);
        assert!(started.elapsed() >= wait);
        let started = Instant::now();
        assert_eq!(full.join_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(empty.get_timeout(Duration::ZERO), Err(Error::WouldBlock));
    assert_eq!(full.put_timeout(2, Duration::ZERO).unwrap_err().error, Error::WouldBlock);
    assert_eq!(full.join_timeout(Duration::ZERO), Err(Error::WouldBlock));
    // Who waits behind another, too.
    let mut leader = getter(&empty);
    falls_asleep(&leader);
    let started = Instant::now();
    assert_eq!(empty.get_timeout(Duration::from_millis(30)), Err(Error::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(empty.try_get(), Err(Error::WouldBlock));
    empty.put(3).unwrap();
    assert!(leader.join().unwrap().success());
    // The longest times do not overflow.
    for limit in [Duration::MAX, Duration::from_nanos(i64::MAX as u64)] {
        let mut waiter = Process::spawn(|| i32::from(empty.get_timeout(limit).is_err())).unwrap();
        falls_asleep(&waiter);
        empty.put_timeout(1, limit).unwrap();
        assert!(waiter.join().unwrap().success());
    }
    assert_eq!((empty.len(), full.len()), (0, 1));
}

pub(crate) fn full() {
    for capacity in [1, 2, 3, 6, 1000] {
        let queue = Queue::<u64>::new(capacity).unwrap();
        for number in 0..capacity as u64 {
            queue.put(number).unwrap();
        }
        let mut producer = putter(&queue, 777);
        falls_asleep(&producer);
        assert_eq!((producer.try_join().unwrap(), queue.len()), (None, capacity));
        let started = Instant::now();
        assert_eq!(queue.get(), Ok(0));
        assert!(producer.join().unwrap().success());
        note_wake(started);
        for number in 1..capacity as u64 {
            assert_eq!(queue.get(), Ok(number));
        }
        assert_eq!(queue.get(), Ok(777));
    }
}

pub(crate) fn woken_by_put() {
    let queue = Queue::<u64>::new(3).unwrap();
    for _ in 0..20 {
        let mut consumer = getter(&queue);
        falls_asleep(&consumer);
        let started = Instant::now();
        queue.put(1).unwrap();
        assert!(consumer.join().unwrap().success());
        note_wake(started);
        assert!(queue.is_empty());
    }
}

pub(crate) fn woken_by_get() {
    let queue = Queue::<u64>::new(1).unwrap();
    queue.put(0).unwrap();
    for number in 0..20 {
        let mut producer = putter(&queue, number + 1);
        falls_asleep(&producer);
        let started = Instant::now();
        assert_eq!(queue.get(), Ok(number));
        assert!(producer.join().unwrap().success());
        note_wake(started);
    }
}

pub(crate) fn woken_one_by_one() {
    let queue = Queue::<u64>::new(8).unwrap();
    let mut consumers: Vec<_> = (0..6).map(|_| getter(&queue)).collect();
    consumers.iter().for_each(falls_asleep);
    let ended = |all: &mut [Process]| all.iter_mut().filter_map(|one| one.try_join().unwrap()).count();
    for gone in 1..=4 {
        let started = Instant::now();
        queue.put(1).unwrap();
        eventually("one has gone", || ended(&mut consumers) == gone);
        note_wake(started);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ended(&mut consumers), 4, "two still wait");
    // A batch wakes as many as it needs.
    assert_eq!(queue.put_many(&[1, 2]), Ok(2));
    join_all(consumers);
    assert!(queue.is_empty());
}

pub(crate) fn no_system_call() {
    let queue = Queue::<u64>::new(4).unwrap();
    let pass = || {
        let first = || assert!(queue.try_get().is_err());
        support::allows_no_system_call_after(first, |()| {
            let mut buffer = [0; 4];
            for number in 0..1000 {
                queue.put(number).unwrap();
                queue.try_put(number).unwrap();
                assert_eq!(queue.put_many(&[number, number]), Ok(2));
                assert!(queue.try_put(0).is_err());
                assert_eq!((queue.get(), queue.try_get()), (Ok(number), Ok(number)));
                assert_eq!(queue.get_many(&mut buffer), Ok(2));
                assert!(queue.try_get().is_err());
                assert_eq!(queue.task_done().and(queue.task_done()), Ok(()));
                assert_eq!(queue.task_done().and(queue.task_done()), Ok(()));
                assert_eq!((queue.len(), queue.join()), (0, Ok(())));
                assert!(queue.statistics().put > 0 && !queue.is_closed());
            }
        });
    };
    pass();
    // Nor after others have waited and are gone, killed ones too.
    let mut leader = getter(&queue);
    falls_asleep(&leader);
    let mut follower = getter(&queue);
    falls_asleep(&follower);
    leader.kill().unwrap();
    leader.join().unwrap();
    queue.put(1).unwrap();
    assert!(follower.join().unwrap().success());
    queue.task_done().unwrap();
    assert!(queue.get_timeout(Duration::from_millis(1)).is_err());
    // The first ones may still look for whoever is gone.
    for _ in 0..3 {
        queue.put(1).unwrap();
        queue.get().unwrap();
        queue.task_done().unwrap();
    }
    pass();
}

extern "C" fn ignore(_signal: i32) {}

/// Whatever comes in a handler that does nothing.
fn handle(handler: extern "C" fn(i32)) {
    // SAFETY: the handlers of these tests call only what the case is about.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
}

pub(crate) fn interrupted() {
    handle(ignore);
    // On a loaded machine one wake-up may take long.
    for _ in 0..3 {
        listen_to_signals();
    }
}

fn listen_to_signals() {
    let (empty, full) = (Queue::<u64>::new(1).unwrap(), Queue::<u64>::new(1).unwrap());
    full.put(1).unwrap();
    let mut deaf = getter(&empty);
    falls_asleep(&deaf);
    let listen = |wait: &dyn Fn() -> Error| {
        let mut listening = Process::spawn(|| {
            forq::set_interruptible(true);
            i32::from(wait() != Error::Interrupted)
        })
        .unwrap();
        falls_asleep(&listening);
        eventually("it hears", || {
            send(deaf.pid(), libc::SIGUSR1);
            send(listening.pid(), libc::SIGUSR1);
            listening.try_join().unwrap().inspect(|status| assert!(status.success())).is_some()
        });
    };
    // Behind the deaf one; as the leader; of producers; for tasks.
    listen(&|| empty.get().unwrap_err());
    listen(&|| full.put(2).unwrap_err().error);
    listen(&|| full.put_many(&[2, 3]).unwrap_err());
    listen(&|| full.join().unwrap_err());
    assert_eq!(deaf.try_join().unwrap(), None);
    let started = Instant::now();
    empty.put(1).unwrap();
    assert!(deaf.join().unwrap().success());
    note_wake(started);
    listen_alone(&empty);
    assert_eq!((empty.len(), full.len()), (0, 1));
}

fn listen_alone(empty: &Queue<u64>) {
    let mut listening = Process::spawn(|| {
        forq::set_interruptible(true);
        i32::from(empty.get() != Err(Error::Interrupted))
    })
    .unwrap();
    falls_asleep(&listening);
    eventually("it hears", || {
        send(listening.pid(), libc::SIGUSR1);
        listening.try_join().unwrap().inspect(|status| assert!(status.success())).is_some()
    });
}

/// They sleep on one word only, so that signals can end it.
pub(crate) fn listening_threads() {
    let queue = Queue::<u64>::new(1).unwrap();
    let listening = |run: &dyn Fn() -> bool| {
        let process = Process::spawn(|| {
            forq::set_interruptible(true);
            i32::from(!run())
        })
        .unwrap();
        falls_asleep(&process);
        process
    };
    for _ in 0..10 {
        let mut consumers = [listening(&|| queue.get().is_ok()), listening(&|| queue.get().is_ok())];
        let started = Instant::now();
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        for consumer in &mut consumers {
            assert!(consumer.join().unwrap().success());
        }
        note_wake(started);
        queue.put(3).unwrap();
        let mut producers = [listening(&|| queue.put(4).is_ok()), listening(&|| queue.put(5).is_ok())];
        assert_eq!(queue.get(), Ok(3));
        queue.get().unwrap();
        for producer in &mut producers {
            assert!(producer.join().unwrap().success());
        }
        queue.get().unwrap();
    }
    // A close, which they must learn of by another way.
    let consumer = listening(&|| queue.get() == Err(Error::Closed));
    let follower = listening(&|| queue.get() == Err(Error::Closed));
    let started = Instant::now();
    queue.close();
    join_all(vec![consumer, follower]);
    note_wake(started);
}

/// For the handler.
static IN_HANDLER: OnceLock<(Queue<u64>, Shared<AtomicU32>)> = OnceLock::new();

/// Which error a handler was given, by errno; each counted once.
extern "C" fn try_both(_signal: i32) {
    let (queue, told) = IN_HANDLER.get().unwrap();
    for error in
        [queue.try_get().err(), queue.get_timeout(Duration::from_secs(9)).err()].into_iter().flatten()
    {
        let bit = match error {
            Error::Deadlock => 1,
            Error::WouldBlock => 2,
            Error::TimedOut => 4,
            _ => 8,
        };
        told.fetch_or(bit, Ordering::Relaxed);
    }
    told.fetch_or(16, Ordering::Relaxed);
}

pub(crate) fn handler() {
    let (queue, told) =
        IN_HANDLER.get_or_init(|| (Queue::new(1).unwrap(), Shared::new(AtomicU32::new(0)).unwrap()));
    handle(try_both);
    // It interrupts a get that holds the consumers' side, asleep.
    let mut consumer = Process::spawn(|| i32::from(queue.get() != Ok(5))).unwrap();
    falls_asleep(&consumer);
    send(consumer.pid(), libc::SIGUSR1);
    eventually("it was handled", || told.load(Ordering::Relaxed) & 16 != 0);
    let told = told.load(Ordering::Relaxed);
    assert!(told & 1 != 0, "the one that would wait is told: {told:#x}");
    assert_eq!(told & 12, 0, "nothing else: {told:#x}");
    queue.put(5).unwrap();
    assert!(consumer.join().unwrap().success());
    assert!(queue.is_empty());
}
