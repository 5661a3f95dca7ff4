//! What a worker process does: its table of the present map, and the tasks.

use std::cell::RefCell;
use std::sync::Arc;

use crate::word_count::block::{Block, Reader, Tally};
use crate::word_count::tables::Tables;

thread_local! {
    /// Of the one thread that a worker has.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// What a worker process has.
pub(crate) struct Worker {
    tables: Arc<Tables>,
    reader: Reader,
    /// The map in which the table was taken.
    map: u64,
    table: Option<usize>,
}

/// Makes this process a worker: the pool's initializer.
pub(crate) fn install(tables: Arc<Tables>) {
    WORKER.set(Some(Worker { tables, reader: Reader::new(), map: 0, table: None }));
}

/// Runs a task with what this worker process has.
pub(crate) fn with_worker<R>(task: impl FnOnce(&mut Worker) -> R) -> R {
    WORKER.with_borrow_mut(|worker| task(worker.as_mut().expect("the pool's initializer has run")))
}

/// Counts a block. What it returns says nothing: the table's log tells.
pub(crate) fn count_block(paths: &[u8], block: &Block) {
    with_worker(|worker| worker.count(paths, block, || ()));
}

/// Looks whether a block can be read and is text: [`COUNTED`](crate::word_count::block::COUNTED), or why not.
pub(crate) fn inspect_block(paths: &[u8], block: &Block) -> i32 {
    with_worker(|worker| worker.reader.inspect(paths, block).err().unwrap_or_default())
}

impl Worker {
    /// Counts a block; `added` is called when its words are in the table and the log does not list it yet.
    pub(crate) fn count(&mut self, paths: &[u8], block: &Block, added: impl FnOnce()) {
        let map = self.tables.map();
        if self.map != map {
            self.table = self.tables.take();
            self.map = map;
        }
        let Some(index) = self.table else { return };
        let text = self.reader.inspect(paths, block);
        // SAFETY: taken in this map, by this process.
        let mut table = unsafe { self.tables.own(index) };
        let tally = table.add(|table| {
            let tally = match text {
                Ok(text) => text.count(block, table),
                Err(outcome) => Tally { outcome, number: block.number, ..Tally::default() },
            };
            added();
            tally
        });
        self.tables.advance(&tally);
    }
}
