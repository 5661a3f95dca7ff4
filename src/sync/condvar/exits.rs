//! How many of a generation have left, for those who came after it: whoever has neither claimed nor left may be dead.
//!
//! Counted only while somebody of the next generation has asked for it (so a condition variable whose
//! waiters have no elders never writes here), and so that differences tell, not the numbers themselves.
//!
//! | word | part | bits | meaning | changed by |
//! |---|---|---|---|---|
//! | one for even, one for odd generations | left | 0-31 | so many have left since somebody asked | who leaves; who asks first: 0 |
//! | | generation | 32-63 | whose they are | who asks first |
//!
//! Two generations are asked after at a time at most: the elders of those who wait, and the elders of those. An error
//! (who leaves is stopped between two instructions, or dies there) makes the dead seem more, never fewer.
//! All Relaxed: who arrives and who leaves does so with the mutex held.

use super::state::Generation;
use crate::sys::atomic::{AtomicU64, Ordering};

#[repr(transparent)]
pub(super) struct Exits([AtomicU64; 2]);

const GENERATION_SHIFT: u32 = 32;

impl Exits {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 2])
    }

    fn word(&self, generation: Generation) -> &AtomicU64 {
        &self.0[(generation.number() % 2) as usize]
    }

    /// Asks for it to be counted from now on; how many have left so far.
    pub(super) fn watch(&self, generation: Generation) -> u32 {
        let word = self.word(generation);
        let seen = word.load(Ordering::Relaxed);
        if is_of(seen, generation) {
            return seen as u32;
        }
        let none = generation.number() << GENERATION_SHIFT;
        match word.compare_exchange(seen, none, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => 0,
            Err(other) if is_of(other, generation) => other as u32,
            // Of another by now: then so is the state, and the caller asks again.
            Err(_) => 0,
        }
    }

    /// How many have left since [`Exits::watch`] said `before`.
    pub(super) fn since(&self, generation: Generation, before: u32) -> u32 {
        let seen = self.word(generation).load(Ordering::Relaxed);
        if is_of(seen, generation) { (seen as u32).saturating_sub(before) } else { 0 }
    }

    /// One leaves; or is back, `by` being -1.
    pub(super) fn count(&self, generation: Generation, by: i32) {
        let _ = self.word(generation).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            let left = (seen as u32).saturating_add_signed(by);
            is_of(seen, generation).then_some(generation.number() << GENERATION_SHIFT | u64::from(left))
        });
    }
}

fn is_of(word: u64, generation: Generation) -> bool {
    word >> GENERATION_SHIFT == generation.number()
}
