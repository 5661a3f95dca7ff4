//! Messages of all sizes, whole and in order, in either direction; room and time.

use std::time::{Duration, Instant};

use forq::{Connection, Error, ExitStatus, Process};
use forq::{pipe, pipe_one_way, wait_any, wait_any_timeout};

use super::{INLINE, MEBIBYTE, MOMENT};

/// Bytes that tell their message, and by a period that divides nothing their place.
pub(super) fn pattern(seed: u64, size: usize) -> Vec<u8> {
    const PERIOD: usize = 4099;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut block = Vec::with_capacity(PERIOD + 8);
    while block.len() < PERIOD.min(size) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(PERIOD.min(size));
    let mut bytes = Vec::with_capacity(size + PERIOD);
    while bytes.len() < size {
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(size);
    bytes
}

const SIZES: [usize; 10] = [
    0,
    1,
    INLINE - 1,
    INLINE,
    INLINE + 1,
    2 * INLINE,
    MEBIBYTE,
    MEBIBYTE + 1,
    16 * MEBIBYTE,
    40 * MEBIBYTE + 3,
];

pub(super) fn boundaries() {
    let (here, there) = pipe().unwrap();
    for (from, to) in [(&here, &there), (&there, &here)] {
        for size in SIZES {
            let message = pattern(size as u64, size);
            from.send(&message).unwrap();
            from.send(b"next").unwrap();
            assert_eq!(to.next_size().unwrap(), size);
            let mut buffer = vec![0; size + 1];
            assert_eq!(to.recv(&mut buffer).unwrap(), size);
            assert!(buffer[..size] == message, "{size} bytes arrived changed");
            assert_eq!(buffer[size], 0, "no more than the message was written");
            assert_eq!(to.recv_vec().unwrap(), b"next");
        }
    }
}

pub(super) fn echo() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        loop {
            match connection.recv_vec() {
                Ok(message) => connection.send(&message).unwrap(),
                Err(error) => return i32::from(error != Error::Disconnected),
            }
        }
    })
    .unwrap();
    for size in SIZES {
        let message = pattern(size as u64, size);
        connection.send(&message).unwrap();
        assert!(connection.recv_vec().unwrap() == message);
    }
    drop(connection);
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(0));
}

pub(super) fn empty_message() {
    let (here, there) = pipe().unwrap();
    for _ in 0..3 {
        here.send(&[]).unwrap();
    }
    drop(here);
    for _ in 0..3 {
        assert!(there.poll(Duration::ZERO).unwrap());
        assert_eq!(there.recv(&mut []), Ok(0));
    }
    assert_eq!(there.recv(&mut []), Err(Error::Disconnected));
    assert_eq!(there.recv_vec(), Err(Error::Disconnected));
}

pub(super) fn one_way() {
    let (receiver, sender) = pipe_one_way().unwrap();
    sender.send(b"there").unwrap();
    assert_eq!(receiver.recv_vec().unwrap(), b"there");
    assert_eq!(receiver.send(b"back"), Err(Error::NotPermitted));
    assert_eq!(receiver.send_fd(&receiver), Err(Error::NotPermitted));
    assert_eq!(sender.recv(&mut [0; 9]), Err(Error::NotPermitted));
    assert_eq!(sender.try_recv(&mut [0; 9]), Err(Error::NotPermitted));
    assert_eq!(sender.next_size(), Err(Error::NotPermitted));
    assert_eq!(sender.poll(Duration::ZERO), Err(Error::NotPermitted));
    assert_eq!(sender.recv_fd().unwrap_err(), Error::NotPermitted);
    // It is told that nobody receives any more.
    assert_eq!(wait_any_timeout(&[&sender], Duration::ZERO), Err(Error::WouldBlock));
    drop(receiver);
    assert_eq!(wait_any(&[&sender]), Ok(vec![0]));
    assert_eq!(sender.send(b"there"), Err(Error::Disconnected));
}

