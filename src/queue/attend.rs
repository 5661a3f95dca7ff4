//! A queue's long paths: getting a side that is not at rest, and waiting for the other side. Only for [`ring`](super::ring).
//!
//! Of those of one side that wait, one is the *leader*: it holds the side and waits for the other side to do something. It looks at the slot for a
//! while; then it marks its side `ASLEEP`, leaves `EVENT` in the other side's word, and sleeps there. The rest, its *followers*, sleep
//! on their own side's word, and one of them becomes the leader when it leaves. So a put wakes one consumer, however many wait.
//!
//! The leader sleeps on three words at once: the other side's, which the kernel marks if its holder dies; the bell, which is changed before that side's
//! release, so that nothing is missed between looking and sleeping; and the one that says closed. It never waits for anybody to be woken
//! itself: whoever finds the slot ready and the leader asleep, takes the side from it. A leader that is stopped thus stops nobody.

use super::patience::Patience;
use super::ring::{Ring, Turn};
use super::role::{Producer, Role};
use super::side::{LEADER, Side, Wait};
use super::slot::Stage;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::{self, Deadline};
use crate::sys::futex::{self, Wake};
use crate::sys::thread::Thread;

fn address(word: &AtomicU32) -> *const u32 {
    word.as_ptr().cast_const()
}

impl Ring {
    /// Takes the side, unless this thread `holds` it, and waits for a slot. An error: the side is not held, and the pending entry
    /// cleared.
    #[cold]
    #[inline(never)]
    pub(super) fn attend<R: Role>(
        &self,
        thread: &Thread,
        deadline: Deadline,
        mut holds: bool,
    ) -> Result<Turn<R>> {
        let side = R::own(self.header());
        let mut wait = Wait::new(deadline);
        loop {
            if !holds {
                if let Err(error) = self.follow::<R>(thread, &mut wait) {
                    side.withdraw(thread, &wait);
                    return Err(error);
                }
                wait.announced = None;
            }
            let led = match wait.tick().and_then(|()| self.next::<R>()) {
                Ok(Some(turn)) => match self.prepare::<R>() {
                    Ok(()) => return Ok(turn),
                    Err(error) => Err(error),
                },
                Ok(None) => self.lead::<R>(thread, &mut wait),
                Err(error) => Err(error),
            };
            holds = side.is_held_by(thread);
            if let Err(error) = led {
                if holds {
                    // What came at the last moment is taken.
                    match self.turn::<R>() {
                        Some(turn)
                            if matches!(error, Error::TimedOut | Error::WouldBlock)
                                && self.prepare::<R>().is_ok() =>
                        {
                            return Ok(turn);
                        }
                        _ => {}
                    }
                    self.leave_awaited::<R>(thread);
                } else {
                    thread.clear_pending();
                }
                return Err(error);
            }
        }
    }

    /// What is to be done before a slot is used that was got by the long path.
    fn prepare<R: Role>(&self) -> Result<()> {
        if R::PRODUCES { self.tell_bells() } else { Ok(()) }
    }

