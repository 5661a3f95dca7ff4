//! Throughput: many messages, and the time from the common start to the last one's end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Queue, Shared};

use crate::line::{Carrier, Line};
use crate::support::{await_one_thread, together};

/// What each of the parties does: the first ones produce.
fn party(line: &impl Line, index: usize, each: u64, producers: usize, sum: &AtomicU64) {
    let mut seen = 0u64;
    if index < producers {
        let first = index as u64 * each;
        (first..first + each).for_each(|number| line.put(number));
    } else {
        (0..each).for_each(|_| seen = seen.wrapping_add(line.get()));
    }
    sum.fetch_add(seen, Ordering::Relaxed);
}

/// Million messages a second, from so many producers to as many consumers, each a process.
pub(crate) fn flow(line: &impl Line, pairs: usize, each: u64) -> f64 {
    let sum = Shared::new(AtomicU64::new(0)).expect("shared memory");
    let (_, taken) = together(2 * pairs, |index| {
        party(line, index, each, pairs, &sum);
        0
    });
    rate(pairs as u64 * each, sum.load(Ordering::Relaxed), taken)
}

/// As [`flow`], each a thread of one process.
pub(crate) fn flow_of_threads(line: &impl Line, pairs: usize, each: u64) -> f64 {
    let sum = AtomicU64::new(0);
    let start = std::sync::Barrier::new(2 * pairs + 1);
    let taken = std::thread::scope(|scope| {
        let (sum, start) = (&sum, &start);
        let parties: Vec<_> = (0..2 * pairs)
            .map(|index| {
                scope.spawn(move || {
                    start.wait();
                    party(line, index, each, pairs, sum);
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        parties.into_iter().for_each(|party| party.join().expect("no panic"));
        started.elapsed()
    });
    await_one_thread();
    rate(pairs as u64 * each, sum.into_inner(), taken)
}

fn rate(count: u64, sum: u64, taken: Duration) -> f64 {
    assert_eq!(sum, count * (count - 1) / 2, "a message was lost or doubled");
    count as f64 / taken.as_secs_f64() / 1e6
}

/// As [`flow`] from one to one, with messages of so many bytes.
pub(crate) fn flow_of_bytes(carrier: &impl Carrier, size: usize, count: u64) -> f64 {
    let sum = Shared::new(AtomicU64::new(0)).expect("shared memory");
    let (_, taken) = together(2, |index| {
        let mut message = vec![1; size];
        let mut seen = 0u64;
        for number in 0..count {
            if index == 0 {
                message[..8].copy_from_slice(&number.to_ne_bytes());
                carrier.send(&message);
            } else {
                carrier.receive(&mut message);
                seen = seen.wrapping_add(u64::from_ne_bytes(message[..8].try_into().expect("eight bytes")));
            }
        }
        sum.fetch_add(seen, Ordering::Relaxed);
        0
    });
    rate(count, sum.load(Ordering::Relaxed), taken)
}

/// As [`flow`] from one to one, in batches of so many, which are whole.
pub(crate) fn batches(queue: &Queue<u64>, size: usize, count: u64) -> f64 {
    let sum = Shared::new(AtomicU64::new(0)).expect("shared memory");
    let (_, taken) = together(2, |index| {
        let mut batch = vec![0; size];
        let (mut done, mut seen) = (0u64, 0u64);
        while done < count {
            let most = size.min((count - done) as usize);
            if index == 0 {
                batch.iter_mut().zip(done..).for_each(|(place, number)| *place = number);
                done += queue.put_many(&batch[..most]).expect("nobody closes it") as u64;
            } else {
                let got = queue.get_many(&mut batch[..most]).expect("nobody closes it");
                seen = batch[..got].iter().fold(seen, |seen, number| seen.wrapping_add(*number));
                done += got as u64;
            }
        }
        sum.fetch_add(seen, Ordering::Relaxed);
        0
    });
    rate(count, sum.load(Ordering::Relaxed), taken)
}
