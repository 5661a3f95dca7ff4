//! A progress bar on standard error, if that is a terminal, for work that takes longer than a moment.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::word_count::tables::Tables;

/// What is shorter shows no bar.
const MOMENT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

/// The bar and the thread that moves it, by what the workers tell in shared memory.
pub(crate) struct Progress {
    bar: ProgressBar,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Bytes to be counted.
    found: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Starts a thread: the pool must have been made.
    pub(crate) fn start(title: &'static str, tables: &Arc<Tables>) -> Self {
        let shared = Arc::new(Shared::default());
        let bar = ProgressBar::hidden();
        let thread = std::io::stderr().is_terminal().then(|| {
            let (shared, tables, bar) = (Arc::clone(&shared), Arc::clone(tables), bar.clone());
            thread::spawn(move || watch(&shared, &tables, &bar, title))
        });
        Self { bar, shared, thread }
    }

    /// More bytes are to be counted.
    pub(crate) fn found(&self, bytes: u64) {
        self.shared.found.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Writes a line, above the bar if there is one.
    pub(crate) fn print(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

fn watch(shared: &Shared, tables: &Tables, bar: &ProgressBar, title: &'static str) {
    let (_, before) = tables.progress();
    thread::park_timeout(MOMENT);
    if shared.over.load(Ordering::Relaxed) {
        return;
    }
    let style = ProgressStyle::with_template(
        "{msg} {bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left",
    );
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(title);
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    while !shared.over.load(Ordering::Relaxed) {
        bar.set_length(shared.found.load(Ordering::Relaxed));
        let (_, bytes) = tables.progress();
        bar.set_position(bytes.saturating_sub(before));
        thread::park_timeout(STEP);
    }
}
