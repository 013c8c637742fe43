//! The templates in `deploy/envoy/`, and how their placeholders are filled.
//!
//! They are text with placeholders and not a tree of structs, because the files are documentation first: a
//! person must be able to copy them.

use std::fmt;

use anyhow::{Context as _, Result, bail};

/// An Envoy bootstrap with Splitway in it.
pub const BOOTSTRAP: &str = include_str!("../envoy/bootstrap.yaml");
/// The file from which Envoy's extension config discovery reads the filter's configuration.
pub const ECDS: &str = include_str!("../envoy/ecds.yaml");

/// An access logger that writes requests with records to a file.
pub const ACCESS_LOG_FILE: &str = include_str!("../envoy/access-log-file.yaml");
/// An access logger that sends them to a collector.
pub const ACCESS_LOG_OTLP: &str = include_str!("../envoy/access-log-otlp.yaml");
/// Tracing, with the stamp as a span's tag.
pub const TRACING_OTLP: &str = include_str!("../envoy/tracing-otlp.yaml");

/// What Envoy does with a request, and with later ones, when the filter's VM traps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// 503 while the VM restarts, with a back-off of about a second. We recommend this one.
    #[default]
    Reload,
    /// Requests pass; the filter stays off until the next config update.
    Open,
    /// 503 until the next config update. Envoy's own default.
    Closed,
}

impl fmt::Display for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reload => "FAIL_RELOAD",
            Self::Open => "FAIL_OPEN",
            Self::Closed => "FAIL_CLOSED",
        })
    }
}

/// Returns `template` for a proxy behind your own proxy, whose request ids and client addresses are kept.
///
/// # Errors
/// If `template` no longer contains what is replaced.
pub fn inside(template: &str) -> Result<String> {
    const EDGE: &str =
        "                # This proxy is the edge: it sets x-forwarded-for and x-request-id itself, so a
                # client cannot choose the request id that exposures are deduplicated by.
                use_remote_address: true
";
    const INSIDE: &str = "                # Another proxy of one's own is in front: its x-forwarded-for and x-request-id hold, so
                # that the exposures of both tell of the same request.
                use_remote_address: false
";
    replaced(template, EDGE, INSIDE)
}

/// Returns `text` with its only `old` replaced by `new`.
///
/// # Errors
/// If `text` does not contain `old` exactly once.
pub fn replaced(text: &str, old: &str, new: &str) -> Result<String> {
    anyhow::ensure!(text.matches(old).count() == 1, "expected one {old:?} in\n{text}");
    Ok(text.replace(old, new))
}

/// Returns `template` with every placeholder `${NAME}` replaced by the value of that name, in one pass, so that a `${...}`
/// inside a value is never taken for a placeholder.
///
/// # Errors
/// If a placeholder has no value, or no end.
pub fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').context("a placeholder has no end")?;
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            bail!("nothing fills the placeholder {name}");
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Returns `text` as a JSON string, which is also a double-quoted YAML scalar.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_placeholder_is_an_error() {
        assert!(fill("a ${B} c", &[]).is_err());
        assert!(fill("a ${B", &[("B", String::new())]).is_err());
    }
}
