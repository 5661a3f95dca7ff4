//! The C face: the symbols of `include/forq.h`. Each function checks its pointers, calls one method, maps the error.
//!
//! The documentation comments of this module's files are the header's. Nothing in the crate uses this module.

// The header's names are C's.
#![allow(non_camel_case_types)]

pub mod array;
pub mod backoff;
pub mod barrier;
pub mod channel;
pub mod condvar;
pub mod dict;
pub mod event;
mod handle;
pub mod library;
pub mod list;
pub mod manager;
pub mod mutex;
pub mod pipe;
pub mod pool;
pub mod pool_statistics;
pub mod process;
pub mod queue;
pub mod result;
pub mod segment;
pub mod semaphore;
pub mod stream;
pub mod value;

use core::ffi::c_int;

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// 0, or the negative errno.
fn status(result: Result<()>) -> c_int {
    result.map_or_else(|error| -error.errno(), |()| 0)
}

/// A count, or the negative errno.
fn count(result: Result<usize>) -> c_int {
    result.map_or_else(|error| -error.errno(), |count| c_int::try_from(count).unwrap_or(c_int::MAX))
}

/// What `timeout_ns` means: -1 for ever, 0 only tries.
fn deadline(timeout_ns: i64) -> Result<Deadline> {
    match timeout_ns {
        -1 => Ok(Deadline::FOREVER),
        nanos => u64::try_from(nanos).map(Deadline::after_nanos).map_err(|_| Error::InvalidArgument),
    }
}

/// The value behind a pointer, unless that is null or not aligned.
///
/// # Safety
/// A pointer that is neither must point to a valid value for as long as the reference is used.
unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T> {
    if !pointer.is_aligned() {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: by contract.
    unsafe { pointer.as_ref() }.ok_or(Error::InvalidArgument)
}

/// So many bytes; none may be at NULL.
///
/// # Safety
/// Unless it is NULL, so many bytes must be there for as long as the slice is used.
unsafe fn bytes<'a>(start: *const core::ffi::c_void, size: usize) -> Result<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    if start.is_null() || isize::try_from(size).is_err() {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: by contract, and not too long for a slice.
    Ok(unsafe { core::slice::from_raw_parts(start.cast(), size) })
}

/// An object's name; empty for NULL.
///
/// # Safety
/// As [`core::ffi::CStr::from_ptr`], unless it is NULL.
unsafe fn object_name<'a>(name: *const core::ffi::c_char) -> &'a [u8] {
    // SAFETY: by contract.
    if name.is_null() { &[] } else { unsafe { core::ffi::CStr::from_ptr(name) }.to_bytes() }
}

/// Where so many bytes may be written; none may be at NULL.
fn room(start: *mut core::ffi::c_void, capacity: usize) -> Result<*mut u8> {
    if start.is_null() && capacity > 0 { Err(Error::InvalidArgument) } else { Ok(start.cast()) }
}

/// Stores the size of what was copied out, or was not because it does not fit.
fn fits(size: usize, capacity: usize, size_out: &mut usize) -> Result<()> {
    *size_out = size;
    if size <= capacity { Ok(()) } else { Err(Error::MessageSize) }
}

/// Like [`borrow`], for a place that the caller has for itself.
///
/// # Safety
/// As [`borrow`], and nobody else may use the value meanwhile.
unsafe fn borrow_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    if !pointer.is_aligned() {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: by contract.
    unsafe { pointer.as_mut() }.ok_or(Error::InvalidArgument)
}
