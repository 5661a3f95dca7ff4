//! Words of a text: the longest runs of bytes that are not ASCII white space (space, \t, \n, \v, \f, \r).
//!
//! A text is read eight bytes at a time: the first eight bytes of a word are its first piece, and so on;
//! the last piece is filled up with zeros. Hashes and comparisons work on pieces too.

use crate::word_count::table::{Table, Word};

/// Bytes of the longest word that is kept; longer ones are only counted.
pub(crate) const LONGEST: usize = 64;
/// A text is followed by so many spaces, so that its last word has an end and eight bytes can always be read.
pub(crate) const PADDING: usize = 8;

const HIGH: u64 = every(0x80);

const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte that is white space.
fn spaces(piece: u64) -> u64 {
    let low = piece & !HIGH;
    // No sum leaves its byte: 0x7f + 0x7f < 0x100.
    let is_no_blank = (low ^ every(b' ')) + every(0x7f);
    let from_tab = low + every(0x80 - b'\t');
    let past_return = low + every(0x80 - (b'\r' + 1));
    !piece & HIGH & (!is_no_blank | (from_tab & !past_return))
}

fn load(text: &[u8], at: usize) -> u64 {
    let mut piece = [0; 8];
    piece.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(piece)
}

/// Where the word at `at` ends.
fn end_of_word(text: &[u8], mut at: usize) -> usize {
    loop {
        match spaces(load(text, at)) {
            0 => at += 8,
            found => return at + found.trailing_zeros() as usize / 8,
        }
    }
}

/// Counts the words that begin in `text[start..end]`, and adds them to a table.
///
/// What stands before `start` tells whether a word begins there. After `end` there must be [`PADDING`] spaces, or
/// [`LONGEST`] more bytes of the text and then the spaces: a word that is longer than that needs no end.
pub(crate) fn count_words(text: &[u8], start: usize, end: usize, table: &mut Table<'_>) -> u64 {
    let mut words = 0;
    let mut at = start;
    if start > 0 && spaces(u64::from(text[start - 1])) & 0x80 == 0 {
        at = end_of_word(text, start);
    }
    while at < end {
        match !spaces(load(text, at)) & HIGH {
            0 => {
                at += 8;
                continue;
            }
            found => at += found.trailing_zeros() as usize / 8,
        }
        if at >= end {
            break;
        }
        words += 1;
        let mut word = Word::new();
        at = loop {
            let piece = load(text, at + word.length());
            let rest = match spaces(piece) {
                0 => 8,
                found => found.trailing_zeros() as usize / 8,
            };
            if rest > 0 {
                if word.length() == LONGEST {
                    break end_of_word(text, at + LONGEST);
                }
                word.push(piece & (u64::MAX >> (64 - 8 * rest)), rest);
            }
            if rest < 8 {
                table.add(word.key(), word.pieces(), 1);
                break at + word.length();
            }
        };
    }
    words
}
