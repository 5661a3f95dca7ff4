//! The supervisor: forks the workers, replaces the dead, finds out what each death leaves, and ends all
//! when the host is gone. A process of its own with one thread, forked when the pool is made, so that
//! replacements never come from a host that has meanwhile started threads.

use core::ffi::c_void;

use super::control::{Shared, outcome, request};
use super::descriptors::Descriptors;
use super::overdue::Overdue;
use super::recruit::become_worker;
use super::settle::settle;
use super::tidy::Tidy;
use super::word::{ChunkWord, Intent, Pair};
use crate::error::Result;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{self, Deadline};
use crate::sys::fd::{Fd, poll};
use crate::sys::fork::{self, Fork};
use crate::sys::pidfd::{self, Ended};
use crate::sys::signal::{self, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGURG};
use crate::sys::stdio::Streams;
use crate::sys::{futex, proc, thread};

/// Signals whose handlers and masks are the host's own: here they get their defaults. By SIGURG, which does nothing to a process
/// that does not wait for it, workers have the supervisor look.
const SIGNALS: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGURG];
/// Replacements that fail in a row, with no worker left, before the pool is given up.
const MAX_FAILURES: u32 = 5;
/// The first pause after a replacement failed, in nanoseconds; doubled each time.
const FIRST_PAUSE: u64 = 10_000_000;
/// How long after a worker died of SIGINT the supervisor's own may come, in nanoseconds.
const SAME_INTERRUPT: u64 = 50_000_000;

/// What the pool's maker decides.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) shared: Shared,
    pub(super) max_attempts: u32,
    /// 0: as many as there are.
    pub(super) max_tasks: u32,
    /// Nanoseconds; 0: no limit.
    pub(super) task_timeout: u64,
    /// How long workers have to leave after SIGTERM, in nanoseconds.
    pub(super) grace: u64,
    pub(super) pinned: bool,
    pub(super) initializer: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    pub(super) initializer_argument: *mut c_void,
    pub(super) ignore_interrupt: bool,
    pub(super) flush: Option<fn()>,
    pub(super) streams: Streams,
}

/// What the supervisor watches besides its workers.
pub(super) struct Watched {
    /// The host's end.
    pub(super) host: Fd,
    /// At its end when the host ends, executes another program or frees the pool.
    pub(super) lifeline: Fd,
    /// Counts the host's requests.
    pub(super) commands: Fd,
    /// Brings descriptors of results.
    pub(super) results: Fd,
}

struct Supervisor {
    plan: Plan,
    pid: u32,
    alive: usize,
    /// Replacements that failed in a row.
    failures: u32,
    /// Workers to be forked, at `retry_at`.
    missing: bool,
    retry_at: Deadline,
    descriptors: Descriptors,
    overdue: Overdue,
    tidy: Tidy,
}

/// The life of the supervisor. Never returns.
pub(super) fn run(plan: Plan, watched: Watched) -> ! {
    let _guard = fork::AbortOnUnwind;
    fork::set_name(c"forq-supervisor");
    thread::current().set_interruptible(false);
    // The host's handlers and masks are its own business. What is not read from the descriptor waits for ever.
    signal::set_default(&SIGNALS);
    signal::block_all();
    if let Ok(null) = Fd::open_read(c"/dev/null") {
        let _ = null.replace_stdin();
    }
    let mut supervisor = Supervisor {
        plan,
        pid: proc::pid(),
        alive: 0,
        failures: 0,
        missing: true,
        retry_at: Deadline::NOW,
        descriptors: Descriptors::new(),
        overdue: Overdue::new(plan.task_timeout),
        tidy: Tidy::new(),
    };
    let how = match signal::descriptor(&SIGNALS) {
        Ok(signals) => supervisor.watch(&watched, &signals),
        Err(_) => outcome::BROKEN,
    };
    supervisor.end(how)
}

impl Supervisor {
    fn shared(&self) -> &Shared {
        &self.plan.shared
    }

