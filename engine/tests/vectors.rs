//! The committed vectors, made by the systems' own SDKs, through the engine.

#[path = "vectors/replay.rs"]
mod replay;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}

#[test]
fn every_committed_vector_agrees() {
    let mut mismatches = Vec::new();
    for dialect in replay::DIALECTS {
        let report = replay::replay(&committed(), dialect).unwrap();
        assert!(report.units >= 200, "{dialect}: only {} units", report.units);
        assert!(!report.source.is_empty(), "{dialect}: no source");
        mismatches.extend(report.mismatches.into_iter().map(|line| format!("{dialect}, {line}")));
    }
    assert!(mismatches.is_empty(), "{} mismatches:\n{}", mismatches.len(), mismatches.join("\n"));
}

#[test]
fn there_is_one_file_per_dialect_and_no_other() {
    let files: BTreeSet<String> = std::fs::read_dir(committed())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    assert_eq!(files, replay::DIALECTS.iter().map(|name| name.to_string()).collect());
}
