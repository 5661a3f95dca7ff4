//! The harness: each operation is recorded once, then run again and killed wherever anything that outlives the victim has changed.

mod operations;
mod path;
mod recorder;
mod room;
mod stage;
mod tracee;
mod trial;
mod victim;

use std::process::ExitCode;
use std::time::Instant;

/// Runs what the program's first argument selects, all without one.
pub(crate) fn run() -> ExitCode {
    let filter = std::env::args().nth(1).unwrap_or_default();
    // What is killed while it recovers is killed after every so many points of the first one, from this one on: 1 is all.
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let stride = setting("FORQ_CRASH_STRIDE").unwrap_or(25).max(1);
    let from = setting("FORQ_CRASH_FROM").unwrap_or(0) % stride;
    room::take();
    let started = Instant::now();
    let (mut kills, mut recoveries, mut strays, mut stepped, mut corrected, mut failures) =
        (0, 0, 0, 0, 0, 0);
    println!(
        "| operation | instructions | kills | kills while recovering | of these, another way | failures |\n|---|---:|---:|---:|---:|---:|"
    );
    for operation in operations::all().iter().filter(|operation| operation.name.contains(&filter)) {
        let tally = trial::run(operation, stride, from);
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            operation.name, tally.instructions, tally.kills, tally.recoveries, tally.strays, tally.failures
        );
        kills += tally.kills;
        recoveries += tally.recoveries;
        strays += tally.strays;
        stepped += tally.stepped;
        corrected += tally.corrected;
        failures += tally.failures;
    }
    println!(
        "{kills} kills, {recoveries} more while recovering ({strays} on another way, {stepped} by single steps; {corrected} recoveries recorded twice), {failures} failures, {:.1} s",
        started.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(failures > 0 || kills == 0))
}
