//! Counting all files, round by round: as many files at a time as memory for their paths allows.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::word_count::block::{BINARY, Block, COUNTED, Tally};
use crate::word_count::crew::{Counter, Failure};
use crate::word_count::files::{Found, find};
use crate::word_count::table::OwnTable;
use crate::word_count::tables::LOG_SIZE;

/// Bytes of paths at which a round ends, with the file that fills it.
const ROUND_PATHS: usize = 16 << 20;

/// What all comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Files counted.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// Files and directories passed over, and told.
    pub(crate) skipped: u64,
    /// Words, the long ones too.
    pub(crate) words: u64,
    /// Paths that were given and do not exist.
    pub(crate) missing: u64,
}

/// Sums, words, and how long the counting took: the walk through the directories left aside.
pub(crate) struct Counted {
    pub(crate) sums: Sums,
    pub(crate) table: OwnTable,
    pub(crate) took: Duration,
}

/// How to count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// Files, and directories to go through.
    pub(crate) paths: &'a [PathBuf],
    /// How large the blocks are into which files are divided.
    pub(crate) block_size: u32,
}

/// Who is told of things on the way.
pub(crate) trait Observer {
    /// Something was passed over, or is not as it was.
    fn warn(&mut self, path: &Path, why: &dyn std::fmt::Display);
    /// So many bytes are to be counted, as far as the walk has come.
    fn found(&mut self, bytes: u64);
}

/// Files of one round.
#[derive(Default)]
struct Round {
    paths: Vec<u8>,
    files: Vec<File>,
    blocks: usize,
}

#[derive(Clone, Copy)]
struct File {
    path: u32,
    path_length: u32,
    size: u64,
    /// [`COUNTED`], [`BINARY`] or an errno.
    outcome: i32,
}

impl Round {
    fn push(&mut self, path: &Path, size: u64, block_size: u32) {
        let bytes = path.as_os_str().as_bytes();
        let file =
            File { path: self.paths.len() as u32, path_length: bytes.len() as u32, size, outcome: COUNTED };
        self.paths.extend_from_slice(bytes);
        self.blocks += file.block_count(block_size) as usize;
        self.files.push(file);
    }

    fn is_full(&self) -> bool {
        self.blocks >= LOG_SIZE || self.paths.len() >= ROUND_PATHS
    }
}

impl File {
    fn path<'a>(&self, paths: &'a [u8]) -> &'a Path {
        Path::new(OsStr::from_bytes(&paths[self.path as usize..][..self.path_length as usize]))
    }

    fn block_count(&self, block_size: u32) -> u64 {
        self.size.div_ceil(block_size.into()).max(1)
    }

    fn blocks(self, block_size: u32) -> impl Iterator<Item = Block> {
        let Self { path, path_length, .. } = self;
        (0..self.block_count(block_size)).map(move |index| Block {
            path,
            path_length,
            start: index * u64::from(block_size),
            size: block_size,
            number: 0,
        })
    }
}

/// Counts all files, and tells the observer what was passed over.
pub(crate) fn count_all<'a>(
    plan: Plan<'a>,
    counter: &'a mut dyn Counter,
    observer: &'a mut dyn Observer,
) -> Result<Counted, Failure> {
    let counted = Counted { sums: Sums::default(), table: OwnTable::new(), took: Duration::ZERO };
    let mut counting = Counting { block_size: plan.block_size, counter, observer, counted };
    let mut round = Round::default();
    for found in find(plan.paths) {
        match found {
            Found::File(path, size) => {
                counting.observer.found(size);
                round.push(&path, size, plan.block_size);
                if round.is_full() {
                    counting.run(std::mem::take(&mut round))?;
                }
            }
            Found::Skipped(path, error) => counting.skip(&path, &error),
            Found::Missing(path, error) => {
                counting.observer.warn(&path, &error);
                counting.counted.sums.missing += 1;
            }
        }
    }
    counting.run(round)?;
    Ok(counting.counted)
}

struct Counting<'a> {
    block_size: u32,
    counter: &'a mut dyn Counter,
    observer: &'a mut dyn Observer,
    counted: Counted,
}

impl Counting<'_> {
    fn run(&mut self, mut round: Round) -> Result<(), Failure> {
        let began = Instant::now();
        self.inspect_large(&mut round)?;
        let (mut blocks, owners) = self.blocks(&round, |file| file.outcome == COUNTED);
        let tallies = self.counter.count(&round.paths, &mut blocks, &mut self.counted.table.table())?;
        self.counted.took += began.elapsed();
        for (tally, owner) in tallies.iter().zip(owners) {
            self.add(tally, &round.paths, &mut round.files[owner]);
        }
        for file in &round.files {
            let path = file.path(&round.paths);
            match file.outcome {
                COUNTED => self.counted.sums.files += 1,
                BINARY => self.skip(path, &"binary: it has a NUL byte"),
                errno => self.skip(path, &io::Error::from_raw_os_error(errno)),
            }
        }
        Ok(())
    }

    /// Files of many blocks are looked at as a whole, before anything of them is counted.
    fn inspect_large(&mut self, round: &mut Round) -> Result<(), Failure> {
        let block_size = self.block_size;
        let (blocks, owners) = self.blocks(round, |file| file.block_count(block_size) > 1);
        let outcomes = self.counter.inspect(&round.paths, &blocks)?;
        for (outcome, owner) in outcomes.into_iter().zip(owners) {
            if outcome != COUNTED {
                round.files[owner].outcome = outcome;
            }
        }
        Ok(())
    }

    /// The blocks of some of the files, and of which file each is.
    fn blocks(&self, round: &Round, which: impl Fn(&File) -> bool) -> (Vec<Block>, Vec<usize>) {
        let files = round.files.iter().enumerate().filter(|(_, file)| which(file));
        files.flat_map(|(owner, file)| file.blocks(self.block_size).map(move |block| (block, owner))).unzip()
    }

    fn add(&mut self, tally: &Tally, paths: &[u8], file: &mut File) {
        self.counted.sums.words += tally.words;
        self.counted.sums.bytes += tally.bytes;
        if tally.outcome != COUNTED {
            if file.block_count(self.block_size) > 1 {
                self.observer.warn(file.path(paths), &"changed while it was counted: a part is left out");
            } else {
                file.outcome = tally.outcome;
            }
        }
    }

    fn skip(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.observer.warn(path, why);
        self.counted.sums.skipped += 1;
    }
}
