//! Fuzzing on stable: every target runs over its committed corpus
//! (`tests/corpus/<target>/`) and then over mutations of it, from a fixed seed.
//! `SPLITWAY_FUZZ_SECONDS=60 cargo test -p splitway-engine --features yaml --test fuzz`
//! goes on for so long with a fresh seed, which it prints.
//!
//! Rejected: libFuzzer alone. It needs a nightly compiler, which CI has not.

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mutate::Mutator;

/// Mutations of a run in CI.
const MUTATIONS: u32 = 4_000;

/// The committed inputs of `target`, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs `check` on one input; a panic is told with the input.
fn run(target: &str, check: fn(&[u8]), input: &[u8]) {
    if std::panic::catch_unwind(|| check(input)).is_err() {
        panic!("{target} fails for {:?}; add it to tests/corpus/{target}/", input.escape_ascii().to_string());
    }
}

fn fuzz(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    for input in &corpus {
        run(target, check, input);
    }
    let mut mutator = Mutator::new(corpus.clone(), 0x5117_3a70);
    for _ in 0..MUTATIONS {
        run(target, check, &mutator.next());
    }
    let Some(seconds) = std::env::var("SPLITWAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = since_epoch.as_nanos() as u64;
    println!("{target}: seed {seed}");
    let mut mutator = Mutator::new(corpus, seed);
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut runs = 0_u64;
    while start.elapsed() < limit {
        run(target, check, &mutator.next());
        runs += 1;
    }
    println!("{target}: {runs} more runs");
}

macro_rules! targets {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            fuzz(stringify!($name), targets::$name);
        }
    )*};
}

targets! { config_json cookies query targeting rewrite path_regex identity tokens buckets headers }

#[cfg(feature = "yaml")]
targets! { config_yaml }
