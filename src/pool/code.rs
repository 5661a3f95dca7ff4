//! Which functions a pool's workers have: those that were mapped when it was made.

use crate::error::{Error, Result};
use crate::sys::map::Mapping;
use crate::sys::maps;

/// The ranges of executable memory at one moment, in order.
pub(super) struct Code {
    ranges: Mapping,
    count: usize,
}

impl Code {
    /// As it is now.
    pub(super) fn now() -> Result<Self> {
        let mut room = 256;
        loop {
            let ranges = Mapping::private(room * size_of::<[usize; 2]>())?;
            let mut count = 0;
            maps::executable_ranges(|start, end| {
                if count < room {
                    // SAFETY: within the room.
                    unsafe { ranges.start().cast::<[usize; 2]>().add(count).write([start, end]) };
                }
                count += 1;
            })?;
            if count == 0 {
                return Err(Error::Unsupported);
            }
            if count <= room {
                return Ok(Self { ranges, count });
            }
            room = count + 64;
        }
    }

    /// Whether a function was there.
    pub(super) fn contains(&self, address: usize) -> bool {
        // SAFETY: filled by `now`.
        let ranges = unsafe {
            core::slice::from_raw_parts(self.ranges.start().cast::<[usize; 2]>().as_ptr(), self.count)
        };
        let after = ranges.partition_point(|&[start, _]| start <= address);
        after > 0 && address < ranges[after - 1][1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_code_and_values_are_not() {
        let code = Code::now().unwrap();
        let local = 0u8;
        assert!(code.contains(functions_are_code_and_values_are_not as *const () as usize));
        assert!(code.contains(libc::getpid as *const () as usize));
        assert!(!code.contains(&raw const local as usize));
        assert!(!code.contains(0));
        assert!(!code.contains(usize::MAX));
    }
}
