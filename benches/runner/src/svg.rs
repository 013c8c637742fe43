//! A picture of numbers.

use std::fmt::Write as _;

/// One number.
pub(super) struct Bar<'a> {
    pub(super) label: &'a str,
    pub(super) value: f64,
    /// Drawn in the other colour.
    pub(super) ours: bool,
}

const LABELS: f64 = 300.0;
const WIDTH: f64 = 420.0;
const ROW: f64 = 24.0;
const TOP: f64 = 40.0;

/// Horizontal bars from zero, labelled with their numbers. It has a background of its own, so that
/// it can be read on a dark page too.
pub(super) fn bars(title: &str, bars: &[Bar<'_>]) -> String {
    let largest = bars.iter().map(|bar| bar.value).fold(1e-9, f64::max);
    let height = bars.iter().fold(TOP + 10.0, |height, _| height + ROW);
    let total = LABELS + WIDTH + 70.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {height}\" width=\"{total}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\" font-weight=\"bold\" fill=\"#222222\">{0}</text>\n",
        escaped(title)
    );
    let mut y = TOP;
    for bar in bars {
        let width = WIDTH * bar.value.max(0.0) / largest;
        let colour = if bar.ours { "#1f6feb" } else { "#8c959f" };
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#222222\">{}</text>\
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\" fill=\"#222222\">{:.1}</text>",
            LABELS - 8.0,
            y + 13.0,
            escaped(bar.label),
            LABELS + width + 6.0,
            y + 13.0,
            bar.value
        );
        y += ROW;
    }
    text + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_has_the_width_and_none_is_negative() {
        let bar = |label, value| Bar { label, value, ours: false };
        let text = bars("a < b", &[bar("x", 10.0), bar("y", 5.0), bar("z", -1.0)]);
        assert!(text.contains("<title>a &lt; b</title>"), "{text}");
        for width in ["width=\"420.0\"", "width=\"210.0\"", "width=\"0.0\""] {
            assert!(text.contains(width), "{width}\n{text}");
        }
    }
}
