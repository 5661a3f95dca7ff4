//! The C face: the symbols of `include/forq.h`. Each function checks its pointers, calls one method, maps the error.
//!
//! The documentation comments of this module's files are the header's. Nothing in the crate uses this module.

// The header's names are C's.
#![allow(non_camel_case_types)]

pub mod backoff;
pub mod barrier;
pub mod condvar;
pub mod event;
pub mod library;
pub mod mutex;
pub mod pipe;
pub mod pool;
pub mod process;
pub mod result;
pub mod semaphore;
pub mod stream;

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
