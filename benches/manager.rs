//! The manager's dict and list beside Boost.Interprocess's containers and Python's Manager, in one run; and two processes beside one.
//!
//! `cargo bench --bench manager`: tables of paired rounds (`ROUNDS` sets their number, `CELLS` picks some by parts of their titles, as in
//! `CELLS="get,what is there"`), then criterion's own samples. Boost needs libboost-dev when this is built, Python python3; what is missing is said. Every run
//! checks what it reads.

mod support;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use forq::{Dict, List, Manager};
use forq_bench_peers::containers::{Boost, Kind, Sixteen};
use support::{Peer, brief, criterion, is_picked, is_trial, median, paired, pin, record, start, together};

const ENTRIES: usize = 100_000;
const MEMORY: usize = 64 << 20;

type Shared<'m> = Dict<'m, Sixteen, Sixteen>;

/// Numbers in an order that no prefetcher guesses (Fisher and Yates's shuffle).
fn shuffled(count: usize) -> Vec<u32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut numbers: Vec<u32> = (0..count as u32).collect();
    for i in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers.swap(i, (state >> 33) as usize % (i + 1));
    }
    numbers
}

fn key(number: u64) -> Sixteen {
    [number, 7]
}

/// In another order than that in which they are set first.
fn keys(from: usize, count: usize) -> Vec<Sixteen> {
    shuffled(count).into_iter().map(|number| key(from as u64 + u64::from(number))).collect()
}

fn get_all(dict: &Shared<'_>, keys: &[Sixteen]) -> u64 {
    keys.iter()
        .map(|key| dict.get(key).expect("it works").expect("it is there")[0])
        .fold(0, u64::wrapping_add)
}

fn set_all(dict: &Shared<'_>, keys: &[Sixteen], value: u64) {
    for (index, key) in keys.iter().enumerate() {
        dict.set(key, &[value, index as u64]).expect("there is room");
    }
}

fn update_all(dict: &Shared<'_>, keys: &[Sixteen]) {
    for key in keys {
        dict.update(key, |value| value.map(|[first, second]| [first + 1, second])).expect("there is room");
    }
}

fn cell(title: &str, unit: &str, peers: &mut [Peer<'_>]) {
    if is_picked(title) {
        paired(title, unit, 15, peers);
    }
}

fn main() {
    start();
    let manager = Manager::new(MEMORY).expect("memory");
    let dict: Shared<'_> = manager.dict("dict").expect("a dict");
    let list: List<'_, Sixteen> = manager.list("list").expect("a list");
    let keys = keys(0, ENTRIES);
    let in_order: Vec<Sixteen> = (0..ENTRIES as u64).map(key).collect();
    set_all(&dict, &in_order, 1);
    (0..ENTRIES as u64).for_each(|number| list.push(&[number, number]).expect("there is room"));
    if !is_trial() {
        let boost = Boost::new(MEMORY);
        if boost.is_none() {
            println!("not measured: Boost.Interprocess (libboost-dev)");
        }
        maps(&manager, &dict, [&in_order, &keys], boost.as_ref());
        lists(&manager, &list, boost.as_ref());
        scaling(&dict);
        if is_picked("Python") {
            python();
        }
    }
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("manager");
    let timed = |count: u64, body: &dyn Fn(&[Sixteen])| {
        let mut spent = Duration::ZERO;
        let mut left = count as usize;
        while left > 0 {
            let some = &keys[..left.min(keys.len())];
            let started = Instant::now();
            body(some);
            spent += started.elapsed();
            left -= some.len();
        }
        spent
    };
    group.bench_function("dict get", |b| {
        b.iter_custom(|count| timed(count, &|keys| _ = black_box(get_all(&dict, keys))));
    });
    group.bench_function("dict set", |b| {
        b.iter_custom(|count| timed(count, &|keys| set_all(&dict, keys, 2)));
    });
    group.bench_function("dict update", |b| {
        b.iter_custom(|count| timed(count, &|keys| update_all(&dict, keys)));
    });
    group.finish();
    criterion.final_summary();
}

/// What so many operations take, each: nanoseconds.
fn timed(count: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_nanos() as f64 / count as f64
}

/// forq, and where they are there, Boost's two maps.
fn beside<'a>(
    boost: Option<&'a Boost>,
    forq: impl FnMut() -> f64 + 'a,
    theirs: impl Fn(&Boost, Kind) -> f64 + Copy + 'a,
) -> Vec<Peer<'a>> {
    let mut peers: Vec<Peer<'_>> = vec![("forq", Box::new(forq))];
    if let Some(boost) = boost {
        for (name, kind) in [("Boost unordered_map", Kind::Unordered), ("Boost map", Kind::Ordered)] {
            peers.push((name, Box::new(move || theirs(boost, kind))));
        }
    }
    peers
}

/// Entries that the caches have: some of all.
const HOT: usize = 1_000;

