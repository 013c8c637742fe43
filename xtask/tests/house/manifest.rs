//! Cargo.toml -> which crate of the workspace uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// By the folder of each member: the folders of the members that it depends on. What only tests need is left out.
pub(crate) fn arrows(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let workspace = read(&root.join("Cargo.toml"));
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    let manifests: BTreeMap<&str, String> =
        members.iter().map(|member| (*member, read(&root.join(member).join("Cargo.toml")))).collect();
    let by_name: BTreeMap<&str, &str> =
        manifests.iter().map(|(member, text)| (name(text), *member)).collect();
    manifests
        .iter()
        .map(|(member, text)| {
            let used = dependencies(text).filter_map(|used| by_name.get(used)).map(|used| (*used).to_owned());
            ((*member).to_owned(), used.collect())
        })
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(manifest: &str) -> &str {
    let line = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
    line.trim_matches('"')
}

/// The names in `[dependencies]`, for all targets.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    manifest.lines().filter_map(move |line| {
        if let Some(section) = line.strip_prefix('[') {
            is_inside = section.ends_with("dependencies]") && !section.contains("dev-dependencies");
            return None;
        }
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
        is_inside.then(|| &line[..end])
    })
}

#[test]
fn what_tests_need_is_left_out() {
    let manifest = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\nc = { path = \"c\" }\n\
                    [dev-dependencies]\nd = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n";
    assert_eq!(dependencies(manifest).collect::<Vec<_>>(), ["b", "c", "e"]);
    assert_eq!(name(manifest), "a");
}
