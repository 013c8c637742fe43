//! `splitway diff`: who moves between two configs.

use splitway_engine::Timestamp;
use splitway_engine::diff::{Change, Flow, Later, NOTHING, Side, diff};

use crate::args::Diff;
use crate::input::{self, Input};
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::style::Style;

pub(crate) fn run(args: &Diff) -> Outcome {
    let (old, new) = (side(&args.old)?, side(&args.new)?);
    let now = input::at(args.asked.at);
    let changes = diff(&old, &new, now, args.units);
    let largest = changes.iter().map(Change::largest).fold(0.0, f64::max);
    let is_over = args.max_moved.is_some_and(|most| largest > most + NOTHING);
    if args.asked.json {
        print_answer(&serde_json::json!({
            "at": now.to_string(),
            "old": old.plan().content_hash(),
            "new": new.plan().content_hash(),
            "largest_moved": largest,
            "max_moved": args.max_moved,
            "experiments": changes,
        }))?;
    } else {
        let mut lines: Vec<String> = changes.iter().map(|change| line(change, now)).collect();
        if let Some(most) = args.max_moved.filter(|_| is_over) {
            let text = format!("{} move in one experiment, at most {} may", percent(largest), percent(most));
            lines.push(Style::stdout().red(&text));
        }
        if lines.is_empty() {
            lines.push("no experiments".to_owned());
        }
        print(&lines.join("\n"))?;
    }
    Ok(if is_over { Exit::Problems } else { Exit::Fine })
}

fn side(path: &std::path::Path) -> Result<Side, Failure> {
    let (document, plan) = Input::read(path)?.plan()?;
    Ok(Side::new(&document, plan))
}

/// `nobody`: what is said where nobody moves.
fn line_of(later: &Later, sign: &str, nobody: &str) -> String {
    let whats = ["get another variant", "come in", "leave", "are served otherwise by the same variant"];
    let moves: Vec<String> = later
        .shares()
        .into_iter()
        .zip(whats)
        .filter(|(share, _)| *share > 0.0)
        .map(|(share, what)| format!("{sign}{} of all units {what}", percent(share)))
        .collect();
    let now = percent(later.in_after);
    let now = match (moves.is_empty(), percent(later.in_before)) {
        (true, _) => format!("{now} are in it"),
        (_, before) if before == now => format!("{now} are in it, as before"),
        (_, before) => format!("{now} are in it, {before} were"),
    };
    let moves = if moves.is_empty() { nobody.to_owned() } else { moves.join(", ") };
    format!("{moves}; {now}")
}

fn line(change: &Change, now: Timestamp) -> String {
    let style = Style::stdout();
    let name = style.bold(&change.experiment);
    let sign = if change.exact { "" } else { "~" };
    let is_still = change.largest() == 0.0 && !change.has_other_effects;
    let nobody = if is_still { "nobody moves" } else { "nobody moves now" };
    let mut text = format!("{name}: {}", line_of(&Later::of(now, change), sign, nobody));
    for Flow { from, to, share } in &change.changes {
        text.push_str(&format!("\n  {from} -> {to}: {sign}{}", percent(*share)));
    }
    for later in change.later.iter().filter(|later| later.moved > 0.0) {
        text.push_str(&format!("\n  from {}: {}", later.from, line_of(later, sign, "nobody moves")));
    }
    for note in &change.notes {
        text.push_str(&format!("\n  {}", style.dim(note)));
    }
    text
}

fn percent(share: f64) -> String {
    let text = format!("{:.6}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}
