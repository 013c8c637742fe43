//! How a test says that an optional tool is missing, so that a skip is counted and never silent.

use std::io::Write as _;

/// Reports that `test` did nothing because of `why` (name the tool and the line that installs it).
///
/// The line goes to the real standard output, past the test harness's capture, where
/// `cargo xtask test` counts it. A crate without this one may print the same line itself.
///
/// # Panics
/// With `SPLITWAY_NO_SKIP=1`, which CI sets: there every tool is present and a skip is a failure.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn skip(test: &str, why: &str) {
    if std::env::var_os("SPLITWAY_NO_SKIP").is_some_and(|value| value == "1") {
        panic!("{test} would be skipped, and SPLITWAY_NO_SKIP=1 forbids that: {why}");
    }
    let line = format!("SKIPPED: {test}: {why}\n");
    // Nothing useful can be done when standard output is gone.
    let _ = std::io::stdout().write_all(line.as_bytes());
}
