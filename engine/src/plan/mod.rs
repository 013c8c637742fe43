//! A compiled config, ready to decide with.

mod actions;
mod experiment;
pub(crate) mod headers;
mod partition;
#[expect(clippy::module_inception, reason = "the room is called after what is in it")]
mod plan;
mod records;
mod rewrite;
mod surroundings;

pub use actions::HeaderChange;
pub(crate) use actions::{Claim, VariantActions, When};
pub use experiment::{Experiment, Layer, Variant};
pub(crate) use experiment::{Gate, Holdout, Slot, Split, Traffic};
pub(crate) use headers::OurHeaders;
pub(crate) use partition::Partition;
pub use plan::{DEFAULT_NAMESPACE, Plan};
pub(crate) use records::ExposurePolicy;
pub use records::{Otlp, Sinks};
pub(crate) use rewrite::{PathRewrite, Redirect};
pub use rewrite::{Redirection, Rewrite};
pub(crate) use surroundings::{CacheSafety, Neighbours};
