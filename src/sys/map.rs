//! Memory mappings.

use core::ptr::NonNull;

use super::atomic::{AtomicU64, Ordering};
use super::errno::{self, EINVAL};
use crate::error::{Error, Result};

/// The size of a page, in bytes.
pub(crate) fn page_size() -> usize {
    static SIZE: super::atomic::AtomicUsize = super::atomic::AtomicUsize::new(0);
    // Relaxed: every thread would store the same value.
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: no pointers.
            let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            SIZE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

/// The machine's memory, in bytes.
pub(crate) fn machine_memory() -> usize {
    // SAFETY: no pointers.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    usize::try_from(pages).unwrap_or(0).saturating_mul(page_size())
}

/// How much address space this process may have, in bytes.
pub(crate) fn address_space() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours. It cannot fail; `errno` is left as it was.
    let _ = errno::preserve(|| unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) });
    // More than there are addresses, or no limit: all.
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Memory of this process, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; what is done through its address is the user's business.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory that every later fork shares.
    pub(crate) fn shared(size: usize) -> Result<Self> {
        Self::new(size, libc::MAP_SHARED)
    }

    /// Zeroed memory of this process alone; a fork copies it.
    pub(crate) fn private(size: usize) -> Result<Self> {
        Self::new(size, libc::MAP_PRIVATE)
    }

    /// Address space of this process alone; pages come with their first use, zeroed, and a fork copies them.
    #[cfg(feature = "capi")]
    pub(crate) fn private_reserved(size: usize) -> Result<Self> {
        Self::new(size, libc::MAP_PRIVATE | libc::MAP_NORESERVE)
    }

    /// Address space that every later fork shares; pages come with their first use.
    pub(crate) fn reserved(size: usize) -> Result<Self> {
        Self::new(size, libc::MAP_SHARED | libc::MAP_NORESERVE)
    }

    /// The first bytes of a file, shared with all who map it.
    pub(crate) fn of_file(file: &super::fd::Fd, size: usize) -> Result<Self> {
        Self::map(size, libc::MAP_SHARED, file.raw())
    }

    /// Zeroed memory that every later fork shares, and behind it some that each has for itself, as a copy. Whole pages.
    pub(crate) fn shared_then_private(shared: usize, private: usize) -> Result<Self> {
        let size = shared.checked_add(private).ok_or(Error::InvalidArgument)?;
        let mapping = Self::shared(size)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let mut start = libc::MAP_FAILED;
        errno::preserve(|| {
            // SAFETY: inside the mapping, which nobody uses yet; `mmap` refuses what does not begin with a page.
            start = unsafe {
                libc::mmap(mapping.start.as_ptr().add(shared).cast(), private, protection, flags, -1, 0)
            };
            if start == libc::MAP_FAILED { -1 } else { 0 }
        })
        .map_err(|_| Error::OutOfMemory)?;
        Ok(mapping)
    }

    fn new(size: usize, flags: i32) -> Result<Self> {
        Self::map(size, flags | libc::MAP_ANONYMOUS, -1)
    }

    fn map(size: usize, flags: i32, file: i32) -> Result<Self> {
        if size == 0 || size > isize::MAX as usize {
            return Err(Error::InvalidArgument);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes; nothing is replaced.
        let start = unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            let start = libc::mmap(core::ptr::null_mut(), size, protection, flags, file, 0);
            if start == libc::MAP_FAILED {
                *errno = before;
                return Err(Error::OutOfMemory);
            }
            start
        };
        NonNull::new(start.cast()).map(|start| Self { start, size }).ok_or(Error::OutOfMemory)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Gives the memory away: nobody unmaps it.
    pub(crate) fn leak(self) -> NonNull<u8> {
        let start = self.start;
        core::mem::forget(self);
        start
    }

    /// Makes the pages of a range present, so that using them cannot fail.
    pub(crate) fn populate(&self, offset: usize, size: usize) -> Result<()> {
        let page = page_size();
        let end = offset.checked_add(size).filter(|&end| end <= self.size).ok_or(Error::InvalidArgument)?;
        let begin = offset & !(page - 1);
        // SAFETY: inside the mapping, by the check.
        let result = errno::preserve(|| unsafe {
            libc::madvise(self.start.as_ptr().add(begin).cast(), end - begin, libc::MADV_POPULATE_WRITE)
        });
        match result {
            // Kernels before 5.14 do not know the advice; there the first use brings the page.
            Ok(_) | Err(EINVAL) => Ok(()),
            Err(_) => Err(Error::OutOfMemory),
        }
    }

    /// Gives the pages that lie whole in a range back; they read as zero afterwards.
    pub(crate) fn give_back(&self, offset: usize, size: usize) {
        let page = page_size();
        let Some(end) = offset.checked_add(size).filter(|&end| end <= self.size) else { return };
        let (begin, end) = (offset.next_multiple_of(page), end & !(page - 1));
        if begin < end {
            // SAFETY: inside the mapping, by the check; the caller no longer uses what is there.
            unsafe { give_back(self.start.as_ptr().add(begin), end - begin) };
        }
    }
}

/// Gives the pages of a range of shared memory back to the system; they read as zero afterwards.
///
/// # Safety
/// The range must be mapped, consist of whole pages, and nobody may use what is there.
pub(crate) unsafe fn give_back(start: *mut u8, size: usize) {
    // SAFETY: by contract.
    let _ = errno::preserve(|| unsafe { libc::madvise(start.cast(), size, libc::MADV_REMOVE) });
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, made by `new`.
        let _ = unsafe { unmap(self.start.as_ptr(), self.size) };
    }
}

/// Unmaps a range.
///
/// # Safety
/// Nobody may use the range any more.
pub(crate) unsafe fn unmap(start: *mut u8, size: usize) -> Result<()> {
    // SAFETY: by contract.
    errno::preserve(|| unsafe { libc::munmap(start.cast(), size) }).map(drop).map_err(Error::from_errno)
}

/// A word that has a page to itself, for a static of its own: zeros of the program's, which no file backs.
#[repr(C, align(4096))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))] // the largest page
pub(super) struct LonelyWord(pub(super) AtomicU64);

/// From now on the word reads as zero in every child of a fork, however forked. False where the kernel cannot do that.
pub(super) fn wipe_on_fork(page: &'static LonelyWord) -> bool {
    /// An advice that no kernel has. qemu-user takes advice for hints: it says yes to any, and does nothing.
    const UNHEARD_OF: i32 = i32::MAX;
    let size = size_of_val(page);
    let address = core::ptr::from_ref(page).cast_mut().cast();
    // SAFETY: the range is the static, which nobody else's memory shares a page with.
    let takes = |advice| errno::preserve(|| unsafe { libc::madvise(address, size, advice) }).is_ok();
    size % page_size() == 0 && !takes(UNHEARD_OF) && takes(libc::MADV_WIPEONFORK)
}

/// Copies memory of this process that may be unmapped at any moment: false if it is.
pub(crate) fn read_own(address: usize, into: &mut [u64]) -> bool {
    let size = size_of_val(into);
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: size };
    let remote = libc::iovec { iov_base: core::ptr::without_provenance_mut(address), iov_len: size };
    // SAFETY: `local` is the caller's memory; the kernel checks `remote`.
    let read = errno::preserve(|| unsafe {
        libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) as i64
    });
    read == Ok(size as i64)
}
