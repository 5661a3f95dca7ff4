//! The whole run: workers that share out the kills, the sweep, the table.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::Shared;

use super::channel;
use super::failure::Checked;
use super::ownerless;
use super::path::Path;
use super::pipe;
use super::queue;
use super::row::{self, Share, Tally};
use super::scenario::{self, Scenario};
use super::stage::Stage;
use super::system::{self, Change};
use super::turn;

/// With the real bound they mostly wait for it.
const WORKERS: usize = if cfg!(forq_long_sleeps) { 2 } else { 128 };
/// No run takes so long, unless the harness itself hangs.
const LIMIT: Duration = Duration::from_secs(if cfg!(forq_long_sleeps) { 900 } else { 240 });
/// One in so many kills may be missed: on a machine that is too busy a victim may not come to its place in time.
const MISSED: u64 = 20;
/// From row to row, where the next worker begins.
const SPREAD: usize = 7;
/// Rows at most.
const ROWS: usize = 1024;

forq::shareable! {
    /// What the workers found out about a row.
    pub(crate) struct Found {
        instructions: AtomicU64,
        kills: AtomicU64,
        inapplicable: AtomicU64,
        missed: AtomicU64,
        failures: AtomicU64,
        left: AtomicU64,
    }
}

forq::shareable! {
    /// What the workers found out.
    pub(crate) struct Results {
        rows: [Found; ROWS],
        stop: AtomicU32,
        done: AtomicU32,
    }
}

/// One row of the table.
enum Row {
    Mutex(Scenario),
    Ownerless(ownerless::Plan, Checked<Path>),
    /// And its number: each is a whole one for one worker.
    Queue(queue::Plan, usize),
    /// As above.
    Channel(channel::Plan, usize),
    /// As above.
    Pipe(pipe::Plan, usize),
}

impl Row {
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Mutex(row) => (row.operation.name, row.context.name),
            Self::Ownerless(row, _) => (row.operation, row.context),
            Self::Queue(row, _) => (row.operation, row.context),
            Self::Channel(row, _) => (row.operation, row.context),
            Self::Pipe(row, _) => (row.operation, row.context),
        }
    }

    fn run(&self, share: Share, fails: &mut dyn FnMut(&str) -> bool) -> Tally {
        match self {
            Self::Mutex(row) => row::run(row, share, fails),
            Self::Ownerless(row, path) => ownerless::run(row, path, share, fails),
            Self::Queue(row, number) if number % share.workers == share.index => queue::run(row, fails),
            Self::Channel(row, number) if number % share.workers == share.index => channel::run(row, fails),
            Self::Pipe(row, number) if number % share.workers == share.index => pipe::run(row, fails),
            Self::Queue(..) | Self::Channel(..) | Self::Pipe(..) => Tally::default(),
        }
    }
}

/// All rows of this build whose operation or context contains the filter. Ways are recorded once, for all workers.
fn rows(filter: &str) -> Vec<Row> {
    let named = |operation: &str, context: &str| format!("{operation} / {context}").contains(filter);
    // The mutex has no use for the bound.
    let mutexes = if cfg!(forq_long_sleeps) { scenario::all() } else { Vec::new() };
    let mutexes = mutexes.into_iter().filter(|row| named(row.operation.name, row.context.name));
    let others = ownerless::all().into_iter().filter(|row| named(row.operation, row.context));
    let others = others.map(|plan| Row::Ownerless(plan, ownerless::path(&plan)));
    let queues = queue::all().into_iter().filter(|row| named(row.operation, row.context));
    let queues = queues.enumerate().map(|(number, plan)| Row::Queue(plan, number));
    let channels = channel::all().into_iter().filter(|row| named(row.operation, row.context));
    let channels = channels.enumerate().map(|(number, plan)| Row::Channel(plan, number));
    let pipes = pipe::all().into_iter().filter(|row| named(row.operation, row.context));
    let pipes = pipes.enumerate().map(|(number, plan)| Row::Pipe(plan, number));
    mutexes.map(Row::Mutex).chain(others).chain(queues).chain(channels).chain(pipes).collect()
}

impl Found {
    fn add(&self, tally: Tally) {
        // The same in all workers.
        self.instructions.fetch_max(tally.instructions, Ordering::Relaxed);
        self.kills.fetch_add(tally.kills, Ordering::Relaxed);
        self.inapplicable.fetch_add(tally.inapplicable, Ordering::Relaxed);
        self.missed.fetch_add(tally.missed, Ordering::Relaxed);
        self.failures.fetch_add(tally.failures, Ordering::Relaxed);
        self.left.fetch_add(tally.left, Ordering::Relaxed);
    }

