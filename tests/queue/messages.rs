//! How many messages there are, which, in what order, and what is counted.

use std::time::Duration;

use forq::{ByteQueue, Error, Process, Queue};

use crate::people::join_all;
use crate::support::Random;

/// Where counts begin: at nought; before 32 bits of laps wrap, before their higher part changes, and before all of it wraps.
pub(crate) const LAPS: [(u32, u32); 5] =
    [(0, 0), (u32::MAX - 8, 1), ((1 << 31) - 9, 0), (u32::MAX - 8, u32::MAX), (0x7fff_fff7, u32::MAX - 1)];

pub(crate) fn exact_capacity() {
    for capacity in [1, 2, 3, 6, 1000] {
        for lap in LAPS {
            let queue = Queue::<u64>::new_at(capacity, lap).unwrap();
            assert_eq!(queue.capacity(), capacity);
            assert!(queue.is_empty());
            let mut next = 0;
            // Enough to pass every lap that begins near.
            for round in 0..20 {
                // From every place of the ring, not just from its first.
                for offset in 0..round % capacity {
                    queue.try_put(next + offset as u64).unwrap();
                    assert_eq!(queue.try_get(), Ok(next + offset as u64));
                }
                for count in 0..capacity {
                    assert_eq!(queue.len(), count, "capacity {capacity} from {lap:?}");
                    queue.try_put(next + count as u64).unwrap();
                }
                assert_eq!(queue.len(), capacity);
                let refused = queue.try_put(99).unwrap_err();
                assert_eq!((refused.message, refused.error), (99, Error::WouldBlock));
                assert_eq!(queue.put_timeout(7, Duration::from_nanos(1)).unwrap_err().error, Error::TimedOut);
                assert_eq!(queue.len(), capacity);
                for count in 0..capacity {
                    assert_eq!(queue.try_get(), Ok(next + count as u64));
                }
                assert_eq!(queue.try_get(), Err(Error::WouldBlock));
                next += capacity as u64;
            }
        }
    }
}

/// What counts stand for goes on where they wrap: lengths, statistics, tasks, and several processes.
pub(crate) fn wrapping() {
    for capacity in [1, 2, 3, 7] {
        for lap in LAPS {
            let queue = Queue::<u64>::new_at(capacity, lap).unwrap();
            let count = 40 * capacity as u64;
            let mut producer =
                Process::spawn(|| (0..count).for_each(|number| queue.put(number).unwrap())).unwrap();
            for number in 0..count {
                assert_eq!(queue.get(), Ok(number), "capacity {capacity} from {lap:?}");
                assert!(queue.len() <= capacity);
                let told = queue.statistics();
                assert_eq!(told.got, number + 1, "capacity {capacity} from {lap:?}");
                assert!((number + 1..=number + 1 + capacity as u64).contains(&told.put));
                assert!(queue.join_timeout(Duration::ZERO).is_err());
                queue.task_done().unwrap();
            }
            assert!(producer.join().unwrap().success());
            assert_eq!(queue.join_timeout(Duration::ZERO), Ok(()), "capacity {capacity} from {lap:?}");
            assert_eq!(queue.task_done(), Err(Error::Overflow));
            assert_eq!((queue.len(), queue.statistics().put), (0, count));
        }
    }
}

pub(crate) fn large_capacity() {
    const CAPACITY: usize = 1 << 20;
    let queue = Queue::<u64>::new_at(CAPACITY, (u32::MAX, u32::MAX)).unwrap();
    for round in 0..2 {
        let mut next = round;
        let batch: Vec<u64> = (0..1000).collect();
        while queue.len() < CAPACITY {
            let count = queue.put_many_timeout(&batch, Duration::ZERO).unwrap();
            next += count as u64;
        }
        assert_eq!(next - round, CAPACITY as u64);
        assert_eq!(queue.try_put(0).unwrap_err().error, Error::WouldBlock);
        let mut messages = [0; 4096];
        let (mut expected, mut left) = (0, CAPACITY);
        while left > 0 {
            let count = queue.get_many(&mut messages).unwrap();
            for &message in &messages[..count] {
                assert_eq!(message, expected);
                expected = (expected + 1) % 1000;
            }
            left -= count;
        }
        assert!(queue.is_empty());
    }
}

