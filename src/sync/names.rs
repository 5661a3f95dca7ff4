//! Names of objects, for who looks at a program from outside: in a table beside the objects, which have no room for them and pay nothing for
//! having one.
//!
//! The table is a file in memory, mapped by the first call that names something, and shared with every process forked from then on.
//!
//! | an entry's state | meaning | changed by |
//! |---|---|---|
//! | 0 | never used: then no later entry is | whoever takes it |
//! | {turn, `FREE`} | was used | whoever takes it |
//! | {thread, `TAKEN`} | that thread writes it | that thread; who finds the table full and the thread gone |
//! | {turn, `NAMED`} | it is the name of what lies at its place, unless another turn is later | who gives that a name in a later turn |
//!
//! The store of `NAMED` names an object: whoever is killed before it has left an entry that the next one reuses when there is no other, and whoever is
//! killed after it perhaps an earlier name beside the one that counts. Nobody waits.

use core::ptr::NonNull;

use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sys::map::Mapping;
use crate::sys::maps::{self, Place};
use crate::sys::{proc, shm};

/// The longest name, in bytes.
pub(crate) const LONGEST: usize = 63;
/// So many objects have a name at most.
const ENTRIES: usize = 1023;
/// "forqname", and the layout's number.
pub(super) const MAGIC: [u64; 2] = [u64::from_ne_bytes(*b"forqname"), 1];

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A mutex, of any kind.
    Mutex = 1,
    /// A semaphore.
    Semaphore = 2,
    /// A condition variable.
    Condvar = 3,
    /// An event.
    Event = 4,
    /// A barrier.
    Barrier = 5,
    /// A queue, of messages of one size or of several.
    Queue = 6,
    /// A channel: both of its ends have one name.
    Channel = 7,
    /// A pool.
    Pool = 8,
}

/// A value of an entry's state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    const FREE: u64 = 0;
    const TAKEN: u64 = 1;
    const NAMED: u64 = 2;

    fn new(number: u64, what: u64) -> Self {
        Self(number << 2 | what)
    }

    pub(super) fn is_named(self) -> bool {
        self.0 & 3 == Self::NAMED
    }

    /// The turn, or the thread.
    pub(super) fn number(self) -> u64 {
        self.0 >> 2
    }

    fn may_be_taken(self, me: u32, is_full: bool) -> bool {
        match self.0 & 3 {
            Self::FREE => true,
            Self::TAKEN if is_full => {
                let thread = u32::try_from(self.number()).unwrap_or(0);
                // Of my own id: one that had it before me.
                thread == me || proc::is_gone(thread)
            }
            _ => false,
        }
    }
}

/// What is at a place, and its name, filled up with zeroes.
#[repr(C, align(128))]
pub(super) struct Entry {
    pub(super) state: AtomicU64,
    pub(super) kind: AtomicU64,
    pub(super) device: AtomicU64,
    pub(super) inode: AtomicU64,
    pub(super) offset: AtomicU64,
    pub(super) name: [AtomicU64; (LONGEST + 1) / 8],
}

#[repr(C)]
pub(super) struct Table {
    pub(super) magic: [AtomicU64; 2],
    /// How often something was named.
    turns: AtomicU64,
    entries: [Entry; ENTRIES],
}
static_assertions::const_assert_eq!(size_of::<Table>(), 1 << 17);

/// This process's mapping of the table, and that of all processes forked since it was made.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(core::ptr::null_mut());

fn existing() -> Option<&'static Table> {
    // Acquire pairs with the Release of `table`.
    // SAFETY: mapped for ever, page-aligned, of that size; atomics, any bytes of which are a value.
    NonNull::new(TABLE.load(Ordering::Acquire)).map(|table| unsafe { table.as_ref() })
}

