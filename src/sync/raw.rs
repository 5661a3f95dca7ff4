//! The lock itself: robust, process-shared, fair to the dead. [`Mutex`](super::mutex::Mutex) and the
//! C face stand on it.
//!
//! Why not the textbook futex lock, or libc's robust one: their word (thread id and a waiters bit)
//! loses a wake-up when a woken waiter is killed before it marks itself as waiting again, or the
//! releaser between its store and its wake call, while a third process takes the lock in between.
//! Here those who wait are *counted* in the same 64 bits, so that whoever holds the lock next knows
//! that there are others; and the kernel, told by the pending entry, wakes one for who dies on the
//! way. Checked exhaustively by the models in `verification/models`, and by killing at every
//! instruction in `verification/crash_points.rs`. The transitions are listed in [`state`].

use super::state::{self, State};
use super::statistics::MutexStatistics;
use super::waiter::Waiter;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, modelled};
use crate::sys::clock::{self, Deadline};
use crate::sys::futex::{self, Wake};
use crate::sys::robust::Node;
use crate::sys::thread::{self, Thread};
use crate::sys::{is_planted, proc};

/// Wake calls for nobody, in a row, after which the count of waiters is taken anew.
const USELESS_WAKES: u32 = 32;

/// Not in shared memory (yet): not linked into the robust list, since a value may move or be
/// forgotten while it is locked. Zero bytes mean shared.
const PRIVATE: u32 = 1;

/// The lock, 128 bytes: a hot line that an uncontended use touches, and a cold one.
///
/// Valid when all bytes are zero. Those who hold it write the fields marked (holder) plainly; those
/// who wait write the cold line by atomic additions. All counters are Relaxed: they order nothing.
#[repr(C, align(64))]
pub(crate) struct RawMutex {
    state: modelled::AtomicU64,
    /// (holder) The holder's process, from when it may have a guard until it lets go; else 0.
    owner_pid: AtomicU32,
    flags: AtomicU32,
    /// (holder)
    acquisitions: AtomicU64,
    /// (holder) In the holder's robust list.
    node: Node,
    /// (holder)
    contended: AtomicU64,
    /// (holder) The process whose thread ended with the lock held, until it is known to have ended as a whole; else 0.
    leaker: AtomicU32,
    _hot: [u32; 3],

    slept: AtomicU64,
    waited_ns: AtomicU64,
    waited_max_ns: AtomicU64,
    holder_deaths: AtomicU64,
    useless_wakes: AtomicU32,
    _cold: u32,
    /// Whom the holder waits for, for deadlock detection: thread and wait number, distance to that mutex.
    _edge: [u64; 2],
    _name: [u8; 8],
}

/// Where the list pointers point, from the start of the lock.
pub(super) const NEXT_OFFSET: usize = 32;

#[cfg(all(target_pointer_width = "64", not(loom)))]
mod layout {
    use super::*;
    use core::mem::offset_of;
    use static_assertions::const_assert_eq;

    const_assert_eq!(size_of::<RawMutex>(), 128);
    const_assert_eq!(offset_of!(RawMutex, node) + size_of::<usize>(), NEXT_OFFSET);
    const_assert_eq!(offset_of!(RawMutex, contended), 40);
    const_assert_eq!(offset_of!(RawMutex, slept), 64);
    // The kernel finds the word where libc's own mutexes have it.
    const_assert_eq!(NEXT_OFFSET as isize + crate::sys::robust::FUTEX_OFFSET, state::FUTEX_BYTE as isize);
}

// SAFETY: all fields are atomic but the node, which only the holder touches.
unsafe impl Sync for RawMutex {}
// SAFETY: as above. A lock that is moved is private, so that nobody has its address.
unsafe impl Send for RawMutex {}

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// As it was left by its last holder.
    Clean,
    /// What it guards may be in the middle of a change: the last holder died, or one before it did
    /// and nobody has declared it repaired.
    Inconsistent {
        /// The process whose thread ended with the lock held; 0: none that is not known to have ended.
        leaker: u32,
    },
}

impl RawMutex {
    /// One that is not yet in shared memory.
    #[cfg(not(loom))]
    pub(crate) const fn new_private() -> Self {
        // SAFETY: every field is valid when zero: integers, and a node of two null pointers.
        let mutex: Self = unsafe { core::mem::zeroed() };
        Self { flags: AtomicU32::new(PRIVATE), ..mutex }
    }

