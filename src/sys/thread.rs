//! What forq knows of the calling thread: its id and its robust list, cached, valid after every kind of fork.
//!
//! A system call each time would cost eighty times a lock. The cache is checked against the process's
//! fork generation, which stands in a page that the kernel wipes in every forked child
//! (`MADV_WIPEONFORK`), whoever forked: handlers of `pthread_atfork` miss `_Fork` and raw system calls.

use core::cell::Cell;

use super::atomic::{AtomicU64, Ordering, compiler_fence};
use super::map::{self, LonelyWord};
use super::once::Once;
use super::robust::{self, Head, Node, Pending};
use super::{proc, tls};
use crate::sync::raw::RawMutex;
use crate::sync::state;

/// One per thread. Zero means: nothing known yet.
#[repr(C, align(64))]
pub(crate) struct Thread {
    /// The generation in which the rest was learnt, all bits inverted: so that zero, a new thread, is
    /// none that ever was, nor the wiped word's.
    learnt_in: Cell<u64>,
    generation: Cell<u64>,
    locked: Cell<u64>,
    head: Cell<*mut Head>,
    pid: Cell<u32>,
    interruptible: Cell<bool>,
    robust: Cell<bool>,
    tid: Cell<u32>,
    /// Waits that have been given a number.
    waits: Cell<u32>,
    /// For threads without a usable kernel list. The unused word is where `link` may look for a `prev`.
    own_head: core::cell::UnsafeCell<Head>,
}
static_assertions::const_assert!(size_of::<Thread>() <= 128 && align_of::<Thread>() == 64);

/// No generation, of a process that has not looked yet.
const NONE: u64 = 0;
/// What the word says where the kernel cannot wipe: never learnt in, so that nothing is trusted.
const NO_PAGE: u64 = 1 << 62;

/// The word that every fork wipes. A static, not a mapping that one points to: it is read four times in a lock and its release,
/// and the next locked instruction waits for what was read.
static PAGE: LonelyWord = LonelyWord(AtomicU64::new(NONE));
static PAGE_ONCE: Once = Once::new();
/// Generations handed out by this process and those it was forked from.
static LAST: AtomicU64 = AtomicU64::new(NONE);

#[inline(always)]
fn page_word() -> &'static AtomicU64 {
    &PAGE.0
}

/// The calling thread's block, valid for it.
#[inline(always)]
pub(crate) fn current() -> &'static Thread {
    // SAFETY: the block lives as long as the thread, and the reference stays in calls of the thread:
    // `Thread` is not Sync, so it is handed to no other.
    let thread = unsafe { &*tls::block() };
    if thread.learnt_in.get() != !page_word().load(Ordering::Relaxed) {
        thread.refresh();
    }
    thread
}

/// As [`current`], without asking whether it is still valid.
///
/// # Safety
/// The calling thread must have called [`current`] since the last fork.
#[inline(always)]
pub(crate) unsafe fn known() -> &'static Thread {
    // SAFETY: as in `current`.
    unsafe { &*tls::block() }
}

/// The calling thread's block, for what may be called in a signal handler: `None` if finding it out
/// could wait for what the handler interrupted, or call what a handler must not.
pub(crate) fn in_handler() -> Option<&'static Thread> {
    // SAFETY: as in `current`.
    let thread = unsafe { &*tls::block() };
    if thread.learnt_in.get() != !page_word().load(Ordering::Relaxed) {
        // Under glibc a refresh is a few system calls; it may interrupt another one, which it only repeats.
        if !PAGE_ONCE.is_done() || cfg!(target_env = "musl") {
            return None;
        }
        thread.refresh();
    }
    Some(thread)
}

/// Which of the processes forked from one another this is. A value taken before a fork differs from
/// one taken after it in the child.
#[inline(always)]
pub(crate) fn generation() -> u64 {
    let generation = page_word().load(Ordering::Relaxed);
    if generation == NONE || generation == NO_PAGE { generation_slow() } else { generation }
}

#[cold]
fn generation_slow() -> u64 {
    current().generation()
}

/// Whether `generation`, taken before, is still the process's: false also where no page can be wiped, so that
/// [`generation`] must be asked.
#[inline(always)]
pub(crate) fn is_generation_word(generation: u64) -> bool {
    page_word().load(Ordering::Relaxed) == generation
}

/// The word behind [`generation`], for loops that look at it after each call of a stranger's code.
pub(crate) fn generation_word() -> &'static AtomicU64 {
    generation();
    page_word()
}

#[cold]
fn set_up_page() {
    if !map::wipe_on_fork(&PAGE) {
        PAGE.0.store(NO_PAGE, Ordering::Relaxed);
    }
}

