//! Counting the words of a text.

use crate::word_count::table::Table;
use crate::word_count::word::{HIGH, LONGEST, PIECE, Word, before, load, spaces};

/// A text is followed by so many spaces, so that its last word has an end and a piece can always be read.
pub(crate) const PADDING: usize = PIECE;
/// Words that are looked up together.
const TOGETHER: usize = 32;

/// Where the word at `at` ends.
fn end_of_word(text: &[u8], mut at: usize) -> usize {
    loop {
        match spaces(load(text, at)) {
            0 => at += PIECE,
            found => return at + before(found),
        }
    }
}

/// Where the next word begins, or a place not before `end`.
fn next_word(text: &[u8], mut at: usize, end: usize) -> usize {
    while at < end {
        match !spaces(load(text, at)) & HIGH {
            0 => at += PIECE,
            found => return at + before(found),
        }
    }
    at
}

/// Counts the words that begin in `text[start..end]`, and adds them to a table.
///
/// What stands before `start` tells whether a word begins there. After `end` there must be [`PADDING`] spaces, or
/// [`LONGEST`] more bytes of the text and then the spaces: a word that is longer needs no end.
pub(crate) fn count_words(text: &[u8], start: usize, end: usize, table: &mut Table<'_>) -> u64 {
    let mut words = 0;
    let mut kept = [Word::EMPTY; TOGETHER];
    let mut count = 0;
    let mut at = start;
    if start > 0 && spaces(u64::from(text[start - 1])) == 0 {
        at = end_of_word(text, start);
    }
    loop {
        at = next_word(text, at, end);
        if at >= end {
            table.add_all(&kept[..count]);
            return words;
        }
        words += 1;
        let length = kept[count].read(text, at);
        at += length;
        if length == LONGEST {
            let stop = end_of_word(text, at);
            if stop > at {
                at = stop;
                continue;
            }
        }
        count += 1;
        if count == TOGETHER {
            table.add_all(&kept);
            count = 0;
        }
    }
}
