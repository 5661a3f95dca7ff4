//! How many messages have been marked done, and who waits until all are.
//!
//! | part of the state | bits | meaning | changed by |
//! |---|---|---|---|
//! | `JOINERS` | 0 | somebody may sleep until all are done | who is about to sleep; cleared by who marks the last one |
//! | done | 1-63 | how many have been marked done, modulo 2^63 | who marks one |
//!
//! Its low half is what joiners sleep on, and `relay` beside it, always 0, which a [`Will`] names: whoever marks the last one and is killed
//! before it has woken them leaves that to one of them.

use crate::error::{Error, Result};
use crate::sync::will::Will;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, modelled};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Wake};

/// A line of its own: who marks messages done need not be who takes them.
#[repr(C, align(64))]
pub(super) struct Tasks {
    state: AtomicU64,
    relay: AtomicU32,
    _unused: [u32; 13],
}

const JOINERS: u64 = 1;
const ONE: u64 = 2;
/// Where the low half stands in memory.
const LOW_BYTE: usize = if cfg!(target_endian = "big") { 4 } else { 0 };

/// How many are not done, if so many have been put.
fn unfinished(put: u64, state: u64) -> u64 {
    (put << 1).wrapping_sub(state & !JOINERS) >> 1
}

impl Tasks {
    /// Begins with so many put, all of them done.
    pub(super) fn begin(&self, put: u64) {
        self.state.store(put << 1, Ordering::Relaxed);
    }

    fn futex(&self) -> *const u32 {
        modelled::futex(&self.state, LOW_BYTE)
    }

    /// Marks one done. `Overflow` if all that were put are. `put` is asked for after the state was read.
    pub(super) fn mark(&self, put: impl Fn() -> u64) -> Result<()> {
        loop {
            let state = self.state.load(Ordering::Relaxed);
            let left = unfinished(put(), state);
            if left == 0 || left > 1 << 62 {
                return Err(Error::Overflow);
            }
            let is_last = left == 1 && state & JOINERS != 0;
            // SAFETY: the word stays mapped while it is borrowed, and is always 0.
            let will = is_last.then(|| unsafe { Will::leave(&raw const self.relay as *const u32) });
            let marked = if is_last { (state & !JOINERS).wrapping_add(ONE) } else { state.wrapping_add(ONE) };
            // Release pairs with the Acquire in `join`: what was done for a message is seen by who waited for it.
            if self.state.compare_exchange(state, marked, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                if is_last {
                    futex::wake(self.futex(), i32::MAX);
                }
                drop(will);
                return Ok(());
            }
        }
    }

    /// Waits until all that were put are done.
    pub(super) fn join(&self, put: impl Fn() -> u64, deadline: Deadline) -> Result<()> {
        let mut sleeps = 0;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if unfinished(put(), state) == 0 {
                return Ok(());
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            let announced = state | JOINERS;
            if state != announced
                && self.state.compare_exchange(state, announced, Ordering::AcqRel, Ordering::Relaxed).is_err()
            {
                continue;
            }
            sleeps += 1;
            let words = [(self.futex(), announced as u32), (&raw const self.relay as *const u32, 0)];
            // SAFETY: both words stay mapped while they are borrowed.
            let (wake, by_relay) = unsafe { futex::wait_either(words, deadline, sleeps) };
            if by_relay {
                futex::wake(self.futex(), i32::MAX);
            }
            match wake {
                Wake::TimedOut => return Err(Error::TimedOut),
                Wake::Interrupted => return Err(Error::Interrupted),
                Wake::Woken | Wake::Bound => {}
            }
        }
    }
}
