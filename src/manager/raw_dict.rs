//! A dict of byte strings, spread over shards that are locked one at a time.

use core::ptr::NonNull;

use super::root::{CollectionKind, Core};
use super::shard::{Open, Shard, check_key, leading};
use super::space::{DAMAGED, InPlace};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicU64, Ordering};

/// Before the shards.
#[repr(C, align(64))]
pub(super) struct DictRoot {
    _kind: AtomicU64,
    /// There are two to the power of this many shards. Never changes.
    pub(super) bits: AtomicU64,
    /// One more with every clear: whatever is in a shard of another epoch counts no longer. The store clears the dict.
    pub(super) epoch: AtomicU64,
    /// The epoch up to which all shards have freed what counts no longer.
    swept: AtomicU64,
    _line: [u64; 4],
}

// SAFETY: atomics.
unsafe impl InPlace for DictRoot {}

pub(super) const MOST_BITS: u32 = 6;

/// A dict as one process has it.
#[derive(Clone, Copy)]
pub(crate) struct RawDict<'a> {
    core: &'a Core,
    root: u64,
    bits: u32,
}

/// What an update is to leave.
pub(crate) enum Update<'b> {
    /// This value.
    Store(&'b [u8]),
    /// No entry.
    Remove,
}

impl<'a> RawDict<'a> {
    /// One shard for 128 KiB of memory, up to 64.
    fn bits_for(core: &Core) -> u32 {
        (core.space.size() >> 17).max(1).ilog2().min(MOST_BITS)
    }

    fn size(bits: u32) -> usize {
        size_of::<DictRoot>() + (size_of::<Shard>() << bits)
    }

    pub(crate) fn find_or_make(core: &'a Core, name: &[u8]) -> Result<Self> {
        let bits = Self::bits_for(core);
        let root = core.find_or_make(name, CollectionKind::Dict, Self::size(bits), |root| {
            Self::initialize(core, root, bits)
        });
        Self::at(core, root?)
    }

    pub(crate) fn make(core: &'a Core) -> Result<Self> {
        let bits = Self::bits_for(core);
        let root =
            core.make(CollectionKind::Dict, Self::size(bits), |root| Self::initialize(core, root, bits));
        Self::at(core, root?)
    }

    fn initialize(core: &Core, root: u64, bits: u32) -> Result<()> {
        core.space.place::<DictRoot>(root)?.bits.store(bits.into(), Ordering::Relaxed);
        Ok(())
    }

    /// The dict whose root is there.
    pub(crate) fn at(core: &'a Core, root: u64) -> Result<Self> {
        let root = core.check_root(root, CollectionKind::Dict)?;
        let bits = core.space.place::<DictRoot>(root)?.bits.load(Ordering::Relaxed);
        if bits > MOST_BITS.into() {
            return Err(DAMAGED);
        }
        Ok(Self { core, root, bits: bits as u32 })
    }

    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// The shards, as a power of two.
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn shard_bits(&self) -> u32 {
        self.bits
    }

    /// As it was found before.
    #[cfg(feature = "capi")]
    pub(crate) fn known(core: &'a Core, root: u64, bits: u32) -> Self {
        Self { core, root, bits }
    }

