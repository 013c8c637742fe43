//! Launch rules: what an experiment must state before it takes units, and secrets that are some.
//!
//! The filter serves a config without them, so they are no part of [`crate::compile`]; a team makes
//! them a gate in its own pipeline.

use std::borrow::Cow;

use splitway_document::{Code, Document, Place, Problem, Problems, describe_number};

use super::strength::{Weakness, weakness};
use crate::compile::{Secrets, read_wire};
use crate::time::Timestamp;
use crate::wire;

/// Shortest run that a weekly rhythm does not bias: two weeks.
const MIN_DAYS: i64 = 14;
const DAY_MS: i64 = 86_400_000;

/// Checks every secret of `document`, and every running and scheduled experiment; it must be a document
/// that [`crate::compile`] takes. Of secrets in variables, those are checked that `secrets` gives.
#[must_use]
pub fn launch_problems(document: &Document, secrets: Secrets<'_>) -> Problems {
    let config = read_wire(document);
    let mut rules = Rules { problems: Problems::default() };
    rules.secrets(&config, secrets);
    let list = Place::Root.key("experiments");
    for (index, experiment) in config.experiments.iter().enumerate() {
        let status = experiment.status.unwrap_or(wire::Status::Running);
        if matches!(status, wire::Status::Running | wire::Status::Scheduled) {
            rules.experiment(list.index(index), experiment);
        }
    }
    document.locate_problems(&mut rules.problems);
    rules.problems
}

struct Rules {
    problems: Problems,
}

impl Rules {
    fn secrets(&mut self, config: &wire::Config, secrets: Secrets<'_>) {
        let root = Place::Root;
        let exposure_at = root.key("exposure");
        let exposure = config.exposure.as_ref();
        match exposure.and_then(|exposure| exposure.key.as_ref()) {
            Some(key) => self.secret(exposure_at.key("key"), key, secrets),
            // Whoever says outright that units appear as they are, or not at all, needs no key.
            None if exposure.is_some_and(|exposure| exposure.unit.is_some()) => {}
            None => {
                let expected = "a secret key, by which exposures show units";
                let problem = Problem::error(exposure_at.key("key").path(), Code::Launch, expected, "none");
                self.problems.push(problem.suggest(|| {
                    "without it no analysis can tell units apart: add `key: { env: SPLITWAY_EXPOSURE_KEY }`; \
                     `unit: none` says that this is meant"
                        .to_owned()
                }));
            }
        }
        if let Some(provisional) = config.mint.as_ref().and_then(|mint| mint.provisional.as_ref()) {
            let mint = root.key("mint");
            let at = mint.key("provisional");
            self.secret(at.key("key"), &provisional.key, secrets);
        }
        let tokens = root.key("qa_tokens");
        let keys = tokens.key("keys");
        for (index, key) in config.qa_tokens.iter().flat_map(|tokens| &tokens.keys).enumerate() {
            self.secret(keys.index(index).key("secret"), &key.secret, secrets);
        }
    }

    fn secret(&mut self, at: Place<'_>, secret: &wire::Secret, secrets: Secrets<'_>) {
        let (bytes, place) = match secret {
            wire::Secret::Text(text) => (Some(Cow::Borrowed(text.as_bytes())), String::new()),
            wire::Secret::Variable(variable) => {
                let (Secrets::Required(lookup) | Secrets::Optional(lookup)) = secrets;
                (lookup(&variable.env).map(Cow::Owned), format!(" in {}", variable.env))
            }
        };
        let found = match bytes.and_then(|bytes| weakness(&bytes)) {
            None => return,
            Some(Weakness::Published) => "one that is published: a sample in Splitway's documentation",
            Some(Weakness::Placeholder) => "a placeholder",
            Some(Weakness::Guessable) => "one that is easily guessed",
        };
        let problem = Problem::error(at.path(), Code::Launch, "a random secret", &format!("{found}{place}"));
        self.problems.push(problem.suggest(|| {
            "make one with `openssl rand -hex 32`, and keep it out of the config: `{ env: NAME }`".to_owned()
        }));
    }

