//! The config's JSON Schema, from the wire types.

use crate::wire;

/// Where the schema lives, for `$id` and editors' `$schema` lines.
pub const SCHEMA_ID: &str = "https://splitway.dev/schemas/config-v1.json";

/// JSON Schema (draft 2020-12) of a config. It describes shape and scalars;
/// what fields mean together only [`crate::compile`] knows.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(wire::Config);
    schema.insert("$id".to_owned(), SCHEMA_ID.into());
    schema.insert("title".to_owned(), "Splitway config".into());
    schema.to_value()
}
