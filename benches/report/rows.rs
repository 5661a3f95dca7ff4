//! What was recorded: rows of samples (see `benches/support/record.rs`), and criterion's estimates.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::Failure;

/// The samples of one thing in one cell of one benchmark.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) bench: String,
    pub(crate) cell: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    /// In the order of the rounds; never empty.
    pub(crate) samples: Vec<f64>,
    /// Seconds since 1970.
    pub(crate) when: u64,
    pub(crate) effort: String,
    /// CPUs that other processes used at the start.
    pub(crate) others: f64,
}

impl Row {
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        quantile(&self.samples, part)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// This one by another: the median of the rounds' ratios if both have the same rounds, else the ratio of the medians.
    pub(crate) fn by(&self, other: &Self) -> f64 {
        if self.samples.len() != other.samples.len() || self.cell != other.cell {
            return self.median() / other.median();
        }
        let pairs = self.samples.iter().zip(&other.samples);
        quantile(&pairs.map(|(own, other)| own / other).collect::<Vec<_>>(), 0.5)
    }

    pub(crate) fn is_rough(&self) -> bool {
        self.effort == "quick"
    }
}

/// The value below which such a part of all is, between two of them in proportion.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() - 1) as f64 * part;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// All rows, benchmark by benchmark, in the order in which they were recorded.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    pub(crate) fn read(directory: &Path) -> Result<Self, Failure> {
        let mut files: Vec<_> =
            std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut rows = Vec::new();
        for file in files {
            let bench = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let content: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let own = content["rows"].as_array().ok_or_else(|| format!("{}: no rows", file.display()))?;
            for row in own {
                rows.push(parse(&bench, row).ok_or_else(|| format!("{}: {row}", file.display()))?);
            }
        }
        Ok(Self(rows))
    }

    pub(crate) fn all(&self) -> &[Row] {
        &self.0
    }

    pub(crate) fn find(&self, bench: &str, cell: &str, name: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.bench == bench && row.cell == cell && row.name == name)
    }

    /// Each benchmark's cells.
    pub(crate) fn cells(&self) -> Vec<(&str, &str)> {
        let mut cells: Vec<(&str, &str)> = Vec::new();
        for row in &self.0 {
            let cell = (row.bench.as_str(), row.cell.as_str());
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// All of a cell.
    pub(crate) fn cell<'r>(&'r self, bench: &'r str, cell: &'r str) -> impl Iterator<Item = &'r Row> {
        self.0.iter().filter(move |row| row.bench == bench && row.cell == cell)
    }
}

fn parse(bench: &str, row: &Value) -> Option<Row> {
    let text = |field: &str| Some(row[field].as_str()?.to_owned());
    let samples: Vec<f64> = row["samples"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    (!samples.is_empty()).then_some(Row {
        bench: bench.to_owned(),
        cell: text("cell")?,
        name: text("name")?,
        unit: text("unit")?,
        samples,
        when: row["when"].as_u64()?,
        effort: text("effort")?,
        others: row["others"].as_f64()?,
    })
}

/// What criterion says of one thing: nanoseconds.
#[derive(Debug)]
pub(crate) struct Estimate {
    pub(crate) title: String,
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Criterion's estimates, those that are not older than the rows.
pub(crate) fn criterion(directory: &Path, rows: &Rows) -> Vec<Estimate> {
    let oldest = rows.all().iter().map(|row| row.when).min().unwrap_or(0);
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(oldest);
    let files = walkdir::WalkDir::new(directory).sort_by_file_name().into_iter().flatten();
    let files = files.filter(|entry| entry.path().ends_with("new/estimates.json"));
    files.filter_map(|entry| estimate(entry.path(), since)).collect()
}

fn estimate(file: &Path, since: SystemTime) -> Option<Estimate> {
    if std::fs::metadata(file).ok()?.modified().ok()? < since {
        return None;
    }
    let read =
        |file: &Path| -> Option<Value> { serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok() };
    let title = read(&file.with_file_name("benchmark.json"))?["full_id"].as_str()?.to_owned();
    let median = &read(file)?["median"];
    let interval = &median["confidence_interval"];
    Some(Estimate {
        title,
        median: median["point_estimate"].as_f64()?,
        low: interval["lower_bound"].as_f64()?,
        high: interval["upper_bound"].as_f64()?,
    })
}
