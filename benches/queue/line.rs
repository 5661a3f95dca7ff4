//! What messages pass through: the kernel's ways, forq's pipe, and a bare word.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use forq::{Connection, Shared};

use crate::{futex, kernel};

/// What messages of 8 bytes pass through.
pub(crate) trait Line: Sync {
    fn put(&self, message: u64);
    fn get(&self) -> u64;
}

/// What messages of bytes pass through, all of one size.
pub(crate) trait Carrier: Sync {
    fn send(&self, message: &[u8]);
    fn receive(&self, buffer: &mut [u8]);
}

impl<C: Carrier> Line for C {
    fn put(&self, message: u64) {
        self.send(&message.to_ne_bytes());
    }

    fn get(&self) -> u64 {
        let mut message = [0; 8];
        self.receive(&mut message);
        u64::from_ne_bytes(message)
    }
}

/// Those that have it already, by the names `put` and `get`.
macro_rules! carriers {
    ($($peer:ty),*) => { $(
        impl Carrier for $peer {
            fn send(&self, message: &[u8]) {
                self.put(message);
            }

            fn receive(&self, buffer: &mut [u8]) {
                self.get(buffer);
            }
        }
    )* };
}
carriers!(kernel::Pipe, kernel::SocketPair, kernel::MessageQueue);

/// Both ends of a pipe of forq's.
pub(crate) struct Ends(Connection, Connection);

impl Ends {
    pub(crate) fn new() -> Self {
        let (far, near) = forq::pipe().expect("descriptors are to be had");
        Self(far, near)
    }
}

impl Carrier for Ends {
    fn send(&self, message: &[u8]) {
        self.0.send(message).expect("the other end is open");
    }

    fn receive(&self, buffer: &mut [u8]) {
        assert_eq!(self.1.recv(buffer), Ok(buffer.len()));
    }
}

/// One word and the system call, nothing else.
pub(crate) struct Word(Shared<AtomicU64>, Shared<AtomicU32>);

impl Word {
    pub(crate) fn new() -> Self {
        let word = Shared::new(AtomicU64::new(0)).expect("shared memory");
        Self(word, Shared::new(AtomicU32::new(0)).expect("shared memory"))
    }
}

impl Line for Word {
    fn put(&self, message: u64) {
        while self.1.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        self.0.store(message, Ordering::Relaxed);
        self.1.store(1, Ordering::Release);
        futex::wake(&self.1);
    }

    fn get(&self) -> u64 {
        while self.1.load(Ordering::Acquire) == 0 {
            futex::wait(&self.1, 0);
        }
        let message = self.0.load(Ordering::Relaxed);
        self.1.store(0, Ordering::Release);
        message
    }
}
