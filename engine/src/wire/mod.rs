//! The config as it is written: one struct per mapping, no meaning yet.
//!
//! [`crate::compile`] gives it meaning; nothing else reads these types. The
//! JSON Schema is generated from them, so their docs are what an editor shows.
//! Required fields are plain, optional ones are `Option`, `Vec` or map (what
//! `document::read` relies on).

#[macro_use]
mod macros;

mod bucketing;
mod config;
mod experiment;
mod exposure;
mod guardrail;
mod identity;
mod rollout;
mod sources;
mod surroundings;
mod targeting;
mod tokens;
mod values;
mod variant;

pub use splitway_document::Entries;

pub use bucketing::*;
pub use config::*;
pub use experiment::*;
pub use exposure::*;
pub use guardrail::*;
pub use identity::*;
pub use rollout::*;
pub use sources::*;
pub use surroundings::*;
pub use targeting::*;
pub use tokens::*;
pub use values::*;
pub use variant::*;
