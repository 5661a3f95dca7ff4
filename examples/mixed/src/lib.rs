//! The consumer: Rust, called from C or from Rust.

use std::ffi::c_void;
use std::ptr::NonNull;

use forq::{Error, Queue, Result};

/// As `c/mixed.h` says.
///
/// # Safety
/// A queue of numbers must be in the memory, which stays mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mixed_consume(memory: *mut c_void, size: usize) -> u64 {
    let Some(memory) = NonNull::new(memory.cast()) else { return u64::MAX };
    // SAFETY: by contract.
    unsafe { Queue::find_in(memory, size) }.and_then(|queue| sum(&queue)).unwrap_or(u64::MAX)
}

/// Adds up what comes, until the queue is closed.
///
/// # Errors
/// What the queue tells but its end.
pub fn sum(numbers: &Queue<u64>) -> Result<u64> {
    let mut sum = 0;
    loop {
        match numbers.get() {
            Ok(number) => sum += number,
            Err(Error::Closed) => return Ok(sum),
            Err(error) => return Err(error),
        }
    }
}
