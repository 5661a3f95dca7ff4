//! Which plots there are, and what is in them.

use std::path::Path;

use crate::Failure;
use crate::paint::paint;
use crate::rows::{Row, Rows};

/// A plot that was drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) name: &'static str,
    pub(crate) caption: &'static str,
}

/// Draws all of which something was measured.
pub(crate) fn draw(directory: &Path, rows: &Rows) -> Result<Vec<Drawn>, Failure> {
    let mut drawn = Vec::new();
    for (name, caption, plot) in [
        ("locks.svg", "Locks under contention: throughput by processes and length of section", locks as Plot),
        ("backoff.svg", "Ways to wait for a word: throughput, and CPU of a section", backoff),
        ("queue.svg", "The queue beside others: throughput of 8 bytes, and by size", queue),
        ("pipe.svg", "The pipe beside others: throughput by size", pipe),
        ("pool.svg", "The pool beside others: tiny items, overhead, one item, start", pool),
        ("latency.svg", "Latency: what one message, one hop, one item takes", latency),
    ] {
        let mut picture = Vec::new();
        plot(rows, &mut picture);
        picture.retain(|panel| !panel.is_empty());
        if picture.is_empty() {
            continue;
        }
        paint(&directory.join(name), &picture)?;
        drawn.push(Drawn { name, caption });
    }
    Ok(drawn)
}

type Plot = fn(&Rows, &mut Vec<Panel>);

/// One of a picture's plots.
pub(crate) enum Panel {
    Bars {
        title: String,
        bars: Vec<Bar>,
    },
    Lines {
        title: String,
        x: &'static str,
        y: &'static str,
        is_log: bool,
        ticks: Vec<String>,
        lines: Vec<Line>,
    },
}

pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

pub(crate) struct Line {
    pub(crate) name: String,
    /// By the tick's number.
    pub(crate) points: Vec<(i32, f64)>,
}

impl Panel {
    fn is_empty(&self) -> bool {
        match self {
            Self::Bars { bars, .. } => bars.is_empty(),
            Self::Lines { lines, .. } => lines.is_empty(),
        }
    }
}

/// Bars of a cell's rows, or of rows of several cells.
fn bars<'r>(title: &str, rows: impl IntoIterator<Item = (String, &'r Row)>) -> Panel {
    let bar = |(name, row): (String, &Row)| Bar {
        name,
        low: row.quantile(0.25),
        median: row.median(),
        high: row.quantile(0.75),
    };
    Panel::Bars { title: title.into(), bars: rows.into_iter().map(bar).collect() }
}

fn cell_bars(title: &str, rows: &Rows, bench: &str, cell: &str) -> Panel {
    bars(title, rows.cell(bench, cell).map(|row| (row.name.clone(), row)))
}

/// Lines of those peers that have a row in at least one of the cells.
fn lines(rows: &Rows, bench: &str, cells: &[String], leave_out: &[&str]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (tick, cell) in cells.iter().enumerate() {
        for row in rows.cell(bench, cell).filter(|row| !leave_out.contains(&row.name.as_str())) {
            let point = (tick as i32, row.median());
            match lines.iter_mut().find(|line| line.name == row.name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: row.name.clone(), points: vec![point] }),
            }
        }
    }
    lines
}

fn locks(rows: &Rows, picture: &mut Vec<Panel>) {
    let processes = [1, 2, 4, 8];
    for (section, title) in [(0, "empty sections"), (100, "100 ns"), (1000, "1 us"), (10_000, "10 us")] {
        let cells: Vec<String> = processes.iter().map(|count| format!("{count} x {section} ns")).collect();
        picture.push(Panel::Lines {
            title: title.into(),
            x: "processes",
            y: "sections a microsecond",
            is_log: false,
            ticks: processes.iter().map(ToString::to_string).collect(),
            lines: lines(
                rows,
                "contention",
                &cells,
                &["std (threads)", "parking_lot (threads)", "forq, no back-off"],
            ),
        });
    }
}

