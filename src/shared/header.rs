//! The first page of a segment: what it is, checked before anything else is read.

use crate::error::{Error, Result};
use crate::sync::raw::RawMutex;
use crate::sys::atomic::AtomicU64;
use crate::sys::{map, robust, shm};

/// Where what is in the segment begins.
pub(crate) const HEADER: usize = 4096;
/// "forq" and then bytes that no text has.
const MAGIC: u64 = u64::from_ne_bytes(*b"forq\xf0\x9f\x0d\x0a");
/// Of everything in shared memory: locks, objects, collections. Changed with any of them.
const LAYOUT: u64 = 1;

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Objects, found by name.
    Objects = 1,
    /// A manager's heap and collections.
    Manager = 2,
}

/// Written once, before anybody else knows of the segment: magic, layout and kind, the file's size in bytes, the PID namespace (thread ids
/// mean nothing elsewhere; 0: not known), where in a lock the C library's robust list has its word, the size of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Header(pub(super) [u64; 6]);

impl Header {
    pub(super) fn new(kind: Kind, size: u64) -> Self {
        let layout = LAYOUT << 32 | kind as u64;
        let futex_offset = robust::FUTEX_OFFSET as i64 as u64;
        Self([MAGIC, layout, size, shm::pid_namespace(), futex_offset, map::page_size() as u64])
    }

    /// The segment's size, if this is the header of one that this process can use, in a file of `file_size` bytes.
    pub(super) fn check(self, kind: Kind, file_size: u64) -> Result<usize> {
        let is_whole = file_size > HEADER as u64 && file_size % map::page_size() as u64 == 0;
        let size = usize::try_from(file_size).ok().filter(|&size| isize::try_from(size).is_ok());
        size.filter(|_| is_whole && self == Self::new(kind, file_size)).ok_or(Error::Protocol)
    }
}

/// The first page of a segment of objects. Zeroed: none.
#[repr(C)]
pub(super) struct Start {
    header: Header,
    _to_line: [u64; 2],
    /// Of who makes an object.
    pub(super) lock: RawMutex,
    /// Bytes of records and objects, from [`HEADER`] on. One store makes an object.
    pub(super) used: AtomicU64,
}
static_assertions::const_assert!(size_of::<Start>() <= HEADER);
