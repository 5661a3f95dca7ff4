//! What all benchmarks use: how long to measure, paired rounds, processes that start together, and where figures go.
//!
//! [`start`] says how the run is done; [`paired`] measures peers in turn, prints a table and records it; who measures in a way of its
//! own takes its rounds from [`Rounds`], and hands the samples to [`record`]. What is recorded, the report reads.
#![allow(dead_code, unused_imports, reason = "each benchmark uses a part of it")]

mod effort;
mod processes;
mod record;
mod rounds;

use std::time::Duration;

pub(crate) use effort::{Rounds, brief, is_quick, is_trial, setting, start};
pub(crate) use processes::{await_one_thread, now, pin, together};
pub(crate) use record::{median, quantile, record};
pub(crate) use rounds::{Peer, paired, shuffle};

/// Whether the environment's `CELLS` picks this title: parts of titles, with commas between them; all without it.
pub(crate) fn is_picked(title: &str) -> bool {
    std::env::var("CELLS").map_or(true, |picked| picked.split(',').any(|part| title.contains(part.trim())))
}

/// Criterion's sampler: 15 samples, in less time where less was asked for.
pub(crate) fn criterion() -> criterion::Criterion {
    let (warm_up, measurement) = match effort::seconds() {
        _ if is_quick() => (50, 100),
        Some(_) => (500, 2000),
        None => (3000, 5000),
    };
    criterion::Criterion::default()
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measurement))
        .configure_from_args()
        .sample_size(15)
}

/// How all peers wait that only spin: a thousand pauses, then a yield.
pub(crate) struct Spin(u32);

impl Spin {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    #[inline]
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        if self.0 % 1000 == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
