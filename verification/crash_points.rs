//! Kills a process at every instruction of the operations of [`forq::Mutex`], [`forq::Semaphore`],
//! [`forq::Event`] and [`forq::Barrier`], and checks that nobody hangs, that whoever comes next is told of the death of
//! a mutex's holder exactly when there was one to tell of, and that all accounts close.
//!
//! Run it by `verification/crash_points.sh`, which builds it with the flags that it needs: sleeps are
//! bounded by 60 s instead of 250 ms (`--cfg forq_long_sleeps`), so that the bound hides no lost
//! wake-up from a watchdog of 10 s. Linux on x86_64 only: the victim is stepped by `ptrace`.
//!
//! What happens for each row of the table that it prints, and how to read it: `verification/README.md`.

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "crash_points/mod.rs"]
mod harness;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
fn main() -> std::process::ExitCode {
    if cfg!(forq_long_sleeps) {
        return harness::run();
    }
    println!("crash points need RUSTFLAGS=--cfg forq_long_sleeps; run verification/crash_points.sh");
    // Plain `cargo test` goes on; the script must not take a skipped run for a good one.
    let required = std::env::var_os("FORQ_CRASH_POINTS").is_some();
    std::process::ExitCode::from(if required { 2 } else { 0 })
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
fn main() {
    println!("crash points: not run. They step a process by ptrace on Linux x86_64; this is another system.");
}
