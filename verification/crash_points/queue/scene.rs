//! A queue in shared memory, and what its participants do with it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use forq::{Error, Mutex, Queue, Shared};

use super::super::ledger::{HOST, Ledger, Message};
use super::super::system::WATCHDOG;
use super::image::{HEAD, Image, STRIDE};

/// Slots at most.
const SLOTS: usize = 3;

forq::shareable! {
    /// What is in shared memory.
    pub(crate) struct Board {
        /// The queue's: first, so that it is aligned.
        memory: [AtomicU64; HEAD + SLOTS * STRIDE],
        ledger: Ledger,
        warm_up: Mutex<u64>,
        _end: AtomicU32,
    }
}

/// A queue, and the ledger beside it.
pub(super) struct Scene {
    board: Shared<Board>,
    pub(super) queue: Queue<Message>,
    capacity: usize,
}

/// What a sleeper comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// One message.
    Get,
    /// Room for one.
    Put,
    /// That all are done.
    Join,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done = 1,
    Closed = 2,
    Failed = 3,
}

impl Scene {
    pub(super) fn new(capacity: usize) -> Self {
        let board = Shared::new(Board {
            memory: [const { AtomicU64::new(0) }; HEAD + SLOTS * STRIDE],
            ledger: Ledger::new(),
            warm_up: Mutex::new(0),
            _end: AtomicU32::new(0),
        })
        .expect("memory for a scene");
        let memory = NonNull::from(&board.memory);
        // SAFETY: shared memory for the queue alone, which stays mapped beside it; `Board` has it in atomics, for whoever looks.
        let queue = unsafe { Queue::make_in(memory.cast(), size_of_val(&board.memory), capacity) };
        Self { queue: queue.expect("a queue"), board, capacity }
    }

    pub(super) fn image(&self) -> Image<'_> {
        Image { words: &self.board.memory, capacity: self.capacity }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.board.ledger
    }

    /// What the library caches per thread is there afterwards.
    pub(super) fn warm_up(&self) {
        *self.board.warm_up.lock().expect("a lock of one's own") += 1;
    }

    /// How far into the shared memory an address points.
    pub(super) fn distance(&self, address: usize) -> Option<usize> {
        let start = std::ptr::from_ref::<Board>(&self.board).addr();
        // The kernel is told an address that lies before the word that is meant.
        (address + 64).checked_sub(start).filter(|&distance| distance < size_of::<Board>() + 64)
    }

    fn put_by(&self, who: usize, put: impl FnOnce(Message) -> Result<(), Error>) -> Result<(), Error> {
        let result = put(self.ledger().begin(who));
        self.ledger().finish(who, usize::from(result.is_ok()));
        result
    }

    pub(super) fn put(&self, who: usize) -> Result<(), Error> {
        self.put_by(who, |message| self.queue.put(message).map_err(Error::from))
    }

    pub(super) fn try_put(&self, who: usize) -> Result<(), Error> {
        self.put_by(who, |message| self.queue.try_put(message).map_err(Error::from))
    }

    pub(super) fn put_timeout(&self, who: usize, time: Duration) -> Result<(), Error> {
        self.put_by(who, |message| self.queue.put_timeout(message, time).map_err(Error::from))
    }

    /// So many at once; how many were put.
    pub(super) fn put_many<const N: usize>(
        &self,
        who: usize,
        time: Option<Duration>,
    ) -> Result<usize, Error> {
        let messages: [Message; N] = std::array::from_fn(|_| self.ledger().begin(who));
        let result = match time {
            None => self.queue.put_many(&messages),
            Some(time) => self.queue.put_many_timeout(&messages, time),
        };
        self.ledger().finish(who, result.unwrap_or(0));
        result
    }

    pub(super) fn get(&self, who: usize) -> Result<(), Error> {
        self.queue.get().map(|message| self.ledger().record(who, message))
    }

    pub(super) fn try_get(&self, who: usize) -> Result<(), Error> {
        self.queue.try_get().map(|message| self.ledger().record(who, message))
    }

    pub(super) fn get_timeout(&self, who: usize, time: Duration) -> Result<(), Error> {
        self.queue.get_timeout(time).map(|message| self.ledger().record(who, message))
    }

    /// At most so many at once; how many there were.
    pub(super) fn get_many<const N: usize>(
        &self,
        who: usize,
        time: Option<Duration>,
    ) -> Result<usize, Error> {
        let mut messages = [[0; 3]; N];
        let count = match time {
            None => self.queue.get_many(&mut messages),
            Some(time) => self.queue.get_many_timeout(&mut messages, time),
        }?;
        for message in &messages[..count] {
            self.ledger().record(who, *message);
        }
        Ok(count)
    }

    /// The host fills the queue up.
    pub(super) fn fill(&self) {
        while self.try_put(HOST).is_ok() {}
    }

    /// Waits for what it came for as long as it takes, and leaves word.
    pub(super) fn visit(&self, visit: Visit, who: usize) -> i32 {
        self.warm_up();
        let result = match visit {
            Visit::Get => self.get(who),
            Visit::Put => self.put(who),
            Visit::Join => self.queue.join(),
        };
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(Error::Closed) => Outcome::Closed,
            Err(_) => Outcome::Failed,
        };
        self.ledger().outcome(who).store(outcome as u32, Ordering::Release);
        0
    }

    pub(super) fn outcome(&self, who: usize) -> Outcome {
        match self.ledger().outcome(who).load(Ordering::Acquire) {
            1 => Outcome::Done,
            2 => Outcome::Closed,
            _ => Outcome::Failed,
        }
    }

    /// What one does that must not take long.
    pub(super) fn must_put(&self) -> Result<(), Error> {
        self.put_timeout(HOST, WATCHDOG)
    }

    pub(super) fn must_get(&self) -> Result<(), Error> {
        self.get_timeout(HOST, WATCHDOG)
    }
}
