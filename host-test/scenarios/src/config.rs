//! A plugin's configuration, and how it is moved in time.

use serde_json::Value;
use splitway_engine::Timestamp;

/// The bytes that a plugin is configured with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    text: String,
    /// The same as a tree, for what came as a mapping.
    tree: Option<Value>,
}

impl Config {
    /// Splitway without experiments: what serves while no good config has come.
    pub const INERT: &'static str = r#"{"version":1,"experiments":[]}"#;

    /// Raw text.
    #[must_use]
    pub fn raw(text: &str) -> Self {
        Self { text: text.to_owned(), tree: None }
    }

    /// A mapping, as JSON.
    #[must_use]
    pub fn tree(tree: Value) -> Self {
        Self { text: tree.to_string(), tree: Some(tree) }
    }

    /// What the plugin gets.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names any time.
    #[must_use]
    pub fn has_times(&self) -> bool {
        fn any(value: &Value) -> bool {
            match value {
                Value::String(text) => Timestamp::parse(text).is_some(),
                Value::Array(items) => items.iter().any(any),
                Value::Object(fields) => fields.values().any(any),
                _ => false,
            }
        }
        self.tree.as_ref().is_some_and(any)
    }

    /// The same with every RFC 3339 time later by so many milliseconds.
    #[must_use]
    pub fn shifted(&self, milliseconds: i64) -> String {
        fn shift(value: &mut Value, by: i64) {
            match value {
                Value::String(text) => {
                    if let Some(time) = Timestamp::parse(text) {
                        *text = Timestamp(time.0 + by).to_string();
                    }
                }
                Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
                Value::Object(fields) => fields.values_mut().for_each(|field| shift(field, by)),
                _ => {}
            }
        }
        match &self.tree {
            Some(tree) => {
                let mut tree = tree.clone();
                shift(&mut tree, milliseconds);
                tree.to_string()
            }
            None => self.text.clone(),
        }
    }

    /// The signing keys of QA tokens: id and secret.
    pub(crate) fn token_keys(&self) -> Vec<(String, String)> {
        let keys = self.tree.as_ref().and_then(|tree| tree["qa_tokens"]["keys"].as_array());
        let text = |key: &Value, name: &str| key[name].as_str().map(str::to_owned);
        keys.into_iter().flatten().filter_map(|key| Some((text(key, "id")?, text(key, "secret")?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_time_moves_and_nothing_else() {
        let config = Config::tree(json!({
            "version": 1,
            "experiments": [{ "id": "a", "schedule": { "start": "2026-01-01T00:00:00Z" }, "ramp": [{ "at": "2026-01-02T00:00:00+01:00" }] }],
        }));
        assert!(config.has_times());
        let moved: Value = serde_json::from_str(&config.shifted(1_000)).unwrap();
        assert_eq!(moved["experiments"][0]["schedule"]["start"], "2026-01-01T00:00:01.000Z");
        assert_eq!(moved["experiments"][0]["ramp"][0]["at"], "2026-01-01T23:00:01.000Z");
        assert_eq!(moved["experiments"][0]["id"], "a");
        assert!(!Config::tree(json!({ "version": 1 })).has_times());
        assert!(!Config::raw("2026-01-01T00:00:00Z").has_times());
    }
}
