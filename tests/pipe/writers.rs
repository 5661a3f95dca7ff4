//! Several that send or receive at once, and some of them killed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Connection, Error, ExitStatus, Process, Shared, pipe_one_way};

use super::messages::pattern;
use super::{MEBIBYTE, MOMENT};
use crate::support::Random;

/// Writer, number, size, and bytes that follow from these.
fn stamped(writer: u64, number: u64, size: usize) -> Vec<u8> {
    let mut message = writer.to_le_bytes().to_vec();
    message.extend_from_slice(&number.to_le_bytes());
    message.extend_from_slice(&pattern(writer << 32 | number, size));
    message
}

/// Whose it is and which.
fn check_stamped(message: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().unwrap());
    let (writer, number) = (word(0), word(8));
    assert!(message == stamped(writer, number, message.len() - 16), "torn");
    (writer, number)
}

fn random_size(random: &mut Random) -> usize {
    match random.below(100) {
        0 => random.below(300_000) as usize,
        1..20 => random.below(70_000) as usize,
        _ => random.below(2_000) as usize,
    }
}

pub(super) fn several_writers() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 1000;
    let (receiver, sender) = pipe_one_way().unwrap();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            Process::spawn(|| {
                let mut random = Random(writer + 1);
                for number in 0..EACH {
                    sender.send(&stamped(writer, number, random_size(&mut random))).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    drop(sender);
    let mut next = [0; WRITERS as usize];
    while let Ok(message) = receiver.recv_vec() {
        let (writer, number) = check_stamped(&message);
        assert_eq!(number, next[writer as usize], "in the order of its writer");
        next[writer as usize] += 1;
    }
    assert_eq!(next, [EACH; WRITERS as usize]);
    assert_eq!(receiver.recv_vec(), Err(Error::Disconnected));
    writers.iter_mut().for_each(|writer| assert!(writer.join().unwrap().success()));
}

pub(super) fn killed_senders() {
    let mut random = Random(7);
    let (mut received, mut cut_short) = (0, 0);
    for round in 0..200u64 {
        let size = if round % 2 == 0 { 300_000 } else { 3 * MEBIBYTE };
        let (mut child, connection) = Process::spawn_piped(move |connection: Connection| {
            let messages: Vec<_> = (0..3).map(|number| stamped(round, number, size)).collect();
            connection.send(b"ready").unwrap();
            for message in &messages {
                connection.send(message).unwrap();
            }
            loop {
                std::thread::sleep(MOMENT);
            }
        })
        .unwrap();
        assert_eq!(connection.recv_vec().unwrap(), b"ready");
        let until = Instant::now() + Duration::from_micros(random.below(3000));
        while Instant::now() < until {}
        child.kill().unwrap();
        let mut next = 0;
        while let Ok(message) = connection.recv_vec() {
            assert_eq!(message.len(), size + 16);
            assert_eq!(check_stamped(&message), (round, next));
            next += 1;
        }
        assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
        received += next;
        cut_short += u64::from(next < 3);
        assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    }
    assert!(received > 0 && cut_short > 0, "{received} messages, {cut_short} senders cut short");
}

pub(super) fn killed_receivers() {
    const MESSAGES: u64 = 4000;
    let seen = Shared::slice_with(MESSAGES as usize, |_| AtomicU32::new(0)).unwrap();
    let (receiver, sender) = pipe_one_way().unwrap();
    let receive_all = || {
        while let Ok(message) = receiver.recv_vec() {
            let (_, number) = check_stamped(&message);
            seen[number as usize].fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut writer = Process::spawn(|| {
        for number in 0..MESSAGES {
            sender.send(&stamped(0, number, if number % 4 == 0 { 100_000 } else { 500 })).unwrap();
        }
    })
    .unwrap();
    drop(sender);
    let mut random = Random(3);
    let mut killed = 0;
    let mut victims: Vec<_> = (0..2).map(|_| Process::spawn(receive_all).unwrap()).collect();
    while writer.is_alive() {
        let until = Instant::now() + Duration::from_micros(random.below(2000));
        while Instant::now() < until {}
        let index = random.below(2) as usize;
        let _ = victims[index].kill();
        victims[index].join().unwrap();
        killed += 1;
        victims[index] = Process::spawn(receive_all).unwrap();
    }
    // The rest, with those that live.
    receive_all();
    assert!(writer.join().unwrap().success());
    victims.iter_mut().for_each(|victim| assert!(victim.join().unwrap().success()));
    let times: Vec<_> = seen.iter().map(|times| times.load(Ordering::Relaxed)).collect();
    assert!(times.iter().all(|&times| times <= 1), "none was received twice");
    let lost = times.iter().filter(|&&times| times == 0).count();
    assert!(killed > 3, "only {killed} were killed");
    assert!(lost <= killed, "{lost} of {MESSAGES} lost by {killed} deaths");
}

pub(super) fn shared_end() {
    const MESSAGES: u64 = 3000;
    let sum = Shared::new(AtomicU64::new(0)).unwrap();
    let (receiver, sender) = pipe_one_way().unwrap();
    let mut sender = Some(sender);
    let mut receivers: Vec<_> = (0..4)
        .map(|_| {
            Process::spawn(|| {
                // This process's copy, which would keep the end from coming.
                drop(sender.take());
                loop {
                    let mut buffer = vec![0; 20_000];
                    match receiver.recv(&mut buffer) {
                        Ok(size) => {
                            let (_, number) = check_stamped(&buffer[..size]);
                            sum.fetch_add(number, Ordering::Relaxed);
                        }
                        // Too large: taken with more room by whoever is next, or by another receiver meanwhile.
                        Err(Error::MessageSize) => {
                            if let Ok(message) = receiver.recv_vec() {
                                let (_, number) = check_stamped(&message);
                                sum.fetch_add(number, Ordering::Relaxed);
                            }
                        }
                        Err(error) => return i32::from(error != Error::Disconnected),
                    }
                }
            })
            .unwrap()
        })
        .collect();
    drop(receiver);
    let sender = sender.unwrap();
    let mut random = Random(5);
    for number in 1..=MESSAGES {
        sender.send(&stamped(0, number, random.below(30_000) as usize)).unwrap();
    }
    drop(sender);
    receivers.iter_mut().for_each(|receiver| assert!(receiver.join().unwrap().success()));
    assert_eq!(sum.load(Ordering::Relaxed), MESSAGES * (MESSAGES + 1) / 2);
}
