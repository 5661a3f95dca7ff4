//! A mutex under contention, seen: processes x length of the section, as tables and as a heat map.
//!
//! ```text
//! cargo run --release --example contention -- [--processes 1,2,4,8] [--sections 0,100,1000,10000] [--millis M] [--rounds R] [--svg FILE]
//! ```
//!
//! Each process locks, works for the section's nanoseconds, releases, and works as long outside. Of each cell, medians of the rounds:
//! - throughput: sections a microsecond, all processes together;
//! - fairness: the fewest sections of a process by the most, 1 is fair;
//! - sleeps: how often a thousand sections gave up the CPU in the kernel;
//! - CPU: nanoseconds of processor a section, its own work included.
//!
//! How far the lock is from others is what `cargo bench --bench contention` measures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use forq::{Barrier, Mutex, ProcessOptions, Shared};
use plotters::prelude::*;

type Failure = Box<dyn std::error::Error>;

/// A mutex under contention, seen.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many processes.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: Vec<u32>,
    /// Lengths of the section, in nanoseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,100,1000,10000", value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    sections: Vec<u64>,
    /// Milliseconds of a sample.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    millis: u64,
    /// Samples of a cell.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where to write the heat maps.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

const MOST: usize = 64;
/// What is measured of a cell, in the order of [`Cell`].
const NAMES: [&str; 4] = ["sections a microsecond", "fairness", "sleeps in 1000", "CPU ns a section"];
type Cell = [f64; 4];

forq::shareable! {
    /// What the processes of a sample share.
    struct Course {
        start: Barrier,
        stop: AtomicU32,
        counter: Mutex<u64>,
        sections: [AtomicU64; MOST],
        sleeps: AtomicU64,
        cpu_ns: AtomicU64,
    }
}

