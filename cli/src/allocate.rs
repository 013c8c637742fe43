//! `splitway allocate`: free buckets of a shared layer for one experiment.

use std::path::PathBuf;

use clap::Args;
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Code, Path, Problem, Segment, read_wire, wire};

use crate::edit::{Editor, experiment, inclusive, settle};
use crate::input::Input;
use crate::outcome::{Failure, Outcome};
use crate::values::share;

#[derive(Debug, Args)]
pub(crate) struct Allocate {
    /// Config file; only the buckets of this experiment may be missing
    file: PathBuf,
    /// Experiment of the variant
    experiment: String,
    #[command(flatten)]
    amount: Amount,
    /// Write the file; without it the change is printed
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Amount {
    /// Share of the layer that the experiment owns afterwards, such as 20%
    #[arg(long, value_parser = share)]
    share: Option<f64>,
    /// Number of buckets (of 10,000) that the experiment owns afterwards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    buckets: Option<u32>,
}

pub(crate) fn run(args: &Allocate) -> Outcome {
    let input = Input::read(&args.file)?;
    input.must_be_one()?;
    let document = input.document().map_err(|problems| input.refuse(&problems))?;
    let mut config = read_wire(&document);
    let (index, own) = experiment(&config, &args.experiment)?;
    let wanted = match (args.amount.share, args.amount.buckets) {
        (Some(share), _) => (share * f64::from(BUCKETS)).round() as u32,
        (None, buckets) => buckets.unwrap_or_default(),
    };
    if wanted == 0 {
        return Err(Failure::Usage("--share must be at least 0.01% (one bucket)".to_owned()));
    }
    let others = Others::of(&config, own)?;
    let ranges = inclusive(&allocated(own, &others, wanted)?);
    let mut editor = Editor::new(&input, &document);
    let list = Path::default().key("experiments");
    editor.set_buckets(&list.index(index), &ranges, "buckets", &["layer", "id"])?;
    let text = editor.finish()?;
    if let Some(experiment) = config.experiments.get_mut(index) {
        experiment.buckets = ranges;
    }
    // The others of the layer can only get theirs one after the other.
    let is_next = |problem: &Problem| {
        problem.code == Code::MissingField
            && problem.path.0.last() == Some(&Segment::Key("buckets".to_owned()))
    };
    let outcome = settle(&input, &args.file, text, &config, args.write, is_next)?;
    eprintln!("{} owns {wanted} of {BUCKETS} buckets", args.experiment);
    if !others.unallocated.is_empty() {
        eprintln!("experiments that still need buckets: {}", others.unallocated.join(", "));
    }
    Ok(outcome)
}

/// What the other experiments of the layer hold.
struct Others {
    layer: String,
    free: Vec<(u32, u32)>,
    /// Those that will take no units any more and still hold buckets.
    over: Vec<String>,
    /// Those that have yet to be given buckets.
    unallocated: Vec<String>,
    are_there: bool,
}

impl Others {
    fn of(config: &wire::Config, own: &wire::Experiment) -> Result<Self, Failure> {
        let layer_of = |e: &wire::Experiment| e.layer.clone().unwrap_or_else(|| e.id.clone());
        let layer = layer_of(own);
        let mut taken = vec![false; BUCKETS as usize];
        let (mut over, mut unallocated, mut are_there) = (Vec::new(), Vec::new(), false);
        for other in config.experiments.iter().filter(|e| e.id != own.id && layer_of(e) == layer) {
            let is_over = matches!(other.status, Some(wire::Status::Completed | wire::Status::RolledBack));
            if other.buckets.is_empty() && is_over {
                continue;
            }
            if other.buckets.is_empty() {
                unallocated.push(other.id.clone());
            }
            are_there = true;
            if is_over {
                over.push(other.id.clone());
            }
            for [first, last] in &other.buckets {
                let range = taken.get_mut(*first as usize..=*last as usize).ok_or_else(|| {
                    Failure::Problems(format!("`{}` has an invalid range [{first}, {last}]", other.id))
                })?;
                range.fill(true);
            }
        }
        for [first, last] in &own.buckets {
            if let Some(range) = taken.get_mut(*first as usize..=*last as usize) {
                range.fill(true);
            }
        }
        Ok(Self { layer, free: runs(&taken), over, unallocated, are_there })
    }
}

/// Runs of what is not taken, half-open.
fn runs(taken: &[bool]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (bucket, _) in (0_u32..).zip(taken).filter(|(_, taken)| !**taken) {
        match runs.last_mut() {
            Some((_, end)) if *end == bucket => *end += 1,
            _ => runs.push((bucket, bucket + 1)),
        }
    }
    runs
}

/// The experiment's ranges when it owns `wanted` buckets. What it has it keeps,
/// in order, because traffic counts from the first; it gives up the last ones.
fn allocated(own: &wire::Experiment, others: &Others, wanted: u32) -> Result<Vec<(u32, u32)>, Failure> {
    let mut ranges: Vec<(u32, u32)> =
        own.buckets.iter().map(|[first, last]| (*first, last.saturating_add(1))).collect();
    if ranges.is_empty() && !others.are_there {
        ranges.push((0, BUCKETS));
    }
    let mut left = wanted;
    for (start, end) in &mut ranges {
        *end = (*end).min(start.saturating_add(left));
        left -= end.saturating_sub(*start);
    }
    ranges.retain(|(start, end)| start < end);
    let fitting = others.free.iter().filter(|(start, end)| end - start >= left);
    // The smallest run that is enough keeps the large ones whole.
    let best = fitting.min_by_key(|(start, end)| end - start);
    for (start, end) in best.into_iter().chain(&others.free) {
        if left == 0 {
            break;
        }
        let end = (*end).min(start + left);
        left -= end - start;
        match ranges.last_mut() {
            Some((_, last)) if *last == *start => *last = end,
            _ => ranges.push((*start, end)),
        }
    }
    if left == 0 {
        return Ok(ranges);
    }
    let free: u32 = others.free.iter().map(|(start, end)| end - start).sum();
    let mut text = format!("layer `{}` has {free} free buckets, which is {left} too few", others.layer);
    if !others.over.is_empty() {
        text.push_str(&format!(
            "; these experiments are over and still own some: {} (remove their `buckets`)",
            others.over.join(", ")
        ));
    }
    Err(Failure::Problems(text))
}
