//! Tells why programs that use forq's mutexes do not go on: who holds what, who waits for whom, in circles or for the stopped and the dead.
//!
//! ```text
//! cargo run --release --example forq-doctor -- [--json] PID...
//! ```
//!
//! Looks at the processes given and at all that share memory with them, for half a second, from outside: at their threads' robust lists,
//! at the futex calls that they sleep in, and at a copy of the mutexes that both name. Nothing is stopped and nothing is slowed down; nothing had to
//! be switched on before. It takes the right to trace the processes (the same user, and what `kernel.yama.ptrace_scope` asks for).
//!
//! The exit code is 0 if nothing is stuck, 2 if something is, 1 if a process cannot be looked at or the
//! arguments are wrong.

mod diagnosis;
mod process;

use std::process::ExitCode;

use clap::Parser;
use diagnosis::{Diagnosis, Wait, examine};
use serde_json::json;

/// Tells why programs that use forq's mutexes do not go on.
#[derive(Debug, Parser)]
struct Arguments {
    /// Processes; those that share memory with them are found.
    #[arg(required = true, value_name = "PID")]
    pids: Vec<u32>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn name(place: &process::Place) -> String {
    format!("mutex at {:#x} of {}", place.offset, place.memory)
}

fn print(found: &Diagnosis) {
    println!("processes: {}", found.processes.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
    for hold in &found.holds {
        let statistics = hold.view.statistics;
        println!(
            "held: {} by thread {} of process {}, {} announced to wait; taken {} times, {} after a wait of at most {:.1} ms",
            name(&hold.place),
            hold.tid,
            hold.pid,
            hold.view.waiters,
            statistics.acquisitions,
            statistics.contended,
            statistics.waited_max_ns as f64 / 1e6
        );
    }
    let tell = |what: &str, wait: &Wait| {
        println!(
            "{what}: thread {} of process {} waits for {}, held by thread {}",
            wait.tid,
            wait.pid,
            name(&wait.place),
            wait.view.owner
        );
    };
    found.waits.iter().for_each(|wait| tell("wait", wait));
    found.stopped.iter().for_each(|wait| tell("STUCK, the holder is stopped", wait));
    found.dead.iter().for_each(|wait| tell("STUCK, the holder is no more", wait));
    for cycle in &found.cycles {
        let threads: Vec<_> = cycle.iter().chain(&cycle[..1]).map(u32::to_string).collect();
        println!("STUCK, a circle: thread {}", threads.join(" waits for "));
    }
    if !found.is_stuck() {
        println!("nothing is stuck");
    }
}

fn to_json(found: &Diagnosis) -> serde_json::Value {
    let waits = |waits: &[Wait]| -> Vec<_> {
        let one = |wait: &Wait| {
            json!({
                "pid": wait.pid, "tid": wait.tid, "owner": wait.view.owner,
                "memory": wait.place.memory, "offset": wait.place.offset,
            })
        };
        waits.iter().map(one).collect()
    };
    let holds = found.holds.iter().map(|hold| {
        json!({
            "pid": hold.pid, "tid": hold.tid, "memory": hold.place.memory, "offset": hold.place.offset,
            "waiters": hold.view.waiters, "is_inconsistent": hold.view.is_inconsistent,
            "acquisitions": hold.view.statistics.acquisitions, "contended": hold.view.statistics.contended,
            "slept": hold.view.statistics.slept, "waited_ns": hold.view.statistics.waited_ns,
            "waited_max_ns": hold.view.statistics.waited_max_ns,
            "holder_deaths": hold.view.statistics.holder_deaths,
        })
    });
    json!({
        "processes": found.processes,
        "holds": holds.collect::<Vec<_>>(),
        "waits": waits(&found.waits),
        "cycles": found.cycles,
        "stopped": waits(&found.stopped),
        "dead": waits(&found.dead),
        "is_stuck": found.is_stuck(),
    })
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
            if arguments.json {
                println!("{}", to_json(&found));
            } else {
                print(&found);
            }
            ExitCode::from(if found.is_stuck() { 2 } else { 0 })
        }
        Err(error) => {
            eprintln!("forq-doctor: {error}");
            ExitCode::FAILURE
        }
    }
}
