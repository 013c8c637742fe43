//! `splitway reweight`: new weights, and the fewest units that change variant.

use std::path::PathBuf;

use clap::Args;
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Path, read_wire, wire};

use crate::edit::{Editor, experiment, inclusive, settle};
use crate::input::Input;
use crate::outcome::{Failure, Outcome};
use crate::values::pair;

/// A variant's runs of buckets, half-open.
type Runs = Vec<(u32, u32)>;

#[derive(Debug, Args)]
pub(crate) struct Reweight {
    /// Config file
    file: PathBuf,
    /// Experiment of the variant
    experiment: String,
    /// Weight of each variant, in any unit
    #[arg(required = true, value_name = "VARIANT=WEIGHT", value_parser = weight)]
    weights: Vec<(String, f64)>,
    /// Variant to remove; may be repeated
    #[arg(long, value_name = "VARIANT")]
    remove: Vec<String>,
    /// Write the file; without it the change is printed
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Reweight) -> Outcome {
    let input = Input::read(&args.file)?;
    input.must_be_one()?;
    let (document, plan) = input.plan()?;
    let mut config = read_wire(&document);
    let (index, old) = experiment(&config, &args.experiment)?;
    let names = names(args, old)?;
    let compiled = plan.find(&args.experiment).map(|(_, experiment)| experiment);
    let compiled = compiled.filter(|experiment| experiment.hash().is_some()).ok_or_else(|| {
        Failure::Problems(
            "the experiment's bucketing dialect divides the units, so `buckets` cannot be written".to_owned(),
        )
    })?;
    let mut current: Vec<Runs> = vec![Runs::new(); names.len()];
    let mut orphaned = Runs::new();
    for (run, variant) in compiled.variant_ranges() {
        let id = compiled.variant(variant).map_or("", |variant| variant.id());
        let runs = names.iter().position(|(name, _)| name == id).and_then(|i| current.get_mut(i));
        runs.unwrap_or(&mut orphaned).push((run.start, run.end));
    }
    let weights: Vec<f64> = names.iter().map(|(_, weight)| *weight).collect();
    let sizes: Vec<u32> = current.iter().map(size).collect();
    let targets = targets(&weights, &sizes);
    let divided = divided(current, orphaned, &targets);

    let list = Path::default().key("experiments").index(index).key("variants");
    let stays = |variant: &wire::Variant| !args.remove.contains(&variant.id);
    let last = old
        .variants
        .iter()
        .rposition(stays)
        .ok_or_else(|| Failure::Usage("at least one of the existing variants must remain".to_owned()))?;
    let mut editor = Editor::new(&input, &document);
    let mut variants = Vec::new();
    for (i, variant) in old.variants.iter().enumerate() {
        match names.iter().zip(&divided).find(|((name, _), _)| *name == variant.id) {
            Some((_, runs)) => {
                let ranges = inclusive(runs);
                editor.set_buckets(&list.index(i), &ranges, "weight", &["id"])?;
                variants.push(wire::Variant { weight: None, buckets: ranges, ..variant.clone() });
            }
            None => editor.remove_item(&list, i, i > last)?,
        }
    }
    for ((name, _), runs) in names.iter().zip(&divided) {
        if old.variants.iter().all(|variant| variant.id != *name) {
            let ranges = inclusive(runs);
            editor.add_variant(&list, last, name, &ranges)?;
            let id = name.clone();
            variants.push(wire::Variant { id, buckets: ranges, ..wire::Variant::default() });
        }
    }
    let text = editor.finish()?;
    if let Some(experiment) = config.experiments.get_mut(index) {
        experiment.variants = variants;
    }
    let outcome = settle(&input, &args.file, text, &config, args.write, |_| false)?;
    let moved: u32 =
        BUCKETS - sizes.iter().zip(&targets).map(|(size, target)| *size.min(target)).sum::<u32>();
    eprintln!(
        "{}: {}% of its units change variant, the smallest possible share",
        args.experiment,
        f64::from(moved) * 100.0 / f64::from(BUCKETS)
    );
    Ok(outcome)
}

