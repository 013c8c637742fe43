//! Waiting for a condition, with a deadline. Tests never sleep for a guessed time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a condition may take before a wait gives up. Generous: a busy machine must not turn a
/// correct run into a failure, and a wait that succeeds ends at once.
pub const DEADLINE: Duration = Duration::from_secs(90);

const PAUSE: Duration = Duration::from_millis(2);

/// Asks `condition` again and again until it gives a value.
///
/// # Errors
/// Past [`DEADLINE`], with `what` was awaited; or at once with the condition's own error.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    within(DEADLINE, what, condition).await
}

/// As [`eventually`], for what takes longer by its nature.
///
/// # Errors
/// As [`eventually`], past `deadline`.
pub async fn within<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
