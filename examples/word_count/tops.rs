//! The most frequent words, and the report.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::word_count::rounds::Counted;
use crate::word_count::table::{MOST_WORDS, Table};

/// Words that are listed.
pub(crate) const TOP: usize = 20;

/// The most frequent words, the most frequent first; of words equally frequent, the first in byte order.
pub(crate) fn top_words(table: &Table<'_>) -> Vec<(u64, Vec<u8>)> {
    let mut top: Vec<(Reverse<u64>, Vec<u8>)> = Vec::with_capacity(TOP + 1);
    for record in table.records() {
        if top.len() == TOP && record.count < top[TOP - 1].0.0 {
            continue;
        }
        let entry = (Reverse(record.count), record.bytes());
        let at = top.partition_point(|other| *other < entry);
        top.insert(at, entry);
        top.truncate(TOP);
    }
    top.into_iter().map(|(Reverse(count), word)| (count, word)).collect()
}

/// Writes the counts.
pub(crate) fn write_report(counted: &mut Counted, out: &mut impl Write) -> io::Result<()> {
    let sums = counted.sums;
    let table = counted.table.table();
    writeln!(out, "files: {}", sums.files)?;
    writeln!(out, "bytes: {}", sums.bytes)?;
    writeln!(out, "skipped: {}", sums.skipped)?;
    if table.is_partial() {
        writeln!(out, "most frequent words (approximate: more than {MOST_WORDS} distinct ones):")?;
    } else {
        writeln!(out, "most frequent words:")?;
    }
    for (count, word) in top_words(&table) {
        write!(out, "{count:>12} ")?;
        out.write_all(&word)?;
        out.write_all(b"\n")?;
    }
    writeln!(out, "total words: {}", sums.words)?;
    out.flush()
}
