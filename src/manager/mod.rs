//! Floor 3: collections that grow, in memory that is shared by forks, by name, or by descriptor; no server process. Users reach it through `forq::Manager`.

#[cfg(feature = "std")]
mod audit;
mod bins;
pub(crate) mod dict;
mod glance;
mod grow;
mod hash;
mod heap;
pub(crate) mod list;
mod log;
#[cfg(feature = "std")]
pub(crate) mod manager_view;
pub(crate) mod namespace;
mod open_list;
pub(crate) mod raw_dict;
pub(crate) mod raw_list;
pub(crate) mod root;
mod shard;
mod shift;
mod space;
pub(crate) mod stored;

use dict::Dict;
use list::List;
use namespace::Namespace;
use raw_dict::RawDict;
use raw_list::RawList;
use root::Core;
use stored::Stored;

use crate::error::Result;

/// Lists and dicts in shared memory, found by name: Python's `multiprocessing.Manager`, without a server process.
///
/// The memory is that of a [`Segment`](crate::Segment), with what is said there of names, rights, forks and other programs. It has a fixed size, of which collections take what they need and give back
/// what they no longer do; when it is full, what needs more fails with [`Error::OutOfSpace`](crate::Error::OutOfSpace) and changes nothing, and what takes away goes on.
///
/// A process killed at any instruction of any operation leaves the collection as it was before or after that operation, never in between,
/// loses no other entry, and leaks no memory once the next operation on that collection has run. Nobody is told, since nothing is left to repair.
///
/// ```
/// use forq::Manager;
///
/// let manager = Manager::new(1 << 20)?; // Manager::create("jobs", ..) to be found by other programs
/// let results = manager.dict::<u64, f64>("results")?;
/// results.set(&7, &0.5)?;
/// // In any process forked since, or one that has opened the manager by its name:
/// assert_eq!(manager.dict::<u64, f64>("results")?.get(&7)?, Some(0.5));
/// # Ok::<(), forq::Error>(())
/// ```
pub struct Manager {
    core: Core,
}

