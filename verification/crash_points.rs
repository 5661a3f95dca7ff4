//! Kills a process at every instruction of the operations of every primitive, and checks that nobody hangs, that whoever
//! comes next is told of the death of a mutex's holder exactly when there was one to tell of, and that all
//! accounts close.
//!
//! Run it by `verification/crash_points.sh`, which builds it twice, with the flags that it needs. In the first build
//! sleeps are bounded by 60 s instead of 250 ms (`--cfg forq_long_sleeps`), so that the bound hides no lost
//! wake-up from a watchdog of 10 s; in the second one the bound is that of users, for what is left to it by design.
//! Linux on x86_64 only: the victim is stepped by `ptrace`.
//!
//! What happens for each row of the table that it prints, and how to read it: `verification/README.md`.

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64", feature = "capi"))]
#[path = "crash_points/mod.rs"]
mod harness;

fn main() -> std::process::ExitCode {
    // Which of the two builds the script wants; plain `cargo test` wants neither.
    let wanted = std::env::var("FORQ_CRASH_POINTS").ok();
    let here = if cfg!(forq_long_sleeps) { "long" } else { "real" };
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64", feature = "capi"))]
    if wanted.as_deref() == Some(here) {
        return harness::run();
    }
    println!(
        "crash points: not run. They step a process by ptrace on Linux x86_64; run verification/crash_points.sh. \
         Wanted: {wanted:?}, this is {here}."
    );
    // The script must not take a skipped run for a good one.
    let is_other_machine =
        cfg!(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")));
    std::process::ExitCode::from(if wanted.is_none() || is_other_machine { 0 } else { 2 })
}
