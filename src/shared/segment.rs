//! Memory that unrelated programs share, by name or by descriptor.

use core::mem::{ManuallyDrop, offset_of};
use core::ptr::NonNull;

use super::Shareable;
use super::header::{HEADER, Header, Kind};
use super::name::{self, Path};
use super::objects::Objects;
use crate::error::{Error, Result};
use crate::sys::fd::Fd;
use crate::sys::map::{self, Mapping};
use crate::sys::shm::{self, FileStatus};
use crate::sys::thread;

/// Memory that programs share which need not be forked from one another: found by its name, or by a descriptor that one gives to
/// another. In it are objects, found or made by name.
///
/// A named segment is the file `forq-NAME` in /dev/shm, readable and writable by its user alone (mode 0600). It appears whole or not
/// at all, whenever its creator is killed, and stays until [`Segment::unlink`] or the end of the system; who has it open goes on
/// using it after that. All of its memory is set aside when it is created, so using it never fails (unless a process of the same user truncates the
/// file). All programs that share a segment must share a PID namespace, and be built for the same C library. A segment without a name
/// can be shrunk by nobody.
///
/// Dropping it ends this process's use only. A child of a fork shares it.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use forq::Segment;
///
/// let name = format!("example-{}", std::process::id());
/// let segment = Segment::create(&name, 1 << 16)?;
/// // SAFETY: every program uses this name for this type.
/// let (visits, is_new) = unsafe { segment.object::<AtomicU64>("visits")? };
/// assert!(is_new);
/// visits.fetch_add(1, Ordering::Relaxed);
///
/// let elsewhere = Segment::open(&name)?; // in another program
/// // SAFETY: as above.
/// let (visits, is_new) = unsafe { elsewhere.object::<AtomicU64>("visits")? };
/// assert_eq!((visits.load(Ordering::Relaxed), is_new), (1, false));
/// Segment::unlink(&name)?;
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Segment {
    memory: ManuallyDrop<Mapping>,
    file: Fd,
}

impl Segment {
    /// Makes a named segment with room for `size` bytes of objects, what is kept about them included; rounded up to whole pages.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::OutOfSpace`] if /dev/shm has no room, or the limit on file sizes is lower;
    /// [`Error::InvalidArgument`] if the size is 0 or overflows, or the name is not 1 to 200 bytes without `/` and 0, or is `.` or `..`;
    /// [`Error::Unsupported`] without /dev/shm or /proc; [`Error::OutOfMemory`] without descriptors.
    pub fn create(name: &str, size: usize) -> Result<Self> {
        Self::create_kind(name.as_bytes(), size, Kind::Objects, |_| ())
    }

    /// Opens a named segment.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Protocol`] if the file is no segment of this version of forq, of this user and PID namespace, or is a link;
    /// [`Error::NotPermitted`] if it may not be opened; [`Error::InvalidArgument`] for a bad name; [`Error::OutOfSpace`] if the file has holes
    /// that cannot be filled; [`Error::OutOfMemory`].
    pub fn open(name: &str) -> Result<Self> {
        Self::open_kind(name.as_bytes(), Kind::Objects)
    }

    /// Makes a segment without a name: shared with later forks, and with whom its descriptor is given to. Its memory comes with its use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the size is 0 or overflows; [`Error::OutOfMemory`] if the machine has not so much.
    pub fn anonymous(size: usize) -> Result<Self> {
        Self::anonymous_kind(size, Kind::Objects, |_| ())
    }

    /// Opens the segment behind a descriptor that another program gave; the descriptor stays the caller's.
    ///
    /// # Errors
    /// As [`Segment::open`].
    #[cfg(feature = "std")]
    pub fn from_fd(descriptor: std::os::fd::BorrowedFd<'_>) -> Result<Self> {
        use std::os::fd::AsRawFd;
        Self::from_raw_kind(descriptor.as_raw_fd(), Kind::Objects)
    }

    /// Takes the name away, a manager's too. Who has the segment open goes on using it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotPermitted`]; [`Error::InvalidArgument`] for a bad name.
    pub fn unlink(name: &str) -> Result<()> {
        Self::unlink_bytes(name.as_bytes())
    }

    /// Finds the object of this name, or makes it, zeroed: exactly one caller, of all processes that ask at once, is told that it is new.
    /// A process that is killed meanwhile has made it or not.
    ///
    /// # Safety
    /// All bytes zero must be a valid `T`, every program must use the name for this type, and no guard of a lock in it may be forgotten
    /// while it is held.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one of another size; [`Error::OutOfSpace`]; [`Error::InvalidArgument`] for a bad name, or
    /// if `T` has no size or is aligned to more than 64 bytes.
    pub unsafe fn object<T: Shareable>(&self, name: &str) -> Result<(&T, bool)> {
        if align_of::<T>() > super::objects::ALIGN {
            return Err(Error::InvalidArgument);
        }
        let (place, is_new) = self.object_bytes(name.as_bytes(), size_of::<T>())?;
        // SAFETY: so many bytes of the segment, mapped as long as `self`, and aligned; the rest by contract.
        Ok((unsafe { place.cast().as_ref() }, is_new))
    }

