//! Shared dicts.

use core::ffi::{c_int, c_void};

use super::{borrow_mut, bytes, count, fits, room, status};
use crate::error::{Error, Result};
use crate::manager::raw_dict::{RawDict, Update};

/// A dict of byte strings in a manager's memory, spread over parts that are locked one at a time. Keys have at most 4096 bytes; longer ones are -EINVAL. What
/// every call may return besides, and what a death does, is said at forq_manager.
pub struct forq_dict {
    _private: [u8; 0],
}

/// What forq_dict_update calls: value holds *size bytes of at most capacity if found is not 0, else nothing. Returns 0 to
/// store the *size bytes that it leaves there; else the value stays, and the update returns that.
pub type forq_update_fn = Option<
    unsafe extern "C" fn(
        value: *mut c_void,
        capacity: usize,
        size: *mut usize,
        found: c_int,
        argument: *mut c_void,
    ) -> c_int,
>;

/// # Safety
/// As [`borrow`](super::borrow).
unsafe fn dict<'a>(d: *const forq_dict) -> Result<RawDict<'a>> {
    // SAFETY: by contract.
    unsafe { super::manager::dict(d) }
}

/// Gives a key a value, whether or not it has one.
///
/// Returns 0; -ENOSPC; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict, `key` and `value` NULL or so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_set(
    d: *mut forq_dict,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
) -> c_int {
    // SAFETY: by contract.
    status(unsafe { dict(d).and_then(|d| d.set(bytes(key, key_size)?, bytes(value, value_size)?)) })
}

/// Copies a key's value out.
///
/// Returns 0, and its size; -ENOENT; -EMSGSIZE if it does not fit: *size_out tells its size; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict, `key` NULL or so many bytes, `buffer_out` NULL or room for capacity bytes, `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_get(
    d: *mut forq_dict,
    key: *const c_void,
    key_size: usize,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { dict(d).and_then(|d| Ok((d, bytes(key, key_size)?, borrow_mut(size_out)?))) };
    status(result.and_then(|(dict, key, size_out)| {
        // SAFETY: by contract.
        let size = unsafe { dict.get(key, room(buffer_out, capacity)?, capacity)? };
        fits(size, capacity, size_out)
    }))
}

/// Takes an entry away.
///
/// Returns 0; -ENOENT; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict, `key` NULL or so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_remove(d: *mut forq_dict, key: *const c_void, key_size: usize) -> c_int {
    // SAFETY: by contract.
    let removed = unsafe { dict(d).and_then(|d| d.remove(bytes(key, key_size)?)) };
    status(removed.and_then(|was_there| if was_there { Ok(()) } else { Err(Error::NotFound) }))
}

/// Whether a key has a value: 1 or 0; -EINVAL.
///
/// # Safety
/// As forq_dict_remove.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_contains(d: *mut forq_dict, key: *const c_void, key_size: usize) -> c_int {
    // SAFETY: by contract.
    count(unsafe { dict(d).and_then(|d| d.contains(bytes(key, key_size)?)) }.map(usize::from))
}

/// How many entries there are; while others change it, the sum of what its parts held at neighbouring moments. -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_len(d: *const forq_dict) -> c_int {
    // SAFETY: by contract.
    count(unsafe { dict(d) }.and_then(|d| d.len()))
}

/// Takes all entries away, at one moment.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_clear(d: *mut forq_dict) -> c_int {
    // SAFETY: by contract.
    status(unsafe { dict(d) }.and_then(|d| d.clear()))
}

