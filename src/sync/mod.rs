//! Floor 1: locks that live in place, in any shared memory. No allocation, no pointers to others' data.

pub(crate) mod backoff;
pub(crate) mod condvar;
pub(crate) mod mutex;
pub(crate) mod raw;
pub(crate) mod state;
pub(crate) mod statistics;
mod waiter;
