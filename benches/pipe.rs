//! The pipe beside what it is made of, a pair of SEQPACKET sockets, and beside pipe(2) and Python's `multiprocessing.Pipe`.
//!
//! `cargo bench --bench pipe`: `ROUNDS` (11) paired rounds in changing order; medians. `CELLS` picks some by parts of their titles.
//! Messages of 8 bytes to 1 MiB from one process to another, then what one takes that wakes its receiver. Each side copies its
//! messages from and to private memory; count and sum of the sequence numbers are checked in every sample. A message of 1 MiB is more
//! than a socket takes at once: there the pair is left out.

#[path = "queue/flow.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod flow;
#[path = "peers/futex.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod futex;
#[path = "peers/kernel.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod kernel;
#[path = "queue/latency.rs"]
#[allow(dead_code, reason = "a part is for another benchmark")]
mod latency;
#[path = "queue/line.rs"]
mod line;
#[path = "peers/program.rs"]
mod program;
mod support;

use std::cell::RefCell;

use flow::flow_of_bytes;
use latency::asleep;
use line::{Ends, Word};
use program::Program;
use support::{Peer, brief, is_picked, is_trial, paired, start};

const SIZES: [(&str, usize); 6] = [
    ("8 bytes", 8),
    ("64 bytes", 64),
    ("1 KiB", 1 << 10),
    ("16 KiB", 16 << 10),
    ("64 KiB", 64 << 10),
    ("1 MiB", 1 << 20),
];
const ROUNDS: usize = 11;
/// What a socket takes at once by default.
const MOST_OF_A_SOCKET: usize = 128 << 10;

/// How many messages of this size, if it is not the size that takes the time, so many.
fn messages(size: usize, most: usize) -> usize {
    if is_trial() { 10 } else { brief(most.min((256 << 20) / size)) }
}

fn main() {
    start();
    let (ends, pair, pipe, word) = (Ends::new(), kernel::SocketPair::new(), kernel::Pipe::new(), Word::new());
    let python = RefCell::new(Program::python("pipe.py", &[]));
    let python = &python;
    let ask = |request: &str| python.borrow_mut().as_mut().expect("it is there").sample(request);
    let is_there = python.borrow().is_some();
    for (name, size) in SIZES {
        let title = format!("pipe, 1 to 1, {name}");
        if !is_picked(&title) {
            continue;
        }
        let (count, few) = (messages(size, 100_000), messages(size, 10_000));
        let mut peers: Vec<Peer<'_>> =
            vec![("forq pipe", Box::new(|| flow_of_bytes(&ends, size, count as u64)))];
        if size <= MOST_OF_A_SOCKET {
            peers.push(("SEQPACKET socketpair", Box::new(|| flow_of_bytes(&pair, size, count as u64))));
        }
        peers.push(("pipe(2)", Box::new(|| flow_of_bytes(&pipe, size, count as u64))));
        if is_there {
            let sample = move || few as f64 / ask(&format!("flow {size} {few}")) * 1e3;
            peers.push(("Python Pipe", Box::new(sample)));
        }
        paired(&title, "million/s (more is better)", ROUNDS, &mut peers);
    }
    if is_picked("pipe, one way, asleep") {
        let count = if is_trial() { 3 } else { brief(300) };
        let mut peers: Vec<Peer<'_>> = vec![
            ("forq pipe", Box::new(|| asleep(&ends, count))),
            ("SEQPACKET socketpair", Box::new(|| asleep(&pair, count))),
            ("pipe(2)", Box::new(|| asleep(&pipe, count))),
            ("futex, nothing else", Box::new(|| asleep(&word, count))),
        ];
        if is_there {
            peers.push(("Python Pipe", Box::new(move || ask(&format!("asleep {count}")))));
        }
        paired("pipe, one way, asleep, 8 bytes", "ns (less is better)", ROUNDS, &mut peers);
    }
}
