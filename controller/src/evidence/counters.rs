//! Cumulative counters of a proxy become samples by boot and config version.

use std::collections::BTreeMap;

use splitway_control::{Measure, Sample, Tally};

const PREFIX: &str = "wasmcustom.splitway.";

/// What a proxy reports at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How long it has been up, in seconds.
    pub uptime: u64,
    /// The gauge of the config version that is in force.
    pub version: Option<u64>,
    /// The configs that it refused since it started.
    pub refused: u64,
    /// Exchanges by experiment and variant since it started, and those of them that failed.
    pub exchanges: BTreeMap<(String, String), Tally>,
    /// Whether its own guardrail has taken a variant out, by experiment and variant.
    pub trips: BTreeMap<(String, String), bool>,
}

impl Report {
    /// Takes in a metric of `/stats`. Those that the controller does not use are left out.
    pub(crate) fn take(&mut self, name: &str, value: u64) {
        let Some(rest) = name.strip_prefix(PREFIX) else { return };
        let mut parts = rest.split('.');
        let metric = parts.next().unwrap_or_default();
        let mut labels = BTreeMap::new();
        while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
            labels.insert(label, value);
        }
        let arm = || Some(((*labels.get("experiment")?).to_owned(), (*labels.get("variant")?).to_owned()));
        match (metric, arm()) {
            ("config_version", _) => self.version = Some(value),
            ("config_refused", _) => self.refused = value,
            ("guardrail_tripped", Some(arm)) => {
                self.trips.insert(arm, value > 0);
            }
            ("responses", Some(arm)) => {
                let tally = self.exchanges.entry(arm).or_default();
                tally.units = tally.units.saturating_add(value);
                // `none`: the exchange ended without a response.
                if matches!(labels.get("class"), Some(&("5xx" | "none"))) {
                    tally.bad = tally.bad.saturating_add(value);
                }
            }
            _ => {}
        }
    }
}

/// What a proxy has counted, across its boots and config versions.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    boot: u64,
    version: Option<u64>,
    last: Report,
    /// Counts at the time when the present version was first seen: counters go on across versions.
    base: BTreeMap<(String, String), Tally>,
    is_known: bool,
}

/// What a report shows beyond the one before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What was counted under the present boot and version.
    pub samples: Vec<Sample>,
    /// Configs that were refused since the last report.
    pub refused: u64,
    /// Whether any exchange was counted so far.
    pub has_data: bool,
}

impl Counters {
    /// Takes in the next report of `proxy`.
    pub fn observe(&mut self, proxy: &str, report: &Report) -> Seen {
        let is_new_boot = self.is_known && has_restarted(&self.last, report);
        if is_new_boot {
            self.boot = self.boot.saturating_add(1);
            self.base.clear();
        } else if self.is_known && report.version != self.version {
            self.base.clone_from(&self.last.exchanges);
        }
        let refused_before = match (self.is_known, is_new_boot) {
            (false, _) => report.refused,
            (true, true) => 0,
            (true, false) => self.last.refused,
        };
        let refused = report.refused.saturating_sub(refused_before);
        self.is_known = true;
        self.version = report.version;
        self.last = report.clone();
        let version = report.version.map(|version| format!("{version:012x}")).unwrap_or_default();
        let sample = |((experiment, variant), tally): (&(String, String), &Tally)| {
            let base = self.base.get(&(experiment.clone(), variant.clone())).copied().unwrap_or_default();
            let units = tally.units.saturating_sub(base.units);
            let bad = tally.bad.saturating_sub(base.bad).min(units);
            Sample {
                proxy: proxy.to_owned(),
                boot: self.boot.to_string(),
                version: version.clone(),
                experiment: experiment.clone(),
                variant: variant.clone(),
                measure: Measure::Errors,
                tally: Tally { units, bad },
            }
        };
        let samples = report.exchanges.iter().map(sample).collect();
        let has_data = report.exchanges.values().any(|tally| tally.units > 0);
        Seen { samples, refused, has_data }
    }
}

/// A proxy's time up and its counters grow until it restarts.
fn has_restarted(before: &Report, now: &Report) -> bool {
    let shrank = |(arm, tally): (&(String, String), &Tally)| {
        now.exchanges.get(arm).is_none_or(|after| after.units < tally.units || after.bad < tally.bad)
    };
    now.uptime < before.uptime || before.exchanges.iter().any(shrank)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::*;

    fn report(uptime: u64, version: u64, good: u64, bad: u64) -> Report {
        let mut report = Report { uptime, ..Report::default() };
        report.take("wasmcustom.splitway.config_version.namespace.shop", version);
        for (class, value) in [("2xx", good), ("5xx", bad)] {
            let name = "wasmcustom.splitway.responses.experiment.button.variant.a.class";
            report.take(&format!("{name}.{class}.namespace.shop"), value);
        }
        report
    }

    fn tally(seen: &Seen) -> (String, String, u64, u64) {
        assert_eq!(seen.samples.len(), 1, "one arm");
        let one = &seen.samples[0];
        (one.boot.clone(), one.version.clone(), one.tally.units, one.tally.bad)
    }

    #[test]
    fn counters_are_cut_by_boot_and_version() {
        let mut counters = Counters::default();
        let mut observe = |report| tally(&counters.observe("p", &report));
        let of = |boot: &str, version: &str, units, bad| (boot.to_owned(), version.to_owned(), units, bad);
        assert_eq!(observe(report(5, 1, 10, 1)), of("0", "000000000001", 11, 1));
        assert_eq!(observe(report(6, 2, 10, 1)), of("0", "000000000002", 0, 0));
        assert_eq!(observe(report(7, 2, 15, 3)), of("0", "000000000002", 7, 2));
        assert_eq!(observe(report(1, 2, 4, 0)), of("1", "000000000002", 4, 0));
        // As fast a restart as that leaves the time up alone; the counters show it.
        assert_eq!(observe(report(1, 2, 3, 0)), of("2", "000000000002", 3, 0));
    }

    #[test]
    fn refusals_before_the_first_report_are_nobodys() {
        let mut counters = Counters::default();
        let mut refused =
            |uptime, refused| counters.observe("p", &Report { uptime, refused, ..Report::default() }).refused;
        assert_eq!([refused(1, 4), refused(2, 4), refused(3, 5), refused(0, 1)], [0, 0, 1, 1]);
    }
}
