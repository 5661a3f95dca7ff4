//! What is at the start of a manager's memory, and how its collections are found by name.

use super::heap::{Heap, HeapRoot};
use super::shard::{Open, Shard};
use super::space::{DAMAGED, InPlace, Space};
use crate::error::{Error, Result};
use crate::shared::header::{HEADER, Kind};
use crate::shared::segment::Segment;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::{random, thread};

/// The smallest memory, in bytes.
const LEAST: usize = 1 << 16;

/// Zeroed, but for the heap's top and the seed: no collections.
#[repr(C, align(64))]
pub(super) struct Root {
    pub(super) heap: HeapRoot,
    /// The collections by name: where each is, its kind, its block.
    pub(super) directory: Shard,
    /// Of the hashes of keys. Written once, before anybody else knows of it.
    seed: [AtomicU64; 2],
    /// Collections without a name that were made.
    pub(super) unnamed: AtomicU64,
}

// SAFETY: atomics and locks.
unsafe impl InPlace for Root {}

pub(super) const ROOT: u64 = HEADER as u64;
/// Where the heap's blocks begin.
pub(super) const BLOCKS: u64 = ROOT + size_of::<Root>().next_multiple_of(64) as u64;

/// What a collection is. Also the first word of its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CollectionKind {
    List = 0x6c69_7374,
    Dict = 0x6469_6374,
}

/// A manager as one process has it.
pub(crate) struct Core {
    segment: Segment,
    range: core::ops::Range<usize>,
    pub(super) space: Space,
    pub(super) seed: [u64; 2],
}

impl Core {
    pub(crate) fn anonymous(size: usize) -> Result<Self> {
        Self::of(Segment::anonymous_kind(Self::checked(size)?, Kind::Manager, Self::initialize)?)
    }

    pub(crate) fn create(name: &[u8], size: usize) -> Result<Self> {
        Self::of(Segment::create_kind(name, Self::checked(size)?, Kind::Manager, Self::initialize)?)
    }

    pub(crate) fn open(name: &[u8]) -> Result<Self> {
        Self::of(Segment::open_kind(name, Kind::Manager)?)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    pub(crate) fn from_raw(descriptor: i32) -> Result<Self> {
        Self::of(Segment::from_raw_kind(descriptor, Kind::Manager)?)
    }

    fn checked(size: usize) -> Result<usize> {
        if size < LEAST { Err(Error::InvalidArgument) } else { Ok(size) }
    }

    fn space(segment: &Segment) -> Space {
        // SAFETY: the segment's mapping, which stays where it is as long as the segment, and the space is used no longer.
        unsafe { Space::new(segment.start(), segment.mapped()) }
    }

    fn initialize(segment: &Segment) {
        let space = Self::space(segment);
        if let Ok(root) = space.place::<Root>(ROOT) {
            root.heap.initialize(BLOCKS);
            let seed = random::words();
            root.seed.iter().zip(seed).for_each(|(word, seed)| word.store(seed, Ordering::Relaxed));
        }
    }

    fn of(segment: Segment) -> Result<Self> {
        let space = Self::space(&segment);
        if space.size() < BLOCKS {
            return Err(DAMAGED);
        }
        let seed = space.place::<Root>(ROOT)?.seed.each_ref().map(|word| word.load(Ordering::Relaxed));
        Ok(Self { range: segment.range(), space, seed, segment })
    }

    fn root(&self) -> Result<&Root> {
        self.space.place(ROOT)
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    pub(super) fn heap(&self) -> Result<Heap<'_>> {
        self.root()?.heap.lock(&self.space)
    }

    /// To be asked first by every operation: `Deadlock` inside of a function that an update calls, where the thread holds a lock of
    /// this manager.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<()> {
        if thread::current().holds_within(&self.range) { Err(Error::Deadlock) } else { Ok(()) }
    }

    /// Bytes in use, and in all: of what collections hold, with what the heap keeps beside it.
    pub(crate) fn account(&self) -> Result<(u64, u64)> {
        self.enter()?;
        Ok(self.heap()?.account(BLOCKS))
    }

    /// The root of the collection of this name, made by `initialize` if there is none.
    pub(super) fn find_or_make(
        &self,
        name: &[u8],
        kind: CollectionKind,
        size: usize,
        initialize: impl FnOnce(u64) -> Result<()>,
    ) -> Result<u64> {
        self.enter()?;
        let directory = self.directory()?;
        let place = directory.find(Open::hash_of(self, name), name)?;
        if place.is_found() {
            let [root, its_kind, _] = self.listed(&directory, &place)?;
            return if its_kind == kind as u64 { Ok(root) } else { Err(Error::AlreadyExists) };
        }
        let pending = &directory.shard.pending;
        let block = self.heap()?.allocate(8 + 56 + size as u64, pending)?;
        let root = (block + 8).next_multiple_of(64);
        let made = self.space.clear(root, size).and_then(|()| {
            self.space.write(root, kind as u64)?;
            initialize(root)?;
            let listed = [root, kind as u64, block];
            directory.insert(place, name, bytemuck::bytes_of(&listed))
        });
        match made {
            Ok(()) => Ok(root),
            Err(error) => directory.give_back(error),
        }
    }

    pub(super) fn directory(&self) -> Result<Open<'_>> {
        self.root()?.directory.open(self, 0)
    }

    fn listed(&self, directory: &Open<'_>, place: &super::shard::Place<'_>) -> Result<[u64; 3]> {
        let mut listed = [0u64; 3];
        let room = size_of_val(&listed);
        // SAFETY: so much room.
        let size = unsafe { directory.value(place, listed.as_mut_ptr().cast(), room)? };
        if size == room { Ok(listed) } else { Err(DAMAGED) }
    }

    /// As [`Core::find_or_make`], of a collection that nobody else can find by a name.
    pub(super) fn make(
        &self,
        kind: CollectionKind,
        size: usize,
        initialize: impl FnOnce(u64) -> Result<()>,
    ) -> Result<u64> {
        let number = self.root()?.unnamed.fetch_add(1, Ordering::Relaxed);
        // No name that a user may give has a slash.
        let mut name = *b"/\0\0\0\0\0\0\0\0";
        name[1..].copy_from_slice(&number.to_ne_bytes());
        self.find_or_make(&name, kind, size, initialize)
    }

    /// Whether there is the root of a collection of this kind: `Protocol` if not.
    pub(super) fn check_root(&self, root: u64, kind: CollectionKind) -> Result<u64> {
        let is_root = root >= BLOCKS && root % 64 == 0 && self.space.read(root)? == kind as u64;
        if is_root { Ok(root) } else { Err(DAMAGED) }
    }
}
