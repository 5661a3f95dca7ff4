//! Kills a process at every instruction of every operation of collections, values and segments, and checks that whoever comes next finds
//! what was before or after the operation, that nothing else is lost, and that every block of memory is accounted for.
//!
//! Run it by `verification/collections.sh`; what it does and how to read it: `verification/README.md`. Linux on x86_64 only: the victim is
//! stepped by `ptrace`.

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "collections/mod.rs"]
mod harness;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
mod harness {
    pub(crate) fn run() -> std::process::ExitCode {
        println!("crash points of collections: not run. They step a process by ptrace on Linux x86_64.");
        std::process::ExitCode::SUCCESS
    }
}

fn main() -> std::process::ExitCode {
    harness::run()
}
