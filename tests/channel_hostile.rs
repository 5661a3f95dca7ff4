//! A stranger writes anything anywhere into a channel while it is used: calls fail, and nothing else happens. No call
//! reads or writes beside the channel or the caller's buffers, or goes on for ever.
//!
//! `FORQ_SECONDS` sets for how long, in all (3 unless given). `verification/hostile.sh` runs it under AddressSanitizer.

#[path = "support/siege.rs"]
mod siege;
mod support;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{ByteReceiver, ByteSender, Error, Receiver, Sender};
use siege::{CANARY, PATIENCE, Watch};
use support::Random;

/// Of the tests' channels: they end where a page ends, behind which nobody may touch anything.
const PAGE: usize = 4096;

fn main() {
    support::run(&[
        ("a_stranger_who_writes_into_a_channel_of_messages_only_makes_calls_fail", || {
            besiege(|| Ends::bytes(8, 424), 0)
        }),
        ("a_stranger_who_writes_into_a_channel_of_short_messages_only_makes_calls_fail", || {
            besiege(|| Ends::bytes(384, 8), 1)
        }),
        ("a_stranger_who_writes_into_a_channel_of_one_value_only_makes_calls_fail", || {
            besiege(Ends::values, 2)
        }),
    ]);
}

/// Words of the head: of both sides, before the slots.
const HEAD: u64 = 640 / 8;
/// Where the consumer's position stands, and whose the sides are.
const CONSUMER: usize = 128 / 8;
const OWNERS: [usize; 2] = [528 / 8, 536 / 8];

type Large = [u64; 432];

enum Ends {
    Bytes(ByteSender, ByteReceiver),
    Values(Sender<Large>, Receiver<Large>),
}

impl Ends {
    fn bytes(capacity: usize, message_size: usize) -> Self {
        let (sender, receiver) = forq::byte_channel(capacity, message_size).unwrap();
        Self::Bytes(sender, receiver)
    }

    fn values() -> Self {
        let (sender, receiver) = forq::channel(1).unwrap();
        Self::Values(sender, receiver)
    }

    fn memory(&self) -> *mut [u8] {
        match self {
            Self::Bytes(sender, _) => sender.__memory(),
            Self::Values(sender, _) => sender.__memory(),
        }
    }

    fn words(&self) -> &[AtomicU64] {
        let memory = self.memory();
        // SAFETY: mapped as long as the ends; all access is atomic here.
        unsafe { std::slice::from_raw_parts(memory.cast(), memory.len() / 8) }
    }

    fn capacity(&self) -> u64 {
        let capacity = match self {
            Self::Bytes(sender, _) => sender.capacity(),
            Self::Values(sender, _) => sender.capacity(),
        };
        capacity as u64
    }

    /// Makes a channel right below a page that nobody may touch.
    fn fenced(make: impl Fn() -> Self) -> Self {
        let mut others = Vec::new();
        for _ in 0..1000 {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping.
            let fence = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_NONE, flags, -1, 0) };
            assert_ne!(fence, libc::MAP_FAILED);
            let ends = make();
            assert_eq!(ends.memory().len() % PAGE, 0, "it ends with its page");
            // The kernel puts new mappings below earlier ones, once there are no holes.
            if ends.memory().addr() + ends.memory().len() == fence.addr() {
                return ends;
            }
            others.push(ends);
        }
        panic!("no channel came to lie below a fence");
    }
}

