//! A guardrail of an experiment, and what a window shows against its variants.

use super::evidence::{Count, above_control, above_limit, above_share};
use super::metric::Metric;
use super::window::{SLOTS, Tally, Window};
use crate::ids::{ExperimentId, VariantId};
use crate::time::Timestamp;

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
    pub(crate) control: VariantId,
    /// The planned shares of the variants, 0 to 1.
    pub(crate) shares: Box<[f64]>,
    /// Evidence that is enough.
    pub(crate) enough: f64,
    pub(crate) enforces: bool,
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

    /// A window over the experiment, of which nothing is known yet.
    #[must_use]
    pub fn window(&self) -> Window {
        Window::new(self.digest, self.shares.len())
    }

    /// Adds what the variants had since the last time.
    #[inline(never)]
    pub fn add_to(&self, window: &mut Window, tallies: &[Tally], now: Timestamp) {
        window.add(tallies, now, self.slot_ms, self.capacity);
    }

    /// Whether `variant` is judged at all. The control is what is left when a variant is off, so it is judged only
    /// where it is alone.
    fn judges(&self, variant: usize) -> bool {
        variant != self.control.index() || self.shares.len() == 1
    }

    /// What `window` shows against each variant, of those that have not tripped
    /// yet. They have from now on.
    #[inline(never)]
    pub fn judge(&self, window: &mut Window) -> Vec<Finding> {
        let mut findings = Vec::new();
        for variant in 0..self.shares.len() {
            if window.has_tripped(variant) || !self.judges(variant) {
                continue;
            }
            if let Some(finding) = self.finding(variant, window) {
                window.trip(variant);
                findings.push(finding);
            }
        }
        findings
    }

    fn finding(&self, variant: usize, window: &Window) -> Option<Finding> {
        let control = self.control.index();
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
