//! `splitway power`: how many units, how long.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use splitway_engine::{Timestamp, read_wire};
use splitway_stats::group_sequential;
use splitway_stats::power::{self, Design, Looks};

use crate::input::{self, Input};
use crate::outcome::{Failure, Outcome, print, print_answer};

/// Effects of the table, as multiples of the one that is asked for.
const MULTIPLES: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
/// Where neither flags nor config say.
const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;
const MIN_UNITS: u64 = 10_000;

/// Of group-sequential bounds.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Spending {
    /// Spend little early and almost all at the end
    #[default]
    ObrienFleming,
    /// Spend evenly
    Pocock,
}

impl From<Spending> for group_sequential::Spending {
    fn from(spending: Spending) -> Self {
        match spending {
            Spending::ObrienFleming => Self::ObrienFleming,
            Spending::Pocock => Self::Pocock,
        }
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("metric").required(true).args(["baseline", "deviation", "observed"])))]
#[command(group(ArgGroup::new("question").required(true).args(["effect", "units", "config", "observed"]).multiple(true)))]
pub(crate) struct Power {
    /// Share of the control's units that convert, such as 10% or 0.1, for a metric that is a share
    #[arg(long, value_name = "SHARE", value_parser = baseline)]
    baseline: Option<f64>,
    /// Standard deviation over units, for a metric that is a mean or a ratio (standard error times root of units)
    #[arg(long, value_name = "SD")]
    deviation: Option<f64>,
    /// Output of `splitway analyze --json`; deviation, arms, traffic and method of the primary metric come from it
    #[arg(long, value_name = "FILE", requires = "experiment", conflicts_with_all = ["daily", "ratio"])]
    observed: Option<PathBuf>,
    /// Absolute effect to detect, such as 0.02; for a share, 2% means two points, too [default: the config's]
    #[arg(long, value_name = "DIFFERENCE", value_parser = effect, allow_hyphen_values = true)]
    effect: Option<Effect>,
    /// Compute the smallest effect that this number of units in the control can detect
    #[arg(long, value_name = "N", conflicts_with = "effect")]
    units: Option<f64>,
    /// Config that gives level, power, effect, arms and traffic
    #[arg(long, value_name = "FILE", requires = "experiment")]
    config: Option<PathBuf>,
    /// Id of the experiment
    #[arg(long, value_name = "ID")]
    experiment: Option<String>,
    /// Plan for one look at the end (`analyze --fixed`), instead of intervals that hold at every look
    #[arg(long)]
    fixed: bool,
    /// Plan for these looks (`analyze --looks`): shares of the units, the last one 1, such as 0.5,1
    #[arg(long, value_name = "SHARES", value_delimiter = ',', conflicts_with = "fixed")]
    looks: Vec<f64>,
    /// How planned looks spend the significance level
    #[arg(long, value_enum, default_value_t, requires = "looks")]
    spending: Spending,
    /// Number of arms that share the level, with the control; each treatment gets alpha / (arms - 1)
    #[arg(long, value_name = "N", conflicts_with_all = ["config", "observed"], value_parser = clap::value_parser!(u32).range(2..))]
    arms: Option<u32>,
    /// Units per arm at which the intervals of `analyze` are narrowest [default: the config's, or 10000]
    #[arg(long, value_name = "N", conflicts_with_all = ["fixed", "looks"], value_parser = clap::value_parser!(u64).range(1..))]
    min_units: Option<u64>,
    /// Two-sided significance level of the experiment [default: the config's, or 0.05]
    #[arg(long)]
    alpha: Option<f64>,
    /// Probability of detecting the effect [default: the config's, or 0.8]
    #[arg(long)]
    power: Option<f64>,
    /// Units of the treatment per unit of the control [default: the config's, or 1]
    #[arg(long)]
    ratio: Option<f64>,
    /// New units per day, to compute the duration; the config's traffic share of them enters
    #[arg(long, value_name = "N")]
    daily: Option<f64>,
    /// Time at which the config's ramp is read (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A difference, and whether it was said in percent.
#[derive(Clone, Copy, Debug)]
struct Effect {
    value: f64,
    is_percent: bool,
}

#[derive(Serialize)]
struct Answer {
    /// sequential, fixed or planned.
    method: &'static str,
    /// Of the sequence: units an arm around which it is narrowest.
    min_units_per_arm: Option<u64>,
    /// Planned looks; empty for others.
    looks: Vec<f64>,
    /// The experiment's level, which its treatments share.
    overall_alpha: f64,
    treatments: u32,
    /// Of one comparison.
    alpha: f64,
    power: f64,
    ratio: f64,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    effect: f64,
    /// Of the baseline; absent for means.
    relative: Option<f64>,
    control: f64,
    treatment: f64,
    /// Until all arms have enough.
    days: Option<f64>,
}

/// What a config says.
#[derive(Default)]
struct Stated {
    alpha: Option<f64>,
    power: Option<f64>,
    effect: Option<f64>,
    ratio: Option<f64>,
    min_units: Option<u64>,
    treatments: Option<u32>,
    /// Share of all units that enter the control.
    control: Option<f64>,
}

pub(crate) fn run(args: &Power) -> Outcome {
    let stated = stated(args)?;
    let seen = args.observed.as_ref().map(|file| seen(file, args.experiment.as_deref())).transpose()?;
    let of = |of: fn(&Seen) -> f64| seen.as_ref().map(of);
    let treatments = seen.as_ref().map(|seen| seen.treatments).or(stated.treatments);
    let treatments = treatments.unwrap_or(args.arms.unwrap_or(2) - 1).max(1);
    let overall = of(|seen| seen.alpha * f64::from(seen.treatments));
    let overall = args.alpha.or(overall).or(stated.alpha).unwrap_or(ALPHA);
    let design = Design {
        alpha: overall / f64::from(treatments),
        power: args.power.or(of(|seen| seen.power)).or(stated.power).unwrap_or(POWER),
        ratio: args.ratio.or(of(|seen| seen.ratio)).or(stated.ratio).unwrap_or(1.0),
    };
    let min_units = args.min_units.or(seen.as_ref().and_then(|seen| seen.min_units)).or(stated.min_units);
    let looks = looks(args, seen.as_ref(), min_units.unwrap_or(MIN_UNITS))?;
    let deviation = args.deviation.or(of(|seen| seen.deviation));
    let daily = args.daily.or(of(|seen| seen.daily));
    if args.baseline.is_none() && args.effect.is_some_and(|effect| effect.is_percent) {
        let problem = "--effect: a percentage needs a share with --baseline; expected an absolute difference in the \
                       metric's own unit, such as 0.02";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let asked = args.effect.map(|effect| effect.value);
    let wanted = asked.or(seen.as_ref().and_then(|seen| seen.wanted)).or(stated.effect);
    let wanted = wanted.or(of(|seen| seen.detectable));
    let refuse = |error: splitway_stats::Error| Failure::Usage(error.to_string());
    let effects: Vec<f64> = match (args.units, wanted) {
        (Some(units), _) => vec![found(args.baseline, deviation, units, &design, &looks).map_err(refuse)?],
        (None, Some(effect)) => MULTIPLES.iter().map(|multiple| effect * multiple).collect(),
        (None, None) => {
            let problem = "no effect is given: use --effect or `analysis.minimum_detectable_effect` of the experiment in the \
                           config; or compute the smallest detectable effect with --units N";
            return Err(Failure::Usage(problem.to_owned()));
        }
    };
    // In equal parts by `ratio`, unless a config says otherwise.
    let share = of(|seen| seen.share).or(stated.control);
    let share = share.unwrap_or(1.0 / (1.0 + design.ratio * f64::from(treatments)));
    // A share only by itself: what was seen may be a mean of anything.
    let baseline = args.baseline.or(of(|seen| seen.baseline));
    let mut rows = Vec::new();
    for effect in effects {
        let control = match (args.baseline, deviation) {
            (Some(baseline), _) if baseline + effect <= 0.0 || baseline + effect >= 1.0 => {
                continue;
            }
            (Some(baseline), _) => power::units_to_tell_shares(baseline, baseline + effect, &design, &looks),
            (None, deviation) => {
                let deviation = deviation.unwrap_or_default();
                power::units_to_find(effect, (deviation, deviation), &design, &looks)
            }
        };
        let control = control.map_err(refuse)?.ceil();
        let days = daily.map(|daily| power::days(control, daily, share)).transpose().map_err(refuse)?;
        let relative = baseline.filter(|baseline| *baseline != 0.0).map(|baseline| effect / baseline.abs());
        rows.push(Row { effect, relative, control, treatment: (control * design.ratio).ceil(), days });
    }
    if rows.is_empty() {
        let problem = format!(
            "--effect: {} takes the share beyond 0 or 100 %; expected an absolute difference, such as 0.02 or 2% for two \
             points",
            wanted.unwrap_or_default()
        );
        return Err(Failure::Usage(problem));
    }
    let (method, min_units_per_arm, times) = match &looks {
        Looks::Once => ("fixed", None, Vec::new()),
        Looks::Always { tuned_for } => ("sequential", Some((tuned_for / 2.0) as u64), Vec::new()),
        Looks::Planned { times, .. } => ("planned", None, times.clone()),
    };
    let answer = Answer {
        method,
        min_units_per_arm,
        looks: times,
        overall_alpha: overall,
        treatments,
        alpha: design.alpha,
        power: design.power,
        ratio: design.ratio,
        rows,
    };
    if args.json { print_answer(&answer) } else { print(answer.text(&looks).trim_end()) }
}

/// Those by which `analyze` will decide: the flags', else those of what was seen, else any.
fn looks(args: &Power, seen: Option<&Seen>, min_units: u64) -> Result<Looks, Failure> {
    let method = seen.map(|seen| &seen.method);
    if !args.looks.is_empty() {
        let refuse = |problem: String| Failure::Usage(format!("--looks: {problem}"));
        let spending = args.spending.into();
        group_sequential::bounds(spending, &args.looks, ALPHA).map_err(|error| refuse(error.to_string()))?;
        if args.looks.last() != Some(&1.0) {
            return Err(refuse("expected all planned looks, with 1 as the last one".to_owned()));
        }
        return Ok(Looks::Planned { spending, times: args.looks.clone() });
    }
    if method.is_some_and(|method| method.get("planned").is_some()) && !args.fixed {
        let problem = "the analysis used planned looks; give them with --looks, or use --fixed";
        return Err(Failure::Usage(problem.to_owned()));
    }
    if args.fixed || method.is_some_and(|method| method.as_str() == Some("fixed")) {
        return Ok(Looks::Once);
    }
    // As the analysis does: around the fewest units of both arms.
    Ok(Looks::Always { tuned_for: 2.0 * min_units.max(1) as f64 })
}

fn found(
    baseline: Option<f64>,
    deviation: Option<f64>,
    units: f64,
    design: &Design,
    looks: &Looks,
) -> Result<f64, splitway_stats::Error> {
    match (baseline, deviation) {
        (Some(baseline), _) => power::share_found(baseline, units, design, looks),
        (None, deviation) => power::effect_found(deviation.unwrap_or_default(), units, design, looks),
    }
}

/// A share between nothing and all.
fn baseline(text: &str) -> Result<f64, String> {
    let effect = effect(text).map_err(|_| "expected a share such as 10% or 0.1".to_owned())?;
    match effect.value {
        share if share > 0.0 && share < 1.0 => Ok(share),
        _ if !effect.is_percent => Err("expected a share above 0 and below 1 such as 0.1, or 10%".to_owned()),
        _ => Err("expected a share above 0% and below 100%, such as 10% or 0.1".to_owned()),
    }
}

fn effect(text: &str) -> Result<Effect, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| {
        "expected an absolute difference such as 0.02, or 2% for two points of a share".to_owned()
    })?;
    Ok(Effect { value: number / scale, is_percent: scale != 1.0 })
}

