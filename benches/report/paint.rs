//! How plots look: SVG on white, so that they are read on any background.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::Failure;
use crate::page::figure;
use crate::plots::{Bar, Line, Panel};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// forq's own, and those of peers, so that each is told from the others also without colours of a kind.
const OWN: RGBColor = RGBColor(0, 90, 181);
const OTHERS: [RGBColor; 7] = [
    RGBColor(220, 50, 32),
    RGBColor(27, 120, 55),
    RGBColor(230, 159, 0),
    RGBColor(118, 42, 131),
    RGBColor(90, 90, 90),
    RGBColor(0, 158, 155),
    RGBColor(150, 90, 40),
];

/// Of a panel, in pixels; and of what says which line is whose.
const WIDE: u32 = 450;
const HIGH: u32 = 300;
const KEY_WIDE: u32 = 130;
const CAPTION: (&str, u32) = ("sans-serif", 15);
const TEXT: (&str, u32) = ("sans-serif", 12);

/// A number at an axis.
fn short(value: f64) -> String {
    let figure = figure(value);
    match figure.contains('.') {
        true => figure.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => figure,
    }
}

/// Two panels side by side, and as many rows of them as it takes.
pub(crate) fn paint(file: &Path, picture: &[Panel]) -> Result<(), Failure> {
    let down = picture.len().div_ceil(2);
    let across = picture.len().min(2);
    let area = SVGBackend::new(file, (WIDE * across as u32, HIGH * down as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, place) in picture.iter().zip(area.split_evenly((down, across))) {
        match panel {
            Panel::Bars { title, bars } => paint_bars(&place, title, bars)?,
            Panel::Lines { title, x, y, is_log, ticks, lines } => {
                let (place, key) = place.split_horizontally(WIDE - KEY_WIDE);
                let values = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
                let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
                let across = -0.2..ticks.len() as f64 - 0.8;
                let mut chart = ChartBuilder::on(&place);
                chart.caption(title, CAPTION).margin(8).x_label_area_size(34).y_label_area_size(58);
                if *is_log {
                    let mut chart =
                        chart.build_cartesian_2d(across, (least * 0.7..most * 1.4).log_scale())?;
                    paint_lines(&mut chart, x, y, ticks, lines)?;
                } else {
                    let mut chart = chart.build_cartesian_2d(across, 0.0..most * 1.1)?;
                    paint_lines(&mut chart, x, y, ticks, lines)?;
                }
                paint_key(&key, lines)?;
            }
        }
    }
    area.present()?;
    Ok(())
}

/// forq's own is told by its name.
fn color(name: &str, which: usize) -> RGBColor {
    if name.starts_with("forq") { OWN } else { OTHERS[which % OTHERS.len()] }
}

fn paint_bars(area: &Area<'_>, title: &str, bars: &[Bar]) -> Result<(), Failure> {
    let most = bars.iter().map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, CAPTION)
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(170)
        .build_cartesian_2d(0.0..most * 1.3, bars.len() as f64..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(4)
        .light_line_style(WHITE)
        .x_label_formatter(&|x| short(*x))
        .draw()?;
    for (which, bar) in bars.iter().enumerate() {
        let (top, middle, bottom) = (which as f64 + 0.2, which as f64 + 0.5, which as f64 + 0.8);
        let fill = if bar.name.starts_with("forq") { OWN } else { RGBColor(160, 160, 160) };
        let whisker = [(bar.low, middle), (bar.high, middle)];
        chart.draw_series([Rectangle::new([(0.0, top), (bar.median, bottom)], fill.filled())])?;
        chart.draw_series([PathElement::new(whisker, BLACK.stroke_width(1))])?;
        let value = Text::new(figure(bar.median), (bar.high + most * 0.02, middle - 0.15), TEXT);
        chart.draw_series([value])?;
        // The name stands left of the axis, where no coordinate of the chart is.
        let (_, y) = chart.backend_coord(&(0.0, middle - 0.15));
        let (_, above) = area.get_base_pixel();
        area.draw(&Text::new(bar.name.clone(), (8, y - above), TEXT))?;
    }
    Ok(())
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

fn paint_lines<'a, 'b: 'a, Y>(
    chart: &mut Chart<'a, 'b, Y>,
    x: &str,
    y: &str,
    ticks: &[String],
    lines: &[Line],
) -> Result<(), Failure>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(ticks.len())
        .y_labels(6)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|x| {
            let is_tick = (x - x.round()).abs() < 1e-6 && *x > -0.5;
            if is_tick { ticks.get(x.round() as usize).cloned().unwrap_or_default() } else { String::new() }
        })
        .y_label_formatter(&|y| short(*y))
        .draw()?;
    for (which, line) in lines.iter().enumerate() {
        let color = color(&line.name, which);
        let points: Vec<(f64, f64)> = line.points.iter().map(|&(x, y)| (f64::from(x), y)).collect();
        let style = color.stroke_width(if color == OWN { 3 } else { 1 });
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    Ok(())
}

/// Which line is whose.
fn paint_key(area: &Area<'_>, lines: &[Line]) -> Result<(), Failure> {
    for (which, line) in lines.iter().enumerate() {
        let (color, y) = (color(&line.name, which), 45 + 18 * which as i32);
        area.draw(&PathElement::new([(2, y), (16, y)], color.stroke_width(3)))?;
        area.draw(&Text::new(line.name.clone(), (20, y - 6), TEXT))?;
    }
    Ok(())
}
