//! What a side does when it cannot go on at once: takes the side over, waits, sleeps, is told; and what it owes the other side.

use super::owner::Owner;
use super::patience::Patience;
use super::position::Position;
use super::side::{Consuming, End, Producing, Role, Side, Turn};
use crate::error::{Error, Result};
use crate::sys::atomic::{Ordering, modelled};
use crate::sys::clock::{self, Deadline};
use crate::sys::cpu;
use crate::sys::futex::{self, Wake};
use crate::sys::membarrier;
use crate::sys::thread::{self, Thread};

/// Pauses of 26 ns.
const A_MOMENT: u32 = 16;

impl<R: Role> End<R> {
    /// Waits until `deadline` for a slot to use; from then on a call is under way, until [`End::advance`] or [`End::leave_be`].
    pub(super) fn ready(&mut self, deadline: Deadline) -> Result<Turn> {
        let thread = thread::current();
        if self.is_lent(thread) {
            return Err(Error::InvalidArgument);
        }
        self.claim(thread)?;
        let result = self.wait(thread, deadline);
        if result.is_err() {
            self.leave_be();
        }
        result.map(|()| self.turn(thread))
    }

    /// Makes the side this process's, and a call under way in it.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] if a living process, this one or another, is in a call on it; [`Error::Protocol`].
    fn claim(&mut self, thread: &Thread) -> Result<()> {
        if self.is_ours(thread) {
            let busy = self.words().busy::<R>();
            // Another thread of this process waits in a call. Seen here, where it costs nothing that counts.
            if busy.load(Ordering::Relaxed) != 0 {
                return Err(Error::NotPermitted);
            }
            busy.store(1, Ordering::Relaxed);
            return Ok(());
        }
        let fenced = !membarrier::register();
        let this = Owner::this(thread, fenced);
        let (word, busy) = (self.words().owner::<R>(), self.words().busy::<R>());
        // Acquire pairs with the Release of a taker before us.
        let mut seen = word.load(Ordering::Acquire);
        loop {
            // Acquire pairs with the Release of who ended its call.
            if busy.load(Ordering::Acquire) != 0 && !Owner(seen).is_gone() && seen != Owner::NOBODY.0 {
                return Err(Error::NotPermitted);
            }
            match word.compare_exchange(seen, this.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        busy.store(1, Ordering::Relaxed);
        // Acquire pairs with the Release of the last one that moved the side.
        let position = Position(self.words().position::<R>().load(Ordering::Acquire));
        // What another process left there must be a place in the ring before it is one in memory.
        if position.index() > self.ring().capacity() {
            self.forget();
            self.leave_be();
            return Err(Error::Protocol);
        }
        let (ring, side) = self.parts();
        side.take(ring, thread, this, position.normal(ring.capacity()));
        Ok(())
    }

    /// What this process knows of the side is void.
    fn forget(&mut self) {
        let (ring, side) = self.parts();
        *side = Side::unused(ring);
    }

    fn wait(&mut self, thread: &Thread, deadline: Deadline) -> Result<()> {
        let mut patience = Patience::new();
        let (mut over, mut is_first) = (None, true);
        loop {
            let is_closed = self.is_closed();
            if R::PUTS && is_closed {
                return Err(Error::Closed);
            }
            match self.look_again()? {
                0 => {}
                ready if is_first => return self.let_some_gather(ready),
                _ => {
                    patience.learn(&mut self.side().lesson);
                    return Ok(());
                }
            }
            is_first = false;
            if is_closed {
                if self.has_ended() {
                    return Err(Error::Closed);
                }
            } else if let Some(error) = over {
                return Err(if error == Error::TimedOut { self.or_gone(thread, error) } else { error });
            } else if deadline.is_now() {
                return Err(self.or_gone(thread, Error::WouldBlock));
            } else if !patience.snooze(self.side().lesson) {
                over = self.sleep(thread, deadline, &mut patience);
            }
        }
    }

    /// Messages flow, and this side is about to run into the other: which then would have to fetch each cache line from it in the middle of
    /// writing it. A moment later there is more to do.
    fn let_some_gather(&mut self, ready: u32) -> Result<()> {
        if ready < self.ring().enough() && self.side().lesson.tries_to_gather() {
            cpu::pause(A_MOMENT);
            let more = self.look_again()? > ready;
            self.side().lesson.gathered(more);
        }
        Ok(())
    }

    /// Whether the channel is closed, as far as this side can be told without a barrier.
    fn is_closed(&self) -> bool {
        let words = self.words();
        if words.gate::<Producing>().look().is_closed() {
            // Acquire pairs with the AcqRel of who closed.
            modelled::fence(Ordering::Acquire);
            return true;
        }
        if words.gate::<Consuming>().look().is_closed() {
            // Somebody was killed while it closed, or is about to finish.
            self.channel().close();
            return true;
        }
        false
    }

    /// Looks how far the other side is, and how many slots are ready therefore.
    fn look_again(&mut self) -> Result<u32> {
        let (ring, side) = self.parts();
        let words = ring.words();
        let mut other = words.position::<R::Other>().load(Ordering::Acquire);
        if !R::PUTS {
            // Of a channel whose end is decided, what was put after it does not count.
            let end = words.end().load(Ordering::Acquire);
            if end != Position::NONE.0 {
                other = end;
            }
        }
        side.position = side.position.normal(ring.capacity());
        side.cursor = ring.slot(side.position.index());
        let ready = R::ready(side.position, Position(other), ring.capacity()).ok_or(Error::Protocol)?;
        side.set_ready(ring, ready);
        Ok(ready)
    }

    /// Of a closed channel that was found empty: whether that is its end. False: look again.
    fn has_ended(&mut self) -> bool {
        // Relaxed: the position that it is compared with tells what was seen.
        let end = Position(self.words().end().load(Ordering::Relaxed));
        if end != Position::NONE {
            // Decided. If it is not here, that was after `look_again`, which has missed a message then.
            return end.normal(self.ring().capacity()) == self.side().position;
        }
        // A put may have been under way when the channel was closed. Either it is seen now, or it will see that it is
        // closed; then whoever writes the end first decides.
        self.barrier();
        if self.look_again() != Ok(0) {
            return false;
        }
        let here = self.side().position.0;
        // AcqRel pairs with that of `accept`.
        let _ =
            self.words().end().compare_exchange(Position::NONE.0, here, Ordering::AcqRel, Ordering::Acquire);
        false
    }

    /// A barrier between what this side has announced and what it looks at next, and between what the other side has stored
    /// and what it looks at next.
    fn barrier(&self) {
        if membarrier::on_all_cpus() {
            return;
        }
        modelled::fence(Ordering::SeqCst);
        // The kernel refuses it to this process. One that takes the other side over from now on does so by a locked
        // instruction; one that has it makes its own barriers if it was refused too.
        let other = self.other();
        if other != Owner::NOBODY && !other.is_fenced() {
            // By then any processor has made its stores seen.
            clock::sleep(1_000_000);
        }
    }

    fn other(&self) -> Owner {
        Owner(self.words().owner::<R::Other>().load(Ordering::Relaxed))
    }

    /// Whether the process at the other side is gone, and no other has come while this wait lasts, since then.
    fn is_left_alone(&mut self, thread: &Thread, since: u64, now: u64) -> bool {
        let other = self.other();
        self.side().watch.is_over(other, thread.pid(), since, now)
    }

    /// That, or that the other side has been gone for a while.
    fn or_gone(&mut self, thread: &Thread, error: Error) -> Error {
        if self.is_left_alone(thread, 0, clock::now()) { Error::Disconnected } else { error }
    }

    /// Sleeps until the other side has moved, or for a while. What it returns ends the wait, unless there is something by then.
    fn sleep(&mut self, thread: &Thread, deadline: Deadline, patience: &mut Patience) -> Option<Error> {
        let now = clock::now();
        let since = patience.sleeps(now);
        if self.is_left_alone(thread, since, now) {
            return Some(Error::Disconnected);
        }
        let seen = self.words().gate::<R::Other>().announce();
        self.barrier();
        if seen.is_closed() || self.look_again() != Ok(0) {
            return None;
        }
        let other = self.other();
        let bound = self.side().watch.patience(other, since, now, futex::bound(0));
        let futex = self.words().gate::<R::Other>().futex();
        // SAFETY: mapped as long as the channel.
        match unsafe { futex::wait_among(futex, seen.futex_word(), futex::EVERYBODY, deadline, bound) } {
            Wake::Woken | Wake::Bound => None,
            Wake::TimedOut => Some(Error::TimedOut),
            Wake::Interrupted => Some(Error::Interrupted),
        }
    }

    /// After a commit, when the gate is not quiet: wakes the other side; of a closed channel, finds out whether the put still counts.
    #[cold]
    #[inline(never)]
    pub(super) fn tell(&mut self) -> Result<()> {
        let gate = self.words().gate::<R>();
        // Of a side that makes its own barriers, this is it: between the position and the next look.
        modelled::fence(Ordering::SeqCst);
        gate.wake();
        let is_closed = R::PUTS && gate.look().is_closed() && !cfg!(forq_fault = "no_accept");
        if is_closed { self.accept() } else { Ok(()) }
    }

    /// Whether the message just put, into a channel that was closed meanwhile, belongs to it.
    fn accept(&mut self) -> Result<()> {
        let (ring, side) = self.parts();
        let here = side.position.normal(ring.capacity()).0;
        let words = ring.words();
        // AcqRel: the message comes before the end that includes it. Acquire: of who decided otherwise.
        match words.end().compare_exchange(Position::NONE.0, here, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(end) if end == here => Ok(()),
            Err(end) => {
                // Nobody will get it. No put follows.
                words.position::<R>().store(end, Ordering::Relaxed);
                self.forget();
                Err(Error::Closed)
            }
        }
    }

    /// Whether this process has a slot of this side in its hands.
    pub(super) fn is_lent(&mut self, thread: &Thread) -> bool {
        self.side().lent.is_some() && self.is_ours(thread)
    }

    /// Leaves the slot that is ready to the user. A call stays under way.
    pub(super) fn lend(&mut self) {
        let side = self.side();
        side.lent = Some(core::mem::replace(&mut side.limit, side.cursor));
    }

    /// Takes the slot back that was lent: it is ready, as after [`End::ready`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if none was lent to this process.
    pub(super) fn take_back(&mut self) -> Result<Turn> {
        let thread = thread::current();
        if !self.is_lent(thread) {
            return Err(Error::InvalidArgument);
        }
        let side = self.side();
        side.limit = side.lent.take().unwrap_or(side.limit);
        Ok(self.turn(thread))
    }

    /// Ends this process's use of the side, if it is the one that uses it: the other side may be told.
    pub(super) fn leave(&mut self) {
        let thread = thread::current();
        if !self.is_ours(thread) {
            return;
        }
        let owner = self.side().owner;
        self.forget();
        let words = self.words();
        self.leave_be();
        let left = owner.left().0;
        words.gate::<R>().with_will(thread, |gate| {
            if words.owner::<R>().compare_exchange(owner.0, left, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                gate.wake();
            }
        });
    }
}
