//! What is to be reached, and whether it is.

use crate::rows::{Row, Rows};

/// A figure that has to be at least or at most so much.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) bench: &'static str,
    cell: &'static str,
    forq: &'static str,
    figure: Figure,
    bound: Bound,
}

/// What is compared with the bound.
#[derive(Clone, Copy, Debug)]
enum Figure {
    Median,
    Least,
    /// forq's by that of a peer in the same cell.
    By(&'static str),
    /// That of a peer, in this cell, by forq's.
    Times(&'static str, &'static str),
    /// forq's less that of a peer in the same cell.
    Less(&'static str),
}
use Figure::{By, Least, Less, Median, Times};

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}
use Bound::{AtLeast, AtMost};

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtLeast(bound) => write!(f, "at least {bound}"),
            AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

const BESIDE_BEST: &str = "forq / best lock between processes that can sleep";
const ON_ONE: &str = "one hop, both on one CPU";
const LIMIT: &str = "beyond a limit of 20ms";
const MAP: &str = "map of x * x over 10^6 u64";
const GET: &str = "get, 10^5 entries of 16 + 16 bytes in random order";
const SET: &str = "set of what is there, 10^5 entries of 16 + 16 bytes in random order";
const HOT_GET: &str = "get, 10^3 of 10^5 entries again and again";
const HOT_SET: &str = "set of what is there, 10^3 of 10^5 entries again and again";
const CK: &str = "Concurrency Kit MPMC (spins)";
const BOOST: &str = "Boost message_queue";
const C_POOL: &str = "C, forks and sockets";
const PYTHON: &str = "Python's Manager";

type Line = (&'static str, &'static str, &'static str, &'static str, Figure, Bound);

/// What, benchmark, cell, forq's name there, figure, bound.
#[rustfmt::skip]
const GOALS: &[Line] = &[
    ("locks: forq by the best lock between processes that sleeps, median of all cells", "contention", "all cells", BESIDE_BEST, Median, AtLeast(0.95)),
    ("locks: the same, the worst cell", "contention", "all cells", BESIDE_BEST, Least, AtLeast(0.8)),
    ("one hop on one CPU: semaphore by a plain futex", "hop", ON_ONE, "forq semaphore", By("plain futex"), AtMost(1.5)),
    ("one hop on one CPU: event by a plain futex", "hop", ON_ONE, "forq event", By("plain futex"), AtMost(1.5)),
    ("one hop on one CPU: mutex and condition variable by a plain futex", "hop", ON_ONE, "forq mutex and condvar", By("plain futex"), AtMost(1.5)),
    ("us beyond a time limit of 20 ms: mutex", "overshoot", LIMIT, "mutex, held by another process", Median, AtMost(2000.0)),
    ("us beyond a time limit of 20 ms: semaphore", "overshoot", LIMIT, "semaphore", Median, AtMost(2000.0)),
    ("us beyond a time limit of 20 ms: condition variable", "overshoot", LIMIT, "condition variable", Median, AtMost(2000.0)),
    ("us beyond a time limit of 20 ms: event", "overshoot", LIMIT, "event", Median, AtMost(2000.0)),
    ("us beyond a time limit of 20 ms: barrier", "overshoot", LIMIT, "barrier", Median, AtMost(2000.0)),
    ("queue, 1 to 1, by Boost's", "queue", "1 to 1, 8 bytes", "forq queue", By(BOOST), AtLeast(3.0)),
    ("queue, 1 to 1, by Concurrency Kit's ring", "queue", "1 to 1, 8 bytes", "forq queue", By(CK), AtLeast(1.2)),
    ("queue, 2 to 2, by Boost's", "queue", "2 to 2, 8 bytes", "forq queue", By(BOOST), AtLeast(4.0)),
    ("queue, 2 to 2, by Concurrency Kit's ring", "queue", "2 to 2, 8 bytes", "forq queue", By(CK), AtLeast(1.2)),
    ("queue, one way, awake: time by Concurrency Kit's ring", "queue", "one way, awake, 8 bytes", "forq queue", By(CK), AtMost(1.1)),
    ("queue, one way, asleep: time by a futex wake", "queue", "one way, asleep, 8 bytes", "forq queue", By("futex, nothing else"), AtMost(1.2)),
    ("queue, a put while 16 consumers sleep, by one", "queue", "a put while consumers are idle", "16 asleep", By("1 asleep"), AtMost(1.5)),
    ("queue, batches of 16 by one by one", "queue", "batches, 1 to 1, 8 bytes", "batches of 16", By("one by one"), AtLeast(5.0)),
    ("pipe, 8 bytes, by the SEQPACKET pair", "pipe", "pipe, 1 to 1, 8 bytes", "forq pipe", By("SEQPACKET socketpair"), AtLeast(0.95)),
    ("pipe, 1 KiB, by the SEQPACKET pair", "pipe", "pipe, 1 to 1, 1 KiB", "forq pipe", By("SEQPACKET socketpair"), AtLeast(0.95)),
    ("pipe, 64 KiB, by the SEQPACKET pair", "pipe", "pipe, 1 to 1, 64 KiB", "forq pipe", By("SEQPACKET socketpair"), AtLeast(0.95)),
    ("channel between threads, 8 bytes, by rtrb", "channel", "8 bytes", "forq, threads", By("rtrb, threads"), AtLeast(0.8)),
    ("channel between processes, 8 bytes, by rtrb between threads", "channel", "8 bytes", "forq, processes", By("rtrb, threads"), AtLeast(0.8)),
    ("channel between threads, 64 KiB in place, by a copy", "channel", "64 KiB, in place", "forq, threads", By("a fresh block's copy"), AtLeast(0.7)),
    ("channel between processes, 64 KiB in place, by a copy", "channel", "64 KiB, in place", "forq, processes", By("a fresh block's copy"), AtLeast(0.7)),
    ("pool, 10^6 tiny items: times as fast as Python's", "pool", MAP, "forq, 2 workers", Times(MAP, "Python Pool.map"), AtLeast(30.0)),
    ("pool, 10^6 tiny items: times as fast as forks and sockets in C", "pool", MAP, "forq, 2 workers", Times(MAP, C_POOL), AtLeast(1.0)),
    ("pool, items of 10 us one by one: ns of overhead an item", "pool", "10^5 items of 10 us, chunk size 1, 2 workers", "overhead of an item", Median, AtMost(200.0)),
    ("pool, items of 10 us: part of two bare processes", "pool", "10^5 items of 10 us, default chunks, 2 workers", "part of two bare processes", Median, AtLeast(0.98)),
    ("pool, items of 10 ms: part of two bare processes", "pool", "500 items of 10 ms, default chunks, 2 workers", "part of two bare processes", Median, AtLeast(0.99)),
    ("pool, apply: times as fast as Python's", "pool", "apply", "forq apply", Times("apply", "Python Pool.apply"), AtLeast(4.0)),
    ("pool of 2 started: us beyond three forks", "pool", "a pool of 2", "forq start", Less("three forks, one by one"), AtMost(100.0)),
    ("pool, memory of a map by the caller's arrays", "pool", "memory of a map over 10^6 u64", "by the caller's arrays", Median, AtMost(1.05)),
    ("pool, overhead of a tiny item: 64 workers by 2", "pool", "10^7 tiny items", "64 workers", By("2 workers"), AtMost(2.0)),
    ("pool, a long item first: time by the best possible", "pool", "one long item among short ones, first", "default chunks", By("best possible"), AtMost(1.1)),
    ("pool, a long item in the middle: time by chunks of 1", "pool", "one long item among short ones, in the middle", "default chunks", By("chunks of 1"), AtMost(1.05)),
    ("pool, a long item last: time by chunks of 1", "pool", "one long item among short ones, last", "default chunks", By("chunks of 1"), AtMost(1.05)),
    ("pool, 200 long items side by side, first: time by chunks of 1", "pool", "neighbours of 10 ms, first", "forq", By("chunks of 1"), AtMost(1.05)),
    ("pool, 200 long items side by side, in the middle: time by chunks of 1", "pool", "neighbours of 10 ms, in the middle", "forq", By("chunks of 1"), AtMost(1.05)),
    ("pool, 200 long items side by side, last: time by chunks of 1", "pool", "neighbours of 10 ms, last", "forq", By("chunks of 1"), AtMost(1.05)),
    ("dict get, in the caches, ns", "manager", HOT_GET, "forq", Median, AtMost(100.0)),
    ("dict get, random order, ns", "manager", GET, "forq", Median, AtMost(100.0)),
    ("dict set, in the caches, ns", "manager", HOT_SET, "forq", Median, AtMost(200.0)),
    ("dict set, random order, ns", "manager", SET, "forq", Median, AtMost(200.0)),
    ("dict get: times as fast as Python's Manager", "manager", GET, "forq", Times(PYTHON, "dict get"), AtLeast(200.0)),
    ("dict set: times as fast as Python's Manager", "manager", SET, "forq", Times(PYTHON, "dict set"), AtLeast(200.0)),
    ("dict get: time by Boost's unordered_map", "manager", GET, "forq", By("Boost unordered_map"), AtMost(1.0)),
    ("dict set: time by Boost's unordered_map", "manager", SET, "forq", By("Boost unordered_map"), AtMost(1.0)),
    ("dict get: times as fast as Boost's map", "manager", GET, "forq", Times(GET, "Boost map"), AtLeast(2.0)),
    ("dict set: times as fast as Boost's map", "manager", SET, "forq", Times(SET, "Boost map"), AtLeast(2.0)),
    ("dict get by two processes, by one", "manager", "get, keys of its own for each process", "2 processes", By("1 process"), AtLeast(1.7)),
    ("dict set by two processes, by one", "manager", "set, keys of its own for each process", "2 processes", By("1 process"), AtLeast(1.7)),
    ("what is done in a second of CPU time while forq-top looks on, by that without it", "under_top", "mutex and queue, 2 processes", "under forq-top", By("alone"), AtLeast(0.97)),
];

/// All of them.
pub(crate) fn goals() -> impl Iterator<Item = Goal> {
    GOALS.iter().map(|&(what, bench, cell, forq, figure, bound)| Goal {
        what,
        bench,
        cell,
        forq,
        figure,
        bound,
    })
}

/// How a goal stands.
#[derive(Debug)]
pub(crate) struct Standing<'r> {
    pub(crate) forq: &'r Row,
    pub(crate) peer: Option<&'r Row>,
    pub(crate) figure: f64,
    pub(crate) is_reached: bool,
}

