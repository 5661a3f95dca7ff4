//! Rows of the objects that nobody owns: semaphore, event, barrier, condition variable, lock without owner; and of circles of
//! waiters. Nobody may sleep on, and the accounts must close.

mod aftermath;
mod circle;
mod condvar;
mod monitor;
mod plan;
mod scene;
pub(super) mod sleepers;
mod trial;
mod unowned;

pub(super) use plan::{Plan, all};
pub(super) use trial::{path, run};
