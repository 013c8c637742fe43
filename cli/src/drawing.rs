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
    const BAR: usize = 400;
    let names = all.iter().flat_map(|bars| bars.variants.iter().map(|(name, ..)| *name).chain([bars.name]));
    // Nobody has measured the font: letters of 8 pixels are wide ones.
    let left = 60 + 8 * names.map(|name| name.chars().count()).max().unwrap_or_default();
    let rows: usize = all.iter().map(|bars| bars.variants.len() + 1).sum();
    let matrix_top = 56 + rows * LINE + 48;
    let height = matrix_top + all.len() * LINE + 50;
    let width = (left + BAR + 160).max(left + all.len() * LINE + 20).max(620);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\">{}</text>\n\
         <text x=\"{left}\" y=\"48\" fill=\"#666\">bar: observed, line: planned</text>\n",
        escaped(title)
    );
    let label = |text: &mut String, x: usize, y: usize, more: &str, said: &str| {
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\"{more}>{}</text>", escaped(said));
    };
    let mut y = 56;
    for bars in all {
        label(&mut text, 20, y + 12, " font-weight=\"bold\"", bars.name);
        y += LINE;
        for (name, planned, observed) in &bars.variants {
            let length = |share: &f64| (share * BAR as f64).round() as usize;
            let mark = left + length(planned);
            label(&mut text, 36, y + 12, "", name);
            let _ = writeln!(
                text,
                "<rect x=\"{left}\" y=\"{y}\" width=\"{}\" height=\"14\" fill=\"#4a7fb5\"/>\
                 <line x1=\"{mark}\" x2=\"{mark}\" y1=\"{}\" y2=\"{}\" stroke=\"black\"/>",
                length(observed),
                y - 2,
                y + 16
            );
            let shares = format!("{:.2}% of {:.2}%", observed * 100.0, planned * 100.0);
            label(&mut text, left + BAR + 20, y + 12, "", &shares);
            y += LINE;
        }
    }
    label(&mut text, 20, matrix_top - 8, " font-weight=\"bold\"", "Independence");
    for (row, bars) in all.iter().enumerate() {
        let top = matrix_top + row * LINE;
        let centre = left + row * LINE + 10;
        label(&mut text, centre, matrix_top - 8, " text-anchor=\"middle\"", &(row + 1).to_string());
        label(&mut text, 20, top + 15, "", &format!("{} {}", row + 1, bars.name));
        for column in 0..all.len() {
            let _ = writeln!(
                text,
                "<rect x=\"{}\" y=\"{top}\" width=\"20\" height=\"20\" fill=\"{}\"/>",
                left + column * LINE,
                relation(row, column).colour()
            );
        }
    }
    let mut x = 20;
    for (kind, said) in [
        (Relation::Independent, "independent"),
        (Relation::Chance, "p < 0.05, as one of twenty is"),
        (Relation::Dependent, "dependent"),
        (Relation::Layer, "of one layer"),
    ] {
        let top = height - 32;
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{top}\" width=\"14\" height=\"14\" fill=\"{}\"/>",
            kind.colour()
        );
        label(&mut text, x + 20, top + 12, "", said);
        x += 48 + 7 * said.len();
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
