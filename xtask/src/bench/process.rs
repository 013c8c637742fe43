//! What the kernel knows of a process.

use std::fs;

use anyhow::{Context as _, Result};

/// Time on a processor and time waiting for one, in nanoseconds, of all threads of a process since
/// its start. The scheduler's own counters, exact to the switch.
pub(super) fn cpu(process: u32) -> Result<(u64, u64)> {
    let mut sum = (0, 0);
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the two steps; what it had used is then lost, and it was none
        // of the workers.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let (on, waiting) = schedstat(&text).context("/proc/…/schedstat has another form")?;
        sum = (sum.0 + on, sum.1 + waiting);
    }
    Ok(sum)
}

fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Resident memory in KiB.
pub(super) fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    resident_of(&status).context("/proc/…/status has no VmRSS")
}

fn resident_of(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The load average of the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_forms() {
        assert_eq!(schedstat("1500 20 3\n"), Some((1500, 20)));
        assert_eq!(resident_of("Name:\tenvoy\nVmRSS:\t   61234 kB\n"), Some(61_234));
        assert!(resident(std::process::id()).is_ok_and(|kib| kib > 100));
        assert!(cpu(std::process::id()).is_ok());
    }
}
