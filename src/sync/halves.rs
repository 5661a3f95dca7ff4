//! The shape of the states of semaphore, event and barrier: 64 bits, changed only as a whole, the first
//! half of which, in memory, is what sleepers sleep on. The same on both endiannesses.

use crate::sys::atomic::modelled::{self, AtomicU64};

/// A value of such a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves {
    /// Bytes 0-3: what the kernel compares a sleeper's expectation with.
    pub(super) futex: u32,
    /// Bytes 4-7: what only we look at.
    pub(super) own: u32,
}

impl Halves {
    pub(super) const fn of(value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
        Self { futex: u32::from_ne_bytes([a, b, c, d]), own: u32::from_ne_bytes([e, f, g, h]) }
    }

    pub(super) const fn value(self) -> u64 {
        let ([a, b, c, d], [e, f, g, h]) = (self.futex.to_ne_bytes(), self.own.to_ne_bytes());
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The address of the half that is slept on. Only the kernel accesses it by itself.
pub(super) fn futex(state: &AtomicU64) -> *const u32 {
    modelled::futex(state, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::atomic::Ordering;

    #[test]
    fn the_futex_half_is_where_the_kernel_looks() {
        let halves = Halves { futex: 0x8000_0001, own: 7 };
        let state = AtomicU64::new(halves.value());
        // SAFETY: the state's first four bytes; nobody else uses it.
        assert_eq!(unsafe { futex(&state).read() }, halves.futex);
        assert_eq!(Halves::of(state.load(Ordering::Relaxed)), halves);
    }
}
