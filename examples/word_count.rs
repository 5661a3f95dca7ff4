//! Counts words in files, with a pool of worker processes.
//!
//! ```text
//! cargo run --release --example word_count -- [OPTIONS] [PATHS]...
//! ```
//!
//! A word is a longest run of bytes that are not ASCII white space, so that any text can be counted, whatever its
//! encoding. Files with a NUL byte are binary: they, and what cannot be read, are passed over and told on standard
//! error. Symbolic links are followed if they are given, not if they are found.
//!
//! Standard output has the counts and nothing else: files, bytes, what was skipped, the 20 most frequent words (words over 64
//! bytes count in the total only; with more than 2^20 distinct words the list is marked approximate),
//! and in the last line the total. `c-examples/word_count.c` prints the same, byte for byte.
//!
//! Standard error has the times. After the pool this process counts everything once more, alone and by the same code:
//! that is what the speed-up is measured against. In this order, files that were not in
//! the page cache make the pool look worse than it is, never better. `--no-baseline` leaves it out.
//!
//! The exit code is 1 if a path does not exist (the others are counted all the same) or counting failed.
//!
//! What it shows: `Pool::map_with` over borrowed context, an initializer that gives each worker its place in shared
//! memory, and results that stay exact while workers are killed: see `word_count/mod.rs`.

use std::fmt::Display;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

#[path = "word_count/progress.rs"]
mod progress;
#[path = "word_count/mod.rs"]
mod word_count;

use progress::Progress;
use word_count::block::BLOCK_SIZE;
use word_count::crew::{Alone, Crew, Failure, SPARE_TABLES};
use word_count::rounds::{Counted, Observer, Plan, count_all};
use word_count::tables::Tables;
use word_count::tops::write_report;
use word_count::worker::count_block;

/// Counts words in files, with a pool of worker processes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files, and directories to go through.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Worker processes; 0: as many as there are CPUs.
    #[arg(short, long, default_value_t = 0, value_name = "N")]
    workers: usize,
    /// Do not count everything once more in one process to tell the speed-up.
    #[arg(long)]
    no_baseline: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("word_count: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let plan = Plan { paths: &arguments.paths, block_size: BLOCK_SIZE };
    let crew = Crew::new(arguments.workers, SPARE_TABLES, count_block)?;
    let workers = crew.pool().statistics().workers;
    let tables = Arc::clone(crew.tables());
    let mut by_pool = {
        let mut terminal = Terminal { progress: Progress::start("counting", &tables), is_quiet: false };
        count_all(plan, &mut &crew, &mut terminal)?
    };
    drop(crew);
    write_report(&mut by_pool, &mut BufWriter::new(io::stdout().lock()))?;
    eprintln!("{workers} workers: {:.3} s", by_pool.took.as_secs_f64());
    if !arguments.no_baseline {
        compare(&by_pool, &count_alone(plan, &tables)?, workers);
    }
    Ok(if by_pool.sums.missing > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn count_alone(plan: Plan<'_>, tables: &Arc<Tables>) -> Result<Counted, Failure> {
    let mut terminal = Terminal { progress: Progress::start("once more, alone", tables), is_quiet: true };
    count_all(plan, &mut Alone::new(Arc::clone(tables)), &mut terminal)
}

fn compare(by_pool: &Counted, alone: &Counted, workers: u32) {
    if by_pool.sums != alone.sums {
        eprintln!(
            "word_count: warning: counting again came to {} words: files have changed",
            alone.sums.words
        );
    }
    let speed_up = alone.took.as_secs_f64() / by_pool.took.as_secs_f64().max(1e-9);
    let efficiency = speed_up / f64::from(workers);
    eprintln!(
        "one process: {:.3} s; speed-up {speed_up:.2}, efficiency {efficiency:.2}",
        alone.took.as_secs_f64()
    );
}

/// Warnings and progress, on standard error.
struct Terminal {
    progress: Progress,
    is_quiet: bool,
}

impl Observer for Terminal {
    fn warn(&mut self, path: &Path, why: &dyn Display) {
        if !self.is_quiet {
            self.progress.print(&format!("word_count: {}: {why}", path.display()));
        }
    }

    fn found(&mut self, bytes: u64) {
        self.progress.found(bytes);
    }
}
