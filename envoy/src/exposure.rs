//! Exposure records, as the filter writes them into the proxy's log.

use std::collections::BTreeMap;

use serde_json::Value;

const EVENT: &str = "feature_flag.evaluation";

/// One logged exposure: a JSON object keyed by OpenTelemetry attribute names.
#[derive(Debug, Clone)]
pub struct Exposure(Value);

impl Exposure {
    /// The exposure in one line of Envoy's log, or `None` for any other line.
    ///
    /// Envoy puts a prefix before, and may put a source position after, what the filter logged; so
    /// the first JSON value from the first brace on is read and the rest ignored.
    #[must_use]
    pub fn in_line(line: &str) -> Option<Self> {
        let start = line.find("{\"event\":")?;
        let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        (value["event"] == EVENT).then_some(Self(value))
    }

    /// The experiment's id.
    #[must_use]
    pub fn experiment(&self) -> &str {
        self.text("feature_flag.key")
    }

    /// The variant's id.
    #[must_use]
    pub fn variant(&self) -> &str {
        self.text("feature_flag.result.variant")
    }

    /// Any text attribute; empty when it is absent or no text.
    #[must_use]
    pub fn text(&self, attribute: &str) -> &str {
        self.0[attribute].as_str().unwrap_or_default()
    }

    /// Any attribute.
    #[must_use]
    pub fn get(&self, attribute: &str) -> &Value {
        &self.0[attribute]
    }
}

/// How many exposures each (experiment, variant) has.
#[must_use]
pub fn count(exposures: &[Exposure]) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for exposure in exposures {
        let key = (exposure.experiment().to_owned(), exposure.variant().to_owned());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_record_between_envoys_prefix_and_suffix() {
        let line = r#"[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway splitway: {"event":"feature_flag.evaluation","feature_flag.key":"e","feature_flag.result.variant":"b","http.response.status_code":200} tail"#;
        let exposure = Exposure::in_line(line).expect("an exposure");
        assert_eq!((exposure.experiment(), exposure.variant()), ("e", "b"));
        assert_eq!(exposure.get("http.response.status_code"), 200);
    }

    #[test]
    fn other_lines_are_no_exposures() {
        for line in ["", "[info] starting", r#"{"event":"other"}"#, r#"{"event":"feature_flag.eval"#] {
            assert!(Exposure::in_line(line).is_none(), "{line}");
        }
    }
}
