//! Permits that give themselves back.

use core::time::Duration;

use super::semaphore::Semaphore;
use crate::error::Result;
use crate::sys::thread;

/// A permit that is given back when this is dropped. Forget it (`core::mem::forget`) to keep the permit.
///
/// In a child forked meanwhile it is nothing: the parent's permit is not the child's to give back. That of a
/// process that dies is not given back.
#[must_use = "dropping it gives the permit back"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// The fork generation.
    taken_in: u64,
}

impl<'a> Permit<'a> {
    fn of(semaphore: &'a Semaphore) -> Self {
        Self { semaphore, taken_in: thread::generation() }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.taken_in == thread::generation() {
            // Too many only if somebody else released what it had not acquired.
            let _ = self.semaphore.release(1);
        }
    }
}

impl Semaphore {
    /// Takes a permit that is given back when the [`Permit`] is dropped.
    ///
    /// ```
    /// use forq::Semaphore;
    ///
    /// let slots = Semaphore::new(2);
    /// let slot = slots.permit()?;
    /// assert_eq!(slots.value(), 1);
    /// drop(slot);
    /// assert_eq!(slots.value(), 2);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Semaphore::acquire`].
    pub fn permit(&self) -> Result<Permit<'_>> {
        self.acquire().map(|()| Permit::of(self))
    }

    /// As [`Semaphore::permit`], if there is one.
    ///
    /// # Errors
    /// As [`Semaphore::try_acquire`].
    pub fn try_permit(&self) -> Result<Permit<'_>> {
        self.try_acquire().map(|()| Permit::of(self))
    }

    /// As [`Semaphore::permit`], for at most `timeout`.
    ///
    /// # Errors
    /// As [`Semaphore::acquire_timeout`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
        self.acquire_timeout(timeout).map(|()| Permit::of(self))
    }
}
