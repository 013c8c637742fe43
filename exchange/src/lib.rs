//! What happens to one request and its response, whatever the host.
//!
//! The engine decides; this crate strips what a client forged, applies the decision, stamps the
//! response, writes exposure records, and judges guardrails. All of it is written against the narrow
//! traits of [`host`], one per capability: `filter` implements them with proxy-wasm's hostcalls,
//! `edge` for JavaScript, the scenarios in memory. An adapter adds nothing of its own, so hosts
//! cannot disagree.
//!
//! A request passes whatever a hostcall returns: what cannot be read counts as absent; what cannot be
//! applied is counted, and not claimed (no stamp, no exposure).
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

pub mod config;
pub mod exchange;
mod flags;
pub mod guards;
pub mod host;
mod names;
mod records;
pub mod sink;
pub mod vm;

pub use config::{Active, Store};
pub use exchange::{Exchange, Flow, Vm};
