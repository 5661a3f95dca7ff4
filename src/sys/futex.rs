//! Shared futexes: sleep until a word changes, in memory that several processes map.
//!
//! No call here sets `FUTEX_PRIVATE_FLAG`: waiters are in other processes, and the kernel's own wake
//! at the death of a lock's holder is a shared one.

use super::atomic::{AtomicU32, Ordering, fence};
use super::clock::{self, Deadline};
use super::errno::{self, EINTR, ENOSYS, EPERM, ETIMEDOUT};
use super::thread;

/// How long a sleeper stays asleep before it looks again, at first and after a few times in vain.
/// Wakes that two deaths within a microsecond swallowed are made good by this bound.
#[cfg(not(forq_long_sleeps))]
pub(crate) const SLEEP_BOUND: [u64; 2] = [250_000_000, 1_000_000_000];
/// So long that a lost wake-up shows: for the crash-point harness.
#[cfg(forq_long_sleeps)]
pub(crate) const SLEEP_BOUND: [u64; 2] = [60_000_000_000, 60_000_000_000];

/// All groups of sleepers on a word.
pub(crate) const EVERYBODY: u32 = libc::FUTEX_BITSET_MATCH_ANY as u32;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Somebody woke us, or the word was not the expected one, or for no reason.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// The bound passed, the deadline did not: look again.
    Bound,
    /// A signal handler ran, and this thread asked to be told.
    Interrupted,
}

/// Sleeps while `*word == expected`, until `deadline`; woken only by who wakes one of the `groups`.
///
/// # Safety
/// `word` must be mapped and 4-aligned during the call.
unsafe fn wait_until(word: *const u32, expected: u32, groups: u32, deadline: Deadline) -> Wake {
    let until = deadline.timespec();
    let timeout: *const libc::timespec = if deadline.is_forever() { core::ptr::null() } else { &until };
    loop {
        // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock.
        // SAFETY: the kernel reads `word`, mapped by contract, and `timeout`, which outlives the call.
        let result = errno::preserve(|| unsafe {
            libc::syscall(
                libc::SYS_futex,
                word,
                libc::FUTEX_WAIT_BITSET,
                expected,
                timeout,
                core::ptr::null::<u32>(),
                groups,
            )
        });
        return match result {
            Err(EINTR) if !thread::current().is_interruptible() => continue,
            Err(EINTR) => Wake::Interrupted,
            Err(ETIMEDOUT) => Wake::TimedOut,
            _ => Wake::Woken,
        };
    }
}

/// How long the `round`th sleep in a row may last, in nanoseconds.
pub(crate) fn bound(round: u32) -> u64 {
    SLEEP_BOUND[usize::from(round > 3)]
}

/// Sleeps while `*word == expected`, until `deadline`, but not longer than the bound for the
/// `round`th sleep in a row.
///
/// # Safety
/// As [`wait_until`].
pub(crate) unsafe fn wait(word: *const u32, expected: u32, deadline: Deadline, round: u32) -> Wake {
    // SAFETY: the caller's contract.
    unsafe { wait_among(word, expected, EVERYBODY, deadline, bound(round)) }
}

/// As [`wait`], for `bound` nanoseconds at most, and woken only by who wakes one of the `groups`: 32 bits,
/// not all zero. The kernel's own wakes at a death heed no groups, so the word must not be a lock's.
///
/// # Safety
/// As [`wait_until`].
pub(crate) unsafe fn wait_among(
    word: *const u32,
    expected: u32,
    groups: u32,
    deadline: Deadline,
    bound: u64,
) -> Wake {
    let capped = deadline.min_nanos_from(clock::now(), bound);
    // SAFETY: the caller's contract.
    match unsafe { wait_until(word, expected, groups, capped) } {
        Wake::TimedOut if capped < deadline => Wake::Bound,
        other => other,
    }
}

/// As [`wait`], on two words: sleeps while each is the one expected. The second result says that it was the
/// second one on which it was woken.
///
/// Before Linux 5.16, where the call is forbidden, and in a thread that signals are to interrupt (the call is
/// restarted after a handler with `SA_RESTART`, unlike a wait on one word), it sleeps on the first only.
///
/// # Safety
/// As [`wait_until`], for each.
pub(crate) unsafe fn wait_either(
    words: [(*const u32, u32); 2],
    deadline: Deadline,
    round: u32,
) -> (Wake, bool) {
    // SAFETY: the caller's contract.
    let (wake, by) = unsafe { wait_any(words, EVERYBODY, deadline, round) };
    (wake, by == Some(1))
}