/// Copies the entry at the cursor out, and moves the cursor past it. A cursor starts at 0, and is good in any process.
///
/// Entries come in the order of their keys' hashes, which never changes. One that is there throughout comes exactly once, one that
/// is set or removed meanwhile at most once.
///
/// Returns 1, and both sizes; 0 at the end; -EMSGSIZE if the key or the value does not fit: both sizes are told, and the cursor stays; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict, `cursor` and the sizes NULL or writable, the others NULL or room for so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_next(
    d: *mut forq_dict,
    cursor: *mut u64,
    key_out: *mut c_void,
    key_capacity: usize,
    key_size_out: *mut usize,
    value_out: *mut c_void,
    value_capacity: usize,
    value_size_out: *mut usize,
) -> c_int {
    if key_size_out == value_size_out {
        return status(Err(Error::InvalidArgument));
    }
    // SAFETY: by contract; two places.
    let sizes = unsafe { borrow_mut(key_size_out).and_then(|size| Ok((size, borrow_mut(value_size_out)?))) };
    // SAFETY: by contract.
    let both = unsafe { dict(d).and_then(|d| Ok((d, borrow_mut(cursor)?))) };
    count(both.and_then(|(dict, cursor)| {
        let (key_size_out, value_size_out) = sizes?;
        let key = (room(key_out, key_capacity)?, key_capacity);
        let value = (room(value_out, value_capacity)?, value_capacity);
        // SAFETY: by contract.
        let Some((key_size, value_size, next)) = (unsafe { dict.next(*cursor, key, value)? }) else {
            return Ok(0);
        };
        (*key_size_out, *value_size_out) = (key_size, value_size);
        if key_size > key_capacity || value_size > value_capacity {
            return Err(Error::MessageSize);
        }
        *cursor = next;
        Ok(1)
    }))
}

/// Changes a key's value by what fn makes of a copy in scratch, which has room for capacity bytes: under the lock, so that nothing happens in between.
/// fn must not use the same manager (-EDEADLK), nor leave by longjmp. A process killed in it has changed nothing.
///
/// Returns 0; what fn returned, if that was not 0; -EMSGSIZE if the value does not fit in scratch (fn is not called), or fn
/// set *size to more than capacity; -ENOSPC; -EINVAL.
///
/// # Safety
/// `d` must be NULL or a dict, `key` NULL or so many bytes, `scratch` NULL or room for capacity bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_update(
    d: *mut forq_dict,
    key: *const c_void,
    key_size: usize,
    scratch: *mut c_void,
    capacity: usize,
    r#fn: forq_update_fn,
    argument: *mut c_void,
) -> c_int {
    let returned = core::cell::Cell::new(0);
    // SAFETY: by contract.
    let result = unsafe { dict(d).and_then(|d| Ok((d, bytes(key, key_size)?))) }.and_then(|(dict, key)| {
        let function = r#fn.ok_or(Error::InvalidArgument)?;
        room(scratch, capacity)?;
        // SAFETY: by contract.
        unsafe { bytes(scratch, capacity)? };
        dict.update_by(
            key,
            |read| {
                let (mut size, found) = match read {
                    None => (0, 0),
                    Some(read) => {
                        let mut none = [];
                        let room: &mut [u8] = if capacity == 0 {
                            &mut none
                        } else {
                            // SAFETY: by contract; nothing of the scratch is borrowed while `function` runs.
                            unsafe { core::slice::from_raw_parts_mut(scratch.cast(), capacity) }
                        };
                        (read(room)?, 1)
                    }
                };
                if size > capacity {
                    return Err(Error::MessageSize);
                }
                // SAFETY: by contract.
                returned.set(unsafe { function(scratch, capacity, &mut size, found, argument) });
                if size > capacity && returned.get() == 0 { Err(Error::MessageSize) } else { Ok(size) }
            },
            |size, store| {
                if returned.get() != 0 {
                    return Ok(());
                }
                // SAFETY: by contract; so many bytes of the scratch.
                store(Update::Store(unsafe { bytes(scratch, size)? }))
            },
        )
    });
    match result {
        Ok(()) => returned.get(),
        error => status(error),
    }
}

/// What stands for this dict in other collections of the same manager, in any process: see forq_manager_dict_of. 0 for NULL.
///
/// # Safety
/// `d` must be NULL or a dict.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_dict_handle(d: *const forq_dict) -> u64 {
    // SAFETY: by contract.
    unsafe { dict(d) }.map_or(0, |d| d.root())
}
