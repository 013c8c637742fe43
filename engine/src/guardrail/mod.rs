//! Guardrails: a variant that does harm is switched off by the proxies themselves.
//!
//! Pure: the host counts, keeps the [`Window`] where all its workers reach it, and hands the result
//! back to the evaluator as [`Tripped`].
//!
//! # What is counted
//!
//! Evidence counts units, not requests: in a test, a unit is one trial, which is bad once one of its exchanges was.
//! So one client weighs as much as any other, however often it asks, and a variant trips only if at least
//! `min_bad_units` units had a bad exchange. A test begins with each slot of the window and ends with the window, so
//! [`SLOTS`] of them run at once; `enough` allows for that (and for two tests, where both limits are set), so `alpha`
//! bounds the chance that a variant which is not worse trips within one window.
//!
//! # Why the bounds hold, though a good unit can turn bad while a test runs
//!
//! - **A fixed limit**: let each unit be bad at any time of the window with a chance of at most the limit. Imagine that
//!   its whole fate were known when it is first seen. Then units are Bernoulli trials, revealed one by one, and
//!   [`above_limit`] reaches `enough` with a chance of at most `alpha` (see `evidence.rs`). What is really known at any
//!   time are the same units with at most as many bad ones, and evidence grows with these.
//! - **Against the control**: for a variant that is treated like the control, whose arm a unit that turns bad is in is
//!   a coin of the planned share, thrown when the experiment was set up, whatever the unit and all others do.
//!   [`above_share`] tests exactly this, so the bound needs no assumption about errors at all: it holds for errors that
//!   come in clusters (5 % of the units have 95 % of them), for a cluster that stands still for a moment, for
//!   unequal arms, and for units that ask once or a thousand times. A variant that does better than the control has
//!   fewer bad units, so the chance is smaller still.
//! - **More than `max_increase` above the control** must in addition be certain by [`above_control`], which takes
//!   units for independent; that a unit turns bad later has no proof here, `tests/guardrails.rs` simulates it.
//! - **A sample**: where a variant has more units than fit, those with the lowest hashes are looked at, and planned
//!   shares become shares of the samples. Hashes know nothing of outcomes, so at any moment the sample is as good as
//!   the whole; that it shrinks while a test runs is simulated, too.

mod evidence;
mod outcome;
mod window;

#[cfg(feature = "advice")]
pub use evidence::stratum_above_share;
pub use evidence::{Count, above_control, above_limit, above_share};
pub use outcome::Outcome;
pub use window::{SLOTS, Tally, Window};

use crate::plan::{Experiment, ExperimentId, VariantId};

/// A guardrail of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Guardrail {
    pub(crate) experiment: ExperimentId,
    /// Identifies what decides the experiment, and the guardrail itself: counts of one are not taken for another's.
    pub(crate) digest: u64,
    pub(crate) metric: Metric,
    /// Largest difference from the control that is tolerated, 0 to 1.
    pub(crate) max_increase: Option<f64>,
    /// Largest rate, 0 to 1.
    pub(crate) max: Option<f64>,
    pub(crate) min_requests: u32,
    pub(crate) min_bad_units: u32,
    /// Units that are kept of each variant.
    pub(crate) capacity: usize,
    pub(crate) slot_ms: i64,
    /// The planned shares of the variants, 0 to 1.
    pub(crate) shares: Box<[f64]>,
    /// Evidence that is enough.
    pub(crate) enough: f64,
    pub(crate) enforces: bool,
}

/// What a guardrail counts as bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Responses with a status of 500 and more, gRPC calls with an error of the server, and clients that left after
    /// they had waited longer than `abandoned_after` milliseconds for a response.
    ServerErrors {
        /// Milliseconds from the end of the request on.
        abandoned_after: u64,
    },
    /// Exchanges in which the head of the response took longer than this many milliseconds.
    SlowerThan(u64),
}

impl Guardrail {
    /// The experiment that it guards.
    #[must_use]
    pub fn experiment(&self) -> ExperimentId {
        self.experiment
    }

    /// Identifies what decides the experiment (variants, bucketing, targeting, layer, unit) and the guardrail itself.
    /// What has tripped stays off while this stays.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// What it counts.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How many units are kept of each variant.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether a variant that trips is switched off; else it is only reported.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.enforces
    }

    /// A window over `experiment`, of which nothing is known yet.
    #[must_use]
    pub fn window(&self, experiment: &Experiment) -> Window {
        Window::new(self.digest, experiment.variants.len())
    }

    /// Adds what the variants had since the last time.
    #[inline(never)]
    pub fn add_to(&self, window: &mut Window, tallies: &[Tally], now: crate::Timestamp) {
        window.add(tallies, now, self.slot_ms, self.capacity);
    }

    /// Whether `variant` is judged at all. The control is what is left when a variant is off, so it is judged only
    /// where it is alone.
    fn judges(experiment: &Experiment, variant: usize) -> bool {
        variant != experiment.control.index() || experiment.variants.len() == 1
    }

    /// What `window` shows against each variant of `experiment`, of those that have not tripped
    /// yet. They have from now on.
    #[inline(never)]
    pub fn judge(&self, experiment: &Experiment, window: &mut Window) -> Vec<Finding> {
        let mut findings = Vec::new();
        for variant in 0..experiment.variants.len() {
            if window.has_tripped(variant) || !Self::judges(experiment, variant) {
                continue;
            }
            if let Some(finding) = self.finding(experiment, variant, window) {
                window.trip(variant);
                findings.push(finding);
            }
        }
        findings
    }

    fn finding(&self, experiment: &Experiment, variant: usize, window: &Window) -> Option<Finding> {
        let control = experiment.control.index();
        let share = |index: usize| self.shares.get(index).copied().unwrap_or(0.0);
        for slots in 1..=SLOTS as i64 {
            let mask = window.newest(slots);
            let (seen, compared) = (window.part(variant, mask)?, window.part(control, mask)?);
            if seen.requests < self.min_requests || seen.count.bad < self.min_bad_units {
                continue;
            }
            let is_above = |tolerated| {
                let (own, other) = (share(variant) * seen.sampled, share(control) * compared.sampled);
                above_share(compared.count, seen.count, own / (own + other)) >= self.enough
                    && above_control(compared.count, seen.count, tolerated) >= self.enough
            };
            let limit = self.max.is_some_and(|max| above_limit(seen.count, max) >= self.enough);
            if limit || variant != control && self.max_increase.is_some_and(is_above) {
                let variant = VariantId(u16::try_from(variant).ok()?);
                let requests = seen.requests;
                return Some(Finding {
                    variant,
                    requests,
                    seen: seen.count,
                    compared: compared.count,
                    limit,
                });
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
    /// Its requests in the part of the window that shows it.
    pub requests: u32,
    /// Its units there.
    pub seen: Count,
    /// Those of the control.
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