/// Steps that depend on each other, so that they take their time.
fn work(steps: u64) {
    let mut x = steps;
    for _ in 0..steps {
        x = std::hint::black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

fn steps_a_nanosecond() -> f64 {
    const TRIAL: u64 = 1_000_000;
    let trials = (0..10).map(|_| {
        let started = Instant::now();
        work(TRIAL);
        TRIAL as f64 / started.elapsed().as_nanos() as f64
    });
    trials.fold(0.0, f64::max)
}

/// Voluntary switches and nanoseconds of CPU of this process.
fn usage() -> (u64, u64) {
    // SAFETY: zero is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    (usage.ru_nvcsw as u64, nanos(usage.ru_utime) + nanos(usage.ru_stime))
}

fn run_one(course: &Course, which: usize, steps: u64) -> Result<(), forq::Error> {
    course.start.wait()?;
    let before = usage();
    let mut sections = 0;
    while course.stop.load(Ordering::Relaxed) == 0 {
        {
            let mut counter = course.counter.lock()?;
            *counter += 1;
            work(steps);
        }
        work(steps);
        sections += 1;
    }
    let after = usage();
    course.sections[which].store(sections, Ordering::Relaxed);
    course.sleeps.fetch_add(after.0 - before.0, Ordering::Relaxed);
    course.cpu_ns.fetch_add(after.1 - before.1, Ordering::Relaxed);
    Ok(())
}

fn sample(processes: usize, steps: u64, time: Duration) -> Result<Cell, Failure> {
    let course = Shared::new(Course {
        start: Barrier::new(processes as u32 + 1),
        stop: AtomicU32::new(0),
        counter: Mutex::new(0),
        sections: [const { AtomicU64::new(0) }; MOST],
        sleeps: AtomicU64::new(0),
        cpu_ns: AtomicU64::new(0),
    })?;
    let mut children = Vec::new();
    for which in 0..processes {
        let course = &*course;
        // Who is not told to stop ends with this process.
        children.push(ProcessOptions::new().daemon(true).spawn(move || run_one(course, which, steps))?);
    }
    course.start.wait()?;
    let started = Instant::now();
    std::thread::sleep(time);
    course.stop.store(1, Ordering::Relaxed);
    let elapsed = started.elapsed();
    for child in &mut children {
        if !child.join()?.success() {
            return Err("a process failed".into());
        }
    }
    let each: Vec<u64> = course.sections[..processes].iter().map(|own| own.load(Ordering::Relaxed)).collect();
    let all = each.iter().sum::<u64>();
    if *course.counter.lock().map_err(forq::Error::from)? != all {
        return Err("increments were lost".into());
    }
    let (least, most) = (each.iter().min().unwrap_or(&0), each.iter().max().unwrap_or(&1));
    let sections = all.max(1) as f64;
    Ok([
        sections / elapsed.as_nanos() as f64 * 1e3,
        *least as f64 / (*most).max(1) as f64,
        course.sleeps.load(Ordering::Relaxed) as f64 / sections * 1e3,
        course.cpu_ns.load(Ordering::Relaxed) as f64 / sections,
    ])
}

fn cell(processes: u32, steps: u64, arguments: &Arguments) -> Result<Cell, Failure> {
    let time = Duration::from_millis(arguments.millis);
    let samples = (0..arguments.rounds).map(|_| sample(processes as usize, steps, time));
    let samples = samples.collect::<Result<Vec<_>, _>>()?;
    Ok(std::array::from_fn(|which| {
        let mut own: Vec<f64> = samples.iter().map(|cell| cell[which]).collect();
        own.sort_by(f64::total_cmp);
        own[own.len() / 2]
    }))
}

fn print(arguments: &Arguments, rows: &[Vec<Cell>]) {
    for (which, name) in NAMES.iter().enumerate() {
        println!("\n{name}");
        let heads: String =
            arguments.sections.iter().map(|ns| format!("{:>12}", format!("{ns} ns"))).collect();
        println!("  processes{heads}");
        for (processes, row) in arguments.processes.iter().zip(rows) {
            let cells: String = row.iter().map(|cell| format!("{:>12.3}", cell[which])).collect();
            println!("{processes:>11}{cells}");
        }
    }
}

/// One map for each of what is measured: darker is more.
fn plot(file: &std::path::Path, arguments: &Arguments, rows: &[Vec<Cell>]) -> Result<(), Failure> {
    let area = SVGBackend::new(file, (900, 640)).into_drawing_area();
    area.fill(&WHITE)?;
    let (wide, high) = (arguments.sections.len() as i32, arguments.processes.len() as i32);
    for (which, map) in area.split_evenly((2, 2)).into_iter().enumerate() {
        let largest = rows.iter().flatten().map(|cell| cell[which]).fold(f64::MIN_POSITIVE, f64::max);
        let mut chart = ChartBuilder::on(&map)
            .caption(NAMES[which], ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(32)
            .y_label_area_size(40)
            .build_cartesian_2d((0..wide - 1).into_segmented(), (0..high - 1).into_segmented())?;
        let head = |at: &SegmentValue<i32>, of: &[String]| match at {
            SegmentValue::CenterOf(index) => of.get(*index as usize).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let sections: Vec<String> = arguments.sections.iter().map(u64::to_string).collect();
        let processes: Vec<String> = arguments.processes.iter().map(u32::to_string).collect();
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("section, ns")
            .y_desc("processes")
            .x_label_formatter(&|at| head(at, &sections))
            .y_label_formatter(&|at| head(at, &processes))
            .draw()?;
        for (y, row) in rows.iter().enumerate() {
            for (x, cell) in row.iter().enumerate() {
                let (x, y, part) = (x as i32, y as i32, cell[which] / largest);
                let corner = (SegmentValue::Exact(x), SegmentValue::Exact(y));
                let opposite = (SegmentValue::Exact(x + 1), SegmentValue::Exact(y + 1));
                let color = HSLColor(0.58, 0.75, 0.95 - 0.6 * part);
                chart.draw_series([Rectangle::new([corner, opposite], color.filled())])?;
                let ink = if part > 0.6 { WHITE } else { BLACK };
                let middle = (SegmentValue::CenterOf(x), SegmentValue::CenterOf(y));
                let style = ("sans-serif", 12).into_font().color(&ink);
                chart.draw_series([Text::new(format!("{:.3}", cell[which]), middle, style)])?;
            }
        }
    }
    area.present()?;
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rate = steps_a_nanosecond();
    let mut rows = Vec::new();
    for &processes in &arguments.processes {
        let cells =
            arguments.sections.iter().map(|&ns| cell(processes, (ns as f64 * rate) as u64, arguments));
        rows.push(cells.collect::<Result<Vec<_>, _>>()?);
    }
    print(arguments, &rows);
    if let Some(file) = &arguments.svg {
        plot(file, arguments, &rows)?;
        println!("\nmap: {}", file.display());
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contention: {error}");
            ExitCode::FAILURE
        }
    }
}
