//! What the two ends of a pipe share besides their sockets: for each, its inbox.

use core::ptr::NonNull;

use crate::error::{Error, Result};
use crate::sync::backoff::Backoff;
use crate::sync::raw::{Acquired, RawMutex};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::clock::{self, Deadline};
use crate::sys::map::{self, Mapping, page_size};

/// Whose turn it is to receive at an end, and how large a message may come there.
///
/// To receive is to look at a packet, and then to take it if it fits: two system calls that belong together. Locks of files
/// do not do: copies of a descriptor made by fork are one owner to the kernel. A sender raises the largest size before it sends, and waits
/// for the end of a turn that may not have seen it: so who has the turn, and room for that, takes the next packet without a look.
#[repr(C)]
pub(super) struct Inbox {
    turn: RawMutex,
    /// What receivers have to expect: no message is larger. Only grows.
    largest: AtomicU64,
    /// What senders may send: no receiver expects less. Only grows, after `largest`.
    announced: AtomicU64,
}

/// More than any message takes: for packets that have to be looked at first.
pub(super) const UNBOUNDED: u64 = u64::MAX;

impl Inbox {
    /// Waits for the turn.
    pub(super) fn take(&self, deadline: Deadline) -> Result<Turn<'_>> {
        let acquired = self.turn.lock(deadline)?;
        if acquired != Acquired::Clean {
            // The kernel changes a socket's queue whole or not at all: there is nothing to repair.
            self.turn.clear_leaker();
            let _ = self.turn.consistent();
        }
        Ok(Turn(self))
    }

    /// Before a message of this size is sent here.
    #[inline]
    pub(super) fn announce(&self, size: u64, deadline: Deadline) -> Result<()> {
        // Acquire pairs with the Release below.
        if size <= self.announced.load(Ordering::Acquire) { Ok(()) } else { self.raise(size, deadline) }
    }

    /// Takes no lock, but for a turn that lasts a quarter of a second: so a sender that is stopped here holds nobody up.
    #[cold]
    fn raise(&self, size: u64, deadline: Deadline) -> Result<()> {
        self.largest.fetch_max(size, Ordering::Relaxed);
        // Pairs with the fence of `Turn::largest`: either that receiver sees the size, or its turn is seen here.
        fence(Ordering::SeqCst);
        let before = self.turn.turns();
        let mut backoff = Backoff::new();
        let mut naps = 0;
        while !self.turn.is_free() && self.turn.turns() == before {
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if deadline.has_passed() {
                return Err(Error::TimedOut);
            }
            if naps == NAPS {
                // Who has it is stopped; or dead, where the kernel tells nobody, and who waits for a lock finds out.
                drop(self.take(deadline)?);
                break;
            }
            if !backoff.snooze() {
                naps += 1;
                clock::sleep(NAP);
            }
        }
        // Release: who finds the size announced comes after all that was seen here.
        self.announced.fetch_max(size, Ordering::Release);
        Ok(())
    }
}

/// Nanoseconds; a turn takes a few system calls that do not wait.
const NAP: u64 = 500_000;
const NAPS: u32 = 500;

/// The turn, until it is dropped.
pub(super) struct Turn<'a>(&'a Inbox);

impl Turn<'_> {
    /// No message that is there is larger, and none that comes before the turn ends.
    pub(super) fn largest(&self) -> u64 {
        // Pairs with the fence of `raise`.
        fence(Ordering::SeqCst);
        self.0.largest.load(Ordering::Relaxed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.0.turn.unlock();
    }
}

/// The inboxes of both ends, as one end has them: in memory that every process with a copy of an end shares.
#[derive(Debug)]
pub(super) struct Inboxes {
    /// Two of them, and a page further, of this process alone, how many of the two ends this process has yet to drop.
    both: NonNull<[Inbox; 2]>,
    own: usize,
}

// SAFETY: references to locks and atomics made for threads and processes.
unsafe impl Send for Inboxes {}
// SAFETY: as above.
unsafe impl Sync for Inboxes {}

impl Inboxes {
    /// Of the one end and of the other.
    pub(super) fn new() -> Result<(Self, Self)> {
        const { assert!(size_of::<[Inbox; 2]>() <= 4096) };
        let page = page_size();
        // All bytes zero: free locks, and no message was sent.
        let both = Mapping::shared_then_private(page, page)?.leak().cast();
        let (one, other) = (Self { both, own: 0 }, Self { both, own: 1 });
        one.undropped().store(2, Ordering::Relaxed);
        Ok((one, other))
    }

    pub(super) fn own(&self) -> &Inbox {
        // SAFETY: mapped as long as `self` lives.
        unsafe { &self.both.as_ref()[self.own & 1] }
    }

    pub(super) fn others(&self) -> &Inbox {
        // SAFETY: as above.
        unsafe { &self.both.as_ref()[!self.own & 1] }
    }

    fn undropped(&self) -> &AtomicU32 {
        // SAFETY: the second page; as above.
        unsafe { self.both.cast::<u8>().add(page_size()).cast().as_ref() }
    }

    #[cfg(feature = "capi")]
    pub(super) fn into_raw(self) -> (NonNull<u8>, usize) {
        let raw = (self.both.cast(), self.own);
        core::mem::forget(self);
        raw
    }

    /// # Safety
    /// Address and end must come from [`Inboxes::into_raw`], in this process or one that it was forked from, and the result be the only
    /// one of that end that is dropped in this process.
    #[cfg(feature = "capi")]
    pub(super) unsafe fn from_raw(both: NonNull<u8>, own: usize) -> Self {
        Self { both: both.cast(), own }
    }
}

impl Drop for Inboxes {
    fn drop(&mut self) {
        // Release and acquire: what the other end's threads did comes before the memory goes.
        let is_last = self.undropped().fetch_sub(1, Ordering::AcqRel) == 1;
        // Nobody is inside any more; but the robust list of a thread that ended inside names memory that must stay.
        if is_last && !self.own().turn.is_held_here() && !self.others().turn.is_held_here() {
            // SAFETY: ours, and both ends of this process are gone.
            let _ = unsafe { map::unmap(self.both.as_ptr().cast(), 2 * page_size()) };
        }
    }
}
