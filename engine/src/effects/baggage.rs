//! Assignments as members of the header `baggage` (W3C Baggage).

use crate::decide::Decision;
use crate::plan::Plan;
use crate::request::RequestView;

/// Longest value that other systems have to pass on, in bytes (W3C Baggage, 3.3.2).
const MAX_BYTES: usize = 8192;
/// Most members that other systems have to pass on.
const MAX_MEMBERS: usize = 64;
/// Beginning of our members' keys.
const KEY: &[u8] = b"splitway.";

impl Plan {
    /// Whether assignments travel as baggage.
    #[must_use]
    pub fn passes_baggage(&self) -> bool {
        self.baggage
    }

    /// The value of `baggage` for the upstream: what `request` has (all lines, joined)
    /// without members that claim to be ours, and `splitway.<experiment>=<variant>` for
    /// each assignment. `None` if nothing changes; empty if nothing is left, so the header
    /// goes. What does not fit the header's limits is left out, ours before others'.
    #[must_use]
    pub fn baggage(&self, decision: &Decision, request: &RequestView<'_>) -> Option<Vec<u8>> {
        if !self.baggage {
            return None;
        }
        let existing = request.header_joined("baggage").unwrap_or_default();
        let mut value = Vec::with_capacity(existing.len().saturating_add(64));
        let mut members = 0_usize;
        let mut changed = false;
        for member in existing.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|m| !m.is_empty()) {
            let is_others = |rest| self.is_behind_another() && self.is_others(rest);
            if member.strip_prefix(KEY).is_some_and(|rest| !is_others(rest)) {
                changed = true;
            } else {
                members = members.saturating_add(1);
                push(&mut value, &[member]);
            }
        }
        for assignment in decision.assignments.iter().filter(|assignment| !assignment.withheld) {
            let experiment = self.experiment(assignment.experiment);
            let Some((experiment, variant)) =
                experiment.and_then(|e| Some((e, e.variant(assignment.variant)?)))
            else {
                continue;
            };
            let parts = [KEY, experiment.id().as_bytes(), b"=", variant.id().as_bytes()];
            let length = parts.iter().fold(2, |sum: usize, part| sum.saturating_add(part.len()));
            if members < MAX_MEMBERS && value.len().saturating_add(length) <= MAX_BYTES {
                members = members.saturating_add(1);
                changed = true;
                push(&mut value, &parts);
            }
        }
        changed.then_some(value)
    }
}

fn push(list: &mut Vec<u8>, parts: &[&[u8]]) {
    if !list.is_empty() {
        list.push(b',');
    }
    for part in parts {
        list.extend_from_slice(part);
    }
}
