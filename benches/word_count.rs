//! Counting the words of 200 MB with a pool of two workers, beside two bare forked processes and one process alone.
//!
//! `cargo bench --bench word_count`: paired rounds, 20 unless `ROUNDS` says otherwise, in changing order. All three run
//! the same code on the same blocks, read from the page cache; times begin when the processes are there, with fresh
//! tables, and end when the words are in one table. The ratio is that of the speed-ups: bare time / pool time. `TREE` names a directory to
//! count instead of the text made here. Every round checks its sums.

#[path = "word_count/bare.rs"]
mod bare;
mod support;
#[allow(dead_code, reason = "a part is for the program")]
#[path = "../examples/word_count/mod.rs"]
mod word_count;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use bare::count_bare;
use support::{Rounds, is_quick, is_trial, median, record, start};
use word_count::block::{BLOCK_SIZE, Block, COUNTED};
use word_count::crew::{Alone, Counter, Crew, SPARE_TABLES};
use word_count::files::{Found, find};
use word_count::table::OwnTable;
use word_count::tables::Tables;
use word_count::worker::count_block;

const WORKERS: usize = 2;
const MEGABYTE: usize = 1_000_000;

fn main() {
    start();
    let size = match () {
        () if is_trial() => 6 * MEGABYTE,
        () if is_quick() => 30 * MEGABYTE,
        () => 200 * MEGABYTE,
    };
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("word_count_bench");
    let directory = env::var_os("TREE").map_or_else(
        || {
            write_corpus(&made, size);
            made.clone()
        },
        PathBuf::from,
    );
    let work = Work::list(&directory);
    println!(
        "word count: {} MB in {} blocks, {WORKERS} workers",
        work.bytes / MEGABYTE as u64,
        work.blocks.len()
    );
    measure(&work);
    let _ = fs::remove_dir_all(&made);
}

/// What is to be done.
#[derive(Default)]
struct Work {
    paths: Vec<u8>,
    /// Blocks of large files, which are looked at before.
    large: Vec<Block>,
    blocks: Vec<Block>,
    bytes: u64,
}

fn measure(work: &Work) {
    let mut ratios = Vec::new();
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    println!("round  alone ms   bare ms   pool ms  bare/pool");
    // The first round brings everything into the page cache.
    for round in Rounds::new(20) {
        let mut times = [Duration::ZERO; 3];
        let mut words = [0; 3];
        for turn in 0..3 {
            let which = (turn + round) % 3;
            (words[which], times[which]) = [alone, bare, pool][which](work);
        }
        assert!(words.iter().all(|&count| count == words[0] && count > 0), "{words:?}");
        if round == 0 {
            continue;
        }
        let [alone, bare, pool] = times.map(|time| time.as_secs_f64() * 1e3);
        println!("{round:>5}  {alone:>8.1}  {bare:>8.1}  {pool:>8.1}  {:>9.3}", bare / pool);
        ratios.push(bare / pool);
        for (column, time) in columns.iter_mut().zip([alone, bare, pool]) {
            column.push(time);
        }
    }
    for (name, which) in [("forq pool", 2), ("two bare processes", 1), ("one process", 0)] {
        record("words in files, 2 workers", name, "ms (less is better)", &columns[which]);
    }
    let [alone, bare, pool] = columns.map(|column| median(&column));
    println!("medians: alone {alone:.1} ms, bare {bare:.1} ms, pool {pool:.1} ms");
    println!(
        "speed-up: bare {:.2}, pool {:.2}; median of the ratios {:.3}",
        alone / bare,
        alone / pool,
        median(&ratios)
    );
}

fn alone(work: &Work) -> (u64, Duration) {
    time(&mut Alone::new(Arc::new(Tables::new(0).expect("memory"))), work)
}

fn pool(work: &Work) -> (u64, Duration) {
    time(&mut &Crew::new(WORKERS, SPARE_TABLES, count_block).expect("a pool"), work)
}

fn time(counter: &mut dyn Counter, work: &Work) -> (u64, Duration) {
    let mut total = OwnTable::new();
    let mut blocks = work.blocks.clone();
    let started = Instant::now();
    let outcomes = counter.inspect(&work.paths, &work.large).expect("the blocks are looked at");
    assert!(outcomes.iter().all(|&outcome| outcome == COUNTED), "the corpus is text");
    let tallies =
        counter.count(&work.paths, &mut blocks, &mut total.table()).expect("the blocks are counted");
    let took = started.elapsed();
    (tallies.iter().map(|tally| tally.words).sum(), took)
}

fn bare(work: &Work) -> (u64, Duration) {
    count_bare(WORKERS, &work.paths, &work.large, &work.blocks, &mut OwnTable::new().table())
}

impl Work {
    /// All text files of a directory, divided as the program does.
    fn list(directory: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;

        let mut work = Self::default();
        for found in find(&[directory.to_owned()]) {
            let Found::File(path, size) = found else { continue };
            if env::var_os("TREE").is_some() && fs::read(&path).is_ok_and(|content| content.contains(&0)) {
                continue;
            }
            let bytes = path.as_os_str().as_bytes();
            let first =
                Block { path: work.paths.len() as u32, path_length: bytes.len() as u32, ..Block::default() };
            work.paths.extend_from_slice(bytes);
            let count = size.div_ceil(BLOCK_SIZE.into()).max(1);
            let starts = (0..count).map(|index| index * u64::from(BLOCK_SIZE));
            let blocks = starts.map(|start| Block { start, size: BLOCK_SIZE, ..first });
            if count > 1 {
                work.large.extend(blocks.clone());
            }
            work.blocks.extend(blocks);
            work.bytes += size;
        }
        work
    }
}

/// Writes text of so many bytes: a third in one file, a third in files of 2 MB, a third in files of 10 kB. The words are of
/// 100,000, the nth as frequent as 1/n.
fn write_corpus(directory: &Path, size: usize) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("small")).expect("a directory");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut write = |path: PathBuf, size: usize| {
        let mut text = String::with_capacity(size + 32);
        while text.len() < size {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rank = 100_000_f64.powf((random >> 11) as f64 / (1_u64 << 53) as f64) as u64;
            let end = if random >> 40 & 15 == 0 { '\n' } else { ' ' };
            // The frequent words are short.
            let _ = write!(text, "{:x}{end}", rank * rank);
        }
        fs::write(path, text).expect("a file");
    };
    write(directory.join("large"), size / 3);
    let count = |file_size: usize| size / 3 / file_size;
    (0..count(2 * MEGABYTE)).for_each(|index| write(directory.join(format!("middle{index}")), 2 * MEGABYTE));
    (0..count(10_000)).for_each(|index| write(directory.join(format!("small/{index}")), 10_000));
}
