//! Rows of the queue. No message may be torn, doubled or, but for the one in the victim's hands, lost; nobody may sleep beside a message,
//! room or a free side, or after a close; and the accounts must close.

mod aftermath;
mod batches;
mod closing;
mod image;
mod plan;
mod rows;
mod scene;
mod tasks;
mod trial;
mod waits;

pub(super) use plan::{Plan, all};
pub(super) use trial::run;
