//! Pipes whose messages grow: while all that was sent fits, receivers take packets without a look at their sizes first.

mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{Connection, Error, Process, Shared, pipe, pipe_one_way};
use support::Random;

fn main() {
    support::run(&[
        ("a_larger_message_stays_where_smaller_ones_did_fit", larger_stays),
        ("messages_that_grow_under_receivers_are_never_cut", growing),
        ("a_descriptor_stays_where_messages_did_fit", descriptor_stays),
        ("a_longer_packet_that_forq_did_not_make_is_refused", foreign_packet),
        ("killed_senders_of_growing_messages_hold_nobody_up", killed_senders),
        ("both_ends_of_a_process_may_go_in_any_order", either_order),
        ("an_end_dropped_while_a_thread_receives_at_the_other_leaves_no_memory", dropped_beside_a_receiver),
    ]);
}

fn message(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at + size) as u8).collect()
}

fn larger_stays() {
    let (here, there) = pipe().unwrap();
    for size in [0, 1, 7, 8, 255, 256, 257, 2031, 2032, 2033, 4096, 65_535, 65_536, 65_537, 1 << 20] {
        let mut exact = vec![0; size];
        for _ in 0..2 {
            here.send(&message(size)).unwrap();
            if size > 0 {
                assert_eq!(there.recv(&mut exact[..size - 1]), Err(Error::MessageSize));
                assert_eq!(there.recv(&mut []), Err(Error::MessageSize));
            }
            assert_eq!(there.recv(&mut exact), Ok(size));
            assert_eq!(exact, message(size));
        }
        // Smaller ones after it, in large and in exact buffers.
        here.send(&message(size / 2)).unwrap();
        here.send(&message(size / 3)).unwrap();
        assert_eq!(there.recv(&mut exact[..size / 2]), Ok(size / 2));
        assert_eq!(there.recv(&mut exact), Ok(size / 3));
        assert_eq!(exact[..size / 3], message(size / 3));
        assert_eq!(there.try_recv(&mut exact), Err(Error::WouldBlock));
    }
}

/// Receives with no more room than the largest so far took.
fn receive_all(receiver: &Connection, sum: &AtomicU64) -> i32 {
    let mut buffer = Vec::new();
    loop {
        match receiver.recv(&mut buffer) {
            Ok(size) => {
                assert_eq!(buffer[..size], message(size));
                sum.fetch_add(size as u64, Ordering::Relaxed);
            }
            Err(Error::MessageSize) => {
                // The one that did not fit may be another receiver's by now.
                match receiver.next_size() {
                    Ok(size) => buffer.resize(size.max(buffer.len()), 0),
                    Err(error) => return i32::from(error != Error::Disconnected),
                }
            }
            Err(error) => return i32::from(error != Error::Disconnected),
        }
    }
}

fn growing() {
    const LARGEST: usize = 500;
    for round in 0..20 {
        let sum = Shared::new(AtomicU64::new(0)).unwrap();
        let (receiver, sender) = pipe_one_way().unwrap();
        let mut sender = Some(sender);
        let mut receivers = [(); 2].map(|()| {
            Process::spawn(|| {
                drop(sender.take());
                receive_all(&receiver, &sum)
            })
            .unwrap()
        });
        let mut writers = [(); 2].map(|()| {
            Process::spawn(|| {
                let sender = sender.take().unwrap();
                for size in 0..=LARGEST {
                    sender.send(&message(size)).unwrap();
                    if round % 2 == 0 {
                        // So that receivers are inside their calls.
                        std::thread::yield_now();
                    }
                }
            })
            .unwrap()
        });
        drop((sender, receiver));
        writers.iter_mut().chain(&mut receivers).for_each(|one| assert!(one.join().unwrap().success()));
        assert_eq!(sum.load(Ordering::Relaxed) as usize, LARGEST * (LARGEST + 1));
    }
}

fn descriptor_stays() {
    let (here, there) = pipe().unwrap();
    let mut buffer = [0; 64];
    here.send(b"small").unwrap();
    assert_eq!(there.recv(&mut buffer), Ok(5));
    here.send_fd(here.as_fd()).unwrap();
    for _ in 0..2 {
        assert_eq!(there.recv(&mut buffer), Err(Error::Protocol));
    }
    assert!(there.recv_fd().unwrap().as_raw_fd() > 2);
    here.send(b"small").unwrap();
    assert_eq!(there.recv_fd().unwrap_err(), Error::Protocol);
    assert_eq!(there.recv(&mut buffer), Ok(5));
}

