//! What a queue has done.

/// Counts of a queue since it was made. Read while it is in use, they may be of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatistics {
    /// Messages put.
    pub put: u64,
    /// Messages taken out, those lost included.
    pub got: u64,
    /// Messages taken out by a process that died before its call had returned: as many as can be seen, perhaps fewer than there were.
    pub lost: u64,
    /// Calls that had to wait for room.
    pub full_waits: u64,
    /// Calls that had to wait for a message.
    pub empty_waits: u64,
}
