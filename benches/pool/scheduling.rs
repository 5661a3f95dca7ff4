//! What the pool loses to two bare processes, and what one long item costs.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use forq::Pool;

use crate::support::{Peer, Rounds, brief, median, paired, record, together};
use crate::{ITEMS, MILLION, ten_microseconds, work};

/// What part of the throughput of two bare processes, which do half each, the pool reaches in chunks of its own choice.
pub(crate) fn efficiency(pool: &Pool, title: &str, count: usize, steps: u32, rounds: usize) {
    let steps = vec![steps; count];
    let (mut parts, mut bare_times, mut pool_times) = (Vec::new(), Vec::new(), Vec::new());
    for round in Rounds::new(rounds) {
        let (_, bare) =
            together(2, |_| steps[..count / 2].iter().map(|&steps| u64::from(work(steps) & 1)).sum());
        let started = Instant::now();
        pool.map(|&steps| work(steps), &steps).expect("a map");
        let taken = started.elapsed().as_secs_f64();
        if round > 0 {
            parts.push(bare.as_secs_f64() / taken);
            bare_times.push(bare.as_secs_f64());
            pool_times.push(taken);
        }
    }
    let cell = format!("{title}, default chunks, 2 workers");
    record(&cell, "part of two bare processes", "part (more is better)", &parts);
    let fastest = |times: &[f64]| times.iter().copied().fold(f64::MAX, f64::min);
    println!(
        "\n{cell}: {:.4} of two bare processes, median of {} rounds; of the fastest of each {:.4}",
        median(&parts),
        parts.len(),
        fastest(&bare_times) / fastest(&pool_times)
    );
}

/// Overhead of an item of 10^7 tiny ones, by 64 workers and by 2.
pub(crate) fn scale(rounds: usize) {
    let inputs: Vec<u32> = (0..10 * MILLION as u32).collect();
    let mut outputs = vec![0; inputs.len()];
    let pools =
        [("64 workers", Pool::new(64).expect("a pool")), ("2 workers", Pool::new(2).expect("a pool"))];
    let outputs = RefCell::new(&mut outputs);
    let mut peers: Vec<Peer<'_>> = Vec::new();
    for (name, pool) in &pools {
        let (inputs, outputs) = (&inputs, &outputs);
        peers.push((
            name,
            Box::new(move || {
                let started = Instant::now();
                pool.batch().map_into(|x| x ^ 0x5555, inputs, &mut outputs.borrow_mut()).expect("a map");
                started.elapsed().as_secs_f64() * 1e9 / inputs.len() as f64
            }),
        ));
    }
    paired("10^7 tiny items", "ns an item (less is better)", rounds, &mut peers);
}

/// 10^5 items of 10 us one by one, beside two bare processes that do half each.
pub(crate) fn overhead(pool: &Pool, rounds: usize) {
    let count = brief(ITEMS);
    let steps = vec![ten_microseconds(); count];
    let mut pool_times = Vec::new();
    let mut bare_times = Vec::new();
    for round in Rounds::new(rounds.min(15)) {
        let (_, bare) =
            together(2, |_| steps[..count / 2].iter().map(|&steps| u64::from(work(steps) & 1)).sum());
        let started = Instant::now();
        pool.batch().chunk_size(1).map(|&steps| work(steps), &steps).expect("a map");
        if round > 0 {
            pool_times.push(started.elapsed().as_secs_f64());
            bare_times.push(bare.as_secs_f64());
        }
    }
    let each: Vec<f64> = pool_times
        .iter()
        .zip(&bare_times)
        .map(|(pool, bare)| (pool - bare) * 2.0 / count as f64 * 1e9)
        .collect();
    let cell = "10^5 items of 10 us, chunk size 1, 2 workers";
    record(cell, "overhead of an item", "ns of one worker (less is better)", &each);
    record(cell, "forq", "s (less is better)", &pool_times);
    record(cell, "two bare processes", "s (less is better)", &bare_times);
    println!("\n{cell}: {} paired rounds", each.len());
    println!(
        "  forq {:.1} ms, two bare processes {:.1} ms",
        median(&pool_times) * 1e3,
        median(&bare_times) * 1e3
    );
    println!("  overhead an item, median of the rounds: {:.0} ns of one worker", median(&each));
}

