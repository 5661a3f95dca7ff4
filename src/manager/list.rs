//! Shared lists.

use core::marker::PhantomData;

use super::Handle;
use super::raw_list::RawList;
use super::stored::Stored;
use crate::error::{Error, Result};

/// A list in a [`Manager`](super::Manager)'s memory, which all processes that have the manager share: Python's
/// `Manager().list()`, without a server.
///
/// Items are copied in and out. Each operation is done as a whole or not at all, whenever its process is killed, and locks the list for as long as it
/// takes: 1.6 us of spinning, then yields, then sleep. What fails changes nothing. `get`, `set`, `push` and `pop` take the same time in a list
/// of any length (but for growth, now and then), `insert` and `remove` move all items after theirs.
///
/// Every method may also fail with [`Error::Deadlock`] (called in a function that an update of this manager calls), [`Error::Protocol`] (the memory
/// was scribbled over, or an item is of another type), and [`Error::Interrupted`] (a signal handler ran, and this thread asked to be told).
///
/// ```
/// use forq::Manager;
///
/// let manager = Manager::new(1 << 16)?;
/// let primes = manager.list::<u32>("primes")?;
/// primes.extend(&[2, 3, 7])?;
/// primes.insert(2, &5)?;
/// assert_eq!(primes.get(2)?, 5);
/// assert_eq!(primes.pop()?, Some(7));
/// assert_eq!(primes.slice(1..)?, [3, 5]);
/// assert_eq!(primes.get(3), Err(forq::Error::OutOfRange));
/// # Ok::<(), forq::Error>(())
/// ```
pub struct List<'m, T: Stored + ?Sized> {
    raw: RawList<'m>,
    item: PhantomData<fn(&T)>,
}

impl<T: Stored + ?Sized> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Stored + ?Sized> Copy for List<'_, T> {}

impl<'m, T: Stored + ?Sized> List<'m, T> {
    pub(super) fn of(raw: RawList<'m>) -> Self {
        Self { raw, item: PhantomData }
    }

    /// What stands for this list in other collections: see [`Handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.raw.root())
    }

    /// How many items there are.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn len(&self) -> Result<usize> {
        self.raw.len()
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Puts an item at the end.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    pub fn push(&self, item: &T) -> Result<()> {
        item.with_bytes(|bytes| self.raw.push(bytes))
    }

    /// A copy of an item.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn get(&self, index: usize) -> Result<T::Owned> {
        // SAFETY: the room is a slice.
        T::from_bytes(|room| unsafe { self.raw.get(index, room.as_mut_ptr(), room.len()) })
    }

    /// Replaces an item.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::OutOfSpace`].
    pub fn set(&self, index: usize, item: &T) -> Result<()> {
        item.with_bytes(|bytes| self.raw.set(index, bytes))
    }

    /// Puts an item before the one of this index; at the length, as [`List::push`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::OutOfSpace`].
    pub fn insert(&self, index: usize, item: &T) -> Result<()> {
        item.with_bytes(|bytes| self.raw.insert(index, bytes))
    }

    /// Takes an item away; needs no space.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn remove(&self, index: usize) -> Result<()> {
        self.raw.remove(index)
    }

    /// Takes the last item; `None` if there is none. A caller that is killed may have taken it.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn pop(&self) -> Result<Option<T::Owned>> {
        // SAFETY: the room is a slice.
        match T::from_bytes(|room| unsafe { self.raw.pop(room.as_mut_ptr(), room.len()) }) {
            Err(Error::NotFound) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Takes all items away; needs no space.
    ///
    /// # Errors
    /// Only those that every method has.
    pub fn clear(&self) -> Result<()> {
        self.raw.clear()
    }

    /// Copies the items of a range out, all as they were at one moment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the range does not lie in the list.
    #[cfg(feature = "std")]
    pub fn slice(&self, range: impl core::ops::RangeBounds<usize>) -> Result<std::vec::Vec<T::Owned>> {
        use core::ops::Bound;
        let past = |index: usize| index.checked_add(1).ok_or(Error::OutOfRange);
        let from = match range.start_bound() {
            Bound::Included(&from) => from,
            Bound::Excluded(&before) => past(before)?,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(&last) => past(last)?,
            Bound::Excluded(&to) => to,
            Bound::Unbounded => usize::MAX,
        };
        let mut copied = std::vec::Vec::new();
        self.raw.slice(from, to, |bytes| copied.push(bytes))?;
        copied.into_iter().map(|bytes| from_vec::<T>(&bytes)).collect()
    }
}

impl<T: Stored> List<'_, T> {
    /// Puts several items at the end: all or none.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    #[cfg(feature = "std")]
    pub fn extend(&self, items: &[T]) -> Result<()> {
        let mut written = std::vec::Vec::with_capacity(items.len());
        for item in items {
            written.push(item.with_bytes(|bytes| Ok(bytes.to_vec()))?);
        }
        self.raw.extend(written.iter().map(std::vec::Vec::as_slice))
    }
}

#[cfg(feature = "std")]
impl List<'_, [u8]> {
    /// Puts several items at the end: all or none.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    pub fn extend(&self, items: &[&[u8]]) -> Result<()> {
        self.raw.extend(items.iter().copied())
    }
}

#[cfg(feature = "std")]
impl List<'_, str> {
    /// Puts several items at the end: all or none.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`].
    pub fn extend(&self, items: &[&str]) -> Result<()> {
        self.raw.extend(items.iter().map(|item| item.as_bytes()))
    }
}

/// What these bytes stand for.
#[cfg(feature = "std")]
pub(super) fn from_vec<T: Stored + ?Sized>(bytes: &[u8]) -> Result<T::Owned> {
    T::from_bytes(|room| {
        if let Some(room) = room.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    })
}

impl<T: Stored + ?Sized> core::fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("List").field("len", &self.len()).finish_non_exhaustive()
    }
}