fn table() -> Result<&'static Table> {
    if let Some(table) = existing() {
        return Ok(table);
    }
    let file = shm::sealed_as(c"forq-names", size_of::<Table>())?;
    let mapping = Mapping::of_file(&file, size_of::<Table>())?;
    let new = mapping.start().cast::<Table>();
    // SAFETY: new memory of that size, zeroed; any bytes are a table.
    let magic = unsafe { &new.as_ref().magic };
    magic.iter().zip(MAGIC).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
    // Two threads may come here at once.
    let null = core::ptr::null_mut();
    if TABLE.compare_exchange(null, new.as_ptr(), Ordering::AcqRel, Ordering::Acquire).is_ok() {
        mapping.leak();
    }
    existing().ok_or(Error::OutOfMemory)
}

impl Entry {
    fn write(&self, kind: ObjectKind, place: Place, name: &[u8]) {
        let mut bytes = [0; LONGEST + 1];
        bytes[..name.len()].copy_from_slice(name);
        self.kind.store(kind as u64, Ordering::Relaxed);
        self.device.store(place.device, Ordering::Relaxed);
        self.inode.store(place.inode, Ordering::Relaxed);
        self.offset.store(place.offset, Ordering::Relaxed);
        for (word, bytes) in self.name.iter().zip(bytes.chunks_exact(8)) {
            let mut whole = [0; 8];
            whole.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
    }

    fn place(&self) -> Place {
        Place {
            device: self.device.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
            offset: self.offset.load(Ordering::Relaxed),
        }
    }
}

impl Table {
    /// An entry that is this thread's until it stores another state.
    fn take(&self) -> Option<&Entry> {
        let me = proc::tid();
        for is_full in [false, true] {
            for entry in &self.entries {
                let state = State(entry.state.load(Ordering::Relaxed));
                let taken = State::new(me.into(), State::TAKEN);
                // Acquire: what is written from here on is not seen as part of what was there.
                if state.may_be_taken(me, is_full)
                    && entry
                        .state
                        .compare_exchange(state.0, taken.0, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return Some(entry);
                }
            }
        }
        None
    }

    /// A number that is higher than all before.
    fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes away what was named before a turn.
    fn forget(&self, place: Place, turn: u64) {
        for entry in &self.entries {
            // Acquire pairs with the Release in `set`.
            let state = State(entry.state.load(Ordering::Acquire));
            if state.0 == 0 {
                return;
            }
            if state.is_named() && state.number() < turn && entry.place() == place {
                let free = State::new(state.number(), State::FREE);
                // If it was another one's meanwhile, which the place may have been read from, its state has changed for good. Release: the
                // next one writes after we have read.
                let _ = entry.state.compare_exchange(state.0, free.0, Ordering::Release, Ordering::Relaxed);
            }
        }
    }
}

/// Gives what lies at an address a name, instead of the one that it had; an empty one takes that away.
///
/// `InvalidArgument` if the address is not in memory shared between processes, or the name is longer than [`LONGEST`] or has a 0 in it;
/// `OutOfSpace` if there are too many; `OutOfMemory`; `Unsupported` without /proc.
pub(crate) fn set(kind: ObjectKind, address: usize, name: &[u8]) -> Result<()> {
    if name.len() > LONGEST || name.contains(&0) {
        return Err(Error::InvalidArgument);
    }
    let place = maps::shared_place_of(address)?;
    if name.is_empty() {
        if let Some(table) = existing() {
            table.forget(place, table.next_turn());
        }
        return Ok(());
    }
    let table = table()?;
    let entry = table.take().ok_or(Error::OutOfSpace)?;
    entry.write(kind, place, name);
    let turn = table.next_turn();
    // Release: who sees that it is named sees what, and how.
    entry.state.store(State::new(turn, State::NAMED).0, Ordering::Release);
    table.forget(place, turn);
    Ok(())
}

/// As [`set`], of an object that is there in this process.
pub(crate) fn set_of<T>(kind: ObjectKind, object: &T, name: &[u8]) -> Result<()> {
    set(kind, core::ptr::from_ref(object).addr(), name)
}
