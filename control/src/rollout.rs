//! How an experiment is carried through its life: its `rollout`, with meaning.

use splitway_document::{Code, Path, Problem, Problems, parse_duration};
use splitway_engine::wire;

/// Ten thousandths: 10,000 are all units, as there are 10,000 buckets.
pub(crate) const WHOLE: u32 = 10_000;

/// How long an experiment may be undecided if nothing else is written.
const AT_MOST: u64 = 90 * 86_400_000;

/// The plan of an experiment's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Experiments that must have ended before.
    pub after: Vec<String>,
    /// The steps; there is at least one.
    pub steps: Vec<Step>,
    /// Buckets of its layer that it is given, of 10,000.
    pub share: u32,
    /// Whether a breach pauses instead of rolling back.
    pub pauses_on_breach: bool,
    /// It is stopped when it is undecided after this, in milliseconds.
    pub at_most: u64,
    /// Whether a variant that won is shipped without a person.
    pub ships_itself: bool,
    /// Whether a verdict not to ship pauses instead of rolling back.
    pub pauses_otherwise: bool,
}

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The traffic, as it is written: `25%`.
    pub traffic: String,
    /// The traffic in ten thousandths.
    pub share: u32,
    /// How long it lasts at least, in milliseconds.
    pub hold: u64,
    /// Units that every arm must have before the next step.
    pub units_per_arm: u64,
    /// Approvals that it needs before it begins.
    pub approvals: u32,
}

impl Rollout {
    /// The step `index`, or the last one.
    #[must_use]
    pub fn step(&self, index: u32) -> Option<&Step> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.steps.get(index).or(self.steps.last())
    }

    /// Whether `index` is the last step.
    #[must_use]
    pub fn is_last(&self, index: u32) -> bool {
        usize::try_from(index).unwrap_or(usize::MAX).saturating_add(1) >= self.steps.len()
    }

    /// Reads the rollout of an experiment at `at`; what is wrong goes to `problems`, and a stand-in takes its place.
    pub(crate) fn read(experiment: &wire::Experiment, at: &Path, problems: &mut Problems) -> Self {
        let written = experiment.rollout.clone().unwrap_or_default();
        let at = at.key("rollout");
        let mut error = |path: Path, expected: &str, found: &str| {
            problems.push(Problem::error(path, Code::InvalidValue, expected, found));
        };
        let mut steps = Vec::new();
        for (index, step) in written.steps.iter().enumerate() {
            let at = at.key("steps").index(index);
            let share = share(&step.traffic.0).unwrap_or_default();
            if share == 0 {
                error(at.key("traffic"), "a share of at least 0.01%, such as 25%", &step.traffic.0);
            }
            if steps.last().is_some_and(|last: &Step| share < last.share) {
                let found = format!("{}, which is less", step.traffic.0);
                error(at.key("traffic"), "at least the traffic of the step before", &found);
            }
            let mut period = |name: &str, period: &Option<wire::Period>| match period {
                None => 0,
                Some(period) => parse_duration(&period.0).unwrap_or_else(|| {
                    error(at.key(name), "a duration such as 30m", &period.0);
                    0
                }),
            };
            steps.push(Step {
                traffic: step.traffic.0.clone(),
                share,
                hold: period("hold", &step.hold),
                units_per_arm: step.until.as_ref().and_then(|until| until.units_per_arm).unwrap_or_default(),
                approvals: step.approvals.unwrap_or_default(),
            });
        }
        if steps.is_empty() {
            let traffic = experiment.traffic.as_ref().map_or("100%", |share| &share.0).to_owned();
            let share = share(&traffic).unwrap_or(WHOLE);
            steps.push(Step { traffic, share, hold: 0, units_per_arm: 0, approvals: 0 });
        }
        let asked = written.share.as_ref().map(|share| (share, self::share(&share.0).unwrap_or_default()));
        if let Some((written, 0)) = asked {
            error(at.key("share"), "a share of at least 0.01%, such as 25%", &written.0);
        }
        let decide = written.decide.unwrap_or_default();
        let at_most = match &decide.at_most {
            None => AT_MOST,
            Some(period) => parse_duration(&period.0).filter(|ms| *ms > 0).unwrap_or_else(|| {
                error(at.key("decide").key("at_most"), "a duration such as 28d", &period.0);
                AT_MOST
            }),
        };
        let holds = steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.hold));
        if holds > at_most {
            let found = "steps that are held for longer than that";
            error(at.key("decide").key("at_most"), "at least the sum of all steps' `hold`", found);
        }
        if written.after.contains(&experiment.id) {
            error(at.key("after"), "other experiments", &experiment.id);
        }
        Self {
            after: written.after,
            steps,
            share: asked.map_or(WHOLE, |(_, share)| share),
            pauses_on_breach: written.on_breach == Some(wire::OnBreach::Pause),
            at_most,
            ships_itself: decide.ship == Some(wire::Ship::Automatic),
            pauses_otherwise: decide.otherwise == Some(wire::OnBreach::Pause),
        }
    }
}

/// Ten thousandths of a percentage such as `25%` or `0.5%`, rounded down; `None` for anything else.
pub(crate) fn share(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
        return None;
    }
    let hundredths = format!("{fraction}00").get(..2)?.parse::<u32>().ok()?;
    let share = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
    (share <= WHOLE).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_ten_thousandths() {
        for (text, expected) in [
            ("100%", Some(10_000)),
            ("25%", Some(2_500)),
            ("0.5%", Some(50)),
            ("0.01%", Some(1)),
            ("0.001%", Some(0)),
            ("101%", None),
            ("5", None),
            ("-5%", None),
            ("5.%", None),
        ] {
            assert_eq!(share(text), expected, "{text}");
        }
    }
}
