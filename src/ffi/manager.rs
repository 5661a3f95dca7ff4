//! Managers.

use core::ffi::{c_char, c_int};
use core::ptr::NonNull;

use super::dict::forq_dict;
use super::list::forq_list;
use super::segment::name;
use super::{borrow, borrow_mut, handle, status};
use crate::error::{Error, Result};
use crate::manager::raw_dict::RawDict;
use crate::manager::raw_list::RawList;
use crate::manager::root::Core;
use crate::shared;
use crate::sys::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sys::map::Mapping;

/// Lists and dicts of byte strings in shared memory, found by name; no server process. The memory is that of a segment, with what is said
/// there of names, rights and forks. It has a fixed size: what does not fit is refused with -ENOSPC and changes nothing; remove, pop
/// and clear need no space.
///
/// A process killed at any instruction of any operation leaves the collection as it was before or after that operation, loses no other
/// entry, and leaks no memory once the next operation on that collection has run. Nobody is told, since nothing is left to repair.
///
/// Every call on a manager, list or dict may also return -EDEADLK (called in a function that forq_dict_update of the same manager calls) and -EPROTO
/// (the memory was scribbled over).
pub struct forq_manager {
    _private: [u8; 0],
}

/// What a manager's pointer points at, in a page of this process's own.
pub(super) struct Owner {
    core: Core,
    /// A slot for each place in the memory where a collection may be.
    slots: Mapping,
}

/// What the pointer of a list or a dict points at. Zero until it is given out; then always the same.
#[repr(C)]
pub(super) struct Slot {
    owner: AtomicPtr<Owner>,
    root: AtomicU64,
    bits: AtomicU64,
    _reserved: u64,
}

/// Roots of collections are further apart.
const APART: usize = 256;

impl Owner {
    fn keep(core: Core) -> Result<*mut forq_manager> {
        let places = core.segment().mapped() / APART + 1;
        let slots = Mapping::private_reserved(places * size_of::<Slot>())?;
        Ok(handle::keep(Self { core, slots })?.as_ptr().cast())
    }

    /// The slot of the collection whose root is there. Threads that get the same one at once write the same.
    fn slot(&self, root: u64, bits: u32) -> *mut Slot {
        // SAFETY: a root lies in the memory, for each part of which there is a slot, zeroed at first: a valid one.
        let slot = unsafe { self.slots.start().cast::<Slot>().add(root as usize / APART) };
        // SAFETY: as above; mapped as long as the manager.
        let place = unsafe { slot.as_ref() };
        place.root.store(root, Ordering::Relaxed);
        place.bits.store(bits.into(), Ordering::Relaxed);
        place.owner.store(core::ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        slot.as_ptr()
    }
}

/// # Safety
/// As [`borrow`].
unsafe fn owner<'a>(m: *const forq_manager) -> Result<&'a Owner> {
    // SAFETY: by contract; a manager is a pointer to its owner.
    unsafe { borrow(m.cast::<Owner>()) }
}

/// # Safety
/// As [`borrow`].
unsafe fn slot<'a>(slot: *const Slot) -> Result<(&'a Core, u64, u32)> {
    // SAFETY: by contract.
    unsafe {
        let slot = borrow(slot)?;
        let owner = borrow(slot.owner.load(Ordering::Relaxed).cast_const())?;
        Ok((&owner.core, slot.root.load(Ordering::Relaxed), slot.bits.load(Ordering::Relaxed) as u32))
    }
}

/// # Safety
/// As [`borrow`].
pub(super) unsafe fn list<'a>(l: *const forq_list) -> Result<RawList<'a>> {
    // SAFETY: by contract; a list is a pointer to a slot.
    unsafe { slot(l.cast()) }.map(|(core, root, _)| RawList::known(core, root))
}

/// # Safety
/// As [`borrow`].
pub(super) unsafe fn dict<'a>(d: *const forq_dict) -> Result<RawDict<'a>> {
    // SAFETY: by contract; a dict is a pointer to a slot.
    unsafe { slot(d.cast()) }.map(|(core, root, bits)| RawDict::known(core, root, bits))
}

/// # Safety
/// `manager_out` must be NULL or writable.
unsafe fn store(manager_out: *mut *mut forq_manager, make: impl FnOnce() -> Result<Core>) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(manager_out) }.and_then(|manager_out| {
        *manager_out = Owner::keep(make()?)?;
        Ok(())
    });
    status(result)
}

/// Makes a manager for this process and those forked later, with size bytes, from 65536 on, which come with their use.
///
/// Returns 0; -EINVAL for NULL, or a size that is smaller or overflows; -ENOMEM.
///
/// # Safety
/// `manager_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_new(size: usize, manager_out: *mut *mut forq_manager) -> c_int {
    // SAFETY: by contract.
    unsafe { store(manager_out, || Core::anonymous(size)) }
}

/// Makes a manager that other programs find by its name, with size bytes, from 65536 on, set aside at once.
///
/// Returns as forq_segment_create.
///
/// # Safety
/// `name` must be NULL or a C string, `manager_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_create(
    name: *const c_char,
    size: usize,
    manager_out: *mut *mut forq_manager,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store(manager_out, || Core::create(self::name(name)?, size)) }
}

/// Opens a manager that another program of the same user created. forq_segment_unlink takes its name away.
///
/// Returns as forq_segment_open.
///
/// # Safety
/// As forq_manager_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_open(
    name: *const c_char,
    manager_out: *mut *mut forq_manager,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store(manager_out, || Core::open(self::name(name)?)) }
}