/// What an analysis saw: the `plan` of a comparison of the primary metric.
#[derive(Deserialize)]
struct Seen {
    deviation: f64,
    baseline: f64,
    daily: f64,
    share: f64,
    ratio: f64,
    /// Of the comparison.
    alpha: f64,
    power: f64,
    detectable: f64,
    wanted: Option<f64>,
    min_units: Option<u64>,
    /// Of the whole experiment.
    #[serde(skip)]
    treatments: u32,
    #[serde(skip)]
    method: Value,
}

/// The treatment with the fewest units decides, as with a config.
fn seen(file: &Path, experiment: Option<&str>) -> Result<Seen, Failure> {
    let refuse = |problem: String| Failure::Usage(format!("{}: {problem}", file.display()));
    let analysis: Value =
        serde_json::from_str(&Input::read(file)?.text).map_err(|e| refuse(e.to_string()))?;
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let found =
        list(&analysis, "experiments").into_iter().find(|found| found["experiment"].as_str() == experiment);
    let found = found.ok_or_else(|| refuse(format!("no experiment `{}`", experiment.unwrap_or_default())))?;
    let plans = list(&found, "metrics").into_iter().flat_map(|metric| list(&metric, "comparisons"));
    let plans =
        plans.filter_map(|comparison| serde_json::from_value::<Seen>(comparison["plan"].clone()).ok());
    let smallest = plans.min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let smallest = smallest.ok_or_else(|| refuse("no primary metric was measured".to_owned()))?;
    let takes_part = |arm: &Value| arm["is_control"] != true && arm["planned"].as_f64() != Some(0.0);
    let treatments = list(&found, "arms").iter().filter(|arm| takes_part(arm)).count() as u32;
    Ok(Seen { treatments: treatments.max(1), method: found["method"].clone(), ..smallest })
}

