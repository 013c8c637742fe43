//! The loop: what is asked, what is written and what proxies report, one after the other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use splitway_control::{Actor, Command, Input, Time};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::evidence::{Admin, AdminError, Report};
use crate::intent::IntentFolder;
use crate::store::Store;
use crate::turn::{Core, CoreError, Outcome};

const PERIOD: Duration = Duration::from_secs(1);

/// What somebody asks of a running controller.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub command: Command,
    /// Where the answer goes: what followed, or why nothing was decided.
    pub answer: oneshot::Sender<Result<Outcome, String>>,
}

/// Runs a controller until its log is not its own any more. `actor` is who writes in the folder. What cannot be decided or
/// delivered now is handed to `report` and tried again a second later.
///
/// # Errors
/// Another writer has appended to the log, the log was changed, or what asks a proxy has ended.
pub async fn run<S: Store>(
    mut core: Core<S>,
    mut folder: IntentFolder,
    proxies: &[Admin],
    actor: &Actor,
    mut requests: mpsc::Receiver<Request>,
    mut report: impl FnMut(&CoreError),
) -> Result<(), CoreError> {
    let (reports, mut reported) = mpsc::channel(proxies.len().max(1));
    // Each asks for itself: a proxy that does not answer delays nobody, and no command.
    let mut askers = JoinSet::new();
    for proxy in proxies {
        askers.spawn(ask(proxy.clone(), reports.clone()));
    }
    let mut clock = ticks();
    loop {
        let done = tokio::select! {
            biased;
            request = requests.recv() => match request {
                Some(Request { actor, command, answer }) => {
                    let done = core.input(&actor, &Input::Command(command), now());
                    if done.as_ref().is_err_and(CoreError::is_final) {
                        return done.map(drop);
                    }
                    // Whoever asked may have gone: what was decided stays.
                    let _ = answer.send(done.map_err(|error| error.to_string()));
                    core.deliver()
                }
                None => return Ok(()),
            },
            _ = askers.join_next(), if !askers.is_empty() => return Err(CoreError::Ended),
            Some((proxy, seen)) = reported.recv() => observe(&mut core, &proxy, &seen),
            _ = clock.tick() => pass(&mut core, &mut folder, actor),
        };
        if let Err(error) = done {
            if error.is_final() {
                return Err(error);
            }
            report(&error);
        }
    }
}

fn ticks() -> Interval {
    let mut clock = interval(PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// Asks a proxy every second.
async fn ask(proxy: Admin, reports: mpsc::Sender<(String, Result<Report, AdminError>)>) {
    let mut clock = ticks();
    loop {
        clock.tick().await;
        if reports.send((proxy.name().to_owned(), proxy.report().await)).await.is_err() {
            return;
        }
    }
}

/// Takes in a report, and what follows from it at once.
fn observe<S: Store>(
    core: &mut Core<S>,
    proxy: &str,
    seen: &Result<Report, AdminError>,
) -> Result<(), CoreError> {
    core.observe(proxy, seen, now())?;
    core.tick(now())?;
    core.deliver()
}

/// Everything that a second brings.
fn pass<S: Store>(core: &mut Core<S>, folder: &mut IntentFolder, actor: &Actor) -> Result<(), CoreError> {
    for input in folder.changes() {
        if let Err(error) = core.input(actor, &input, now()) {
            folder.forget();
            return Err(error);
        }
    }
    core.tick(now())?;
    core.deliver()
}

/// The present time; of a clock before 1970, its beginning.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
