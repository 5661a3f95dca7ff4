//! Arrays in shared memory.

use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};

use super::mutex::forq_mutex;
use super::{borrow, borrow_mut, handle, status};
use crate::error::{Error, Result};
use crate::shared::cells::Cells;
use crate::sync::raw::RECURSIVE;

/// Elements of one size side by side in memory that this process and all that it forks later share, and a mutex.
///
/// A process that is killed in a call on it has replaced the element or not, and nobody is told. One that is killed while it
/// holds the mutex itself is told of: forq_mutex_lock gives -EOWNERDEAD with the mutex held, and the calls here give it,
/// having done nothing, until somebody calls forq_mutex_consistent.
pub struct forq_array {
    _private: [u8; 0],
}

/// # Safety
/// As [`borrow`].
unsafe fn cells<'a>(a: *const forq_array) -> Result<&'a Cells> {
    // SAFETY: by contract; an array is a pointer to its cells.
    unsafe { borrow(a.cast::<Cells>()) }
}

/// The cells of an array or a value.
///
/// # Safety
/// `initial` must be NULL or so many elements.
pub(super) unsafe fn new_cells(size: usize, length: usize, initial: *const c_void) -> Result<NonNull<Cells>> {
    let cells = Cells::new(size, length, RECURSIVE)?;
    if !initial.is_null() {
        // SAFETY: by contract; the sum was checked when the cells were made, and nobody else knows of them.
        unsafe { cells.elements().as_ptr().copy_from_nonoverlapping(initial.cast(), size * length) };
    }
    handle::keep(cells)
}

/// Makes an array of length elements of element_size bytes: copies of those at initial_or_null, or zeroes. The first one is
/// 64-aligned, the others follow without a gap. Its mutex is recursive.
///
/// Returns 0; -EINVAL for NULL, a size or length of 0, or a product that overflows; -ENOMEM.
///
/// # Safety
/// `initial_or_null` must be NULL or so many bytes, `array_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_new(
    element_size: usize,
    length: usize,
    initial_or_null: *const c_void,
    array_out: *mut *mut forq_array,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(array_out) }.and_then(|array_out| {
        // SAFETY: by contract.
        *array_out = unsafe { new_cells(element_size, length, initial_or_null) }?.as_ptr().cast();
        Ok(())
    });
    status(result)
}

/// Ends this process's use of an array. NULL does nothing. While this process holds its mutex the memory stays.
///
/// # Safety
/// `a` must be NULL or an array, and not be used again in this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_free(a: *mut forq_array) {
    if let Some(cells) = NonNull::new(a.cast::<Cells>()) {
        // SAFETY: by contract.
        drop(unsafe { handle::take(cells) });
    }
}

/// How many elements it has; 0 for NULL.
///
/// # Safety
/// `a` must be NULL or an array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_length(a: *const forq_array) -> usize {
    // SAFETY: by contract.
    unsafe { cells(a) }.map_or(0, Cells::length)
}

/// The elements themselves: for who holds the mutex, or wants none. NULL for NULL.
///
/// # Safety
/// `a` must be NULL or an array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_data(a: *mut forq_array) -> *mut c_void {
    // SAFETY: by contract.
    unsafe { cells(a) }.map_or(null_mut(), |cells| cells.elements().as_ptr().cast())
}

/// Copies an element out, under the mutex.
///
/// Returns 0; -ERANGE; -EOWNERDEAD if a holder died and nobody called forq_mutex_consistent since; -EINVAL.
///
/// # Safety
/// `a` must be NULL or an array, `element_out` NULL or room for an element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_get(a: *mut forq_array, index: usize, element_out: *mut c_void) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { cells(a) }.and_then(|cells| {
        let into = NonNull::new(element_out).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        unsafe { cells.read(index, into.as_ptr().cast()) }
    });
    status(result)
}

/// Replaces an element, under the mutex.
///
/// Returns as forq_array_get.
///
/// # Safety
/// `a` must be NULL or an array, `element` NULL or an element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_set(a: *mut forq_array, index: usize, element: *const c_void) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { cells(a) }.and_then(|cells| {
        let from = NonNull::new(element.cast_mut()).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        unsafe { cells.write(index, from.as_ptr().cast()) }
    });
    status(result)
}

/// Its mutex, which is recursive: who holds it may call the others. NULL for NULL.
///
/// # Safety
/// `a` must be NULL or an array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_array_mutex(a: *mut forq_array) -> *mut forq_mutex {
    // SAFETY: by contract.
    unsafe { cells(a) }.map_or(null_mut(), mutex_of)
}

pub(super) fn mutex_of(cells: &Cells) -> *mut forq_mutex {
    core::ptr::from_ref(cells.lock()).cast_mut().cast()
}
