//! Messages that grow, with a receiver of a pipe stopped, or their sender killed, before each instruction of what they do: stepped by
//! ptrace. (Kills where sizes stay the same are among the rows of `verification/crash_points.rs`.)
//!
//! Every instruction in an optimised build, every 300th otherwise, or as `FORQ_EVERY` says.
//! Linux on x86_64 and aarch64.

#[path = "support/path.rs"]
mod path;
mod support;
#[path = "support/tracee.rs"]
mod tracee;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{Connection, Error, ExitStatus, Process, Shared, pipe_one_way};
use path::Path;
use tracee::{Tracee, every, first};

fn main() {
    support::run(&[
        ("a_receiver_stopped_at_any_instruction_cuts_no_larger_message", stopped_receiver),
        ("a_sender_killed_at_any_instruction_sent_the_growing_messages_up_to_one", killed_sender),
    ]);
}

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn message(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at + size) as u8).collect()
}

/// A child that does its act when it is told to, and says when it has.
struct Actor {
    process: Process,
    start: Connection,
    done: Shared<AtomicU32>,
}

impl Actor {
    fn new(act: impl FnOnce()) -> Self {
        let (told, start) = pipe_one_way().unwrap();
        let done = Shared::new(AtomicU32::new(0)).unwrap();
        let process = Process::spawn(|| {
            told.recv(&mut [0]).unwrap();
            act();
            done.store(1, Ordering::Release);
            loop {
                std::thread::sleep(PATIENCE);
            }
        })
        .unwrap();
        Self { process, start, done }
    }

    /// Begins the act and lets `lead` lead it to where it is to be stopped; `None`: it did not come there.
    fn stop(&self, lead: &mut dyn FnMut(&Tracee) -> bool) -> Option<Tracee> {
        let tracee = Tracee::attach(self.process.pid());
        self.start.send(b"!").unwrap();
        lead(&tracee).then_some(tracee)
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == 1
    }

    fn kill(mut self) -> bool {
        let is_done = self.is_done();
        if let Err(error) = self.process.kill() {
            panic!("{error}: {:?}", self.process.join());
        }
        assert_eq!(self.process.join(), Ok(ExitStatus::Signaled(libc::SIGKILL)));
        is_done
    }
}

/// Lets `trial` stop its act before instruction 0, n, 2n .., up to the one in which it falls asleep. It says whether the act came there.
fn at_each(mut trial: impl FnMut(usize, &mut dyn FnMut(&Tracee) -> bool) -> bool) {
    let mut recorded = None;
    trial(0, &mut |tracee| {
        recorded = Some(Path::record(tracee, || true));
        false
    });
    let path = recorded.expect("the act has begun");
    let (from, stride) = (first(), every(if cfg!(debug_assertions) { 10 } else { 1 }));
    let (mut trials, mut strays) = (0, 0);
    for at in (from..path.len() - 1).step_by(stride).chain([path.len() - 1]) {
        trials += 1;
        if !trial(at, &mut |tracee| path.lead(tracee, at, || true) == at) {
            strays += 1;
            trial(at, &mut |tracee| tracee.step(at) == at);
        }
    }
    println!("     {trials} trials in {} instructions, {strays} of them by steps", path.len());
    assert!(path.len() > 200, "that is no act");
}

fn stopped_receiver() {
    const SMALL: usize = 8;
    const LARGE: usize = 100;
    at_each(|at, lead| {
        let (receiver, sender) = pipe_one_way().unwrap();
        let mut buffer = [0; LARGE];
        sender.send(&message(SMALL)).unwrap();
        assert_eq!(receiver.recv(&mut buffer[..SMALL]), Ok(SMALL));
        let actor = Actor::new(|| {
            let mut buffer = [0; LARGE];
            // Nothing is there at first: it waits for what comes.
            assert_eq!(receiver.recv(&mut buffer[..SMALL]), Err(Error::MessageSize));
            assert_eq!(receiver.recv(&mut buffer), Ok(LARGE));
            assert_eq!(buffer[..], message(LARGE));
        });
        let Some(tracee) = actor.stop(lead) else {
            // Perhaps it waits in the kernel, where no step changes anything.
            actor.kill();
            return false;
        };
        let mut sent = sender.send_timeout(&message(LARGE), Duration::from_millis(1));
        if sent.is_err() {
            // That one has told the receivers of the size: it does not help the next.
            sent = sender.send_timeout(&message(LARGE), Duration::from_millis(1));
        }
        tracee.release();
        if let Err(error) = sent {
            assert_eq!(error, Error::TimedOut, "{at}: it has the turn");
            sender.send_timeout(&message(LARGE), PATIENCE).unwrap();
        }
        support::eventually("the act is over", || {
            actor.is_done() || !support::is_running(actor.process.pid())
        });
        assert!(actor.kill(), "{at}");
        true
    });
}

fn killed_sender() {
    const SIZES: [usize; 4] = [1, 9, 300, 70_000];
    let messages = SIZES.map(message);
    let mut has_ended = false;
    at_each(|at, lead| {
        let (receiver, sender) = pipe_one_way().unwrap();
        let actor = Actor::new(|| messages.iter().for_each(|message| sender.send(message).unwrap()));
        let has_come = actor.stop(lead).is_some();
        let is_done = actor.kill();
        sender.send_timeout(&message(500), PATIENCE).unwrap();
        let mut received = Vec::new();
        loop {
            let next = receiver.recv_vec().unwrap();
            assert_eq!(next, message(next.len()), "{at}");
            if next.len() == 500 {
                break;
            }
            received.push(next.len());
        }
        assert_eq!(received, SIZES[..received.len()], "{at}");
        assert!(!is_done || received.len() == SIZES.len(), "{at}");
        assert_eq!(receiver.try_recv(&mut []), Err(Error::WouldBlock), "{at}");
        has_ended |= is_done;
        has_come
    });
    assert!(has_ended);
}
