//! Who counts: a pool of workers, or this process alone.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use forq::{Error, Pool, TaskError};

use crate::word_count::block::{Block, Reader, Tally};
use crate::word_count::table::Table;
use crate::word_count::tables::{LOG_SIZE, Owned, Tables};
use crate::word_count::worker;

/// Tables for workers that take the place of killed ones in one map.
pub(crate) const SPARE_TABLES: usize = 8;
/// How often a block is tried whose worker died.
const ATTEMPTS: u32 = 5;
/// Maps in a row that may come to nothing because workers are killed.
const FRUITLESS_MAPS: u32 = 10;

/// Why counting failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// By the pool's word.
    Pool(Error),
    /// Workers were killed again and again.
    Killed,
    Memory(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(error) => write!(f, "the pool failed: {error}"),
            Self::Killed => f.write_str("workers are killed faster than they count"),
            Self::Memory(error) => write!(f, "no memory for the tables: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Pool(error)
    }
}

/// Looks at blocks, and counts them.
pub(crate) trait Counter {
    /// Of each block whether it can be read and is text, and if not, why.
    fn inspect(&mut self, paths: &[u8], blocks: &[Block]) -> Result<Vec<i32>, Failure>;

    /// Adds the words of all blocks to `total`; what became of each block.
    fn count(
        &mut self,
        paths: &[u8],
        blocks: &mut [Block],
        total: &mut Table<'_>,
    ) -> Result<Vec<Tally>, Failure>;
}

/// This process.
pub(crate) struct Alone {
    reader: Reader,
    /// Where progress is told.
    tables: Arc<Tables>,
}

impl Alone {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Self { reader: Reader::new(), tables }
    }
}

impl Counter for Alone {
    fn inspect(&mut self, paths: &[u8], blocks: &[Block]) -> Result<Vec<i32>, Failure> {
        Ok(blocks.iter().map(|block| self.reader.inspect(paths, block).err().unwrap_or_default()).collect())
    }

    fn count(
        &mut self,
        paths: &[u8],
        blocks: &mut [Block],
        total: &mut Table<'_>,
    ) -> Result<Vec<Tally>, Failure> {
        let tallies = blocks.iter().map(|block| {
            let tally = match self.reader.inspect(paths, block) {
                Ok(text) => text.count(block, total),
                Err(outcome) => Tally { outcome, ..Tally::default() },
            };
            self.tables.advance(&tally);
            tally
        });
        Ok(tallies.collect())
    }
}

/// A pool of workers and their tables. `F` is the task that counts a block.
pub(crate) struct Crew<F> {
    pool: Pool,
    tables: Arc<Tables>,
    task: F,
}

impl<F: Fn(&[u8], &Block) + Copy + Send + Sync + 'static> Crew<F> {
    /// Makes the pool; 0 workers: as many as there are CPUs.
    pub(crate) fn new(workers: usize, spare_tables: usize, task: F) -> Result<Self, Failure> {
        let workers = if workers == 0 { forq::cpu_count() } else { workers };
        let tables = Arc::new(Tables::new(workers + spare_tables).map_err(Failure::Memory)?);
        let install = || worker::install(Arc::clone(&tables));
        let pool = Pool::builder().workers(workers).max_attempts(ATTEMPTS).initializer(&install).build()?;
        Ok(Self { pool, tables, task })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Maps until every block is in an accepted table.
    fn count_batch(
        &self,
        paths: &[u8],
        blocks: &mut [Block],
        total: &mut Table<'_>,
    ) -> Result<Vec<Tally>, Failure> {
        let mut tallies = vec![None; blocks.len()];
        for (number, block) in (0..).zip(&mut *blocks) {
            block.number = number;
        }
        let mut left = blocks.to_vec();
        let mut fruitless = 0;
        while !left.is_empty() {
            match self.pool.map_with(paths, self.task, &left) {
                // A block that killed five workers, or whose workers others killed, is mapped again with the rest.
                Ok(_) | Err(Error::Task { error: TaskError::Signaled(_), .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.settle(&mut tallies, total);
            let before = left.len();
            left.retain(|block| tallies[block.number as usize].is_none());
            fruitless = if left.len() < before { 0 } else { fruitless + 1 };
            if fruitless == FRUITLESS_MAPS {
                return Err(Failure::Killed);
            }
        }
        Ok(tallies.into_iter().flatten().collect())
    }

    /// Accepts what workers have left in their tables, after a map; see the page of [`word_count`](crate::word_count).
    fn settle(&self, tallies: &mut [Option<Tally>], total: &mut Table<'_>) {
        // SAFETY: no map is running, so no worker owns a table; none is owned twice here.
        let owned = self.tables.taken().map(|index| unsafe { self.tables.own(index) }).collect::<Vec<_>>();
        let mut settled: Vec<_> = owned.iter().filter_map(Owned::settled).collect();
        // Of two that list the same block, the smaller one is thrown away: most often it is the dead worker's.
        settled.sort_by_key(|(log, _)| Reverse(log.len()));
        for (log, table) in settled {
            if log.iter().all(|tally| tallies[tally.number as usize].is_none()) {
                log.iter().for_each(|tally| tallies[tally.number as usize] = Some(*tally));
                total.merge(table);
            }
        }
        drop(owned);
        // SAFETY: no map is running, and nothing is owned any more.
        unsafe { self.tables.recycle() };
    }
}

impl<F: Fn(&[u8], &Block) + Copy + Send + Sync + 'static> Counter for &Crew<F> {
    fn inspect(&mut self, paths: &[u8], blocks: &[Block]) -> Result<Vec<i32>, Failure> {
        for _ in 0..FRUITLESS_MAPS {
            match self.pool.map_with(paths, worker::inspect_block, blocks) {
                Err(Error::Task { error: TaskError::Signaled(_), .. }) => {}
                result => return Ok(result?),
            }
        }
        Err(Failure::Killed)
    }

    fn count(
        &mut self,
        paths: &[u8],
        blocks: &mut [Block],
        total: &mut Table<'_>,
    ) -> Result<Vec<Tally>, Failure> {
        let mut tallies = Vec::with_capacity(blocks.len());
        for batch in blocks.chunks_mut(LOG_SIZE) {
            tallies.extend(self.count_batch(paths, batch, total)?);
        }
        Ok(tallies)
    }
}
