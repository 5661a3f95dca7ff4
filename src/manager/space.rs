//! A manager's memory as this process sees it: every access is checked against bounds of this process's own.

use core::ptr::NonNull;

use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};

/// Memory that other processes write too. Offsets count from its start; 0 means nothing. What is added to an offset that was read wraps: the check of the
/// sum is what counts.
pub(super) struct Space {
    start: NonNull<u8>,
    size: u64,
}

// SAFETY: what is done through it is atomic, or under the locks of what lies in it.
unsafe impl Send for Space {}
// SAFETY: as above.
unsafe impl Sync for Space {}

/// Types that may be used in place: valid for any bytes, and changed only through atomics.
///
/// # Safety
/// As said.
pub(super) unsafe trait InPlace {}

/// What a scribbled offset or size gives.
pub(super) const DAMAGED: Error = Error::Protocol;

/// The words that so many bytes take.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.saturating_add(7) & !7
}

/// Up to so many bytes are copied word by word, which is as fast and needs no call.
const FEW: usize = 64;

impl Space {
    /// # Safety
    /// So many bytes must be mapped there, page-aligned, as long as this is used.
    pub(super) unsafe fn new(start: NonNull<u8>, size: usize) -> Self {
        Self { start, size: size as u64 }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// More steps than any list of blocks has: who takes more goes in a circle.
    pub(super) fn most_steps(&self) -> u64 {
        self.size / 32
    }

    /// The word at an offset.
    #[inline(always)]
    pub(super) fn word(&self, at: u64) -> Result<&AtomicU64> {
        if at % 8 != 0 || at > self.size - 8 {
            return Err(DAMAGED);
        }
        // SAFETY: aligned, and inside the mapping, by the check.
        Ok(unsafe { self.start.add(at as usize).cast().as_ref() })
    }

    /// The value of the word at an offset.
    #[inline(always)]
    pub(super) fn read(&self, at: u64) -> Result<u64> {
        // Relaxed: whoever wrote it did so under the same lock.
        Ok(self.word(at)?.load(Ordering::Relaxed))
    }

    /// Changes the word at an offset.
    #[inline(always)]
    pub(super) fn write(&self, at: u64, value: u64) -> Result<()> {
        self.word(at)?.store(value, Ordering::Relaxed);
        Ok(())
    }

    /// Has the line at an offset brought near, if it is one of this space.
    #[inline(always)]
    pub(super) fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        if at < self.size {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: inside the mapping; and a prefetch has no effect that a program could see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.start.add(at as usize).as_ptr().cast_const().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// Where a word of this space is.
    #[inline(always)]
    pub(super) fn offset_of(&self, word: &AtomicU64) -> u64 {
        (core::ptr::from_ref(word).addr() - self.start.addr().get()) as u64
    }

    /// What lies at an offset.
    #[inline(always)]
    pub(super) fn place<T: InPlace>(&self, at: u64) -> Result<&T> {
        if at % align_of::<T>() as u64 != 0
            || self.size.checked_sub(size_of::<T>() as u64).is_none_or(|last| at > last)
        {
            return Err(DAMAGED);
        }
        // SAFETY: aligned, and inside the mapping, by the check; valid for any bytes, by the trait.
        Ok(unsafe { self.start.add(at as usize).cast().as_ref() })
    }

    /// Whether there are so many bytes. To be asked before a size is told that was read here: who is told makes room for it.
    #[inline(always)]
    pub(super) fn holds(&self, at: u64, size: u64) -> bool {
        at.checked_add(size).is_some_and(|end| end <= self.size)
    }

    /// The address of so many bytes.
    fn bytes(&self, at: u64, size: usize) -> Result<NonNull<u8>> {
        if !self.holds(at, size as u64) {
            return Err(DAMAGED);
        }
        // SAFETY: inside the mapping, by the check.
        Ok(unsafe { self.start.add(at as usize) })
    }

    /// Copies bytes in, which start at a word and are filled up with zeroes to the next one.
    #[inline]
    pub(super) fn store(&self, at: u64, bytes: &[u8]) -> Result<()> {
        if at % 8 != 0 {
            return Err(DAMAGED);
        }
        // Word by word, since others may look without the lock.
        let words = self.bytes(at, bytes.len())?.cast::<AtomicU64>();
        let mut chunks = bytes.chunks_exact(8);
        for (index, chunk) in chunks.by_ref().enumerate() {
            let mut whole = [0; 8];
            whole.copy_from_slice(chunk);
            // SAFETY: a whole word of so many bytes; aligned, by the check.
            unsafe { words.add(index).as_ref() }.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        let done = (bytes.len() & !7) as u64;
        each_word(chunks.remainder(), |_, rest| self.write(at.wrapping_add(done), rest))
    }

    /// Makes so many bytes zero: whole words.
    pub(super) fn clear(&self, at: u64, size: usize) -> Result<()> {
        self.bytes(at, size)?;
        (0..size as u64 / 8).try_for_each(|index| self.write(at.wrapping_add(8 * index), 0))
    }

    /// Copies bytes out if they fit; gives their number.
    ///
    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of this space.
    #[inline]
    pub(super) unsafe fn load_fitting(
        &self,
        at: u64,
        size: u64,
        into: *mut u8,
        capacity: usize,
    ) -> Result<usize> {
        if !self.holds(at, size) {
            return Err(DAMAGED);
        }
        let size = usize::try_from(size).map_err(|_| DAMAGED)?;
        if size <= capacity {
            // SAFETY: by contract.
            unsafe { self.load(at, into, size)? };
        }
        Ok(size)
    }

    /// Copies bytes out, which start at a word.
    ///
    /// # Safety
    /// `into` must have room for so many, outside of this space.
    #[inline]
    pub(super) unsafe fn load(&self, at: u64, into: *mut u8, size: usize) -> Result<()> {
        let place = self.bytes(at, size)?;
        if size > FEW {
            // SAFETY: so many bytes of the mapping; the rest by contract.
            unsafe { place.as_ptr().copy_to_nonoverlapping(into, size) };
            return Ok(());
        }
        if at % 8 != 0 {
            return Err(DAMAGED);
        }
        let words = place.cast::<AtomicU64>();
        for index in 0..size / 8 {
            // SAFETY: a whole word of both, by the size; aligned here, by the check; the rest by contract.
            unsafe {
                let word = words.add(index).as_ref().load(Ordering::Relaxed);
                into.add(8 * index).cast::<u64>().write_unaligned(word);
            }
        }
        let rest = size % 8;
        if rest != 0 {
            let done = (size - rest) as u64;
            let word = self.read(at.wrapping_add(done))?.to_ne_bytes();
            // SAFETY: so many bytes are left of both; the rest by contract.
            unsafe { into.add(size - rest).copy_from_nonoverlapping(word.as_ptr(), rest) };
        }
        Ok(())
    }

    /// Whether these bytes are there, filled up with zeroes.
    #[inline]
    pub(super) fn equals(&self, at: u64, bytes: &[u8]) -> Result<bool> {
        if at % 8 != 0 {
            return Err(DAMAGED);
        }
        let words = self.bytes(at, bytes.len())?.cast::<AtomicU64>();
        let mut chunks = bytes.chunks_exact(8);
        let mut difference = 0;
        for (index, chunk) in chunks.by_ref().enumerate() {
            let mut whole = [0; 8];
            whole.copy_from_slice(chunk);
            // SAFETY: a whole word of so many bytes; aligned, by the check.
            let word = unsafe { words.add(index).as_ref() }.load(Ordering::Relaxed);
            difference |= word ^ u64::from_ne_bytes(whole);
        }
        each_word(chunks.remainder(), |_, rest| {
            let done = (bytes.len() & !7) as u64;
            difference |= self.read(at.wrapping_add(done))? ^ rest;
            Ok(())
        })?;
        Ok(difference == 0)
    }
}

/// Calls `visit` with each word of these bytes and its index, the last one filled up with zeroes.
#[inline(always)]
pub(super) fn each_word(bytes: &[u8], mut visit: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
    let mut index = 0;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut whole = [0; 8];
        whole.copy_from_slice(word);
        visit(index, u64::from_ne_bytes(whole))?;
        index += 1;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut whole = [0; 8];
        whole[..rest.len()].copy_from_slice(rest);
        visit(index, u64::from_ne_bytes(whole))?;
    }
    Ok(())
}
