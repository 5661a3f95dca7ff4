//! The lock's long paths: waiting, taking after a death, releasing to waiters, and the special kinds. Only for [`raw`](super::raw).

use super::origin::Origin;
use super::raw::{ANY_RELEASE, Acquired, PRIVATE, RECURSIVE, RawMutex};
use super::state::{self, State};
use super::useless::Useless;
use super::waiter::Waiter;
use crate::error::{Error, Result};
use crate::sys::atomic::{Ordering, modelled};
use crate::sys::clock::{self, Deadline};
use crate::sys::futex::{self, Wake};
use crate::sys::proc;
use crate::sys::thread::{self, Thread};

/// How waiting ended.
enum End {
    /// The state, as it was before, is ours.
    Taken(State),
    /// It was ours already.
    Again,
}

impl RawMutex {
    pub(super) fn futex(&self) -> *const u32 {
        modelled::futex(&self.state, state::FUTEX_BYTE)
    }

    /// What a taker adds to the state.
    fn mine(&self, thread: &Thread) -> u64 {
        if self.has(ANY_RELEASE) { State::UNOWNED.0 } else { thread.locked() }
    }

    /// What [`RawMutex::lock`] does when [`RawMutex::lock_fast`] did not take it. The pending entry names the lock since
    /// [`RawMutex::begin`].
    #[cold]
    #[inline(never)]
    pub(crate) fn lock_slow(&self, deadline: Deadline) -> Result<Acquired> {
        let thread = thread::current();
        let mut waiter = Waiter::new(deadline);
        let end = self.wait(thread, &mut waiter);
        waiter.watch.end(thread);
        match end {
            Ok(End::Taken(before)) => Ok(self.enter_slow(thread, before, &waiter)),
            Ok(End::Again) => {
                thread.clear_pending();
                let depth = self.depth.load(Ordering::Relaxed).checked_add(1).ok_or(Error::Overflow)?;
                self.depth.store(depth, Ordering::Relaxed);
                Ok(Acquired::Clean)
            }
            Err(error) => {
                thread.clear_pending();
                self.account(&waiter);
                Err(error)
            }
        }
    }

    fn wait(&self, thread: &Thread, waiter: &mut Waiter) -> Result<End> {
        let mine = self.mine(thread);
        loop {
            let state = self.load();
            if state.is_free() {
                match self.take(state, state.taken(mine, waiter.announced)) {
                    Ok(()) => {
                        if waiter.waited {
                            waiter.pace.taken(self.turns(), &self.hot, &self.row);
                        }
                        return Ok(End::Taken(state));
                    }
                    Err(_) => continue,
                }
            }
            if state.owner() == State(thread.locked()).owner() {
                if self.has(RECURSIVE) {
                    return Ok(End::Again);
                }
                return self.give_up(thread, waiter, Error::Deadlock);
            }
            if waiter.deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if let Err(error) = self.wait_once(thread, state, waiter) {
                return self.give_up(thread, waiter, error);
            }
        }
    }

