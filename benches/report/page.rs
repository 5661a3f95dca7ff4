//! The page.

use std::fmt::Write as _;

use crate::goals::{goals, summary};
use crate::machine;
use crate::plots::Drawn;
use crate::rows::{Estimate, Row, Rows};

/// Four digits that count, and no more zeros than need be.
pub(crate) fn figure(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match 3 - digits {
        places @ 1..=9 => format!("{value:.*}", places.min(4) as usize),
        _ => format!("{value:.0}"),
    }
}

/// A unit without what a reader of a ratio is told.
fn bare(unit: &str) -> &str {
    unit.split(" (").next().unwrap_or(unit)
}

fn measured(row: &Row) -> String {
    format!("{} {}", figure(row.median()), bare(&row.unit))
}

/// In a cell of a table, a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

pub(crate) fn write(rows: &Rows, sampled: &[Estimate], drawn: &[Drawn]) -> String {
    let mut page = String::from("# What was measured\n\n");
    // Writing to a string does not fail.
    let _ = head(&mut page, rows)
        .and_then(|()| standings(&mut page, rows))
        .and_then(|()| pictures(&mut page, drawn))
        .and_then(|()| everything(&mut page, rows))
        .and_then(|()| estimates(&mut page, sampled));
    page
}

fn head(page: &mut String, rows: &Rows) -> std::fmt::Result {
    let all = rows.all();
    let whens = || all.iter().map(|row| row.when);
    let (from, to) = (whens().min().unwrap_or(0), whens().max().unwrap_or(0));
    let mut efforts: Vec<&str> = all.iter().map(|row| row.effort.as_str()).collect();
    efforts.sort_unstable();
    efforts.dedup();
    let others = all.iter().map(|row| row.others).fold(0.0, f64::max);
    writeln!(
        page,
        "Made by `cargo run --release --example report` from what `cargo bench` recorded. What the benchmarks do and how they are set:"
    )?;
    writeln!(page, "[README.md](README.md).\n")?;
    writeln!(page, "| | |\n|---|---|")?;
    for (name, value) in machine::describe() {
        writeln!(page, "| {name} | {} |", cell(&value))?;
    }
    writeln!(page, "| measured | {} to {} UTC |", machine::date(from), machine::date(to))?;
    writeln!(page, "| run | {} |", efforts.join(", "))?;
    writeln!(
        page,
        "| other load | at most {others:.2} CPUs used by other processes when a benchmark began |\n"
    )?;
    if all.iter().any(Row::is_rough) {
        writeln!(page, "**Some of this is of a quick run: those figures are rough.**\n")?;
    }
    writeln!(
        page,
        "Figures are medians of paired rounds; a ratio is the median of the rounds' ratios. Absolute figures move between machines and days,"
    )?;
    writeln!(
        page,
        "ratios in one run less. Again: `FORQ_MINUTES=25 cargo bench && cargo run --release --example report`.\n"
    )
}

fn standings(page: &mut String, rows: &Rows) -> std::fmt::Result {
    writeln!(page, "## Goals\n\n{}.\n", summary(rows))?;
    for goal in goals() {
        if let Some(standing) = goal.standing(rows).filter(|standing| !standing.is_reached) {
            writeln!(
                page,
                "- **Falls short:** {}: {}; the goal is {}.",
                goal.what,
                figure(standing.figure),
                goal.bound()
            )?;
        }
    }
    writeln!(
        page,
        "\n| what | forq | beside it | figure | goal | | command |\n|---|---|---|---|---|---|---|"
    )?;
    for goal in goals() {
        let (forq, peer, value, verdict) = match goal.standing(rows) {
            None => ("-".into(), "-".into(), "-".into(), "not measured".into()),
            Some(standing) => {
                let peer = standing.peer.map(|peer| format!("{} {}", peer.name, measured(peer)));
                let is_rough = standing.forq.is_rough() || standing.peer.is_some_and(Row::is_rough);
                let verdict = if standing.is_reached { "reached" } else { "**falls short**" };
                let rough = if is_rough { ", rough" } else { "" };
                // Where nothing is beside it, the figure says all.
                let forq = standing.peer.map(|_| measured(standing.forq));
                (
                    forq.unwrap_or_default(),
                    peer.unwrap_or_default(),
                    figure(standing.figure),
                    format!("{verdict}{rough}"),
                )
            }
        };
        writeln!(
            page,
            "| {} | {} | {} | {value} | {} | {verdict} | `cargo bench --bench {}` |",
            cell(goal.what),
            cell(&forq),
            cell(&peer),
            goal.bound(),
            goal.bench
        )?;
    }
    Ok(())
}

fn pictures(page: &mut String, drawn: &[Drawn]) -> std::fmt::Result {
    for picture in drawn {
        writeln!(page, "\n![{}](report/{})", picture.caption, picture.name)?;
    }
    Ok(())
}

fn everything(page: &mut String, rows: &Rows) -> std::fmt::Result {
    writeln!(page, "\n## Everything\n\nThe ratio is that of the first of a table to this one.")?;
    let mut bench = "";
    for (own, title) in rows.cells() {
        if bench != own {
            let end = if bench.is_empty() { "" } else { "\n</details>\n" };
            writeln!(page, "{end}\n<details><summary><code>cargo bench --bench {own}</code></summary>")?;
            bench = own;
        }
        let Some(first) = rows.cell(own, title).next() else { continue };
        writeln!(page, "\n{title}, {}:\n", first.unit)?;
        writeln!(
            page,
            "| | median | middle half | least to most | samples | ratio |\n|---|---|---|---|---|---|"
        )?;
        for row in rows.cell(own, title) {
            let ratio = Some(first.by(row)).filter(|ratio| first.unit == row.unit && ratio.is_finite());
            let ratio = ratio.map_or("-".into(), figure);
            writeln!(
                page,
                "| {} | {} | {} to {} | {} to {} | {} | {ratio} |",
                cell(&row.name),
                figure(row.median()),
                figure(row.quantile(0.25)),
                figure(row.quantile(0.75)),
                figure(row.quantile(0.0)),
                figure(row.quantile(1.0)),
                row.samples.len()
            )?;
        }
    }
    writeln!(page, "\n</details>")
}

fn estimates(page: &mut String, sampled: &[Estimate]) -> std::fmt::Result {
    if sampled.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## Criterion's samples\n\nOf each alone, with no peer beside it: medians and their 95 % intervals.\n"
    )?;
    writeln!(page, "| | ns | from | to |\n|---|---|---|---|")?;
    for Estimate { title, median, low, high } in sampled {
        writeln!(page, "| {} | {} | {} | {} |", cell(title), figure(*median), figure(*low), figure(*high))?;
    }
    Ok(())
}