    fn request(&self) -> u32 {
        self.shared().control().request.load(Ordering::Acquire)
    }

    /// Until the pool has ended; how.
    fn watch(&mut self, watched: &Watched, signals: &Fd) -> u32 {
        loop {
            if self.missing && self.retry_at.has_passed() && !self.fork_missing() {
                return outcome::BROKEN;
            }
            if self.request() == request::TERMINATE
                || (self.request() == request::CLOSE && self.alive == 0 && !self.missing)
            {
                return outcome::ENDED;
            }
            let mut until = if self.missing { self.retry_at } else { Deadline::FOREVER };
            until = until.min(self.overdue.look(&self.plan.shared)).min(self.tidy.look(&self.plan.shared));
            let fds = [&watched.host, &watched.lifeline, &watched.commands, signals, &watched.results];
            let Ok(ready) = poll(fds.map(Fd::raw), until) else { return outcome::BROKEN };
            let [host, lifeline, command, signal, result] = ready;
            if host || lifeline {
                return outcome::ENDED;
            }
            if command {
                watched.commands.drain_event();
                self.kill_condemned();
            }
            if signal && let Some(how) = self.heed_signals(signals) {
                return how;
            }
            if result {
                self.descriptors.receive(&watched.results);
            }
            if command || signal || result {
                self.descriptors.tell(&self.plan.shared);
            }
        }
    }

    /// How the pool has ended, if it has.
    fn heed_signals(&mut self, signals: &Fd) -> Option<u32> {
        if let Some(how) = self.read_signals(signals) {
            return Some(how);
        }
        while let Some((pid, ended)) = pidfd::collect_any() {
            // An interrupt of the whole group reaches one process after the other: its end is not the item's fault.
            if ended == Ended::Signaled(SIGINT)
                && !self.plan.ignore_interrupt
                && poll([signals.raw()], Deadline::after_nanos(SAME_INTERRUPT)) == Ok([true])
                && let Some(how) = self.read_signals(signals)
            {
                self.forget(pid);
                return Some(how);
            }
            if !self.bury(pid, ended) {
                return Some(outcome::BROKEN);
            }
        }
        None
    }

    fn read_signals(&self, signals: &Fd) -> Option<u32> {
        while let Some(number) = signal::next_of(signals) {
            match number {
                SIGCHLD | SIGURG => {}
                SIGINT if self.plan.ignore_interrupt => {}
                SIGINT => return Some(outcome::INTERRUPTED),
                _ => return Some(outcome::BROKEN),
            }
        }
        None
    }

    /// Forks what is missing; false: given up.
    fn fork_missing(&mut self) -> bool {
        self.missing = false;
        for index in 0..self.shared().workers {
            if self.shared().worker(index).pid.load(Ordering::Relaxed) != 0 {
                continue;
            }
            if self.fork_worker(index).is_err() {
                return self.count_failure();
            }
        }
        true
    }

    fn fork_worker(&mut self, index: usize) -> Result<()> {
        // SAFETY: this process has one thread.
        match unsafe { fork::fork() }? {
            Fork::Child => {
                self.descriptors.close_all();
                become_worker(&self.plan, index, self.pid)
            }
            Fork::Parent(pid) => {
                self.shared().worker(index).pid.store(pid, Ordering::Release);
                self.alive += 1;
                Ok(())
            }
        }
    }

    /// Plans another try after a pause; false: too many failed, and nobody is left.
    fn count_failure(&mut self) -> bool {
        self.failures += 1;
        self.missing = true;
        let pause = FIRST_PAUSE << self.failures.min(7);
        self.retry_at = Deadline::after_nanos(pause);
        let shared = self.shared();
        let started = shared.control().started.load(Ordering::Acquire) != 0;
        let working =
            shared.slots()[..shared.workers].iter().any(|slot| slot.ready.load(Ordering::Acquire) != 0);
        started && (self.failures < MAX_FAILURES || working)
    }

