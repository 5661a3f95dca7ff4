//! A queue's memory: its own, or the caller's.

use core::ptr::NonNull;

use super::ring::Ring;
use crate::error::Result;
use crate::sys::map::Mapping;

/// A ring and what it lies in.
pub(crate) struct Memory {
    pub(crate) ring: Ring,
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
        Ok(Self { ring, _mapping: Some(mapping) })
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
        Ok(Self { ring, _mapping: None })
    }

    /// # Safety
    /// As [`Ring::find`].
    pub(crate) unsafe fn find_in(memory: NonNull<u8>, size: usize) -> Result<Self> {
        // SAFETY: by contract.
        Ok(Self { ring: unsafe { Ring::find(memory, size) }?, _mapping: None })
    }
}
