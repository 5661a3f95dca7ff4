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

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "crash_points/mod.rs"]
mod harness;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
mod harness {
    pub(crate) fn run() -> std::process::ExitCode {
        println!("crash points: not run. They step a process by ptrace on Linux x86_64.");
        std::process::ExitCode::SUCCESS
    }
}

fn main() -> std::process::ExitCode {
    harness::run()
}
