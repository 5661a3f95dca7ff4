//! The host's side: makes the pool, hands out jobs, waits for them, and lets go.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::NonNull;

use super::arena::Arena;
use super::books::Books;
use super::code::Code;
use super::control::{Memory, Shared, outcome, request};
use super::result::{Flight, PLACES};
use super::statistics::LastJob;
use super::supervisor::{self, Plan, Watched};
use super::word::MAX_WORKERS;
use crate::error::{Error, Result};
use crate::sync::mutex::Mutex;
use crate::sync::names::{self, ObjectKind};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::fd::{self, Fd};
use crate::sys::fork::{self, Fork};
use crate::sys::map::Mapping;
use crate::sys::{cpu, futex, pidfd, proc, signal, socket, stdio, thread};

/// What a pool is made with.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// 0: as many as this process may use CPUs.
    pub(crate) workers: usize,
    pub(crate) max_attempts: u32,
    /// After how many items a worker is replaced; 0: never.
    pub(crate) max_tasks: u32,
    /// Nanoseconds that an item may run; 0: for ever.
    pub(crate) task_timeout: u64,
    /// Nanoseconds between SIGTERM and SIGKILL.
    pub(crate) grace: u64,
    /// Each worker on a CPU of its own.
    pub(crate) pinned: bool,
    /// 0: as much address space as the machine has memory.
    pub(crate) arena_size: usize,
    pub(crate) initializer: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    pub(crate) initializer_argument: *mut c_void,
    pub(crate) ignore_interrupt: bool,
    pub(crate) flush: Option<fn()>,
}

impl Options {
    pub(crate) const DEFAULT: Self = Self {
        workers: 0,
        max_attempts: 1,
        max_tasks: 0,
        task_timeout: 0,
        grace: 500_000_000,
        pinned: false,
        arena_size: 0,
        initializer: None,
        initializer_argument: core::ptr::null_mut(),
        ignore_interrupt: false,
        flush: None,
    };
}

/// The process that made a pool. It lives in a mapping of its own, so that it needs no heap.
pub(crate) struct Host {
    generation: u64,
    born: u64,
    pub(super) shared: Shared,
    /// Unmapped with the host.
    _memory: Memory,
    pub(super) code: Code,
    /// Taken by `free`, when the outcome is known: from then on nobody looks.
    ends: UnsafeCell<Option<Ends>>,
    pub(super) books: Mutex<Books>,
    /// Places of results, one for each job slot.
    flights: Mapping,
    pub(super) last: LastJob,
    /// The pool itself, and each result and stream.
    holders: AtomicU32,
    /// Threads inside a call.
    users: AtomicU32,
    collected: AtomicU32,
}

/// What leads to the supervisor.
struct Ends {
    supervisor: Fd,
    /// Its other end is the supervisor's: at its end when we are gone.
    _lifeline: Fd,
    commands: Fd,
    /// Where descriptors of results go.
    results: Fd,
}

// SAFETY: atomics and a lock; what is in the cell is taken when nobody looks any more.
unsafe impl Sync for Host {}

impl Host {
    /// Makes a pool and waits until its workers are ready.
    ///
    /// # Safety
    /// As a fork, if other threads run: what the initializer and the tasks do must be safe then. The
    /// initializer must be safe to call with its argument in a child.
    pub(crate) unsafe fn start(options: &Options) -> Result<NonNull<Self>> {
        let workers = if options.workers == 0 { cpu::count() as usize } else { options.workers };
        if workers > MAX_WORKERS {
            return Err(Error::InvalidArgument);
        }
        let memory = Memory::new(workers)?;
        let flights = Mapping::private(PLACES)?;
        let place = Mapping::private(size_of::<Self>())?;
        let code = Code::now()?;
        // After what has to be there: it may take what is left.
        let arena = match options.arena_size {
            0 => Arena::of_machine()?,
            size => Arena::new(size)?,
        };
        // SAFETY: both mappings go into the host, which outlives the view; the block is new and large enough.
        let shared = unsafe { Shared::new(&memory, arena.memory(), workers) };
        shared.control().label.0.write(workers);
        let books = Books::new(arena)?;
        let commands = Fd::event()?;
        let (lifeline_end, lifeline) = Fd::pipe()?;
        let (results_end, results) = socket::pair()?;
        let host = pidfd::open(proc::pid())?;
        let single = proc::is_single_threaded();
        let streams = stdio::flush(single);
        // Another thread may hold the language's own stream locked, for ever in the workers.
        let flush = options.flush.filter(|_| single);
        if let Some(flush) = flush {
            flush();
        }
        let plan = Plan {
            shared,
            max_attempts: options.max_attempts,
            max_tasks: options.max_tasks,
            task_timeout: options.task_timeout,
            grace: options.grace,
            pinned: options.pinned,
            initializer: options.initializer,
            initializer_argument: options.initializer_argument,
            ignore_interrupt: options.ignore_interrupt,
            flush,
            streams,
        };
        // The watch descriptors are both processes' until each closes what is the other's.
        let watched = Watched { host, lifeline: lifeline_end, commands, results: results_end };
        // SAFETY: by contract, or there is no other thread.
        let supervisor = match unsafe { fork_supervisor(single) }? {
            None => {
                drop((lifeline, results));
                supervisor::run(plan, watched)
            }
            Some(supervisor) => supervisor,
        };
        let Watched { commands, .. } = watched;
        let host = Self {
            generation: thread::generation(),
            born: clock::now(),
            shared,
            _memory: memory,
            code,
            ends: UnsafeCell::new(Some(Ends { supervisor, _lifeline: lifeline, commands, results })),
            books: Mutex::new(books),
            flights,
            last: LastJob::default(),
            holders: AtomicU32::new(1),
            users: AtomicU32::new(0),
            collected: AtomicU32::new(0),
        };
        let place = place.leak().cast::<Self>();
        // SAFETY: large enough and page-aligned.
        unsafe { place.write(host) };
        // SAFETY: just written.
        if let Err(error) = unsafe { place.as_ref() }.await_ready() {
            // SAFETY: nobody else knows of it.
            unsafe { Self::free(place) };
            return Err(error);
        }
        Ok(place)
    }

