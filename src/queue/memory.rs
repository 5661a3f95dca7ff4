//! A queue's memory: its own, or the caller's.

use core::ptr::NonNull;

use super::readiness::Readiness;
use super::ring::{Got, Ring};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::map::Mapping;

/// A ring and what it lies in.
pub(crate) struct Memory {
    pub(crate) ring: Ring,
    /// This process's descriptor for event loops.
    readiness: Readiness,
    /// `None`: the caller's.
    _mapping: Option<Mapping>,
}

impl Memory {
    /// In memory of its own, whose counts begin at a lap.
    pub(crate) fn new(capacity: usize, message_size: usize, lap: (u32, u32)) -> Result<Self> {
        let mapping = Mapping::shared(Ring::required_size(capacity, message_size))?;
        // SAFETY: new memory, which stays while `self` does; pages are aligned to more than a line.
        let ring =
            unsafe { Ring::make(mapping.start(), mapping.size(), (capacity, message_size), lap, true) }?;
        Ok(Self { ring, readiness: Readiness::none(), _mapping: Some(mapping) })
    }

    /// # Safety
    /// As [`Ring::make`].
    pub(crate) unsafe fn make_in(
        memory: NonNull<u8>,
        size: usize,
        capacity: usize,
        message_size: usize,
    ) -> Result<Self> {
        // SAFETY: by contract.
        let ring = unsafe { Ring::make(memory, size, (capacity, message_size), (0, 0), false) }?;
        Ok(Self { ring, readiness: Readiness::none(), _mapping: None })
    }

    /// # Safety
    /// As [`Ring::find`].
    pub(crate) unsafe fn find_in(memory: NonNull<u8>, size: usize) -> Result<Self> {
        // SAFETY: by contract.
        let ring = unsafe { Ring::find(memory, size) }?;
        Ok(Self { ring, readiness: Readiness::none(), _mapping: None })
    }

    /// As [`Ring::get`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, buffer: *mut u8, room: usize, deadline: Deadline) -> Result<Got> {
        // SAFETY: by contract.
        unsafe { self.ring.get(buffer, room, deadline) }.inspect_err(|error| self.has_failed(*error))
    }

    /// As [`Ring::get_many`].
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn get_many(
        &self,
        buffer: *mut u8,
        length: usize,
        count: usize,
        deadline: Deadline,
    ) -> Result<Got> {
        // SAFETY: by contract.
        unsafe { self.ring.get_many(buffer, length, count, deadline) }
            .inspect_err(|error| self.has_failed(*error))
    }

    #[cold]
    fn has_failed(&self, error: Error) {
        if matches!(error, Error::WouldBlock | Error::TimedOut) {
            self.readiness.settle(&self.ring);
        }
    }

    /// This process's descriptor that is readable while there may be messages.
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn descriptor(&self) -> Result<i32> {
        self.readiness.descriptor(&self.ring)
    }
}
