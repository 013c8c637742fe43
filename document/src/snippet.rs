//! Problems as rustc shows them: the line, underlined.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::path::Span;
use crate::problem::{Code, Problem, Problems, Severity};

/// Narrowest and widest terminal that lines are cut for, in columns: JSON for the filter is one line.
const WIDTH: std::ops::RangeInclusive<usize> = 44..=124;

/// How problems are shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// With colours (ANSI escapes).
    pub is_coloured: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Look {
    /// Without colours, for what is not a terminal.
    pub const PLAIN: Self = Self { is_coloured: false, width: 120 };

    /// All problems of the text `source`, which is called `name`.
    #[must_use]
    pub fn show_all(self, name: &str, source: &str, problems: &Problems) -> String {
        let all = problems.iter().map(|problem| self.show(name, source, problem));
        all.collect::<Vec<_>>().join("\n")
    }

    /// `problem` of the text `source`, which is called `name`: several lines, the last of them with its end.
    #[must_use]
    pub fn show(self, name: &str, source: &str, problem: &Problem) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // What all fields are is too much to read where one is meant; without that it comes below.
        let is_field = problem.code == Code::UnknownField;
        let title = match is_field {
            true => format!("{} is not a field here", problem.found),
            false => format!("expected {}, found {}", problem.expected, problem.found),
        };
        let place = problem.path.to_string();
        let group = level.primary_title(title).id(problem.code.as_str());
        let mut group: Group<'_> = match problem.span {
            Some(span) => {
                let line = source.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
                let marked = AnnotationKind::Primary.span(on_line(line, span)).label(place);
                group.element(Snippet::source(line).line_start(span.line).path(name).annotation(marked))
            }
            None => group.element(Origin::path(format!("{name}: {place}"))),
        };
        let fields = || is_field.then(|| format!("expected {}", problem.expected));
        if let Some(advice) = problem.suggestion.clone().or_else(fields) {
            let gutter = problem.span.map_or(1, |span| span.line.to_string().len());
            let room = self.width.saturating_sub(gutter.saturating_add(" = help: ".len()));
            group = group.element(Level::HELP.message(wrapped(&advice, room)));
        }
        let renderer = if self.is_coloured { Renderer::styled() } else { Renderer::plain() };
        let width = self.width.clamp(*WIDTH.start(), *WIDTH.end());
        let mut text = renderer.term_width(width).render(&[group]);
        text.push('\n');
        text
    }
}

/// The bytes of `line` that are marked.
fn on_line(line: &str, span: Span) -> std::ops::Range<usize> {
    let start = span.column.saturating_sub(1);
    let length = span.end.saturating_sub(span.start).max(1);
    let byte = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    let rest = line.trim_end().chars().count().saturating_sub(start);
    // What goes on over several lines takes the comment with it; nobody means that.
    let left = if length > rest {
        let code = line.split(" #").next().unwrap_or_default();
        code.trim_end().chars().count().saturating_sub(start)
    } else {
        rest
    };
    let length = length.min(left).max(1);
    byte(start)..byte(start.saturating_add(length)).max(byte(start))
}

/// `text` in lines of at most `width` characters, if its words allow that.
fn wrapped(text: &str, width: usize) -> String {
    let (mut shown, mut column) = (String::new(), 0_usize);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column.saturating_add(length) >= width {
            shown.push('\n');
            column = 0;
        } else if column > 0 {
            shown.push(' ');
            column = column.saturating_add(1);
        }
        let _ = write!(shown, "{word}");
        column = column.saturating_add(length);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;

    fn problem(column: usize, length: usize) -> Problem {
        let span = Span { line: 2, column, start: 0, end: length };
        let path = Path::default().key("items").index(1);
        Problem::error(path, Code::WrongType, "text", "a list").at(Some(span))
    }

    #[test]
    fn the_line_is_underlined() {
        let shown = Look::PLAIN.show("a.yaml", "a: 1\nü: [b, c] # why\n", &problem(4, 40));
        assert_eq!(
            shown,
            "error[wrong_type]: expected text, found a list\n --> a.yaml:2:4\n  |\n2 | ü: [b, c] # why\n  |    ^^^^^^ items[1]\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("\n{}HERE{}", "x".repeat(3_000), "y".repeat(3_000));
        let shown = Look::PLAIN.show("a.json", &line, &problem(3_001, 4));
        assert!(shown.contains("xHEREy") && shown.contains("^^^^ items[1]"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 130), "{shown}");
    }
}
