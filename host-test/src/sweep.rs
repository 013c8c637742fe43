//! The fault driver: every hostcall that a run makes, failing in every way.

use crate::builder::HostBuilder;
use crate::error::{HostError, Trap};
use crate::faults::{Fault, FaultPlan, Hostcall, When};
use crate::host::Host;
use crate::types::Status;
use std::fmt;

/// What a sweep tries.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Statuses that hostcalls answer; all but `Ok` at first.
    pub statuses: Vec<Status>,
    /// WASI error numbers that WASI calls answer.
    pub errnos: Vec<u32>,
    /// Whether data that is handed out also comes as garbage, truncated and
    /// not at all.
    pub shapes: bool,
    /// Up to which call of each hostcall a case of its own is run; each
    /// hostcall also fails at every call.
    pub calls: u64,
    /// Hostcalls to leave out.
    pub skip: Vec<Hostcall>,
}

impl Default for SweepOptions {
    fn default() -> SweepOptions {
        SweepOptions {
            statuses: Status::ALL.into_iter().filter(|status| *status != Status::Ok).collect(),
            errnos: vec![8, 21, 28, 52, 58],
            shapes: true,
            calls: 64,
            skip: Vec::new(),
        }
    }
}

/// A case that trapped.
#[derive(Clone, Debug)]
pub struct SweepCase {
    /// The hostcall that failed.
    pub hostcall: Hostcall,
    /// At which call.
    pub when: When,
    /// How.
    pub fault: Fault,
    /// The trap.
    pub trap: Trap,
}

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub struct SweepReport {
    /// Runs made.
    pub cases: usize,
    /// Hostcalls of the run without faults, with how often each was made.
    pub hostcalls: Vec<(Hostcall, u64)>,
    /// Cases in which the guest refused to start, which is its right.
    pub refused: usize,
    /// Cases in which it paused for ever.
    pub stuck: usize,
    /// Cases in which it trapped.
    pub traps: Vec<SweepCase>,
}

/// Runs `drive` on a fresh host once without faults and then once for every
/// (hostcall, fault, call) that the first run could meet, and reports traps.
///
/// `builder` makes the host anew for each case, so that cases do not touch
/// each other; the module inside is compiled once.
///
/// # Errors
/// The error of the run without faults, which must pass.
pub fn sweep(
    options: &SweepOptions,
    builder: impl Fn() -> HostBuilder,
    drive: impl Fn(&mut Host) -> Result<(), HostError>,
) -> Result<SweepReport, HostError> {
    let mut host = builder().start()?;
    drive(&mut host)?;
    let mut report =
        SweepReport { hostcalls: host.hostcall_counts().into_iter().collect(), ..SweepReport::default() };
    for (hostcall, count) in report.hostcalls.clone() {
        if options.skip.contains(&hostcall) {
            continue;
        }
        let calls = (1..=count.min(options.calls)).map(When::Nth);
        for when in std::iter::once(When::Always).chain(calls) {
            for fault in faults(options, hostcall) {
                run(&mut report, &builder, &drive, (hostcall, when, fault));
            }
        }
    }
    Ok(report)
}

fn run(
    report: &mut SweepReport,
    builder: &impl Fn() -> HostBuilder,
    drive: &impl Fn(&mut Host) -> Result<(), HostError>,
    (hostcall, when, fault): (Hostcall, When, Fault),
) {
    report.cases += 1;
    let plan = FaultPlan::new().fail(hostcall, when, fault);
    let mut trapped = |trap| report.traps.push(SweepCase { hostcall, when, fault, trap });
    match builder().faults(plan).start() {
        Err(HostError::Trapped(trap)) => trapped(*trap),
        Err(_) => report.refused += 1,
        Ok(mut host) => {
            let result = drive(&mut host);
            host.traps().into_iter().for_each(&mut trapped);
            match result {
                Err(HostError::Stuck { .. }) => report.stuck += 1,
                Err(HostError::Trapped(trap)) => trapped(*trap),
                _ => {}
            }
        }
    }
}

fn faults(options: &SweepOptions, hostcall: Hostcall) -> Vec<Fault> {
    let mut faults: Vec<Fault> = if hostcall.is_wasi() {
        options.errnos.iter().copied().map(Fault::Raw).collect()
    } else {
        options.statuses.iter().copied().map(Fault::Status).collect()
    };
    if options.shapes && hostcall.returns_data() {
        faults.extend([Fault::Garbage, Fault::Truncated, Fault::Nothing]);
    }
    faults
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SweepReport { cases, refused, stuck, traps, hostcalls } = self;
        writeln!(
            f,
            "{cases} cases over {} hostcalls: {} traps, {refused} refused to start, {stuck} stuck",
            hostcalls.len(),
            traps.len()
        )?;
        for case in traps {
            writeln!(f, "{} {:?} {:?}: {}", case.hostcall.name(), case.when, case.fault, case.trap)?;
        }
        Ok(())
    }
}
