//! One plain value in shared memory, under a lock.

use core::time::Duration;

use bytemuck::Pod;

use super::cells::{Cells, ELEMENTS};
use crate::error::Result;
use crate::sync::mutex::{LockError, LockResult, Mutex};
use crate::sync::names::{self, ObjectKind};

/// A plain value in memory that this process and all that it forks later share, with a lock: Python's
/// `multiprocessing.Value`.
///
/// [`Value::get`], [`Value::set`] and [`Value::add`] lock for one access, [`Value::lock`] for as long as the guard lives. What a
/// death does is said at [`Array`](crate::Array): none leaves a value half set, or a sum that is not exact.
///
/// ```
/// use forq::Value;
///
/// let served = Value::new(0i64)?;
/// assert_eq!(served.add(2)?, 0); // what it was
/// *served.lock()? *= 21;
/// assert_eq!(served.get()?, 42);
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Value<T: Pod> {
    cells: Cells,
    value: core::marker::PhantomData<T>,
}

// SAFETY: the value is copied in and out, or lent to one at a time, under a lock that threads may share.
unsafe impl<T: Pod + Send> Sync for Value<T> {}
// SAFETY: a mapping belongs to the process; the value may be used by another thread.
unsafe impl<T: Pod + Send> Send for Value<T> {}

impl<T: Pod> Value<T> {
    /// Puts a value in shared memory of its own.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if `T` has no size;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(value: T) -> Result<Self> {
        const { assert!(align_of::<T>() <= ELEMENTS, "it is 128-aligned") };
        let cells = Cells::new(size_of::<T>(), 1, 0)?;
        let shared = Self { cells, value: core::marker::PhantomData };
        shared.set(&value)?;
        Ok(shared)
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// [`Error::OwnerDied`](crate::Error::OwnerDied) if a holder of a guard died and nobody has repaired the value;
    /// [`Error::Deadlock`](crate::Error::Deadlock) if this thread has the guard.
    pub fn get(&self) -> Result<T> {
        let mut value = T::zeroed();
        // SAFETY: room for one.
        unsafe { self.cells.read(0, (&raw mut value).cast())? };
        Ok(value)
    }

    /// Replaces the value, whole or not at all.
    ///
    /// # Errors
    /// As [`Value::get`].
    pub fn set(&self, value: &T) -> Result<()> {
        // SAFETY: it is one.
        unsafe { self.cells.write(0, core::ptr::from_ref(value).cast()) }
    }

    /// Adds to the value, and gives what it was. No addition is lost or doubled, whoever dies. Integers wrap.
    ///
    /// # Errors
    /// As [`Value::get`].
    pub fn add(&self, delta: T) -> Result<T>
    where
        T: Number,
    {
        self.cells.fetch_update(|before: T| before.plus(delta))
    }

    /// Gives its lock a name, for tools to show: as [`Mutex::set_name`](crate::Mutex::set_name).
    ///
    /// # Errors
    /// As there.
    pub fn set_name(&self, name: &str) -> Result<()> {
        names::set_of(ObjectKind::Mutex, self.cells.lock(), name.as_bytes())
    }

    /// Waits for the lock, for ever if it must; the guard is the value.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    pub fn lock(&self) -> LockResult<'_, T> {
        self.recovered(self.mutex().lock())
    }

    /// Takes the lock only if it is free.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`].
    pub fn try_lock(&self) -> LockResult<'_, T> {
        self.recovered(self.mutex().try_lock())
    }

    /// Waits for the lock for at most `timeout` of the monotonic clock; zero only tries.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        self.recovered(self.mutex().lock_timeout(timeout))
    }

    fn mutex(&self) -> &Mutex<T> {
        // SAFETY: an initialised lock, then the value, mapped as long as `self`.
        unsafe { Mutex::at_value(self.cells.start().as_ptr()) }
    }

    /// A death inside of `get`, `set` or `add` leaves nothing to be told of.
    fn recovered<'a>(&'a self, result: LockResult<'a, T>) -> LockResult<'a, T> {
        match result {
            Err(LockError::OwnerDied(guard)) if self.cells.recover() => Ok(guard),
            other => other,
        }
    }
}

impl<T: Pod> core::fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

/// What [`Value::add`] adds: integers and floating-point numbers.
pub trait Number: Pod + sealed::Sealed {
    /// The sum; of integers, wrapped.
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($name:ty: $plus:expr),* $(,)?) => { $(
        impl sealed::Sealed for $name {}
        impl Number for $name {
            fn plus(self, other: Self) -> Self {
                let plus: fn(Self, Self) -> Self = $plus;
                plus(self, other)
            }
        }
    )* };
}
numbers! {
    u8: u8::wrapping_add, u16: u16::wrapping_add, u32: u32::wrapping_add, u64: u64::wrapping_add,
    u128: u128::wrapping_add, usize: usize::wrapping_add,
    i8: i8::wrapping_add, i16: i16::wrapping_add, i32: i32::wrapping_add, i64: i64::wrapping_add,
    i128: i128::wrapping_add, isize: isize::wrapping_add,
    f32: |a, b| a + b, f64: |a, b| a + b,
}