impl Goal {
    /// `None`: not measured.
    pub(crate) fn standing<'r>(&self, rows: &'r Rows) -> Option<Standing<'r>> {
        let forq = rows.find(self.bench, self.cell, self.forq)?;
        let other = |cell: &str, name: &str| rows.find(self.bench, cell, name);
        let (peer, figure) = match self.figure {
            Median => (None, forq.median()),
            Least => (None, forq.quantile(0.0)),
            By(name) => {
                let peer = other(self.cell, name)?;
                (Some(peer), forq.by(peer))
            }
            Times(cell, name) => {
                let peer = other(cell, name)?;
                (Some(peer), peer.by(forq))
            }
            Less(name) => {
                let peer = other(self.cell, name)?;
                (Some(peer), forq.median() - peer.median())
            }
        };
        Some(Standing { forq, peer, figure, is_reached: self.bound.holds(figure) })
    }

    pub(crate) fn bound(&self) -> String {
        self.bound.to_string()
    }
}

/// How many are reached.
pub(crate) fn summary(rows: &Rows) -> String {
    let standings: Vec<_> = goals().map(|goal| goal.standing(rows)).collect();
    let reached = standings.iter().flatten().filter(|standing| standing.is_reached).count();
    let measured = standings.iter().flatten().count();
    format!(
        "{reached} of {} goals reached, {} fall short, {} not measured",
        standings.len(),
        measured - reached,
        standings.len() - measured
    )
}
