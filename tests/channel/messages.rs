//! What goes through: capacity, order, sizes, in place.

use std::time::Duration;

use forq::{__byte_channel_in_lap as byte_channel_in_lap, __channel_in_lap as channel_in_lap};
use forq::{Error, Process, Sender};
use forq::{byte_channel, channel};

use super::MOMENT;
use super::common::join;

pub(super) fn refused_arguments() {
    let refused = |capacity, size| byte_channel(capacity, size).err() == Some(Error::InvalidArgument);
    assert!(refused(0, 8) && refused(8, 0) && refused(0, 0));
    assert!(refused(usize::MAX, 8) && refused(8, usize::MAX) && refused(1 << 32, 1));
    assert!(refused(u32::MAX as usize, usize::MAX / 2) && refused(2, isize::MAX as usize));
    assert_eq!(channel::<u64>(0).err(), Some(Error::InvalidArgument));
    assert_eq!(channel::<[u64; 0]>(8).err(), Some(Error::InvalidArgument));
    assert_eq!(byte_channel(1 << 31, 1 << 31).err(), Some(Error::OutOfMemory));
    assert!(byte_channel(1, 1).is_ok());
}

pub(super) fn exact_capacity() {
    for capacity in [1, 2, 3, 6, 1000] {
        let (mut sender, mut receiver) = channel::<u64>(capacity).unwrap();
        assert_eq!((sender.capacity(), receiver.capacity()), (capacity, capacity));
        let (mut put, mut got) = (0, 0);
        for round in 0..2 * capacity as u64 + 1 {
            while sender.len() < capacity {
                sender.try_put(put).unwrap();
                put += 1;
            }
            let refused = sender.try_put(put).unwrap_err();
            assert_eq!((refused.error, refused.message), (Error::WouldBlock, put));
            let refused = sender.put_timeout(put, Duration::from_micros(10)).unwrap_err();
            assert_eq!((refused.error, refused.message), (Error::TimedOut, put));
            for _ in 0..=round % capacity as u64 {
                assert_eq!(receiver.try_get(), Ok(got));
                got += 1;
            }
            assert_eq!(receiver.len() as u64, put - got);
        }
        while got < put {
            assert_eq!(receiver.get(), Ok(got));
            got += 1;
        }
        assert!(sender.is_empty() && receiver.is_empty());
        assert_eq!(receiver.try_get(), Err(Error::WouldBlock));
    }
}

/// A child that puts the numbers below `count`.
pub(super) fn producer(sender: &mut Sender<u64>, count: u64) -> Process {
    Process::spawn(|| (0..count).for_each(|number| sender.put(number).unwrap())).unwrap()
}

pub(super) fn order() {
    for capacity in [1, 2, 3, 1000] {
        // As a number the position is its lap times 2^32: near the end of 64 bits, too.
        for lap in [0, u32::MAX - 8, u32::MAX] {
            let (mut sender, mut receiver) = channel_in_lap::<u64>(capacity, lap).unwrap();
            let count = 20 * capacity as u64 + 500;
            let child = producer(&mut sender, count);
            for number in 0..count {
                assert_eq!(receiver.get(), Ok(number), "{capacity} {lap}");
            }
            join(child);
            assert!(receiver.is_empty());
        }
    }
}

pub(super) fn a_million() {
    const CAPACITY: usize = 1 << 20;
    let (mut sender, mut receiver) = channel_in_lap::<u64>(CAPACITY, u32::MAX).unwrap();
    for number in 0..CAPACITY as u64 {
        sender.try_put(number).unwrap();
    }
    assert_eq!(sender.try_put(0).unwrap_err().error, Error::WouldBlock);
    assert_eq!(receiver.len(), CAPACITY);
    for number in 0..CAPACITY as u64 {
        assert_eq!(receiver.try_get(), Ok(number));
    }
    let child = producer(&mut sender, 3 * CAPACITY as u64);
    // The child takes the side over, since we are in no call.
    assert!((0..3 * CAPACITY as u64).all(|number| receiver.get() == Ok(number)));
    join(child);
}

/// Bytes that tell their message and their place.
fn pattern(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + number * 13 + (at >> 8)) as u8).collect()
}

pub(super) fn sizes() {
    const SIZES: [usize; 7] = [0, 1, 7, 8, 64, 4096, 1 << 20];
    for largest in SIZES.into_iter().filter(|&size| size > 0) {
        let (mut sender, mut receiver) = byte_channel_in_lap(3, largest, u32::MAX - 1).unwrap();
        assert_eq!((sender.message_size(), receiver.message_size()), (largest, largest));
        assert_eq!(sender.put(&vec![0; largest + 1]), Err(Error::MessageSize));
        let fitting: Vec<usize> = SIZES
            .into_iter()
            .chain([2, 3, 5, 15, 16, 17, 255, 256])
            .filter(|&size| size <= largest)
            .collect();
        let child = Process::spawn(|| {
            for (number, &size) in fitting.iter().cycle().take(3 * fitting.len()).enumerate() {
                sender.put(&pattern(number, size)).unwrap();
            }
        })
        .unwrap();
        let mut buffer = vec![0; largest];
        for (number, &size) in fitting.iter().cycle().take(3 * fitting.len()).enumerate() {
            assert_eq!(receiver.get(&mut buffer), Ok(size));
            assert!(buffer[..size] == pattern(number, size), "{number} of {size} in {largest}");
        }
        join(child);
    }
}

