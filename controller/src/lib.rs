//! Around [`splitway_control`]: where its log is kept, how documents get to proxies, and what proxies report.
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

pub mod delivery;
pub mod evidence;
mod intent;
mod run;
pub mod store;
mod turn;

pub use intent::IntentFolder;
pub use run::{Request, run};
pub use turn::{Core, CoreError, Outcome};
