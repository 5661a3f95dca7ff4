//! Latency: what one message takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Queue, Shared};

use crate::line::Line;
use crate::support::{median, now, pin, together};

/// Nanoseconds one way between two that are awake: half of there and back.
pub(crate) fn awake(there: &impl Line, back: &impl Line, trips: u64) -> f64 {
    let nanos = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(2, |index| {
        pin(index);
        let started = Instant::now();
        for number in 0..trips {
            if index == 0 {
                there.put(number);
                assert_eq!(back.get(), number);
            } else {
                back.put(there.get());
            }
        }
        if index == 0 {
            nanos.store(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        0
    });
    nanos.load(Ordering::Relaxed) as f64 / trips as f64 / 2.0
}

/// Nanoseconds from a put to the end of a get that slept, the median of so many.
pub(crate) fn asleep(line: &impl Line, messages: usize) -> f64 {
    let middle = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(2, |index| {
        pin(index);
        let mut taken = Vec::with_capacity(messages);
        for _ in 0..messages {
            if index == 0 {
                // Far longer than anybody spins.
                std::thread::sleep(Duration::from_micros(300));
                line.put(now());
            } else {
                let sent = line.get();
                taken.push((now() - sent) as f64);
            }
        }
        if index == 1 {
            middle.store(median(&taken) as u64, Ordering::Relaxed);
        }
        0
    });
    middle.load(Ordering::Relaxed) as f64
}

/// Nanoseconds that a put takes while so many consumers sleep, the median of so many.
pub(crate) fn put_to_idle(queue: &Queue<u64>, consumers: usize, messages: usize) -> f64 {
    let middle = Shared::new(AtomicU64::new(0)).expect("shared memory");
    together(1 + consumers, |index| {
        if index > 0 {
            while queue.get().expect("nobody closes it") != 0 {}
            return 0;
        }
        let mut taken = Vec::with_capacity(messages);
        for _ in 0..messages {
            std::thread::sleep(Duration::from_micros(500));
            let before = now();
            queue.put(before).expect("nobody closes it");
            taken.push((now() - before) as f64);
        }
        for _ in 0..consumers {
            queue.put(0).expect("nobody closes it");
        }
        middle.store(median(&taken) as u64, Ordering::Relaxed);
        0
    });
    middle.load(Ordering::Relaxed) as f64
}
