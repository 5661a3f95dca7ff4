//! Floor 2: bounded queues in shared memory, for any number of producers and consumers.

mod account;
mod attend;
mod batch;
mod byte_queue;
mod layout;
pub(crate) mod memory;
mod patience;
#[expect(clippy::module_inception, reason = "the file's name is its noun")]
mod queue;
pub(crate) mod readiness;
pub(crate) mod ring;
mod role;
mod side;
mod slot;
mod state;
mod statistics;
mod tasks;
#[cfg(feature = "std")]
mod view;

pub use byte_queue::ByteQueue;
pub use queue::{PutError, Queue};
pub use statistics::QueueStatistics;
#[cfg(feature = "std")]
pub use view::{QueueSideView, QueueView};
