//! Cycles of waiters: found by those who wait, across processes, and reported to one of them.
//!
//! Who has slept for a while for a mutex, holding others, writes into each of those whom it waits for: an *edge* of the
//! wait-for graph (thread, number of the wait, distance to the wanted mutex). Then, and again from time to time, it walks: from the
//! mutex it wants to that one's owner, along the edge that the owner left in it to what the owner wants, and so on, until it
//! comes to a mutex of its own, or to an end. A walk that comes home twice with the same waits has found a deadlock:
//! each wait of it lasted from its first to its second sight, so all of them lasted at the moment between the two, and each of
//! the waiters held its mutex meanwhile. (Edge chasing: K. M. Chandy, J. Misra and L. M. Haas, "Distributed deadlock detection",
//! 1983; here the graph is in shared memory, so that nothing needs to be sent.)
//!
//! - An edge counts only while its thread owns the mutex in which it stands, and is withdrawn when the wait ends; the taker after
//!   a death clears it. So the dead have none.
//! - Only waits without limit leave edges: the others end by themselves. They may find themselves in a cycle, which then nobody
//!   else sees, and report it. Of the others, the one with the highest thread id does.
//! - An edge is a distance, since addresses differ between processes: so only mutexes in one shared mapping can be
//!   linked. What lies at the end of a distance is read by the kernel's leave, never by a load.
//!
//! The short paths know nothing of it.

use core::ops::Range;

use super::raw::RawMutex;
use super::state::State;
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::clock;
use crate::sys::thread::Thread;
use crate::sys::{map, maps};

/// How long a thread sleeps before it leaves edges, and between walks; long with long sleeps, which must hide nothing.
const FIRST_WALK: u64 = if cfg!(forq_long_sleeps) { 60_000_000_000 } else { 50_000_000 };
const NEXT_WALK: u64 = if cfg!(forq_long_sleeps) { 60_000_000_000 } else { 250_000_000 };
/// Between the first and the second sight of a cycle.
const SECOND_SIGHT: u64 = 2_000_000;
/// Longer chains are not followed.
const MOST_STEPS: usize = 256;

/// Whom the owner of a mutex waits for.
#[repr(C)]
pub(super) struct Edge {
    /// The thread in the low half, the number of its wait in the high one; 0: none.
    waiter: AtomicU64,
    /// From this mutex to the wanted one, in bytes, modulo 2^64.
    distance: AtomicU64,
}

impl Edge {
    pub(super) const fn new() -> Self {
        Self { waiter: AtomicU64::new(0), distance: AtomicU64::new(0) }
    }

    fn leave(&self, waiter: u64, distance: u64) {
        self.clear();
        self.distance.store(distance, Ordering::Relaxed);
        // Release pairs with the fence of `see`: who sees the waiter sees the distance.
        self.waiter.store(waiter, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.waiter.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
    }
}

/// What a walk sees of one mutex.
#[derive(Clone, Copy)]
struct View {
    state: State,
    waiter: u64,
    distance: u64,
}

/// A cycle, as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sight {
    steps: usize,
    /// All waits in it, mixed.
    waits: u64,
    /// The highest thread id among the others.
    highest: u32,
}

/// One wait's part in finding deadlocks.
pub(super) struct Watch {
    /// When to walk next; 0: not decided yet, `u64::MAX`: this thread holds nothing, so it closes no cycle.
    next: u64,
    is_timed: bool,
    /// This wait's name in edges; 0 while it has left none.
    waiter: u64,
    before: Option<Sight>,
}

impl Watch {
    pub(super) fn new(is_timed: bool) -> Self {
        Self { next: 0, is_timed, waiter: 0, before: None }
    }

    /// How long to sleep at most from `now`, if this thread has to watch.
    pub(super) fn patience(&mut self, thread: &Thread, now: u64) -> Option<u64> {
        if self.next == 0 {
            self.next = if thread.holds_lock() { now + FIRST_WALK } else { u64::MAX };
        }
        (self.next != u64::MAX).then(|| self.next.saturating_sub(now).max(1))
    }

    /// Whether `wanted`, for which this thread has just slept, will never be free: to be asked after each sleep.
    pub(super) fn finds_deadlock(&mut self, thread: &Thread, wanted: &RawMutex) -> bool {
        let now = clock::now();
        if now < self.next {
            return false;
        }
        self.next = now + NEXT_WALK;
        let start = wanted.address();
        let Some(range) = maps::shared_range_of(start) else { return false };
        if !self.is_timed && self.waiter == 0 {
            self.waiter = u64::from(thread.next_wait()) << 32 | u64::from(thread.tid());
            thread.each_held(|held| {
                if contains(&range, held.address()) {
                    held.edge.leave(self.waiter, start.wrapping_sub(held.address()) as u64);
                }
            });
        }
        let sight = walk(thread.tid(), wanted, &range);
        let is_second = sight.is_some() && sight == self.before;
        self.before = sight;
        if !is_second && sight.is_some() {
            self.next = now + SECOND_SIGHT;
        }
        is_second && (self.is_timed || sight.is_some_and(|sight| sight.highest < thread.tid()))
    }

    /// Takes the edges back: the wait is over.
    pub(super) fn end(&self, thread: &Thread) {
        if self.waiter != 0 {
            thread.each_held(|held| {
                if held.edge.waiter.load(Ordering::Relaxed) == self.waiter {
                    held.edge.clear();
                }
            });
        }
    }
}

fn contains(range: &Range<usize>, address: usize) -> bool {
    range.contains(&address) && range.contains(&(address + size_of::<RawMutex>() - 1))
}

/// Follows the edges from `wanted` until they lead to a mutex that thread `home` owns.
fn walk(home: u32, wanted: &RawMutex, range: &Range<usize>) -> Option<Sight> {
    let mut sight = Sight { steps: 0, waits: 0, highest: 0 };
    let mut at = wanted.address();
    while sight.steps < MOST_STEPS {
        let seen = see(at)?;
        let owner = seen.state.owner();
        if owner == home {
            return Some(sight);
        }
        if owner == 0 || seen.waiter as u32 != owner {
            return None;
        }
        sight.steps += 1;
        sight.waits = (sight.waits.rotate_left(5) ^ seen.waiter).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sight.highest = sight.highest.max(owner);
        at = at.wrapping_add(seen.distance as usize);
        if at % align_of::<RawMutex>() != 0 || !contains(range, at) {
            return None;
        }
    }
    None
}

/// Whatever lies at an address, read as a mutex; `None` if nothing is mapped there.
fn see(address: usize) -> Option<View> {
    const WORDS: usize = size_of::<RawMutex>() / 8;
    const EDGE: usize = RawMutex::EDGE_OFFSET / 8;
    let mut words = [0u64; WORDS];
    // Acquire, by the fence: pairs with `leave`. A distance of another wait than the waiter's can be seen only
    // if one ended meanwhile: then the second sight differs from the first.
    let is_mapped = map::read_own(address, &mut words);
    fence(Ordering::Acquire);
    is_mapped.then(|| View { state: State(words[0]), waiter: words[EDGE], distance: words[EDGE + 1] })
}