    fn state(&self) -> Result<&'a DictRoot> {
        self.core.space.place(self.root)
    }

    #[inline]
    fn shard(&self, index: u64) -> Result<&'a Shard> {
        let at = self.root + size_of::<DictRoot>() as u64 + index * size_of::<Shard>() as u64;
        self.core.space.place(at)
    }

    /// A shard, locked, with only what counts.
    #[inline]
    pub(super) fn open(&self, index: u64) -> Result<Open<'a>> {
        self.counting(self.shard(index)?.open(self.core, self.bits)?)
    }

    #[inline]
    fn counting(&self, open: Open<'a>) -> Result<Open<'a>> {
        let epoch = self.state()?.epoch.load(Ordering::Relaxed);
        if open.shard.epoch.load(Ordering::Relaxed) != epoch {
            open.purge(epoch)?;
        }
        Ok(open)
    }

    /// What every operation begins with. A clear whose caller was killed is carried on.
    #[inline]
    pub(super) fn enter(&self) -> Result<()> {
        self.core.enter()?;
        let state = self.state()?;
        if state.swept.load(Ordering::Relaxed) != state.epoch.load(Ordering::Relaxed) {
            self.sweep()?;
        }
        Ok(())
    }

    #[cold]
    fn sweep(&self) -> Result<()> {
        let state = self.state()?;
        let epoch = state.epoch.load(Ordering::Relaxed);
        for index in 0..1 << self.bits {
            drop(self.open(index)?);
        }
        state.swept.store(epoch, Ordering::Relaxed);
        Ok(())
    }

    /// The shard of a key, locked; and the key's hash.
    #[inline]
    fn open_for(&self, key: &[u8]) -> Result<(Open<'a>, u64)> {
        check_key(key)?;
        self.enter()?;
        let hash = Open::hash_of(self.core, key);
        let shard = self.shard(leading(hash, 0, self.bits))?;
        shard.prefetch(self.core, self.bits, hash);
        Ok((self.counting(shard.open(self.core, self.bits)?)?, hash))
    }

    #[inline]
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let (open, hash) = self.open_for(key)?;
        let place = open.find(hash, key)?;
        open.set(place, key, value)
    }

    /// Copies a value out if it fits; gives its size.
    ///
    /// # Safety
    /// `into` must have room for `capacity` bytes, outside of the manager's memory.
    #[inline]
    pub(crate) unsafe fn get(&self, key: &[u8], into: *mut u8, capacity: usize) -> Result<usize> {
        // SAFETY: by contract.
        if let Some(seen) = unsafe { self.glance(key, into, capacity)? } {
            return seen;
        }
        let (open, hash) = self.open_for(key)?;
        let place = open.find(hash, key)?;
        if !place.is_found() {
            return Err(Error::NotFound);
        }
        // SAFETY: by contract.
        unsafe { open.value(&place, into, capacity) }
    }

    /// As [`RawDict::get`], without the lock; `None`: only the lock will tell.
    ///
    /// # Safety
    /// As there.
    #[inline]
    unsafe fn glance(&self, key: &[u8], into: *mut u8, capacity: usize) -> Result<Option<Result<usize>>> {
        check_key(key)?;
        self.enter()?;
        let hash = Open::hash_of(self.core, key);
        let epoch = self.state()?.epoch.load(Ordering::Relaxed);
        let shard = self.shard(leading(hash, 0, self.bits))?;
        // SAFETY: by contract.
        Ok(unsafe { shard.glance(self.core, (self.bits, epoch), (hash, key), (into, capacity)) })
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool> {
        let none = NonNull::dangling().as_ptr();
        // SAFETY: nothing is copied.
        if let Some(seen) = unsafe { self.glance(key, none, 0)? } {
            return Ok(seen.is_ok());
        }
        let (open, hash) = self.open_for(key)?;
        Ok(open.find(hash, key)?.is_found())
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<bool> {
        let (open, hash) = self.open_for(key)?;
        let place = open.find(hash, key)?;
        if place.is_found() {
            open.remove(&place)?;
        }
        Ok(place.is_found())
    }

    pub(crate) fn len(&self) -> Result<usize> {
        self.enter()?;
        let mut sum = 0u64;
        for index in 0..1 << self.bits {
            sum = sum.saturating_add(self.open(index)?.shard.count.load(Ordering::Relaxed));
        }
        Ok(usize::try_from(sum).unwrap_or(usize::MAX))
    }

    pub(crate) fn clear(&self) -> Result<()> {
        self.enter()?;
        self.state()?.epoch.fetch_add(1, Ordering::Relaxed);
        self.sweep()
    }

    /// The first entry at this place in the order or later: copied out if key and value fit. Gives the sizes of both and the place after it;
    /// `None` at the end.
    ///
    /// # Safety
    /// There must be so much room for both, outside of the manager's memory.
    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) unsafe fn next(
        &self,
        cursor: u64,
        key: (*mut u8, usize),
        value: (*mut u8, usize),
    ) -> Result<Option<(usize, usize, u64)>> {
        self.enter()?;
        let first = leading(cursor, 0, self.bits);
        for index in first..1 << self.bits {
            let start = if index == first { cursor } else { index << (64 - self.bits) };
            let open = self.open(index)?;
            if let Some(entry) = open.first_from(start)? {
                // SAFETY: by contract.
                let (key_size, value_size, order) = unsafe { open.entry(entry, key, value)? };
                return Ok(Some((key_size, value_size, order.saturating_add(1))));
            }
        }
        Ok(None)
    }

    /// Gives a key a value if it has none; tells whether it had none.
    pub(crate) fn insert_new(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let (open, hash) = self.open_for(key)?;
        let place = open.find(hash, key)?;
        let is_new = !place.is_found();
        if is_new {
            open.insert(place, key, value)?;
        }
        Ok(is_new)
    }

    /// Changes a value by what the caller's functions make of it, under the lock: `change` is given a function that copies the value out as far as there is
    /// room and tells its size, or nothing if there is no value; `store` says what is to be of what it gave. They may not use this manager.
    pub(crate) fn update_by<T>(
        &self,
        key: &[u8],
        change: impl FnOnce(Option<&mut dyn FnMut(&mut [u8]) -> Result<usize>>) -> Result<T>,
        store: impl FnOnce(T, &mut dyn FnMut(Update<'_>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let (open, hash) = self.open_for(key)?;
        let place = open.find(hash, key)?;
        let changed = if place.is_found() {
            // SAFETY: the room is a slice.
            change(Some(&mut |room| unsafe { open.value(&place, room.as_mut_ptr(), room.len()) }))?
        } else {
            change(None)?
        };
        let is_found = place.is_found();
        let mut place = Some(place);
        store(changed, &mut |update| {
            // A function that forked and returned in the child, too, must not change anything there.
            let place = place.take().filter(|_| open.is_mine()).ok_or(Error::NotPermitted)?;
            match update {
                Update::Store(value) => open.set(place, key, value),
                Update::Remove if is_found => open.remove(&place),
                Update::Remove => Ok(()),
            }
        })
    }
}
