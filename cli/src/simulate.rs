//! `splitway simulate`: what a config does to many units.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Decision, Plan, Reason, Step, Timestamp, Trace, read_wire};

use crate::carrier::Carrier;
use crate::input::{self, Input};
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::simulation::{Report, Setting};
use crate::style::{self, Style};
use crate::values::Question;

/// Bins of the uniformity test, 100 buckets wide.
pub(crate) const BINS: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Also write shares and independence as an SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Number of units, named unit-0, unit-1, …
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    units: u32,
    #[command(flatten)]
    asked: Question,
}

pub(crate) fn run(args: &Simulate) -> Outcome {
    let (document, plan) = Input::read_all(&args.config)?.plan()?;
    let config = read_wire(&document);
    let plan = plan.hashes_only();
    let now = input::at(args.asked.at);
    let tallies = simulate(&plan, now, args.units)?;
    let report = Report::new(&Setting { plan: &plan, config: &config, now, units: args.units }, &tallies);
    if let Some(file) = &args.svg {
        std::fs::write(file, report.svg())
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    }
    if args.asked.json {
        print_answer(&report)?
    } else {
        print(&report.shown(Style::stdout(), style::width()))?
    };
    Ok(if report.failed > 0 { Exit::Problems } else { Exit::Fine })
}

/// What became of the units in one experiment.
pub(crate) struct Tally {
    /// By variant, and last those who are out: which units, one bit each.
    pub(crate) members: Vec<Vec<u64>>,
    /// Those of the last that a holdout keeps out.
    pub(crate) held: Vec<u64>,
    /// How many units entered with a variant bucket in each bin.
    pub(crate) bins: Vec<u64>,
}

impl Tally {
    pub(crate) fn count(&self, category: usize) -> u64 {
        self.members
            .get(category)
            .map_or(0, |bits| bits.iter().map(|word| u64::from(word.count_ones())).sum())
    }
}

struct Tallies {
    tallies: Vec<Tally>,
    unit: usize,
}

impl Trace for Tallies {
    fn step(&mut self, step: Step<'_>) {
        let Step::Outcome { experiment, reason, variant, bucket } = step else { return };
        let Some(tally) = self.tallies.get_mut(experiment.index()) else { return };
        let out = tally.members.len() - 1;
        let category = variant.map_or(out, |variant| variant.index().min(out));
        tally.members[category][self.unit / 64] |= 1 << (self.unit % 64);
        if reason == Reason::Holdout {
            tally.held[self.unit / 64] |= 1 << (self.unit % 64);
        }
        if let (Reason::Split, Some(bucket)) = (reason, bucket) {
            // Dialects have buckets of their own; only the default's are binned.
            if let Some(bin) = tally.bins.get_mut(bucket as usize * BINS / BUCKETS as usize) {
                *bin += 1;
            }
        }
    }
}

fn simulate(plan: &Plan, now: Timestamp, units: u32) -> Result<Vec<Tally>, Failure> {
    let words = (units as usize).div_ceil(64);
    let tallies = plan.experiments().map(|(_, experiment)| Tally {
        members: vec![vec![0; words]; experiment.variants().len() + 1],
        held: vec![0; words],
        bins: vec![0; BINS],
    });
    let mut trace = Tallies { tallies: tallies.collect(), unit: 0 };
    let mut carrier = Carrier::new(plan.chains().filter_map(<[_]>::first));
    let mut decision = Decision::default();
    let bar = progress(units);
    for unit in 0..units {
        trace.unit = unit as usize;
        let decided = carrier.with(&format!("unit-{unit}"), |request| {
            plan.decide_into(request, now, &mut trace, &mut decision);
        });
        if decided.is_none() {
            let why = "the config's units are addresses or clash in one header; made-up ids do not fit";
            return Err(Failure::Usage(why.to_owned()));
        }
        if unit % 4096 == 0 {
            bar.set_position(u64::from(unit));
        }
    }
    bar.finish_and_clear();
    Ok(trace.tallies)
}

/// On stderr, and hidden unless that is a terminal.
fn progress(units: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(units));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} units, {eta} left") {
        bar.set_style(style);
    }
    bar
}
