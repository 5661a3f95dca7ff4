//! Tells why programs that use forq do not go on: who holds which mutex, who waits for whom, in circles or for the stopped and the dead; which queues
//! stay full, and which workers of pools are stopped.
//!
//! ```text
//! cargo run --release --example forq-doctor -- [--json] PID...
//! ```
//!
//! Looks at the processes given and at all that share memory with them, for half a second, from outside: at their threads' robust lists,
//! at the futex calls that they sleep in, and at a copy of the objects that both name. Nothing is stopped and nothing is slowed down; nothing had to
//! be switched on before. Objects that their program gave names are called by them. It takes the right to trace the processes (the same user, and what
//! `kernel.yama.ptrace_scope` asks for) and their PID namespace.
//!
//! Of a queue that stays full it cannot know who should take from it: it names the processes that have it mapped and are stopped, or wait for a mutex in vain.
//!
//! The exit code is 0 if nothing is stuck, 2 if something is, 1 if a process cannot be looked at or the
//! arguments are wrong.

mod diagnosis;
#[path = "../inspect/mod.rs"]
mod inspect;
mod pools;
mod queues;
mod report;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use diagnosis::examine;

/// Tells why programs that use forq do not go on.
#[derive(Debug, Parser)]
struct Arguments {
    /// Processes; those that share memory with them are found.
    #[arg(required = true, value_name = "PID")]
    pids: Vec<u32>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match examine(&arguments.pids) {
        Ok(found) => {
            let text = if arguments.json { found.to_json().to_string() } else { found.to_text().join("\n") };
            match writeln!(std::io::stdout(), "{text}") {
                // Who reads has enough.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    eprintln!("forq-doctor: {error}");
                    ExitCode::FAILURE
                }
                _ => ExitCode::from(if found.is_stuck() { 2 } else { 0 }),
            }
        }
        Err(error) => {
            eprintln!("forq-doctor: {error}");
            ExitCode::FAILURE
        }
    }
}
