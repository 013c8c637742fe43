//! The Splitway engine: config text -> [`Plan`]; (plan, request, now) ->
//! [`Decision`].
//!
//! Pure: no clock, no I/O, no hostcalls. Time comes in as an argument, exposures
//! go out as values. The same code runs in Envoy, on the edge and in the tools,
//! which is why a unit gets the same variant everywhere.
//!
//! ```
//! use splitway_engine::{Document, NoTrace, RequestView, Timestamp, compile};
//!
//! let config = br#"{ "version": 1, "unit": [{ "cookie": "uid" }],
//!   "experiments": [{ "id": "button", "variants": [{ "id": "a" }, { "id": "b" }] }] }"#;
//! let plan = compile(&Document::from_json(config)?)?;
//! let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"cookie", b"uid=user-1")];
//! let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
//! assert!(plan.stamp(&decision).unwrap().starts_with("button="));
//! # Ok::<(), splitway_engine::Problems>(())
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking"))]

pub mod bucketing;
mod compile;
mod decide;
mod digest;
mod effects;
pub mod guardrail;
mod hex;
mod ids;
mod order;
mod plan;
pub mod qa_token;
mod request;
mod time;
mod tools;
pub mod wire;

#[cfg(feature = "advice")]
pub use compile::Contention;
pub use compile::{
    MAX_EXPERIMENTS, MAX_HOLDOUTS, MAX_LAYERS, MAX_VARIANTS, Secrets, compile, compile_with, read_wire,
};
pub use decide::{Assignment, Decision, NoTrace, Reason, Step, Trace};
pub use digest::content_hash;
pub use effects::{
    Asked, Common, Exposure, Seen, Served, Steps, WithoutTokens, overrides_cache_control,
    private_cache_control, push_member,
};
pub use ids::{ChainId, ExperimentId, HoldoutId, LayerId, VariantId};
pub use plan::headers::{CLUSTER, EXPLAIN, SHADOW, STAMP};
pub use plan::{
    DEFAULT_NAMESPACE, Experiment, HeaderChange, Layer, Otlp, Plan, Redirection, Rewrite, Sinks, Variant,
};
pub use request::{CookieAction, Entropy, HeaderPairs, MAX_VALUE, RequestView, Source, minted_unit};
#[cfg(feature = "yaml")]
pub use splitway_document::Located;
pub use splitway_document::{
    Code, Document, MAX_BYTES, MAX_DEPTH, MAX_FIELDS, MAX_NODES, MAX_PROBLEMS, Path, Problem, Problems,
    Segment, Severity, Span, did_you_mean,
};
pub use time::Timestamp;
#[cfg(feature = "advice")]
pub use tools::diff;
#[cfg(feature = "yaml")]
pub use tools::launch_problems;
#[cfg(feature = "advice")]
pub use tools::{ExplainedStep, Explanation, Owned};
#[cfg(feature = "schema")]
pub use tools::{SCHEMA_ID, schema};
