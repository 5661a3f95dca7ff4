//! Whose turn it is to receive: the lock of one end's receivers.

use core::ptr::NonNull;

use crate::error::Result;
use crate::sync::raw::{Acquired, RawMutex};
use crate::sys::clock::Deadline;
use crate::sys::map::{self, Mapping};

/// A robust lock in memory that every process with a copy of the end shares.
///
/// To receive is to look at a packet, and then to take it if it fits: two system calls that belong together. Locks of files
/// do not do: copies of a descriptor made by fork are one owner to the kernel.
#[derive(Debug)]
pub(super) struct Turn(NonNull<RawMutex>);

// SAFETY: a reference to a lock made for threads and processes.
unsafe impl Send for Turn {}
// SAFETY: as above.
unsafe impl Sync for Turn {}

impl Turn {
    pub(super) fn new() -> Result<Self> {
        // All bytes zero: a free lock, in shared memory.
        Ok(Self(Mapping::shared(size_of::<RawMutex>())?.leak().cast()))
    }

    fn lock(&self) -> &RawMutex {
        // SAFETY: mapped as long as `self` lives.
        unsafe { self.0.as_ref() }
    }

    /// Waits for the turn.
    pub(super) fn take(&self, deadline: Deadline) -> Result<Taken<'_>> {
        let acquired = self.lock().lock(deadline)?;
        if acquired != Acquired::Clean {
            // The kernel changes a socket's queue whole or not at all: there is nothing to repair.
            self.lock().clear_leaker();
            let _ = self.lock().consistent();
        }
        Ok(Taken(self.lock()))
    }

    #[cfg(feature = "capi")]
    pub(super) fn into_raw(self) -> NonNull<u8> {
        let raw = self.0.cast();
        core::mem::forget(self);
        raw
    }

    /// # Safety
    /// The address must come from [`Turn::into_raw`], in this process or one that it was forked from, and the result be the only
    /// one that is dropped in this process.
    #[cfg(feature = "capi")]
    pub(super) unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw.cast())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The robust list of a thread that ended inside names memory that must stay.
        if !self.lock().is_held_here() {
            // SAFETY: ours, and nobody in this process uses it any more.
            let _ = unsafe { map::unmap(self.0.as_ptr().cast(), size_of::<RawMutex>()) };
        }
    }
}

/// The turn, until it is dropped.
pub(super) struct Taken<'a>(&'a RawMutex);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
