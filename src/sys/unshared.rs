//! Descriptors that belong to one process: forq's forks do not pass them on.
//!
//! A pipe's end is seen to be gone when every copy is closed; a sibling forked in between would keep one. So such
//! descriptors are listed, and the child of a fork replaces each by an unconnected socket before it does anything else:
//! the number stays taken, so that a copied handle never means another file, and says "the other end is gone".
//! Children of forks that forq did not make have the copies, and the list, as they were.
//!
//! The list is memory of this process alone. Descriptors enter and leave it, and are opened and closed, under a lock that
//! forks hold too: no fork sees one that is open but not listed. In a child the lock names another
//! process, which is void, as in [`Once`](super::once::Once), so the child waits for nobody. (Handlers of `pthread_atfork`
//! run under it: they must not close connections.)

use core::mem::ManuallyDrop;

use super::atomic::{AtomicPtr, AtomicU32, Ordering};
use super::errno::{self, EINTR};
use super::fd::Fd;
use super::map::Mapping;
use super::{proc, socket};
use crate::error::Result;

const FREE: u32 = 0;
/// Replaced since: in a forked child.
const DEAD: u32 = 1 << 31;

/// A place in the list.
///
/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | free | who lists a descriptor |
/// | n | descriptor n - 1 of this process | its owner, to 0; a forked child, by adding `DEAD` |
/// | `DEAD` + n | number n - 1 is taken by an unconnected socket | its owner, to 0 |
///
/// All accesses are Relaxed: they are made under the lock, or by the only thread of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(&'static AtomicU32);

impl Slot {
    fn is(self, other: Option<Slot>) -> bool {
        other.is_some_and(|other| core::ptr::eq(self.0, other.0))
    }

    fn live(self) -> Option<i32> {
        let value = self.0.load(Ordering::Relaxed);
        (value != FREE && value & DEAD == 0).then(|| value as i32 - 1)
    }

    #[cfg(feature = "capi")]
    pub(crate) fn address(self) -> *const u32 {
        self.0.as_ptr()
    }

    /// # Safety
    /// The address must come from [`Slot::address`], in this process or one that it was forked from.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn at(address: *const u32) -> Self {
        // SAFETY: by contract; slots are never unmapped.
        Self(unsafe { AtomicU32::from_ptr(address.cast_mut()) })
    }
}

/// A page of slots.
struct Chunk {
    slots: [AtomicU32; 1022],
    next: AtomicPtr<Chunk>,
}
static_assertions::const_assert!(size_of::<Chunk>() <= 4096);

static FIRST: Chunk =
    Chunk { slots: [const { AtomicU32::new(FREE) }; 1022], next: AtomicPtr::new(core::ptr::null_mut()) };

fn chunks() -> impl Iterator<Item = &'static Chunk> {
    core::iter::successors(Some(&FIRST), |chunk| {
        // Acquire pairs with the Release of `free_slots`, for a fork that forq did not make in between.
        // SAFETY: null, or a chunk that is never unmapped.
        unsafe { chunk.next.load(Ordering::Acquire).as_ref() }
    })
}

fn slots() -> impl Iterator<Item = Slot> {
    chunks().flat_map(|chunk| chunk.slots.iter().map(Slot))
}

/// Two free slots. Under the lock.
fn free_slots() -> Result<[Slot; 2]> {
    loop {
        let mut free = slots().filter(|slot| slot.0.load(Ordering::Relaxed) == FREE);
        if let (Some(one), Some(other)) = (free.next(), free.next()) {
            return Ok([one, other]);
        }
        let chunk = Mapping::private(size_of::<Chunk>())?.leak().cast::<Chunk>();
        let last = chunks().last().unwrap_or(&FIRST);
        last.next.store(chunk.as_ptr(), Ordering::Release);
    }
}

/// The process whose thread holds the lock; 0: nobody.
static HOLDER: AtomicU32 = AtomicU32::new(0);

struct Lock;

impl Lock {
    fn take() -> Self {
        let me = proc::pid();
        loop {
            let holder = HOLDER.load(Ordering::Relaxed);
            if holder == me {
                errno::keeping(|| atomic_wait::wait(&HOLDER, me));
            // Acquire pairs with the Release of `drop`.
            } else if HOLDER.compare_exchange(holder, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Self;
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        HOLDER.store(0, Ordering::Release);
        errno::keeping(|| atomic_wait::wake_one(&HOLDER));
    }
}

/// An open descriptor of this process, closed when dropped; forks pass it on, or do not if it is listed.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: ManuallyDrop<Fd>,
    slot: Option<Slot>,
}

impl Descriptor {
    pub(crate) fn raw(&self) -> i32 {
        self.fd.raw()
    }

    /// Its place in the list: for the fork of the child that is to have it.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.slot
    }

    #[cfg(feature = "capi")]
    pub(crate) fn into_parts(self) -> (i32, Option<Slot>) {
        let parts = (self.raw(), self.slot);
        core::mem::forget(self);
        parts
    }

    /// # Safety
    /// The parts must come from [`Descriptor::into_parts`], and the result be the only owner that is dropped.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn from_parts(raw: i32, slot: Option<Slot>) -> Self {
        // SAFETY: by contract.
        Self { fd: ManuallyDrop::new(unsafe { Fd::from_raw(raw) }), slot }
    }
}

impl From<Fd> for Descriptor {
    /// One that every fork passes on.
    fn from(fd: Fd) -> Self {
        Self { fd: ManuallyDrop::new(fd), slot: None }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let lock = self.slot.map(|slot| (Lock::take(), slot));
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.fd) };
        if let Some((_lock, slot)) = lock {
            slot.0.store(FREE, Ordering::Relaxed);
        }
    }
}

/// Connected sockets, both listed.
pub(crate) fn socket_pair() -> Result<(Descriptor, Descriptor)> {
    let _lock = Lock::take();
    let slots = free_slots()?;
    let (one, other) = socket::pair()?;
    let list = |fd: Fd, slot: Slot| {
        slot.0.store(fd.raw() as u32 + 1, Ordering::Relaxed);
        Descriptor { fd: ManuallyDrop::new(fd), slot: Some(slot) }
    };
    Ok((list(one, slots[0]), list(other, slots[1])))
}

/// A fork that is about to be made; while it lives the list does not change.
pub(super) struct Forking {
    dead: Option<Fd>,
    _lock: Lock,
}

impl Forking {
    pub(super) fn begin() -> Result<Self> {
        let lock = Lock::take();
        // Made by the parent, which can still say that it failed.
        let dead =
            if slots().any(|slot| slot.live().is_some()) { Some(socket::unconnected()?) } else { None };
        Ok(Self { dead, _lock: lock })
    }

    /// In the child: replaces all that are listed but `kept`.
    pub(super) fn complete_in_child(self, kept: Option<Slot>) {
        if let Some(dead) = &self.dead {
            for slot in slots().filter(|slot| !slot.is(kept)) {
                if let Some(fd) = slot.live() {
                    replace(fd, dead.raw());
                    slot.0.store((fd as u32 + 1) | DEAD, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Makes the number `fd` mean what `by` means.
fn replace(fd: i32, by: i32) {
    // SAFETY: no pointers; the caller owns `fd`.
    while errno::preserve(|| unsafe { libc::dup3(by, fd, libc::O_CLOEXEC) }) == Err(EINTR) {}
}