/// As [`wait_either`], on any number of words. The second result says on which one it was woken, if it was. Where it sleeps
/// on the first only, it is woken by who wakes one of the `groups`.
///
/// # Safety
/// As [`wait_until`], for each.
pub(crate) unsafe fn wait_any<const N: usize>(
    words: [(*const u32, u32); N],
    groups: u32,
    deadline: Deadline,
    round: u32,
) -> (Wake, Option<usize>) {
    static MISSING: AtomicU32 = AtomicU32::new(0);
    // Relaxed: one flag; who misses it asks the kernel once more.
    if MISSING.load(Ordering::Relaxed) != 0 || thread::current().is_interruptible() {
        let (word, expected) = words[0];
        // SAFETY: the caller's contract.
        return (unsafe { wait_among(word, expected, groups, deadline, bound(round)) }, None);
    }
    let capped = deadline.min_nanos_from(clock::now(), bound(round));
    // SAFETY: the caller's contract.
    match unsafe { wait_vector(&words.map(Waiter::of), capped) } {
        Ok(index) => (Wake::Woken, usize::try_from(index).ok()),
        Err(ETIMEDOUT) if capped < deadline => (Wake::Bound, None),
        Err(ETIMEDOUT) => (Wake::TimedOut, None),
        Err(ENOSYS | EPERM) => {
            MISSING.store(1, Ordering::Relaxed);
            (Wake::Woken, None)
        }
        Err(_) => (Wake::Woken, None),
    }
}

/// The kernel's `struct futex_waitv`.
#[repr(C)]
struct Waiter {
    expected: u64,
    word: u64,
    flags: u32,
    reserved: u32,
}

impl Waiter {
    fn of((word, expected): (*const u32, u32)) -> Self {
        /// 32 bits wide, not private.
        const FUTEX_32: u32 = 2;
        Self { expected: expected.into(), word: word.addr() as u64, flags: FUTEX_32, reserved: 0 }
    }
}

/// Which of the words it was.
///
/// # Safety
/// As [`wait_until`], for each.
unsafe fn wait_vector(waiters: &[Waiter], until: Deadline) -> Result<libc::c_long, i32> {
    let time = until.timespec();
    // The kernel takes 64 bits for each on every machine.
    #[cfg_attr(target_pointer_width = "64", expect(clippy::useless_conversion))]
    let time = [i64::from(time.tv_sec), i64::from(time.tv_nsec)];
    loop {
        // SAFETY: the kernel reads the words, mapped by contract, and the list and the time, which outlive the call.
        let result = errno::preserve(|| unsafe {
            libc::syscall(
                libc::SYS_futex_waitv,
                waiters.as_ptr(),
                waiters.len(),
                0,
                &time,
                libc::CLOCK_MONOTONIC,
            )
        });
        if result != Err(EINTR) {
            return result;
        }
    }
}

/// Sets bit 0 of `*word` and wakes all who sleep on it, in one step: a caller that is killed has done both or
/// neither. False where the kernel lacks the call.
///
/// # Safety
/// `word` must be a mapped futex, otherwise changed only by atomic operations.
pub(crate) unsafe fn set_bit_0_and_wake_all(word: *const u32) -> bool {
    // "Or" with 1; then a comparison on which nothing depends.
    let operation = libc::FUTEX_OP(libc::FUTEX_OP_OR, 1, libc::FUTEX_OP_CMP_EQ, 0);
    // What the caller wrote before is seen by who sees the bit: pairs with an Acquire load of the word.
    fence(Ordering::Release);
    // SAFETY: the kernel changes the word as an atomic instruction of this thread would.
    errno::preserve(|| unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE_OP, i32::MAX, 0usize, word, operation)
    })
    .is_ok()
}

/// Wakes at most `count` sleepers on `word`; tells how many it woke. The word need not be mapped any more.
pub(crate) fn wake(word: *const u32, count: i32) -> usize {
    // SAFETY: the kernel uses the address as a key and reads nothing; an unmapped one is an error it reports.
    let woken = errno::preserve(|| unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count) });
    usize::try_from(woken.unwrap_or(0)).unwrap_or(0)
}

/// As [`wake`], of the sleepers in one of the `groups`.
pub(crate) fn wake_among(word: *const u32, count: i32, groups: u32) -> usize {
    // SAFETY: the kernel uses the address as a key and reads nothing; an unmapped one is an error it reports.
    let woken = errno::preserve(|| unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAKE_BITSET,
            count,
            core::ptr::null::<libc::timespec>(),
            core::ptr::null::<u32>(),
            groups,
        )
    });
    usize::try_from(woken.unwrap_or(0)).unwrap_or(0)
}
