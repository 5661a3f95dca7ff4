//! Reading a shard without its lock: so that readers write nothing, and processes that only read do not meet.
//!
//! Whoever changes a shard makes its version odd first and even afterwards. A reader copies what it finds, and believes it only if the version was even and
//! is the same afterwards (a sequence lock: H.-J. Boehm, "Can seqlocks get along with programming language memory models?", 2012). What it followed
//! meanwhile may have been freed, and been anything: all of it is read through checked atomics. One that was killed leaves an odd version,
//! so that the next reader takes the lock, and makes whole what it left.

use super::root::Core;
use super::shard::{KEY, LENGTHS, NEXT, ORDER, Shard, TWINS, key_size, leading, value_size};
use super::space::padded;
use crate::sys::atomic::{AtomicU64, Ordering, fence};

/// Longer values are read under the lock.
const WORDS: usize = 8;
/// Longer lists, too: one that was freed meanwhile may go in a circle.
const STEPS: usize = 32;

/// What was seen.
pub(super) enum Seen {
    /// The key has no value.
    Absent,
    /// A value of so many bytes.
    Value([u64; WORDS], usize),
}

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

    /// What a key's value is; `None`: only the lock will tell.
    #[inline]
    pub(super) fn glance(&self, core: &Core, prefix: u32, epoch: u64, hash: u64, key: &[u8]) -> Option<Seen> {
        // Acquire pairs with the Release at the end of a change.
        let version = self.version.load(Ordering::Acquire);
        if version % 2 == 1 || self.epoch.load(Ordering::Relaxed) != epoch {
            return None;
        }
        let seen = self.look(core, prefix, hash, key)?;
        // Pairs with the fence of `change`.
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(seen)
    }

    #[inline(always)]
    fn look(&self, core: &Core, prefix: u32, hash: u64, key: &[u8]) -> Option<Seen> {
        let (table, bits) = (self.table.load(Ordering::Relaxed), self.bits.load(Ordering::Relaxed));
        if table == 0 || bits > 40 {
            return (table == 0).then_some(Seen::Absent);
        }
        let mut entry = core.space.read(table.wrapping_add(8 * leading(hash, prefix, bits as u32))).ok()?;
        for _ in 0..STEPS {
            if entry == 0 {
                return Some(Seen::Absent);
            }
            let order = core.space.read(entry.wrapping_add(ORDER)).ok()?;
            if order | TWINS == hash | TWINS {
                let lengths = core.space.read(entry.wrapping_add(LENGTHS)).ok()?;
                if key_size(lengths) == key.len() as u64
                    && core.space.equals(entry.wrapping_add(KEY), key).ok()?
                {
                    let at = entry.wrapping_add(KEY + padded(key.len() as u64));
                    let (mut value, size) = ([0; WORDS], value_size(lengths) as usize);
                    for (index, word) in value.get_mut(..size.div_ceil(8))?.iter_mut().enumerate() {
                        *word = core.space.read(at.wrapping_add(8 * index as u64)).ok()?;
                    }
                    return Some(Seen::Value(value, size));
                }
            } else if order > hash {
                return Some(Seen::Absent);
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
