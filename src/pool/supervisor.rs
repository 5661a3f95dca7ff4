//! The supervisor: forks the workers, replaces the dead, finds out what each death leaves, and ends all
//! when the host is gone. A process of its own with one thread, forked when the pool is made, so that
//! replacements never come from a host that has meanwhile started threads.

use core::ffi::c_void;

use super::control::{Shared, outcome, request};
use super::settle::settle;
use super::word::{ChunkWord, Intent, Pair};
use super::worker;
use crate::error::Result;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{self, Deadline};
use crate::sys::fd::{Fd, poll};
use crate::sys::fork::{self, Fork};
use crate::sys::pidfd::{self, Ended};
use crate::sys::signal::{self, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use crate::sys::stdio::Streams;
use crate::sys::{futex, proc, thread};

/// Signals whose handlers and masks are the host's own: here they get their defaults.
const SIGNALS: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD];
/// Replacements that fail in a row, with no worker left, before the pool is given up.
const MAX_FAILURES: u32 = 5;
/// The first pause after a replacement failed, in nanoseconds; doubled each time.
const FIRST_PAUSE: u64 = 10_000_000;
/// How long workers have to leave after SIGTERM.
const GRACE: u64 = 500_000_000;
/// Exit code of a worker whose initializer failed.
const NOT_READY: i32 = 1;

/// What the pool's maker decides.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) shared: Shared,
    pub(super) max_attempts: u32,
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
    let mut supervisor =
        Supervisor { plan, pid: proc::pid(), alive: 0, failures: 0, missing: true, retry_at: Deadline::NOW };
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
            let until = if self.missing { self.retry_at } else { Deadline::FOREVER };
            let fds = [watched.host.raw(), watched.lifeline.raw(), watched.commands.raw(), signals.raw()];
            let Ok([host, lifeline, command, signal]) = poll(fds, until) else { return outcome::BROKEN };
            if host || lifeline {
                return outcome::ENDED;
            }
            if command {
                watched.commands.drain_event();
                self.kill_condemned();
            }
            if signal {
                while let Some(number) = signal::next_of(signals) {
                    match number {
                        SIGCHLD => {}
                        SIGINT if self.plan.ignore_interrupt => {}
                        _ => return outcome::BROKEN,
                    }
                }
                if !self.bury_dead() {
                    return outcome::BROKEN;
                }
            }
        }
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
            Fork::Child => become_worker(&self.plan, index, self.pid),
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

    /// Collects the dead and has them replaced; false: given up.
    fn bury_dead(&mut self) -> bool {
        while let Some((pid, ended)) = pidfd::collect_any() {
            let slots = &self.plan.shared.slots()[..self.plan.shared.workers];
            let Some(index) = slots.iter().position(|slot| slot.pid.load(Ordering::Relaxed) == pid) else {
                continue;
            };
            let was_ready = slots[index].ready.swap(0, Ordering::Relaxed) != 0;
            slots[index].pid.store(0, Ordering::Relaxed);
            self.alive -= 1;
            let worked = settle(&self.plan, index, ended);
            let left = ended == Ended::Exited(0) && !worked && self.request() == request::CLOSE;
            if left {
                continue;
            }
            self.plan.shared.control().replaced.fetch_add(1, Ordering::Relaxed);
            if was_ready {
                self.failures = 0;
                self.missing = true;
                self.retry_at = Deadline::NOW;
            } else if !self.count_failure() {
                return false;
            }
        }
        true
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
            if !shared.name(own, job, generation) {
                continue;
            }
            // SAFETY: our own intent names the job.
            let fields = unsafe { shared.control().jobs[job].fields() };
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
        let deadline = Deadline::after_nanos(GRACE);
        while self.alive > 0 && !deadline.has_passed() {
            self.collect_all();
            if self.alive > 0 {
                clock::sleep(1_000_000);
            }
        }
        self.signal_all(SIGKILL);
        while self.alive > 0 {
            self.collect_all();
            clock::sleep(200_000);
        }
        let control = self.shared().control();
        // Release: what the last workers left is seen by who sees the outcome.
        control.outcome.store(how, Ordering::Release);
        control.ready.fetch_add(1, Ordering::Release);
        futex::wake(control.ready.as_ptr(), i32::MAX);
        for job in &control.jobs {
            futex::wake(job.completed.as_ptr(), i32::MAX);
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
            let slots = &self.plan.shared.slots()[..self.plan.shared.workers];
            if let Some(slot) = slots.iter().find(|slot| slot.pid.load(Ordering::Relaxed) == pid) {
                slot.pid.store(0, Ordering::Relaxed);
                self.alive -= 1;
            }
        }
    }
}

/// The life of a worker. Never returns.
fn become_worker(plan: &Plan, index: usize, supervisor: u32) -> ! {
    fork::set_parent_death_signal(SIGKILL);
    if proc::parent_pid() != supervisor {
        fork::exit_now(NOT_READY);
    }
    fork::set_name(c"forq-worker");
    if plan.ignore_interrupt {
        signal::ignore(&[SIGINT]);
    }
    signal::set_blocked(&[]);
    if let Some(initializer) = plan.initializer {
        // SAFETY: the pool's maker vouched for it; its argument is in our copy of the maker's memory.
        if unsafe { initializer(plan.initializer_argument) } != 0 {
            worker::Context { shared: &plan.shared, index, flush: plan.flush, streams: plan.streams }.flush();
            fork::exit_now(NOT_READY);
        }
    }
    let control = plan.shared.control();
    // The supervisor writes it too, but perhaps later than the host looks.
    plan.shared.worker(index).pid.store(proc::pid(), Ordering::Release);
    plan.shared.worker(index).ready.store(1, Ordering::Release);
    control.ready.fetch_add(1, Ordering::Release);
    futex::wake(control.ready.as_ptr(), i32::MAX);
    let context = worker::Context { shared: &plan.shared, index, flush: plan.flush, streams: plan.streams };
    worker::serve(&context);
    context.flush();
    fork::exit_now(0)
}
