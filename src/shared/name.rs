//! Names of segments and of what is in them.

use core::ffi::CStr;

use crate::error::{Error, Result};

/// The longest name, in bytes.
pub(crate) const MAX: usize = 200;
const PREFIX: &[u8] = b"/dev/shm/forq-";

/// `InvalidArgument` unless it is 1 to 200 bytes without `/` and 0, and not `.` or `..`.
pub(crate) fn check(name: &[u8]) -> Result<()> {
    let is_good = (1..=MAX).contains(&name.len())
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
        && name != b"."
        && name != b"..";
    if is_good { Ok(()) } else { Err(Error::InvalidArgument) }
}

/// The file of a named segment.
pub(super) struct Path([u8; PREFIX.len() + MAX + 1]);

impl Path {
    pub(super) fn of(name: &[u8]) -> Result<Self> {
        check(name)?;
        let mut path = Self([0; PREFIX.len() + MAX + 1]);
        let (prefix, rest) = path.0.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        rest[..name.len()].copy_from_slice(name);
        Ok(path)
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        // The last byte is 0 in any case.
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_file_and_what_is_none_is_refused() {
        assert_eq!(
            Path::of(b"..a").map(|path| path.as_c_str().to_owned()),
            Ok(c"/dev/shm/forq-..a".to_owned())
        );
        let long = [b'x'; 201];
        assert!(Path::of(&long[..200]).is_ok_and(|path| path.as_c_str().count_bytes() == 214));
        for bad in [b"".as_slice(), b".", b"..", b"/", b"a/b", b"../x", b"a\0b", &long, &[b'x'; 300]] {
            assert!(Path::of(bad).is_err(), "{bad:?}");
        }
    }
}
