//! What only the tools need: explanations, looks into a plan, launch rules, the schema.

#[cfg(feature = "advice")]
pub mod diff;
#[cfg(feature = "advice")]
mod explain;
#[cfg(feature = "advice")]
mod inspect;
#[cfg(feature = "yaml")]
mod launch;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "yaml")]
mod strength;

#[cfg(feature = "advice")]
pub use explain::{ExplainedStep, Explanation};
#[cfg(feature = "advice")]
pub use inspect::Owned;
#[cfg(feature = "yaml")]
pub use launch::launch_problems;
#[cfg(feature = "schema")]
pub use schema::{SCHEMA_ID, schema};
