//! How much faster a pool makes three kinds of work: sequential against 1 to N workers, on real files.
//!
//! ```text
//! cargo run --release --example speedup -- [--workers N] [--rounds R] [--svg FILE] [PATHS]...
//! ```
//!
//! - compute: each block of 4 KiB is hashed 64 times; nothing but the CPU is in the way;
//! - memory: passes over 64 MiB, made of the files again and again; the memory's width is in the way;
//! - skewed: each file is an item, with work as the square of its lines' number, so few items are most of it: the longest is in the way.
//!
//! The files are read before the pool is made, and the workers have them by their fork. Rounds are paired, in changing order; of each the
//! median of times counts. Speed-up S(p) is the sequential time by that with p workers, efficiency is S/p, and the serial fraction
//! (1/S - 1/p) / (1 - 1/p), after A. Karp and H. Flatt, "Measuring parallel processor performance" (1990): where it grows with p,
//! it is overhead that is in the way; where it stays the same, it is a part that runs alone.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use clap::Parser;
use forq::Pool;
use plotters::prelude::*;

type Failure = Box<dyn std::error::Error>;

/// How much faster a pool makes three kinds of work.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files, and directories to go through.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// The most worker processes; 0: as many as there are CPUs.
    #[arg(short, long, default_value_t = 0, value_name = "N")]
    workers: usize,
    /// Paired rounds.
    #[arg(short, long, default_value_t = 5, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where to write the plot of the speed-ups.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What all processes work on: read once, by whoever forks them.
struct Input {
    bytes: Vec<u8>,
    /// Where each file begins, and at last the end.
    files: Vec<usize>,
}

static INPUT: OnceLock<Input> = OnceLock::new();

const BLOCK: usize = 4096;
const STRIPE: usize = 1 << 20;
const STRIPES: u32 = 64;

impl Input {
    fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        const MOST: usize = 16 << 20;
        let mut input = Self { bytes: Vec::new(), files: vec![0] };
        let found = paths.iter().flat_map(walkdir::WalkDir::new).flatten();
        for file in found.filter(|entry| entry.file_type().is_file()) {
            if input.bytes.len() > MOST {
                break;
            }
            if let Ok(bytes) = std::fs::read(file.path()) {
                input.bytes.extend(&bytes[..bytes.len().min(MOST)]);
                input.files.push(input.bytes.len());
            }
        }
        if input.bytes.len() < BLOCK {
            return Err("there is less than a block of bytes in these files".into());
        }
        Ok(input)
    }

    fn here() -> &'static Self {
        INPUT.get().expect("read before anything else")
    }
}

/// FNV-1a, of G. Fowler, L. C. Noll and K.-P. Vo.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn compute(item: u32) -> u64 {
    let blocks = Input::here().bytes.len() / BLOCK;
    let start = item as usize % blocks * BLOCK;
    (0..64).fold(0, |seed, _| hash(&Input::here().bytes[start..start + BLOCK], seed))
}

/// Made by the parent, so that it is in everybody's memory.
static STRETCHED: OnceLock<Vec<u64>> = OnceLock::new();

fn stretched() -> &'static [u64] {
    STRETCHED.get_or_init(|| {
        let words = Input::here().bytes.chunks_exact(8);
        let words = words.map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")));
        words.cycle().take(STRIPES as usize * STRIPE / 8).collect()
    })
}

fn memory(item: u32) -> u64 {
    let start = item as usize % STRIPES as usize * (STRIPE / 8);
    stretched()[start..start + STRIPE / 8].iter().fold(0, |sum: u64, &word| sum.wrapping_add(word))
}

fn skewed(item: u32) -> u64 {
    let input = Input::here();
    let file = &input.bytes[input.files[item as usize]..input.files[item as usize + 1]];
    let lines: Vec<u64> = file.split(|&byte| byte == b'\n').take(3000).map(|line| hash(line, 1)).collect();
    // Pairs of lines that are equal but for some bits, found the long way.
    let pairs_but_for = |bits: u64| -> u64 {
        lines.iter().map(|one| lines.iter().filter(|other| (*other ^ one) >> bits == 0).count() as u64).sum()
    };
    (0..16).map(pairs_but_for).sum()
}

struct Kind {
    name: &'static str,
    task: fn(u32) -> u64,
    items: u32,
    color: RGBColor,
}

