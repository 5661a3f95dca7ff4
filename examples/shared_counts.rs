//! Counts words with a pool of workers that all add to one shared dict.
//!
//!     cargo run --release --example shared_counts -- [FILE]
//!
//! The manager and the text are made before the pool, so that its workers have both. Each task counts its piece of the text by itself,
//! then adds its counts to the dict, word by word, each in one step: a worker that is killed in the middle loses what it had not added, and
//! nobody else's. (With `max_attempts` above 1 it would be added twice: `word_count` shows how to be exact then.)

use std::collections::HashMap;
use std::sync::OnceLock;

use forq::{Manager, Pool, Result};

static MANAGER: OnceLock<Manager> = OnceLock::new();
static TEXT: OnceLock<String> = OnceLock::new();

/// Bytes in a piece, and a little, up to the end of a word.
const PIECE: usize = 1 << 14;

fn main() -> Result<()> {
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md").into());
    let text = TEXT.get_or_init(|| std::fs::read_to_string(&file).expect("a text file"));
    let manager = Manager::new(64 << 20)?;
    let manager = MANAGER.get_or_init(|| manager);

    let pool = Pool::new(0)?;
    pool.map(|&piece| count(piece), &pieces(text))?;

    let counts = manager.dict::<str, u64>("counts")?;
    let mut words: Vec<(String, u64)> = counts.iter().collect::<Result<_>>()?;
    words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (word, count) in words.iter().take(10) {
        println!("{count:7} {word}");
    }
    let total: u64 = words.iter().map(|(_, count)| count).sum();
    println!("{total} words, {} of them different, {} bytes of shared memory", words.len(), manager.used()?);
    assert_eq!(total, text.split_whitespace().count() as u64);
    Ok(())
}

/// Where each piece begins and ends: between words.
fn pieces(text: &str) -> Vec<[u64; 2]> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    while from < text.len() {
        let rest = text.get(from + PIECE..).or_else(|| text.get(from + PIECE + 1..)).unwrap_or("");
        let to = rest.find(char::is_whitespace).map_or(text.len(), |at| text.len() - rest.len() + at);
        pieces.push([from as u64, to as u64]);
        from = to;
    }
    pieces
}

/// In a worker.
fn count([from, to]: [u64; 2]) -> u64 {
    let (manager, text) =
        (MANAGER.get().expect("made before the pool"), TEXT.get().expect("read before the pool"));
    let mut own: HashMap<&str, u64> = HashMap::new();
    for word in text[from as usize..to as usize].split_whitespace() {
        *own.entry(word).or_default() += 1;
    }
    let counts = manager.dict::<str, u64>("counts").expect("there is room");
    for (word, count) in &own {
        counts.update(word, |sum| Some(sum.unwrap_or(0) + count)).expect("there is room");
    }
    own.len() as u64
}
