//! A channel, and what its participants do with it.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{__byte_channel_in_lap as byte_channel_in_lap, __channel_in_lap as channel_in_lap};
use forq::{ByteReceiver, ByteSender, Error, Mutex, Receiver, Sender, Shared};

use super::super::ledger::{HOST, Ledger, Message};
use super::super::system::WATCHDOG;
use super::image::{Image, Side};

forq::shareable! {
    /// What is in shared memory beside the channel.
    pub(crate) struct Board {
        ledger: Ledger,
        warm_up: Mutex<u64>,
    }
}

/// What goes through the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values.
    Values,
    /// Messages of bytes, by copying.
    Bytes,
    /// Messages of bytes, where they are.
    InPlace,
}

/// The ends, as each process has them.
enum Ends {
    Values(RefCell<Option<Sender<Message>>>, RefCell<Option<Receiver<Message>>>),
    Bytes(RefCell<Option<ByteSender>>, RefCell<Option<ByteReceiver>>),
}

/// A channel, and the ledger beside it.
pub(super) struct Scene {
    board: Shared<Board>,
    ends: Ends,
    in_place: bool,
    memory: *mut [u8],
    capacity: usize,
    /// What the host found wrong in the middle of a trial.
    pub(super) trouble: Cell<Option<&'static str>>,
}

/// What a sleeper comes for, beside what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// One message.
    Get,
    /// Room for one.
    Put,
}

impl Visit {
    pub(super) fn side(self) -> Side {
        match self {
            Self::Get => Side::Consumer,
            Self::Put => Side::Producer,
        }
    }
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done = 1,
    Closed = 2,
    /// The other side's process is gone.
    Told = 3,
    Failed = 4,
}

fn size() -> usize {
    size_of::<Message>()
}

impl Scene {
    pub(super) fn new(kind: Kind, capacity: usize, lap: u32) -> Self {
        let board = Board { ledger: Ledger::new(), warm_up: Mutex::new(0) };
        let board = Shared::new(board).expect("memory for a scene");
        let (ends, memory) = if kind == Kind::Values {
            let (sender, receiver) = channel_in_lap(capacity, lap).expect("a channel");
            let memory = sender.__memory();
            (Ends::Values(RefCell::new(Some(sender)), RefCell::new(Some(receiver))), memory)
        } else {
            let (sender, receiver) = byte_channel_in_lap(capacity, size(), lap).expect("a channel");
            let memory = sender.__memory();
            (Ends::Bytes(RefCell::new(Some(sender)), RefCell::new(Some(receiver))), memory)
        };
        Self { board, ends, in_place: kind == Kind::InPlace, memory, capacity, trouble: Cell::new(None) }
    }