/// Writes until it is told to stop. `fresh`: what a good channel looks like.
fn scribble(ends: &Ends, fresh: &[u64], pids: &[u32], watch: &Watch, mut random: Random) {
    let (words, capacity) = (ends.words(), ends.capacity());
    // Of the longest sizes in these tests: a byte each for 384, or a word each for 8.
    let sizes = if capacity == 8 { 8 } else { 48 };
    while !watch.is_over() {
        // Most of it hits the head, and sizes behind the slots, where something depends on it.
        let place = match random.below(8) {
            0 => random.below(words.len() as u64),
            1 => words.len() as u64 - 1 - random.below(sizes),
            _ => random.below(HEAD),
        } as usize;
        let any = random.below(1 << 31) << 33 ^ random.below(1 << 31) << 8 ^ random.below(256);
        let word = &words[place];
        match random.below(12) {
            0 => word.store(any, Ordering::Relaxed),
            1 => word.store(any >> random.below(64), Ordering::Relaxed),
            2 => word.store([0, u64::MAX, 1, 1 << 63][random.below(4) as usize], Ordering::Relaxed),
            3 => drop(word.fetch_xor(1 << random.below(64), Ordering::Relaxed)),
            4 => drop(word.fetch_add(random.below(3).wrapping_sub(1), Ordering::Relaxed)),
            5 => {
                let other = words[random.below(HEAD) as usize].load(Ordering::Relaxed);
                word.store(other, Ordering::Relaxed);
            }
            // That somebody has a side, dead or alive; a place near the ends of the laps.
            6 => {
                let pid = u64::from(pids[random.below(pids.len() as u64) as usize]) + random.below(2);
                word.store(pid | random.below(4) << 62, Ordering::Relaxed);
            }
            7 => word.store(random.below(3) << 32 | random.below(400), Ordering::Relaxed),
            // Messages of any size, and sides that stand anywhere, a little apart.
            8 => {
                for word in &words[words.len() - sizes as usize..] {
                    let size = random.below(1000);
                    word.store(
                        if capacity == 8 { size } else { size.wrapping_mul(0x0101_0101_0101_0101) },
                        Ordering::Relaxed,
                    );
                }
                let place = random.below(capacity + 1);
                words[CONSUMER].store(place, Ordering::Relaxed);
                words[0].store(place + random.below(4), Ordering::Relaxed);
                for owner in OWNERS {
                    words[owner].store(0, Ordering::Relaxed);
                }
            }
            // As it was, so that calls go well for a while.
            _ => {
                for (word, &value) in words.iter().zip(fresh).take(HEAD as usize) {
                    word.store(value, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_micros(random.below(400)));
            }
        }
        // Long enough for somebody to see it.
        for _ in 0..random.below(1000) {
            std::hint::spin_loop();
        }
    }
}

/// One call of a channel of messages, at random; how long the message is that it got.
fn use_bytes(
    sender: &mut ByteSender,
    receiver: &mut ByteReceiver,
    buffer: &mut [u8],
    random: &mut Random,
) -> Result<usize, Error> {
    let limit = sender.message_size();
    let message = vec![7; random.below(limit as u64 + 3) as usize];
    match random.below(12) {
        0 => sender.try_put(&message).map(|()| 0),
        1 | 2 => sender.put_timeout(&message, PATIENCE).map(|()| 0),
        3 => receiver.try_get(buffer),
        4 | 5 => receiver.get_timeout(buffer, PATIENCE),
        6 | 7 => sender.reserve_timeout(PATIENCE).and_then(|mut slot| {
            assert_eq!(slot.size(), limit);
            let size = message.len().min(limit);
            slot.write(limit - size, &message[..size])?;
            slot.commit(message.len()).map(|()| 0)
        }),
        8 | 9 => receiver.peek_timeout(PATIENCE).and_then(|message| {
            assert!(message.len() <= limit);
            assert_eq!(message.to_vec().len(), message.len());
            let size = message.len().min(buffer.len());
            message.read(message.len() - size, &mut buffer[..size])?;
            message.release();
            Ok(size)
        }),
        10 => {
            assert!(sender.len() <= sender.capacity());
            let _ = receiver.is_closed();
            Ok(0)
        }
        _ if random.below(10) == 0 => {
            receiver.close();
            Ok(0)
        }
        _ => Ok(0),
    }
}

fn use_values(
    sender: &mut Sender<Large>,
    receiver: &mut Receiver<Large>,
    random: &mut Random,
) -> Result<usize, Error> {
    let value = [random.below(1 << 31); 432];
    match random.below(8) {
        0 => sender.try_put(value).map_err(Error::from)?,
        1 | 2 => sender.put_timeout(value, PATIENCE).map_err(Error::from)?,
        3 => drop(receiver.try_get()?),
        4 | 5 => drop(receiver.get_timeout(PATIENCE)?),
        6 => assert!(sender.len() <= sender.capacity()),
        _ if random.below(10) == 0 => sender.close(),
        _ => {}
    }
    Ok(0)
}

/// Calls everything at random, and believes nothing.
fn use_channel(ends: &mut Ends, watch: &Watch, index: usize, mut random: Random) {
    while !watch.is_over() {
        let room = random.below(430) as usize;
        let mut buffer = vec![CANARY; room + 32];
        let got = match ends {
            Ends::Bytes(sender, receiver) => use_bytes(sender, receiver, &mut buffer[..room], &mut random),
            Ends::Values(sender, receiver) => use_values(sender, receiver, &mut random),
        };
        assert!(buffer[room..].iter().all(|&byte| byte == CANARY), "more was written than there is room for");
        if let Ok(length) = got {
            assert!(length <= room);
        }
        // The last two: of a slot that was lent, and is another's by now.
        let expected = |error| {
            matches!(
                error,
                Error::WouldBlock
                    | Error::TimedOut
                    | Error::Closed
                    | Error::MessageSize
                    | Error::Protocol
                    | Error::Disconnected
                    | Error::NotPermitted
                    | Error::InvalidArgument
            )
        };
        watch.note(index, got.map(drop), expected);
    }
}

fn besiege(make: impl Fn() -> Ends, seed: u64) {
    let ends = RefCell::new(Ends::fenced(make));
    let fresh: Vec<_> = ends.borrow().words().iter().map(|word| word.load(Ordering::Relaxed)).collect();
    siege::besiege(
        seed,
        // The ends are its own: a fork copies them.
        |watch, index, random| use_channel(&mut ends.borrow_mut(), watch, index, random),
        |watch, pids, random| scribble(&ends.borrow(), &fresh, pids, watch, random),
    );
}
