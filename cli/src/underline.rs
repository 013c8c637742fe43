//! Problems as rustc shows them: the line, underlined.

use std::fmt::Write as _;

use splitway_engine::{Problem, Severity};

use crate::input::Input;
use crate::style::Style;

/// Longest piece of a source line that is shown, in characters: JSON for the
/// filter is one line.
const WIDTH: usize = 120;

/// `problem` of `input`, over several lines, with a line end.
pub(crate) fn underlined(input: &Input, problem: &Problem, style: Style) -> String {
    let (input, span) = input.place(problem);
    let code = problem.code.as_str();
    let heading = match problem.severity {
        Severity::Error => style.red(&format!("error[{code}]")),
        Severity::Warning => style.yellow(&format!("warning[{code}]")),
    };
    let message = format!(": expected {}, found {}", problem.expected, problem.found);
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
            let (shown, padding, carets) = excerpt(line, span.column, span.end.saturating_sub(span.start));
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
    if let Some(advice) = &problem.suggestion {
        let _ = writeln!(text, "{:gutter$} {} help: {advice}", "", style.dim("="));
    }
    text
}

/// The piece of `line` around `column`, the blanks below it up to the column,
/// and the carets.
fn excerpt(line: &str, column: usize, length: usize) -> (String, String, String) {
    let start = column.saturating_sub(1);
    let skipped = if start > WIDTH * 3 / 4 { start - WIDTH / 4 } else { 0 };
    let cut = |text: &mut String| {
        if skipped > 0 {
            text.push('…');
        }
    };
    let mut shown = String::new();
    cut(&mut shown);
    shown.extend(line.chars().skip(skipped).take(WIDTH));
    if line.chars().count() > skipped + WIDTH {
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
    let room = (skipped + WIDTH).saturating_sub(start);
    let carets = "^".repeat(length.min(left).min(room).max(1));
    (shown, padding, carets)
}
