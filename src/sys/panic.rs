//! What a C library without std does when Rust code panics: end the process, as `abort` does.
//!
//! Behind a cfg, not a feature: features unify across a build, and std programs have a handler.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never returns.
    unsafe { libc::abort() }
}
