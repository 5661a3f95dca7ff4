//! Values in memory that every later fork shares.

use core::mem::{align_of, needs_drop, size_of};
use core::ops::Deref;
use core::ptr::NonNull;

use super::Shareable;
use crate::error::{Error, Result};
use crate::sys::map::{self, Mapping};

/// A value (or a slice of them) in memory of its own, which this process and all that it forks later share.
///
/// Every process sees the others' changes, made through atomics and locks. Dropping it ends this
/// process's use only. If a lock in it is still held by this process then, because a guard was
/// forgotten, the memory stays mapped.
///
/// ```
/// use forq::{Process, Shared};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let counter = Shared::new(AtomicU64::new(0))?;
/// # // Doc tests run in a process with other threads.
/// # let spawn = |f: &dyn Fn()| unsafe { Process::spawn_unchecked(|| f()) };
/// # if false { Process::spawn(|| ())?; }
/// let mut child = spawn(&|| { counter.fetch_add(1, Ordering::Relaxed); })?;
/// child.join()?;
/// assert_eq!(counter.load(Ordering::Relaxed), 1);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Shared<T: Shareable + ?Sized> {
    value: NonNull<T>,
    mapped: usize,
}

// SAFETY: a mapping belongs to the process, and the value may be used by several threads.
unsafe impl<T: Shareable + ?Sized> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable + ?Sized> Sync for Shared<T> {}

impl<T: Shareable> Shared<T> {
    /// Moves a value into shared memory.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(value: T) -> Result<Self> {
        const { assert!(!needs_drop::<T>(), "a shareable type has nothing to drop") };
        let (memory, mapped) = allocate(size_of::<T>(), align_of::<T>())?;
        let place = memory.cast::<T>();
        // SAFETY: new memory, large enough and page-aligned; nobody else knows of it.
        unsafe {
            place.write(value);
            (*place.as_ptr()).place();
        }
        Ok(Self { value: place, mapped })
    }
}

impl<T: Shareable> Shared<[T]> {
    /// Puts `length` values in shared memory side by side, each made by `value` from its index.
    ///
    /// ```
    /// use forq::{Mutex, Shared};
    /// let stripes = Shared::slice_with(8, |i| Mutex::new(i as u64))?;
    /// assert_eq!(*stripes[3].lock()?, 3);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the size overflows; [`Error::OutOfMemory`].
    pub fn slice_with(length: usize, mut value: impl FnMut(usize) -> T) -> Result<Self> {
        const { assert!(!needs_drop::<T>(), "a shareable type has nothing to drop") };
        let size = size_of::<T>().checked_mul(length).ok_or(Error::InvalidArgument)?;
        let (memory, mapped) = allocate(size, align_of::<T>())?;
        let first = memory.cast::<T>();
        for index in 0..length {
            // SAFETY: as in `new`; `index` is within the size just allocated.
            unsafe {
                let place = first.add(index);
                place.write(value(index));
                (*place.as_ptr()).place();
            }
        }
        Ok(Self { value: NonNull::slice_from_raw_parts(first, length), mapped })
    }
}

fn allocate(size: usize, align: usize) -> Result<(NonNull<u8>, usize)> {
    if align > map::page_size() {
        return Err(Error::InvalidArgument);
    }
    let mapping = Mapping::shared(size.max(1))?;
    let mapped = mapping.size();
    Ok((mapping.leak(), mapped))
}

impl<T: Shareable + ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped and initialised by the constructor; `Shareable` values are valid whatever
        // other processes do to them through shared references, which is all that anyone gets.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Shareable + ?Sized> Drop for Shared<T> {
    fn drop(&mut self) {
        if !self.is_in_use() {
            // SAFETY: ours, and no reference to it is left in this process.
            let _ = unsafe { map::unmap(self.value.as_ptr().cast(), self.mapped) };
        }
    }
}

impl<T: Shareable + ?Sized + core::fmt::Debug> core::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

/// Zeroed, page-aligned memory that every later fork shares: for the C face.
#[cfg(feature = "capi")]
pub(crate) fn alloc(size: usize) -> Result<NonNull<u8>> {
    Mapping::shared(size).map(Mapping::leak)
}

/// Unmaps memory that [`alloc`] gave.
///
/// # Safety
/// Nobody in this process may use it any more, nor hold a lock in it.
#[cfg(feature = "capi")]
pub(crate) unsafe fn free(memory: *mut u8, size: usize) -> Result<()> {
    if size == 0 || memory.addr() % map::page_size() != 0 {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: by contract.
    unsafe { map::unmap(memory, size) }
}
