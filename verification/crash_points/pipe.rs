//! Rows of the pipe: a message is there whole or not at all, whoever is killed; messages of several senders do not mix; a dead receiver
//! holds nobody up, and takes at most the message in its hands with it; then comes the end.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{Connection, Error, Mutex, Shared};

use super::failure::{Checked, Failure};
use super::ownerless::trial::{Kill, Path, again};
use super::row::Tally;
use super::symbol;
use super::system::{self, Change, WATCHDOG};
use super::tracee::Tracee;
use super::trap::trap;

/// After so many failures the rest of a row is not tried.
const ENOUGH: u64 = 3;
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
    victim: Option<Tracee>,
    at: usize,
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
        let victim = Tracee::start(|| {
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
        Ok(Self { plan, board, receiver, sender, victim: Some(victim), at: 0, got: Vec::new() })
    }

    fn victim(&self) -> Checked<&Tracee> {
        self.victim.as_ref().ok_or_else(|| Failure::Harness("the victim is gone".into()))
    }

    fn step(&mut self, address: usize) -> Checked {
        self.victim()?.step(address, |_| false)?;
        self.at += 1;
        Ok(())
    }

    /// Its way, and where a kill differs: by the place, and by what system calls it has made.
    fn record(&mut self) -> Checked<Path> {
        let mut path = Path::default();
        let (mut before, mut seen, mut calls) = (HashMap::new(), HashSet::new(), 0);
        loop {
            let address = self.victim()?.at()?;
            path.previous.push(before.insert(address, self.at));
            path.addresses.push(address);
            if seen.insert((address, calls)) {
                path.points.push(self.at);
            }
            if Tracee::is_at_trap(address) {
                return Ok(path);
            }
            calls += usize::from(Tracee::is_system_call(address));
            self.step(address)?;
        }
    }

    fn advance(&mut self, path: &Path, goal: usize) -> Checked {
        loop {
            let address = self.victim()?.at()?;
            if path.addresses.get(self.at) != Some(&address) {
                return Err(Failure::OtherPath(format!("instruction {} is at {address:#x}", self.at)));
            }
            if self.at >= goal || Tracee::is_at_trap(address) {
                return Ok(());
            }
            match path.anchor(self.at, goal) {
                Some(anchor) => {
                    self.victim()?.run_to(path.addresses[anchor])?;
                    self.at = anchor;
                }
                None => self.step(address)?,
            }
        }
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

    fn finish(&mut self, survives: bool) -> Checked {
        if self.plan.other == Other::BeforeDeath {
            self.host_acts()?;
        }
        let Some(victim) = self.victim.take() else { return self.victim().map(drop) };
        if survives {
            victim.release()?;
            match system::wait(victim.pid()) {
                Some(Change::Exited(0)) => {}
                end => return Err(Failure::Account(format!("the victim, not killed, ended by {end:?}"))),
            }
        } else if !system::kill_and_reap(victim.pid()) {
            return Err(Failure::Harness("the victim does not die".into()));
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

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(victim) = self.victim.take() {
            system::kill_and_reap(victim.pid());
        }
    }
}

/// Runs a row. `fails` is told of each failure, and whether to go on.
pub(super) fn run(plan: &Plan, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
    let mut tally = Tally::default();
    let name = |place: &str, failure: &Failure| {
        format!("FAILED {} / {}: {place}: {failure}", plan.operation, plan.context)
    };
    let path = again(|| {
        let mut trial = Trial::new(plan)?;
        let path = trial.record()?;
        trial.finish(true)?;
        Ok(path)
    });
    let path = match path {
        Ok(path) => path,
        Err(failure) => {
            fails(&name("not killed", &failure));
            return Tally { failures: 1, ..tally };
        }
    };
    tally.instructions = path.addresses.len() as u64 - 1;
    for &point in &path.points {
        let result = again(|| {
            let mut trial = Trial::new(plan)?;
            trial.advance(&path, point)?;
            trial.finish(false)
        });
        tally.kills += 1;
        if let Err(failure) = result {
            let place = symbol::of(path.addresses[point]);
            let place = format!("{:?} of {}, {place}", Kill::Before(point), tally.instructions);
            tally.failures += 1;
            if !fails(&name(&place, &failure)) || tally.failures >= ENOUGH {
                break;
            }
        }
    }
    tally
}
