//! How large a config may be.

/// Most experiments in a document.
pub const MAX_EXPERIMENTS: usize = 1000;
/// Most variants of an experiment.
pub const MAX_VARIANTS: usize = 64;
/// Most layers declared in a document.
pub const MAX_LAYERS: usize = 1000;
/// Most holdouts in a document.
pub const MAX_HOLDOUTS: usize = 64;
/// Most sources of a unit.
pub(super) const MAX_SOURCES: usize = 16;
/// Most guardrails of all experiments: each costs every worker some microseconds per tick.
pub(super) const MAX_GUARDRAILS: usize = 256;
/// Shortest secret of a QA key, in bytes.
pub(super) const MIN_SECRET: usize = 32;
