//! A gate between a test and the tasks of its pool: those that come while it is closed wait before it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::Shared;

use crate::support::eventually;

/// Whether it is open, and how many have come. Shared by all processes of a case.
static GATE: OnceLock<Shared<[AtomicU32; 2]>> = OnceLock::new();

/// Closes it, with nobody there. The first time before the pool is made.
#[allow(dead_code, reason = "a part is for another test")]
pub(crate) fn close() {
    let gate = GATE.get_or_init(|| Shared::new([const { AtomicU32::new(0) }; 2]).unwrap());
    gate.iter().for_each(|word| word.store(0, Ordering::Release));
}

#[allow(dead_code, reason = "a part is for another test")]
pub(crate) fn open() {
    GATE.get().unwrap()[0].store(1, Ordering::Release);
}

/// A task that has come to it; how many there are now.
#[allow(dead_code, reason = "a part is for another test")]
pub(crate) fn come() -> u32 {
    GATE.get().unwrap()[1].fetch_add(1, Ordering::AcqRel) + 1
}

/// A task that goes on when it is open.
#[allow(dead_code, reason = "a part is for another test")]
pub(crate) fn pass() {
    come();
    while GATE.get().unwrap()[0].load(Ordering::Acquire) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until so many have come.
#[allow(dead_code, reason = "a part is for another test")]
pub(crate) fn wait_for(count: u32) {
    eventually("they have come", || GATE.get().unwrap()[1].load(Ordering::Acquire) >= count);
}
