//! The tables of all workers, in memory that they share with the host; who owns which, and what is in it.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::word_count::block::Tally;
use crate::word_count::table::{TABLE_SIZE, Table};

/// Blocks of one map at most: the room of a log.
pub(crate) const LOG_SIZE: usize = 1 << 16;

const LINE: usize = 64;
const LOG_AT: usize = LINE;
const TABLE_AT: usize = LOG_AT + LOG_SIZE * size_of::<Tally>();
/// From one table to the next.
const STRIDE: usize = (TABLE_AT + TABLE_SIZE * 8).next_multiple_of(LINE);

/// What all processes see.
#[repr(C)]
struct Common {
    /// Which map it is. Written by the host between maps.
    map: AtomicU64,
    /// Tables that workers have taken in this map, or tried to.
    taken: AtomicU32,
    /// Blocks done and bytes in them, twice when done twice: for who watches.
    blocks: AtomicU64,
    bytes: AtomicU64,
}

/// Shared memory with so many tables: address space, used as far as there are words.
pub(crate) struct Tables {
    memory: NonNull<u8>,
    count: usize,
}

// SAFETY: the mapping belongs to the process; what is in it is used by atomics, or by its one owner.
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}

/// A table with state and log, in the hands of its owner.
pub(crate) struct Owned<'a> {
    state: &'a AtomicU64,
    log: &'a mut [Tally],
    table: Table<'a>,
}

impl Tables {
    /// Makes them, all empty. Every later fork shares them.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel likes; nothing is replaced.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::size(count),
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let tables = Self { memory, count };
        tables.common().map.store(1, Ordering::Relaxed);
        Ok(tables)
    }

    fn size(count: usize) -> usize {
        LINE + count * STRIDE
    }

    fn common(&self) -> &Common {
        // SAFETY: at the mapping's start, all atomics, for which zeros are good.
        unsafe { self.memory.cast().as_ref() }
    }

    /// Blocks done so far, and bytes in them; what is done again counts again.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let common = self.common();
        (common.blocks.load(Ordering::Relaxed), common.bytes.load(Ordering::Relaxed))
    }

    /// Counts a block for those who watch.
    pub(crate) fn advance(&self, tally: &Tally) {
        self.common().blocks.fetch_add(1, Ordering::Relaxed);
        self.common().bytes.fetch_add(tally.bytes, Ordering::Relaxed);
    }

    /// The number of the present map.
    pub(crate) fn map(&self) -> u64 {
        self.common().map.load(Ordering::Relaxed)
    }

    /// Takes a table that nobody has taken in this map, and clears it; `None` if there is none left.
    pub(crate) fn take(&self) -> Option<usize> {
        let index = self.reserve()?;
        // SAFETY: just taken.
        unsafe { self.own(index) }.clear();
        Some(index)
    }

    /// The first step of [`Tables::take`], after which the table may still be of an earlier map.
    pub(crate) fn reserve(&self) -> Option<usize> {
        let index = self.common().taken.fetch_add(1, Ordering::AcqRel) as usize;
        (index < self.count).then_some(index)
    }

    /// The tables that were taken in this map.
    pub(crate) fn taken(&self) -> std::ops::Range<usize> {
        0..(self.common().taken.load(Ordering::Acquire) as usize).min(self.count)
    }

    /// A table, with the right to change it.
    ///
    /// # Safety
    /// It must be the caller's: taken by this process in the present map, or the caller the host and no map
    /// running. No other `Owned` of it may be in use.
    pub(crate) unsafe fn own(&self, index: usize) -> Owned<'_> {
        assert!(index < self.count, "there are not so many tables");
        // SAFETY: inside the mapping, aligned to a line, any bytes are good; the caller is the only user.
        unsafe {
            let start = self.memory.add(LINE + index * STRIDE);
            let log = NonNull::slice_from_raw_parts(start.add(LOG_AT).cast(), LOG_SIZE).as_mut();
            let table = NonNull::slice_from_raw_parts(start.add(TABLE_AT).cast(), TABLE_SIZE).as_mut();
            Owned { state: start.cast().as_ref(), log, table: Table::new(table) }
        }
    }

    /// Makes all tables free and not clear, for the next map.
    ///
    /// # Safety
    /// The caller must be the host, no map running.
    pub(crate) unsafe fn recycle(&self) {
        for index in self.taken() {
            // SAFETY: by contract.
            unsafe { self.own(index) }.state.store(1, Ordering::Relaxed);
        }
        self.common().taken.store(0, Ordering::Relaxed);
        // Relaxed, all of them: the pool's start of a map is what workers see them by.
        self.common().map.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // SAFETY: ours; what is made of it borrows it.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), Self::size(self.count)) };
    }
}

impl Owned<'_> {
    /// Makes a change that is seen whole or not at all: until it is over the state is odd.
    fn change<R>(&mut self, after: u64, change: impl FnOnce(&mut Self) -> R) -> R {
        self.state.store(self.state.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
        // The change stays between the two stores: should we die in it, the state is odd.
        fence(Ordering::SeqCst);
        let result = change(self);
        // Release: whoever sees the state sees the change.
        self.state.store(after, Ordering::Release);
        result
    }

    /// Makes it empty, unless it is.
    pub(crate) fn clear(&mut self) {
        if self.state.load(Ordering::Relaxed) != 0 {
            self.change(0, |this| this.table.clear());
        }
    }

    /// What is in it, as far as its log can be trusted.
    pub(crate) fn settled(&self) -> Option<(&[Tally], &Table<'_>)> {
        // Acquire: with the owner's last Release.
        let state = self.state.load(Ordering::Acquire);
        (state % 2 == 0).then(|| (&self.log[..(state / 2) as usize], &self.table))
    }

    /// Adds a block and lists it.
    pub(crate) fn add(&mut self, count: impl FnOnce(&mut Table<'_>) -> Tally) -> Tally {
        let logged = self.state.load(Ordering::Relaxed) / 2;
        self.change(2 * (logged + 1), |this| {
            let tally = count(&mut this.table);
            this.log[logged as usize] = tally;
            tally
        })
    }
}
