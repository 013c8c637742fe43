//! Guardrails: a variant that does harm is switched off by the proxies themselves.
//!
//! Pure: the host counts, keeps the [`Window`] where all its workers reach it, and hands the result
//! back to the evaluator as [`Tripped`].

mod evidence;
mod window;

pub use evidence::{Count, above_control, above_limit};
pub use window::{SLOTS, Window};

use crate::plan::{Experiment, ExperimentId, VariantId};

/// A guardrail of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Guardrail {
    pub(crate) experiment: ExperimentId,
    pub(crate) metric: Metric,
    /// Largest difference from the control that is tolerated, 0 to 1.
    pub(crate) max_increase: Option<f64>,
    /// Largest rate, 0 to 1.
    pub(crate) max: Option<f64>,
    pub(crate) min_requests: u32,
    pub(crate) slot_ms: i64,
    /// Evidence that is enough.
    pub(crate) enough: f64,
    pub(crate) enforces: bool,
}

/// What a guardrail counts as bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Responses with a status of 500 and more.
    ServerErrors,
    /// Exchanges that took longer than so many milliseconds.
    SlowerThan(u64),
}

impl Guardrail {
    /// The experiment that it guards.
    #[must_use]
    pub fn experiment(&self) -> ExperimentId {
        self.experiment
    }

    /// What it counts.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Whether a variant that trips is switched off; else it is only told.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.enforces
    }

    /// Adds what the variants had since the last time.
    pub fn add_to(&self, window: &mut Window, counts: &[Count], now: crate::Timestamp) {
        window.add(counts, now, self.slot_ms);
    }

    /// Whether `variant` is judged at all. The control is what is left when a variant is off, so it is judged only
    /// where it is alone.
    fn judges(experiment: &Experiment, variant: usize) -> bool {
        variant != experiment.control.index() || experiment.variants.len() == 1
    }

    /// What `window` shows against each variant of `experiment` now, of those that have not tripped
    /// yet. They have from now on.
    pub fn judge(&self, experiment: &Experiment, window: &mut Window, now: crate::Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for variant in 0..experiment.variants.len() {
            if window.has_tripped(variant) || !Self::judges(experiment, variant) {
                continue;
            }
            if let Some(finding) = self.finding(experiment, variant, window, now) {
                window.trip(variant);
                findings.push(finding);
            }
        }
        findings
    }

    /// A test begins with every slot of the window and ends with the window, so as many run at once as
    /// there are slots; `enough` allows for that.
    fn finding(
        &self,
        experiment: &Experiment,
        variant: usize,
        window: &Window,
        now: crate::Timestamp,
    ) -> Option<Finding> {
        let control = experiment.control.index();
        let (mut seen, mut compared) = (Count::default(), Count::default());
        for slot in window.newest_first(now, self.slot_ms) {
            seen.add(slot.get(variant).copied().unwrap_or_default());
            compared.add(slot.get(control).copied().unwrap_or_default());
            if seen.requests < self.min_requests {
                continue;
            }
            let limit = self.max.is_some_and(|max| above_limit(seen, max) >= self.enough);
            let against = |tolerated| above_control(compared, seen, tolerated) >= self.enough;
            if limit || variant != control && self.max_increase.is_some_and(against) {
                let variant = VariantId(u16::try_from(variant).ok()?);
                return Some(Finding { variant, seen, compared, limit });
            }
        }
        None
    }
}

/// What tripped a guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The variant.
    pub variant: VariantId,
    /// What it had.
    pub seen: Count,
    /// What the control had.
    pub compared: Count,
    /// It is above the fixed limit, and not only above the control.
    pub limit: bool,
}

/// The variants that are switched off: an input of [`crate::Plan::decide`], because the plan does not
/// change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tripped(Vec<(ExperimentId, VariantId)>);

impl Tripped {
    /// Switches a variant off. Gives whether it was on.
    pub fn add(&mut self, experiment: ExperimentId, variant: VariantId) -> bool {
        match self.0.binary_search(&(experiment, variant)) {
            Ok(_) => false,
            Err(position) => {
                self.0.insert(position, (experiment, variant));
                true
            }
        }
    }

    /// Whether a variant is off.
    #[must_use]
    pub fn has(&self, experiment: ExperimentId, variant: VariantId) -> bool {
        self.0.binary_search(&(experiment, variant)).is_ok()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
