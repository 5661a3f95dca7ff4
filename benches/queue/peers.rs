//! The queues among what messages pass through.

use forq::{ByteQueue, Queue};
use forq_bench_peers::{boost, ck};

use crate::line::{Carrier, Line};
use crate::support::Spin;

impl Line for Queue<u64> {
    fn put(&self, message: u64) {
        Queue::put(self, message).expect("nobody closes it");
    }

    fn get(&self) -> u64 {
        Queue::get(self).expect("nobody closes it")
    }
}

impl Carrier for ByteQueue {
    fn send(&self, message: &[u8]) {
        self.put(message).expect("nobody closes it");
    }

    fn receive(&self, buffer: &mut [u8]) {
        assert_eq!(self.get(buffer), Ok(buffer.len()));
    }
}

impl Carrier for boost::Queue {
    fn send(&self, message: &[u8]) {
        self.put(message);
    }

    fn receive(&self, buffer: &mut [u8]) {
        self.get(buffer);
    }
}

impl Line for ck::Ring {
    fn put(&self, message: u64) {
        ck::Ring::put(self, message);
    }

    fn get(&self) -> u64 {
        ck::Ring::get(self)
    }
}

/// A ring between threads, which spins.
impl Line for crossbeam_queue::ArrayQueue<u64> {
    fn put(&self, message: u64) {
        let mut spin = Spin::new();
        while self.push(message).is_err() {
            spin.wait();
        }
    }

    fn get(&self) -> u64 {
        let mut spin = Spin::new();
        loop {
            match self.pop() {
                Some(message) => return message,
                None => spin.wait(),
            }
        }
    }
}
