//! A sample for people.

use std::cmp::Reverse;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};

use crate::sample::{Sample, Who, items_of, sum};

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Name,
    /// What is done a second, most first.
    Rate,
    /// Who waits, most first.
    Waiting,
}

impl Order {
    pub(crate) fn apply(self, sample: &mut Sample) {
        let whole = |rate: Option<f64>| Reverse(rate.unwrap_or(0.0) as u64);
        sample.mutexes.sort_by_cached_key(|row| match self {
            Self::Name => (Reverse(0), row.name.clone()),
            Self::Rate => (whole(row.rates.map(|rates| rates.acquisitions)), row.name.clone()),
            Self::Waiting => (Reverse(row.view.waiters.into()), row.name.clone()),
        });
        sample.queues.sort_by_cached_key(|row| match self {
            Self::Name => (Reverse(0), row.name.clone()),
            Self::Rate => (whole(row.rates.map(|rates| rates.put)), row.name.clone()),
            Self::Waiting => {
                let sides = [row.view.producers, row.view.consumers];
                (Reverse(sides.iter().copied().map(waiting).sum::<u32>().into()), row.name.clone())
            }
        });
        sample.pools.sort_by_cached_key(|row| match self {
            Self::Name => (Reverse(0), row.name.clone()),
            Self::Rate => (whole(row.rates.map(|rates| rates.items)), row.name.clone()),
            Self::Waiting => (Reverse(row.view.waiting_jobs as u64), row.name.clone()),
        });
        sample.managers.sort_by_cached_key(|row| row.name.clone());
    }
}

fn waiting(side: forq::QueueSideView) -> u32 {
    u32::from(side.is_waiting) + side.waiters
}

/// With a letter for thousands.
fn short(number: f64) -> String {
    match number {
        n if n < 9_999.5 => format!("{n:.0}"),
        n if n < 9_999_500.0 => format!("{:.0}k", n / 1e3),
        n if n < 9_999_500_000.0 => format!("{:.0}M", n / 1e6),
        n => format!("{:.0}G", n / 1e9),
    }
}

fn rate(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), short)
}

fn percent(part: Option<f64>) -> String {
    part.map_or("-".to_owned(), |part| format!("{:.0}%", part * 100.0))
}

fn state_name(state: char) -> &'static str {
    match state {
        'R' => "runs",
        'S' | 'I' => "sleeps",
        'D' => "waits for disk",
        'T' | 't' => "STOPPED",
        'Z' | 'X' => "DEAD",
        _ => "?",
    }
}

fn style(who: &[Who]) -> Style {
    let is_bad = who.iter().any(|who| matches!(who.state, 'T' | 't' | 'Z' | 'X'));
    if is_bad { Style::new().fg(Color::Red) } else { Style::new() }
}

/// A table of rows under a title.
struct Pane {
    title: &'static str,
    heads: &'static [&'static str],
    /// Of the columns after the first, which takes the rest.
    widths: &'static [u16],
    rows: Vec<Row<'static>>,
}

impl Pane {
    fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let widths = self.widths.iter().map(|&width| Constraint::Length(width));
        let title = format!(" {}: {} ", self.title, self.rows.len());
        let table = Table::new(self.rows, [Constraint::Min(16)].into_iter().chain(widths))
            .header(Row::new(self.heads.to_vec()).bold())
            .block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }
}

fn mutexes(sample: &Sample) -> Pane {
    let rows = sample.mutexes.iter().map(|row| {
        let statistics = row.view.statistics;
        let (owner, state) = row.who.first().map_or(("-".to_owned(), ""), |who| {
            (format!("{} {}", who.pid, who.command), state_name(who.state))
        });
        let waited = row.rates.map_or("-".to_owned(), |rates| format!("{:.2}s", rates.waited));
        Row::new([
            row.name.clone(),
            owner,
            state.to_owned(),
            row.view.waiters.to_string(),
            rate(row.rates.map(|rates| rates.acquisitions)),
            percent(row.rates.map(|rates| rates.contended)),
            waited,
            statistics.holder_deaths.to_string(),
        ])
        .style(style(&row.who))
    });
    Pane {
        title: "mutexes",
        heads: &["name", "owner", "state", "waiters", "taken/s", "contended", "waited/s", "deaths"],
        widths: &[24, 14, 8, 8, 10, 9, 7],
        rows: rows.collect(),
    }
}

