//! Elements side by side in shared memory, and the lock that guards them: what values and arrays of both faces stand on.
//!
//! ```text
//! lock | elements ... | control | shadow: room for one element
//! ```
//! An element of 1, 2, 4 or 8 bytes in its place is stored by one instruction. A larger one is first written to the
//! shadow, then declared by one store of its index, then copied: whoever takes the lock after a death in between copies it again.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use super::held::Held;
use crate::error::{Error, Result};
use crate::sync::raw::RawMutex;
use crate::sys::atomic::{AtomicU64, Ordering, compiler_fence};
use crate::sys::map::Mapping;

/// Where the elements start: after the lock.
pub(super) const ELEMENTS: usize = size_of::<RawMutex>();

/// What is beside the elements. All bytes zero: nothing is under way.
#[repr(C, align(64))]
struct Control {
    /// The turn of the lock, plus one, that was last taken by a call of this file. A death in such a turn leaves nothing to
    /// repair but what `declared` says; a death in another one is told.
    turn: AtomicU64,
    /// The index, plus one, of the element that the shadow is to replace; 0: none.
    declared: AtomicU64,
}

/// The memory of a value or an array. Geometry is this process's own; nothing shared is trusted with it.
#[derive(Debug)]
pub(crate) struct Cells {
    memory: ManuallyDrop<Mapping>,
    size: usize,
    length: usize,
    control: usize,
}

impl Cells {
    /// Zeroed elements under a free lock, which its holder may lock again if it is `recursive`.
    pub(crate) fn new(size: usize, length: usize, flags: u32) -> Result<Self> {
        if size == 0 || length == 0 {
            return Err(Error::InvalidArgument);
        }
        let rounded = |end: usize| end.checked_next_multiple_of(64);
        let elements = size.checked_mul(length).and_then(|bytes| bytes.checked_add(ELEMENTS));
        let control = elements.and_then(rounded).ok_or(Error::InvalidArgument)?;
        let shadow = control.checked_add(size_of::<Control>()).ok_or(Error::InvalidArgument)?;
        let memory = Mapping::shared(shadow.checked_add(size).ok_or(Error::InvalidArgument)?)?;
        let memory = ManuallyDrop::new(memory);
        // SAFETY: new memory, page-aligned and larger than a lock; nobody knows of it.
        unsafe { RawMutex::initialize(memory.start().as_ptr().cast(), flags) };
        Ok(Self { memory, size, length, control })
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn lock(&self) -> &RawMutex {
        // SAFETY: initialised by `new`, mapped as long as `self`.
        unsafe { self.memory.start().cast().as_ref() }
    }

    /// Where the lock is.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.memory.start()
    }

    /// The first element.
    pub(crate) fn elements(&self) -> NonNull<u8> {
        // SAFETY: inside the mapping, by the layout.
        unsafe { self.memory.start().add(ELEMENTS) }
    }

    fn control(&self) -> &Control {
        // SAFETY: inside the mapping, 64-aligned, by the layout; atomics are valid for any bytes.
        unsafe { self.memory.start().add(self.control).cast().as_ref() }
    }

    fn shadow(&self) -> NonNull<u8> {
        // SAFETY: inside the mapping, by the layout.
        unsafe { self.memory.start().add(self.control + size_of::<Control>()) }
    }

    fn element(&self, index: usize) -> Result<NonNull<u8>> {
        if index >= self.length {
            return Err(Error::OutOfRange);
        }
        // SAFETY: inside the mapping, by the check.
        Ok(unsafe { self.elements().add(index * self.size) })
    }

    /// Runs `body` under the lock. A holder that died outside of these calls may have left the elements in the middle of
    /// a change: `OwnerDied`, and nothing is done, until somebody locks, repairs, and says so.
    fn with<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<R> {
        let lock = self.lock();
        let (held, died) = Held::take(lock)?;
        if died && !self.recover() {
            return Err(Error::OwnerDied);
        }
        if lock.is_first_hold() {
            self.control().turn.store(lock.turns().wrapping_add(1), Ordering::Relaxed);
        } else {
            // Its user may have been told of a death, and got here without `recover`.
            self.finish_declared();
        }
        let result = body();
        drop(held);
        result
    }