fn foreign_packet() {
    for (before, size) in [(8, 100), (8, 9), (8, 70_000), (300, 301), (300, 5000)] {
        let (here, there) = pipe().unwrap();
        let mut buffer = vec![0; before];
        here.send(&message(before)).unwrap();
        assert_eq!(there.recv(&mut buffer), Ok(before));
        let mut packet = [1u64.to_ne_bytes(), (size as u64).to_ne_bytes()].concat();
        packet.extend(message(size));
        for length in [packet.len(), 15, 1] {
            // SAFETY: a slice.
            let sent = unsafe { libc::send(here.as_fd().as_raw_fd(), packet.as_ptr().cast(), length, 0) };
            assert_eq!(sent, length as isize);
            assert_eq!(there.recv(&mut buffer), Err(Error::Protocol), "{before}, {size}, {length}");
        }
        here.send(&message(before)).unwrap();
        assert_eq!(there.recv(&mut buffer), Ok(before));
        assert_eq!(buffer, message(before));
    }
    // Nor does it help that there is room for it: nobody announced it.
    for size in [2033, 5000, 60_000] {
        let (here, there) = pipe().unwrap();
        here.send(&message(8)).unwrap();
        assert_eq!(there.recv(&mut [0; 8]), Ok(8));
        let mut packet = [1u64.to_ne_bytes(), (size as u64).to_ne_bytes()].concat();
        packet.extend(message(size));
        for with_vec in [false, true] {
            // SAFETY: a slice.
            let sent =
                unsafe { libc::send(here.as_fd().as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0) };
            assert_eq!(sent, packet.len() as isize);
            if with_vec {
                assert_eq!(there.recv_vec(), Err(Error::Protocol), "{size}");
            } else {
                assert_eq!(there.recv(&mut vec![0; 2 * size]), Err(Error::Protocol), "{size}");
            }
        }
    }
}

fn killed_senders() {
    let (receiver, sender) = pipe_one_way().unwrap();
    let mut random = Random(3);
    let mut size = 0;
    for round in 0..300 {
        let mut child = Process::spawn(|| {
            for size in size.. {
                let _ = sender.try_send(&message(size % 60_000));
            }
        })
        .unwrap();
        let until = std::time::Instant::now() + Duration::from_micros(random.below(2000));
        while std::time::Instant::now() < until {}
        child.kill().unwrap();
        child.join().unwrap();
        let mut buffer = vec![0; size % 60_000];
        loop {
            match receiver.recv_timeout(&mut buffer, Duration::ZERO) {
                Ok(got) => assert_eq!(buffer[..got], message(got)),
                Err(Error::MessageSize) => {
                    size = receiver.next_size().unwrap();
                    buffer.resize(size, 0);
                }
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock, "round {round}");
                    break;
                }
            }
        }
        size += 1;
        sender.send_timeout(&message(size % 60_000), Duration::from_secs(60)).unwrap();
        assert_eq!(receiver.recv_vec().unwrap(), message(size % 60_000));
    }
}

fn either_order() {
    for first in [false, true] {
        let (one, other) = pipe().unwrap();
        one.send(b"one").unwrap();
        let mut ends = [Some(one), Some(other)];
        // A child that drops both leaves them to its parent.
        let mut child = Process::spawn(|| ends.iter_mut().for_each(|end| drop(end.take()))).unwrap();
        assert!(child.join().unwrap().success());
        let left = ends[usize::from(first)].take().unwrap();
        drop(ends);
        let mut buffer = [0; 8];
        if first {
            assert_eq!(left.recv(&mut buffer), Ok(3));
        }
        assert_eq!(left.recv(&mut buffer), Err(Error::Disconnected));
        assert_eq!(left.send(b"more and more"), Err(Error::Disconnected));
    }
}

fn dropped_beside_a_receiver() {
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let round = || {
        let (here, there) = pipe().unwrap();
        let receiver = std::thread::spawn(move || {
            while there.try_recv(&mut [0; 8]) != Err(Error::Disconnected) {}
            // It goes on to have the turn while the other end's memory goes.
            (0..300).for_each(|_| assert_eq!(there.try_recv(&mut [0; 8]), Err(Error::Disconnected)));
        });
        here.send(b"one").unwrap();
        drop(here);
        receiver.join().unwrap();
    };
    // The first ones make what threads keep.
    (0..100).for_each(|_| round());
    let before = mappings();
    (0..1000).for_each(|_| round());
    let after = mappings();
    assert!(after <= before + 10, "{before} mappings, then {after}");
}
