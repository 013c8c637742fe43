//! Scenarios: requests under a config at a fixed time, and what must come of them, run on every
//! host that Splitway has. `spec/scenarios/README.md` describes the format; `spec/scenarios/` is
//! the corpus.
//!
//! [`load()`] reads and judges a file, [`run()`] runs it on a [`Host`] and gives what differs.

mod config;
pub mod hosts;
mod load;
mod matcher;
mod run;
mod shape;
mod template;
pub mod wire;

pub use config::Config;
pub use hosts::Host;
pub use load::{Invalid, Loaded, find, load, parse};
pub use run::{Difference, run};
pub use wire::HostName;

/// Where the schema lives, for `$id` and editors' `$schema` lines.
pub const SCHEMA_ID: &str = "https://splitway.dev/schemas/scenario-v1.json";

/// JSON Schema (draft 2020-12) of a scenario. It describes shape and scalars; the config inside has
/// a schema of its own.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(wire::Scenario);
    schema.insert("$id".to_owned(), SCHEMA_ID.into());
    schema.insert("title".to_owned(), "Splitway scenario".into());
    schema.to_value()
}
