//! A word: a longest run of bytes that are not ASCII white space (space, \t, \n, \v, \f, \r).
//!
//! It is read, hashed and compared in pieces of eight bytes: the first eight are the first piece, and so on;
//! the last one is filled up with zeros.

/// Bytes of the longest word that is kept; longer ones are only counted.
pub(crate) const LONGEST: usize = 64;
/// Bytes of a piece.
pub(crate) const PIECE: usize = 8;

/// A key's bits that are the word's length; the others are a hash.
const LENGTH_BITS: u64 = 127;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// The high bit of each byte.
pub(crate) const HIGH: u64 = every(0x80);

const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; PIECE])
}

/// The high bit of each byte that is white space.
pub(crate) fn spaces(piece: u64) -> u64 {
    let low = piece & !HIGH;
    // No sum leaves its byte: 0x7f + 0x7f < 0x100.
    let is_no_blank = (low ^ every(b' ')) + every(0x7f);
    let from_tab = low + every(0x80 - b'\t');
    let past_return = low + every(0x80 - (b'\r' + 1));
    !piece & HIGH & (!is_no_blank | (from_tab & !past_return))
}

/// How many bytes stand before the first whose high bit is set; [`PIECE`] if none is.
pub(crate) fn before(high_bits: u64) -> usize {
    high_bits.trailing_zeros() as usize / 8
}

/// The piece of a text at a place.
pub(crate) fn load(text: &[u8], at: usize) -> u64 {
    let mut piece = [0; PIECE];
    piece.copy_from_slice(&text[at..at + PIECE]);
    u64::from_le_bytes(piece)
}

/// Multiplies to 128 bits and folds them: the bits in the middle depend on all of both.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Bytes of a key's word.
pub(crate) fn length_of(key: u64) -> usize {
    (key & LENGTH_BITS) as usize
}

/// Pieces of a key's word.
pub(crate) fn piece_count(key: u64) -> usize {
    length_of(key).div_ceil(PIECE)
}

/// A word of up to [`LONGEST`] bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    /// Hash and length.
    pub(crate) key: u64,
    pieces: [u64; LONGEST / PIECE],
}

impl Word {
    pub(crate) const EMPTY: Self = Self { key: 0, pieces: [0; LONGEST / PIECE] };

    pub(crate) fn pieces(&self) -> &[u64] {
        &self.pieces[..piece_count(self.key)]
    }

    /// Reads the word that begins at a place, or as much of it as there is room for; how many bytes.
    pub(crate) fn read(&mut self, text: &[u8], at: usize) -> usize {
        let mut hash = SEED;
        let mut length = 0;
        for place in &mut self.pieces {
            let piece = load(text, at + length);
            let rest = before(spaces(piece));
            if rest == 0 {
                break;
            }
            *place = piece & (u64::MAX >> (64 - 8 * rest));
            hash = mix(hash ^ *place, MULTIPLIER);
            length += rest;
            if rest < PIECE {
                break;
            }
        }
        self.key = mix(hash, SEED ^ length as u64) & !LENGTH_BITS | length as u64;
        length
    }
}
