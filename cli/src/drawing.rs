//! What a simulation looks like: bars and a matrix, for terminals and as SVG.

use std::fmt::Write as _;

/// Cells of a bar in the terminal.
const CELLS: usize = 20;

/// A share from 0 to 1 as a bar.
pub(crate) fn bar(share: f64) -> String {
    let filled = ((share.clamp(0.0, 1.0) * CELLS as f64).round() as usize).min(CELLS);
    format!("{}{}", "█".repeat(filled), "·".repeat(CELLS - filled))
}

/// How two experiments are related.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same one.
    Own,
    /// Of one layer: they exclude each other on purpose.
    Layer,
    /// Too few units to tell.
    Unknown,
    Independent,
    /// Below 0.05 uncorrected, as one pair of twenty is by chance.
    Chance,
    /// Fails its test.
    Dependent,
}

impl Relation {
    fn sign(self) -> char {
        match self {
            Self::Own => ' ',
            Self::Layer => '-',
            Self::Unknown => ' ',
            Self::Independent => '·',
            Self::Chance => '?',
            Self::Dependent => '!',
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Own | Self::Unknown => "#f3f3f3",
            Self::Layer => "#c9c9c9",
            Self::Independent => "#7fb685",
            Self::Chance => "#f0c95e",
            Self::Dependent => "#c8553d",
        }
    }
}

/// An experiment's bars: its name, and per variant name, planned and observed share.
pub(crate) struct Bars<'r> {
    pub(crate) name: &'r str,
    pub(crate) variants: Vec<(&'r str, f64, f64)>,
}

/// Numbered rows and columns.
pub(crate) fn matrix(names: &[&str], relation: impl Fn(usize, usize) -> Relation) -> String {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let digits = names.len().to_string().len();
    let mut text = format!("  {:digits$} {:width$} ", "", "");
    for column in 1..=names.len() {
        let _ = write!(text, " {column:>digits$}");
    }
    for (row, name) in names.iter().enumerate() {
        let _ = write!(text, "\n  {:>digits$} {name:width$} ", row + 1);
        for column in 0..names.len() {
            let _ = write!(text, " {:>digits$}", relation(row, column).sign());
        }
        text.truncate(text.trim_end().len());
    }
    text.push_str("\n  · independent, ? p < 0.05, ! dependent, - of one layer");
    text
}

/// Both as one picture.
pub(crate) fn svg(title: &str, all: &[Bars<'_>], relation: impl Fn(usize, usize) -> Relation) -> String {
    const LINE: usize = 22;
    const CELL: usize = 22;
    let rows: usize = all.iter().map(|bars| bars.variants.len() + 1).sum();
    let matrix_top = 50 + rows * LINE + 30;
    let height = matrix_top + (all.len() + 2) * CELL;
    let width = (280 + all.len() * CELL).max(760);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    let mut y = 56;
    for bars in all {
        let _ = writeln!(
            text,
            "<text x=\"20\" y=\"{}\" font-weight=\"bold\">{}</text>",
            y + 12,
            escaped(bars.name)
        );
        y += LINE;
        for (name, planned, observed) in &bars.variants {
            let length = |share: &f64| (share * 400.0).round();
            let _ = writeln!(
                text,
                "<text x=\"36\" y=\"{}\">{}</text><rect x=\"220\" y=\"{y}\" width=\"{}\" height=\"14\" fill=\"#4a7fb5\"/>\
                 <line x1=\"{mark}\" x2=\"{mark}\" y1=\"{}\" y2=\"{}\" stroke=\"black\"/>\
                 <text x=\"640\" y=\"{}\">{:.2}% of {:.2}%</text>",
                y + 12,
                escaped(name),
                length(observed),
                y - 2,
                y + 16,
                y + 12,
                observed * 100.0,
                planned * 100.0,
                mark = 220.0 + length(planned),
            );
            y += LINE;
        }
    }
    for (row, bars) in all.iter().enumerate() {
        let top = matrix_top + row * CELL;
        let _ = writeln!(text, "<text x=\"20\" y=\"{}\">{} {}</text>", top + 15, row + 1, escaped(bars.name));
        for column in 0..all.len() {
            let _ = writeln!(
                text,
                "<rect x=\"{}\" y=\"{top}\" width=\"20\" height=\"20\" fill=\"{}\"/>",
                240 + column * CELL,
                relation(row, column).colour()
            );
        }
    }
    text.push_str("</svg>\n");
    text
}

/// Ids hold nothing to escape; a title may.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_shares() {
        assert_eq!(bar(0.5), "██████████··········");
        assert_eq!(bar(0.0).matches('█').count(), 0);
        assert_eq!(bar(1.7).chars().count(), CELLS);
    }

    #[test]
    fn a_matrix_numbers_its_columns() {
        let text = matrix(
            &["a", "button"],
            |row, column| if row == column { Relation::Own } else { Relation::Dependent },
        );
        assert!(text.starts_with("            1 2\n  1 a         !\n  2 button  !\n"), "{text}");
    }
}
