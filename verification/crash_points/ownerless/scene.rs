//! What the participants of one trial share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use forq::{Barrier, Error, Event, Mutex, Semaphore, Shared};

forq::shareable! {
    /// The objects under test, and what sleepers found.
    pub(crate) struct Scene {
        pub(super) semaphore: Semaphore,
        pub(super) event: Event,
        pub(super) barrier: Barrier,
        /// Of each sleeper: 0 not yet, else an [`Outcome`].
        outcomes: [AtomicU32; 5],
        warm_up: Mutex<u64>,
    }
}

/// What is waited on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Semaphore,
    Event,
    Barrier,
}

/// How a sleeper's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should; a party's number.
    Done(u32),
    Broken,
    Failed,
}

impl Scene {
    pub(super) fn new(parties: u32) -> Shared<Self> {
        Shared::new(Self {
            semaphore: Semaphore::new(0),
            event: Event::new(),
            barrier: Barrier::new(parties.max(1)),
            outcomes: [const { AtomicU32::new(0) }; 5],
            warm_up: Mutex::new(0),
        })
        .expect("memory for a scene")
    }

    /// What the library caches per thread is there afterwards.
    pub(super) fn warm_up(&self) {
        *self.warm_up.lock().expect("a lock of one's own") += 1;
    }

    /// Waits for ever, and leaves word.
    pub(super) fn visit(&self, kind: Kind, index: usize) -> i32 {
        self.warm_up();
        let result = match kind {
            Kind::Semaphore => self.semaphore.acquire().map(|()| 0),
            Kind::Event => self.event.wait().map(|()| 0),
            Kind::Barrier => self.barrier.wait(),
        };
        let code = match result {
            Ok(number) => 10 + number,
            Err(Error::Broken) => 1,
            Err(_) => 2,
        };
        self.outcomes[index].store(code, Ordering::Release);
        0
    }

    pub(super) fn outcome(&self, index: usize) -> Outcome {
        match self.outcomes[index].load(Ordering::Acquire) {
            1 => Outcome::Broken,
            0 | 2..10 => Outcome::Failed,
            code => Outcome::Done(code - 10),
        }
    }

    /// All words of the objects: whatever a death can depend on, but the robust list.
    pub(super) fn words(&self) -> [u64; 24] {
        let first = std::ptr::from_ref(self).cast::<u64>();
        // SAFETY: the three objects, 64 bytes each, come first. Volatile, since other processes change them.
        std::array::from_fn(|at| unsafe { first.add(at).read_volatile() })
    }

    /// Whether the event was ever set: its generation is not the first, or it is set now. Read from the shared
    /// mapping by the table in `src/sync/event.rs`, not by the library's code.
    pub(super) fn was_set(&self) -> bool {
        let state = (&raw const self.event).cast_mut().cast();
        // SAFETY: an event begins with its state, which is always accessed atomically.
        unsafe { AtomicU64::from_ptr(state) }.load(Ordering::Relaxed) as u32 != 0
    }

    /// How far into the scene an address points.
    pub(super) fn distance(&self, address: usize) -> Option<usize> {
        let start = std::ptr::from_ref(self).addr();
        // The kernel is told an address that lies before the word that is meant.
        (address + 64).checked_sub(start).filter(|&distance| distance < size_of::<Self>() + 64)
    }
}
