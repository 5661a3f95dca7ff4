//! Futexes for the model checker: the same face as `sys/futex.rs`, between loom's threads.
//!
//! There is no bound on sleeps here: a lost wake-up is a deadlock, which loom reports. A sleep with a deadline may
//! end at any moment: a thread of its own is its clock. Who is woken is the one that came last, so that nothing relies
//! on the kernel's order, which is the other one. Sleepers are kept outside loom, which therefore
//! sees no synchronisation through a sleep, but that a wake-up happens before what the woken one does next.

use std::cell::RefCell;
use std::vec::Vec;

use loom::sync::atomic::AtomicU64;
use loom::thread::{self, Thread};

use super::atomic::Ordering::{Relaxed, Release};
use super::clock::Deadline;

/// Nothing here sleeps for a time.
pub(crate) const SLEEP_BOUND: [u64; 2] = [250_000_000, 1_000_000_000];

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Woken,
    TimedOut,
    #[expect(dead_code, reason = "no sleep has a bound here")]
    Bound,
    #[expect(dead_code, reason = "no signals here")]
    Interrupted,
}

struct Sleeper {
    number: u64,
    word: usize,
    groups: u32,
    thread: Thread,
}

#[derive(Default)]
struct Sleepers {
    asleep: Vec<Sleeper>,
    /// Those that their clocks woke.
    timed_out: Vec<u64>,
    last: u64,
}

std::thread_local! {
    /// Of the model that runs on this thread: all of loom's threads do.
    static SLEEPERS: RefCell<Sleepers> = RefCell::default();
}

/// All groups.
pub(crate) const EVERYBODY: u32 = u32::MAX;

/// Sleeps have no bound.
pub(crate) fn bound(_round: u32) -> u64 {
    u64::MAX
}

fn sleepers<R>(f: impl FnOnce(&mut Sleepers) -> R) -> R {
    // No operation of loom's is in `f`, so no other thread runs meanwhile.
    SLEEPERS.with(|sleepers| f(&mut sleepers.borrow_mut()))
}

/// The word that a futex is half of, and where in it.
fn word_of<'a>(futex: *const u32) -> (&'a AtomicU64, usize) {
    let half = futex.addr() & 4;
    // SAFETY: named by `atomic::modelled::futex`; the word lives as long as it is borrowed by who sleeps or wakes.
    (unsafe { &*futex.cast::<u8>().wrapping_sub(half).cast::<AtomicU64>() }, half)
}

/// What the futex holds: read by an atomic change of nothing, which sees the latest value, as the kernel does.
fn look(futex: *const u32) -> u32 {
    let (word, half) = word_of(futex);
    let bytes = word.fetch_or(0, Relaxed).to_ne_bytes();
    u32::from_ne_bytes([bytes[half], bytes[half + 1], bytes[half + 2], bytes[half + 3]])
}

/// As in `sys/futex.rs`.
///
/// # Safety
/// As there.
pub(crate) unsafe fn wait(word: *const u32, expected: u32, deadline: Deadline, _round: u32) -> Wake {
    // SAFETY: the caller's contract.
    unsafe { wait_among(word, expected, u32::MAX, deadline, 0) }
}

/// As in `sys/futex.rs`.
///
/// # Safety
/// As there.
pub(crate) unsafe fn wait_among(
    word: *const u32,
    expected: u32,
    groups: u32,
    deadline: Deadline,
    _bound: u64,
) -> Wake {
    if look(word) != expected {
        return Wake::Woken;
    }
    sleep(word.addr(), groups, (!deadline.is_forever()).then_some(word))
}

/// As in `sys/futex.rs`. Only the kernel wakes on the second word, at a death; and nobody dies here.
///
/// # Safety
/// As there.
pub(crate) unsafe fn wait_either(
    words: [(*const u32, u32); 2],
    deadline: Deadline,
    round: u32,
) -> (Wake, bool) {
    // SAFETY: the caller's contract.
    (unsafe { wait(words[0].0, words[0].1, deadline, round) }, false)
}

/// As in `sys/futex.rs`: on the first word only.
///
/// # Safety
/// As there.
pub(crate) unsafe fn wait_any<const N: usize>(
    words: [(*const u32, u32); N],
    groups: u32,
    deadline: Deadline,
    _round: u32,
) -> (Wake, Option<usize>) {
    // SAFETY: the caller's contract.
    (unsafe { wait_among(words[0].0, words[0].1, groups, deadline, 0) }, None)
}

/// As in `sys/futex.rs`: one step.
///
/// # Safety
/// As there.
pub(crate) unsafe fn set_bit_0_and_wake_all(futex: *const u32) -> bool {
    let (word, half) = word_of(futex);
    let mut bits = [0; 8];
    bits[half..half + 4].copy_from_slice(&1u32.to_ne_bytes());
    word.fetch_or(u64::from_ne_bytes(bits), Release);
    let name = futex.addr();
    wake_if(|sleeper| sleeper.word == name, usize::MAX, false);
    true
}

/// Until woken, or timed out by a clock that looks at `clocked` first.
fn sleep(word: usize, groups: u32, clocked: Option<*const u32>) -> Wake {
    let thread = thread::current();
    let number = sleepers(|sleepers| {
        sleepers.last += 1;
        sleepers.asleep.push(Sleeper { number: sleepers.last, word, groups, thread });
        sleepers.last
    });
    let clock = clocked.map(|word| {
        let word = word.expose_provenance();
        thread::spawn(move || {
            // So that loom lets others run before.
            look(core::ptr::with_exposed_provenance(word));
            wake_if(|sleeper| sleeper.number == number, 1, true);
        })
    });
    while sleepers(|sleepers| sleepers.asleep.iter().any(|sleeper| sleeper.number == number)) {
        thread::park();
    }
    if let Some(clock) = clock {
        // The word may be gone after this call.
        let _ = clock.join();
    }
    let timed_out = |sleepers: &mut Sleepers| {
        let before = sleepers.timed_out.len();
        sleepers.timed_out.retain(|&other| other != number);
        before != sleepers.timed_out.len()
    };
    if sleepers(timed_out) { Wake::TimedOut } else { Wake::Woken }
}

/// Wakes at most `count` of those; how many it woke.
fn wake_if(mut which: impl FnMut(&Sleeper) -> bool, count: usize, timed_out: bool) -> usize {
    let mut woken = Vec::new();
    sleepers(|sleepers| {
        for index in (0..sleepers.asleep.len()).rev() {
            if woken.len() < count && which(&sleepers.asleep[index]) {
                woken.push(sleepers.asleep.remove(index));
            }
        }
        if timed_out {
            sleepers.timed_out.extend(woken.iter().map(|sleeper| sleeper.number));
        }
    });
    woken.iter().for_each(|sleeper| sleeper.thread.unpark());
    woken.len()
}

/// As in `sys/futex.rs`.
pub(crate) fn wake(word: *const u32, count: i32) -> usize {
    wake_among(word, count, u32::MAX)
}

/// As in `sys/futex.rs`.
pub(crate) fn wake_among(word: *const u32, count: i32, groups: u32) -> usize {
    // So that loom lets others run between the change of the word and this.
    look(word);
    let name = word.addr();
    wake_if(|sleeper| sleeper.word == name && sleeper.groups & groups != 0, count as usize, false)
}
