//! Named objects in a segment: a row of records, each followed by its object, that only grows.
//!
//! ```text
//! size | length of the name | the name, to the next 64 bytes | the object, to the next 64 bytes | next record
//! ```
//! The store of how much of the row is used makes a record and its object. Whoever is killed before it has made nothing: the next one
//! writes over what it left.

use core::ptr::NonNull;

use super::header::{HEADER, Start};
use super::held::Held;
use super::name;
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;

/// How records and objects are aligned.
pub(super) const ALIGN: usize = 64;
const SIZE: usize = 0;
const NAME_LENGTH: usize = 8;
pub(super) const NAME: usize = 16;
/// What a record takes at most; so much may a dead maker have written.
const LONGEST: usize = (NAME + name::MAX).next_multiple_of(ALIGN);

/// The row of a segment. Its bounds are this process's own; whatever is read from it is checked against them.
pub(super) struct Objects<'a> {
    start: &'a Start,
    row: NonNull<u8>,
    room: usize,
}

/// A record, as it was read.
pub(super) struct Record {
    at: usize,
    pub(super) object: usize,
    pub(super) size: usize,
    pub(super) end: usize,
}

impl<'a> Objects<'a> {
    pub(super) fn of(segment: &'a Segment) -> Result<Self> {
        // SAFETY: the first page, mapped as long as the segment; `Start` is atomics, integers and a lock, valid for any bytes.
        let start = unsafe { segment.start().cast::<Start>().as_ref() };
        // SAFETY: the mapping is larger than its header.
        let row = unsafe { segment.start().add(HEADER) };
        Ok(Self { start, row, room: segment.mapped() - HEADER })
    }

    pub(super) fn find_or_make(&self, name: &[u8], size: usize) -> Result<(NonNull<u8>, bool)> {
        if size == 0 {
            return Err(Error::InvalidArgument);
        }
        let used = self.used()?;
        if let Ok(found) = self.find(name, size, 0, used)? {
            return Ok((found, false));
        }
        let (_held, died) = Held::take(&self.start.lock)?;
        if died {
            let _ = self.start.lock.consistent();
        }
        // What others made meanwhile.
        let now = self.used()?;
        match self.find(name, size, used, now)? {
            Ok(found) => Ok((found, false)),
            Err(end) => self.make(name, size, end).map(|made| (made, true)),
        }
    }

    fn used(&self) -> Result<usize> {
        // Acquire pairs with the Release of `make`: the record and the zeroes are there.
        let used = self.start.used.load(Ordering::Acquire);
        usize::try_from(used)
            .ok()
            .filter(|&used| used <= self.room && used % ALIGN == 0)
            .ok_or(Error::Protocol)
    }

    /// The object, or where the row ends.
    fn find(
        &self,
        name: &[u8],
        size: usize,
        from: usize,
        to: usize,
    ) -> Result<core::result::Result<NonNull<u8>, usize>> {
        let mut at = from;
        while at < to {
            let record = self.record(at, to)?;
            if self.has_name(&record, name) {
                return if record.size == size {
                    Ok(Ok(self.place(record.object)))
                } else {
                    Err(Error::AlreadyExists)
                };
            }
            at = record.end;
        }
        Ok(Err(to))
    }

    /// The record at an offset below `to`, if it and its object end there at the latest.
    fn record(&self, at: usize, to: usize) -> Result<Record> {
        if at.checked_add(LONGEST.min(ALIGN)).is_none_or(|end| end > to) {
            return Err(Error::Protocol);
        }
        let (size, length) = (self.read(at + SIZE), self.read(at + NAME_LENGTH));
        let length = usize::try_from(length).ok().filter(|&length| (1..=name::MAX).contains(&length));
        let size = usize::try_from(size).ok();
        Self::layout(at, length.ok_or(Error::Protocol)?, size.ok_or(Error::Protocol)?)
            .filter(|record| record.end <= to)
            .ok_or(Error::Protocol)
    }

    pub(super) fn layout(at: usize, name_length: usize, size: usize) -> Option<Record> {
        let object = at.checked_add(NAME + name_length)?.checked_next_multiple_of(ALIGN)?;
        let end = object.checked_add(size)?.checked_next_multiple_of(ALIGN)?;
        Some(Record { at, object, size, end })
    }

    fn has_name(&self, record: &Record, name: &[u8]) -> bool {
        // SAFETY: a record with a name of at most so many bytes lies in the row, by `record`. Names never change.
        self.read(record.at + NAME_LENGTH) == name.len() as u64
            && record.at + NAME + name.len() <= record.object
            && (0..name.len())
                .all(|i| unsafe { self.place(record.at + NAME + i).as_ptr().read_volatile() } == name[i])
    }

    fn make(&self, name: &[u8], size: usize, at: usize) -> Result<NonNull<u8>> {
        let record = Self::layout(at, name.len(), size).ok_or(Error::OutOfSpace)?;
        if record.end > self.room {
            return Err(Error::OutOfSpace);
        }
        // SAFETY: inside the row, past its used part, which only the holder of the lock writes to.
        unsafe {
            // A maker that was killed has written no further than its record.
            self.place(at).write_bytes(0, LONGEST.min(self.room - at));
            self.place(at + SIZE).cast::<u64>().write(size as u64);
            self.place(at + NAME_LENGTH).cast::<u64>().write(name.len() as u64);
            self.place(at + NAME).as_ptr().copy_from(name.as_ptr(), name.len());
        }
        // Release pairs with `used`.
        self.start.used.store(record.end as u64, Ordering::Release);
        Ok(self.place(record.object))
    }

    /// A word of a record: 8-aligned and inside the row, which the callers check.
    fn read(&self, at: usize) -> u64 {
        debug_assert!(at + 8 <= self.room);
        // SAFETY: as said.
        unsafe { self.place(at).cast::<u64>().read_volatile() }
    }

    /// An address in the row, or at its end.
    fn place(&self, at: usize) -> NonNull<u8> {
        debug_assert!(at <= self.room);
        // SAFETY: the callers check `at` against `room`.
        unsafe { self.row.add(at) }
    }
}
