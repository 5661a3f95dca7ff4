//! Values in shared memory.

use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};

use super::array::{mutex_of, new_cells};
use super::mutex::forq_mutex;
use super::{borrow, borrow_mut, handle, status};
use crate::error::{Error, Result};
use crate::shared::cells::Cells;
use crate::shared::value::Number;

/// A value in memory that this process and all that it forks later share, and a mutex. What a death does is said at forq_array.
pub struct forq_value {
    _private: [u8; 0],
}

/// # Safety
/// As [`borrow`].
unsafe fn cells<'a>(v: *const forq_value) -> Result<&'a Cells> {
    // SAFETY: by contract; a value is a pointer to its cells.
    unsafe { borrow(v.cast::<Cells>()) }
}

/// Makes a value of size bytes: a copy of what is at initial_or_null, or zeroes. It is 64-aligned. Its mutex is recursive.
///
/// Returns 0; -EINVAL for NULL, size 0 or one that overflows; -ENOMEM.
///
/// # Safety
/// `initial_or_null` must be NULL or so many bytes, `value_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_new(
    size: usize,
    initial_or_null: *const c_void,
    value_out: *mut *mut forq_value,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(value_out) }.and_then(|value_out| {
        // SAFETY: by contract.
        *value_out = unsafe { new_cells(size, 1, initial_or_null) }?.as_ptr().cast();
        Ok(())
    });
    status(result)
}

/// Ends this process's use of a value. NULL does nothing. While this process holds its mutex the memory stays.
///
/// # Safety
/// `v` must be NULL or a value, and not be used again in this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_free(v: *mut forq_value) {
    if let Some(cells) = NonNull::new(v.cast::<Cells>()) {
        // SAFETY: by contract.
        drop(unsafe { handle::take(cells) });
    }
}

/// Copies the value out, under the mutex.
///
/// Returns 0; -EOWNERDEAD if a holder died and nobody called forq_mutex_consistent since; -EINVAL.
///
/// # Safety
/// `v` must be NULL or a value, `value_out` NULL or room for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_get(v: *mut forq_value, value_out: *mut c_void) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { cells(v) }.and_then(|cells| {
        let into = NonNull::new(value_out).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        unsafe { cells.read(0, into.as_ptr().cast()) }
    });
    status(result)
}

/// Replaces the value, under the mutex.
///
/// Returns as forq_value_get.
///
/// # Safety
/// `v` must be NULL or a value, `value` NULL or as many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_set(v: *mut forq_value, value: *const c_void) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { cells(v) }.and_then(|cells| {
        let from = NonNull::new(value.cast_mut()).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        unsafe { cells.write(0, from.as_ptr().cast()) }
    });
    status(result)
}

/// # Safety
/// `v` must be NULL or a value, `before_out` NULL or writable.
unsafe fn add<T: Number>(v: *mut forq_value, delta: T, before_out: *mut T) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { cells(v) }.and_then(|cells| {
        if !before_out.is_aligned() {
            return Err(Error::InvalidArgument);
        }
        let before = cells.fetch_update(|before: T| before.plus(delta))?;
        if let Some(place) = NonNull::new(before_out) {
            // SAFETY: by contract, and aligned.
            unsafe { place.write(before) };
        }
        Ok(())
    });
    status(result)
}

/// Adds to a value that is an int64_t, under the mutex; it wraps. No addition is lost or doubled, whoever dies.
///
/// Returns 0, and what it was; -EINVAL if its size is not 8, for NULL; -EOWNERDEAD as forq_value_get.
///
/// # Safety
/// `v` must be NULL or a value, `before_out_or_null` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_add_i64(
    v: *mut forq_value,
    delta: i64,
    before_out_or_null: *mut i64,
) -> c_int {
    // SAFETY: by contract.
    unsafe { add(v, delta, before_out_or_null) }
}

/// Adds to a value that is a double, under the mutex.
///
/// Returns as forq_value_add_i64.
///
/// # Safety
/// As forq_value_add_i64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_add_f64(
    v: *mut forq_value,
    delta: f64,
    before_out_or_null: *mut f64,
) -> c_int {
    // SAFETY: by contract.
    unsafe { add(v, delta, before_out_or_null) }
}

/// The value itself: for who holds the mutex, or wants none. NULL for NULL.
///
/// # Safety
/// `v` must be NULL or a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_data(v: *mut forq_value) -> *mut c_void {
    // SAFETY: by contract.
    unsafe { cells(v) }.map_or(null_mut(), |cells| cells.elements().as_ptr().cast())
}

/// Its mutex, which is recursive: who holds it may call the others. NULL for NULL.
///
/// # Safety
/// `v` must be NULL or a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_value_mutex(v: *mut forq_value) -> *mut forq_mutex {
    // SAFETY: by contract.
    unsafe { cells(v) }.map_or(null_mut(), mutex_of)
}