/// One item of 1 s among 999 of 1 ms (fewer in a quick run), by sleeping, so that the machine's load matters little: beside the best possible, and
/// beside list scheduling, one by one in the given order, without any overhead (R. L. Graham, "Bounds on Multiprocessing Timing
/// Anomalies", 1969).
pub(crate) fn skew(pool: &Pool, rounds: usize) {
    let short_items = brief(1000) - 1;
    let long = short_items as u64 + 1;
    let nap = |&millis: &u64| std::thread::sleep(Duration::from_millis(millis));
    println!("\none item as long as {long} others of 1 ms, 2 workers: medians of paired rounds");
    for (name, at) in [("first", 0), ("in the middle", short_items / 2), ("last", short_items)] {
        let mut items = vec![1; short_items + 1];
        items[at] = long;
        let (mut own, mut single) = (Vec::new(), Vec::new());
        // There is nothing to warm up.
        for _ in Rounds::new(rounds).skip_while(|&round| round == 0) {
            let started = Instant::now();
            pool.map(nap, &items).expect("a map");
            own.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            pool.batch().chunk_size(1).map(nap, &items).expect("a map");
            single.push(started.elapsed().as_secs_f64());
        }
        // A short nap lasts somewhat longer than it was asked to.
        let (short, lateness) = (short_nap(), 0.0001);
        let long = long as f64 * 1e-3 + lateness;
        let durations = items.iter().map(|&item| if item == 1 { short } else { long });
        let best = long.max((long + short_items as f64 * short) / 2.0);
        let scheduled = list_scheduling(durations);
        let cell = format!("one long item among short ones, {name}");
        for (name, samples) in [
            ("default chunks", &own),
            ("chunks of 1", &single),
            ("best possible", &vec![best; own.len()]),
            ("list scheduling", &vec![scheduled; own.len()]),
        ] {
            record(&cell, name, "s (less is better)", samples);
        }
        let over: Vec<f64> = own.iter().zip(&single).map(|(own, single)| own / single).collect();
        println!(
            "  {name:<14} {:.3} s; best possible {best:.3}, list scheduling {scheduled:.3}; default chunks by chunks of 1 {:.3}",
            median(&own),
            median(&over)
        );
    }
}

/// 200 long items side by side among 10^6 tiny ones, all in one chunk of the default size: beside the best possible, and beside chunks of
/// one item.
pub(crate) fn cluster(pool: &Pool, rounds: usize) {
    const LONG: usize = 200;
    let nap = |&millis: &u64| {
        if millis > 0 {
            std::thread::sleep(Duration::from_millis(millis));
        }
        millis
    };
    println!("\n{LONG} neighbours of 10 ms among 10^6 tiny items, 2 workers, in seconds");
    // The middle of a chunk of 245 is in the middle of the cluster.
    for (place, at) in [("first", 0), ("in the middle", 245 * 2040 + 22), ("last", MILLION - LONG)] {
        let mut items = vec![0; MILLION];
        items[at..at + LONG].fill(10);
        let (mut own, mut ones, mut least) = (Vec::new(), Vec::new(), Vec::new());
        for _ in Rounds::new(rounds).skip_while(|&round| round == 0) {
            let started = Instant::now();
            pool.map(nap, &items).expect("a map");
            own.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            pool.batch().chunk_size(1).map(nap, &items).expect("a map");
            ones.push(started.elapsed().as_secs_f64());
            // Half of the naps, as long as they are here.
            let started = Instant::now();
            items[at..at + LONG / 2].iter().for_each(|item| _ = nap(item));
            least.push(started.elapsed().as_secs_f64());
        }
        let cell = format!("neighbours of 10 ms, {place}");
        for (name, samples) in [("forq", &own), ("best possible", &least), ("chunks of 1", &ones)] {
            record(&cell, name, "s, 2 workers (less is better)", samples);
        }
        let [own, least, ones] = [own, least, ones].map(|samples| median(&samples));
        println!("  {place:<14} {own:.3}; best possible {least:.3}, chunks of 1 {ones:.3}");
    }
}

/// How long two workers take that each begin the next item when they are free.
fn list_scheduling(durations: impl Iterator<Item = f64>) -> f64 {
    let ends = durations.fold([0.0f64; 2], |[sooner, later], duration| {
        let end = sooner + duration;
        [end.min(later), end.max(later)]
    });
    ends[1]
}

/// How many seconds a sleep of 1 ms lasts here.
fn short_nap() -> f64 {
    let started = Instant::now();
    (0..100).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
    started.elapsed().as_secs_f64() / 100.0
}