pub(super) fn too_small() {
    let (here, there) = pipe().unwrap();
    for size in [1, 100, INLINE, INLINE + 1, MEBIBYTE] {
        let message = pattern(size as u64, size);
        here.send(&message).unwrap();
        let mut buffer = vec![7; size];
        assert_eq!(there.recv(&mut buffer[..size - 1]), Err(Error::MessageSize));
        assert_eq!(there.try_recv(&mut []), Err(Error::MessageSize));
        assert_eq!(there.recv_timeout(&mut buffer[..size / 2], MOMENT), Err(Error::MessageSize));
        assert!(buffer.iter().all(|&byte| byte == 7), "the buffer is as it was");
        assert_eq!(there.next_size().unwrap(), size);
        assert_eq!(there.recv(&mut buffer).unwrap(), size);
        assert!(buffer == message);
        assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock));
    }
}

/// Sends until there is no room.
pub(super) fn fill(connection: &Connection, message: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        match connection.try_send(message) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) fn time_limits() {
    let (here, there) = pipe().unwrap();
    let mut buffer = [0; 1000];
    assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock));
    assert_eq!(there.recv_timeout(&mut buffer, Duration::ZERO), Err(Error::WouldBlock));
    assert_eq!(there.recv_timeout(&mut buffer, Duration::from_nanos(1)), Err(Error::TimedOut));
    let started = Instant::now();
    assert_eq!(there.recv_timeout(&mut buffer, MOMENT), Err(Error::TimedOut));
    assert_eq!(there.recv_vec_timeout(MOMENT), Err(Error::TimedOut));
    assert_eq!(there.recv_fd_timeout(MOMENT).unwrap_err(), Error::TimedOut);
    assert!(started.elapsed() >= 3 * MOMENT);
    let sent = fill(&here, &[1; 1000]);
    assert!(sent > 0);
    for message in [&[2; 1000][..], &[2; INLINE], &[2; MEBIBYTE]] {
        assert_eq!(here.send_timeout(message, Duration::ZERO), Err(Error::WouldBlock));
        assert_eq!(here.send_timeout(message, Duration::from_nanos(1)), Err(Error::TimedOut));
        let started = Instant::now();
        assert_eq!(here.send_timeout(message, MOMENT), Err(Error::TimedOut));
        assert!(started.elapsed() >= MOMENT);
    }
    assert_eq!(here.send_fd_timeout(&there, Duration::ZERO), Err(Error::WouldBlock));
    for _ in 0..sent {
        assert_eq!(there.recv_timeout(&mut buffer, Duration::MAX), Ok(1000));
        assert_eq!(buffer, [1; 1000]);
    }
    assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock), "nothing more was sent");
    here.send_timeout(&[3], Duration::MAX).unwrap();
    here.try_send(&[4]).unwrap();
    assert_eq!(there.recv_timeout(&mut buffer, Duration::from_nanos(1)), Ok(1));
    assert_eq!(there.try_recv(&mut buffer), Ok(1));
    assert_eq!(buffer[0], 4);
}

pub(super) fn full() {
    const MESSAGES: u32 = 300;
    for size in [1, 1000, INLINE, INLINE + 1, 200_000] {
        let (mut child, connection) = Process::spawn_piped(move |connection: Connection| {
            std::thread::sleep(MOMENT);
            for index in 0..MESSAGES {
                let message = connection.recv_vec().unwrap();
                assert!(message.len() == size && message.iter().all(|&byte| byte == index as u8));
            }
        })
        .unwrap();
        for index in 0..MESSAGES {
            connection.send(&vec![index as u8; size]).unwrap();
        }
        assert!(child.join().unwrap().success(), "{size}");
    }
}

pub(super) fn bounded_memory() {
    let (here, there) = pipe().unwrap();
    let sent = fill(&here, &pattern(1, 4 * MEBIBYTE));
    assert!((1..=16).contains(&sent), "{sent} large messages are under way");
    for _ in 0..sent {
        assert_eq!(there.recv_vec().unwrap().len(), 4 * MEBIBYTE);
    }
}