pub(super) fn empty_message() {
    let (mut sender, mut receiver) = byte_channel(2, 4).unwrap();
    sender.put(&[]).unwrap();
    sender.put(&[1]).unwrap();
    let message = receiver.peek().unwrap();
    assert_eq!((message.is_empty(), message.len()), (true, 0));
    drop(message);
    assert_eq!(receiver.get(&mut []), Ok(0));
    assert_eq!(receiver.get(&mut [0; 4]), Ok(1));
}

pub(super) fn too_small() {
    for size in [10, 300] {
        let (mut sender, mut receiver) = byte_channel(2, size).unwrap();
        sender.put(&pattern(1, size)).unwrap();
        let mut buffer = vec![0; size];
        assert_eq!(receiver.get(&mut buffer[..size - 1]), Err(Error::MessageSize));
        assert_eq!(receiver.try_get(&mut []), Err(Error::MessageSize));
        assert_eq!(receiver.peek().unwrap().len(), size);
        assert_eq!(receiver.get(&mut buffer), Ok(size));
        assert_eq!(buffer, pattern(1, size));
        assert_eq!(receiver.try_get(&mut buffer), Err(Error::WouldBlock));
    }
}

pub(super) fn alignment() {
    for (size, align) in [(1, 1), (2, 2), (4, 4), (6, 8), (8, 8), (24, 8), (100, 8), (1024, 64), (5000, 64)] {
        let (mut sender, mut receiver) = byte_channel(3, size).unwrap();
        for _ in 0..7 {
            let mut slot = sender.reserve().unwrap();
            assert_eq!((slot.size(), slot.as_mut_ptr().addr() % align), (size, 0));
            slot.commit(size).unwrap();
            receiver.peek().unwrap().release();
        }
    }
}

pub(super) fn in_place() {
    let (mut sender, mut receiver) = byte_channel(3, 1000).unwrap();
    let child = Process::spawn(|| {
        for number in 0..100 {
            let mut slot = sender.reserve().unwrap();
            let message = pattern(number, 10 * number);
            slot.write(0, &message[..5 * number]).unwrap();
            slot.write(5 * number, &message[5 * number..]).unwrap();
            slot.commit(10 * number).unwrap();
        }
    })
    .unwrap();
    for number in 0..100 {
        let message = receiver.peek().unwrap();
        assert_eq!(message.to_vec(), pattern(number, 10 * number));
        message.release();
    }
    join(child);
    let mut slot = sender.reserve().unwrap();
    assert_eq!(slot.write(1000, &[]), Ok(()));
    assert_eq!(slot.write(999, &[1, 2]), Err(Error::OutOfRange));
    assert_eq!(slot.write(usize::MAX, &[1]), Err(Error::OutOfRange));
    // SAFETY: no process writes there.
    let bytes = unsafe { slot.as_mut_slice() };
    bytes[..3].copy_from_slice(b"abc");
    assert_eq!(slot.commit(1001), Err(Error::MessageSize));
    let mut slot = sender.reserve().unwrap();
    slot.write(1, b"B").unwrap();
    slot.commit(3).unwrap();
    let message = receiver.peek().unwrap();
    // SAFETY: no process writes there.
    assert_eq!(unsafe { message.as_slice() }, b"aBc");
    assert_eq!(message.read(2, &mut [0; 2]), Err(Error::OutOfRange));
}

pub(super) fn dropped() {
    let (mut sender, mut receiver) = byte_channel(1, 8).unwrap();
    for _ in 0..3 {
        let mut slot = sender.try_reserve().unwrap();
        slot.write(0, b"lost").unwrap();
        drop(slot);
        assert_eq!(receiver.try_peek().err(), Some(Error::WouldBlock));
    }
    sender.put(b"kept").unwrap();
    assert_eq!(sender.try_reserve().err(), Some(Error::WouldBlock));
    assert_eq!(sender.reserve_timeout(MOMENT).err(), Some(Error::TimedOut));
    for _ in 0..3 {
        drop(receiver.peek().unwrap());
        assert_eq!(sender.try_put(b"more"), Err(Error::WouldBlock));
    }
    receiver.peek_timeout(MOMENT).unwrap().release();
    assert_eq!(sender.try_put(b"more"), Ok(()));
    // A guard that is forgotten stays lent, and does not block the side for ever.
    std::mem::forget(receiver.peek().unwrap());
    assert_eq!(receiver.get(&mut [0; 8]), Err(Error::InvalidArgument));
    receiver.peek().unwrap().release();
    std::mem::forget(sender.reserve().unwrap());
    assert_eq!(sender.put(b"more"), Err(Error::InvalidArgument));
    sender.reserve().unwrap().commit(0).unwrap();
    assert_eq!(receiver.get(&mut [0; 8]), Ok(0));
}
