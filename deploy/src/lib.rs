//! What users deploy, as text: the files of an Envoy, filled from the templates in `envoy/`.
//!
//! The command `splitway render` and the rig on a real Envoy use the same templates, so what a user gets is what is
//! tested. This crate needs neither a proxy nor a test rig.
#![forbid(unsafe_code)]

pub mod deployment;
pub mod template;

pub use deployment::{Cluster, Deployment, Snippet};
pub use template::FailurePolicy;
