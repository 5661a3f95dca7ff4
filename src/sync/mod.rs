//! Floor 1: locks that live in place, in any shared memory. No allocation, no pointers to others' data.

pub(crate) mod backoff;
pub(crate) mod barrier;
pub(crate) mod condvar;
pub(crate) mod event;
mod halves;
pub(crate) mod mutex;
pub(crate) mod permit;
pub(crate) mod raw;
mod round;
pub(crate) mod semaphore;
pub(crate) mod state;
pub(crate) mod statistics;
mod waiter;
mod will;