    /// The turn at the next slot, past what a dead holder has done. Only by the side's holder.
    fn next<R: Role>(&self) -> Result<Option<Turn<R>>> {
        // A position lags by one; by more only if a stranger wrote there.
        for _ in 0..4 {
            match self.look::<R>()? {
                (_, _, Stage::Ready) => return self.turn().ok_or(Error::Protocol).map(Some),
                (_, _, Stage::Waiting) if R::PRODUCES && R::own(self.header()).load().is_closed() => {
                    return Err(Error::Closed);
                }
                (_, _, Stage::Waiting) => return Ok(None),
                (position, _, Stage::Passed) => {
                    self.step::<R>(position);
                    if !R::PRODUCES {
                        // A message that nobody has got: its consumer died after it had taken it.
                        R::own(self.header()).lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
                (_, _, Stage::Broken) => break,
            }
        }
        Err(Error::Protocol)
    }

    /// Waits until this thread holds the side.
    fn follow<R: Role>(&self, thread: &Thread, wait: &mut Wait) -> Result<()> {
        let side = R::own(self.header());
        let mine = super::state::State::held_by(thread.tid());
        loop {
            wait.tick()?;
            let closed = self.header().closed.load(Ordering::Acquire);
            let state = side.load();
            if R::PRODUCES && state.is_closed() {
                return Err(Error::Closed);
            }
            // From a leader that sleeps, too, if there is something to do: it may be stopped.
            let is_open = state.is_free() || (state.is_asleep() && self.is_ready::<R>());
            if is_open {
                if side.change(state, state.taken(mine, wait.announced)).is_ok() {
                    if state.owner_died() {
                        side.inherit();
                    }
                    return Ok(());
                }
                continue;
            }
            if !R::PRODUCES && state.is_asleep() && self.refusal::<R>() == Error::Closed {
                return Err(Error::Closed);
            }
            if state.owner() == mine {
                // A signal handler's call that interrupted another one.
                return Err(Error::Deadlock);
            }
            if wait.deadline.is_now() && !self.is_ready::<R>() {
                self.help_close();
                return Err(self.refusal::<R>());
            }
            if wait.pace.snooze(side.turns(), &side.hot) {
                continue;
            }
            if wait.deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if self.help_close() {
                continue;
            }
            if state.needs_announcement(wait.announced) {
                let (announced, mine) = state.with_announcement(wait.announced);
                if side.change(state, announced).is_ok() {
                    wait.announced = Some(mine);
                }
                continue;
            }
            wait.sleeps += 1;
            let words = [(side.futex(), state.futex_word()), (address(&self.header().closed), closed)];
            // SAFETY: both words stay mapped while the ring is used.
            let (wake, _) = unsafe { futex::wait_any(words, !LEADER, wait.deadline, wait.sleeps) };
            outcome(wake, side)?;
        }
    }

    /// Waits, holding the side, until the slot is ready, or the side was taken by another, which the caller finds out.
    fn lead<R: Role>(&self, thread: &Thread, wait: &mut Wait) -> Result<()> {
        let (own, other) = (R::own(self.header()), R::other(self.header()));
        if wait.deadline.is_now() {
            self.help_close();
            return Err(self.refusal::<R>());
        }
        own.waits.store(own.waits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let mut patience = Patience::new(&own.lesson);
        let mut is_open = false;
        loop {
            if patience.will_yield() && !is_open {
                // Others may get the CPU, and this process may be stopped meanwhile.
                own.fall_asleep();
                is_open = true;
            }
            if !patience.snooze() {
                break;
            }
            if self.is_ready::<R>() {
                if !is_open || own.wake_up(thread) {
                    patience.learn(|count| self.is_ready_ahead::<R>(count));
                }
                return Ok(());
            }
        }
        if is_open && !own.wake_up(thread) {
            return Ok(());
        }
        // It may be our side that somebody waits for, left so by a dead holder.
        self.ring_if_awaited::<R>();
        let since = clock::now();
        loop {
            wait.tick()?;
            // A close after this look ends the sleep. One before it may leave something to wait for: a producer that is about to publish.
            let closed = self.header().closed.load(Ordering::Acquire);
            self.help_close();
            match self.refusal::<R>() {
                Error::Closed => return Err(Error::Closed),
                _ => own.fall_asleep(),
            }
            let slept = self.sleep::<R>(other, closed, wait);
            let holds = own.wake_up(thread);
            if holds {
                own.lesson.has_slept(clock::now() - since);
            }
            if !holds || self.is_ready::<R>() {
                return slept;
            }
            slept?;
        }
    }

    /// Sleeps until the other side has done something, or the word that says closed is another.
    fn sleep<R: Role>(&self, other: &Side, closed: u32, wait: &mut Wait) -> Result<()> {
        // Before the mark is left: who sees the mark changes the bell.
        let bell = other.bell.load(Ordering::Acquire);
        let (state, number) = other.set_event();
        let slept = if self.is_ready::<R>() {
            Ok(())
        } else {
            wait.sleeps += 1;
            let words = [
                (other.futex(), state.futex_word()),
                (address(&other.bell), bell),
                (address(&self.header().closed), closed),
            ];
            // SAFETY: the words stay mapped while the ring is used.
            let (wake, _) = unsafe { futex::wait_any(words, LEADER, wait.deadline, wait.sleeps) };
            other.pass_on();
            outcome(wake, other)
        };
        other.clear_event(number);
        slept
    }

    /// Why a call that may not wait fails: nothing there for this side, or nothing any more.
    fn refusal<R: Role>(&self) -> Error {
        let producers = Producer::own(self.header());
        // Acquire, by which what was put before the close is seen.
        let state = producers.load_acquire();
        // A producer that still holds its side may be about to publish.
        let is_over = state.is_closed() && (R::PRODUCES || (state.is_free() && !self.is_ready::<R>()));
        if is_over { Error::Closed } else { Error::WouldBlock }
    }

    /// Does the rest of a close whose process has died. Whether there was something to do.
    pub(super) fn help_close(&self) -> bool {
        let header = self.header();
        let is_half_closed =
            header.closed.load(Ordering::Acquire) != 0 && !header.producers.load().is_closed();
        if is_half_closed {
            // First: should we die in between, whoever hears a bell finishes it.
            let _ = self.ring_bells();
            header.producers.close();
        }
        is_half_closed
    }
}

/// What a sleep's end means, on a side's word.
fn outcome(wake: Wake, side: &Side) -> Result<()> {
    match wake {
        Wake::Woken => Ok(()),
        Wake::TimedOut => Err(Error::TimedOut),
        Wake::Interrupted => Err(Error::Interrupted),
        Wake::Bound => {
            side.bury(side.load());
            Ok(())
        }
    }
}
