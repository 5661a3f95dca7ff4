//! A raw lock held for the length of a scope.

use crate::error::Result;
use crate::sync::raw::{Acquired, RawMutex};
use crate::sys::clock::Deadline;

/// The lock is held; released when dropped, also when the scope unwinds.
pub(crate) struct Held<'a>(&'a RawMutex);

impl<'a> Held<'a> {
    /// Waits for the lock; true: a holder died, and nobody has called [`RawMutex::consistent`] since.
    #[inline(always)]
    pub(crate) fn take(lock: &'a RawMutex) -> Result<(Self, bool)> {
        let acquired = lock.lock(Deadline::FOREVER)?;
        Ok((Self(lock), acquired != Acquired::Clean))
    }

    /// Whether this is the holder, and not a child that was forked meanwhile.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.is_mine()
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Refused only in a child that was forked meanwhile: nothing to release there.
        let _ = self.0.unlock();
    }
}
