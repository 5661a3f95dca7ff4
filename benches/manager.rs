//! The manager's dict and list beside Boost.Interprocess's containers and Python's Manager, in one run; and two processes beside one.
//!
//! `cargo bench --bench manager`: tables of paired rounds (`ROUNDS` sets their number, `CELLS` picks some by parts of their titles, as in
//! `CELLS="get,what is there"`), then criterion's own samples. Boost needs g++ and libboost-dev, Python python3; what is missing is said. Every run
//! checks what it reads.

#[path = "peers/boost.rs"]
mod boost;
mod support;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use boost::{Boost, Kind, Sixteen};
use criterion::Criterion;
use forq::{Dict, List, Manager};
use support::{Peer, paired, pin, setting, together};

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

fn per(started: Instant, count: usize) -> f64 {
    started.elapsed().as_nanos() as f64 / count as f64
}

/// Whether `CELLS` picks it: parts of titles, with commas between them; all without it.
fn is_picked(title: &str) -> bool {
    std::env::var("CELLS").map_or(true, |picked| picked.split(',').any(|part| title.contains(part.trim())))
}

fn cell(title: &str, unit: &str, rounds: usize, peers: &mut [Peer<'_>]) {
    if is_picked(title) {
        paired(title, unit, rounds, peers);
    }
}

fn main() {
    let manager = Manager::new(MEMORY).expect("memory");
    let dict: Shared<'_> = manager.dict("dict").expect("a dict");
    let list: List<'_, Sixteen> = manager.list("list").expect("a list");
    let keys = keys(0, ENTRIES);
    let in_order: Vec<Sixteen> = (0..ENTRIES as u64).map(key).collect();
    set_all(&dict, &in_order, 1);
    (0..ENTRIES as u64).for_each(|number| list.push(&[number, number]).expect("there is room"));
    if !std::env::args().any(|argument| argument == "--test") {
        let boost = Boost::new(MEMORY);
        maps(&manager, &dict, [&in_order, &keys], boost.as_ref());
        lists(&manager, &list, boost.as_ref());
        scaling(&dict);
        if is_picked("Python") {
            python();
        }
    }
    let mut criterion = Criterion::default().configure_from_args().sample_size(15);
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

fn maps(manager: &Manager, dict: &Shared<'_>, [in_order, keys]: [&[Sixteen]; 2], boost: Option<&Boost>) {
    let rounds = setting("ROUNDS", 15);
    if let Some(boost) = boost {
        [Kind::Unordered, Kind::Ordered].into_iter().for_each(|kind| boost.set(kind, in_order, 1));
    }
    let count = keys.len();
    let each = |kind, name| -> Option<Peer<'_>> {
        let boost = boost?;
        Some((
            name,
            Box::new(move || {
                let started = Instant::now();
                assert_eq!(boost.get(kind, keys), count as u64);
                per(started, count)
            }),
        ))
    };
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            let started = Instant::now();
            assert_eq!(get_all(dict, keys), count as u64);
            per(started, count)
        }),
    )];
    peers.extend(each(Kind::Unordered, "Boost unordered_map"));
    peers.extend(each(Kind::Ordered, "Boost map"));
    cell("get, 10^5 entries of 16 + 16 bytes in random order", "ns (less is better)", rounds, &mut peers);
    drop(peers);

    let each = |kind, name| -> Option<Peer<'_>> {
        let boost = boost?;
        Some((
            name,
            Box::new(move || {
                let started = Instant::now();
                boost.set(kind, keys, 1);
                per(started, count)
            }),
        ))
    };
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            let started = Instant::now();
            set_all(dict, keys, 1);
            per(started, count)
        }),
    )];
    peers.extend(each(Kind::Unordered, "Boost unordered_map"));
    peers.extend(each(Kind::Ordered, "Boost map"));
    peers.push((
        "forq update",
        Box::new(|| {
            let started = Instant::now();
            update_all(dict, keys);
            per(started, count)
        }),
    ));
    cell("set of what is there, the same", "ns (less is better)", rounds, &mut peers);
    drop(peers);
    set_all(dict, keys, 1);

    let fresh: Shared<'_> = manager.dict("fresh").expect("a dict");
    let each = |kind, name| -> Option<Peer<'_>> {
        let boost = boost?;
        Some((
            name,
            Box::new(move || {
                boost.clear(kind);
                let started = Instant::now();
                boost.set(kind, keys, 1);
                per(started, count)
            }),
        ))
    };
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            fresh.clear().expect("it works");
            let started = Instant::now();
            set_all(&fresh, keys, 1);
            per(started, count)
        }),
    )];
    peers.extend(each(Kind::Unordered, "Boost unordered_map"));
    peers.extend(each(Kind::Ordered, "Boost map"));
    cell("set of what is not there yet, from an empty one", "ns (less is better)", rounds, &mut peers);
}

