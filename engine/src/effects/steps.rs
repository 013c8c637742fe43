//! The steps of a decision on one line: the header `x-splitway-explain`.
//!
//! A recording [`Trace`] like that of the tools' explanation, but one that fits into the filter. Without
//! the unit: a header is read by more than the tester.

use crate::decide::{Step, Trace};
use crate::ids::ExperimentId;
use crate::plan::Plan;
use crate::request::RequestView;

/// Longest line, in bytes; what is beyond ends in `…`, spelt `...`.
const MAX_LINE: usize = 4096;

/// Records the steps of a decision on one line: `;` between steps, blanks between the words of a step.
/// ASCII, at most some 4 kB.
#[derive(Clone, Debug)]
pub struct Steps<'p> {
    plan: &'p Plan,
    text: String,
}

impl Plan {
    /// A recorder for `request`, if it carries a token, which might ask for the steps: whether it does
    /// is known only when they have been taken ([`crate::Decision::debug`]).
    #[must_use]
    pub fn steps(&self, request: &RequestView<'_>) -> Option<Steps<'_>> {
        self.tokens.as_ref().filter(|policy| policy.is_carried(request))?;
        Some(Steps { plan: self, text: String::new() })
    }
}

impl From<Steps<'_>> for String {
    fn from(mut steps: Steps<'_>) -> Self {
        if steps.text.len() > MAX_LINE {
            steps.text.truncate(MAX_LINE);
            steps.text.push_str("...");
        }
        steps.text
    }
}

/// Records if there is a recorder. One type for both cases, so that the filter holds the evaluator once.
impl Trace for Option<Steps<'_>> {
    #[inline]
    fn wants_all(&self) -> bool {
        self.is_some()
    }

    #[inline]
    fn step(&mut self, step: Step<'_>) {
        if let Some(steps) = self {
            steps.step(step);
        }
    }
}

impl Trace for Steps<'_> {
    #[inline(never)]
    fn step(&mut self, step: Step<'_>) {
        // Ids are ASCII; sources may be named otherwise, and are not told.
        match step {
            Step::KillSwitch => self.words("kill-switch", &[]),
            Step::Barred(reason) => self.words("barred", &[reason.as_str()]),
            Step::Minted => self.words("minted", &[]),
            Step::Token(outcome) => self.words("token", &[outcome.as_str()]),
            Step::Unit { found, .. } => {
                self.words("unit", &[found.map_or("none", |(source, _)| source.kind())]);
            }
            Step::Holdout { holdout, bucket, below } => {
                self.words("holdout", &[self.plan.holdout_id(holdout)]);
                self.numbers(&[("bucket", bucket), ("below", below)]);
            }
            Step::Layer { layer, bucket, owner } => {
                let owner = owner.map_or("nobody", |owner| self.name(owner));
                self.words("layer", &[self.plan.layer(layer).map_or("", |layer| layer.id())]);
                self.numbers(&[("bucket", bucket)]);
                self.more(&["owner", owner]);
            }
            Step::Traffic { experiment, position, active, owned } => {
                self.words("traffic", &[self.name(experiment)]);
                self.numbers(&[("position", position), ("active", active), ("of", owned)]);
            }
            Step::Targeting { experiment, eligible } => {
                self.words("targeting", &[self.name(experiment), if eligible { "yes" } else { "no" }]);
            }
            Step::Outcome { experiment, reason, variant, bucket } => {
                let outcome = self.plan.experiment(experiment);
                let variant = variant.and_then(|variant| Some(outcome?.variant(variant)?.id()));
                self.words("=>", &[self.name(experiment), variant.unwrap_or("-"), reason.as_str()]);
                if let Some(bucket) = bucket {
                    self.numbers(&[("bucket", bucket)]);
                }
            }
        }
    }
}

impl<'p> Steps<'p> {
    fn name(&self, experiment: ExperimentId) -> &'p str {
        self.plan.experiment(experiment).map_or("", |experiment| experiment.id())
    }

    fn words(&mut self, first: &str, rest: &[&str]) {
        // Beyond this, more is not shown.
        if self.text.len() > MAX_LINE {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        self.text.push_str(first);
        self.more(rest);
    }

    fn more(&mut self, words: &[&str]) {
        for word in words {
            self.text.push(' ');
            self.text.push_str(word);
        }
    }

    fn numbers(&mut self, numbers: &[(&str, u32)]) {
        for (name, number) in numbers {
            self.more(&[name, &number.to_string()]);
        }
    }
}
