//! Peers measured in turn, so that what disturbs the machine disturbs all of them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Rounds, median, quantile, record};

/// One thing to be measured: its name, and a function that gives one sample.
pub(crate) type Peer<'a> = (&'a str, Box<dyn FnMut() -> f64 + 'a>);

/// Puts them in another order, each as likely as any other (R. Durstenfeld, 1964).
pub(crate) fn shuffle(order: &mut [usize]) {
    static LAST: AtomicU64 = AtomicU64::new(1);
    for last in (1..order.len()).rev() {
        // The step of G. Steele et al.'s SplitMix (2014).
        let mut random = LAST.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        random = (random ^ random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ random >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(last, ((random ^ random >> 31) % (last as u64 + 1)) as usize);
    }
}

/// Takes samples of each peer, each round in another order, `rounds` rounds where time is no limit; prints and records the medians,
/// quartiles, and the median of each round's ratio of the first peer to the others, which it also gives back.
pub(crate) fn paired(title: &str, unit: &str, rounds: usize, peers: &mut [Peer<'_>]) -> Vec<f64> {
    let mut samples = vec![Vec::new(); peers.len()];
    let mut order: Vec<usize> = (0..peers.len()).collect();
    for round in Rounds::new(rounds) {
        shuffle(&mut order);
        for &which in &order {
            let sample = peers[which].1();
            if round > 0 {
                samples[which].push(sample);
            }
        }
    }
    println!("\n{title}: {} paired rounds, {unit}", samples[0].len());
    let mut ratios = Vec::new();
    for (which, (name, _)) in peers.iter().enumerate() {
        let own = &samples[which];
        let each: Vec<f64> = samples[0].iter().zip(own).map(|(first, other)| first / other).collect();
        ratios.push(median(&each));
        record(title, name, unit, own);
        println!(
            "  {name:<28} median {:>10.3}  ({:.3} to {:.3})  {} / this {:.3}",
            median(own),
            quantile(own, 0.25),
            quantile(own, 0.75),
            peers[0].0,
            median(&each)
        );
    }
    ratios
}
