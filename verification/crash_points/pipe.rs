//! Rows of the pipe: a message is there whole or not at all, whoever is killed; messages of several senders do not mix; a dead receiver
//! holds nobody up, and takes at most the message in its hands with it; then comes the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{Connection, Error, Mutex, Shared};

use super::failure::{Checked, Failure};
use super::journey::{self, Journey, fingerprint};
use super::row::Tally;
use super::system::WATCHDOG;
use super::trap::trap;
use super::victim::Victim;

/// So long a third process waits.
const A_MOMENT: Duration = Duration::from_micros(100);
/// Messages that go in one packet, and that go in a file.
const SMALL: usize = 40;
const LARGE: usize = 100_000;

/// What the victim does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Send,
    Receive,
}

/// When the host does the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Never,
    BeforeDeath,
    AfterDeath,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) operation: &'static str,
    pub(super) context: &'static str,
    act: Act,
    size: usize,
    other: Other,
}

/// All rows. Nobody is left to the bound in any of them.
pub(super) fn all() -> Vec<Plan> {
    let mut rows = Vec::new();
    if cfg!(forq_long_sleeps) {
        for (operation, act, size) in [
            ("pipe: send", Act::Send, SMALL),
            ("pipe: send a large message", Act::Send, LARGE),
            ("pipe: recv", Act::Receive, SMALL),
            ("pipe: recv a large message", Act::Receive, LARGE),
        ] {
            let contexts = match act {
                Act::Send => ["another sends before the death", "another sends after the death"],
                Act::Receive => {
                    ["another comes to receive before the death", "another receives after the death"]
                }
            };
            let plan = |context, other| Plan { operation, context, act, size, other };
            rows.push(plan("alone", Other::Never));
            rows.push(plan(contexts[0], Other::BeforeDeath));
            rows.push(plan(contexts[1], Other::AfterDeath));
        }
    }
    rows
}

forq::shareable! {
    /// What the victim has done.
    pub(crate) struct Board {
        /// Its call has returned well.
        done: AtomicU32,
        warm_up: Mutex<u64>,
    }
}

/// Number 1 is the victim's, if it sends; the others are the host's.
fn message(number: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| number ^ (at % 251) as u8).collect()
}

impl Plan {
    /// Number 0 goes ahead of one that is sent, and leaves room for two large ones.
    fn message(&self, number: u8) -> Vec<u8> {
        let is_small = self.act == Act::Send && number == 0;
        message(number, if is_small { SMALL } else { self.size })
    }
}

/// A pipe, a victim, and what the host has received.
struct Trial<'a> {
    plan: &'a Plan,
    board: Shared<Board>,
    receiver: Connection,
    sender: Option<Connection>,
    victim: Victim,
    got: Vec<u8>,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan) -> Checked<Self> {
        let board = Board { done: AtomicU32::new(0), warm_up: Mutex::new(0) };
        let board = Shared::new(board).expect("memory for a trial");
        let (receiver, sender) = forq::pipe_one_way().expect("a pipe");
        let (first, second) = (plan.message(0), plan.message(1));
        sender.send(&first).expect("room");
        if plan.act == Act::Receive {
            sender.send(&second).expect("room");
        }
        let victim = Victim::start(|| {
            *board.warm_up.lock().expect("a lock of one's own") += 1;
            let mut buffer = vec![0; plan.size];
            trap();
            let good = match plan.act {
                Act::Send => sender.send(&second).is_ok(),
                Act::Receive => receiver.recv(&mut buffer) == Ok(plan.size),
            };
            board.done.store(u32::from(good), Ordering::Relaxed);
            trap();
            i32::from(plan.act == Act::Receive && buffer != first)
        })?;
        let sender = Some(sender);
        Ok(Self { plan, board, receiver, sender, victim, got: Vec::new() })
    }

    fn host_acts(&mut self) -> Checked {
        match (self.plan.act, &self.sender) {
            (Act::Send, Some(sender)) => sender
                .send_timeout(&self.plan.message(2), WATCHDOG)
                .map_err(|error| Failure::SleptOn(format!("a sender beside room: {error:?}"))),
            _ => match self.receive(A_MOMENT) {
                // Whose turn it is may be stopped.
                Err(Error::TimedOut) if self.plan.other == Other::BeforeDeath => Ok(()),
                Ok(()) => Ok(()),
                Err(error) => Err(Failure::Account(format!("a receiver got {error:?}"))),
            },
        }
    }

    fn receive(&mut self, time: Duration) -> Result<(), Error> {
        let mut buffer = vec![0; LARGE];
        let size = self.receiver.recv_timeout(&mut buffer, time)?;
        let whole = (0..3).find(|&number| buffer[..size] == self.plan.message(number));
        self.got.push(whole.unwrap_or(u8::MAX));
        Ok(())
    }
}

impl Journey for Trial<'_> {
    fn victim(&self) -> &Victim {
        &self.victim
    }

    fn victim_mut(&mut self) -> &mut Victim {
        &mut self.victim
    }

    /// By the place, and by what system calls it has made.
    fn fate(&mut self, _head: usize, address: usize) -> Checked<Option<u64>> {
        Ok(Some(fingerprint((address, self.victim.calls))))
    }

    fn finish(&mut self, survives: bool) -> Checked {
        if self.plan.other == Other::BeforeDeath {
            self.host_acts()?;
        }
        if survives {
            self.victim.survive(|| "a pipe".into())?;
        } else {
            self.victim.kill()?;
        }
        if self.plan.other == Other::AfterDeath {
            self.host_acts()?;
        }
        self.sender = None;
        loop {
            match self.receive(WATCHDOG) {
                Ok(()) => {}
                Err(Error::Disconnected) => break,
                Err(error) => return Err(Failure::SleptOn(format!("the next receiver gets {error:?}"))),
            }
        }
        let done = self.board.done.load(Ordering::Relaxed) != 0;
        let fine: &[&[u8]] = match (self.plan.act, self.plan.other, done) {
            (Act::Send, Other::Never, false) => &[&[0], &[0, 1]],
            (Act::Send, Other::Never, true) => &[&[0, 1]],
            // Stopped before its packet was queued, or after.
            (Act::Send, _, false) => &[&[0, 2], &[0, 1, 2]],
            (Act::Send, _, true) => &[&[0, 1, 2]],
            (Act::Receive, _, false) => &[&[0, 1], &[1]],
            (Act::Receive, _, true) => &[&[1]],
        };
        if fine.contains(&&self.got[..]) {
            return Ok(());
        }
        Err(Failure::Account(format!("received {:?}, of {fine:?}; the victim was done: {done}", self.got)))
    }
}

/// Runs a row. `fails` is told of each failure, and whether to go on.
pub(super) fn run(plan: &Plan, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    journey::run((plan.operation, plan.context), false, || Trial::new(plan), fails)
}
