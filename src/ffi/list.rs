//! Shared lists.

use core::ffi::{c_int, c_void};

use super::{borrow_mut, bytes, count, fits, room, status};
use crate::error::{Error, Result};
use crate::manager::raw_list::RawList;

/// A list of byte strings in a manager's memory. What every call may return besides, and what a death does, is said at forq_manager.
pub struct forq_list {
    _private: [u8; 0],
}

/// # Safety
/// As [`borrow`](super::borrow).
unsafe fn list<'a>(l: *const forq_list) -> Result<RawList<'a>> {
    // SAFETY: by contract.
    unsafe { super::manager::list(l) }
}

/// Puts an item at the end.
///
/// Returns 0; -ENOSPC; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list, `item` NULL or so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_push(l: *mut forq_list, item: *const c_void, size: usize) -> c_int {
    // SAFETY: by contract.
    status(unsafe { list(l).and_then(|l| l.push(bytes(item, size)?)) })
}

/// Copies an item out.
///
/// Returns 0, and its size; -ERANGE; -EMSGSIZE if it does not fit: *size_out tells its size; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list, `buffer_out` NULL or room for capacity bytes, `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_get(
    l: *mut forq_list,
    index: usize,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { list(l).and_then(|l| Ok((l, borrow_mut(size_out)?))) };
    status(result.and_then(|(list, size_out)| {
        // SAFETY: by contract.
        let size = unsafe { list.get(index, room(buffer_out, capacity)?, capacity)? };
        fits(size, capacity, size_out)
    }))
}

/// Replaces an item.
///
/// Returns 0; -ERANGE; -ENOSPC; -EINVAL.
///
/// # Safety
/// As forq_list_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_set(
    l: *mut forq_list,
    index: usize,
    item: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: by contract.
    status(unsafe { list(l).and_then(|l| l.set(index, bytes(item, size)?)) })
}

/// Puts an item before the one of this index, and moves that and those after it; at the length, as forq_list_push.
///
/// Returns 0; -ERANGE; -ENOSPC; -EINVAL.
///
/// # Safety
/// As forq_list_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_insert(
    l: *mut forq_list,
    index: usize,
    item: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: by contract.
    status(unsafe { list(l).and_then(|l| l.insert(index, bytes(item, size)?)) })
}

/// Takes an item away, and moves those after it.
///
/// Returns 0; -ERANGE; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_remove(l: *mut forq_list, index: usize) -> c_int {
    // SAFETY: by contract.
    status(unsafe { list(l) }.and_then(|l| l.remove(index)))
}

/// Takes the last item.
///
/// Returns 0, and its size; -ENOENT if there is none; -EMSGSIZE if it does not fit: it stays, and *size_out tells its size; -EINVAL.
///
/// # Safety
/// As forq_list_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_pop(
    l: *mut forq_list,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { list(l).and_then(|l| Ok((l, borrow_mut(size_out)?))) };
    status(result.and_then(|(list, size_out)| {
        // SAFETY: by contract.
        let size = unsafe { list.pop(room(buffer_out, capacity)?, capacity)? };
        fits(size, capacity, size_out)
    }))
}

/// How many items there are; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_len(l: *const forq_list) -> c_int {
    // SAFETY: by contract.
    count(unsafe { list(l) }.and_then(|l| l.len()))
}

/// Takes all items away.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_clear(l: *mut forq_list) -> c_int {
    // SAFETY: by contract.
    status(unsafe { list(l) }.and_then(|l| l.clear()))
}

/// Puts count items at the end: all or none.
///
/// Returns 0; -ENOSPC; -EINVAL.
///
/// # Safety
/// `l` must be NULL or a list, `items` and `sizes` NULL or count of each, each item NULL or so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_extend(
    l: *mut forq_list,
    items: *const *const c_void,
    sizes: *const usize,
    count: usize,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { list(l) }.and_then(|list| {
        let is_place = |is_aligned: bool, is_null: bool| is_aligned && (count == 0 || !is_null);
        let places =
            is_place(items.is_aligned(), items.is_null()) && is_place(sizes.is_aligned(), sizes.is_null());
        // No array has more.
        if !places || count > isize::MAX as usize / size_of::<usize>() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: by contract; `index` is below the count.
        let item = move |index: usize| unsafe { bytes(*items.add(index), *sizes.add(index)) };
        for index in 0..count {
            item(index)?;
        }
        list.extend((0..count).map(move |index| item(index).unwrap_or_default()))
    });
    status(result)
}

/// What stands for this list in other collections of the same manager, in any process: see forq_manager_list_of. 0 for NULL.
///
/// # Safety
/// `l` must be NULL or a list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_list_handle(l: *const forq_list) -> u64 {
    // SAFETY: by contract.
    unsafe { list(l) }.map_or(0, |l| l.root())
}
