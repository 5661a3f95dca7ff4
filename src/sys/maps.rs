//! What /proc/self/maps tells of this process's mappings.

use core::ops::Range;

use super::fd::Fd;
use crate::error::{Error, Result};

/// A place in a file, or in memory without one, which is a file to the kernel: the same for all processes that map it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Major number above 32 bits of minor number.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) offset: u64,
}

/// One line: where, with which permissions, as in `rw-s`, and of what.
struct Line {
    range: Range<usize>,
    permissions: [u8; 4],
    start: Place,
}

/// Calls `visit` with the start and end of each range of this process that holds code.
pub(crate) fn executable_ranges(mut visit: impl FnMut(usize, usize)) -> Result<()> {
    lines(|line| {
        if line.permissions[2] == b'x' {
            visit(line.range.start, line.range.end);
        }
    })
}

fn shared_line_of(address: usize) -> Result<Option<Line>> {
    let mut found = None;
    lines(|line| {
        if line.range.contains(&address) && line.permissions[3] == b's' {
            found = Some(line);
        }
    })?;
    Ok(found)
}

/// The mapping, shared between processes, that an address lies in.
pub(crate) fn shared_range_of(address: usize) -> Option<Range<usize>> {
    shared_line_of(address).ok()?.map(|line| line.range)
}

/// What an address means to all processes that share its memory: `InvalidArgument` if none could, `Unsupported` without /proc, `OutOfMemory` without
/// descriptors.
pub(crate) fn shared_place_of(address: usize) -> Result<Place> {
    let line = shared_line_of(address).map_err(|error| match error {
        Error::NotFound => Error::Unsupported,
        Error::Os(libc::EMFILE | libc::ENFILE) => Error::OutOfMemory,
        other => other,
    })?;
    let line = line.ok_or(Error::InvalidArgument)?;
    Ok(Place { offset: line.start.offset + (address - line.range.start) as u64, ..line.start })
}

/// Calls `visit` with each range of this process's addresses that is mapped.
fn lines(mut visit: impl FnMut(Line)) -> Result<()> {
    /// Start, end, permissions, offset, device (two numbers), inode: numbers but one.
    const FIELDS: usize = 7;
    const PERMISSIONS: usize = 2;
    const INODE: usize = FIELDS - 1;
    let file = Fd::open_read(c"/proc/self/maps")?;
    let mut buffer = [0u8; 4096];
    let (mut field, mut numbers, mut permissions, mut at) = (0, [0u64; FIELDS], [0u8; 4], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        for &byte in &buffer[..read] {
            let ends_field = matches!((field, byte), (0, b'-') | (1..=3 | 5..=INODE, b' ') | (4, b':'));
            // After the inode there may be a name, or nothing.
            if field == INODE && (ends_field || byte == b'\n') {
                visit(Line {
                    range: numbers[0] as usize..numbers[1] as usize,
                    permissions,
                    start: Place {
                        device: numbers[4] << 32 | numbers[5],
                        inode: numbers[INODE],
                        offset: numbers[3],
                    },
                });
            }
            match byte {
                b'\n' => (field, numbers, at) = (0, [0; FIELDS], 0),
                _ if ends_field => field += 1,
                letter if field == PERMISSIONS => {
                    if let Some(place) = permissions.get_mut(at) {
                        *place = letter;
                    }
                    at += 1;
                }
                digit if field < FIELDS => {
                    let base = if field == INODE { 10 } else { 16 };
                    let value = char::from(digit).to_digit(base).unwrap_or(0);
                    numbers[field] = numbers[field].wrapping_mul(base.into()).wrapping_add(value.into());
                }
                _ => {}
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::map::Mapping;

    #[test]
    fn a_place_counts_from_the_start_of_the_file_and_private_memory_has_none() {
        let memory = Mapping::shared(8192).unwrap();
        let start = memory.start().addr().get();
        let (first, later) = (shared_place_of(start).unwrap(), shared_place_of(start + 5000).unwrap());
        assert_eq!((first.offset, later), (0, Place { offset: 5000, ..first }));
        assert!(first.inode != 0);
        let other = Mapping::shared(4096).unwrap();
        assert!(shared_place_of(other.start().addr().get()).unwrap().inode != first.inode);
        let private = Mapping::private(4096).unwrap();
        assert_eq!(shared_place_of(private.start().addr().get()), Err(Error::InvalidArgument));
        assert_eq!(shared_place_of(8), Err(Error::InvalidArgument));
    }

    #[test]
    fn code_is_found_where_functions_are() {
        let here = code_is_found_where_functions_are as fn() as usize;
        let mut found = false;
        executable_ranges(|start, end| found |= (start..end).contains(&here)).unwrap();
        assert!(found);
    }
}