fn lists(manager: &Manager, list: &List<'_, Sixteen>, boost: Option<&Boost>) {
    let rounds = setting("ROUNDS", 15);
    let indices = shuffled(ENTRIES);
    let expected: u64 = (0..ENTRIES as u64).sum();
    if let Some(boost) = boost {
        boost.vector_fill(ENTRIES);
    }
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            let started = Instant::now();
            let sum: u64 =
                indices.iter().map(|&index| list.get(index as usize).expect("it is there")[0]).sum();
            assert_eq!(sum, expected);
            per(started, ENTRIES)
        }),
    )];
    if let Some(boost) = boost {
        peers.push((
            "Boost vector",
            Box::new(|| {
                let started = Instant::now();
                assert_eq!(boost.vector_get(&indices), expected);
                per(started, ENTRIES)
            }),
        ));
    }
    cell("list: get, 10^5 items of 16 bytes in random order", "ns (less is better)", rounds, &mut peers);
    drop(peers);
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            let started = Instant::now();
            indices.iter().for_each(|&index| list.set(index as usize, &[3, 3]).expect("it is there"));
            per(started, ENTRIES)
        }),
    )];
    if let Some(boost) = boost {
        peers.push((
            "Boost vector",
            Box::new(|| {
                let started = Instant::now();
                boost.vector_set(&indices, 3);
                per(started, ENTRIES)
            }),
        ));
    }
    cell("list: set, the same", "ns (less is better)", rounds, &mut peers);
    drop(peers);
    let fresh: List<'_, Sixteen> = manager.list("fresh list").expect("a list");
    let mut peers: Vec<Peer<'_>> = vec![(
        "forq",
        Box::new(|| {
            fresh.clear().expect("it works");
            let started = Instant::now();
            (0..ENTRIES as u64).for_each(|number| fresh.push(&[number, number]).expect("there is room"));
            per(started, ENTRIES)
        }),
    )];
    if let Some(boost) = boost {
        peers.push((
            "Boost vector",
            Box::new(|| {
                let started = Instant::now();
                boost.vector_fill(ENTRIES);
                per(started, ENTRIES)
            }),
        ));
    }
    cell("list: push, from an empty one", "ns (less is better)", rounds, &mut peers);
}

/// Each process has keys of its own, half of all, and a CPU of its own.
fn scaling(dict: &Shared<'_>) {
    const PASSES: usize = 4;
    let rounds = setting("ROUNDS", 15);
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
        cell(
            &format!("{name}, keys of its own for each process"),
            "million/s (more is better)",
            rounds,
            &mut peers,
        );
    }
}

/// What a call takes in Python's Manager.
fn python() {
    const SCRIPT: &str = "
import multiprocessing, time
if __name__ == '__main__':
    with multiprocessing.Manager() as manager:
        d, l = manager.dict(), manager.list()
        key, value = b'k' * 16, b'v' * 16
        d[key] = value
        l.append(value)
        def ns(call, count=20000):
            for _ in range(1000): call()
            start = time.perf_counter()
            for _ in range(count): call()
            return (time.perf_counter() - start) / count * 1e9
        print(f'dict get {ns(lambda: d[key]):.0f}, set {ns(lambda: d.__setitem__(key, value)):.0f}, '
              f'list get {ns(lambda: l[0]):.0f}, append {ns(lambda: l.append(value)):.0f}')
";
    match Command::new("python3").args(["-c", SCRIPT]).output() {
        Ok(output) if output.status.success() => {
            println!("\nPython's Manager, ns: {}", String::from_utf8_lossy(&output.stdout).trim());
        }
        Ok(output) => {
            println!("\nPython's Manager is not measured: {}", String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => println!("\nPython's Manager is not measured: python3: {error}"),
    }
}