impl Thread {
    #[cfg_attr(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        expect(dead_code, reason = "zeroed by the linker there")
    )]
    pub(super) const fn new() -> Self {
        Self {
            learnt_in: Cell::new(0),
            generation: Cell::new(0),
            locked: Cell::new(0),
            head: Cell::new(core::ptr::null_mut()),
            pid: Cell::new(0),
            interruptible: Cell::new(false),
            robust: Cell::new(false),
            tid: Cell::new(0),
            waits: Cell::new(0),
            own_head: core::cell::UnsafeCell::new(Head::unregistered()),
        }
    }

    #[cold]
    #[inline(never)]
    fn refresh(&self) {
        PAGE_ONCE.call(set_up_page);
        let word = page_word();
        if word.load(Ordering::Relaxed) == NONE {
            // The first look since the fork. Threads that race here agree on one value.
            let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            let _ = word.compare_exchange(NONE, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        let before = self.locked.get();
        self.tid.set(proc::tid());
        self.locked.set(state::locked_by(self.tid.get()));
        self.pid.set(proc::pid());
        // musl's fork registers no list for the child, and leaves the parent's locks in it.
        let inherited = (cfg!(target_env = "musl") && self.robust.get()).then(|| self.head.get());
        match robust::registered(inherited) {
            Some(head) => {
                if self.learnt_in.get() != 0 {
                    // A forked child. Its parent may have held a lock, which the entry then names here too.
                    // SAFETY: this thread's head.
                    unsafe { Head::clear_pending(head) };
                }
                self.head.set(head);
                self.robust.set(true);
            }
            None => {
                self.head.set(self.own_head.get());
                self.robust.set(false);
                if before != self.locked.get() {
                    // SAFETY: our own head; a new thread or a forked child holds no lock.
                    unsafe { Head::reset(self.own_head.get()) };
                }
            }
        }
        match word.load(Ordering::Relaxed) {
            NO_PAGE => {
                // Nothing to tell forks by but the process id: never trusted, always asked for.
                self.generation.set(u64::from(self.pid.get()) | 1 << 61);
                self.learnt_in.set(0);
            }
            generation => {
                self.generation.set(generation);
                // Last, also for a signal handler that interrupts this.
                compiler_fence(Ordering::SeqCst);
                self.learnt_in.set(!generation);
            }
        }
    }

    /// As [`generation`], when this block is valid.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// The state of a mutex that this thread holds and nobody waits for.
    #[inline(always)]
    pub(crate) fn locked(&self) -> u64 {
        self.locked.get()
    }

    #[inline(always)]
    pub(crate) fn pid(&self) -> u32 {
        self.pid.get()
    }

    /// Whether the kernel tells of this thread's death.
    pub(crate) fn is_robust(&self) -> bool {
        self.robust.get()
    }

    pub(crate) fn is_interruptible(&self) -> bool {
        self.interruptible.get()
    }

    /// Whether waits end with `Interrupted` after a signal handler ran; returns what it was.
    pub(crate) fn set_interruptible(&self, on: bool) -> bool {
        self.interruptible.replace(on)
    }

    /// See [`Head::set_pending`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn set_pending(&self, node: &Node) {
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::set_pending(self.head.get(), node) }
    }

    /// See [`Head::set_pending_word`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn set_pending_word(&self, word: *const u32) {
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::set_pending_word(self.head.get(), word) }
    }

    /// See [`Head::bequeath`].
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn bequeath(&self, word: *const u32) -> bool {
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::bequeath(self.head.get(), word) }
    }

    /// See [`Head::bequeath_over`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn bequeath_over(&self, word: *const u32) -> Pending {
        if cfg!(forq_fault = "no_will") {
            return Pending::NONE;
        }
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::bequeath_over(self.head.get(), word) }
    }

    /// See [`Head::restore`].
    #[inline(always)]
    pub(crate) fn restore_pending(&self, before: Pending) {
        // SAFETY: this thread's head.
        unsafe { Head::restore(self.head.get(), before) }
    }

    /// See [`Head::clear_pending`].
    #[inline(always)]
    pub(crate) fn clear_pending(&self) {
        // SAFETY: this thread's head.
        unsafe { Head::clear_pending(self.head.get()) }
    }

    /// See [`Head::link`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn link(&self, node: &Node) {
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::link(self.head.get(), node) }
    }

    /// See [`Head::unlink`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn unlink(&self, node: &Node) {
        // SAFETY: this thread's head; the rest by contract.
        unsafe { Head::unlink(self.head.get(), node) }
    }

    #[inline(always)]
    pub(crate) fn tid(&self) -> u32 {
        self.tid.get()
    }

    /// A number that no wait of this thread has had, nor soon will again. Not 0.
    pub(crate) fn next_wait(&self) -> u32 {
        self.waits.set(self.waits.get().wrapping_add(1).max(1));
        self.waits.get()
    }

    /// Calls `visit` with each forq mutex that this thread holds.
    pub(crate) fn each_held(&self, mut visit: impl FnMut(&RawMutex)) {
        // SAFETY: as in `holds_lock`; what bears our mark is a `RawMutex`, mapped while it is held.
        unsafe {
            Head::any(self.head.get(), |next| {
                if state::is_ours(state::read_before_node(next)) {
                    visit(RawMutex::of_node(next));
                }
                false
            });
        }
    }

    /// Whether this thread holds any lock that lies there.
    #[inline]
    pub(crate) fn holds_within(&self, range: &core::ops::Range<usize>) -> bool {
        // SAFETY: this thread's head; only addresses are looked at.
        unsafe { Head::any(self.head.get(), |next| range.contains(&next.addr())) }
    }

    /// Whether this thread holds a forq mutex. Pthread mutexes in the same list are told apart by a
    /// bit that only ours have set.
    pub(crate) fn holds_lock(&self) -> bool {
        let head = self.head.get();
        // SAFETY: this thread's head. A node of this list belongs to a held lock, whose first eight
        // bytes stand at a fixed distance before it in both C libraries and in ours; read by this
        // thread, which holds the lock.
        unsafe { Head::any(head, |next| state::is_ours(state::read_before_node(next))) }
    }
}

/// Makes libc's robust list, as the parent's thread had it, the kernel's for this child of a raw clone.
///
/// # Safety
/// Only in such a child, before it takes any lock.
pub(crate) unsafe fn adopt_after_clone() {
    // SAFETY: the copy of the block of the thread that cloned us.
    let thread = unsafe { &*tls::block() };
    let head = thread.head.get();
    if thread.robust.get() && !head.is_null() {
        // SAFETY: libc's head, by `robust`; the rest by contract.
        unsafe { robust::adopt(head) };
    }
    thread.learnt_in.set(0);
}