    /// Loom's atomics are not valid when zero; the rest is.
    #[cfg(loom)]
    pub(crate) fn new_private() -> Self {
        let mut mutex = core::mem::MaybeUninit::<Self>::zeroed();
        // SAFETY: a place for the state; then every field is valid.
        unsafe {
            (&raw mut (*mutex.as_mut_ptr()).state).write(modelled::AtomicU64::new(0));
            let mut mutex = mutex.assume_init();
            *mutex.flags.get_mut() = PRIVATE;
            mutex
        }
    }

    /// Declares that the lock now has its place in shared memory, and will not move.
    pub(crate) fn place(&mut self) {
        *self.flags.get_mut() &= !PRIVATE;
    }

    /// Makes it free and its statistics zero.
    ///
    /// # Safety
    /// Nobody may be using it.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn initialize(this: *mut Self) {
        // SAFETY: by contract; zero is valid.
        unsafe { this.write_bytes(0, 1) };
    }

    fn load(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    fn futex(&self) -> *const u32 {
        modelled::futex(&self.state, state::FUTEX_BYTE)
    }

    /// Replaces one state by another, seeing all that happened before the last release.
    fn take(&self, from: State, to: State) -> core::result::Result<(), State> {
        // Acquire pairs with the Release of `change`. The kernel's own change at a death is ordered by the kernel.
        let ordering = if is_planted("relaxed_take") { Ordering::Relaxed } else { Ordering::Acquire };
        self.state.compare_exchange(from.0, to.0, ordering, Ordering::Relaxed).map(drop).map_err(State)
    }

    /// Replaces one state by another, letting all that happened before be seen by the next taker.
    fn change(&self, from: State, to: State) -> core::result::Result<(), State> {
        let ordering = if is_planted("relaxed_release") { Ordering::Relaxed } else { Ordering::Release };
        self.state.compare_exchange(from.0, to.0, ordering, Ordering::Relaxed).map(drop).map_err(State)
    }

    /// Waits for the lock until `deadline`; [`Deadline::NOW`] only tries.
    #[inline]
    pub(crate) fn lock(&self, deadline: Deadline) -> Result<Acquired> {
        let thread = thread::current();
        // SAFETY: this thread's entry; the lock stays mapped while it is borrowed.
        unsafe { self.begin(thread) };
        if self.take(State::FREE, State(thread.locked())).is_ok() {
            self.enter(thread);
            Ok(Acquired::Clean)
        } else {
            self.lock_slow(thread, deadline)
        }
    }

    /// Takes the lock only if it is free: `Busy` otherwise, also if this thread holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Result<Acquired> {
        self.lock(Deadline::NOW).map_err(|error| match error {
            Error::WouldBlock | Error::Deadlock => Error::Busy,
            other => other,
        })
    }

    /// # Safety
    /// As [`Thread::set_pending`].
    #[inline(always)]
    unsafe fn begin(&self, thread: &Thread) {
        if cfg!(forq_fault = "no_pending") {
            return;
        }
        // SAFETY: by contract.
        unsafe { thread.set_pending(&self.node) };
    }

    /// What every taker does once the state is its own.
    #[inline(always)]
    fn enter(&self, thread: &Thread) {
        if self.flags.load(Ordering::Relaxed) & PRIVATE == 0 {
            // SAFETY: just taken, so in no list; it stays where it is until it is released.
            unsafe { thread.link(&self.node) };
        }
        thread.clear_pending();
        self.owner_pid.store(thread.pid(), Ordering::Relaxed);
        self.acquisitions.store(self.acquisitions.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self, thread: &Thread, deadline: Deadline) -> Result<Acquired> {
        let mut waiter = Waiter::new(deadline);
        let result = loop {
            let state = self.load();
            if state.is_free() {
                match self.take(state, state.taken(thread.locked(), waiter.announced)) {
                    Ok(()) => break Ok(state),
                    Err(_) => continue,
                }
            }
            if state.owner() == State(thread.locked()).owner() {
                break self.give_up(thread, &mut waiter, Error::Deadlock);
            }
            if deadline.is_now() {
                break Err(Error::WouldBlock);
            }
            if let Err(error) = self.wait_once(state, &mut waiter) {
                break self.give_up(thread, &mut waiter, error);
            }
        };
        match result {
            Ok(before) => Ok(self.enter_slow(thread, before, &waiter)),
            Err(error) => {
                thread.clear_pending();
                self.account(&waiter);
                Err(error)
            }
        }
    }

    fn enter_slow(&self, thread: &Thread, before: State, waiter: &Waiter) -> Acquired {
        if before.owner_died() && self.leaker.load(Ordering::Relaxed) == 0 {
            // Before `enter` writes another owner: whoever is killed in between leaves one trace or the other.
            self.leaker.store(self.owner_pid.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if before.owner_died() {
            // The dead one may have been healing: some may sleep whom nobody counts. While the lock is held
            // and the pending entry set, so that our own death leaves this to the next one.
            futex::wake(self.futex(), i32::MAX);
        }
        self.enter(thread);
        if waiter.waited {
            self.contended.store(self.contended.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            self.account(waiter);
        }
        if before.owner_died() {
            self.holder_deaths.fetch_add(1, Ordering::Relaxed);
        } else if !before.is_inconsistent() {
            return Acquired::Clean;
        }
        Acquired::Inconsistent { leaker: self.leaker.load(Ordering::Relaxed) }
    }

    /// Spins, yields or sleeps, each a little.
    fn wait_once(&self, state: State, waiter: &mut Waiter) -> Result<()> {
        waiter.waited = true;
        if waiter.backoff.will_yield() && waiter.since == 0 {
            waiter.since = clock::now();
        }
        if waiter.backoff.snooze() {
            return Ok(());
        }
        if state.needs_announcement(waiter.announced) {
            let (announced, mine) = state.with_announcement(waiter.announced);
            // Relaxed would do: nothing is published. A failure means that the state moved on.
            if self.change(state, announced).is_ok() {
                waiter.announced = Some(mine);
            }
            return Ok(());
        }
        waiter.sleeps += 1;
        // SAFETY: the lock stays mapped while it is borrowed.
        match unsafe { futex::wait(self.futex(), state.futex_word(), waiter.deadline, waiter.sleeps) } {
            Wake::Woken => {}
            Wake::TimedOut => return Err(Error::TimedOut),
            Wake::Interrupted => return Err(Error::Interrupted),
            Wake::Bound => self.bury(state.owner()),
        }
        Ok(())
    }

    /// Does for a holder that is gone what the kernel would have done, had it known: a thread that
    /// executed another program, a list too long, no robust lists at all.
    #[cold]
    fn bury(&self, owner: u32) {
        let state = self.load();
        if state.owner() == owner && owner != 0 && proc::is_gone(owner) {
            let _ = self.change(state, state.bereaved());
        }
    }

    /// A last try to take, then withdraws. The pending entry stays set: if this thread is killed on the
    /// way, the kernel hands on a wake-up that was meant for it.
    #[cold]
    fn give_up(&self, thread: &Thread, waiter: &mut Waiter, error: Error) -> Result<State> {
        loop {
            let state = self.load();
            if state.is_free() {
                match self.take(state, state.taken(thread.locked(), waiter.announced)) {
                    Ok(()) => return Ok(state),
                    Err(_) => continue,
                }
            }
            let withdrawn = state.withdrawn(waiter.announced);
            if withdrawn == state || self.change(state, withdrawn).is_ok() {
                break;
            }
        }
        if waiter.announced.is_some() && self.load().is_free() {
            futex::wake(self.futex(), 1);
        }
        Err(error)
    }

    fn account(&self, waiter: &Waiter) {
        if waiter.sleeps > 0 {
            self.slept.fetch_add(u64::from(waiter.sleeps), Ordering::Relaxed);
        }
        if waiter.since != 0 {
            let waited = clock::now().saturating_sub(waiter.since);
            self.waited_ns.fetch_add(waited, Ordering::Relaxed);
            self.waited_max_ns.fetch_max(waited, Ordering::Relaxed);
        }
    }

    /// Releases the lock: `NotPermitted` if this thread does not hold it.
    #[inline]
    pub(crate) fn unlock(&self) -> Result<()> {
        let thread = thread::current();
        let state = self.load();
        if state.owner() != State(thread.locked()).owner() {
            return Err(Error::NotPermitted);
        }
        // SAFETY: this thread's entry; the lock stays mapped while it is borrowed.
        unsafe { self.begin(thread) };
        if self.flags.load(Ordering::Relaxed) & PRIVATE == 0 {
            // SAFETY: this thread holds it, so it is in its list.
            unsafe { thread.unlink(&self.node) };
        }
        // From here on a death leaves no guard behind; nor does one before `enter` writes the next owner.
        self.owner_pid.store(0, Ordering::Relaxed);
        if cfg!(forq_fault = "late_pending") {
            thread.clear_pending();
        }
        let plain = State(thread.locked());
        if state == plain && self.change(plain, State::FREE).is_ok() {
            thread.clear_pending();
        } else {
            self.unlock_slow(thread);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn unlock_slow(&self, thread: &Thread) {
        if self.useless_wakes.load(Ordering::Relaxed) >= USELESS_WAKES {
            self.heal();
        }
        let before = loop {
            let state = self.load();
            if self.change(state, state.released()).is_ok() {
                break state;
            }
        };
        if before.has_waiters() {
            if futex::wake(self.futex(), 1) > 0 {
                self.useless_wakes.store(0, Ordering::Relaxed);
            } else {
                self.useless_wakes.fetch_add(1, Ordering::Relaxed);
            }
        }
        thread.clear_pending();
    }

    /// Takes the count of waiters anew, and wakes all, who announce themselves again. Only by the holder.
    #[cold]
    fn heal(&self) {
        self.useless_wakes.store(0, Ordering::Relaxed);
        loop {
            let state = self.load();
            if !state.can_heal() {
                return;
            }
            if self.change(state, state.healed()).is_ok() {
                futex::wake(self.futex(), i32::MAX);
                return;
            }
        }
    }

    /// Declares what the lock guards repaired: `NotPermitted` by another than the holder,
    /// `InvalidArgument` if there is nothing to repair.
    pub(crate) fn consistent(&self) -> Result<()> {
        loop {
            let state = self.load();
            if !self.is_held_by_me(state) {
                return Err(Error::NotPermitted);
            }
            if !state.is_inconsistent() {
                return Err(Error::InvalidArgument);
            }
            if self.change(state, state.repaired()).is_ok() {
                self.clear_leaker();
                return Ok(());
            }
        }
    }

    /// Forgets whose thread left the lock held: that process has ended. Only by the holder.
    pub(crate) fn clear_leaker(&self) {
        self.leaker.store(0, Ordering::Relaxed);
    }

    /// Leaves word for the next taker that what the lock guards is in the middle of a change. Only by the holder.
    #[cfg(feature = "std")]
    pub(crate) fn mark_inconsistent(&self) {
        loop {
            let state = self.load();
            if !self.is_held_by_me(state) || self.change(state, state.broken()).is_ok() {
                return;
            }
        }
    }

    fn is_held_by_me(&self, state: State) -> bool {
        state.owner() == State(thread::current().locked()).owner()
    }

    /// The holder's thread id; 0: nobody.
    pub(crate) fn owner(&self) -> u32 {
        self.load().owner()
    }

    /// Whether a thread of this process holds it, or did when it ended: its list may still name the lock.
    pub(crate) fn is_held_here(&self) -> bool {
        !self.load().is_free() && self.owner_pid.load(Ordering::Relaxed) == thread::current().pid()
    }

    /// What it tells of its past.
    pub(crate) fn statistics(&self) -> MutexStatistics {
        MutexStatistics {
            acquisitions: self.acquisitions.load(Ordering::Relaxed),
            contended: self.contended.load(Ordering::Relaxed),
            slept: self.slept.load(Ordering::Relaxed),
            waited_ns: self.waited_ns.load(Ordering::Relaxed),
            waited_max_ns: self.waited_max_ns.load(Ordering::Relaxed),
            holder_deaths: self.holder_deaths.load(Ordering::Relaxed),
        }
    }

    /// Releases the lock, however often its holder has locked it; gives that number to [`RawMutex::reacquire`].
    /// `NotPermitted` if this thread does not hold it.
    pub(crate) fn release_whole(&self) -> Result<u32> {
        self.unlock().map(|()| 1)
    }

    /// Takes the lock again as [`RawMutex::release_whole`] found it.
    pub(crate) fn reacquire(&self, _depth: u32, deadline: Deadline) -> Result<Acquired> {
        self.lock(deadline)
    }

    /// Whether the next taker will be told of a death, as far as can be seen without taking it.
    pub(crate) fn awaits_repair(&self) -> bool {
        let state = self.load();
        if state.is_free() {
            state.owner_died() || state.is_inconsistent()
        } else {
            proc::is_gone(state.owner())
        }
    }
}
