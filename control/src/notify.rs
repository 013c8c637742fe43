//! What people are told of, in a sentence.

use serde::Serialize;

use crate::event::{Body, Cause, Event, VerdictCode};
use crate::rules::Rule;
use crate::state::State;

/// A message about an event. Its key is the event's number: a receiver that looks at it gets nothing twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The number of the event.
    pub key: u64,
    /// What it is about: `breach`, `rollback`, `approval_wanted`, `decided`, `stuck`, `killed`, `refused_by_proxy`.
    pub topic: &'static str,
    /// The experiment.
    pub experiment: Option<String>,
    /// What happened, in a sentence.
    pub text: String,
    /// Who is called.
    pub on_call: Option<String>,
    /// What to do.
    pub runbook: Option<String>,
    /// Who is asked about a rollback.
    pub rollback_contact: Option<String>,
    /// The head of the chain after the event, so that a log that is cut off later is noticed.
    pub head: String,
}

/// The message about an event, if it is one that people are told of. `after`: the state after it.
#[must_use]
pub fn notification(event: &Event, after: &State) -> Option<Notification> {
    let (topic, experiment, text) = match &event.body {
        Body::Breached { experiment, variant, measure, proxies, .. } => {
            let text = format!(
                "`{variant}` of `{experiment}` does harm ({measure}), seen on {}.",
                proxies.join(", ")
            );
            ("breach", Some(experiment), text)
        }
        Body::RolledBack { experiment, cause } => {
            ("rollback", Some(experiment), format!("`{experiment}` was rolled back: {}.", why(cause)))
        }
        Body::Paused { experiment, cause } => {
            ("paused", Some(experiment), format!("`{experiment}` was paused: {}.", why(cause)))
        }
        Body::Held { experiment, reasons } => {
            let wanted = reasons.iter().find(|reason| reason.code == Rule::Approval)?;
            (
                "approval_wanted",
                Some(experiment),
                format!("`{experiment}` waits for an approval: {}.", wanted.help),
            )
        }
        Body::Decided { experiment, verdict } => {
            let word = match verdict.code {
                VerdictCode::Ship => "ship",
                VerdictCode::DoNotShip => "do not ship",
                VerdictCode::Inconclusive => "inconclusive",
                VerdictCode::Invalid => "invalid",
            };
            let text = format!("`{experiment}` is decided ({word}): {}", verdict.decision);
            ("decided", Some(experiment), text)
        }
        Body::Stuck { document, proxies } => {
            ("stuck", None, format!("Config {document} is not in force on {}.", proxies.join(", ")))
        }
        Body::ProxyRefused { proxy, document, reason } => {
            ("refused_by_proxy", None, format!("{proxy} refused config {document}: {reason}."))
        }
        Body::Killed { reason } => ("killed", None, format!("All experiments were switched off: {reason}.")),
        _ => return None,
    };
    let definition = experiment.and_then(|id| after.experiment(id)).map(|one| one.definition.wire().clone());
    let definition = definition.unwrap_or_default();
    Some(Notification {
        key: event.seq,
        topic,
        experiment: experiment.cloned(),
        text,
        on_call: definition.on_call,
        runbook: definition.runbook,
        rollback_contact: definition.rollback_contact,
        head: after.head().to_string(),
    })
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Command { reason } if reason.trim().is_empty() => "somebody asked for it".to_owned(),
        Cause::Command { reason } => reason.clone(),
        Cause::Breach { variant } => format!("variant `{variant}` does harm"),
        Cause::Budget { budget } => format!("error budget {budget} burns"),
        Cause::Deadline => "it was undecided for as long as it may be".to_owned(),
        Cause::Forgotten => "it was paused for longer than anything may be forgotten".to_owned(),
        Cause::Verdict => "the verdict is not to ship".to_owned(),
    }
}
