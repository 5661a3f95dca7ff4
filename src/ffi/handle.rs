//! Handles: what the opaque pointers of the C face point at, each in a page of this process's own, since no call uses the heap.

use core::ptr::NonNull;

use crate::error::Result;
use crate::sys::map::{self, Mapping};

/// Puts a value where it stays until [`take`]; forks copy it.
pub(super) fn keep<T>(value: T) -> Result<NonNull<T>> {
    const { assert!(align_of::<T>() <= 4096, "a page is as aligned as that") };
    let place = Mapping::private(size_of::<T>().max(1))?.leak().cast::<T>();
    // SAFETY: new memory, large enough and page-aligned; nobody knows of it.
    unsafe { place.write(value) };
    Ok(place)
}

/// Takes the value back, and lets the place go.
///
/// # Safety
/// `place` must be from [`keep`], and not be used again.
pub(super) unsafe fn take<T>(place: NonNull<T>) -> T {
    // SAFETY: by contract.
    unsafe {
        let value = place.read();
        // It was mapped by us; there is nothing to do about a failure.
        let _ = map::unmap(place.as_ptr().cast(), size_of::<T>().max(1));
        value
    }
}
