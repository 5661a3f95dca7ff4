//! Floor 1: locks that live in place, in any shared memory. No allocation, no pointers to others' data.

pub(crate) mod backoff;
pub(crate) mod barrier;
pub(crate) mod condvar;
mod deadlock;
pub(crate) mod event;
mod halves;
#[cfg(feature = "lock_api")]
pub(crate) mod lock_api;
pub(crate) mod mutex;
#[cfg(feature = "std")]
pub(crate) mod name_view;
pub(crate) mod names;
mod origin;
pub(crate) mod pace;
pub(crate) mod permit;
pub(crate) mod raw;
pub(crate) mod reentrant;
mod round;
pub(crate) mod semaphore;
mod slow;
pub(crate) mod state;
pub(crate) mod statistics;
pub(crate) mod useless;
#[cfg(feature = "std")]
pub(crate) mod view;
mod waiter;
pub(crate) mod will;
