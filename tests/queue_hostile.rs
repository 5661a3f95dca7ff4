//! A stranger writes anything anywhere into a queue while it is used: calls fail, and nothing else happens. No call
//! reads or writes beside the queue or the caller's buffers, or goes on for ever.
//!
//! `FORQ_SECONDS` sets for how long, in all (3 unless given). `verification/hostile.sh` runs it under AddressSanitizer.

#[path = "support/siege.rs"]
mod siege;
mod support;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use forq::{ByteQueue, Error, Queue};
use siege::{CANARY, PATIENCE, Watch};
use support::Random;

fn main() {
    support::run(&[
        ("a_stranger_who_writes_into_a_queue_of_values_only_makes_calls_fail", || besiege(4, 8, 0)),
        ("a_stranger_who_writes_into_a_queue_of_one_only_makes_calls_fail", || besiege(1, 56, 1)),
        ("a_stranger_who_writes_into_a_queue_of_large_messages_only_makes_calls_fail", || {
            besiege(2, 4088, 2)
        }),
    ]);
}

/// Shared memory that ends where a page ends which nobody may touch, and begins behind one.
struct Fenced {
    start: NonNull<u8>,
    size: usize,
}

impl Fenced {
    fn new(size: usize) -> Self {
        const PAGE: usize = 4096;
        let pages = size.next_multiple_of(PAGE);
        assert_eq!(size % 64, 0, "a queue that ends at the page's end");
        // SAFETY: a new mapping; then its middle is opened.
        let start = unsafe {
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), pages + 2 * PAGE, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let middle = start.cast::<u8>().add(PAGE);
            assert_eq!(libc::mprotect(middle.cast(), pages, libc::PROT_READ | libc::PROT_WRITE), 0);
            middle.add(pages - size)
        };
        Self { start: NonNull::new(start).unwrap(), size }
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped for good; all access is atomic here.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.size / 8) }
    }

    fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.size / 4) }
    }
}

/// Writes until it is told to stop. `fresh`: what a good queue looks like.
fn scribble(memory: &Fenced, fresh: &[u64], tids: &[u32], watch: &Watch, mut random: Random) {
    // Most of it hits the head and the slots' words, where something depends on it.
    let words = memory.words();
    let head = 48.min(words.len()) as u64;
    while !watch.is_over() {
        let place =
            if random.below(4) == 0 { random.below(words.len() as u64) } else { random.below(head) } as usize;
        let any = random.below(1 << 31) << 33 ^ random.below(1 << 31) << 8 ^ random.below(256);
        match random.below(12) {
            0 => words[place].store(any, Ordering::Relaxed),
            1 => words[place].store(any >> random.below(64), Ordering::Relaxed),
            2 => words[place].store([0, u64::MAX, 1, 1 << 63][random.below(4) as usize], Ordering::Relaxed),
            3 => drop(words[place].fetch_xor(1 << random.below(64), Ordering::Relaxed)),
            4 => drop(words[place].fetch_add(random.below(3).wrapping_sub(1), Ordering::Relaxed)),
            5 => {
                let other = words[random.below(words.len() as u64) as usize].load(Ordering::Relaxed);
                words[place].store(other, Ordering::Relaxed);
            }
            6 => {
                // That somebody holds a side, dead or alive.
                let tid = tids[random.below(tids.len() as u64) as usize] + random.below(2) as u32;
                memory.halves()[2 * place + random.below(2) as usize].store(tid, Ordering::Relaxed);
            }
            7 => memory.halves()[2 * place + random.below(2) as usize].store(any as u32, Ordering::Relaxed),
            // As it was, so that calls go well for a while.
            _ => {
                for (word, &value) in words.iter().zip(fresh) {
                    word.store(value, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_micros(random.below(400)));
            }
        }
        // Long enough for somebody to see it.
        for _ in 0..random.below(200) {
            std::hint::spin_loop();
        }
    }
}

/// Calls everything at random, and believes nothing.
fn use_queue(memory: &Fenced, queue: &ByteQueue, watch: &Watch, index: usize, mut random: Random) {
    let (capacity, limit) = (queue.capacity(), queue.message_size());
    while !watch.is_over() {
        let message = vec![7; random.below(limit as u64 + 3) as usize];
        let room = random.below(limit as u64 + 3) as usize;
        let mut buffer = vec![CANARY; room + 32];
        let got = match random.below(12) {
            0 => queue.try_put(&message).map(|()| 0),
            1 | 2 => queue.put_timeout(&message, PATIENCE).map(|()| 0),
            3 => queue.try_get(&mut buffer[..room]),
            4 | 5 => queue.get_timeout(&mut buffer[..room], PATIENCE),
            6 => queue.task_done().map(|()| 0),
            7 => queue.join_timeout(PATIENCE).map(|()| 0),
            8 => {
                assert!(queue.len() <= capacity);
                let _ = (queue.statistics(), queue.is_closed());
                Ok(0)
            }
            9 if random.below(10) == 0 => {
                queue.close();
                Ok(0)
            }
            // SAFETY: mapped for good, and a queue, whatever its bytes.
            10 => match unsafe { ByteQueue::find_in(memory.start, memory.size) } {
                Ok(found) => {
                    assert!(ByteQueue::required_size(found.capacity(), found.message_size()) <= memory.size);
                    let mut large = vec![0; found.message_size()];
                    let _ = (found.put_timeout(&[1], PATIENCE), found.len());
                    found.get_timeout(&mut large, PATIENCE).map(|_| 0)
                }
                Err(error) => Err(error),
            },
            // SAFETY: as above.
            _ => match unsafe { Queue::<u64>::find_in(memory.start, memory.size) } {
                Ok(found) => {
                    let mut batch = [0; 9];
                    let _ = found.put_many_timeout(&batch, PATIENCE);
                    found.get_many_timeout(&mut batch, PATIENCE).map(|count| {
                        assert!(count <= 9);
                        0
                    })
                }
                Err(error) => Err(error),
            },
        };
        assert!(buffer[room..].iter().all(|&byte| byte == CANARY), "more was written than there is room for");
        if let Ok(length) = got {
            assert!(length <= room && length <= limit);
        }
        let expected = |error| {
            matches!(
                error,
                Error::WouldBlock
                    | Error::TimedOut
                    | Error::Closed
                    | Error::MessageSize
                    | Error::Protocol
                    | Error::Overflow
                    | Error::Deadlock
            )
        };
        watch.note(index, got.map(drop), expected);
    }
}

fn besiege(capacity: usize, message_size: usize, seed: u64) {
    let memory = Fenced::new(ByteQueue::required_size(capacity, message_size));
    // SAFETY: mapped for good, and used by nobody yet.
    let queue = unsafe { ByteQueue::make_in(memory.start, memory.size, capacity, message_size) }.unwrap();
    let fresh: Vec<_> = memory.words().iter().map(|word| word.load(Ordering::Relaxed)).collect();
    siege::besiege(
        seed,
        |watch, index, random| use_queue(&memory, &queue, watch, index, random),
        |watch, tids, random| scribble(&memory, &fresh, tids, watch, random),
    );
}
