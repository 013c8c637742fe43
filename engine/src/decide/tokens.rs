//! What a QA token grants.

use std::borrow::Cow;

use crate::ids::{ExperimentId, VariantId};
use crate::plan::{Experiment, Gate, Plan};
use crate::qa_token::{MAX_LIFETIME_MS, TokenOutcome, TokenPolicy};
use crate::request::RequestView;
use crate::time::Timestamp;

/// What a valid token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) grant: Option<Grant>,
    pub(crate) debug: bool,
}

/// The variant that a valid token chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) experiment: ExperimentId,
    pub(crate) variant: VariantId,
}

impl TokenPolicy {
    /// What `token` grants. `unit`, the request's unit for an experiment, is asked only for tokens that name a
    /// subject.
    pub(crate) fn check<'r>(
        &self,
        token: &[u8],
        request: &RequestView<'_>,
        now: Timestamp,
        plan: &Plan,
        unit: impl FnOnce(&Experiment) -> Option<Cow<'r, str>>,
    ) -> Result<Granted, TokenOutcome> {
        let claims = self.verified(token).ok_or(TokenOutcome::Forged)?;
        let left = claims.expires.saturating_mul(1000).saturating_sub(now.0);
        if left <= 0 || left > MAX_LIFETIME_MS {
            return Err(TokenOutcome::Expired);
        }
        let debug = claims.debug;
        let Some(choice) = &claims.choice else { return Ok(Granted { grant: None, debug }) };
        let (id, experiment) = plan.find(&choice.experiment).ok_or(TokenOutcome::Unknown)?;
        let index = experiment.variants.iter().position(|v| *v.id == *choice.variant);
        let variant = index.and_then(|i| u16::try_from(i).ok()).ok_or(TokenOutcome::Unknown)?;
        if let Some(subject) = &claims.subject
            && unit(experiment).as_deref() != Some(subject)
        {
            return Err(TokenOutcome::WrongSubject);
        }
        if experiment.gate == Gate::Closed {
            return Err(TokenOutcome::NotRunning);
        }
        if !experiment.applies_to_somebody(request) {
            return Err(TokenOutcome::Elsewhere);
        }
        Ok(Granted { grant: Some(Grant { experiment: id, variant: VariantId(variant) }), debug })
    }
}
