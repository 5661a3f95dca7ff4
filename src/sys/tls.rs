//! Where a thread's block lives: initial-exec thread-local storage, defined in assembly.
//!
//! Why not `thread_local!`: without std there is none, and in a library that was loaded with
//! `dlopen` the general-dynamic model calls malloc at a thread's first access. The initial-exec
//! model reads one register and one constant; libc keeps room for such blocks in late libraries.

use super::thread::Thread;

/// The version is part of the name, so that two versions of the crate can be in one program.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! symbol {
    () => {
        concat!(
            "forq_thread_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .tbss.forq_thread,\"awT\",%nobits",
    ".p2align 6",
    concat!(".globl ", symbol!()),
    concat!(".hidden ", symbol!()),
    concat!(".type ", symbol!(), ", %object"),
    concat!(".size ", symbol!(), ", 128"),
    concat!(symbol!(), ":"),
    ".zero 128",
    ".popsection",
);

/// This thread's block, all zero in a new thread.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn block() -> *const Thread {
    let block: *const Thread;
    // SAFETY: reads the thread pointer and a constant that the linker filled in; touches no other memory.
    unsafe {
        core::arch::asm!(
            "mov {block}, qword ptr fs:[0]",
            concat!("add {block}, qword ptr [rip + ", symbol!(), "@GOTTPOFF]"),
            block = out(reg) block,
            options(pure, nomem, nostack),
        );
    }
    block
}

/// This thread's block, all zero in a new thread.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn block() -> *const Thread {
    let block: *const Thread;
    // SAFETY: reads the thread pointer and a constant that the linker filled in; touches no other memory.
    unsafe {
        core::arch::asm!(
            "mrs {base}, tpidr_el0",
            concat!("adrp {block}, :gottprel:", symbol!()),
            concat!("ldr {block}, [{block}, :gottprel_lo12:", symbol!(), "]"),
            "add {block}, {block}, {base}",
            base = out(reg) _,
            block = out(reg) block,
            options(pure, nomem, nostack),
        );
    }
    block
}

#[cfg(all(not(any(target_arch = "x86_64", target_arch = "aarch64")), feature = "std"))]
pub(super) fn block() -> *const Thread {
    std::thread_local! {
        static BLOCK: Thread = const { Thread::new() };
    }
    BLOCK.with(|block| block as *const Thread)
}

#[cfg(all(not(any(target_arch = "x86_64", target_arch = "aarch64")), not(feature = "std")))]
compile_error!("without std, forq knows thread-local storage of x86_64 and aarch64 only");
