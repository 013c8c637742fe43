//! The house stays as DESIGN.md draws it: which crate uses which, and no circle between the modules of any crate.

#[path = "house/circles.rs"]
mod circles;
#[path = "house/manifest.rs"]
mod manifest;
#[path = "house/modules.rs"]
mod modules;
#[path = "house/paths.rs"]
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use circles::circle;

/// Crates in which modules still use each other in circles. It only gets shorter.
const NOT_YET: [&str; 7] =
    ["analysis", "cli", "engine", "exchange", "host-test", "host-test/scenarios", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of the block of DESIGN.md that begins with ```` ```name ````.
fn block(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("DESIGN.md")).unwrap();
    let fence = format!("```{name}");
    let lines = text.lines().skip_while(|line| *line != fence).skip(1);
    let block: Vec<String> = lines.take_while(|line| *line != "```").map(str::to_owned).collect();
    assert!(!block.is_empty(), "DESIGN.md has no block {name}");
    block
}

/// Lines such as `engine -> document, stats`.
fn arrows(block: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let arrow = |line: &String| {
        let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("not an arrow: {line}"));
        let to = to.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        (from.trim().to_owned(), to.collect())
    };
    block.iter().map(arrow).collect()
}

#[test]
fn crates_use_each_other_as_drawn() {
    let drawn = arrows(&block("crates"));
    let built = manifest::arrows(&root());
    for (from, to) in &built {
        let known = drawn.get(from).unwrap_or_else(|| panic!("DESIGN.md does not draw {from}"));
        assert_eq!(to, known, "what {from} uses, and what DESIGN.md draws");
    }
    let gone: Vec<_> = drawn.keys().filter(|name| !built.contains_key(*name)).collect();
    assert!(gone.is_empty(), "DESIGN.md draws crates that are not there: {gone:?}");
    assert_eq!(circle(&drawn), None);
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    for member in manifest::arrows(&root()).into_keys() {
        let used = modules::arrows(&root().join(&member).join("src"));
        match circle(&used) {
            Some(circle) if NOT_YET.contains(&member.as_str()) => drop(circle),
            Some(circle) => panic!("a circle in {member}: {}", circle.join(" -> ")),
            None => {
                assert!(!NOT_YET.contains(&member.as_str()), "{member} has no circle: take it off the list")
            }
        }
    }
}
