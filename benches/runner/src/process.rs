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

/// The linear memories of its wasm VMs in KiB, the smallest first: V8 puts each in front of some 8 GiB that
/// nobody may touch.
pub(super) fn guests(process: u32) -> Result<Vec<u64>> {
    guests_of(&fs::read_to_string(format!("/proc/{process}/maps"))?).context("/proc/…/maps has another form")
}

fn guests_of(maps: &str) -> Option<Vec<u64>> {
    const GUARD: u64 = 7 << 30;
    let mut guests = Vec::new();
    let mut before: Option<(u64, u64, &str)> = None;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let rights = words.next()?;
        if let Some((memory, memory_end, "rw-p")) = before
            && rights == "---p"
            && memory_end == start
            && end - start >= GUARD
        {
            guests.push((memory_end - memory) / 1024);
        }
        before = Some((start, end, rights));
    }
    guests.sort_unstable();
    Some(guests)
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
        let maps = "7f28080a0000-7f28081c0000 rw-p 00000000 00:00 0\n\
                    7f28081c0000-7f2a07f80000 ---p 00000000 00:00 0\n\
                    7f2b00000000-7f2b00010000 rw-p 00000000 00:00 0 [heap]\n\
                    7f2b00010000-7f2b10000000 ---p 00000000 00:00 0\n";
        assert_eq!(guests_of(maps), Some(vec![1_152]));
        assert!(resident(std::process::id()).is_ok_and(|kib| kib > 100));
        assert!(cpu(std::process::id()).is_ok());
    }
}
