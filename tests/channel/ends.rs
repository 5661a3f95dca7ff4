//! Threads, moved ends, and what is left of them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use forq::{ByteReceiver, ByteSender, Error, Process};
use forq::{byte_channel, channel};

use super::common::{falls_asleep, join};
use super::messages::producer;
use crate::support::resources;

pub(super) fn interrupted() {
    static RAN: AtomicBool = AtomicBool::new(false);
    extern "C" fn handler(_: i32) {
        RAN.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(i32) = handler;
    // SAFETY: the handler stores a flag.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    for asked in [false, true] {
        let (_sender, mut receiver) = channel::<u64>(1).unwrap();
        let child = Process::spawn(|| {
            forq::set_interruptible(asked);
            let expected = if asked { Error::Interrupted } else { Error::TimedOut };
            let got = receiver.get_timeout(Duration::from_millis(if asked { 60_000 } else { 700 }));
            assert_eq!((got, RAN.load(Ordering::Relaxed)), (Err(expected), true));
        })
        .unwrap();
        falls_asleep(&child);
        crate::support::send(child.pid(), libc::SIGUSR1);
        join(child);
    }
}

pub(super) fn threads() {
    let (mut sender, mut receiver) = channel::<u64>(7).unwrap();
    let (mut bytes, mut into): (ByteSender, ByteReceiver) = byte_channel(7, 8).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200_000).for_each(|number| sender.put(number).unwrap()));
        scope.spawn(|| (0..200_000u64).for_each(|number| bytes.put(&number.to_ne_bytes()).unwrap()));
        scope.spawn(|| {
            let mut buffer = [0; 8];
            for number in 0..200_000 {
                into.get(&mut buffer).unwrap();
                assert_eq!(u64::from_ne_bytes(buffer), number);
            }
        });
        assert!((0..200_000).all(|number| receiver.get() == Ok(number)));
    });
}

pub(super) fn moved_ends() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    for number in 0..20 {
        sender = std::thread::spawn(move || {
            sender.put(number).unwrap();
            sender
        })
        .join()
        .unwrap();
        receiver = std::thread::spawn(move || {
            assert_eq!(receiver.get(), Ok(number));
            receiver
        })
        .join()
        .unwrap();
    }
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(move || drop(receiver));
        scope.spawn(|| {
            drop(sender);
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

pub(super) fn no_leaks() {
    let use_them = || {
        let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
        let (bytes, _into) = byte_channel(1000, 5000).unwrap();
        join(producer(&mut sender, 3));
        assert_eq!(receiver.get(), Ok(0));
        drop(receiver);
        drop(bytes);
    };
    use_them();
    let before = resources();
    (0..50).for_each(|_| use_them());
    assert_eq!(resources(), before);
}
