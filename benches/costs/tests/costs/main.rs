//! The gates of the filter's costs: counts that are the same on every machine, against those in
//! `costs.txt`. Times are not asserted anywhere.

mod hostile;
mod measure;

use std::collections::BTreeMap;
use std::path::Path;

use measure::{REQUESTS, Warm};
use splitway_benches::documents::{elsewhere, layers, one_layer, with_header};
use splitway_envoy::skip::skip;

/// In per cent: what another compiler, or a fix, may change without being noticed.
const MARGIN: u64 = 3;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/costs/costs.txt");

/// Set to 1 to write what is measured into `costs.txt`.
const UPDATE: &str = "SPLITWAY_UPDATE_COSTS";

/// Whether the shipped module is newer than all that it is made of.
fn is_fresh() -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let Some(built) = splitway_envoy::tools::filter_wasm().ok().and_then(|wasm| modified(&wasm)) else {
        return false;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let parts = [
        "filter/src",
        "filter/Cargo.toml",
        "exchange/src",
        "exchange/Cargo.toml",
        "engine/src",
        "engine/Cargo.toml",
        "Cargo.lock",
    ];
    let mut open: Vec<_> = parts.map(|part| root.join(part)).into();
    while let Some(path) = open.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
            Err(_) if modified(&path).is_none_or(|changed| changed > built) => return false,
            Err(_) => {}
        }
    }
    true
}

/// Sums over [`REQUESTS`] requests, by name.
fn measured() -> Option<BTreeMap<String, u64>> {
    let (shipped, bytes) = measure::shipped()?;
    let counting = measure::counting();
    let mut numbers = BTreeMap::from([("module bytes".to_owned(), bytes)]);
    let documents = [
        ("1 experiment", with_header(layers(1))),
        ("10 experiments", with_header(layers(10))),
        ("100 experiments, none applies", elsewhere(100)),
        ("100 experiments of one layer", one_layer(100)),
    ];
    for (name, document) in &documents {
        let costs = Warm::start(&shipped, document).costs();
        let allocations = Warm::start(&counting, document).costs().allocations?;
        numbers.insert(format!("{name}: instructions"), costs.instructions());
        numbers.insert(format!("{name}: hostcalls"), costs.hostcalls());
        numbers.insert(format!("{name}: allocations"), allocations);
    }
    let memory = Warm::start(&shipped, &layers(100)).memory();
    numbers.insert("100 experiments: bytes of memory".to_owned(), u64::try_from(memory).ok()?);
    Some(numbers)
}

fn parsed(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(" = "));
    pairs.map(|(name, number)| (name.to_owned(), number.parse().expect("a number"))).collect()
}

fn written(numbers: &BTreeMap<String, u64>) -> String {
    let head = format!(
        "# What the compiled filter costs; sums over {REQUESTS} requests. Checked by main.rs beside it.\n\
         # After a change that is worth it: cargo xtask build-wasm && \
         {UPDATE}=1 cargo test --workspace --test costs\n"
    );
    numbers.iter().fold(head, |text, (name, number)| format!("{text}{name} = {number}\n"))
}

/// What is over its number by more than the margin, or under it by so much that the gain would be
/// lost again unnoticed.
fn off(committed: &BTreeMap<String, u64>, measured: &BTreeMap<String, u64>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, now) in measured {
        let Some(was) = committed.get(name) else {
            lines.push(format!("{name}: {now}, and no number is committed"));
            continue;
        };
        if now.abs_diff(*was) * 100 > was * MARGIN {
            let way = if now > was { "more" } else { "less" };
            lines.push(format!("{name}: {now}, {way} than {was} by over {MARGIN} %"));
        }
    }
    lines
}

#[test]
fn the_filter_costs_what_is_committed() {
    if !is_fresh() {
        skip("the_filter_costs_what_is_committed", "no fresh filter: run cargo xtask build-wasm");
        return;
    }
    let measured = measured().expect("a filter");
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(FILE, written(&measured)).expect("written");
        return;
    }
    let off = off(&parsed(&std::fs::read_to_string(FILE).expect("costs.txt")), &measured);
    assert!(
        off.is_empty(),
        "the filter's costs changed:\n  {}\nIf that is right, commit new numbers: {UPDATE}=1 cargo test --workspace --test costs",
        off.join("\n  ")
    );
}

#[test]
fn no_request_costs_a_worker_more_than_its_budget() {
    if !is_fresh() {
        skip("no_request_costs_a_worker_more_than_its_budget", "no fresh filter: run cargo xtask build-wasm");
        return;
    }
    let dear = hostile::too_dear().expect("a filter");
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}

#[test]
fn more_and_less_are_told_within_a_margin() {
    let numbers = |value| BTreeMap::from([("x: y".to_owned(), value)]);
    let committed = parsed(&written(&numbers(1_000)));
    assert_eq!(committed, numbers(1_000));
    for (now, told) in [(1_000, 0), (1_030, 0), (970, 0), (1_031, 1), (969, 1)] {
        assert_eq!(off(&committed, &numbers(now)).len(), told, "{now}");
    }
    assert_eq!(off(&BTreeMap::new(), &numbers(1)).len(), 1);
}