/// The variants that there will be, with their weights: the old ones in order,
/// then the new.
fn names(args: &Reweight, old: &wire::Experiment) -> Result<Vec<(String, f64)>, Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    let is_old = |id: &str| old.variants.iter().any(|variant| variant.id == id);
    for (position, (name, _)) in args.weights.iter().enumerate() {
        if args.weights.iter().skip(position + 1).any(|(other, _)| other == name) {
            return usage(format!("`{name}` is given two weights"));
        }
    }
    if let Some(name) = args.remove.iter().find(|name| !is_old(name)) {
        return usage(format!("expected --remove to name a variant of the experiment, found `{name}`"));
    }
    if let Some((name, _)) = args.weights.iter().find(|(name, _)| args.remove.contains(name)) {
        return usage(format!("`{name}` cannot get a weight and be removed"));
    }
    if args.weights.iter().map(|(_, weight)| weight).sum::<f64>() <= 0.0 {
        return usage("at least one weight must be above 0".to_owned());
    }
    let mut names = Vec::new();
    for variant in old.variants.iter().filter(|variant| !args.remove.contains(&variant.id)) {
        match args.weights.iter().find(|(name, _)| *name == variant.id) {
            Some(pair) => names.push(pair.clone()),
            None => {
                let id = &variant.id;
                return usage(format!("`{id}` has no weight: give {id}=…, or --remove {id}"));
            }
        }
    }
    names.extend(args.weights.iter().filter(|(name, _)| !is_old(name)).cloned());
    Ok(names)
}

fn size(runs: &Runs) -> u32 {
    runs.iter().map(|(start, end)| end - start).sum()
}

/// How many buckets each weight gets, all of them together: largest remainders,
/// equal ones to those who then give up less.
pub(crate) fn targets(weights: &[f64], sizes: &[u32]) -> Vec<u32> {
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / total * f64::from(BUCKETS)).collect();
    let mut targets: Vec<u32> = exact.iter().map(|share| share.floor() as u32).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let key = |i: usize| {
        // Equal weights have equal remainders but for rounding.
        let remainder = (exact[i].fract() * 1e6).round() as i64;
        (std::cmp::Reverse(remainder), std::cmp::Reverse(sizes[i].saturating_sub(targets[i])), i)
    };
    order.sort_by_key(|i| key(*i));
    let missing = BUCKETS.saturating_sub(targets.iter().sum());
    for i in order.into_iter().take(missing as usize) {
        targets[i] += 1;
    }
    targets
}

/// Every bucket again, `targets` of them each. Who has too many gives up the
/// last ones, who has too few gets them; nothing else moves.
pub(crate) fn divided(mut current: Vec<Runs>, orphaned: Runs, targets: &[u32]) -> Vec<Runs> {
    let mut free = orphaned;
    for (runs, target) in current.iter_mut().zip(targets) {
        let mut excess = size(runs).saturating_sub(*target);
        while excess > 0
            && let Some((start, end)) = runs.pop()
        {
            let given = excess.min(end - start);
            excess -= given;
            free.push((end - given, end));
            if end - given > start {
                runs.push((start, end - given));
            }
        }
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    let mut rest = None;
    for (runs, target) in current.iter_mut().zip(targets) {
        let mut missing = target.saturating_sub(size(runs));
        while missing > 0
            && let Some((start, end)) = rest.take().or_else(|| free.next())
        {
            let taken = missing.min(end - start);
            missing -= taken;
            runs.push((start, start + taken));
            if start + taken < end {
                rest = Some((start + taken, end));
            }
        }
        runs.sort_unstable();
        *runs = merged(runs);
    }
    current
}

fn merged(runs: &[(u32, u32)]) -> Runs {
    let mut all = Runs::new();
    for (start, end) in runs {
        match all.last_mut() {
            Some((_, last)) if last == start => *last = *end,
            _ => all.push((*start, *end)),
        }
    }
    all
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let (variant, weight) = pair(text, '=')?;
    match weight.parse::<f64>() {
        Ok(weight) if (0.0..=1e9).contains(&weight) => Ok((variant, weight)),
        _ => Err("expected a weight from 0 to 1,000,000,000".to_owned()),
    }
}
