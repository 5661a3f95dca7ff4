//! How a condition variable's waiters wait, and how they are notified. Under [`Condvar`] and the C face.
//!
//! Between processes the usual ways are closed. A list of waiters is made of pointers; a notifier that hands
//! over to a waiter waits for it, and hangs when it is killed. So nobody waits here for the one that it wakes,
//! and all that is known of waiters is how many there are (see [`state`]).
//!
//! **Claims come last.** A waiter that finds itself granted first takes the mutex, and only then its credit. Killed
//! before, it leaves the credit to the others, who find it when their sleep ends; killed after, it
//! died holding the mutex, which the next one to lock is told.
//!
//! **What a killed waiter leaves** is a place in a count. Its own generation does not notice, since credits
//! bear no names. But a notify that came after a waiter's arrival may have gone to elders who are dead. That
//! cannot be known; but the waiter sees that what they were granted stays unclaimed, for 100 ms of sleep,
//! and then each of three times that it has the mutex itself, so that it is not the mutex that they
//! wait for. Then it *inherits*: all who wait may return. An elder that was only stopped may too, whenever it goes on.
//! Which grants are meant is known from its arrival on: what it found of its elders then, and how many have left since.
//!
//! **A holder's death** is seen by sleepers too: a sleep ends after 250 ms at the latest, and if the
//! mutex then waits for its repair, so that perhaps nobody is left to notify, the waiter takes it and is told.
//!
//! The orderings are all Relaxed: what is waited for is ordered by the mutex, the count of a waiter by its
//! release of the mutex, and sleeping against waking by the kernel.

use super::Condvar;
use super::state::{self, Elders, Generation, Grant, State};
use crate::error::{Error, Result};
use crate::sync::backoff::Backoff;
use crate::sync::raw::{Acquired, RawMutex};
use crate::sys::atomic::{Ordering, modelled};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, SLEEP_BOUND, Wake};
use crate::sys::is_planted;

/// A sleep, in nanoseconds: a notify that a killed waiter took along reaches another after that.
const BOUND: u64 = SLEEP_BOUND[0];
/// A sleep of one whose notify may go to the dead: so much shorter that it inherits within [`BOUND`].
const BEHIND_ELDERS: u64 = BOUND / 5 * 2;
/// A sleep between two looks with the mutex in hand.
const BETWEEN_LOOKS: u64 = BOUND / 25 * 2;
/// So many looks must find a grant unclaimed before it is inherited.
const LOOKS: u32 = 3;

/// How a wait ended. The mutex is held.
pub(crate) struct Waited {
    /// How it was taken again.
    pub(crate) acquired: Acquired,
    pub(crate) ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By a notify, or after a death: look whether what was waited for is so.
    Notified,
    /// It has used up no notify.
    TimedOut,
    /// A signal handler ran, and this thread asked to be told; no notify is used up.
    Interrupted,
}

/// One call's wait.
struct Waiter {
    generation: Generation,
    deadline: Deadline,
    backoff: Backoff,
    /// What it found when it arrived: what was granted before is none of its business.
    elders: Elders,
    /// What `Exits` said of them then.
    exits: u32,
    /// What nobody had claimed at the last look, and how many looks in a row.
    unclaimed: Option<Unclaimed>,
    looks: u32,
    /// A signal ended the wait for the mutex.
    interrupted: bool,
}

/// What was granted to a waiter's elders, as far as it can tell whether they return.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Unclaimed {
    state: State,
    left: u64,
}

/// Why a waiter takes the mutex.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is granted, or something may have happened to others.
    Look,
    TimedOut,
    Interrupted,
}

