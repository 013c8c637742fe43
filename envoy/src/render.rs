//! Fills the placeholders of `bootstrap.yaml` and `ecds.yaml`.
//!
//! Text with placeholders, and not a tree of structs: the two files are documentation first, and
//! a person must be able to copy them.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const BOOTSTRAP: &str = include_str!("../bootstrap.yaml");
const ECDS: &str = include_str!("../ecds.yaml");

/// What Envoy does with a request, and with later ones, when the filter's VM traps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// 503 while the VM is restarted, with a back-off of about a second. What we recommend.
    #[default]
    Reload,
    /// Requests pass, the filter stays off until the next config update.
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

/// The values of `bootstrap.yaml`. Envoy listens on free ports, which its admin API then names.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap<'a> {
    /// The compiled filter, for the inert default config.
    pub wasm: &'a Path,
    /// The folder whose `ecds.yaml` Envoy reads and watches.
    pub watched_dir: &'a Path,
    /// Where cluster `checkout-v1` is. Only the port is used: upstreams are on loopback.
    pub v1: SocketAddr,
    /// Where cluster `checkout-v2` is.
    pub v2: SocketAddr,
    /// The policy of the inert default config.
    pub failure_policy: FailurePolicy,
}

/// `bootstrap.yaml`, ready for Envoy.
///
/// # Errors
/// When a path is not UTF-8, or the template holds a placeholder that nothing fills.
pub fn bootstrap(values: &Bootstrap<'_>) -> Result<String> {
    fill(
        BOOTSTRAP,
        &[
            ("LISTENER_PORT", "0".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("V1_PORT", values.v1.port().to_string()),
            ("V2_PORT", values.v2.port().to_string()),
            ("WATCHED_DIR", quoted_path(values.watched_dir)?),
            ("ECDS_PATH", quoted_path(&values.watched_dir.join("ecds.yaml"))?),
            ("WASM_PATH", quoted_path(values.wasm)?),
            ("FAILURE_POLICY", values.failure_policy.to_string()),
        ],
    )
}

/// `ecds.yaml` with `document` (the experiment document as JSON; any text passes through
/// unchanged, so that tests can hand over a broken one).
///
/// # Errors
/// As [`bootstrap`].
pub fn ecds(document: &str, wasm: &Path, policy: FailurePolicy) -> Result<String> {
    fill(
        ECDS,
        &[
            ("WASM_PATH", quoted_path(wasm)?),
            ("FAILURE_POLICY", policy.to_string()),
            ("DOCUMENT", quoted(document)),
        ],
    )
}

/// One pass over the template, so that a `${...}` inside a value is never taken for a placeholder.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
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

fn quoted_path(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(quoted(text))
}

/// A JSON string is also a double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_quoted_and_never_taken_for_a_placeholder() {
        let text = ecds("{\"a\":\"${WASM_PATH}\\n'\"}", Path::new("/a b/f.wasm"), FailurePolicy::Open)
            .expect("rendered");
        assert!(text.contains(r#"value: "{\"a\":\"${WASM_PATH}\\n'\"}""#), "{text}");
        assert!(text.contains(r#"filename: "/a b/f.wasm""#), "{text}");
        assert!(text.contains("failure_policy: FAIL_OPEN"), "{text}");
    }

    #[test]
    fn every_placeholder_of_the_bootstrap_is_filled() {
        let text = bootstrap(&Bootstrap {
            wasm: Path::new("/f.wasm"),
            watched_dir: Path::new("/cm"),
            v1: SocketAddr::from(([127, 0, 0, 1], 7001)),
            v2: SocketAddr::from(([127, 0, 0, 1], 7002)),
            failure_policy: FailurePolicy::Reload,
        })
        .expect("rendered");
        assert!(!text.contains("${"), "{text}");
        assert!(text.contains("port_value: 7001") && text.contains("port_value: 7002"));
        assert!(text.contains(r#"path: "/cm/ecds.yaml""#), "{text}");
    }

    #[test]
    fn an_unknown_placeholder_is_an_error() {
        assert!(fill("a ${B} c", &[]).is_err());
        assert!(fill("a ${B", &[("B", String::new())]).is_err());
    }
}
