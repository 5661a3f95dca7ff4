//! What a mutex tells of its past.

/// Counts and times of a mutex since it was made; all processes together.
///
/// Each number is read whole and never goes back, but not all are read at one moment: while the lock is in use they may
/// belong to neighbouring moments. A holder that is killed between taking the lock and counting goes uncounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexStatistics {
    /// How often it was taken.
    pub acquisitions: u64,
    /// How many of those had to wait.
    pub contended: u64,
    /// How often a waiter slept in the kernel.
    pub slept: u64,
    /// Nanoseconds waited, summed over all waiters, from each one's first yield of the CPU; spinning before that reads no clock.
    pub waited_ns: u64,
    /// The longest single wait, in nanoseconds.
    pub waited_max_ns: u64,
    /// How many holders died.
    pub holder_deaths: u64,
}
