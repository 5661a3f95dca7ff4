//! Rows of the channel. No message may be torn, doubled or, but for the one in the victim's hands, lost; nobody may sleep beside a message
//! or room, or after a close; whoever waits for a dead one is told; and whoever takes its side over goes on.

mod aftermath;
mod image;
mod plan;
mod rows;
mod scene;
mod trial;

pub(super) use plan::{Plan, all};
pub(super) use trial::run;