    fn enter_slow(&self, thread: &Thread, before: State, waiter: &Waiter) -> Acquired {
        if before.owner_died() {
            self.inherit();
        }
        if self.has(PRIVATE | ANY_RELEASE) {
            // No list: the kernel is to know nothing of a lock that may move, or that nobody owns.
            thread.clear_pending();
            if self.has(ANY_RELEASE) { self.end_turn() } else { self.stamp(thread) }
        } else {
            self.enter(thread);
        }
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

    /// What the taker finds of a dead holder: while the lock is held and the pending entry set, so that our own death
    /// leaves this to the next one.
    fn inherit(&self) {
        let stamped = self.stamped();
        if stamped != 0 {
            if self.leaker.load(Ordering::Relaxed) == 0 {
                // Before the turn ends: whoever is killed in between leaves one trace or the other.
                self.leaker.store(stamped, Ordering::Relaxed);
            }
            self.end_turn();
        }
        self.depth.store(0, Ordering::Relaxed);
        self.edge.clear();
        // It may have been healing: some may sleep whom nobody counts.
        futex::wake(self.futex(), i32::MAX);
    }

    /// Spins, yields or sleeps, each a little.
    fn wait_once(&self, thread: &Thread, state: State, waiter: &mut Waiter) -> Result<()> {
        waiter.waited = true;
        if waiter.pace.will_yield() && waiter.since == 0 {
            waiter.since = clock::now();
        }
        if waiter.pace.snooze(self.turns(), &self.hot) {
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
        let bound =
            waiter.watch.patience(thread, clock::now()).unwrap_or_else(|| futex::bound(waiter.sleeps));
        // SAFETY: the lock stays mapped while it is borrowed.
        match unsafe {
            futex::wait_among(self.futex(), state.futex_word(), futex::EVERYBODY, waiter.deadline, bound)
        } {
            Wake::Woken => {}
            Wake::TimedOut => return Err(Error::TimedOut),
            Wake::Interrupted => return Err(Error::Interrupted),
            Wake::Bound => self.bury(state),
        }
        if waiter.watch.finds_deadlock(thread, self) { Err(Error::Deadlock) } else { Ok(()) }
    }

    /// Does for a holder that is gone what the kernel would have done, had it known: a thread that
    /// executed another program, a list too long, no robust lists at all.
    #[cold]
    fn bury(&self, seen: State) {
        let state = self.load();
        let is_same = state.owner() == seen.owner() && !state.is_free() && !state.is_unowned();
        if is_same && proc::is_gone(state.owner()) {
            let _ = self.change(state, state.bereaved());
        }
    }

    /// A last try to take, then withdraws. The pending entry stays set: if this thread is killed on the
    /// way, the kernel hands on a wake-up that was meant for it.
    #[cold]
    fn give_up(&self, thread: &Thread, waiter: &mut Waiter, error: Error) -> Result<End> {
        loop {
            let state = self.load();
            if state.is_free() {
                match self.take(state, state.taken(self.mine(thread), waiter.announced)) {
                    Ok(()) => return Ok(End::Taken(state)),
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

    /// What [`RawMutex::unlock`] does with any other state than the plain one.
    #[cold]
    #[inline(never)]
    pub(super) fn unlock_slow(&self, thread: &Thread) -> Result<()> {
        let state = self.load();
        if self.has(ANY_RELEASE) {
            return self.release_unowned(thread);
        }
        if state.owner() != State(thread.locked()).owner() {
            return Err(Error::NotPermitted);
        }
        let depth = self.depth.load(Ordering::Relaxed);
        if depth > 0 && self.has(RECURSIVE) {
            self.depth.store(depth - 1, Ordering::Relaxed);
            return Ok(());
        }
        if self.has(PRIVATE) {
            // SAFETY: this thread's entry; the lock stays where it is while it is borrowed.
            unsafe { self.begin(thread) };
            self.end_turn();
        } else {
            self.leave(thread);
            if state.in_first_epoch().0 == thread.locked() && self.change(state, state.released()).is_ok() {
                thread.clear_pending();
                return Ok(());
            }
        }
        self.release_and_end(thread);
        Ok(())
    }

    /// What dropping a guard does, if anything disturbed its life: nothing in a child forked meanwhile; in a
    /// panic it leaves word.
    #[cold]
    #[inline(never)]
    pub(super) fn unlock_guarded(&self, origin: Origin) {
        if !origin.is_here() {
            return;
        }
        if origin.panics_since() {
            self.mark_inconsistent();
        }
        let released = self.unlock();
        debug_assert!(released.is_ok(), "the guard's thread holds the lock");
    }

    /// The end of a release that the short path could not do.
    #[cold]
    #[inline(never)]
    pub(super) fn release_and_end(&self, thread: &Thread) {
        self.release();
        thread.clear_pending();
    }

    /// Makes it free and wakes one who waits. Only by the holder, with its pending entry set and its turn ended.
    fn release(&self) {
        self.heal_if_useless();
        let before = loop {
            let state = self.load();
            if self.change(state, state.released()).is_ok() {
                break state;
            }
        };
        self.wake_after(before);
    }

    fn wake_after(&self, before: State) {
        if before.has_waiters() {
            let useless = Useless(self.useless_wakes.load(Ordering::Relaxed));
            let next =
                if futex::wake(self.futex(), 1) > 0 { Useless::NONE } else { useless.one_more(clock::now()) };
            if next != useless {
                self.useless_wakes.store(next.0, Ordering::Relaxed);
            }
        }
    }

    /// Releases one that nobody owns: `Overflow` if it is free.
    fn release_unowned(&self, thread: &Thread) -> Result<()> {
        // SAFETY: this thread's entry; the lock stays where it is while it is borrowed.
        unsafe { self.begin(thread) };
        self.heal_if_useless();
        let released = loop {
            let state = self.load();
            if state.is_free() {
                break Err(Error::Overflow);
            }
            if self.change(state, state.released()).is_ok() {
                break Ok(state);
            }
        };
        let result = released.map(|before| self.wake_after(before));
        thread.clear_pending();
        result
    }

    /// After many wake calls for nobody: takes the count of waiters anew, and wakes all, who announce themselves
    /// again. While it is held, so that whoever takes it from us, should we die, does the rest (of a
    /// lock without owner: the bound of sleeps).
    fn heal_if_useless(&self) {
        let useless = Useless(self.useless_wakes.load(Ordering::Relaxed));
        if !useless.are_many() || !useless.are_old(clock::now()) {
            return;
        }
        self.useless_wakes.store(Useless::NONE.0, Ordering::Relaxed);
        loop {
            let state = self.load();
            if !state.can_heal() || state.is_free() {
                return;
            }
            if self.change(state, state.healed()).is_ok() {
                futex::wake(self.futex(), i32::MAX);
                return;
            }
        }
    }

    /// Releases it however often it was locked; tells how often. `NotPermitted` if this thread does not hold it
    /// (or, one without owner, if nobody does).
    pub(crate) fn release_whole(&self) -> Result<u32> {
        if self.has(ANY_RELEASE) {
            return self.unlock().map(|()| 1).map_err(|_| Error::NotPermitted);
        }
        let state = self.load();
        if state.owner() != State(thread::current().locked()).owner() {
            return Err(Error::NotPermitted);
        }
        let depth = self.depth.load(Ordering::Relaxed);
        self.depth.store(0, Ordering::Relaxed);
        self.unlock()?;
        Ok(depth.saturating_add(1))
    }

    /// Takes it as often as [`RawMutex::release_whole`] has told.
    pub(crate) fn reacquire(&self, times: u32, deadline: Deadline) -> Result<Acquired> {
        let acquired = self.lock(deadline)?;
        self.depth.store(times.saturating_sub(1), Ordering::Relaxed);
        Ok(acquired)
    }

    /// Whether the next taker will be told of a death, as far as can be seen without taking it.
    pub(crate) fn awaits_repair(&self) -> bool {
        let state = self.load();
        if state.is_free() {
            state.owner_died() || state.is_inconsistent()
        } else {
            !state.is_unowned() && proc::is_gone(state.owner())
        }
    }
}