fn backoff(rows: &Rows, picture: &mut Vec<Panel>) {
    for (what, y) in [("", "sections a microsecond"), (": CPU", "CPU ns a section")] {
        let times = [1, 2, 4];
        let cells: Vec<String> = times.iter().map(|times| format!("{times} a CPU x 100 ns{what}")).collect();
        picture.push(Panel::Lines {
            title: "sections of 100 ns".into(),
            x: "processes a CPU",
            y,
            is_log: false,
            ticks: times.iter().map(ToString::to_string).collect(),
            lines: lines(rows, "backoff", &cells, &[]),
        });
    }
}

fn queue(rows: &Rows, picture: &mut Vec<Panel>) {
    picture.push(cell_bars("8 bytes, one to one: million/s", rows, "queue", "1 to 1, 8 bytes"));
    picture.push(cell_bars("8 bytes, two to two: million/s", rows, "queue", "2 to 2, 8 bytes"));
    let sizes = ["8", "64", "1024", "65536"];
    let cells: Vec<String> = sizes.iter().map(|size| format!("1 to 1, {size} bytes")).collect();
    picture.push(Panel::Lines {
        title: "one to one, by size".into(),
        x: "bytes",
        y: "million/s",
        is_log: true,
        ticks: sizes.map(String::from).into(),
        lines: lines(
            rows,
            "queue",
            &cells,
            &["POSIX mq", "Concurrency Kit MPMC (spins)", "crossbeam, threads (spins)"],
        ),
    });
    picture.push(cell_bars("forq's queue in batches: million/s", rows, "queue", "batches, 1 to 1, 8 bytes"));
}

fn pipe(rows: &Rows, picture: &mut Vec<Panel>) {
    let sizes = ["8 bytes", "64 bytes", "1 KiB", "16 KiB", "64 KiB", "1 MiB"];
    let cells: Vec<String> = sizes.iter().map(|size| format!("pipe, 1 to 1, {size}")).collect();
    picture.push(Panel::Lines {
        title: "one to one, by size".into(),
        x: "size of a message",
        y: "million/s",
        is_log: true,
        ticks: sizes.map(String::from).into(),
        lines: lines(rows, "pipe", &cells, &[]),
    });
    picture.push(cell_bars("8 bytes to one asleep: ns", rows, "pipe", "pipe, one way, asleep, 8 bytes"));
}

fn pool(rows: &Rows, picture: &mut Vec<Panel>) {
    for (title, cell) in [
        ("x * x over 10^6 numbers: ms", "map of x * x over 10^6 u64"),
        ("20,000 items of 10 us one by one: ms, 100 at best", "20,000 items of 10 us one by one"),
        ("one item: us", "apply"),
        ("a pool of 2: us", "a pool of 2"),
    ] {
        picture.push(cell_bars(title, rows, "pool", cell));
    }
    picture.push(cell_bars("counting words, 2 workers: ms", rows, "word_count", "words in files, 2 workers"));
    picture.push(cell_bars(
        "a process made and joined: us",
        rows,
        "spawn",
        "spawn and join, little resident",
    ));
}

fn latency(rows: &Rows, picture: &mut Vec<Panel>) {
    for (title, bench, cell) in [
        ("8 bytes, both awake: ns", "queue", "one way, awake, 8 bytes"),
        ("8 bytes to one asleep: ns", "queue", "one way, asleep, 8 bytes"),
        ("one hop on one CPU: ns", "hop", "one hop, both on one CPU"),
        ("one hop between two CPUs: ns", "hop", "one hop, on two CPUs"),
        ("time beyond a limit of 20 ms: us", "overshoot", "beyond a limit of 20ms"),
        (
            "get from a dict, 10^5 entries: ns",
            "manager",
            "get, 10^5 entries of 16 + 16 bytes in random order",
        ),
    ] {
        picture.push(cell_bars(title, rows, bench, cell));
    }
}
