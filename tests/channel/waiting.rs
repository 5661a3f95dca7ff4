//! Waits, and how they end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, Process, Receiver, Sender, Shared};
use forq::{byte_channel, channel};

use super::MOMENT;
use super::common::{falls_asleep, join};
use crate::support::note_wake;

pub(super) fn time_limits() {
    let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(receiver.get_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(receiver.get_timeout(Duration::ZERO), Err(Error::WouldBlock));
    sender.put_timeout(1, Duration::MAX).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(sender.put_timeout(2, wait).unwrap_err().error, Error::TimedOut);
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(sender.put_timeout(2, Duration::ZERO).unwrap_err().error, Error::WouldBlock);
    assert_eq!(receiver.get_timeout(Duration::MAX), Ok(1));
    let child = Process::spawn(|| assert_eq!(receiver.get_timeout(Duration::MAX), Ok(3))).unwrap();
    falls_asleep(&child);
    sender.put(3).unwrap();
    join(child);
}

pub(super) fn consumer_woken() {
    for round in 0..30 {
        let (mut sender, mut receiver) = channel::<u64>(2).unwrap();
        let child = Process::spawn(|| assert_eq!(receiver.get(), Ok(round))).unwrap();
        falls_asleep(&child);
        let started = Instant::now();
        sender.put(round).unwrap();
        join(child);
        note_wake(started);
    }
}

pub(super) fn producer_woken() {
    for round in 0..30 {
        let (mut sender, mut receiver) = channel::<u64>(2).unwrap();
        sender.put(1).unwrap();
        sender.put(2).unwrap();
        let child = Process::spawn(|| sender.put(round).unwrap()).unwrap();
        falls_asleep(&child);
        let started = Instant::now();
        assert_eq!(receiver.get(), Ok(1));
        join(child);
        note_wake(started);
        assert_eq!([receiver.get(), receiver.get()], [Ok(2), Ok(round)]);
    }
}

pub(super) fn no_system_call() {
    let (mut sender, mut receiver) = channel::<u64>(8).unwrap();
    let (mut bytes, mut into) = byte_channel(8, 100).unwrap();
    crate::support::allows_no_system_call_after(
        || {
            // The first call of a process takes the side.
            sender.put(0).unwrap();
            receiver.get().unwrap();
            bytes.put(&[]).unwrap();
            into.get(&mut []).unwrap();
            (sender, receiver, bytes, into)
        },
        |(mut sender, mut receiver, mut bytes, mut into)| {
            for number in 0..1000 {
                sender.put(number).unwrap();
                sender.try_put(number).unwrap();
                assert_eq!([receiver.get(), receiver.try_get()], [Ok(number), Ok(number)]);
                bytes.put(&[1; 50]).unwrap();
                bytes.reserve().unwrap().commit(9).unwrap();
                assert_eq!(into.get(&mut [0; 50]), Ok(50));
                into.peek().unwrap().release();
            }
            // Exiting by a destructor would unmap.
            std::mem::forget((sender, receiver, bytes, into));
        },
    );
}

pub(super) fn closed() {
    let (mut sender, mut receiver) = channel::<u64>(4).unwrap();
    sender.put(1).unwrap();
    sender.put(2).unwrap();
    assert!(!sender.is_closed() && !receiver.is_closed());
    let third = Process::spawn(|| receiver.close()).unwrap();
    join(third);
    assert!(sender.is_closed() && receiver.is_closed());
    for _ in 0..2 {
        sender.close();
        let refused = sender.put(3).unwrap_err();
        assert_eq!((refused.error, refused.message), (Error::Closed, 3));
        assert_eq!(sender.try_put(3).unwrap_err().error, Error::Closed);
    }
    assert_eq!(receiver.len(), 2);
    assert_eq!([receiver.try_get(), receiver.get()], [Ok(1), Ok(2)]);
    for _ in 0..2 {
        assert_eq!(receiver.get(), Err(Error::Closed));
        assert_eq!(receiver.try_get(), Err(Error::Closed));
        assert_eq!(receiver.get_timeout(MOMENT), Err(Error::Closed));
    }
    // In place, and never used before.
    let (mut sender, mut receiver) = byte_channel(2, 8).unwrap();
    let slot = sender.reserve().unwrap();
    receiver.close();
    assert_eq!(slot.commit(8), Err(Error::Closed));
    assert_eq!(sender.reserve().err(), Some(Error::Closed));
    assert_eq!(receiver.peek().err(), Some(Error::Closed));
}

pub(super) fn close_wakes() {
    for round in 0..20 {
        let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
        let (child, closes) = if round % 2 == 0 {
            (
                Process::spawn(|| assert_eq!(receiver.get(), Err(Error::Closed))).unwrap(),
                &sender as &dyn Closes,
            )
        } else {
            sender.put(1).unwrap();
            let child =
                Process::spawn(|| assert_eq!(sender.put(2).unwrap_err().error, Error::Closed)).unwrap();
            (child, &receiver as &dyn Closes)
        };
        falls_asleep(&child);
        let started = Instant::now();
        closes.close();
        join(child);
        note_wake(started);
    }
}

/// Either end.
trait Closes {
    fn close(&self);
}

impl Closes for Sender<u64> {
    fn close(&self) {
        Sender::close(self);
    }
}

impl Closes for Receiver<u64> {
    fn close(&self) {
        Receiver::close(self);
    }
}

pub(super) fn close_races() {
    let count = Shared::new([const { AtomicU64::new(0) }; 2]).unwrap();
    for round in 0..400u64 {
        let (mut sender, mut receiver) = channel::<u64>(1 + round as usize % 3).unwrap();
        count.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        let putting = Process::spawn(|| {
            let mut number = 0;
            while sender.put(number).is_ok() {
                number += 1;
            }
            assert_eq!(sender.put(0).unwrap_err().error, Error::Closed);
            count[0].store(number, Ordering::Relaxed);
        })
        .unwrap();
        let getting = Process::spawn(|| {
            let mut number = 0;
            loop {
                match receiver.get() {
                    Ok(got) => assert_eq!(got, number),
                    Err(error) => break assert_eq!(error, Error::Closed),
                }
                number += 1;
            }
            assert_eq!(receiver.get(), Err(Error::Closed));
            count[1].store(number, Ordering::Relaxed);
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(300 + 7 * round));
        receiver.close();
        join(putting);
        join(getting);
        let [put, got] = [0, 1].map(|at| count[at].load(Ordering::Relaxed));
        assert_eq!(put, got, "put and got, round {round}");
    }
}