/// Seconds of each way to do it: sequential first, then with 1, 2, .. workers.
fn measure(kind: &Kind, pools: &[Pool], rounds: u32) -> Result<Vec<f64>, Failure> {
    let items: Vec<u32> = (0..kind.items).collect();
    let mut samples = vec![Vec::new(); pools.len() + 1];
    let mut expected = None;
    for round in 0..=rounds as usize {
        for turn in 0..samples.len() {
            let which = (turn + round) % samples.len();
            let started = Instant::now();
            let results: Vec<u64> = match which.checked_sub(1) {
                None => items.iter().map(|&item| (kind.task)(black_box(item))).collect(),
                // A task has no captures: it is known by what it is.
                Some(pool) => match kind.name {
                    "compute" => pools[pool].map(|&item| compute(item), &items)?,
                    "memory" => pools[pool].map(|&item| memory(item), &items)?,
                    _ => pools[pool].map(|&item| skewed(item), &items)?,
                },
            };
            let seconds = started.elapsed().as_secs_f64();
            if *expected.get_or_insert_with(|| results.clone()) != results {
                return Err(format!("{}: another result", kind.name).into());
            }
            // The first round warms up.
            if round > 0 {
                samples[which].push(seconds);
            }
        }
    }
    Ok(samples.iter_mut().map(|own| median(own)).collect())
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn print(kind: &Kind, seconds: &[f64]) {
    println!("\n{}, {} items: sequential {:.1} ms", kind.name, kind.items, seconds[0] * 1e3);
    println!("{:>9}{:>12}{:>10}{:>12}{:>17}", "workers", "ms", "speed-up", "efficiency", "serial fraction");
    for (workers, time) in seconds.iter().enumerate().skip(1) {
        let (speedup, p) = (seconds[0] / time, workers as f64);
        let serial = match workers {
            1 => "-".into(),
            _ => format!("{:.3}", (1.0 / speedup - 1.0 / p) / (1.0 - 1.0 / p)),
        };
        println!("{workers:>9}{:>12.1}{speedup:>10.2}{:>12.2}{serial:>17}", time * 1e3, speedup / p);
    }
}

fn plot(file: &std::path::Path, most: usize, curves: &[(&Kind, Vec<f64>)]) -> Result<(), Failure> {
    let area = SVGBackend::new(file, (640, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("speed-up of a pool", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(40)
        .build_cartesian_2d(1.0..(most as f64).max(1.5), 0.0..most as f64 * 1.1)?;
    chart
        .configure_mesh()
        .x_desc("worker processes")
        .y_desc("sequential time / time")
        .x_labels(most)
        .draw()?;
    let ideal = (1..=most).map(|p| (p as f64, p as f64));
    chart
        .draw_series(LineSeries::new(ideal, BLACK.mix(0.3)))?
        .label("ideal")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 15, y)], BLACK.mix(0.3)));
    for (kind, seconds) in curves {
        let color = kind.color;
        let points: Vec<_> =
            seconds.iter().enumerate().skip(1).map(|(p, time)| (p as f64, seconds[0] / time)).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
            .label(kind.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 15, y)], color.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let most = match arguments.workers {
        0 => std::thread::available_parallelism()?.get(),
        workers => workers,
    };
    let read = Input::read(&arguments.paths)?;
    let input = INPUT.get_or_init(|| read);
    stretched();
    let kinds = [
        Kind { name: "compute", task: compute, items: 2000, color: BLUE },
        Kind { name: "memory", task: memory, items: STRIPES * 8, color: RED },
        Kind { name: "skewed", task: skewed, items: (input.files.len() - 1) as u32, color: GREEN },
    ];
    println!("{} bytes in {} files", input.bytes.len(), input.files.len() - 1);
    let mut curves = Vec::new();
    for kind in &kinds {
        let pools = (1..=most).map(Pool::new).collect::<Result<Vec<_>, _>>()?;
        let seconds = measure(kind, &pools, arguments.rounds)?;
        print(kind, &seconds);
        curves.push((kind, seconds));
    }
    if let Some(file) = &arguments.svg {
        plot(file, most, &curves)?;
        println!("\nplot: {}", file.display());
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speedup: {error}");
            ExitCode::FAILURE
        }
    }
}