fn maps(manager: &Manager, dict: &Shared<'_>, [in_order, keys]: [&[Sixteen]; 2], boost: Option<&Boost>) {
    if let Some(boost) = boost {
        [Kind::Unordered, Kind::Ordered].into_iter().for_each(|kind| boost.set(kind, in_order, 1));
    }
    let random = "10^5 entries of 16 + 16 bytes in random order";
    let hot = "10^3 of 10^5 entries again and again";
    for (place, keys, passes) in [(random, keys, 1), (hot, &keys[..HOT], keys.len() / HOT)] {
        let count = passes * keys.len();
        let all = |sum: u64| assert_eq!(sum, keys.len() as u64);
        let again = |run: &dyn Fn()| timed(count, || (0..passes).for_each(|_| run()));
        let mut peers = beside(
            boost,
            || again(&|| all(get_all(dict, keys))),
            |boost, kind| again(&|| all(boost.get(kind, keys))),
        );
        cell(&format!("get, {place}"), "ns (less is better)", &mut peers);
        let mut peers = beside(
            boost,
            || again(&|| set_all(dict, keys, 1)),
            |boost, kind| again(&|| boost.set(kind, keys, 1)),
        );
        peers.push(("forq update", Box::new(|| again(&|| update_all(dict, keys)))));
        cell(&format!("set of what is there, {place}"), "ns (less is better)", &mut peers);
        drop(peers);
        set_all(dict, keys, 1);
    }

    let fresh: Shared<'_> = manager.dict("fresh").expect("a dict");
    let mut peers = beside(
        boost,
        || {
            fresh.clear().expect("it works");
            timed(keys.len(), || set_all(&fresh, keys, 1))
        },
        |boost, kind| {
            boost.clear(kind);
            timed(keys.len(), || boost.set(kind, keys, 1))
        },
    );
    cell("set of what is not there yet, from an empty one", "ns (less is better)", &mut peers);
}

fn lists(manager: &Manager, list: &List<'_, Sixteen>, boost: Option<&Boost>) {
    let indices = shuffled(ENTRIES);
    let expected: u64 = (0..ENTRIES as u64).sum();
    if let Some(boost) = boost {
        boost.vector_fill(ENTRIES);
    }
    let get = |index: u32| list.get(index as usize).expect("it is there")[0];
    let set = |index: u32| list.set(index as usize, &[3, 3]).expect("it is there");
    let fresh: List<'_, Sixteen> = manager.list("fresh list").expect("a list");
    let with_vector = |title: &str, forq: &dyn Fn() -> f64, theirs: &dyn Fn(&Boost) -> f64| {
        let mut peers: Vec<Peer<'_>> = vec![("forq", Box::new(forq))];
        peers.extend(boost.map(|boost| -> Peer<'_> { ("Boost vector", Box::new(|| theirs(boost))) }));
        cell(title, "ns (less is better)", &mut peers);
    };
    with_vector(
        "list: get, 10^5 items of 16 bytes in random order",
        &|| timed(ENTRIES, || assert_eq!(indices.iter().map(|&index| get(index)).sum::<u64>(), expected)),
        &|boost| timed(ENTRIES, || assert_eq!(boost.vector_get(&indices), expected)),
    );
    with_vector(
        "list: set, the same",
        &|| timed(ENTRIES, || indices.iter().for_each(|&index| set(index))),
        &|boost| timed(ENTRIES, || boost.vector_set(&indices, 3)),
    );
    with_vector(
        "list: push, from an empty one",
        &|| {
            fresh.clear().expect("it works");
            timed(ENTRIES, || {
                (0..ENTRIES as u64).for_each(|number| fresh.push(&[number, number]).expect("there is room"));
            })
        },
        &|boost| timed(ENTRIES, || boost.vector_fill(ENTRIES)),
    );
}

/// Each process has keys of its own, half of all, and a CPU of its own.
fn scaling(dict: &Shared<'_>) {
    const PASSES: usize = 4;
    let halves = [keys(0, ENTRIES / 2), keys(ENTRIES / 2, ENTRIES / 2)];
    type Work = fn(&Shared<'_>, &[Sixteen]);
    let works: [(&str, Work); 3] = [
        ("get", |dict, keys| _ = black_box(get_all(dict, keys))),
        ("set", |dict, keys| set_all(dict, keys, 1)),
        ("update", |dict, keys| update_all(dict, keys)),
    ];
    for (name, work) in works {
        let run = |processes: usize| {
            let (done, elapsed) = together(processes, |index| {
                pin(index);
                (0..PASSES).for_each(|_| work(dict, &halves[index]));
                (PASSES * halves[index].len()) as u64
            });
            done as f64 / elapsed.as_secs_f64() / 1e6
        };
        let mut peers: [Peer<'_>; 2] =
            [("2 processes", Box::new(|| run(2))), ("1 process", Box::new(|| run(1)))];
        cell(&format!("{name}, keys of its own for each process"), "million/s (more is better)", &mut peers);
    }
}

/// What a call takes in Python's Manager, in nanoseconds, as it says itself.
fn python() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/manager.py");
    let output = match Command::new("python3").args([script, &brief(20_000).to_string()]).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => {
            println!("\nnot measured: Python's Manager: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        Err(error) => {
            println!("\nnot measured: Python's Manager: python3: {error}");
            return;
        }
    };
    println!("\nPython's Manager: ns (less is better)");
    for line in output.lines() {
        let (name, samples) = line.split_once(':').expect("a name, and samples");
        let samples: Vec<f64> =
            samples.split_whitespace().map(|sample| sample.parse().expect("a number")).collect();
        record("Python's Manager", name, "ns (less is better)", &samples);
        println!("  {name:<28} median {:>10.0}", median(&samples));
    }
}