    /// As [`Segment::object`], of so many bytes, 64-aligned, for what has no type in Rust.
    ///
    /// # Errors
    /// As there.
    pub fn object_bytes(&self, name: &[u8], size: usize) -> Result<(NonNull<u8>, bool)> {
        name::check(name)?;
        Objects::of(self)?.find_or_make(name, size)
    }

    /// The bytes that are for objects and what is kept about them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.memory.size() - HEADER
    }

    pub(crate) fn unlink_bytes(name: &[u8]) -> Result<()> {
        shm::unlink(Path::of(name)?.as_c_str())
    }

    /// Makes a named one, filled by `fill` before anybody can see it.
    pub(crate) fn create_kind(
        name: &[u8],
        size: usize,
        kind: Kind,
        fill: impl FnOnce(&Self),
    ) -> Result<Self> {
        let path = Path::of(name)?;
        let size = whole_size(size)?;
        // Only so as not to fill the memory in vain: the answer may be out of date.
        if shm::exists(path.as_c_str()) {
            return Err(Error::AlreadyExists);
        }
        let file = shm::unnamed()?;
        shm::allocate(&file, size, 0)?;
        let segment = Self::map(file, size)?;
        segment.write_header(kind);
        fill(&segment);
        shm::publish(&segment.file, path.as_c_str())?;
        Ok(segment)
    }

    /// Makes one without a name.
    pub(crate) fn anonymous_kind(size: usize, kind: Kind, fill: impl FnOnce(&Self)) -> Result<Self> {
        let size = whole_size(size)?;
        if size > map::machine_memory() {
            return Err(Error::OutOfMemory);
        }
        let file = shm::sealed(size).map_err(|error| match error {
            Error::OutOfSpace => Error::OutOfMemory,
            other => other,
        })?;
        let segment = Self::map(file, size)?;
        segment.write_header(kind);
        fill(&segment);
        Ok(segment)
    }

    pub(crate) fn open_kind(name: &[u8], kind: Kind) -> Result<Self> {
        let file = shm::open(Path::of(name)?.as_c_str())?;
        let status = FileStatus::of(&file)?;
        if status.links != 1 {
            return Err(Error::Protocol);
        }
        Self::from_file(file, &status, kind)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn from_raw_kind(descriptor: i32, kind: Kind) -> Result<Self> {
        let file = shm::duplicate(descriptor)?;
        let status = FileStatus::of(&file)?;
        Self::from_file(file, &status, kind)
    }

    fn from_file(file: Fd, status: &FileStatus, kind: Kind) -> Result<Self> {
        // One that nobody can change the size of may be another user's, who gave it to us.
        let is_fixed = shm::is_fixed(&file);
        if !status.is_private && !is_fixed {
            return Err(Error::Protocol);
        }
        let mut words = [0u64; 6];
        shm::read_start(&file, bytemuck::bytes_of_mut(&mut words))?;
        // Read once: what other processes may change later is not asked again.
        let size = Header(words).check(kind, status.size)?;
        if !is_fixed && status.allocated < status.size {
            shm::allocate(&file, size, status.allocated)?;
        }
        Self::map(file, size)
    }

    fn map(file: Fd, size: usize) -> Result<Self> {
        Ok(Self { memory: ManuallyDrop::new(Mapping::of_file(&file, size)?), file })
    }

    fn write_header(&self, kind: Kind) {
        let header = Header::new(kind, self.memory.size() as u64);
        // SAFETY: the first bytes of a mapping that is as large, page-aligned; nobody else knows of it.
        unsafe { self.memory.start().cast::<Header>().write(header) };
    }

    /// Where it is mapped here.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.memory.start()
    }

    /// Its size as it is mapped, the header included.
    pub(crate) fn mapped(&self) -> usize {
        self.memory.size()
    }

    /// The addresses that it takes here.
    pub(crate) fn range(&self) -> core::ops::Range<usize> {
        let start = self.memory.start().addr().get();
        start..start + self.memory.size()
    }

    #[cfg(feature = "capi")]
    pub(crate) fn descriptor(&self) -> i32 {
        self.file.raw()
    }
}

static_assertions::const_assert!(size_of::<Header>() <= offset_of!(super::header::Start, lock));

/// With the header, in whole pages.
fn whole_size(size: usize) -> Result<usize> {
    if size == 0 {
        return Err(Error::InvalidArgument);
    }
    size.checked_add(HEADER)
        .and_then(|size| size.checked_next_multiple_of(map::page_size()))
        .filter(|&size| isize::try_from(size).is_ok())
        .ok_or(Error::InvalidArgument)
}

impl Drop for Segment {
    fn drop(&mut self) {
        // What a thread holds a lock in stays mapped: the kernel and libc look at it.
        if !thread::current().holds_within(&self.range()) {
            // SAFETY: not used again.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

#[cfg(feature = "std")]
impl std::os::fd::AsFd for Segment {
    /// The descriptor to give to another program, as by [`Connection::send_fd`](crate::Connection::send_fd).
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        // SAFETY: open as long as `self`.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.file.raw()) }
    }
}

impl core::fmt::Debug for Segment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Segment").field("size", &self.size()).finish_non_exhaustive()
    }
}