pub(crate) fn refused_arguments() {
    assert_eq!(Queue::<u64>::new(0).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Queue::<()>::new(1).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Queue::<u64>::new(usize::MAX).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Queue::<u64>::new((1 << 31) + 1).unwrap_err(), Error::InvalidArgument);
    for (capacity, size) in
        [(0, 0), (0, 8), (8, 0), (usize::MAX, 1), (1, usize::MAX), (1 << 31, u32::MAX as usize), (1, 1 << 32)]
    {
        assert_eq!(ByteQueue::new(capacity, size).unwrap_err(), Error::InvalidArgument, "{capacity} {size}");
        assert_eq!(ByteQueue::required_size(capacity, size), 0);
    }
    assert!(ByteQueue::required_size(3, 8) >= 3 * 16);
}

/// A message of so many bytes, different at every place and for every seed.
pub(crate) fn pattern(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9));
    (0..size).map(|_| random.below(256) as u8).collect()
}

pub(crate) fn sizes() {
    const MEBIBYTE: usize = 1 << 20;
    for (limit, lengths) in [
        (1, &[0, 1, 0, 1][..]),
        (7, &[0, 7, 1, 6]),
        (8, &[8, 0, 1, 7, 8]),
        (64, &[64, 0, 63, 8]),
        (4096, &[4096, 0, 1, 7, 8, 64, 4095]),
        (MEBIBYTE, &[MEBIBYTE, 0, 1, 4096, MEBIBYTE - 1]),
    ] {
        for capacity in [1, 2, 3] {
            let queue = ByteQueue::new_at(capacity, limit, (u32::MAX - 1, u32::MAX)).unwrap();
            assert_eq!(queue.message_size(), limit);
            let mut buffer = vec![0xAA; limit];
            for (index, round) in lengths.windows(capacity).enumerate() {
                for &length in round {
                    queue.try_put(&pattern(length, index as u64)).unwrap();
                }
                assert_eq!(queue.try_put(&[]), Err(Error::WouldBlock));
                for &length in round {
                    buffer.fill(0xAA);
                    assert_eq!(queue.try_get(&mut buffer), Ok(length));
                    assert_eq!(buffer[..length], pattern(length, index as u64), "{length} of {limit}");
                    assert!(
                        buffer[length..].iter().all(|&byte| byte == 0xAA),
                        "nothing beside it is written"
                    );
                }
            }
        }
    }
}

pub(crate) fn too_large() {
    let queue = ByteQueue::new(2, 8).unwrap();
    assert_eq!(queue.put(&[0; 9]), Err(Error::MessageSize));
    assert_eq!(queue.try_put(&[0; 4096]), Err(Error::MessageSize));
    queue.put(b"12345678").unwrap();
    queue.put(b"").unwrap();
    // A full queue refuses what never fits as that, and at once.
    assert_eq!(queue.put(&[0; 9]), Err(Error::MessageSize));
    let mut small = [0xAA; 7];
    for _ in 0..3 {
        assert_eq!(queue.get(&mut small), Err(Error::MessageSize));
        assert_eq!(queue.try_get(&mut []), Err(Error::MessageSize));
        assert_eq!(queue.get_timeout(&mut small, Duration::from_millis(1)), Err(Error::MessageSize));
    }
    assert_eq!((small, queue.len()), ([0xAA; 7], 2), "nothing was touched");
    let mut buffer = [0; 8];
    assert_eq!(queue.get(&mut buffer), Ok(8));
    assert_eq!((&buffer, queue.get(&mut [])), (b"12345678", Ok(0)));
    assert_eq!(queue.statistics().got, 2);
    assert_eq!(queue.statistics().lost, 0);
}