fn stated(args: &Power) -> Result<Stated, Failure> {
    let (Some(path), Some(id)) = (&args.config, &args.experiment) else { return Ok(Stated::default()) };
    let (document, plan) = Input::read(path)?.plan()?;
    let config = read_wire(&document);
    let missing = || Failure::Usage(format!("no experiment `{id}` in the config"));
    let (_, experiment) = plan.find(id).ok_or_else(missing)?;
    let stated = config.experiments.iter().find(|stated| stated.id == *id);
    let analysis = stated.and_then(|stated| stated.analysis.clone()).unwrap_or_default();
    let shares = experiment.shares();
    let control = shares.get(experiment.control().index()).copied().unwrap_or(0.0);
    // The smallest treatment takes the longest.
    let smallest = shares
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != experiment.control().index())
        .map(|(_, share)| *share)
        .filter(|share| *share > 0.0)
        .fold(f64::INFINITY, f64::min);
    // One that plans nobody takes no part of alpha.
    let control_at = experiment.control().index();
    let treatments =
        shares.iter().enumerate().filter(|(at, share)| *at != control_at && **share > 0.0).count();
    let entered = f64::from(experiment.active_buckets(input::at(args.at))) / 10_000.0;
    Ok(Stated {
        alpha: analysis.alpha,
        power: analysis.power,
        effect: analysis.minimum_detectable_effect,
        min_units: analysis.min_units_per_arm,
        treatments: Some(treatments as u32),
        ratio: (control > 0.0 && smallest.is_finite() && smallest > 0.0).then(|| smallest / control),
        control: (control * entered > 0.0).then_some(control * entered),
    })
}