    /// After a death, holding the lock: finishes what one of these calls left. False: it was not one of these.
    pub(super) fn recover(&self) -> bool {
        self.finish_declared();
        let was_ours = self.control().turn.load(Ordering::Relaxed) == self.lock().turns();
        was_ours && self.lock().consistent().is_ok()
    }

    fn finish_declared(&self) {
        let declared = self.control().declared.load(Ordering::Relaxed);
        // An index that is none was scribbled: nothing to finish.
        if let Some(place) = (declared as usize).checked_sub(1).and_then(|index| self.element(index).ok()) {
            // SAFETY: an element and the shadow, which do not overlap, both in the mapping.
            unsafe { place.copy_from_nonoverlapping(self.shadow(), self.size) };
        }
        if declared != 0 {
            compiler_fence(Ordering::SeqCst);
            self.control().declared.store(0, Ordering::Relaxed);
        }
    }

    /// Copies an element out.
    ///
    /// # Safety
    /// `into` must have room for one, outside of shared memory.
    pub(crate) unsafe fn read(&self, index: usize, into: *mut u8) -> Result<()> {
        let element = self.element(index)?;
        self.with(|| {
            // SAFETY: an element in the mapping; the rest by contract.
            unsafe { element.as_ptr().copy_to_nonoverlapping(into, self.size) };
            Ok(())
        })
    }

    /// Replaces an element: whoever dies on the way has done it or not.
    ///
    /// # Safety
    /// `from` must be one.
    pub(crate) unsafe fn write(&self, index: usize, from: *const u8) -> Result<()> {
        let element = self.element(index)?;
        self.with(|| {
            // SAFETY: an element in the mapping, under the lock; the rest by contract.
            unsafe { self.replace(index, element.as_ptr(), from) };
            Ok(())
        })
    }

    /// # Safety
    /// As [`Cells::write`]; the lock is held, and `element` is the one of this index.
    unsafe fn replace(&self, index: usize, element: *mut u8, from: *const u8) {
        macro_rules! store {
            ($word:ty) => {{
                // SAFETY: aligned, and as large as an element, by the match below; `from` need not be aligned.
                unsafe { element.cast::<$word>().write_volatile(from.cast::<$word>().read_unaligned()) }
            }};
        }
        match self.size {
            1 => store!(u8),
            2 => store!(u16),
            4 => store!(u32),
            8 => store!(u64),
            size => {
                // SAFETY: the shadow has room for one element and overlaps none.
                unsafe {
                    self.shadow().as_ptr().copy_from(from, size);
                    compiler_fence(Ordering::SeqCst);
                    self.control().declared.store(index as u64 + 1, Ordering::Relaxed);
                    compiler_fence(Ordering::SeqCst);
                    element.copy_from_nonoverlapping(self.shadow().as_ptr(), size);
                    compiler_fence(Ordering::SeqCst);
                    self.control().declared.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// Puts what `next` makes of the first element, all of whose bits are a `T`, in its place; gives what was there.
    pub(crate) fn fetch_update<T: bytemuck::Pod>(&self, next: impl FnOnce(T) -> T) -> Result<T> {
        if size_of::<T>() != self.size {
            return Err(Error::InvalidArgument);
        }
        let element = self.element(0)?.as_ptr();
        self.with(|| {
            // SAFETY: an element of this size in the mapping, any bytes of which are a `T`, under the lock.
            unsafe {
                let before = element.cast::<T>().read_unaligned();
                let after = next(before);
                self.replace(0, element, (&raw const after).cast());
                Ok(before)
            }
        })
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        // A lock that this process holds stays mapped, as in `Shared`: the kernel or libc may still look at it.
        if !self.lock().is_held_here() {
            // SAFETY: not used again.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}
