//! Plain elements of one type in shared memory, under one lock.

use core::marker::PhantomData;
use core::time::Duration;

use bytemuck::Pod;

use super::cells::{Cells, ELEMENTS};
use crate::error::Result;
use crate::sync::mutex::{LockError, LockResult, Mutex};
use crate::sync::names::{self, ObjectKind};

/// A fixed number of plain values side by side in memory that this process and all that it forks later share, with a
/// lock: Python's `multiprocessing.Array`.
///
/// [`Array::get`] and [`Array::set`] lock for one element, [`Array::lock`] for as long as the guard lives. A process that is
/// killed in `set` has replaced the element or not; one that is killed while it has the guard is told of to whoever comes
/// next ([`Error::OwnerDied`](crate::Error::OwnerDied), [`LockError::OwnerDied`]), until somebody locks, repairs and marks the elements consistent.
/// Locking spins for 1.6 us, yields, then sleeps, as [`Mutex`] does. Dropping it ends this process's use only.
///
/// ```
/// use forq::Array;
///
/// let readings = Array::<f32>::new(1000)?; // zeroes
/// readings.set(7, &21.5)?;
/// readings.lock()?[8..10].fill(3.0);
/// assert_eq!((readings.get(7)?, readings.get(9)?), (21.5, 3.0));
/// assert_eq!(readings.get(1000), Err(forq::Error::OutOfRange));
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Array<T: Pod> {
    cells: Cells,
    element: PhantomData<T>,
}

// SAFETY: elements are copied in and out, or lent one at a time, under a lock that threads may share.
unsafe impl<T: Pod + Send> Sync for Array<T> {}
// SAFETY: a mapping belongs to the process; the elements may be used by another thread.
unsafe impl<T: Pod + Send> Send for Array<T> {}

impl<T: Pod> Array<T> {
    /// So many elements, all bytes zero.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if there are none, `T` has no size, or the size overflows; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(length: usize) -> Result<Self> {
        const { assert!(align_of::<T>() <= ELEMENTS, "elements start 128-aligned") };
        Ok(Self { cells: Cells::new(size_of::<T>(), length, 0)?, element: PhantomData })
    }

    /// These elements.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn from_slice(elements: &[T]) -> Result<Self> {
        let array = Self::new(elements.len())?;
        array.lock()?.copy_from_slice(elements);
        Ok(array)
    }

    /// How many elements there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.cells.length()
    }

    /// Gives its lock a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> Result<()> {
        names::set_of(ObjectKind::Mutex, self.cells.lock(), name.as_bytes())
    }

    /// A copy of an element.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange); [`Error::OwnerDied`](crate::Error::OwnerDied) if a holder of a guard died and nobody has repaired the elements;
    /// [`Error::Deadlock`](crate::Error::Deadlock) if this thread has the guard.
    pub fn get(&self, index: usize) -> Result<T> {
        let mut element = T::zeroed();
        // SAFETY: room for one.
        unsafe { self.cells.read(index, (&raw mut element).cast())? };
        Ok(element)
    }

    /// Replaces an element, whole or not at all.
    ///
    /// # Errors
    /// As [`Array::get`].
    pub fn set(&self, index: usize, element: &T) -> Result<()> {
        // SAFETY: it is one.
        unsafe { self.cells.write(index, core::ptr::from_ref(element).cast()) }
    }

    /// Waits for the lock, for ever if it must; the guard is the slice of all elements.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    pub fn lock(&self) -> LockResult<'_, [T]> {
        self.recovered(self.mutex().lock())
    }

    /// Takes the lock only if it is free.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`].
    pub fn try_lock(&self) -> LockResult<'_, [T]> {
        self.recovered(self.mutex().try_lock())
    }

    /// Waits for the lock for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, [T]> {
        self.recovered(self.mutex().lock_timeout(timeout))
    }

    fn mutex(&self) -> &Mutex<[T]> {
        // SAFETY: an initialised lock, then so many elements, mapped as long as `self`.
        unsafe { Mutex::at(self.cells.start().as_ptr(), self.cells.length()) }
    }

    /// A death inside of `get` or `set` leaves nothing to be told of.
    fn recovered<'a>(&'a self, result: LockResult<'a, [T]>) -> LockResult<'a, [T]> {
        match result {
            Err(LockError::OwnerDied(guard)) if self.cells.recover() => Ok(guard),
            other => other,
        }
    }
}

impl<T: Pod> core::fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Array").field("len", &self.len()).finish_non_exhaustive()
    }
}
