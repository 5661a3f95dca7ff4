//! What a mutex tells of its past.

use super::raw::RawMutex;
use crate::sys::atomic::Ordering;

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

impl RawMutex {
    /// Turns that have ended, and the one that goes on. Never less than what the caller was told before: each of the two is
    /// read once, and neither goes back.
    fn acquisitions(&self) -> u64 {
        let (stamp, ended) = (self.stamp.load(Ordering::Relaxed), self.turns.load(Ordering::Relaxed));
        let ahead = ((stamp >> 32) as u32).wrapping_sub(ended as u32);
        let is_stamped = stamp as u32 != 0 && ahead <= u32::MAX / 2;
        ended.wrapping_add(if is_stamped { u64::from(ahead) + 1 } else { 0 })
    }

    /// What it tells of its past.
    pub(crate) fn statistics(&self) -> MutexStatistics {
        MutexStatistics {
            acquisitions: self.acquisitions(),
            contended: self.contended.load(Ordering::Relaxed),
            slept: self.slept.load(Ordering::Relaxed),
            waited_ns: self.waited_ns.load(Ordering::Relaxed),
            waited_max_ns: self.waited_max_ns.load(Ordering::Relaxed),
            holder_deaths: self.holder_deaths.load(Ordering::Relaxed),
        }
    }
}
