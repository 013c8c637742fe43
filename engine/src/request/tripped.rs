//! Variants that guardrails have switched off.

use crate::ids::{ExperimentId, VariantId};

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
