//! The thread's robust list: how the kernel learns which locks a dying thread leaves behind.
//!
//! libc registers one list head per thread; there cannot be a second, so we link into libc's, in
//! libc's own format (a node is `{prev, next}`, pointers point at `next`; bit 0 of a pointer is
//! libc's mark for priority-inheriting locks and is kept). At the thread's end the kernel walks the
//! list and looks at the pending entry; a futex word that holds the dead thread's id becomes
//! `OWNER_DIED`, and one sleeper is woken. See the kernel's `Documentation/locking/robust-futexes.rst`.
//!
//! Volatile accesses and compiler fences are enough: the kernel looks on behalf of the same thread.

use super::atomic::{Ordering, compiler_fence};
use super::errno;

/// Distance from a node's `next` to its futex word, in this target's C library. Frozen: it decides
/// where in a mutex the word stands.
#[cfg(all(target_pointer_width = "64", not(target_env = "musl")))]
pub(crate) const FUTEX_OFFSET: isize = -32;
/// As above, for musl.
#[cfg(all(target_pointer_width = "64", target_env = "musl"))]
pub(crate) const FUTEX_OFFSET: isize = -28;
/// No 32-bit layout is laid out for the kernel's walk: deaths are found by looking.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) const FUTEX_OFFSET: isize = 0;

/// The kernel's `struct robust_list_head`.
#[repr(C)]
pub(crate) struct Head {
    next: *mut Next,
    futex_offset: isize,
    pending: *mut Next,
}

/// A node in a lock that user code runs under. libc and the kernel point at `next`.
#[repr(C)]
pub(crate) struct Node {
    prev: core::cell::UnsafeCell<*mut Next>,
    next: core::cell::UnsafeCell<*mut Next>,
}

impl Node {
    /// In no list.
    pub(crate) const fn new() -> Self {
        use core::{cell::UnsafeCell, ptr::null_mut};
        Self { prev: UnsafeCell::new(null_mut()), next: UnsafeCell::new(null_mut()) }
    }
}

/// What list pointers point at: a place for the next such pointer.
type Next = *mut core::ffi::c_void;

/// A value of the pending entry.
#[derive(Clone, Copy)]
pub(crate) struct Pending(*mut Next);

impl Pending {
    /// None.
    pub(crate) const NONE: Self = Self(core::ptr::null_mut());
}

const PI: usize = 1;

fn unmarked(next: *mut Next) -> *mut Next {
    next.map_addr(|address| address & !PI)
}

impl Head {
    /// An empty list for threads whose kernel list cannot be used: nobody reads it but us.
    pub(super) const fn unregistered() -> Self {
        Self { next: core::ptr::null_mut(), futex_offset: 0, pending: core::ptr::null_mut() }
    }

    /// Makes the list empty.
    ///
    /// # Safety
    /// `head` must be valid, and not libc's.
    pub(super) unsafe fn reset(head: *mut Self) {
        // SAFETY: valid by contract; an empty list is one that points at its own head.
        unsafe { (*head).next = head.cast() };
    }

    /// Tells the kernel that the word of `node` is about to change hands.
    ///
    /// # Safety
    /// `head` must be this thread's. While the entry is set, the node's futex word must stay mapped and
    /// hold only thread ids.
    #[inline(always)]
    pub(crate) unsafe fn set_pending(head: *mut Self, node: &Node) {
        // SAFETY: by contract.
        unsafe { (&raw mut (*head).pending).write_volatile(node.next.get().cast()) };
        compiler_fence(Ordering::SeqCst);
    }

    /// As [`Head::set_pending`], of a lock that is not linked: the futex word is all that the kernel knows of it.
    ///
    /// # Safety
    /// As [`Head::set_pending`].
    #[inline(always)]
    pub(crate) unsafe fn set_pending_word(head: *mut Self, word: *const u32) {
        let entry = word.cast::<u8>().wrapping_offset(-FUTEX_OFFSET);
        // SAFETY: by contract. The kernel adds the offset again, and never reads a pending entry's node.
        unsafe { (&raw mut (*head).pending).write_volatile(entry.cast_mut().cast()) };
        compiler_fence(Ordering::SeqCst);
    }

    /// Tells the kernel to wake one sleeper on `word` should this thread die. False: the entry is in use,
    /// and stays as it is.
    ///
    /// # Safety
    /// `head` must be this thread's. While the entry is set, `word` must stay mapped, and its low 30 bits 0.
    pub(crate) unsafe fn bequeath(head: *mut Self, word: *const u32) -> bool {
        let entry = word.cast::<u8>().wrapping_offset(-FUTEX_OFFSET);
        // SAFETY: by contract. The kernel adds the offset again, and never reads a pending entry's node.
        unsafe {
            let pending = &raw mut (*head).pending;
            if !pending.read_volatile().is_null() {
                return false;
            }
            pending.write_volatile(entry.cast_mut().cast());
        }
        compiler_fence(Ordering::SeqCst);
        true
    }

    /// As [`Head::bequeath`], without a branch: what the entry was before, for [`Head::restore`].
    ///
    /// # Safety
    /// As [`Head::bequeath`].
    #[inline(always)]
    pub(crate) unsafe fn bequeath_over(head: *mut Self, word: *const u32) -> Pending {
        let entry = word.cast::<u8>().wrapping_offset(-FUTEX_OFFSET);
        // SAFETY: as in `bequeath`.
        let before = unsafe {
            let pending = &raw mut (*head).pending;
            let before = pending.read_volatile();
            pending.write_volatile(if before.is_null() { entry.cast_mut().cast() } else { before });
            before
        };
        compiler_fence(Ordering::SeqCst);
        Pending(before)
    }

