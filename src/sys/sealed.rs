//! Bytes in a memory file that nobody can change any more: to be handed over as one descriptor.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::errno::{self, EINTR, EINVAL};
use super::fd::{Fd, owned};
use crate::error::{Error, Result};

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
/// Of linux/memfd.h, from 6.3 on: the file is not for executing.
const MFD_NOEXEC_SEAL: u32 = 8;

/// A file of these bytes, sealed.
pub(crate) fn make(bytes: &[u8]) -> Result<Fd> {
    check_limit(bytes.len())?;
    let file = new_file(c"forq")?;
    let mut left = bytes;
    while !left.is_empty() {
        // SAFETY: the bytes are as many as we say.
        let written =
            errno::preserve(|| unsafe { libc::write(file.raw(), left.as_ptr().cast(), left.len()) as i64 });
        match written {
            Ok(count) => left = left.get(count as usize..).unwrap_or_default(),
            Err(EINTR) => {}
            Err(code) => return Err(Error::from_errno(code)),
        }
    }
    // SAFETY: no pointers.
    errno::preserve(|| unsafe { libc::fcntl(file.raw(), libc::F_ADD_SEALS, SEALS) })
        .map_err(Error::from_errno)?;
    Ok(file)
}

/// An empty file in memory, without a name but for what /proc shows it as, that may be sealed.
pub(super) fn new_file(shown_as: &CStr) -> Result<Fd> {
    let make = |flags| {
        // SAFETY: a C string; the result is a new descriptor.
        owned(|| unsafe {
            libc::memfd_create(shown_as.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | flags)
        })
    };
    match make(MFD_NOEXEC_SEAL) {
        Err(Error::InvalidArgument) => make(0),
        other => other,
    }
    .map_err(|error| match error {
        Error::Os(libc::EMFILE | libc::ENFILE) => Error::OutOfMemory,
        other => other,
    })
}

/// Writing past the limit on file sizes would end the process by SIGXFSZ.
pub(super) fn check_limit(size: usize) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the result.
    errno::preserve(|| unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) })
        .map_err(Error::from_errno)?;
    #[cfg_attr(
        target_pointer_width = "64",
        expect(clippy::unnecessary_cast, reason = "narrower on 32-bit machines")
    )]
    let limit = limit.rlim_cur as u64;
    if size as u64 > limit { Err(Error::OutOfSpace) } else { Ok(()) }
}

/// Whether this is a file that [`make`] made, or one like it: it cannot change, and reading it does not wait.
pub(crate) fn is_sealed(file: &Fd) -> bool {
    // SAFETY: no pointers.
    let seals = errno::preserve(|| unsafe { libc::fcntl(file.raw(), libc::F_GET_SEALS) });
    seals.is_ok_and(|seals| seals & SEALS == SEALS)
}

/// Fills `buffer` with the first bytes: `Protocol` if there are too few.
pub(crate) fn read(file: &Fd, buffer: &mut [MaybeUninit<u8>]) -> Result<()> {
    let mut done = 0;
    while let Some(left) = buffer.get_mut(done..).filter(|left| !left.is_empty()) {
        let offset = libc::off_t::try_from(done).map_err(|_| Error::from_errno(EINVAL))?;
        // SAFETY: the buffer is as long as we say.
        let read = errno::preserve(|| unsafe {
            libc::pread(file.raw(), left.as_mut_ptr().cast(), left.len(), offset) as i64
        });
        match read {
            Ok(0) => return Err(Error::Protocol),
            Ok(count) => done += count as usize,
            Err(EINTR) => {}
            Err(code) => return Err(Error::from_errno(code)),
        }
    }
    Ok(())
}
