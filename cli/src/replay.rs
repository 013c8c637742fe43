//! `splitway replay`: recorded requests through two configs, and who would get something else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::input;
use crate::outcome::{Exit, Outcome, print, print_answer};
use crate::plural::counted;
use crate::requests::{self, Decider};
use crate::style::Style;
use crate::values::{Question, share};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Old config, a file or a folder
    old: PathBuf,
    /// New config, a file or a folder
    new: PathBuf,
    /// The requests: one JSON object per line, or an access log in JSON; `-` is stdin
    #[arg(long, value_name = "FILE", required = true)]
    requests: PathBuf,
    /// Exit 1 if a larger share of the requests moves in any experiment, such as 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_moved: Option<f64>,
    #[command(flatten)]
    asked: Question,
}

pub(crate) fn run(args: &Replay) -> Outcome {
    let (old, new) =
        (input::plan(std::slice::from_ref(&args.old))?, input::plan(std::slice::from_ref(&args.new))?);
    let now = input::at(None);
    let (mut before, mut after) =
        (Decider::new(&old, args.asked.at, now), Decider::new(&new, args.asked.at, now));
    let mut experiments: BTreeMap<String, Tally> = BTreeMap::new();
    let (requests, skipped) = requests::each(&args.requests, |request| {
        before.decide(&request);
        after.decide(&request);
        let mut pairs: BTreeMap<&str, [Side<'_>; 2]> = BTreeMap::new();
        for (side, decider) in [&before, &after].into_iter().enumerate() {
            for (id, outcome, variant, unit) in decider.outcomes() {
                let known = Side { variant, reason: Some(outcome.reason.as_str()), unit };
                if let Some(slot) = pairs.entry(id).or_default().get_mut(side) {
                    *slot = known;
                }
            }
        }
        for (id, [was, is]) in pairs {
            let tally = experiments.entry(id.to_owned()).or_default();
            tally.count(&was, &is, || format!("line {}: {}", request.line, request.shown()));
        }
        Ok(())
    })?;
    let answer = Answer {
        old: old.content_hash().to_owned(),
        new: new.content_hash().to_owned(),
        requests,
        skipped,
        experiments: experiments.into_iter().map(|(id, tally)| tally.finish(id)).collect(),
    };
    let largest = answer.experiments.iter().map(|found| found.moved_share).fold(0.0, f64::max);
    let is_over = args.max_moved.is_some_and(|most| largest > most);
    if args.asked.json {
        print_answer(&answer)?
    } else {
        print(&answer.text(is_over))?
    };
    Ok(if is_over || requests == 0 || skipped > 0 { Exit::Problems } else { Exit::Fine })
}

/// What one config made of a request in an experiment; empty where the config does not have it.
#[derive(Clone, Copy, Default)]
struct Side<'s> {
    variant: Option<&'s str>,
    reason: Option<&'static str>,
    unit: Option<&'s str>,
}

impl Side<'_> {
    /// The variant, or why there is none.
    fn name(&self) -> String {
        match (self.variant, self.reason) {
            (Some(variant), _) => variant.to_owned(),
            (None, Some(reason)) => format!("out ({reason})"),
            (None, None) => "out (no such experiment)".to_owned(),
        }
    }
}

/// An experiment's requests so far.
#[derive(Default)]
struct Tally {
    requests: u64,
    moved: u64,
    units: BTreeSet<String>,
    moved_units: BTreeSet<String>,
    flows: BTreeMap<(String, String), (u64, BTreeSet<String>, String)>,
}

impl Tally {
    fn count(&mut self, was: &Side<'_>, is: &Side<'_>, example: impl FnOnce() -> String) {
        self.requests += 1;
        let unit = is.unit.or(was.unit);
        self.units.extend(unit.map(str::to_owned));
        if was.variant == is.variant {
            return;
        }
        self.moved += 1;
        self.moved_units.extend(unit.map(str::to_owned));
        let flow =
            self.flows.entry((was.name(), is.name())).or_insert_with(|| (0, BTreeSet::new(), example()));
        flow.0 += 1;
        flow.1.extend(unit.map(str::to_owned));
    }

    fn finish(self, experiment: String) -> Replayed {
        let mut flows: Vec<Flow> = self
            .flows
            .into_iter()
            .map(|((from, to), (requests, units, example))| Flow {
                from,
                to,
                requests,
                units: units.len(),
                example,
            })
            .collect();
        flows.sort_by(|a, b| {
            b.requests.cmp(&a.requests).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
        });
        Replayed {
            experiment,
            requests: self.requests,
            units: self.units.len(),
            moved: self.moved,
            moved_units: self.moved_units.len(),
            moved_share: self.moved as f64 / (self.requests.max(1)) as f64,
            flows,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    old: String,
    new: String,
    requests: u64,
    /// Lines that are not requests.
    skipped: u64,
    experiments: Vec<Replayed>,
}

#[derive(Serialize)]
struct Replayed {
    experiment: String,
    requests: u64,
    units: usize,
    /// Requests that get another variant, or enter or leave.
    moved: u64,
    moved_units: usize,
    /// Share of the requests.
    moved_share: f64,
    flows: Vec<Flow>,
}

#[derive(Serialize)]
struct Flow {
    from: String,
    to: String,
    requests: u64,
    units: usize,
    /// The first such request.
    example: String,
}

impl Answer {
    fn text(&self, is_over: bool) -> String {
        let mut lines =
            vec![format!("{}, config {} and then {}", counted(self.requests, "request"), self.old, self.new)];
        for found in &self.experiments {
            let all = format!("{} of {}", counted(found.requests, "request"), counted(found.units, "unit"));
            lines.push(match found.moved {
                0 => format!("{}: nobody moves ({all})", found.experiment),
                moved => format!(
                    "{}: {} of {} move, {:.2} % ({all})",
                    found.experiment,
                    counted(moved, "request"),
                    counted(found.moved_units, "unit"),
                    found.moved_share * 100.0
                ),
            });
            lines.extend(found.flows.iter().map(|flow| {
                format!(
                    "  {} -> {}: {} of {}, such as {}",
                    flow.from,
                    flow.to,
                    counted(flow.requests, "request"),
                    counted(flow.units, "unit"),
                    flow.example
                )
            }));
        }
        if is_over {
            lines.push(Style::stdout().red("more requests move than --max-moved allows"));
        }
        lines.join("\n")
    }
}