pub(crate) fn order() {
    for (capacity, producers) in [(1, 1), (3, 2), (64, 4)] {
        const EACH: u64 = 20_000;
        let queue = Queue::<[u64; 2]>::new(capacity).unwrap();
        let children = (0..producers)
            .map(|producer| {
                let queue = &queue;
                Process::spawn(move || (0..EACH).for_each(|number| queue.put([producer, number]).unwrap()))
                    .unwrap()
            })
            .collect();
        let mut next = vec![0; producers as usize];
        for _ in 0..producers * EACH {
            let [producer, number] = queue.get().unwrap();
            assert_eq!(number, next[producer as usize], "capacity {capacity}");
            next[producer as usize] += 1;
        }
        join_all(children);
        assert!(queue.is_empty());
    }
}

pub(crate) fn crowd() {
    const PRODUCERS: u64 = 3;
    const CONSUMERS: u64 = 5;
    const EACH: u64 = 40_000;
    let numbers = PRODUCERS * EACH;
    for (capacity, lap) in [(1, LAPS[1]), (3, LAPS[3]), (1000, LAPS[0])] {
        let queue = Queue::<u64>::new_at(capacity, lap).unwrap();
        let sums = Queue::<[u64; 3]>::new(CONSUMERS as usize).unwrap();
        let mut children: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue = &queue;
                Process::spawn(move || {
                    for number in 0..EACH {
                        queue.put(1 + producer * EACH + number).unwrap();
                    }
                })
                .unwrap()
            })
            .collect();
        let consumers = (0..CONSUMERS)
            .map(|_| {
                Process::spawn(|| {
                    let (mut count, mut sum, mut squares) = (0, 0u64, 0u64);
                    while let Ok(number) = queue.get() {
                        count += 1;
                        sum += number;
                        squares += number * number;
                    }
                    sums.put([count, sum, squares]).unwrap();
                })
                .unwrap()
            })
            .collect();
        for child in &mut children {
            assert!(child.join().unwrap().success());
        }
        queue.close();
        join_all(consumers);
        let (mut count, mut sum, mut squares) = (0, 0, 0);
        while let Ok(part) = sums.try_get() {
            count += part[0];
            sum += part[1];
            squares += part[2];
        }
        assert_eq!(count, numbers);
        assert_eq!(sum, numbers * (numbers + 1) / 2);
        assert_eq!(squares, numbers * (numbers + 1) * (2 * numbers + 1) / 6);
        assert_eq!((queue.statistics().put, queue.statistics().got), (numbers, numbers));
        assert_eq!(queue.statistics().lost, 0);
    }
}

