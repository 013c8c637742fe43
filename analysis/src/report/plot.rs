//! Plots as inline SVG. The viewBox is narrow, so that text stays readable on a phone.

use std::fmt::{self, Write as _};

use super::escape;

const WIDTH: f64 = 480.0;
/// Room for the values at the left, such as `-0.00005` in the phone's letters.
const LEFT: f64 = 84.0;

/// An interval with its name.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) note: &'static str,
    pub(super) centre: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Intervals under each other, around a common zero.
pub(super) fn intervals(html: &mut String, rows: &[Row], caption: &str) -> fmt::Result {
    let scale = Scale::of(rows.iter().flat_map(|row| [row.low, row.high]), 20.0, WIDTH - 20.0);
    let height = 44.0 * rows.len() as f64 + 24.0;
    write!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(caption)
    )?;
    let bottom = height - 20.0;
    for tick in scale.ticks() {
        let x = scale.at(tick);
        write!(
            html,
            "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom}\"/><text class=\"dim\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            height - 5.0,
            signed(tick)
        )?;
    }
    let zero = scale.at(0.0);
    write!(html, "<line class=\"zero\" x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"0\" y2=\"{bottom}\"/>")?;
    for (at, row) in rows.iter().enumerate() {
        let y = 44.0 * at as f64 + 30.0;
        write!(
            html,
            "<text x=\"0\" y=\"{:.1}\">{}: {:+.2} % <tspan font-weight=\"700\">{}</tspan></text><line class=\"bar\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><circle class=\"dot\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\"/>",
            y - 14.0,
            escape(&row.label),
            row.centre,
            row.note,
            scale.at(row.low),
            scale.at(row.high),
            scale.at(row.centre)
        )?;
    }
    writeln!(html, "</svg><figcaption>{}</figcaption></figure>", escape(caption))
}

/// A value over time.
pub(super) struct Point {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A curve with its band.
pub(super) fn series(html: &mut String, points: &[Point], caption: &str) -> fmt::Result {
    let (height, left, right, bottom) = (180.0, LEFT, WIDTH - 8.0, 156.0);
    // The first days' bands are as wide as the sky; what matters is the rest.
    let late = &points[points.len() / 8..];
    let scale = Scale::of(late.iter().flat_map(|p| [p.low, p.high]), bottom, 8.0);
    let x = |at: usize| left + (right - left) * at as f64 / (points.len() - 1) as f64;
    let y = |value: f64| scale.at(value).clamp(0.0, bottom);
    write!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(caption)
    )?;
    for tick in scale.ticks() {
        write!(
            html,
            "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/><text class=\"dim\" x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
            y(tick),
            left - 6.0,
            y(tick) + 4.0,
            signed(tick)
        )?;
    }
    write!(html, "<line class=\"zero\" x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>", y(0.0))?;
    let path = |values: &mut dyn Iterator<Item = (usize, f64)>| {
        values.map(|(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect::<Vec<_>>().join(" ")
    };
    let upper = path(&mut points.iter().enumerate().map(|(at, p)| (at, p.high)));
    let lower = path(&mut points.iter().enumerate().rev().map(|(at, p)| (at, p.low)));
    let curve = path(&mut points.iter().enumerate().map(|(at, p)| (at, p.value)));
    write!(
        html,
        "<polygon class=\"band\" points=\"{upper} {lower}\"/><polyline class=\"curve\" points=\"{curve}\"/>"
    )?;
    for (at, anchor) in [(0, "start"), (points.len() - 1, "end")] {
        write!(
            html,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            x(at),
            height - 6.0,
            points[at].label
        )?;
    }
    writeln!(html, "</svg><figcaption>{}</figcaption></figure>", escape(caption))
}

/// A curve over days, with a dot on it and a dashed level.
pub(super) fn falling(
    html: &mut String,
    points: &[(f64, f64)],
    dot: (f64, f64),
    level: Option<f64>,
    caption: &str,
) -> fmt::Result {
    let (height, left, right, bottom) = (180.0, LEFT, WIDTH - 8.0, 156.0);
    let steep = points.iter().map(|point| point.1).fold(dot.1, f64::max);
    let top = steep.min(4.0 * dot.1).max(level.unwrap_or_default());
    let scale = Scale::of([0.0, top].into_iter(), bottom, 8.0);
    let days = Scale::of(points.iter().map(|point| point.0), left, right);
    let y = |value: f64| scale.at(value).clamp(0.0, bottom);
    write!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(caption)
    )?;
    for tick in scale.ticks().into_iter().filter(|tick| *tick >= 0.0) {
        write!(
            html,
            "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/><text class=\"dim\" x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
            y(tick),
            left - 6.0,
            y(tick) + 4.0,
            signed(tick)
        )?;
    }
    for tick in days.ticks().into_iter().filter(|tick| *tick > 0.0) {
        write!(
            html,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            days.at(tick),
            height - 6.0,
            tick
        )?;
    }
    if let Some(level) = level {
        write!(
            html,
            "<line class=\"zero\" x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>",
            y(level)
        )?;
    }
    let curve: Vec<String> = points
        .iter()
        .filter(|point| point.1 <= scale.high)
        .map(|(day, value)| format!("{:.1},{:.1}", days.at(*day), y(*value)))
        .collect();
    write!(
        html,
        "<polyline class=\"curve\" points=\"{}\"/><circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/>",
        curve.join(" "),
        days.at(dot.0),
        y(dot.1)
    )?;
    writeln!(html, "</svg><figcaption>{}</figcaption></figure>", escape(caption))
}

/// Values to places.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Of finite values and 0.
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low == high {
            (low, high) = (-1.0, 1.0);
        }
        let margin = 0.05 * (high - low);
        Self { low: low - margin, high: high + margin, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (value - self.low) / (self.high - self.low)
    }

    /// Round values, at most six.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|f| f * power).into_iter().find(|step| *step >= rough).unwrap_or(power);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|at| at as f64 * step).collect()
    }
}

fn signed(value: f64) -> String {
    let rounded = (value * 1e9).round() / 1e9;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded:+}") }
}
