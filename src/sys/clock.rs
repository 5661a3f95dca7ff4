//! The monotonic clock, and deadlines on it: absolute inside, durations at the edge.

use core::time::Duration;

use super::errno;

const NANOS: u64 = 1_000_000_000;

/// Nanoseconds since an arbitrary point, the same for all processes of a machine; never goes back.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result. The call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(NANOS).wrapping_add(time.tv_nsec as u64)
}

/// Sleeps so many nanoseconds, less if a signal handler runs.
pub(crate) fn sleep(nanos: u64) {
    let time = Deadline(nanos).timespec();
    // SAFETY: a valid time; the rest is not asked for.
    let _ = errno::preserve(|| unsafe { libc::nanosleep(&time, core::ptr::null_mut()) });
}

/// Until when a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// Only tries.
    pub(crate) const NOW: Self = Self(0);
    /// Waits for ever.
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    /// So many nanoseconds from now; 0 only tries. Never overflows: the end of the clock is for ever.
    pub(crate) fn after_nanos(nanos: u64) -> Self {
        if nanos == 0 { Self::NOW } else { Self(now().saturating_add(nanos)) }
    }

    pub(crate) fn after(timeout: Duration) -> Self {
        Self::after_nanos(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(crate) fn is_now(self) -> bool {
        self == Self::NOW
    }

    pub(crate) fn is_forever(self) -> bool {
        self == Self::FOREVER
    }

    /// Whether a call that waited must end. Reads the clock unless it waits for ever.
    pub(crate) fn has_passed(self) -> bool {
        !self.is_forever() && now() >= self.0
    }

    /// The earlier of the two.
    pub(crate) fn min_nanos_from(self, now: u64, nanos: u64) -> Self {
        Self(self.0.min(now.saturating_add(nanos)))
    }

    /// As the kernel takes it.
    pub(crate) fn timespec(self) -> libc::timespec {
        // A second count that fits u64 / 10^9 fits every time_t of 64 bits; of 32 bits it is capped.
        let seconds = libc::time_t::try_from(self.0 / NANOS).unwrap_or(libc::time_t::MAX);
        libc::timespec { tv_sec: seconds, tv_nsec: (self.0 % NANOS) as _ }
    }

    /// What is left, as the kernel takes it; zero when it has passed.
    pub(crate) fn left(self) -> libc::timespec {
        Self(self.0.saturating_sub(now())).timespec()
    }
}