/// Bytes that all follow from the first ones.
pub(crate) fn torn() {
    const SIZE: usize = 64 << 10;
    let queue = ByteQueue::new(3, SIZE).unwrap();
    let producers = (0..2u64)
        .map(|producer| {
            let queue = &queue;
            Process::spawn(move || {
                let mut random = Random(producer + 1);
                for round in 0..300 {
                    let byte = (2 * round + producer) as u8;
                    queue.put(&vec![byte; 1 + random.below(SIZE as u64) as usize]).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    let consumers = (0..2)
        .map(|_| {
            Process::spawn(|| {
                let mut buffer = vec![0; SIZE];
                while let Ok(length) = queue.get(&mut buffer) {
                    assert!(length > 0 && buffer[..length].iter().all(|&byte| byte == buffer[0]));
                }
            })
            .unwrap()
        })
        .collect();
    join_all(producers);
    queue.close();
    join_all(consumers);
    assert_eq!(queue.statistics().got, 600);
}

pub(crate) fn batches() {
    for lap in LAPS {
        let queue = Queue::<u64>::new_at(5, lap).unwrap();
        let mut buffer = [0; 16];
        for _ in 0..10 {
            assert_eq!(queue.put_many(&[]), Ok(0));
            assert_eq!(queue.get_many(&mut []), Ok(0));
            assert_eq!(queue.put_many(&[1, 2, 3]), Ok(3));
            assert_eq!(
                queue.put_many_timeout(&[4, 5, 6, 7], Duration::ZERO),
                Ok(2),
                "as many as there is room for"
            );
            assert_eq!(queue.put_many_timeout(&[6], Duration::ZERO), Err(Error::WouldBlock));
            assert_eq!(queue.put_many_timeout(&[6], Duration::from_nanos(1)), Err(Error::TimedOut));
            assert_eq!(queue.get_many(&mut buffer[..2]), Ok(2));
            assert_eq!(queue.get_many(&mut buffer[2..]), Ok(3));
            assert_eq!(buffer[..5], [1, 2, 3, 4, 5]);
            assert_eq!(queue.get_many_timeout(&mut buffer, Duration::ZERO), Err(Error::WouldBlock));
            assert_eq!(queue.get_many_timeout(&mut buffer, Duration::from_nanos(1)), Err(Error::TimedOut));
        }
        assert_eq!((queue.statistics().put, queue.statistics().got), (50, 50));
    }
}

pub(crate) fn waiting_batches() {
    const COUNT: u64 = 10_000;
    for (capacity, put_size, get_size) in [(1, 7, 3), (4, 64, 64), (100, 3, 1000)] {
        let queue = Queue::<u64>::new_at(capacity, LAPS[3]).unwrap();
        let mut producer = Process::spawn(|| {
            let numbers: Vec<_> = (0..COUNT).collect();
            for batch in numbers.chunks(put_size) {
                assert_eq!(queue.put_many(batch), Ok(batch.len()));
            }
        })
        .unwrap();
        let mut buffer = vec![0; get_size];
        let mut next = 0;
        while next < COUNT {
            let count = queue.get_many(&mut buffer).unwrap();
            assert!((1..=get_size.min(capacity * 2 + put_size)).contains(&count) || count <= get_size);
            for &number in &buffer[..count] {
                assert_eq!(number, next);
                next += 1;
            }
        }
        assert!(producer.join().unwrap().success());
    }
    // A time limit that ends in the middle tells how many there are.
    let queue = Queue::<u64>::new(2).unwrap();
    let started = std::time::Instant::now();
    assert_eq!(queue.put_many_timeout(&[1, 2, 3], Duration::from_millis(30)), Ok(2));
    assert!(started.elapsed() >= Duration::from_millis(30));
}

pub(crate) fn unmixed_batches() {
    const SIZE: usize = 10;
    const ROUNDS: u64 = 500;
    // Room for all, so that nobody waits.
    let queue = Queue::<[u64; 2]>::new(4 * SIZE * ROUNDS as usize).unwrap();
    let producers = (0..4)
        .map(|producer| {
            let queue = &queue;
            Process::spawn(move || {
                for round in 0..ROUNDS {
                    let batch: Vec<_> =
                        (0..SIZE as u64).map(|place| [producer, round * SIZE as u64 + place]).collect();
                    assert_eq!(queue.put_many(&batch), Ok(SIZE));
                }
            })
            .unwrap()
        })
        .collect();
    join_all(producers);
    let mut next = [0; 4];
    let mut batch = [[0; 2]; SIZE];
    for _ in 0..4 * ROUNDS {
        assert_eq!(queue.get_many(&mut batch), Ok(SIZE));
        let producer = batch[0][0];
        for message in batch {
            assert_eq!(message, [producer, next[producer as usize]]);
            next[producer as usize] += 1;
        }
    }
    assert!(queue.is_empty());
}

pub(crate) fn statistics() {
    let queue = Queue::<u64>::new(2).unwrap();
    let told = |queue: &Queue<u64>| {
        let told = queue.statistics();
        [told.put, told.got, told.lost, told.full_waits, told.empty_waits]
    };
    assert_eq!(told(&queue), [0; 5]);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    assert_eq!(told(&queue), [2, 0, 0, 0, 0]);
    // Who does not wait is not counted as waiting.
    assert!(queue.try_put(3).is_err());
    assert_eq!(told(&queue), [2, 0, 0, 0, 0]);
    assert!(queue.put_timeout(3, Duration::from_millis(1)).is_err());
    assert_eq!(told(&queue), [2, 0, 0, 1, 0]);
    assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
    assert!(queue.try_get().is_err());
    assert!(queue.get_timeout(Duration::from_millis(1)).is_err());
    assert!(queue.get_timeout(Duration::from_millis(1)).is_err());
    assert_eq!(told(&queue), [2, 2, 0, 1, 2]);
    queue.close();
    assert!(queue.put(4).is_err());
    assert!(queue.get().is_err());
    assert_eq!(told(&queue)[..3], [2, 2, 0]);
}
