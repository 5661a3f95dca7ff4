//! What one call knows of its own wait for a lock.

use super::deadlock::Watch;
use super::pace::Pace;
use super::state::Announced;
use crate::sys::clock::Deadline;

/// One call's wait for the lock.
pub(super) struct Waiter {
    pub(super) deadline: Deadline,
    pub(super) pace: Pace,
    pub(super) watch: Watch,
    pub(super) announced: Option<Announced>,
    /// When it first gave the CPU away; 0: not yet.
    pub(super) since: u64,
    pub(super) sleeps: u32,
    pub(super) waited: bool,
}

impl Waiter {
    pub(super) fn new(deadline: Deadline) -> Self {
        let watch = Watch::new(!deadline.is_forever());
        Self { deadline, pace: Pace::new(), watch, announced: None, since: 0, sleeps: 0, waited: false }
    }
}
