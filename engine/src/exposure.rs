//! Exposure records: what was decided, tied to what was served.
//!
//! The names are those of the OpenTelemetry event `feature_flag.evaluation`
//! (semantic conventions 1.37), plus `splitway.…` for what it does not have.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use crate::decide::Assignment;
use crate::document::hex;
use crate::plan::Plan;
use crate::time::Timestamp;
use crate::view::RequestView;

/// How exposures show the unit.
#[derive(Clone)]
pub(crate) enum ExposurePolicy {
    /// Keyed hash; holds the state after the key, so that a request hashes only
    /// its unit.
    Pseudonym(Hmac<Sha256>),
    Raw,
    Nothing,
}

impl std::fmt::Debug for ExposurePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pseudonym(_) => "Pseudonym(key withheld)",
            Self::Raw => "Raw",
            Self::Nothing => "Nothing",
        })
    }
}

impl ExposurePolicy {
    pub(crate) fn pseudonym(key: &str) -> Self {
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_or(Self::Nothing, Self::Pseudonym)
    }

    fn show(&self, unit: &str) -> Option<String> {
        match self {
            Self::Pseudonym(keyed) => {
                let mut mac = keyed.clone();
                mac.update(unit.as_bytes());
                Some(hex(&mac.finalize().into_bytes(), 16))
            }
            Self::Raw => Some(unit.to_owned()),
            Self::Nothing => None,
        }
    }
}

/// What the proxy saw of the exchange; absent where it could not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served<'a> {
    /// The proxy's id of the request.
    pub request_id: Option<&'a str>,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// The cluster that answered.
    pub cluster: Option<&'a str>,
    /// Whole duration of the exchange, in milliseconds.
    pub duration_ms: Option<u64>,
    /// A path rewrite that was asked for was refused, so the request went on
    /// with its own path.
    pub rewrite_refused: bool,
}

/// One exposure record. Serialises to one JSON object.
#[derive(Debug, Serialize)]
pub struct Exposure<'a> {
    event: &'static str,
    timestamp: Timestamp,
    #[serde(rename = "feature_flag.key")]
    key: &'a str,
    #[serde(rename = "feature_flag.result.variant")]
    variant: &'a str,
    #[serde(rename = "feature_flag.result.reason")]
    reason: &'static str,
    #[serde(rename = "feature_flag.context.id", skip_serializing_if = "Option::is_none")]
    context_id: Option<&'a str>,
    #[serde(rename = "feature_flag.version")]
    version: &'a str,
    #[serde(rename = "feature_flag.set.id")]
    set: &'a str,
    #[serde(rename = "feature_flag.provider.name")]
    provider: &'static str,
    #[serde(rename = "splitway.layer")]
    layer: &'a str,
    #[serde(rename = "splitway.bucket", skip_serializing_if = "Option::is_none")]
    bucket: Option<u32>,
    #[serde(rename = "splitway.override", skip_serializing_if = "is_false")]
    is_override: bool,
    #[serde(rename = "splitway.clock_edge", skip_serializing_if = "is_false")]
    clock_edge: bool,
    #[serde(rename = "splitway.rewrite_refused", skip_serializing_if = "is_false")]
    rewrite_refused: bool,
    #[serde(rename = "splitway.request_id", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(rename = "splitway.cluster", skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(rename = "splitway.duration_ms", skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Plan {
    /// How exposures show the unit of `assignment`: its pseudonym, itself, or
    /// not at all, as the config says.
    #[must_use]
    pub fn context_id(&self, assignment: &Assignment, request: &RequestView<'_>) -> Option<String> {
        let (_, unit) = self.unit(assignment.chain, request)?;
        self.exposure.show(&unit)
    }

    /// What exposures show of a unit that is known as it is, for those who join them with other
    /// records: its pseudonym, itself, or nothing.
    #[must_use]
    pub fn show_unit(&self, unit: &str) -> Option<String> {
        self.exposure.show(unit)
    }

    /// The record of `assignment`, made at `now`. `None` only for an assignment
    /// of another plan.
    #[must_use]
    pub fn exposure<'a>(
        &'a self,
        assignment: &Assignment,
        context_id: Option<&'a str>,
        now: Timestamp,
        served: &Served<'a>,
    ) -> Option<Exposure<'a>> {
        let experiment = self.experiment(assignment.experiment)?;
        let variant = experiment.variant(assignment.variant)?;
        let is_override = assignment.reason.is_override();
        Some(Exposure {
            event: "feature_flag.evaluation",
            timestamp: now,
            key: experiment.id(),
            variant: variant.id(),
            reason: assignment.reason.as_str(),
            context_id,
            version: &self.content_hash,
            set: &self.namespace,
            provider: "splitway",
            layer: self.layer(experiment.layer())?.id(),
            bucket: (!is_override).then_some(assignment.bucket),
            is_override,
            clock_edge: assignment.clock_edge,
            rewrite_refused: served.rewrite_refused && variant.rewrites_path(),
            request_id: served.request_id,
            status: served.status,
            cluster: served.cluster,
            duration_ms: served.duration_ms,
        })
    }
}

impl Exposure<'_> {
    /// The record as one line of JSON, without the line end.
    #[must_use]
    #[inline]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