    fn await_ready(&self) -> Result<()> {
        let ready = &self.shared.control().ready;
        loop {
            let seen = ready.load(Ordering::Acquire);
            if self.outcome() != outcome::RUNNING {
                return Err(Error::ChildLost);
            }
            let slots = &self.shared.slots()[..self.shared.workers];
            if slots.iter().all(|slot| slot.ready.load(Ordering::Acquire) != 0) {
                self.shared.control().started.store(1, Ordering::Release);
                return Ok(());
            }
            // SAFETY: the control block is mapped.
            unsafe { futex::wait(ready.as_ptr(), seen, Deadline::FOREVER, 0) };
        }
    }

    fn ends(&self) -> Option<&Ends> {
        // SAFETY: taken only when no other thread is inside a call, or will look: see `outcome` and `free`.
        unsafe { &*self.ends.get() }.as_ref()
    }

    /// Where descriptors of results go, while the pool works.
    pub(super) fn results(&self) -> Option<i32> {
        if self.outcome() != outcome::RUNNING {
            return None;
        }
        self.ends().map(|ends| ends.results.raw())
    }

    /// What became of the pool; a supervisor that was killed has broken it.
    pub(super) fn outcome(&self) -> u32 {
        match self.shared.control().outcome.load(Ordering::Acquire) {
            outcome::RUNNING if self.ends().is_some_and(|ends| pidfd::has_ended(ends.supervisor.raw())) => {
                // It may have said how in between.
                let said = &self.shared.control().outcome;
                let (from, to) = (outcome::RUNNING, outcome::BROKEN);
                said.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).err().unwrap_or(to)
            }
            said => said,
        }
    }

    /// Waits for the supervisor's end.
    pub(super) fn supervisor_ends_before(&self, deadline: Deadline) -> bool {
        self.ends().is_none_or(|ends| fd::poll([ends.supervisor.raw()], deadline) == Ok([true]))
    }

    /// Whether the pool has ended in whatever way; a killed supervisor is looked for only if `asking`, or if an end was requested:
    /// that takes a system call.
    pub(super) fn has_ended(&self, asking: bool) -> bool {
        let said = self.shared.control().outcome.load(Ordering::Acquire);
        let ask = asking || self.request() != request::RUN;
        said != outcome::RUNNING || (ask && self.outcome() != outcome::RUNNING)
    }

    /// Wakes the supervisor, to look at what was condemned or requested.
    pub(super) fn command(&self) {
        if let Some(ends) = self.ends() {
            ends.commands.signal_event();
        }
    }

    /// The place of a result, in the order of job slots.
    pub(super) fn place(&self, index: usize) -> NonNull<Flight> {
        assert!(index < super::control::JOBS, "no such job slot");
        // SAFETY: room for one of each job slot.
        unsafe { self.flights.start().cast::<Flight>().add(index) }
    }

    /// Another result or stream keeps the host's memory.
    pub(super) fn hold(&self) {
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// The pool, a result or a stream lets go; the last one frees the memory.
    ///
    /// # Safety
    /// `this` must be from [`Host::start`]; the caller must have held it, and not use it again.
    pub(super) unsafe fn release(this: NonNull<Self>) {
        // AcqRel: all that others did with it is over.
        // SAFETY: still held.
        if unsafe { this.as_ref() }.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: nobody uses it any more; its parts unmap and close what is theirs, then its own place goes.
            unsafe {
                this.drop_in_place();
                let _ = crate::sys::map::unmap(this.as_ptr().cast(), size_of::<Self>());
            }
        }
    }

    /// Runs a call, unless this process did not make the pool; keeps `free` from pulling the ground away.
    pub(crate) fn enter<R>(&self, call: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        if self.generation != thread::generation() {
            return Err(Error::NotPermitted);
        }
        self.users.fetch_add(1, Ordering::Acquire);
        let result = call(self);
        let (users, ending) = (self.users.as_ptr(), self.request() == request::TERMINATE);
        // Release: all uses are over when `free` sees that there are none. From then on the host may be
        // gone: only the address is used. (`free` looks again by itself, should this wake be missed.)
        if self.users.fetch_sub(1, Ordering::Release) == 1 && ending {
            futex::wake(users, 1);
        }
        result
    }

    /// Gives the pool a name, for tools to show.
    pub(crate) fn set_name(&self, name: &[u8]) -> Result<()> {
        names::set(ObjectKind::Pool, core::ptr::from_ref(self.shared.control()).addr(), name)
    }

    pub(super) fn request(&self) -> u32 {
        self.shared.control().request.load(Ordering::Acquire)
    }

    /// No new work; workers leave when all is done.
    pub(crate) fn close(&self) -> Result<()> {
        let request = &self.shared.control().request;
        let _ = request.compare_exchange(request::RUN, request::CLOSE, Ordering::SeqCst, Ordering::Relaxed);
        self.shared.announce_work(usize::MAX);
        self.command();
        Ok(())
    }

    /// Ends all workers; pending work is cancelled.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.shared.control().request.store(request::TERMINATE, Ordering::Release);
        self.command();
        Ok(())
    }

    /// Waits until all workers and the supervisor have ended.
    pub(crate) fn join(&self, deadline: Deadline) -> Result<()> {
        if self.request() == request::RUN && self.outcome() == outcome::RUNNING {
            return Err(Error::InvalidArgument);
        }
        let Some(ends) = self.ends() else { return Ok(()) };
        if !pidfd::wait_end(ends.supervisor.raw(), deadline)? {
            return Err(if deadline.is_now() { Error::WouldBlock } else { Error::TimedOut });
        }
        if self.collected.swap(1, Ordering::Relaxed) == 0 {
            let _ = pidfd::join(ends.supervisor.raw(), Deadline::FOREVER);
        }
        Ok(())
    }

    /// Nanoseconds since the pool was made.
    pub(super) fn age(&self) -> u64 {
        clock::now().saturating_sub(self.born)
    }

    /// Ends the pool, and gives all back but what results still hold. In a forked child only the child's copies.
    ///
    /// # Safety
    /// `this` must come from [`Host::start`] and not be used again, but by threads that are inside a call now.
    pub(crate) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: valid by contract.
        let host = unsafe { this.as_ref() };
        if host.generation == thread::generation() {
            let _ = host.terminate();
            // A thread that asked to be interrupted is not, here: workers must be gone before their memory.
            while host.join(Deadline::FOREVER) == Err(Error::Interrupted) {}
            loop {
                let users = host.users.load(Ordering::Acquire);
                if users == 0 {
                    break;
                }
                // SAFETY: the host is mapped until below.
                unsafe { futex::wait(host.users.as_ptr(), users, Deadline::after_nanos(10_000_000), 0) };
            }
            // From here on the outcome is read, and what is taken below is not: see `ends`.
            host.outcome();
        }
        // SAFETY: no thread is inside a call, and those of results that come later find that the pool has ended.
        drop(unsafe { &mut *host.ends.get() }.take());
        // SAFETY: the pool lets go.
        unsafe { Self::release(this) };
    }
}

/// Forks the supervisor: the parent gets its descriptor, the child `None`. From a host with one thread the
/// supervisor is not seen by the host's own `wait` loops and signal handlers.
///
/// # Safety
/// As [`fork::fork`] if not `single`.
unsafe fn fork_supervisor(single: bool) -> Result<Option<Fd>> {
    if single {
        // SAFETY: one thread.
        let (fork, descriptor) = unsafe { fork::fork_unseen() }?;
        return Ok(match fork {
            Fork::Child => None,
            Fork::Parent(_) => descriptor,
        });
    }
    // SAFETY: by contract.
    match unsafe { fork::fork() }? {
        Fork::Child => Ok(None),
        Fork::Parent(pid) => match pidfd::open(pid) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(error) => {
                // Still there, even if it has ended: nobody has collected it.
                signal::send(pid, signal::SIGKILL);
                pidfd::collect_pid(pid);
                Err(error)
            }
        },
    }
}
