//! The rig: a real Envoy with Splitway in front of real upstream servers, all on loopback.
//!
//! The demo, the end-to-end tests, and later the scenario runner and the benches drive a proxy
//! through this one crate. Its files beside `src/`, `bootstrap.yaml` and `ecds.yaml`, are at the
//! same time what a reader copies into an Envoy of their own, so they cannot drift from what is
//! tested. A mock proxy was rejected: what Envoy does around the filter (route choice, its own
//! 503s, config discovery) is what the rig is there to show.

pub mod browser;
pub mod client;
pub mod collector;
pub mod config_dir;
pub mod exposure;
pub mod load;
pub mod origin;
pub mod poll;
mod process;
pub mod proxy;
pub mod render;
pub mod scene;
pub mod skip;
pub mod standalone;
pub mod upstream;

pub use client::{Answer, Call, Client};
pub use collector::Collector;
pub use exposure::Exposure;
pub use load::{Load, LoadOptions, LoadReport};
pub use origin::Origin;
pub use poll::{DEADLINE, eventually, within};
pub use process::Process;
pub use proxy::{Envoy, EnvoyConfig};
pub use render::Additions;
pub use scene::{Scene, SceneConfig, Stage};
pub use splitway_deploy::FailurePolicy;
pub use splitway_tools::programs as tools;
pub use upstream::{Reply, Seen, Upstream};
