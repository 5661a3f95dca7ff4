//! A table of words and how often each was seen, in one piece of memory: private, or shared and owned by
//! one process at a time. It has no pointers, and any bytes in it are numbers: no state of it, torn by
//! a death in the middle of a change, is worse than wrong (and such tables are thrown away).
//!
//! | words of memory | |
//! |---|---|
//! | [`HEAD`] | how many slots and how much of the records is used, how many there are, whether one was refused |
//! | [`SLOTS`] | 0, or a record's offset + 1 in the low half, and a part of its key in the high half |
//! | the rest | records, one after the other: count, key, the word's pieces |
//!
//! Few words use few slots: when more than half are taken, twice as many are filled anew from the records.
//! What lies beyond those in use may be anything.

use std::hint::black_box;

use crate::word_count::word::{LONGEST, PIECE, Word, length_of, piece_count};

/// Distinct words a table holds at most.
pub(crate) const MOST_WORDS: usize = 1 << 20;
const SLOTS: usize = 2 * MOST_WORDS;
/// Those an empty table uses.
const LEAST_SLOTS: usize = 1 << 12;
const HEAD: usize = 8;
/// Count, key and pieces of the longest word.
const LONGEST_RECORD: usize = 2 + LONGEST / PIECE;
/// The size of a table in words of eight bytes: address space; memory is used as far as there are words.
pub(crate) const TABLE_SIZE: usize = HEAD + SLOTS + MOST_WORDS * LONGEST_RECORD;

/// So many words are copied with the slots rather than added one by one.
const MANY: u64 = 1 << 15;
/// A slot's bits that tell where the record is; the others are from its key.
const OFFSET: u64 = u32::MAX as u64;

fn tag(key: u64) -> u64 {
    key >> 7 << 32
}

/// Where the search for a key begins: other bits of it than the tag's.
fn first_slot(key: u64, slots: usize) -> usize {
    (key >> 43) as usize & (slots - 1)
}

/// One word of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) count: u64,
    key: u64,
    pieces: &'a [u64],
}

impl Record<'_> {
    /// The word.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.to_le_bytes()).collect();
        bytes.truncate(length_of(self.key));
        bytes
    }
}

/// See the module's page.
pub(crate) struct Table<'a> {
    head: &'a mut Head,
    slots: &'a mut [u64; SLOTS],
    records: &'a mut [u64],
}

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Head {
    /// Less [`LEAST_SLOTS`], so that zeros are an empty table.
    more_slots: u64,
    used: u64,
    words: u64,
    refused: u64,
    reserved: [u64; HEAD - 4],
}

impl<'a> Table<'a> {
    /// The table in a piece of memory of [`TABLE_SIZE`]; zeros are an empty one.
    pub(crate) fn new(memory: &'a mut [u64]) -> Self {
        let (head, memory) = memory.split_at_mut(HEAD);
        let (slots, records) = memory.split_first_chunk_mut().expect("a table's memory is of its size");
        Self { head: bytemuck::from_bytes_mut(bytemuck::cast_slice_mut(head)), slots, records }
    }

    /// Makes it empty, whatever it is.
    pub(crate) fn clear(&mut self) {
        self.slots[..LEAST_SLOTS].fill(0);
        *self.head = bytemuck::Zeroable::zeroed();
    }

    /// Whether there was a word for which it had no place.
    pub(crate) fn is_partial(&self) -> bool {
        self.head.refused != 0
    }

    /// Adds one to the count of each word.
    pub(crate) fn add_all(&mut self, words: &[Word]) {
        // Many words are in few places, but there is a place for each, and most are far away. All are
        // asked for before any is waited for: first the slots, then the records.
        let slots = self.slots_in_use();
        let slot_of = |word: &Word| self.slots[first_slot(word.key, slots)];
        black_box(words.iter().fold(0, |all, word| all ^ slot_of(word)));
        let record_of = |word: &Word| self.records[(slot_of(word) as u32).saturating_sub(1) as usize];
        black_box(words.iter().fold(0, |all, word| all ^ record_of(word)));
        for word in words {
            self.add(word.key, word.pieces(), 1);
        }
    }

    /// Adds to a word's count.
    #[inline]
    fn add(&mut self, key: u64, pieces: &[u64], times: u64) {
        let slots = self.slots_in_use();
        let mut slot = first_slot(key, slots);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return self.insert(slot, key, pieces, times);
            }
            if found & !OFFSET == tag(key) {
                let at = found as u32 as usize - 1;
                let record = &mut self.records[at..];
                // Of the same key: of the same length.
                if record[1] == key && record[2..].iter().zip(pieces).all(|(one, other)| one == other) {
                    record[0] += times;
                    return;
                }
            }
            slot = (slot + 1) & (slots - 1);
        }
    }

    fn slots_in_use(&self) -> usize {
        (LEAST_SLOTS + self.head.more_slots as usize).min(SLOTS)
    }

    fn insert(&mut self, slot: usize, key: u64, pieces: &[u64], times: u64) {
        if self.head.words == MOST_WORDS as u64 {
            self.head.refused = 1;
            return;
        }
        let at = self.head.used as usize;
        let record = &mut self.records[at..at + 2 + pieces.len()];
        record[0] = times;
        record[1] = key;
        record[2..].copy_from_slice(pieces);
        self.slots[slot] = tag(key) | (at as u64 + 1);
        self.head.used += record.len() as u64;
        self.head.words += 1;
        if self.head.words as usize > self.slots_in_use() / 2 {
            self.double_slots();
        }
    }

    #[cold]
    fn double_slots(&mut self) {
        let slots = (2 * self.slots_in_use()).min(SLOTS);
        self.head.more_slots = (slots - LEAST_SLOTS) as u64;
        self.slots[..slots].fill(0);
        let mut at = 0;
        while at < self.head.used as usize {
            let key = self.records[at + 1];
            let mut slot = first_slot(key, slots);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = tag(key) | (at as u64 + 1);
            at += 2 + piece_count(key);
        }
    }

    /// All words, in the order in which they were first seen.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = &self.records[..self.head.used as usize];
        std::iter::from_fn(move || {
            let [count, key, ..] = *rest else { return None };
            let (record, others) = rest.split_at(2 + piece_count(key));
            rest = others;
            Some(Record { count, key, pieces: &record[2..] })
        })
    }

    /// Adds all words of another table.
    pub(crate) fn merge(&mut self, other: &Table<'_>) {
        if self.head.used == 0 && other.head.words > MANY {
            let used = other.head.used as usize;
            let slots = other.slots_in_use();
            self.slots[..slots].copy_from_slice(&other.slots[..slots]);
            self.records[..used].copy_from_slice(&other.records[..used]);
            *self.head = *other.head;
            return;
        }
        for record in other.records() {
            self.add(record.key, record.pieces, record.count);
        }
        self.head.refused |= other.head.refused;
    }
}

/// A table in private memory.
pub(crate) struct OwnTable(Vec<u64>);

impl OwnTable {
    pub(crate) fn new() -> Self {
        Self(vec![0; TABLE_SIZE])
    }

    pub(crate) fn table(&mut self) -> Table<'_> {
        Table::new(&mut self.0)
    }
}
