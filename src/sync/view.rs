//! A mutex of another process, seen from outside.

use super::raw::RawMutex;
use super::statistics::MutexStatistics;

/// What the bytes of a [`Mutex`](crate::Mutex) say: for tools that look into the memory of running programs, which need
/// not map it. C's `forq_mutex` is the same.
///
/// ```
/// use forq::{Mutex, MutexView, Shared};
///
/// let mutex = Shared::new(Mutex::new(0))?;
/// let bytes = || unsafe { std::ptr::from_ref(&*mutex).cast::<[u8; MutexView::SIZE]>().read_volatile() };
/// assert!(MutexView::of(&bytes()).is_none());
/// assert_eq!(MutexView::of_known(&bytes()).owner, 0);
/// let guard = mutex.lock()?;
/// assert_eq!(MutexView::of(&bytes()).unwrap().owner, unsafe { libc::gettid() } as u32);
/// # drop(guard);
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexView {
    /// The thread that holds it; 0: none, or it has no owner. (Once its death has been told nobody does.)
    pub owner: u32,
    /// Whether what it guards was left in the middle of a change.
    pub is_inconsistent: bool,
    /// How many have announced that they wait; killed ones stay counted for a while.
    pub waiters: u32,
    /// Its past.
    pub statistics: MutexStatistics,
}

impl MutexView {
    /// How many bytes a mutex takes, without the value that it guards.
    pub const SIZE: usize = size_of::<RawMutex>();
    /// From the start of a mutex to the word that a waiter's futex call names, in bytes: under the C library of the program that asks.
    pub const FUTEX_OFFSET: usize = super::state::FUTEX_BYTE;
    /// From the start of a mutex to where its holder's robust list points, in bytes.
    pub const LIST_OFFSET: usize = super::raw::NEXT_OFFSET;

    /// Reads a copy of the bytes. `None`: these are not those of a mutex of forq's that somebody holds. What else lies somewhere
    /// may look like one: so ask only for what a thread holds or waits for.
    #[must_use]
    pub fn of(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        // SAFETY: any bytes are a `RawMutex`: integers, and pointers that are not followed here.
        let mutex = unsafe { bytes.as_ptr().cast::<RawMutex>().read_unaligned() };
        let state = mutex.load();
        let is_one = super::state::is_ours(state.0) && !state.is_unowned() && !state.is_free();
        is_one.then(|| Self::of_mutex(&mutex))
    }

    /// Reads a copy of the bytes of what is known to be a mutex, free or held: by its name, or since it was seen held.
    #[must_use]
    pub fn of_known(bytes: &[u8; Self::SIZE]) -> Self {
        // SAFETY: as in `of`.
        Self::of_mutex(&unsafe { bytes.as_ptr().cast::<RawMutex>().read_unaligned() })
    }

    fn of_mutex(mutex: &RawMutex) -> Self {
        let state = mutex.load();
        Self {
            owner: mutex.owner(),
            is_inconsistent: state.is_inconsistent(),
            waiters: state.waiters(),
            statistics: mutex.statistics(),
        }
    }
}