impl Answer {
    fn text(&self, looks: &Looks) -> String {
        let method = match looks {
            Looks::Once => "fixed: one look at the end, as with `analyze --fixed`".to_owned(),
            Looks::Always { .. } => format!(
                "sequential: intervals that hold at every look, as `analyze` makes them, narrowest at {} units per arm",
                self.min_units_per_arm.unwrap_or_default()
            ),
            Looks::Planned { spending, times } => {
                let times: Vec<String> = times.iter().map(f64::to_string).collect();
                let name = match spending {
                    group_sequential::Spending::ObrienFleming => "O'Brien-Fleming",
                    group_sequential::Spending::Pocock => "Pocock",
                };
                format!("planned: looks at {} of these units, {name} bounds", times.join(", "))
            }
        };
        let shared = match self.treatments {
            1 => format!("alpha {}", self.alpha),
            treatments => {
                format!(
                    "alpha {} over {treatments} treatments: {} each",
                    self.overall_alpha,
                    round(self.alpha)
                )
            }
        };
        let mut text = format!(
            "{method}\n{shared}, power {}, treatment to control {}:1\n\n{:>12} {:>10} {:>14} {:>14} {:>8}\n",
            self.power,
            round(self.ratio),
            "effect",
            "relative",
            "control",
            "treatment",
            "days"
        );
        for row in &self.rows {
            let relative =
                row.relative.map_or("-".to_owned(), |relative| format!("{:+.2}%", relative * 100.0));
            let days = row.days.map_or("-".to_owned(), |days| days.to_string());
            text.push_str(&format!(
                "{:>12} {:>10} {:>14} {:>14} {:>8}\n",
                round(row.effect),
                relative,
                row.control,
                row.treatment,
                days
            ));
        }
        text
    }
}

/// To six digits.
fn round(value: f64) -> f64 {
    let scale = 10f64.powf(6.0 - value.abs().log10().ceil());
    if scale.is_finite() { (value * scale).round() / scale } else { value }
}
