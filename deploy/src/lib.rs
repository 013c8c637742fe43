//! What users deploy, as text: the files of an Envoy, the manifests of a mesh, the rules of a Prometheus.
//!
//! The command `splitway render` and the rig on a real Envoy use the same templates (`deploy/envoy/`), so what a user gets is
//! what is tested. This crate needs neither a proxy nor a test rig nor a command line.
#![forbid(unsafe_code)]

mod chart;
pub mod deployment;
pub mod envoy;
mod files;
pub mod istio;
pub mod kubernetes;
mod module;
mod object;
pub mod prometheus;
mod refusal;
mod service;
mod subject;
pub mod template;

pub use deployment::{Cluster, Deployment, Snippet};
pub use files::Files;
pub use module::Module;
pub use refusal::Refusal;
pub use service::{Service, host_and_port, label};
pub use subject::Subject;
pub use template::FailurePolicy;