    /// Takes a dead process out of the books: whose place it had.
    fn forget(&mut self, pid: u32) -> Option<usize> {
        let slots = &self.plan.shared.slots()[..self.plan.shared.workers];
        let index = slots.iter().position(|slot| slot.pid.load(Ordering::Relaxed) == pid)?;
        slots[index].pid.store(0, Ordering::Relaxed);
        self.alive -= 1;
        Some(index)
    }

    /// Puts right what a dead worker left, and has it replaced; false: given up.
    fn bury(&mut self, pid: u32, ended: Ended) -> bool {
        let Some(index) = self.forget(pid) else { return true };
        let shared = self.plan.shared;
        let was_ready = shared.worker(index).ready.swap(0, Ordering::Relaxed) != 0;
        let worked = settle(&self.plan, index, ended);
        let nothing_left = self.request() == request::CLOSE && shared.control().open.is_empty();
        if ended == Ended::Exited(0) && was_ready && !worked && nothing_left {
            return true;
        }
        shared.control().replaced.fetch_add(1, Ordering::Relaxed);
        if was_ready {
            self.failures = 0;
            self.missing = true;
            self.retry_at = Deadline::NOW;
            return true;
        }
        self.count_failure()
    }

    /// Kills the workers whose chunk the host has condemned. It is known to be still in their hands:
    /// a worker cannot leave a condemned chunk.
    fn kill_condemned(&self) {
        let shared = self.shared();
        let own = shared.worker(shared.workers);
        for index in 0..shared.workers {
            let worker = shared.worker(index);
            let Some((job, generation)) = Intent(worker.intent.load(Ordering::Acquire)).get() else {
                continue;
            };
            if generation % 2 == 0 || !shared.name(own, job, generation) {
                continue;
            }
            // SAFETY: our own intent names the job.
            let fields = unsafe { shared.job(job).fields() };
            let chunk = Pair(worker.place.load(Ordering::Acquire)).high();
            // SAFETY: as above.
            let word = unsafe { shared.words(&fields) }.get(chunk as usize);
            let word = word.map(|word| ChunkWord(word.load(Ordering::Acquire)));
            own.intent.store(Intent::NONE.0, Ordering::Release);
            let pid = worker.pid.load(Ordering::Relaxed);
            if word.is_some_and(|word| word.is_condemned_of(index, generation)) && pid != 0 {
                signal::send(pid, SIGKILL);
            }
        }
    }

    /// Ends all workers, says so, and leaves.
    fn end(&mut self, how: u32) -> ! {
        self.signal_all(SIGTERM);
        let deadline = Deadline::after_nanos(self.plan.grace);
        while self.alive > 0 && !deadline.has_passed() {
            self.collect_all();
            if self.alive > 0 {
                clock::sleep(200_000);
            }
        }
        self.signal_all(SIGKILL);
        while self.alive > 0 {
            self.collect_all();
            clock::sleep(200_000);
        }
        let shared = self.shared();
        let control = shared.control();
        // Release: what the last workers left is seen by who sees the outcome.
        control.outcome.store(how, Ordering::Release);
        control.ready.fetch_add(1, Ordering::Release);
        futex::wake(control.ready.as_ptr(), i32::MAX);
        // Who sleeps on a job does not sleep on `ready`: each is woken, as far as slots were ever used.
        for index in 0..(control.slots_used.load(Ordering::Acquire) as usize).min(super::control::JOBS) {
            let job = shared.job(index);
            if job.sleepers.load(Ordering::SeqCst) != 0 {
                futex::wake(job.completed.as_ptr(), i32::MAX);
            }
        }
        fork::exit_now(0)
    }

    fn signal_all(&self, number: i32) {
        for worker in &self.shared().slots()[..self.shared().workers] {
            let pid = worker.pid.load(Ordering::Relaxed);
            if pid != 0 {
                signal::send(pid, number);
            }
        }
    }

    fn collect_all(&mut self) {
        while let Some((pid, _)) = pidfd::collect_any() {
            self.forget(pid);
        }
    }
}
