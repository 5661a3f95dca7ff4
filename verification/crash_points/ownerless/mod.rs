//! Rows of the objects that nobody owns: semaphore, event, barrier. Nothing is told of a death there;
//! but nobody may sleep on, and the accounts must close.

mod aftermath;
mod plan;
mod scene;
mod sleepers;
mod trial;

pub(super) use plan::{Plan, all};
pub(super) use trial::run;
