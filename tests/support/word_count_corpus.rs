//! Files to count, the same for the same seed, and an independent count of them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Random;
use crate::word_count::rounds::Sums;

/// A directory with files, removed with what is in it when dropped.
pub(crate) struct Corpus {
    pub(crate) directory: PathBuf,
    pub(crate) expected: Expected,
}

/// What an independent count comes to.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) sums: Sums,
    words: HashMap<Vec<u8>, u64>,
}

const SPACES: &[u8] = b" \t\n\x0b\x0c\r";

impl Corpus {
    /// An empty one.
    pub(crate) fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("the build's temporary directory can be written");
        Self { directory, expected: Expected::default() }
    }

    /// Writes a file and counts it.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory is made");
        fs::write(&path, content).expect("a file is written");
        self.expected.count(content);
        path
    }

    /// Small files, large ones, binary ones, empty ones; words of all lengths.
    pub(crate) fn random(name: &str, seed: u64, files: usize) -> Self {
        let mut corpus = Self::new(name);
        let mut random = Random(seed);
        for index in 0..files {
            let size = match random.below(20) {
                0 => 0,
                1 => 200_000 + random.below(200_000),
                _ => random.below(12_000),
            };
            let mut content = text(&mut random, size as usize);
            if random.below(25) == 0 && size > 0 {
                let at = random.below(size) as usize;
                content[at] = 0;
            }
            corpus.add(&format!("{}/{index}", index % 7), &content);
        }
        corpus
    }
}

impl Drop for Corpus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Expected {
    fn count(&mut self, content: &[u8]) {
        if content.contains(&0) {
            self.sums.skipped += 1;
            return;
        }
        self.sums.files += 1;
        self.sums.bytes += content.len() as u64;
        for word in content.split(|byte| SPACES.contains(byte)).filter(|word| !word.is_empty()) {
            self.sums.words += 1;
            if word.len() <= 64 {
                *self.words.entry(word.to_vec()).or_default() += 1;
            }
        }
    }

    /// The words, the most frequent first.
    pub(crate) fn top(&self, most: usize) -> Vec<(u64, Vec<u8>)> {
        let mut all: Vec<_> = self.words.iter().map(|(word, &count)| (count, word.clone())).collect();
        all.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        all.truncate(most);
        all
    }
}

/// Words of 1 to 9 letters, a few frequent ones among them; sometimes one of up to 200 bytes, some of any byte but NUL.
pub(crate) fn text(random: &mut Random, size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 200);
    while text.len() < size {
        match random.below(40) {
            0 => {
                let length = 50 + random.below(150);
                text.extend((0..length).map(|_| letter(random)));
            }
            1 => text.extend((0..random.below(20)).map(|_| 1 + random.below(255) as u8)),
            2..20 => text
                .extend_from_slice([&b"the"[..], b"of", b"to", b"lock", b"fork"][random.below(5) as usize]),
            _ => text.extend((0..=random.below(9)).map(|_| letter(random))),
        }
        for _ in 0..=random.below(2) {
            text.push(SPACES[random.below(6) as usize]);
        }
    }
    text.truncate(size);
    text
}

fn letter(random: &mut Random) -> u8 {
    b'a' + random.below(26) as u8
}