impl Condvar {
    fn load(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    fn change(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn futex(&self) -> *const u32 {
        modelled::futex(&self.state, state::FUTEX_BYTE)
    }

    /// Gives the mutex up, waits, and takes it again, which has no time limit.
    ///
    /// `NotPermitted` if the mutex is not held, and `OutOfSpace` if no more waiters can be counted: at once, the mutex as
    /// it was. `Deadlock` if taking it again would never end: without the mutex. Otherwise it is held.
    pub(crate) fn wait_raw(&self, mutex: &RawMutex, deadline: Deadline) -> Result<Waited> {
        if is_planted("arrives_late") {
            let depth = mutex.release_whole()?;
            mutex.reacquire(depth, Deadline::FOREVER)?;
        }
        let mut waiter = self.arrive(deadline)?;
        // Counted first: who takes the mutex next and notifies must find us.
        let mut depth = mutex.release_whole().inspect_err(|_| self.leave_to_others(waiter.generation))?;
        loop {
            let reason = self.sleep(mutex, &mut waiter);
            let claimed = cfg!(forq_fault = "early_claim") && self.claim(waiter.generation);
            let acquired =
                waiter.take_again(mutex, depth).inspect_err(|_| self.leave_to_others(waiter.generation))?;
            if claimed
                || self.claim(waiter.generation)
                || self.inherit(&waiter) && self.claim(waiter.generation)
            {
                return Ok(Waited { acquired, ended: Ended::Notified });
            }
            let ended = match reason {
                Reason::TimedOut => Ended::TimedOut,
                _ if waiter.interrupted || reason == Reason::Interrupted => Ended::Interrupted,
                Reason::Look if acquired == Acquired::Clean => {
                    depth = mutex.release_whole()?;
                    continue;
                }
                _ => Ended::Notified,
            };
            let ended = if self.leave(waiter.generation) { Ended::Notified } else { ended };
            return Ok(Waited { acquired, ended });
        }
    }

    fn arrive(&self, deadline: Deadline) -> Result<Waiter> {
        loop {
            let state = self.load();
            let (arrived, generation) = state.with_arrival().ok_or(Error::OutOfSpace)?;
            let elders = state.elders();
            // Between the load and the change: who leaves in between makes the change fail.
            let exits = if elders.count > 0 { self.exits.watch(generation.before()) } else { 0 };
            if self.change(state, arrived) {
                return Ok(Waiter {
                    generation,
                    deadline,
                    backoff: Backoff::learning(),
                    elders,
                    exits,
                    unclaimed: None,
                    looks: 0,
                    interrupted: false,
                });
            }
        }
    }

    /// Until there is a reason to take the mutex.
    fn sleep(&self, mutex: &RawMutex, waiter: &mut Waiter) -> Reason {
        loop {
            let state = self.load();
            if state.is_granted(waiter.generation) {
                return Reason::Look;
            }
            if waiter.deadline.is_now() {
                return Reason::TimedOut;
            }
            if waiter.backoff.snooze() {
                continue;
            }
            let bound = match waiter.looks {
                0 if state.has_elders(waiter.generation, waiter.elders, self.left(waiter)) => BEHIND_ELDERS,
                0 => BOUND,
                _ => BETWEEN_LOOKS,
            };
            let seen = if is_planted("sleeps_unchecked") { self.load() } else { state };
            let (word, group) = (seen.futex_word(), waiter.generation.bit());
            // SAFETY: the condition variable stays mapped while it is borrowed.
            match unsafe { futex::wait_among(self.futex(), word, group, waiter.deadline, bound) } {
                Wake::Woken => {}
                Wake::TimedOut => return Reason::TimedOut,
                Wake::Interrupted => return Reason::Interrupted,
                Wake::Bound if self.look(waiter) || mutex.awaits_repair() => return Reason::Look,
                Wake::Bound => {}
            }
        }
    }

    /// How many of its elders have left since it arrived.
    fn left(&self, waiter: &Waiter) -> u64 {
        match waiter.elders.count {
            0 => 0,
            _ => self.exits.since(waiter.generation.before(), waiter.exits).into(),
        }
    }

    /// What its elders were granted since it arrived and have not claimed.
    fn unclaimed(&self, waiter: &Waiter) -> Option<Unclaimed> {
        let (state, left) = (self.load(), self.left(waiter));
        let is_unclaimed = state.is_unclaimed(waiter.generation, waiter.elders, left);
        is_unclaimed.then(|| Unclaimed { state: state.without_young(), left })
    }

    /// Looks once more whether others leave unclaimed what they were granted; whether that has been so for long enough
    /// to look with the mutex held.
    fn look(&self, waiter: &mut Waiter) -> bool {
        let unclaimed = self.unclaimed(waiter);
        let is_same = unclaimed.is_some() && unclaimed == waiter.unclaimed;
        waiter.looks = if is_same { waiter.looks + 1 } else { 0 };
        waiter.unclaimed = unclaimed;
        is_same
    }

    /// Takes what was granted. Only with the mutex held: a death before leaves it to others.
    fn claim(&self, generation: Generation) -> bool {
        loop {
            let state = self.load();
            if !state.is_granted(generation) {
                return false;
            }
            let claimed = state.claimed(generation);
            if self.exit(generation, |condvar| claimed.is_none_or(|claimed| condvar.change(state, claimed))) {
                return true;
            }
        }
    }

    /// Waits no more, without having been granted it; true: it was, and has claimed it.
    fn leave(&self, generation: Generation) -> bool {
        loop {
            let state = self.load();
            if state.is_granted(generation) && !is_planted("leaves_blindly") {
                if self.claim(generation) {
                    return true;
                }
            } else if self.exit(generation, |condvar| condvar.change(state, state.withdrawn(generation))) {
                return false;
            }
        }
    }

    /// Counts an exit, unless `change` fails. First: who arrives in between is counted among the elders, or makes it fail.
    fn exit(&self, generation: Generation, change: impl FnOnce(&Self) -> bool) -> bool {
        self.exits.count(generation, 1);
        let changed = change(self);
        if !changed {
            self.exits.count(generation, -1);
        }
        changed
    }

    /// As [`Condvar::leave`], of one that cannot return as notified: what it was granted goes to another.
    fn leave_to_others(&self, generation: Generation) {
        if self.leave(generation) {
            self.grant(1);
        }
    }

    /// Takes over what nobody has claimed for long enough. Only with the mutex held.
    fn inherit(&self, waiter: &Waiter) -> bool {
        if waiter.looks < LOOKS || cfg!(forq_fault = "no_heir") {
            return false;
        }
        let state = self.load();
        let is_same = waiter.unclaimed == self.unclaimed(waiter);
        is_same && state.notified(u64::MAX).is_some_and(|grant| self.commit(state, grant))
    }

    /// Lets `n` of those who wait return, or all if they are fewer. Waits for nobody.
    pub(crate) fn grant(&self, n: u64) {
        loop {
            let state = self.load();
            let Some(grant) = state.notified(n) else { return };
            if self.commit(state, grant) {
                return;
            }
        }
    }

    /// Puts a grant in place of the state that it was made from, and wakes.
    fn commit(&self, from: State, grant: Grant) -> bool {
        if !self.change(from, grant.state) {
            return false;
        }
        for (count, groups) in grant.wakes {
            if count > 0 {
                futex::wake_among(self.futex(), count, groups);
            }
        }
        true
    }

    /// How many wait and have not been notified.
    pub(crate) fn waiting(&self) -> usize {
        self.load().waiting() as usize
    }
}

impl Waiter {
    /// Without a time limit, whatever signals come.
    fn take_again(&mut self, mutex: &RawMutex, depth: u32) -> Result<Acquired> {
        loop {
            match mutex.reacquire(depth, Deadline::FOREVER) {
                Err(Error::Interrupted) => self.interrupted = true,
                other => return other,
            }
        }
    }
}