    /// Ends what [`Head::bequeath_over`] began.
    ///
    /// # Safety
    /// `head` must be this thread's.
    #[inline(always)]
    pub(crate) unsafe fn restore(head: *mut Self, before: Pending) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: by contract.
        unsafe { (&raw mut (*head).pending).write_volatile(before.0) };
    }

    /// Ends what [`Head::set_pending`] or [`Head::bequeath`] began.
    ///
    /// # Safety
    /// `head` must be this thread's.
    #[inline(always)]
    pub(crate) unsafe fn clear_pending(head: *mut Self) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: by contract.
        unsafe { (&raw mut (*head).pending).write_volatile(core::ptr::null_mut()) };
    }

    /// Puts a node in front of the list.
    ///
    /// # Safety
    /// `head` must be this thread's; the node must not be in a list, and stay where it is until [`Head::unlink`].
    #[inline(always)]
    pub(crate) unsafe fn link(head: *mut Self, node: &Node) {
        // SAFETY: this thread's list holds only nodes of locks that it holds, mapped as long as they are held.
        unsafe {
            let first = (&raw const (*head).next).read_volatile();
            node.next.get().write_volatile(first);
            node.prev.get().write_volatile(head.cast());
            let first = unmarked(first);
            if first != head.cast() {
                // The node's `prev` stands just before its `next`. Not so for the head: musl has
                // something else there.
                first.sub(1).cast::<*mut Next>().write_volatile(node.next.get().cast());
            }
            compiler_fence(Ordering::SeqCst);
            (&raw mut (*head).next).write_volatile(node.next.get().cast());
        }
    }

    /// Takes a node out of the list.
    ///
    /// # Safety
    /// `head` must be this thread's, and the node in its list.
    #[inline(always)]
    pub(crate) unsafe fn unlink(head: *mut Self, node: &Node) {
        // SAFETY: the neighbours are the head or nodes of locks that this thread holds, so they are mapped.
        unsafe {
            let next = node.next.get().read_volatile();
            let prev = unmarked(node.prev.get().read_volatile());
            if unmarked(next) != head.cast() {
                unmarked(next).sub(1).cast::<*mut Next>().write_volatile(prev);
            }
            prev.cast::<*mut Next>().write_volatile(next);
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// Calls `visit` with the address of the node (its `next`) of each lock in the list, newest first,
    /// until it returns true; gives that back. Stops after as many entries as the kernel would look at.
    ///
    /// # Safety
    /// `head` must be this thread's.
    pub(crate) unsafe fn any(head: *mut Self, mut visit: impl FnMut(*const u8) -> bool) -> bool {
        // SAFETY: by contract; a thread's own list changes only in the thread.
        unsafe {
            let mut entry = unmarked((*head).next);
            for _ in 0..2048 {
                if entry.is_null() || entry == head.cast() {
                    return false;
                }
                if visit(entry.cast()) {
                    return true;
                }
                entry = unmarked((*entry).cast());
            }
        }
        false
    }
}

/// libc's list head for the calling thread, if the kernel has robust lists and libc's layout is the
/// one that this library was built for. `inherited`: where libc keeps it for this thread, if this is a forked child and its libc registers
/// the list only when it is needed.
pub(super) fn registered(inherited: Option<*mut Head>) -> Option<*mut Head> {
    if FUTEX_OFFSET == 0 {
        return None;
    }
    let mut head = get()?;
    if head.is_null() {
        match inherited {
            // SAFETY: a forked child, in which nobody has taken a robust lock: the list would be registered. What is linked into it is
            // the parent's, which goes on using it: it must not be linked with ours.
            Some(inherited) => unsafe { adopt(inherited) },
            // musl registers the list at a thread's first robust lock.
            None => touch(),
        }
        head = get()?;
    }
    if head.is_null() {
        // A child of a raw clone.
        return None;
    }
    // SAFETY: the kernel gave the address of this thread's head, which libc keeps valid.
    (unsafe { (*head).futex_offset } == FUTEX_OFFSET).then_some(head)
}

fn get() -> Option<*mut Head> {
    let mut head: *mut Head = core::ptr::null_mut();
    let mut size = 0usize;
    // SAFETY: both places are valid for the results.
    let result =
        errno::preserve(|| unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut size) });
    (result.is_ok() && size == size_of::<Head>()).then_some(head)
}

fn touch() {
    // SAFETY: a robust mutex on our stack, used by the book: initialised, locked, unlocked, destroyed.
    unsafe {
        let mut attributes = core::mem::MaybeUninit::<libc::pthread_mutexattr_t>::zeroed();
        let mut mutex = core::mem::MaybeUninit::<libc::pthread_mutex_t>::zeroed();
        libc::pthread_mutexattr_init(attributes.as_mut_ptr());
        libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED);
        libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
        libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes.as_ptr());
        libc::pthread_mutex_lock(mutex.as_mut_ptr());
        libc::pthread_mutex_unlock(mutex.as_mut_ptr());
        libc::pthread_mutex_destroy(mutex.as_mut_ptr());
        libc::pthread_mutexattr_destroy(attributes.as_mut_ptr());
    }
}

/// Registers `head`, the parent's, for a child of a raw clone, or of musl's fork, where libc did not do it.
///
/// # Safety
/// Only in such a child, before it takes any lock; `head` must be the one that libc keeps for this thread.
pub(super) unsafe fn adopt(head: *mut Head) {
    // SAFETY: libc's head for the thread whose copy we are, at the same address; made empty first, as libc's fork does.
    unsafe {
        (*head).next = head.cast();
        (*head).pending = core::ptr::null_mut();
        if cfg!(target_env = "musl") {
            // Its fork makes this 0, which to it means: not registered.
            (*head).futex_offset = FUTEX_OFFSET;
        }
        libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>());
    }
}
