//! Where the clusters of a config are.

use std::collections::BTreeMap;

/// A cluster that variants name, and the service behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The cluster's name in configs.
    pub name: String,
    /// A host name, which the proxy resolves, or an address.
    pub host: String,
    /// Its port; Istio finds one if it is absent.
    pub port: Option<u16>,
    /// Labels that make it one of Istio's subsets.
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// Reads `NAME=HOST[:PORT][,LABEL=VALUE…]`.
    ///
    /// # Errors
    /// If `text` does not have this form; the error names the expected one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a cluster's name and its address, such as shop-v2=shop.example:80".to_owned();
        let (name, place) = text.split_once('=').ok_or_else(expected)?;
        let mut pieces = place.split(',');
        let (host, port) = host_and_port(pieces.next().unwrap_or_default()).ok_or_else(expected)?;
        if name.is_empty() {
            return Err(expected());
        }
        let labels = pieces.map(label).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), host, port, labels })
    }
}

/// Reads `host`, `host:80`, `[::1]:80`.
#[must_use]
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_clean = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/\"'{}[]".contains(c));
    is_clean.then(|| (host.to_owned(), port))
}

/// Reads `NAME=VALUE`.
///
/// # Errors
/// If the name or the value is missing; the error names what was expected.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a name and a value, such as version=v2".to_owned()),
    }
}
