//! How long a benchmark measures: as long as it likes, its share of some minutes, or a moment.

use std::time::{Duration, Instant};

use super::record;

/// Of 25 minutes for the whole suite, with criterion's samples and what is not measured in rounds: seconds of a cell of each benchmark.
const SHARES: [(&str, f64); 12] = [
    ("backoff", 8.0),
    ("channel", 15.0),
    ("contention", 16.0),
    ("hop", 20.0),
    ("manager", 5.0),
    ("mutex", 15.0),
    ("pipe", 8.0),
    ("pool", 15.0),
    ("queue", 13.0),
    ("spawn", 12.0),
    ("under_top", 15.0),
    ("word_count", 60.0),
];
/// Of one that is not among them.
const SHARE: f64 = 10.0;
const SHARED_MINUTES: f64 = 25.0;

/// The name of this benchmark.
pub(super) const BENCH: &str = env!("CARGO_CRATE_NAME");

/// A number from the environment, or the default.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// `FORQ_QUICK=1`: to see that all is well. Figures are rough.
pub(crate) fn is_quick() -> bool {
    std::env::var("FORQ_QUICK").is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// `--test`: each thing once, and no figures.
pub(crate) fn is_trial() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// `FORQ_MINUTES`: how long the whole suite may take.
fn minutes() -> Option<f64> {
    std::env::var("FORQ_MINUTES").ok()?.parse().ok().filter(|minutes| *minutes > 0.0)
}

/// How long a cell of this benchmark may take, if there is a limit.
pub(super) fn seconds() -> Option<f64> {
    if is_quick() {
        return Some(0.3);
    }
    let share = SHARES.iter().find(|share| share.0 == BENCH).map_or(SHARE, |share| share.1);
    minutes().map(|minutes| share * minutes / SHARED_MINUTES)
}

/// A count of things to do in one sample, or a tenth of it for a quick look.
pub(crate) fn brief(count: usize) -> usize {
    if is_quick() { count.div_ceil(10) } else { count }
}

/// How this run is done, in a word.
pub(super) fn name() -> String {
    match minutes() {
        _ if is_quick() => "quick".into(),
        Some(minutes) => format!("{minutes} minutes"),
        None => "full".into(),
    }
}

/// Says how this run is done; to be called first, before anything of ours uses a CPU.
pub(crate) fn start() {
    let others = record::others();
    println!("{BENCH}: {} run; other processes use {others:.2} CPUs", name());
    if is_quick() {
        println!("FORQ_QUICK: few and short samples, figures are rough");
    }
}

/// The numbers of the rounds: 0 warms up, and does not count. In a quick run there is none such.
pub(crate) struct Rounds {
    next: usize,
    least: usize,
    most: usize,
    /// When it began, and how long it may last once there were `least` rounds.
    limit: Option<(Instant, Duration)>,
}

impl Rounds {
    /// So many where time is no limit, or by `ROUNDS`.
    pub(crate) fn new(full: usize) -> Self {
        record::others();
        let picked = std::env::var_os("ROUNDS").map(|_| setting("ROUNDS", full));
        let full = picked.unwrap_or(full).max(1);
        match seconds() {
            _ if is_trial() => Self { next: 1, least: 1, most: 1, limit: None },
            Some(seconds) if picked.is_none() => {
                let limit = Some((Instant::now(), Duration::from_secs_f64(seconds)));
                match is_quick() {
                    true => Self { next: 1, least: 1, most: 3, limit },
                    false => Self { next: 0, least: full.min(5), most: 8 * full, limit },
                }
            }
            _ => Self { next: 0, least: full, most: full, limit: None },
        }
    }

    /// A machine on which a few rounds take thrice the time is too busy to be measured: one round has to do.
    fn is_over(&self) -> bool {
        let Some((start, limit)) = self.limit else { return false };
        let taken = start.elapsed();
        self.next > self.least && taken > limit || self.next > 1 && taken > 3 * limit
    }
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next > self.most || self.is_over() {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}
