//! Problems as rustc shows them: the line, underlined.

use std::fmt::Write as _;

use splitway_engine::{Code, Problem, Severity};

use crate::input::Input;
use crate::style::{self, Style};

/// Longest and shortest piece of a source line that is shown, in characters: JSON for the
/// filter is one line.
const WIDTH: std::ops::RangeInclusive<usize> = 40..=120;

/// `problem` of `input`, over several lines, with a line end.
pub(crate) fn underlined(input: &Input, problem: &Problem, style: Style) -> String {
    let (input, span) = input.place(problem);
    let code = problem.code.as_str();
    let heading = match problem.severity {
        Severity::Error => style.red(&format!("error[{code}]")),
        Severity::Warning => style.yellow(&format!("warning[{code}]")),
    };
    // What all fields are is too much to read where one is meant; without that it comes below.
    let is_field = problem.code == Code::UnknownField;
    let message = match is_field {
        true => format!(": {} is no field here", problem.found),
        false => format!(": expected {}, found {}", problem.expected, problem.found),
    };
    let mut text = format!("{heading}{}\n", style.bold(&message));
    let gutter = span.map_or(1, |span| span.line.to_string().len());
    let bar = style.dim("|");
    match span {
        Some(span) => {
            let _ = writeln!(
                text,
                "{:gutter$}{} {}:{}:{}",
                "",
                style.dim("-->"),
                input.name,
                span.line,
                span.column
            );
            let line = input.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
            let width = style::width().saturating_sub(gutter + 3).clamp(*WIDTH.start(), *WIDTH.end());
            let length = span.end.saturating_sub(span.start);
            let (shown, padding, carets) = excerpt(line, span.column, length, width);
            let carets = match problem.severity {
                Severity::Error => style.red(&carets),
                Severity::Warning => style.yellow(&carets),
            };
            let _ = writeln!(text, "{:gutter$} {bar}", "");
            let _ = writeln!(text, "{} {bar} {shown}", style.dim(&span.line.to_string()));
            let _ = writeln!(text, "{:gutter$} {bar} {padding}{carets} {}", "", problem.path);
        }
        None => {
            let _ = writeln!(text, "{:gutter$}{} {}: {}", "", style.dim("-->"), input.name, problem.path);
        }
    }
    let fields = || is_field.then(|| format!("expected {}", problem.expected));
    if let Some(advice) = problem.suggestion.clone().or_else(fields) {
        let indent = gutter + " = help: ".len();
        let advice = wrapped(&advice, style::width().saturating_sub(indent), &" ".repeat(indent));
        let _ = writeln!(text, "{:gutter$} {} help: {advice}", "", style.dim("="));
    }
    text
}

/// `text` in lines of at most `width` characters, if its words allow that.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let (mut shown, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            shown.push('\n');
            shown.push_str(indent);
            column = 0;
        } else if column > 0 {
            shown.push(' ');
            column += 1;
        }
        shown.push_str(word);
        column += length;
    }
    shown
}

/// The piece of `line` around `column`, the blanks below it up to the column,
/// and the carets.
fn excerpt(line: &str, column: usize, length: usize, width: usize) -> (String, String, String) {
    let start = column.saturating_sub(1);
    let skipped = if start > width * 3 / 4 { start - width / 4 } else { 0 };
    let cut = |text: &mut String| {
        if skipped > 0 {
            text.push('…');
        }
    };
    let mut shown = String::new();
    cut(&mut shown);
    shown.extend(line.chars().skip(skipped).take(width));
    if line.chars().count() > skipped + width {
        shown.push('…');
    }
    let before = line.chars().skip(skipped).take(start - skipped);
    let mut padding: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    if skipped > 0 {
        padding.insert(0, ' ');
    }
    let rest = line.trim_end().chars().count().saturating_sub(start);
    // What goes on over several lines takes the comment with it; nobody means that.
    let left = if length > rest {
        let code = line.split(" #").next().unwrap_or_default();
        code.trim_end().chars().count().saturating_sub(start)
    } else {
        rest
    };
    let room = (skipped + width).saturating_sub(start);
    let carets = "^".repeat(length.min(left).min(room).max(1));
    (shown, padding, carets)
}
