//! A named segment's file with arbitrary bytes: it is refused, or what is in it is used without harm.
#![no_main]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use arbitrary::Arbitrary;
use forq::{Manager, Segment};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    /// Begin as a good segment does, so that more than the check of the header is reached.
    good: Option<bool>,
    /// So many whole pages, or as long as the bytes are.
    pages: Option<u8>,
    bytes: Vec<u8>,
}

/// The first words of a good file of this length.
fn good_start(is_manager: bool, length: usize) -> Vec<u8> {
    let name = format!("fuzz-good-{}", std::process::id());
    let made = if is_manager {
        Manager::create(&name, 1 << 16).map(drop)
    } else {
        Segment::create(&name, 1 << 12).map(drop)
    };
    made.expect("/dev/shm has room");
    let mut start = fs::read(format!("/dev/shm/forq-{name}")).expect("it is there");
    Segment::unlink(&name).expect("it is there");
    start.truncate(if is_manager { usize::MAX } else { 48 });
    start[16..24].copy_from_slice(&(length as u64).to_ne_bytes());
    start
}

fuzz_target!(|input: Input| {
    let name = format!("fuzz-{}", std::process::id());
    let path = format!("/dev/shm/forq-{name}");
    let mut bytes = input.bytes;
    let length = input.pages.map_or(bytes.len(), |pages| usize::from(pages % 32) * 4096);
    bytes.resize(length, 0);
    if let Some(is_manager) = input.good {
        let start = good_start(is_manager, length);
        // The input's own bytes come behind the header; a manager keeps the locks of a good one.
        for (at, byte) in start.iter().enumerate().take(length) {
            if at < 48 || bytes[at] == 0 {
                bytes[at] = *byte;
            }
        }
        if is_manager {
            bytes.get_mut(4096..4224).unwrap_or_default().fill(0);
        } else {
            bytes.get_mut(64..192).unwrap_or_default().fill(0);
        }
    }
    let _ = fs::remove_file(&path);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("it can be made");
    file.write_all(&bytes).expect("/dev/shm has room");
    drop(file);
    if let Ok(segment) = Segment::open(&name) {
        for (name, size) in [("a", 1), ("first", 100), ("a", 8), ("b", 1 << 20)] {
            if let Ok((place, _)) = segment.object_bytes(name.as_bytes(), size) {
                // SAFETY: the object's bytes.
                unsafe { place.write_bytes(1, size) };
            }
        }
    }
    // What its collections do is for `scribbled_manager`, which knows where locks are: one that says that a living process holds it is
    // waited for, rightly.
    drop(Manager::open(&name));
    fs::remove_file(&path).expect("it is there");
});
