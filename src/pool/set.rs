//! A set of job slots: bits in three levels, so that the next member is found in a few loads however many slots there are.

use super::control::JOBS;
use crate::sys::atomic::{AtomicU64, Ordering};

const LEAVES: usize = JOBS / 64;
const BRANCHES: usize = LEAVES / 64;

/// All bytes zero: empty.
///
/// A bit of a branch, or of the root, says that the word below it may not be zero. It may be missing only while
/// somebody is inside [`Set::remove`]; should that one die there, adding the same member again makes it good.
#[repr(C, align(64))]
pub(super) struct Set {
    root: AtomicU64,
    branches: [AtomicU64; BRANCHES],
    leaves: [AtomicU64; LEAVES],
}

static_assertions::const_assert!(BRANCHES <= 64);

impl Set {
    /// Adds a member.
    // All SeqCst: an adder that finds a bit above set already, and a remover that clears it, must not both miss the other.
    pub(super) fn insert(&self, member: usize) {
        self.leaves[member / 64].fetch_or(1 << (member % 64), Ordering::SeqCst);
        let leaf = member / 64;
        let mark = |word: &AtomicU64, bit: u64| {
            if word.load(Ordering::SeqCst) & bit == 0 {
                word.fetch_or(bit, Ordering::SeqCst);
            }
        };
        mark(&self.branches[leaf / 64], 1 << (leaf % 64));
        mark(&self.root, 1 << (leaf / 64));
    }

    /// Takes a member out. True: others may have overlooked a member meanwhile.
    pub(super) fn remove(&self, member: usize) -> bool {
        let leaf = member / 64;
        let bit = 1 << (member % 64);
        if self.leaves[leaf].fetch_and(!bit, Ordering::SeqCst) & !bit != 0 {
            return false;
        }
        let branch = leaf / 64;
        let missed = Self::unmark(&self.branches[branch], 1 << (leaf % 64), &self.leaves[leaf]);
        if self.branches[branch].load(Ordering::SeqCst) != 0 {
            return missed;
        }
        missed | Self::unmark(&self.root, 1 << branch, &self.branches[branch])
    }

    /// Clears a bit, unless there is something below it after all.
    fn unmark(word: &AtomicU64, bit: u64, below: &AtomicU64) -> bool {
        word.fetch_and(!bit, Ordering::SeqCst);
        let filled = below.load(Ordering::SeqCst) != 0;
        if filled {
            word.fetch_or(bit, Ordering::SeqCst);
        }
        filled
    }

    /// How many members there are.
    #[cfg(feature = "std")]
    pub(super) fn len(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.load(Ordering::SeqCst) == 0
    }

    /// Whether there is a member besides this one.
    pub(super) fn has_others(&self, member: usize) -> bool {
        let leaf = member / 64;
        // Relaxed: only a hint.
        let more = |word: &AtomicU64, bit: u64| word.load(Ordering::Relaxed) & !bit != 0;
        more(&self.leaves[leaf], 1 << (member % 64))
            || more(&self.branches[leaf / 64], 1 << (leaf % 64))
            || more(&self.root, 1 << (leaf / 64))
    }

    /// The first member from `start` on, or else the first of all.
    pub(super) fn next(&self, start: usize) -> Option<usize> {
        self.next_from(start).or_else(|| self.next_from(0))
    }

    /// The first member from `start` on.
    pub(super) fn next_from(&self, start: usize) -> Option<usize> {
        // Acquire: what the adder wrote before is seen.
        let first = |word: &AtomicU64, from: usize| {
            let bits = if from < 64 { word.load(Ordering::Acquire) >> from << from } else { 0 };
            (bits != 0).then(|| bits.trailing_zeros() as usize)
        };
        if start >= JOBS {
            return None;
        }
        let mut leaf = start / 64;
        if let Some(bit) = first(&self.leaves[leaf], start % 64) {
            return Some(leaf * 64 + bit);
        }
        // A bit above may be out of date: then on to the next.
        leaf += 1;
        while leaf < LEAVES {
            let mut branch = leaf / 64;
            let mut from = leaf % 64;
            if first(&self.branches[branch], from).is_none() {
                branch = first(&self.root, branch + 1)?;
                from = 0;
            }
            let Some(bit) = first(&self.branches[branch], from) else {
                leaf = (branch + 1) * 64;
                continue;
            };
            leaf = branch * 64 + bit;
            if let Some(bit) = first(&self.leaves[leaf], 0) {
                return Some(leaf * 64 + bit);
            }
            leaf += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Box<Set> {
        // SAFETY: all bytes zero are an empty set.
        unsafe { Box::new_zeroed().assume_init() }
    }

    #[test]
    fn members_are_found_in_order_and_around() {
        let set = empty();
        assert!(set.is_empty() && set.next(0).is_none());
        let members = [0, 1, 63, 64, 4095, 4096, 70_000, JOBS - 1];
        members.iter().for_each(|&member| set.insert(member));
        let mut found = vec![];
        let mut at = 0;
        for _ in members {
            let member = set.next(at).unwrap();
            found.push(member);
            at = member + 1;
        }
        assert_eq!(found, members);
        assert_eq!(set.next(at), Some(0), "around");
        assert_eq!(set.next(65), Some(4095));
        assert!(set.has_others(0));
        for (index, &member) in members.iter().enumerate() {
            assert!(!set.is_empty());
            set.remove(member);
            assert_eq!(set.next(0), members.get(index + 1).copied());
        }
        assert!(set.is_empty());
        set.insert(JOBS - 1);
        assert!(!set.has_others(JOBS - 1));
        assert_eq!(set.next(5), Some(JOBS - 1));
    }

    #[test]
    fn what_is_added_while_others_are_removed_is_found() {
        let set = empty();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let set = &set;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let member = thread + 64 * (round % 3) + 4096 * (round % 2);
                        set.insert(member);
                        set.remove(member);
                    }
                    set.insert(thread);
                });
            }
        });
        for thread in 0..4 {
            assert_eq!(set.next(thread), Some(thread));
            set.remove(thread);
        }
        assert!(set.is_empty());
    }
}
