//! Where figures go: `target/forq-bench/BENCH.json`, or below `FORQ_RECORD`, of which `benches/report` makes a page.
//!
//! A file is an object: `rows`, each with `cell` (what was measured), `name` (of whom), `unit`, `samples` in the order of the rounds,
//! `when` (seconds since 1970), `effort` (how long it was measured) and `others` (CPUs that other processes used at the start).
//! A row replaces the one of its cell and name; the others stay, so that a part can be measured again.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::effort::{self, BENCH, is_trial};

/// The middle one; of an even number the mean of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which such a part of all is, between two of them in proportion.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() - 1) as f64 * part;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Notes the samples of one thing in one cell, for the report: all in `unit`, where "(less is better)" or "(more is better)" may stand.
pub(crate) fn record(cell: &str, name: &str, unit: &str, samples: &[f64]) {
    if is_trial() || samples.is_empty() {
        return;
    }
    let directory = std::env::var_os("FORQ_RECORD")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("forq-bench"), PathBuf::from);
    let file = directory.join(format!("{BENCH}.json"));
    let mut rows = read(&file);
    rows.retain(|row| row["cell"] != cell || row["name"] != name);
    let when = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let samples: Vec<f64> = samples.iter().copied().map(six_digits).collect();
    rows.push(json!({
        "cell": cell, "name": name, "unit": unit, "samples": samples,
        "when": when, "effort": effort::name(), "others": six_digits(others()),
    }));
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let text = format!("{{\"rows\": [\n{}\n]}}\n", lines.join(",\n"));
    // Renamed when it is whole: who reads sees all of it.
    let new = file.with_extension("new");
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&new, text))
        .and_then(|()| std::fs::rename(&new, &file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn read(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
    value["rows"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// How many CPUs other processes use, looked at once, while this one sleeps.
pub(super) fn others() -> f64 {
    static OTHERS: OnceLock<f64> = OnceLock::new();
    *OTHERS.get_or_init(|| {
        const LOOK: Duration = Duration::from_millis(200);
        let before = busy();
        std::thread::sleep(LOOK);
        (busy() - before).max(0.0) / LOOK.as_secs_f64()
    })
}

/// Seconds that all CPUs together were not idle.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; what guests use is in the first two.
    let ticks: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&field| fields.get(field)).sum();
    // SAFETY: only a number.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}
