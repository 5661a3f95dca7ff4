//! The marks at which the stepped part of a victim begins and ends.

/// Stops a traced process. Untraced, it ends the process by SIGTRAP.
#[inline(always)]
pub(super) fn trap() {
    // SAFETY: raises a signal that the tracer takes. The compiler must assume that it touches
    // memory, so nothing is moved across the mark.
    unsafe { core::arch::asm!("int3") };
}

/// The first byte of the instruction that [`trap`] is.
pub(super) const TRAP: u8 = 0xcc;
