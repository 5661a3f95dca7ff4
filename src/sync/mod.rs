//! Floor 1: locks that live in place, in any shared memory. No allocation, no pointers to others' data.

pub(crate) mod backoff;
mod deadlock;
#[cfg(feature = "lock_api")]
pub(crate) mod lock_api;
pub(crate) mod mutex;
mod origin;
pub(crate) mod pace;
pub(crate) mod raw;
pub(crate) mod reentrant;
mod slow;
pub(crate) mod state;
pub(crate) mod statistics;
mod useless;
mod waiter;
