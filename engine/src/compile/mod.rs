//! Document -> plan: the only validator. Reports everything that is wrong, and
//! makes a plan only of a document in which nothing is.

mod bucketing;
mod compiler;
mod conflicts;
#[cfg(feature = "advice")]
mod consequences;
#[cfg(feature = "advice")]
mod disjoint;
mod draft;
mod experiment;
mod exposure;
mod guardrails;
mod identity;
mod layers;
mod limits;
mod lookup;
mod secrets;
mod sources;
mod targeting;
mod tokens;
mod values;
mod variants;
mod whole;

#[cfg(feature = "advice")]
pub use conflicts::Contention;
pub use limits::{MAX_EXPERIMENTS, MAX_HOLDOUTS, MAX_LAYERS, MAX_VARIANTS};
pub use lookup::Secrets;
pub use whole::{compile, compile_with, read_wire};
