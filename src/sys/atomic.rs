//! The one place that names core's atomics, so that a model checker can stand in for them.

pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};

/// The words on which the algorithms between processes turn, and on which is slept: under `--cfg loom` loom's. Statistics,
/// and what only a holder writes, stay core's: they order nothing, and each would double what loom has to search.
pub(crate) mod modelled {
    #[cfg(not(loom))]
    pub(crate) use core::sync::atomic::{AtomicU64, fence};
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicU64, fence};

    /// Where the futex in a word stands, `byte` bytes from its start. For the kernel; nobody else follows it.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn futex(word: &AtomicU64, byte: usize) -> *const u32 {
        word.as_ptr().cast_const().cast::<u8>().wrapping_add(byte).cast()
    }

    /// Under loom, a name for the word, and for the half of it: see `loom/futex.rs`. (What no model uses may be core's.)
    #[cfg(loom)]
    pub(crate) fn futex<T>(word: &T, byte: usize) -> *const u32 {
        core::ptr::from_ref(word).cast::<u8>().wrapping_add(byte).cast()
    }
}

/// A `const fn` that makes a modelled word: not `const` under loom, whose atomics have an identity.
macro_rules! const_fn {
    ($(#[$meta:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])*
        $visibility fn $($rest)*
    };
}
pub(crate) use const_fn;