fn queues(sample: &Sample) -> Pane {
    let rows = sample.queues.iter().map(|row| {
        let view = row.view;
        let closed = if view.is_closed { "closed" } else { "" };
        let waits = [(waiting(view.producers), "put"), (waiting(view.consumers), "get")];
        let waits =
            waits.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        Row::new([
            row.name.clone(),
            format!("{}/{}", view.len, view.capacity),
            rate(row.rates.map(|rates| rates.put)),
            rate(row.rates.map(|rates| rates.got)),
            view.statistics.lost.to_string(),
            waits.chain([closed.to_owned()]).collect::<Vec<_>>().join(" "),
        ])
    });
    Pane {
        title: "queues",
        heads: &["name", "depth", "put/s", "got/s", "lost", "who waits"],
        widths: &[16, 8, 8, 8, 24],
        rows: rows.collect(),
    }
}

fn pools(sample: &Sample) -> Pane {
    let rows = sample.pools.iter().map(|row| {
        let workers = &row.view.workers;
        let busy = workers.iter().filter(|worker| worker.is_busy).count();
        let items: Vec<_> = workers
            .iter()
            .map(|worker| worker.item.map_or("-".to_owned(), |item| item.to_string()))
            .collect();
        Row::new([
            row.name.clone(),
            format!("{busy}/{}", workers.len()),
            percent(row.rates.map(|rates| rates.busy)),
            short(items_of(&row.view) as f64),
            rate(row.rates.map(|rates| rates.items)),
            sum(&row.view, |worker| worker.crashes).to_string(),
            row.view.replaced.to_string(),
            items.join(" "),
        ])
        .style(style(&row.who))
    });
    Pane {
        title: "pools",
        heads: &["name", "at work", "busy", "items", "items/s", "crashes", "replaced", "on item"],
        widths: &[8, 6, 8, 8, 8, 9, 24],
        rows: rows.collect(),
    }
}

fn collections(sample: &Sample) -> Pane {
    let rows = sample.managers.iter().flat_map(|row| {
        let memory = format!("{} of {}", short(row.view.used as f64), short(row.view.capacity as f64));
        row.view.collections.iter().map(move |collection| {
            Row::new([
                collection.name.clone(),
                if collection.is_dict { "dict" } else { "list" }.to_owned(),
                collection.len.to_string(),
                row.name.clone(),
                memory.clone(),
            ])
        })
    });
    Pane {
        title: "collections",
        heads: &["name", "kind", "length", "manager", "bytes used"],
        widths: &[6, 12, 24, 16],
        rows: rows.collect(),
    }
}

/// Divides the room: who needs less than an equal part of what is left has all that it needs.
fn shares(needs: [u16; 4], mut room: u16) -> [u16; 4] {
    let mut shares = needs;
    let mut order = [0, 1, 2, 3];
    order.sort_by_key(|&which| needs[which]);
    for (which, left) in order.into_iter().zip((1..=4).rev()) {
        shares[which] = needs[which].min(room / left);
        room -= shares[which];
    }
    shares
}

pub(crate) fn draw(frame: &mut Frame<'_>, sample: &Sample, order: Order) {
    let panes = [mutexes(sample), queues(sample), pools(sample), collections(sample)];
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(frame.area());
    let keys = format!(
        " forq-top: {} processes; sorted by {}; n name, r rate, w waiting, q quits",
        sample.processes.len(),
        match order {
            Order::Name => "name",
            Order::Rate => "rate",
            Order::Waiting => "waiting",
        }
    );
    frame.render_widget(Line::from(keys).reversed(), title);
    // With borders and heads.
    let needs = panes.each_ref().map(|pane| u16::try_from(pane.rows.len() + 3).unwrap_or(u16::MAX));
    let heights = shares(needs, rest.height).map(Constraint::Length);
    let areas: [Rect; 4] = Layout::vertical(heights).areas(rest);
    for (pane, area) in panes.into_iter().zip(areas) {
        pane.draw(frame, area);
    }
}