impl Manager {
    /// Makes a manager for this process and those forked later, with `size` bytes from 64 KiB on, which come with their use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the size is smaller or overflows; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(size: usize) -> Result<Self> {
        Ok(Self { core: Core::anonymous(size)? })
    }

    /// Makes a manager that other programs find by its name, with `size` bytes from 64 KiB on, set aside at once.
    ///
    /// # Errors
    /// As [`Segment::create`](crate::Segment::create).
    pub fn create(name: &str, size: usize) -> Result<Self> {
        Ok(Self { core: Core::create(name.as_bytes(), size)? })
    }

    /// Opens a manager that another program created. [`Segment::unlink`](crate::Segment::unlink) takes its name away.
    ///
    /// # Errors
    /// As [`Segment::open`](crate::Segment::open).
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self { core: Core::open(name.as_bytes())? })
    }

    /// Opens the manager behind a descriptor that another program gave; the descriptor stays the caller's.
    ///
    /// # Errors
    /// As [`Segment::open`](crate::Segment::open).
    #[cfg(feature = "std")]
    pub fn from_fd(descriptor: std::os::fd::BorrowedFd<'_>) -> Result<Self> {
        use std::os::fd::AsRawFd;
        Ok(Self { core: Core::from_raw(descriptor.as_raw_fd())? })
    }

    /// The list of this name, made empty if there is none. All who use a name must mean the same type of items.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if the name is a dict's; [`Error::OutOfSpace`](crate::Error::OutOfSpace);
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it is not 1 to 200 bytes without `/` and 0, or is `.` or `..`.
    pub fn list<T: Stored + ?Sized>(&self, name: &str) -> Result<List<'_, T>> {
        crate::shared::name::check(name.as_bytes())?;
        RawList::find_or_make(&self.core, name.as_bytes()).map(List::of)
    }

    /// The dict of this name, made empty if there is none. All who use a name must mean the same types.
    ///
    /// # Errors
    /// As [`Manager::list`]; `AlreadyExists` if the name is a list's.
    pub fn dict<K: Stored + ?Sized, V: Stored + ?Sized>(&self, name: &str) -> Result<Dict<'_, K, V>> {
        crate::shared::name::check(name.as_bytes())?;
        RawDict::find_or_make(&self.core, name.as_bytes()).map(Dict::of)
    }

    /// The namespace of this name, made empty if there is none.
    ///
    /// # Errors
    /// As [`Manager::dict`].
    pub fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        crate::shared::name::check(name.as_bytes())?;
        RawDict::find_or_make(&self.core, name.as_bytes()).map(Namespace::of)
    }

    /// A new list without a name, to be put in other collections by its [`Handle`]. It stays as long as the manager's memory.
    ///
    /// # Errors
    /// [`Error::OutOfSpace`](crate::Error::OutOfSpace).
    pub fn new_list<T: Stored + ?Sized>(&self) -> Result<List<'_, T>> {
        RawList::make(&self.core).map(List::of)
    }

    /// A new dict without a name, as [`Manager::new_list`].
    ///
    /// # Errors
    /// [`Error::OutOfSpace`](crate::Error::OutOfSpace).
    pub fn new_dict<K: Stored + ?Sized, V: Stored + ?Sized>(&self) -> Result<Dict<'_, K, V>> {
        RawDict::make(&self.core).map(Dict::of)
    }

    /// The list that a handle stands for.
    ///
    /// # Errors
    /// [`Error::Protocol`](crate::Error::Protocol) if it is no list of this manager.
    pub fn list_of<T: Stored + ?Sized>(&self, handle: Handle) -> Result<List<'_, T>> {
        RawList::at(&self.core, handle.0).map(List::of)
    }

    /// The dict that a handle stands for.
    ///
    /// # Errors
    /// [`Error::Protocol`](crate::Error::Protocol) if it is no dict of this manager.
    pub fn dict_of<K: Stored + ?Sized, V: Stored + ?Sized>(&self, handle: Handle) -> Result<Dict<'_, K, V>> {
        RawDict::at(&self.core, handle.0).map(Dict::of)
    }

    /// Bytes that collections use, with what is kept beside them.
    ///
    /// # Errors
    /// As any operation of a collection.
    pub fn used(&self) -> Result<usize> {
        Ok(self.core.account()?.0 as usize)
    }

    /// Bytes that collections may use in all.
    ///
    /// # Errors
    /// As any operation of a collection.
    pub fn capacity(&self) -> Result<usize> {
        Ok(self.core.account()?.1 as usize)
    }

    /// For tests: that every block of the memory is part of one collection, and every account agrees. Nobody may be using it.
    #[cfg(feature = "std")]
    #[doc(hidden)]
    pub fn __check(&self) -> Result<()> {
        self.core.check()
    }

    /// For tests, which scribble: the offsets of all locks, 128 bytes each. Nobody may be using it.
    ///
    /// # Errors
    /// As any operation of a collection.
    #[cfg(feature = "std")]
    #[doc(hidden)]
    pub fn __locks(&self) -> Result<std::vec::Vec<usize>> {
        self.core.locks()
    }

    /// For tests, which scribble: where the memory is mapped, and how large it is.
    #[doc(hidden)]
    pub fn __memory(&self) -> (core::ptr::NonNull<u8>, usize) {
        (self.core.segment().start(), self.core.segment().mapped())
    }
}

/// Stands for a collection of a manager in others of the same manager: lists of dicts, dicts of lists, and so on. It is plain data, and means
/// the same in every process.
///
/// ```
/// use forq::{Handle, Manager};
///
/// let manager = Manager::new(1 << 17)?;
/// let teams = manager.dict::<str, Handle>("teams")?;
/// let red = manager.new_list::<str>()?;
/// teams.set("red", &red.handle())?;
/// // Elsewhere:
/// let red = manager.list_of::<str>(teams.get("red")?.unwrap())?;
/// red.push("Ada")?;
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Handle(u64);

// SAFETY: a transparent integer; what it stands for is checked when it is used.
unsafe impl bytemuck::Zeroable for Handle {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Handle {}

#[cfg(feature = "std")]
impl std::os::fd::AsFd for Manager {
    /// The descriptor to give to another program.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.core.segment().as_fd()
    }
}

impl core::fmt::Debug for Manager {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}
