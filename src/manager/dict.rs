//! Shared dicts.

use core::marker::PhantomData;

use super::Handle;
use super::raw_dict::{RawDict, Update};
use super::stored::Stored;
use crate::error::{Error, Result};

/// A dict in a [`Manager`](super::Manager)'s memory, which all processes that have the manager share: Python's
/// `Manager().dict()`, without a server.
///
/// Keys (at most 4 KiB as bytes) and values are copied in and out. Each operation is done as a whole or not at all, whenever its process is killed. A dict
/// is spread over up to 64 parts by the hashes of keys, each with a lock of its own, held for as long as an operation takes; waiting
/// spins for 1.6 us, then yields, then sleeps. [`Dict::get`] of a value up to 64 bytes and [`Dict::contains`] take no lock unless somebody is changing
/// the same part. What fails changes nothing. [`Dict::len`] looks at one part after the other.
///
/// Every method may also fail with [`Error::InvalidArgument`] (a key is too long), [`Error::Deadlock`] (called in a function that an update of this
/// manager calls), [`Error::Protocol`] (the memory was scribbled over, or a value is of another type), and
/// [`Error::Interrupted`] (a signal handler ran, and this thread asked to be told).
///
/// ```
/// use forq::Manager;
///
/// let manager = Manager::new(1 << 20)?;
/// let counts = manager.dict::<str, u64>("counts")?;
/// for word in "the cat and the dog".split(' ') {
///     counts.update(word, |count| Some(count.unwrap_or(0) + 1))?;
/// }
/// assert_eq!(counts.get("the")?, Some(2));
/// assert_eq!(counts.remove("cat")?, true);
/// assert_eq!(counts.iter().count(), 3);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Dict<'m, K: Stored + ?Sized, V: Stored + ?Sized> {
    raw: RawDict<'m>,
    entry: PhantomData<fn(&K, &V)>,
}

impl<K: Stored + ?Sized, V: Stored + ?Sized> Clone for Dict<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored + ?Sized, V: Stored + ?Sized> Copy for Dict<'_, K, V> {}

impl<'m, K: Stored + ?Sized, V: Stored + ?Sized> Dict<'m, K, V> {
    pub(super) fn of(raw: RawDict<'m>) -> Self {
        Self { raw, entry: PhantomData }
    }

    /// What stands for this dict in other collections: see [`Handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.raw.root())
    }

    /// How many entries there are. While others change it, the sum of what its parts held at neighbouring moments.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn len(&self) -> Result<usize> {
        self.raw.len()
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// As [`Dict::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Gives a key a value, whether or not it has one.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    #[inline]
    pub fn set(&self, key: &K, value: &V) -> Result<()> {
        key.with_bytes(|key| value.with_bytes(|value| self.raw.set(key, value)))
    }

    /// A copy of a key's value.
    ///
    /// # Errors
    /// Only those that every method has.
    #[inline]
    pub fn get(&self, key: &K) -> Result<Option<V::Owned>> {
        // SAFETY: the room is a slice.
        let get =
            |key: &[u8]| V::from_bytes(|room| unsafe { self.raw.get(key, room.as_mut_ptr(), room.len()) });
        match key.with_bytes(get) {
            Err(Error::NotFound) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn contains(&self, key: &K) -> Result<bool> {
        key.with_bytes(|key| self.raw.contains(key))
    }

    /// Takes an entry away; tells whether there was one. Needs no space.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn remove(&self, key: &K) -> Result<bool> {
        key.with_bytes(|key| self.raw.remove(key))
    }

    /// Takes all entries away, at one moment; needs no space. A caller that is killed may leave the freeing to the next operation.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn clear(&self) -> Result<()> {
        self.raw.clear()
    }

    /// Calls `change` with a key's value under the lock, and stores what it gives; `None` takes the entry away. `change` must not use
    /// this manager. If it panics, or its process is killed in it, nothing has changed.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`]; [`Error::NotPermitted`] in a child that `change` forked.
    pub fn update(&self, key: &K, change: impl FnOnce(Option<V::Owned>) -> Option<V::Owned>) -> Result<()> {
        self.try_update(key, |value| Ok(change(value)))
    }

    /// As [`Dict::update`]; an error of `change` leaves the value as it is, and is passed on.
    ///
    /// # Errors
    /// Those too.
    pub fn try_update(
        &self,
        key: &K,
        change: impl FnOnce(Option<V::Owned>) -> Result<Option<V::Owned>>,
    ) -> Result<()> {
        let update = |key: &[u8]| {
            self.raw.update_by(
                key,
                |read| {
                    let before = match read {
                        Some(read) => Some(V::from_bytes(read)?),
                        None => None,
                    };
                    change(before)
                },
                |after, store| match after {
                    Some(value) => V::with_owned(&value, |bytes| store(Update::Store(bytes))),
                    None => store(Update::Remove),
                },
            )
        };
        key.with_bytes(update)
    }

    /// A key's value; if it has none, `value` becomes it.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    pub fn get_or_insert(&self, key: &K, value: &V) -> Result<V::Owned> {
        let get = |key: &[u8]| {
            value.with_bytes(|value| {
                // Once it is there it is only got: another may have taken it away in between.
                self.raw.insert_new(key, value)?;
                // SAFETY: the room is a slice.
                V::from_bytes(|room| unsafe { self.raw.get(key, room.as_mut_ptr(), room.len()) })
            })
        };
        loop {
            match key.with_bytes(get) {
                Err(Error::NotFound) => {}
                result => return result,
            }
        }
    }

    /// The entry at a cursor, which starts at 0, and moves the cursor past it; `None` at the end.
    ///
    /// Entries come in the order of their keys' hashes, which never changes. One that is there throughout comes exactly once, one that is set or removed
    /// meanwhile at most once, with the value that it has when it comes.
    ///
    /// # Errors
    /// Only those that every method has; the cursor stays.
    #[cfg(feature = "std")]
    pub fn next(&self, cursor: &mut u64) -> Result<Option<(K::Owned, V::Owned)>> {
        let (mut key, mut value) = (std::vec![0u8; 64], std::vec![0u8; 256]);
        loop {
            let (key_room, value_room) = ((key.as_mut_ptr(), key.len()), (value.as_mut_ptr(), value.len()));
            // SAFETY: so much room for both.
            match unsafe { self.raw.next(*cursor, key_room, value_room)? } {
                None => return Ok(None),
                Some((key_size, value_size, next)) => {
                    if let (Some(key), Some(value)) = (key.get(..key_size), value.get(..value_size)) {
                        let entry = (super::list::from_vec::<K>(key)?, super::list::from_vec::<V>(value)?);
                        *cursor = next;
                        return Ok(Some(entry));
                    }
                    key.resize(key.len().max(key_size), 0);
                    value.resize(value.len().max(value_size), 0);
                }
            }
        }
    }

    /// All entries, by [`Dict::next`]. Ends after an error.
    #[cfg(feature = "std")]
    pub fn iter(&self) -> impl Iterator<Item = Result<(K::Owned, V::Owned)>> + use<'m, K, V> {
        let (dict, mut cursor, mut is_over) = (*self, 0, false);
        core::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let entry = dict.next(&mut cursor).transpose();
            is_over = !matches!(entry, Some(Ok(_)));
            entry
        })
    }
}

impl<K: Stored + ?Sized, V: Stored + ?Sized> core::fmt::Debug for Dict<'_, K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Dict").field("len", &self.len()).finish_non_exhaustive()
    }
}
