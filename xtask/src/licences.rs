//! The licences of every dependency against the list in `deny.toml`, with nothing but cargo.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use splitway_tools::shell;

/// Fails when a dependency has no licence that `deny.toml` allows.
pub(crate) fn check() -> Result<()> {
    let deny = fs::read_to_string(shell::root().join("deny.toml"))?;
    let allowed = allowed(&deny)?;
    let metadata = shell::output(shell::cargo(&["metadata", "--format-version", "1", "--locked"])?)?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !acceptable(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| format!("{} ({})", package["name"], package["license"]))
        .collect();
    if !refused.is_empty() {
        bail!("not under a licence that deny.toml allows: {}", refused.join(", "));
    }
    println!("{} packages, all under allowed licences", packages.len());
    Ok(())
}

/// The quoted names of the `allow = [...]` list.
fn allowed(deny: &str) -> Result<BTreeSet<&str>> {
    let (_, list) = deny.split_once("\nallow = [").context("deny.toml has no allow list")?;
    let (list, _) = list.split_once(']').context("the allow list has no end")?;
    Ok(list.split('"').skip(1).step_by(2).collect())
}

/// An SPDX expression as crates write them: alternatives of things that must all be allowed. The
/// old `MIT/Apache-2.0` spelling means OR. Where parentheses nest the two, every name must be
/// allowed: stricter than SPDX, never more lenient, and no parser.
fn acceptable(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let all = |names: &str, separator: &str| names.split(separator).all(|name| allowed.contains(name.trim()));
    if expression.contains('(') {
        let names = expression.replace(['(', ')'], " ").replace(" OR ", " AND ");
        return all(&names, " AND ");
    }
    expression.replace('/', " OR ").split(" OR ").any(|alternative| all(alternative, " AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_and_conjunctions() {
        let allowed = BTreeSet::from(["MIT", "Unicode-3.0"]);
        for good in [
            "MIT",
            "Apache-2.0 OR MIT",
            "Apache-2.0/MIT",
            "MIT AND Unicode-3.0",
            "(MIT OR Unicode-3.0) AND MIT",
        ] {
            assert!(acceptable(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR AGPL-3.0", "GPL-3.0 AND (MIT OR GPL-3.0)"] {
            assert!(!acceptable(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn the_allow_list_is_read() {
        let list = allowed("[licenses]\nallow = [\n  \"MIT\", # why\n  \"ISC\",\n]\n").expect("a list");
        assert_eq!(list, BTreeSet::from(["MIT", "ISC"]));
    }
}
