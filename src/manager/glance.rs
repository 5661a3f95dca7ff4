//! Reading a shard without its lock: so that readers write nothing, and processes that only read do not meet.
//!
//! Whoever changes a shard makes its version odd first and even afterwards. A reader copies what it finds, and believes it only if the version was even and
//! is the same afterwards (a sequence lock: H.-J. Boehm, "Can seqlocks get along with programming language memory models?", 2012). What it followed
//! meanwhile may have been freed, and been anything: all of it is read through checked atomics. One that was killed leaves an odd version,
//! so that the next reader takes the lock, and makes whole what it left.

use core::mem::MaybeUninit;

use super::root::Core;
use super::shard::{KEY, LENGTHS, NEXT, ORDER, Shard, TWINS, key_size, leading, value_size};
use super::space::padded;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering, fence};

/// Longer values are read under the lock.
const LONGEST: usize = 64;
/// Longer lists, too: one that was freed meanwhile may go in a circle.
const STEPS: usize = 32;

/// While it lives, nobody believes what he reads without the lock.
pub(super) struct Changing<'a> {
    version: &'a AtomicU64,
    /// What it will be; `None`: an outer one will say so.
    after: Option<u64>,
}

impl Shard {
    /// To be called by the holder of the lock before it changes anything.
    #[inline(always)]
    pub(super) fn change(&self) -> Changing<'_> {
        let before = self.version.load(Ordering::Relaxed);
        if before % 2 == 1 {
            return Changing { version: &self.version, after: None };
        }
        self.version.store(before.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the fence of `glance`: who sees any of the changes sees that the version has changed.
        fence(Ordering::Release);
        Changing { version: &self.version, after: Some(before.wrapping_add(2)) }
    }

    /// After a death, when the shard is whole again.
    pub(super) fn settle(&self) {
        let version = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(version.wrapping_add(1), Ordering::Release);
    }

    /// Copies a key's value out if it fits; gives its size, or `NotFound`. `None`: only the lock will tell, and nothing is copied.
    ///
    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of the manager's memory.
    #[inline]
    pub(super) unsafe fn glance(
        &self,
        core: &Core,
        (prefix, epoch): (u32, u64),
        (hash, key): (u64, &[u8]),
        (into, capacity): (*mut u8, usize),
    ) -> Option<Result<usize>> {
        // Acquire pairs with the Release at the end of a change.
        let version = self.version.load(Ordering::Acquire);
        if version % 2 == 1 || self.epoch.load(Ordering::Relaxed) != epoch {
            return None;
        }
        let seen = self.look(core, prefix, hash, key)?;
        let mut copy = MaybeUninit::<[u64; LONGEST / 8]>::uninit();
        let copied = seen.map_or(0, |(_, size)| if size <= capacity { size } else { 0 });
        // What is long is read under the lock, unless only its size is told.
        let is_told = |at, size| copied == 0 && core.space.holds(at, size as u64);
        if seen.is_some_and(|(at, size)| size > LONGEST && !is_told(at, size)) {
            return None;
        }
        if let Some((at, _)) = seen {
            // SAFETY: so much room.
            unsafe { core.space.load(at, copy.as_mut_ptr().cast(), copied).ok()? };
        }
        // Pairs with the fence of `change`.
        fence(Ordering::Acquire);
        if self.version.load(Ordering::Relaxed) != version {
            return None;
        }
        // SAFETY: so many bytes were copied; the rest by contract.
        unsafe {
            if copied == capacity {
                // Where that is known when it is compiled, it needs no call.
                into.copy_from_nonoverlapping(copy.as_ptr().cast(), capacity);
            } else {
                into.copy_from_nonoverlapping(copy.as_ptr().cast(), copied);
            }
        }
        Some(seen.map(|(_, size)| size).ok_or(Error::NotFound))
    }

    /// Where a key's value is, and its size; or that it has none. `None`: what is there makes no sense, or is long.
    #[inline(always)]
    fn look(&self, core: &Core, prefix: u32, hash: u64, key: &[u8]) -> Option<Option<(u64, usize)>> {
        let (table, bits) = (self.table.load(Ordering::Relaxed), self.bits.load(Ordering::Relaxed));
        if table == 0 || bits > 40 {
            return (table == 0).then_some(None);
        }
        let mut entry = core.space.read(table.wrapping_add(8 * leading(hash, prefix, bits as u32))).ok()?;
        for _ in 0..STEPS {
            if entry == 0 {
                return Some(None);
            }
            let order = core.space.read(entry.wrapping_add(ORDER)).ok()?;
            if order | TWINS == hash | TWINS {
                let lengths = core.space.read(entry.wrapping_add(LENGTHS)).ok()?;
                if key_size(lengths) == key.len() as u64
                    && core.space.equals(entry.wrapping_add(KEY), key).ok()?
                {
                    let at = entry.wrapping_add(KEY + padded(key.len() as u64));
                    return Some(Some((at, value_size(lengths) as usize)));
                }
            } else if order > hash {
                return Some(None);
            }
            entry = core.space.read(entry.wrapping_add(NEXT)).ok()?;
        }
        None
    }
}

impl Drop for Changing<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(after) = self.after {
            // Release pairs with the Acquire of `glance`.
            self.version.store(after, Ordering::Release);
        }
    }
}