    fn experiment(&mut self, at: Place<'_>, experiment: &wire::Experiment) {
        self.stated(at.key("owner"), experiment.owner.as_deref(), "an owner who answers for it");
        self.stated(at.key("hypothesis"), experiment.hypothesis.as_deref(), "a hypothesis");
        self.metrics(at.key("metrics"), experiment.metrics.as_ref());
        self.schedule(at, experiment);
        self.analysis(at.key("analysis"), experiment.analysis.as_ref());
        if experiment.variants.len() < 2 {
            let found = experiment.variants.len().to_string();
            let problem =
                Problem::error(at.key("variants").path(), Code::Launch, "variants to compare", &found);
            self.problems.push(problem.warning());
        }
    }

    fn stated(&mut self, at: Place<'_>, text: Option<&str>, expected: &str) {
        if text.is_none_or(|text| text.trim().is_empty()) {
            self.error(at, expected, "none");
        }
    }

    fn metrics(&mut self, at: Place<'_>, metrics: Option<&wire::Metrics>) {
        let Some(metrics) = metrics else {
            self.error(at, "a primary metric and at least one guardrail", "none");
            return;
        };
        self.stated(at.key("primary"), metrics.primary.as_deref(), "a primary metric");
        if metrics.guardrails.is_empty() {
            self.error(at.key("guardrails"), "at least one guardrail metric", "none");
        }
        for (index, name) in metrics.lower_is_better.iter().enumerate() {
            if metrics.higher_is_better.contains(name) {
                let at = at.key("lower_is_better");
                self.error(at.index(index), "a metric that is not in higher_is_better, too", name);
            }
        }
    }

    fn schedule(&mut self, at: Place<'_>, experiment: &wire::Experiment) {
        let schedule = experiment.schedule.clone().unwrap_or_default();
        let at = at.key("schedule");
        let Some(end) = schedule.end else {
            self.error(at.key("end"), "an end", "none");
            return;
        };
        let first = schedule.start.as_ref().or(experiment.ramp.first().map(|step| &step.at));
        let times = first.and_then(|first| Timestamp::parse(&first.0)).zip(Timestamp::parse(&end.0));
        let Some((start, end)) = times else { return };
        let days = end.0.saturating_sub(start.0).saturating_div(DAY_MS);
        if days < MIN_DAYS {
            let expected = format!("at least {MIN_DAYS} days");
            let found = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            let problem = Problem::error(at.key("end").path(), Code::Launch, &expected, &found);
            self.problems.push(problem.warning().suggest(|| {
                "shorter runs see one part of the week more than another, and novelty more than habit"
                    .to_owned()
            }));
        }
    }

    fn analysis(&mut self, at: Place<'_>, analysis: Option<&wire::Analysis>) {
        let Some(analysis) = analysis else { return };
        let mut number = |name: &str, value: Option<f64>, good: fn(f64) -> bool, expected: &str| {
            if let Some(value) = value.filter(|value| !good(*value)) {
                self.error(at.key(name), expected, &describe_number(value));
            }
        };
        let is_probability = |value: f64| value > 0.0 && value < 1.0;
        number("alpha", analysis.alpha, is_probability, "a probability between 0 and 1");
        number("power", analysis.power, is_probability, "a probability between 0 and 1");
        let effect = analysis.minimum_detectable_effect;
        number("minimum_detectable_effect", effect, |value| value > 0.0, "more than 0");
        for (name, margin) in analysis.non_inferiority_margins.iter().filter(|(_, margin)| **margin <= 0.0) {
            let at = at.key("non_inferiority_margins");
            self.error(at.key(name), "more than 0", &describe_number(*margin));
        }
    }

    fn error(&mut self, at: Place<'_>, expected: &str, found: &str) {
        self.problems.push(Problem::error(at.path(), Code::Launch, expected, found));
    }
}
