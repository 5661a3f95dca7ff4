//! A room with a condition variable, and processes that wait in it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use forq::{Condvar, Mutex, Process, Shared};

use crate::support::eventually;

forq::shareable! {
    /// A mutex and a condition variable, and who came and returned.
    pub(crate) struct Room {
        pub(crate) mutex: Mutex<u64>,
        pub(crate) condvar: Condvar,
        pub(crate) other: Mutex<u64>,
        pub(crate) returned: AtomicU32,
        pub(crate) stage: AtomicU32,
    }
}

impl Room {
    pub(crate) fn new() -> Shared<Self> {
        Shared::new(Self {
            mutex: Mutex::new(0),
            condvar: Condvar::new(),
            other: Mutex::new(0),
            returned: AtomicU32::new(0),
            stage: AtomicU32::new(0),
        })
        .unwrap()
    }

    /// A process that waits once, without a condition.
    pub(crate) fn waiter(&self) -> Process {
        let before = self.stage.load(Relaxed);
        let waiter = Process::spawn(|| {
            let guard = self.mutex.lock().unwrap();
            self.stage.fetch_add(1, Relaxed);
            let _guard = self.condvar.wait(guard).unwrap();
            self.returned.fetch_add(1, Relaxed);
        })
        .unwrap();
        eventually("it comes", || self.stage.load(Relaxed) > before);
        // Whoever has the mutex after it finds it waiting.
        drop(self.mutex.lock());
        waiter
    }

    pub(crate) fn waiters(&self, count: usize) -> Vec<Process> {
        (0..count).map(|_| self.waiter()).collect()
    }

    pub(crate) fn returned(&self) -> u32 {
        self.returned.load(Relaxed)
    }
}

pub(crate) fn kill_all(processes: &mut [Process]) {
    for process in processes {
        // One that has ended is no error here.
        let _ = process.kill();
        process.join().unwrap();
    }
}

pub(crate) fn join_all(mut processes: Vec<Process>) {
    for process in &mut processes {
        assert!(process.join().unwrap().success());
    }
}

/// Longer than the longest sleep: whoever would return by itself has done so.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(600));
}