/// Opens the manager behind a descriptor that another program gave (forq_connection_send_fd). The descriptor stays the caller's.
///
/// Returns as forq_segment_from_fd.
///
/// # Safety
/// `manager_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_from_fd(fd: c_int, manager_out: *mut *mut forq_manager) -> c_int {
    // SAFETY: by contract.
    unsafe { store(manager_out, || Core::from_raw(fd)) }
}

/// The manager's descriptor, to give to another program; it stays the manager's. -EINVAL for NULL.
///
/// # Safety
/// `m` must be NULL or a manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_fd(m: *const forq_manager) -> c_int {
    // SAFETY: by contract.
    unsafe { owner(m) }.map_or_else(|error| -error.errno(), |owner| owner.core.segment().descriptor())
}

/// Ends this process's use of a manager, its lists and dicts. NULL does nothing.
///
/// # Safety
/// `m` must be NULL or a manager; neither it nor its lists and dicts may be used again in this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_free(m: *mut forq_manager) {
    if let Some(owner) = NonNull::new(m.cast::<Owner>()) {
        // SAFETY: by contract.
        drop(unsafe { handle::take(owner) });
    }
}

/// # Safety
/// `m` must be NULL or a manager, `out` NULL or writable.
unsafe fn find<T>(
    m: *mut forq_manager,
    out: *mut *mut T,
    find: impl FnOnce(&Core) -> Result<(u64, u32)>,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { owner(m).and_then(|m| Ok((m, borrow_mut(out)?))) };
    status(both.and_then(|(owner, out)| {
        let (root, bits) = find(&owner.core)?;
        *out = owner.slot(root, bits).cast();
        Ok(())
    }))
}

fn checked(name: Result<&[u8]>) -> Result<&[u8]> {
    name.and_then(|name| shared::name::check(name).map(|()| name))
}

fn of_list(list: RawList<'_>) -> (u64, u32) {
    (list.root(), 0)
}

fn of_dict(dict: RawDict<'_>) -> (u64, u32) {
    (dict.root(), dict.shard_bits())
}

/// Finds the list of this name, or makes it, empty. It belongs to the manager, holds in later forks, and needs no free. The same name gives the same pointer.
///
/// Returns 0; -EEXIST if the name is a dict's; -ENOSPC; -EINVAL for NULL or a bad name: what is one is said at forq_segment.
///
/// # Safety
/// `m` must be NULL or a manager, `name` NULL or a C string, `list_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_list(
    m: *mut forq_manager,
    name: *const c_char,
    list_out: *mut *mut forq_list,
) -> c_int {
    // SAFETY: by contract.
    unsafe {
        let name = checked(self::name(name));
        find(m, list_out, |core| RawList::find_or_make(core, name?).map(of_list))
    }
}

/// Finds the dict of this name, or makes it, empty; as forq_manager_list.
///
/// Returns as that; -EEXIST if the name is a list's.
///
/// # Safety
/// As forq_manager_list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_dict(
    m: *mut forq_manager,
    name: *const c_char,
    dict_out: *mut *mut forq_dict,
) -> c_int {
    // SAFETY: by contract.
    unsafe {
        let name = checked(self::name(name));
        find(m, dict_out, |core| RawDict::find_or_make(core, name?).map(of_dict))
    }
}

/// Makes a list without a name, to be put in other collections by its handle (forq_list_handle). It stays as long as the manager's memory.
///
/// Returns 0; -ENOSPC; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a manager, `list_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_list_new(m: *mut forq_manager, list_out: *mut *mut forq_list) -> c_int {
    // SAFETY: by contract.
    unsafe { find(m, list_out, |core| RawList::make(core).map(of_list)) }
}

/// Makes a dict without a name; as forq_manager_list_new.
///
/// # Safety
/// `m` must be NULL or a manager, `dict_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_dict_new(m: *mut forq_manager, dict_out: *mut *mut forq_dict) -> c_int {
    // SAFETY: by contract.
    unsafe { find(m, dict_out, |core| RawDict::make(core).map(of_dict)) }
}

/// The list that a handle stands for, in any process that has the manager.
///
/// Returns 0; -EPROTO if it is no list of this manager; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a manager, `list_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_list_of(
    m: *mut forq_manager,
    handle: u64,
    list_out: *mut *mut forq_list,
) -> c_int {
    // SAFETY: by contract.
    unsafe { find(m, list_out, |core| RawList::at(core, handle).map(of_list)) }
}

/// The dict that a handle stands for; as forq_manager_list_of.
///
/// # Safety
/// `m` must be NULL or a manager, `dict_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_dict_of(
    m: *mut forq_manager,
    handle: u64,
    dict_out: *mut *mut forq_dict,
) -> c_int {
    // SAFETY: by contract.
    unsafe { find(m, dict_out, |core| RawDict::at(core, handle).map(of_dict)) }
}

/// Bytes that a manager's collections use, with what is kept beside them, and that they may use in all.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `m` must be NULL or a manager, the others NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_manager_space(
    m: *mut forq_manager,
    used_out: *mut usize,
    capacity_out: *mut usize,
) -> c_int {
    if used_out == capacity_out {
        return status(Err(Error::InvalidArgument));
    }
    // SAFETY: by contract; two places.
    let all = unsafe { owner(m).and_then(|m| Ok((m, borrow_mut(used_out)?, borrow_mut(capacity_out)?))) };
    status(all.and_then(|(owner, used_out, capacity_out)| {
        let (used, capacity) = owner.core.account()?;
        (*used_out, *capacity_out) = (used as usize, capacity as usize);
        Ok(())
    }))
}
