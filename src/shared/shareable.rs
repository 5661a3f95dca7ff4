//! What may be put in memory that several processes map.

use core::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize,
};

/// Types whose values may be in memory that several processes map.
///
/// Numbers are, the atomics of integers, forq's locks, and arrays and slices of these. Structures of them are
/// defined by [`shareable!`](crate::shareable), which also declares types that are [`bytemuck::Pod`].
///
/// # Safety
/// A value must be valid and mean the same in every process that maps it: no pointers or references,
/// no file descriptors, no thread-local state, nothing that `Drop` has to do. Whatever changes through
/// a shared reference must be atomic or guarded by a forq lock, and valid whatever bytes a process
/// leaves that is killed in the middle of a change.
pub unsafe trait Shareable: Send + Sync {
    /// Called once when the value has got its place in shared memory, before anyone else sees it.
    #[doc(hidden)]
    fn place(&mut self) {}

    /// Whether the kernel or libc may still refer to the value from this process: a lock in it is
    /// held. Such memory is never unmapped.
    #[doc(hidden)]
    fn is_in_use(&self) -> bool {
        false
    }
}

macro_rules! plain {
    ($($name:ty)*) => { $(
        // SAFETY: any bytes are a value; what is atomic is lock-free on every target that has the type.
        unsafe impl Shareable for $name {}
    )* };
}
plain!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
plain!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize AtomicI8 AtomicI16 AtomicI32 AtomicI64 AtomicIsize);

// SAFETY: if each may be shared, so may a row of them.
unsafe impl<T: Shareable> Shareable for [T] {
    fn place(&mut self) {
        self.iter_mut().for_each(T::place);
    }

    fn is_in_use(&self) -> bool {
        self.iter().any(T::is_in_use)
    }
}

// SAFETY: as for slices.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {
    fn place(&mut self) {
        self.as_mut_slice().place();
    }

    fn is_in_use(&self) -> bool {
        self.as_slice().is_in_use()
    }
}

/// For [`shareable!`](crate::shareable): compiles for plain data only.
#[doc(hidden)]
pub const fn assert_pod<T: bytemuck::Pod>() {}