    pub(super) fn image(&self) -> Image<'_> {
        let count = self.memory.len() / 8;
        // SAFETY: mapped as long as the ends, of which the host drops none; whoever looks does so atomically.
        let words = unsafe { std::slice::from_raw_parts(self.memory.cast::<AtomicU64>(), count) };
        Image { words, capacity: self.capacity }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.board.ledger
    }

    /// What the library caches per thread and process is there afterwards.
    pub(super) fn warm_up(&self) {
        *self.board.warm_up.lock().expect("a lock of one's own") += 1;
        let (mut sender, mut receiver) = channel_in_lap::<u64>(1, 0).expect("a channel of one's own");
        sender.put(0).expect("room");
        receiver.get().expect("a message");
    }

    /// How far into the shared memory an address points.
    pub(super) fn distance(&self, address: usize) -> Option<usize> {
        // The kernel is told an address that lies before the word that is meant.
        (address + 64).checked_sub(self.memory.addr()).filter(|&distance| distance < self.memory.len() + 64)
    }

    /// In place a time-out is for the place alone: the rest takes none.
    fn put_bytes(
        &self,
        sender: &mut ByteSender,
        message: &[u8],
        time: Option<Duration>,
    ) -> Result<(), Error> {
        if self.in_place {
            let mut slot = match time {
                None => sender.reserve(),
                Some(Duration::ZERO) => sender.try_reserve(),
                Some(time) => sender.reserve_timeout(time),
            }?;
            slot.write(0, message)?;
            return slot.commit(message.len());
        }
        match time {
            None => sender.put(message),
            Some(Duration::ZERO) => sender.try_put(message),
            Some(time) => sender.put_timeout(message, time),
        }
    }

    /// Waits for ever without a time; zero only tries.
    pub(super) fn put_in(&self, who: usize, time: Option<Duration>) -> Result<(), Error> {
        let message = self.ledger().begin(who);
        let result = match &self.ends {
            Ends::Values(sender, _) => {
                let mut sender = sender.borrow_mut();
                let sender = sender.as_mut().expect("an end");
                let result = match time {
                    None => sender.put(message),
                    Some(Duration::ZERO) => sender.try_put(message),
                    Some(time) => sender.put_timeout(message, time),
                };
                result.map_err(Error::from)
            }
            Ends::Bytes(sender, _) => {
                let mut sender = sender.borrow_mut();
                self.put_bytes(sender.as_mut().expect("an end"), bytemuck::bytes_of(&message), time)
            }
        };
        self.ledger().finish(who, usize::from(result.is_ok()));
        result
    }

    pub(super) fn put(&self, who: usize) -> Result<(), Error> {
        self.put_in(who, None)
    }

    pub(super) fn try_put(&self, who: usize) -> Result<(), Error> {
        self.put_in(who, Some(Duration::ZERO))
    }

    fn get_bytes(&self, receiver: &mut ByteReceiver, time: Option<Duration>) -> Result<Message, Error> {
        let mut message = Message::default();
        let buffer = bytemuck::bytes_of_mut(&mut message);
        if self.in_place {
            let found = match time {
                None => receiver.peek(),
                Some(Duration::ZERO) => receiver.try_peek(),
                Some(time) => receiver.peek_timeout(time),
            }?;
            found.read(0, buffer)?;
            found.release();
            return Ok(message);
        }
        let got = match time {
            None => receiver.get(buffer),
            Some(Duration::ZERO) => receiver.try_get(buffer),
            Some(time) => receiver.get_timeout(buffer, time),
        }?;
        if got == size() { Ok(message) } else { Err(Error::MessageSize) }
    }

    pub(super) fn get_in(&self, who: usize, time: Option<Duration>) -> Result<(), Error> {
        let message = match &self.ends {
            Ends::Values(_, receiver) => {
                let mut receiver = receiver.borrow_mut();
                let receiver = receiver.as_mut().expect("an end");
                match time {
                    None => receiver.get(),
                    Some(Duration::ZERO) => receiver.try_get(),
                    Some(time) => receiver.get_timeout(time),
                }
            }
            Ends::Bytes(_, receiver) => self.get_bytes(receiver.borrow_mut().as_mut().expect("an end"), time),
        }?;
        self.ledger().record(who, message);
        Ok(())
    }

    pub(super) fn get(&self, who: usize) -> Result<(), Error> {
        self.get_in(who, None)
    }

    pub(super) fn try_get(&self, who: usize) -> Result<(), Error> {
        self.get_in(who, Some(Duration::ZERO))
    }

    pub(super) fn close(&self) {
        match &self.ends {
            Ends::Values(sender, _) => sender.borrow().as_ref().expect("an end").close(),
            Ends::Bytes(_, receiver) => receiver.borrow().as_ref().expect("an end").close(),
        }
    }

    /// This process's use of a side ends.
    pub(super) fn leave(&self, side: Side) {
        match (&self.ends, side) {
            (Ends::Values(sender, _), Side::Producer) => drop(sender.borrow_mut().take()),
            (Ends::Values(_, receiver), Side::Consumer) => drop(receiver.borrow_mut().take()),
            (Ends::Bytes(sender, _), Side::Producer) => drop(sender.borrow_mut().take()),
            (Ends::Bytes(_, receiver), Side::Consumer) => drop(receiver.borrow_mut().take()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.ends {
            Ends::Values(sender, _) => sender.borrow().as_ref().expect("an end").len(),
            Ends::Bytes(sender, _) => sender.borrow().as_ref().expect("an end").len(),
        }
    }

    /// Waits for what it came for as long as it takes, and leaves word.
    pub(super) fn visit(&self, visit: Visit, who: usize) -> i32 {
        self.warm_up();
        let there = self.image().messages();
        let result = match visit {
            Visit::Get => (0..=there).try_for_each(|_| self.get(who)),
            Visit::Put => (there..=self.capacity).try_for_each(|_| self.put(who)),
        };
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(Error::Closed) => Outcome::Closed,
            Err(Error::Disconnected) => Outcome::Told,
            Err(_) => Outcome::Failed,
        };
        self.ledger().outcome(who).store(outcome as u32, Ordering::Release);
        0
    }

    pub(super) fn outcome(&self, who: usize) -> Outcome {
        match self.ledger().outcome(who).load(Ordering::Acquire) {
            1 => Outcome::Done,
            2 => Outcome::Closed,
            3 => Outcome::Told,
            _ => Outcome::Failed,
        }
    }

    /// What the host does on a side while the victim is stopped, or dead. Alive, it must be refused exactly when the victim, or a
    /// sleeper, is in a call there.
    pub(super) fn host_uses(&self, side: Side, is_dead: bool) {
        let is_busy = self.image().is_busy(side);
        let result = match side {
            Side::Producer => self.try_put(HOST),
            Side::Consumer => self.try_get(HOST),
        };
        match result {
            Err(Error::NotPermitted) if !is_busy => self.trouble.set(Some("refused beside no call")),
            Ok(()) if is_busy && !is_dead => self.trouble.set(Some("let in beside a call")),
            Ok(()) | Err(Error::NotPermitted | Error::WouldBlock | Error::Disconnected | Error::Closed) => {}
            Err(_) => self.trouble.set(Some("an error that cannot be")),
        }
    }

    /// What one does that must not take long.
    pub(super) fn must_put(&self) -> Result<(), Error> {
        self.put_in(HOST, Some(WATCHDOG))
    }

    pub(super) fn must_get(&self) -> Result<(), Error> {
        self.get_in(HOST, Some(WATCHDOG))
    }
}