    fn get(&self) -> Tally {
        Tally {
            instructions: self.instructions.load(Ordering::Relaxed),
            kills: self.kills.load(Ordering::Relaxed),
            inapplicable: self.inapplicable.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            left: self.left.load(Ordering::Relaxed),
        }
    }
}

/// Runs all rows, or those whose operation or context contains the first argument.
pub(crate) fn run() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let at_first = std::env::var_os("FORQ_CRASH_POINTS_FIRST").is_some();
    let started = Instant::now();
    system::adopt_orphans();
    system::hold_child_signals();
    // What is measured once per program is measured here, and inherited.
    Stage::new().warm_up();
    forq::Backoff::new().snooze();
    system::stay_on_cpu(0);
    turn::prepare();
    // First, so that the ways are recorded with all the mappings that the workers have: the search for deadlocks reads them.
    let results = Shared::new(Results {
        rows: std::array::from_fn(|_| Found {
            instructions: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            inapplicable: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            left: AtomicU64::new(0),
        }),
        stop: AtomicU32::new(0),
        done: AtomicU32::new(0),
    })
    .expect("memory for the results");
    let rows = rows(&filter);
    assert!(rows.len() <= ROWS, "room for all rows");
    let workers: Vec<i32> = (0..WORKERS)
        .map(|index| system::fork(|| work(&rows, Share { index, workers: WORKERS }, &results, at_first)))
        .collect();
    let mut troubles = workers.iter().map(|&worker| supervise(worker, started)).sum::<u64>();
    if system::has_children() {
        println!("FAILED: processes are left");
        troubles += 1;
    }
    report(&rows, &results, troubles, started)
}

fn work(rows: &[Row], share: Share, results: &Results, at_first: bool) -> i32 {
    system::become_group_leader();
    system::stay_on_cpu(share.index);
    for (number, (row, found)) in rows.iter().zip(&results.rows).enumerate() {
        if results.stop.load(Ordering::Relaxed) != 0 {
            break;
        }
        // Rows of few kills are not all the first worker's.
        let share = Share { index: (share.index + SPREAD * number) % share.workers, ..share };
        let tally = row.run(share, &mut |failure| {
            println!("{failure}");
            if at_first {
                results.stop.store(1, Ordering::Relaxed);
            }
            results.stop.load(Ordering::Relaxed) == 0
        });
        found.add(tally);
    }
    results.done.fetch_add(1, Ordering::Relaxed);
    0
}

/// Waits for a worker, and ends whatever it leaves. Returns how many things went wrong.
fn supervise(worker: i32, started: Instant) -> u64 {
    let in_time = system::ends_before(worker, started + LIMIT);
    // The worker, not yet waited for, keeps its group's number from being used again.
    let (end, left) = system::sweep(worker);
    let mut troubles = 0;
    if !in_time || end != Some(Change::Exited(0)) {
        println!("FAILED: a worker ended by {end:?}");
        troubles += 1;
    }
    if left > 0 {
        println!("FAILED: a worker left {left} processes");
        troubles += 1;
    }
    troubles
}

fn report(rows: &[Row], results: &Results, troubles: u64, started: Instant) -> ExitCode {
    println!("| operation | context | instructions | kills | left to the bound | failures |");
    println!("|---|---|--:|--:|--:|--:|");
    let (mut kills, mut missed, mut failures) = (0, 0, troubles);
    for (row, found) in rows.iter().zip(&results.rows) {
        let tally = found.get();
        kills += tally.kills;
        missed += tally.missed;
        failures += tally.failures;
        let (operation, context) = row.names();
        println!(
            "| {operation} | {context} | {} | {} | {} | {} |",
            tally.instructions, tally.kills, tally.left, tally.failures
        );
    }
    let complete = results.done.load(Ordering::Relaxed) as usize == WORKERS;
    let seconds = started.elapsed().as_secs_f64();
    if missed > 0 {
        println!("crash points: {missed} kills could not be done in time");
    }
    failures += u64::from(missed > kills / MISSED);
    // With a filter, the other build may have what was asked for.
    let is_elsewhere = rows.is_empty() && std::env::var("FORQ_REAL_BOUND").is_ok_and(|bound| bound == "also");
    if failures == 0 && complete && (kills > 0 || is_elsewhere) {
        println!("crash points: passed, {kills} kills in {seconds:.1} s");
        ExitCode::SUCCESS
    } else {
        println!("crash points: FAILED, {failures} failures, {kills} kills in {seconds:.1} s");
        ExitCode::FAILURE
    }
}
