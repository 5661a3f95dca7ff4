//! What the pool is measured against: forked processes that take blocks by a shared counter, and nothing else. No lists of
//! what was done, no second tries: a killed process would spoil the sums.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forq::{Process, Shared};

use crate::word_count::block::{Block, COUNTED, Reader};
use crate::word_count::table::{TABLE_SIZE, Table};

forq::shareable! {
    struct Common {
        inspected: AtomicUsize,
        counted: AtomicUsize,
        words: AtomicU64,
        outcome: AtomicI32,
    }
}

/// A table in shared memory of its own.
struct SharedTable(NonNull<u64>);

impl SharedTable {
    fn new() -> Self {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel likes.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), TABLE_SIZE * 8, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        assert!(start != libc::MAP_FAILED, "memory for a table");
        Self(NonNull::new(start.cast()).expect("a mapping has an address"))
    }

    /// # Safety
    /// Only one process may use it at a time.
    #[allow(clippy::mut_from_ref, reason = "by contract there is one user")]
    unsafe fn table(&self) -> Table<'_> {
        // SAFETY: mapped, of this size; one user by contract.
        Table::new(unsafe { NonNull::slice_from_raw_parts(self.0, TABLE_SIZE).as_mut() })
    }
}

impl Drop for SharedTable {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), TABLE_SIZE * 8) };
    }
}

/// Looks at the large files' blocks and counts all blocks, adding the words to `total`: how many words, and the time from the
/// start, when the processes are there, to the end, when `total` is made.
pub(crate) fn count_bare(
    workers: usize,
    paths: &[u8],
    large: &[Block],
    blocks: &[Block],
    total: &mut Table<'_>,
) -> (u64, Duration) {
    let common = Shared::new(Common {
        inspected: AtomicUsize::new(0),
        counted: AtomicUsize::new(0),
        words: AtomicU64::new(0),
        outcome: AtomicI32::new(COUNTED),
    })
    .expect("shared memory");
    let tables: Vec<SharedTable> = (0..workers).map(|_| SharedTable::new()).collect();
    let (mut gate, mut child_gate) = UnixStream::pair().expect("a pair of sockets");
    let (mut done, mut child_done) = UnixStream::pair().expect("a pair of sockets");
    let mut step = move || child_gate.read_exact(&mut [0]).expect("the parent lives");
    let mut children: Vec<Process> = tables
        .iter()
        .map(|table| {
            let child = || {
                // SAFETY: this child's own, until it says that it is done.
                let mut table = unsafe { table.table() };
                let mut reader = Reader::new();
                step();
                while let Some(block) = large.get(common.inspected.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = reader.inspect(paths, block).err().unwrap_or_default();
                    common.outcome.fetch_or(outcome, Ordering::Relaxed);
                }
                child_done.write_all(&[0]).expect("the parent lives");
                step();
                let mut words = 0;
                while let Some(block) = blocks.get(common.counted.fetch_add(1, Ordering::Relaxed)) {
                    let text = reader.inspect(paths, block).expect("the corpus is text");
                    words += text.count(block, &mut table).words;
                }
                common.words.fetch_add(words, Ordering::Release);
                child_done.write_all(&[0]).expect("the parent lives");
            };
            Process::spawn(child).expect("a process")
        })
        .collect();
    let started = Instant::now();
    for _ in 0..2 {
        gate.write_all(&vec![0; workers]).expect("the children live");
        done.read_exact(&mut vec![0; workers]).expect("the children live");
    }
    assert_eq!(common.outcome.load(Ordering::Relaxed), COUNTED, "the corpus is text");
    for table in &tables {
        // SAFETY: its child has said that it is done.
        total.merge(&unsafe { table.table() });
    }
    let took = started.elapsed();
    assert!(children.iter_mut().all(|child| child.join().expect("a child").success()));
    (common.words.load(Ordering::Acquire), took)
}
