//! Makes a page with plots of what the benchmarks recorded: `benches/REPORT.md` and `benches/report/*.svg`.
//!
//! ```text
//! FORQ_MINUTES=25 cargo bench && cargo run --release --example report
//! ```
//!
//! `--from` names another directory than `target/forq-bench`, `--to` another one than `benches`. It invents nothing: a goal whose
//! figures are not there says so. The machine, the kernel and the compilers are those of where the page is made.

mod goals;
mod machine;
mod page;
mod paint;
mod plots;
mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rows::Rows;

type Failure = Box<dyn std::error::Error>;

/// Makes a page with plots of what the benchmarks recorded.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the benchmarks recorded, if not in target/forq-bench.
    #[arg(long, value_name = "DIRECTORY")]
    from: Option<PathBuf>,
    /// Where the page goes, and its plots into `report` there.
    #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches"))]
    to: PathBuf,
}

/// The directory `target`, by where this program is: in `target/release/examples`.
fn target() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).ok_or("this program is not below a target directory")?.to_owned())
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = target()?;
    let from = arguments.from.clone().unwrap_or_else(|| target.join("forq-bench"));
    let rows = Rows::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
    if rows.all().is_empty() {
        return Err(format!("nothing was recorded in {}: run cargo bench", from.display()).into());
    }
    let plots = arguments.to.join("report");
    std::fs::create_dir_all(&plots)?;
    let drawn = plots::draw(&plots, &rows)?;
    let sampled = rows::criterion(&target.join("criterion"), &rows);
    let page = arguments.to.join("REPORT.md");
    std::fs::write(&page, page::write(&rows, &sampled, &drawn))?;
    println!("{}: {}", page.display(), goals::summary(&rows));
    for file in drawn {
        println!("{}", plots.join(Path::new(file.name)).display());
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}
