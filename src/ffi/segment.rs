//! Segments.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;

use super::{borrow, borrow_mut, handle, status};
use crate::error::{Error, Result};
use crate::shared::header::Kind;
use crate::shared::segment::Segment;

/// Memory that unrelated programs share, by name or by descriptor, and objects in it, found or made by name.
///
/// A named segment is the file forq-NAME in /dev/shm, for its user alone (mode 0600). It appears whole or not at all, whenever its creator is
/// killed, and stays until forq_segment_unlink. A name is 1 to 200 bytes without '/', not "." or ".."; links are not followed.
pub struct forq_segment {
    _private: [u8; 0],
}

/// # Safety
/// As [`borrow`].
unsafe fn segment<'a>(s: *const forq_segment) -> Result<&'a Segment> {
    // SAFETY: by contract; a segment is a pointer to one of Rust's.
    unsafe { borrow(s.cast::<Segment>()) }
}

/// The bytes of a C string. They are looked at only as far as a name may go.
///
/// # Safety
/// `name` must be NULL or a C string.
pub(super) unsafe fn name<'a>(name: *const c_char) -> Result<&'a [u8]> {
    if name.is_null() {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: by contract.
    Ok(unsafe { CStr::from_ptr(name) }.to_bytes())
}

/// # Safety
/// `segment_out` must be NULL or writable.
unsafe fn store(segment_out: *mut *mut forq_segment, make: impl FnOnce() -> Result<Segment>) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(segment_out) }.and_then(|segment_out| {
        *segment_out = handle::keep(make()?)?.as_ptr().cast();
        Ok(())
    });
    status(result)
}

/// Makes a named segment with room for size bytes of objects and what is kept about them, rounded up to whole pages. All of its memory
/// is set aside at once, so that using it cannot fail, unless a process of the same user truncates the file.
///
/// Returns 0; -EEXIST; -ENOSPC if /dev/shm has no room; -EINVAL for NULL, a bad name, a size of 0 or one that overflows; -ENOMEM without
/// descriptors; -ENOSYS without /dev/shm or /proc.
///
/// # Safety
/// `name` must be NULL or a C string, `segment_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_create(
    name: *const c_char,
    size: usize,
    segment_out: *mut *mut forq_segment,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store(segment_out, || Segment::create_kind(self::name(name)?, size, Kind::Objects, |_| ())) }
}

/// Opens a named segment, from any program of the same user and PID namespace.
///
/// Returns 0; -ENOENT; -EPROTO if the file is no segment of this version of forq and of this user, or is a link; -EPERM if it may not be opened;
/// -ENOSPC if it has holes that cannot be filled; -EINVAL; -ENOMEM.
///
/// # Safety
/// As forq_segment_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_open(
    name: *const c_char,
    segment_out: *mut *mut forq_segment,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store(segment_out, || Segment::open_kind(self::name(name)?, Kind::Objects)) }
}

/// Makes a segment without a name: shared with later forks, and with whom its descriptor is given to. Nobody can shrink it. Its memory comes
/// with its use.
///
/// Returns 0; -EINVAL; -ENOMEM if the machine has not so much.
///
/// # Safety
/// `segment_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_anonymous(size: usize, segment_out: *mut *mut forq_segment) -> c_int {
    // SAFETY: by contract.
    unsafe { store(segment_out, || Segment::anonymous_kind(size, Kind::Objects, |_| ())) }
}

/// Opens the segment behind a descriptor that another program gave (forq_connection_send_fd). The descriptor stays the caller's.
///
/// Returns as forq_segment_open; -EINVAL if it is no descriptor.
///
/// # Safety
/// `segment_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_from_fd(fd: c_int, segment_out: *mut *mut forq_segment) -> c_int {
    // SAFETY: by contract.
    unsafe { store(segment_out, || Segment::from_raw_kind(fd, Kind::Objects)) }
}

/// The segment's descriptor, to give to another program; it stays the segment's. -EINVAL for NULL.
///
/// # Safety
/// `s` must be NULL or a segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_fd(s: *const forq_segment) -> c_int {
    // SAFETY: by contract.
    unsafe { segment(s) }.map_or_else(|error| -error.errno(), Segment::descriptor)
}

/// Takes the name away, a manager's too. Who has it open goes on using it.
///
/// Returns 0; -ENOENT; -EPERM; -EINVAL.
///
/// # Safety
/// `name` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_unlink(name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { self::name(name) }.and_then(Segment::unlink_bytes))
}

/// Ends this process's use of a segment; its objects are not to be used here any more. NULL does nothing.
///
/// # Safety
/// `s` must be NULL or a segment, and not be used again in this process; no thread of it may hold a lock in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_free(s: *mut forq_segment) {
    if let Some(segment) = NonNull::new(s.cast::<Segment>()) {
        // SAFETY: by contract.
        drop(unsafe { handle::take(segment) });
    }
}

/// Finds the object of this name, or makes it: zeroed, 64-aligned. Of all that ask at once, in whatever processes, exactly one makes it. It stays
/// as long as the segment.
///
/// Returns 1 when it was made, 0 when it was found; -EEXIST if there is one of another size; -ENOSPC; -EPROTO if the segment
/// was scribbled over; -EINVAL for NULL, size 0 or a bad name.
///
/// # Safety
/// `s` must be NULL or a segment, `name` NULL or a C string, `object_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_segment_object(
    s: *mut forq_segment,
    name: *const c_char,
    size: usize,
    object_out: *mut *mut c_void,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { segment(s).and_then(|s| Ok((s, self::name(name)?, borrow_mut(object_out)?))) };
    super::count(result.and_then(|(segment, name, object_out)| {
        let (object, is_new) = segment.object_bytes(name, size)?;
        *object_out = object.as_ptr().cast();
        Ok(usize::from(is_new))
    }))
}
