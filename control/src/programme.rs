//! How the practice of experimenting goes: velocity and hygiene, from the log alone.

use serde::Serialize;

use crate::event::VerdictCode;
use crate::phase::Phase;
use crate::react::gates::missing_facts;
use crate::state::State;
use crate::time::Time;

const DAY_MS: u64 = 86_400_000;

/// Figures of the practice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Programme {
    /// Experiments that started within the last 30 days.
    pub started_in_30_days: u64,
    /// Experiments that ended within the last 30 days.
    pub ended_in_30_days: u64,
    /// Experiments that ever started.
    pub started: u64,
    /// Mean days from the start to the decision, over all that were decided.
    pub mean_days_to_decide: Option<f64>,
    /// The 90th percentile of it.
    pub p90_days_to_decide: Option<f64>,
    /// Mean hours from the first definition to the start.
    pub mean_hours_to_start: Option<f64>,
    /// Variants that were shipped.
    pub shipped: u64,
    /// Rollbacks for each hundred experiments that started.
    pub rollbacks_per_hundred: Option<f64>,
    /// Breaches for each hundred experiments that started.
    pub breaches_per_hundred: Option<f64>,
    /// Decided experiments by verdict: ship, do not ship, invalid.
    pub verdicts: [u64; 3],
    /// Refused commands.
    pub refusals: u64,
}

/// What is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hygiene {
    /// Experiments that run undecided for longer than the policy has it.
    pub undecided: Vec<String>,
    /// Shipped experiments that are still served after the time that the policy gives.
    pub not_cleaned_up: Vec<String>,
    /// Experiments without an owner.
    pub without_owner: Vec<String>,
    /// Experiments that lack a fact that the launch policy asks for.
    pub incomplete: Vec<String>,
    /// Running experiments that are stopped within seven days if they stay undecided.
    pub ends_soon: Vec<String>,
}

impl State {
    /// The figures at `now`.
    #[must_use]
    pub fn programme(&self, now: Time) -> Programme {
        let mut figures = Programme { refusals: self.refusals, ..Programme::default() };
        let (mut to_decide, mut to_start) = (Vec::new(), Vec::new());
        let is_recent = |at: Time| now.since(at) < 30_u64.saturating_mul(DAY_MS);
        let archived = self.archive().map(|(_, one)| {
            let over = one.started.map(|_| one.over);
            let code = one.verdict.as_ref().map(|verdict| verdict.code);
            (one.defined, one.started, one.decided, over, one.shipped.is_some(), code)
        });
        let live = self.experiments().map(|(_, one)| {
            let is_over = matches!(one.phase, Phase::Completed | Phase::RolledBack);
            let code = one.verdict.as_ref().map(|verdict| verdict.code);
            (one.defined, one.started, one.decided, is_over.then_some(one.since), one.shipped.is_some(), code)
        });
        for (defined, started, decided, over, is_shipped, code) in archived.chain(live) {
            let Some(started) = started else { continue };
            figures.started = figures.started.saturating_add(1);
            figures.started_in_30_days =
                figures.started_in_30_days.saturating_add(u64::from(is_recent(started)));
            figures.ended_in_30_days =
                figures.ended_in_30_days.saturating_add(u64::from(over.is_some_and(is_recent)));
            figures.shipped = figures.shipped.saturating_add(u64::from(is_shipped));
            to_start.push(started.since(defined) as f64 / 3_600_000.0);
            to_decide.extend(decided.map(|decided| decided.since(started) as f64 / DAY_MS as f64));
            let [ship, do_not_ship, invalid] = &mut figures.verdicts;
            match code {
                Some(VerdictCode::Ship) => *ship = ship.saturating_add(1),
                Some(VerdictCode::DoNotShip) => *do_not_ship = do_not_ship.saturating_add(1),
                Some(VerdictCode::Invalid) => *invalid = invalid.saturating_add(1),
                Some(VerdictCode::Inconclusive) | None => {}
            }
        }
        let per_hundred =
            |count: u64| (figures.started > 0).then(|| count as f64 * 100.0 / figures.started as f64);
        figures.rollbacks_per_hundred = per_hundred(self.rollbacks);
        figures.breaches_per_hundred = per_hundred(self.breaches);
        figures.mean_hours_to_start = mean(&to_start);
        figures.mean_days_to_decide = mean(&to_decide);
        to_decide.sort_by(f64::total_cmp);
        figures.p90_days_to_decide = splitway_stats::quantile::quantile(&to_decide, 0.9).ok();
        figures
    }

    /// What is forgotten at `now`.
    #[must_use]
    pub fn hygiene(&self, now: Time) -> Hygiene {
        let mut hygiene = Hygiene::default();
        let policies = self.policies();
        for (id, one) in self.experiments() {
            let mut add = |list: fn(&mut Hygiene) -> &mut Vec<String>, is_so: bool| {
                if is_so {
                    list(&mut hygiene).push(id.to_owned());
                }
            };
            let runs = matches!(one.phase, Phase::Running | Phase::Paused);
            let age = one.started.map_or(0, |started| now.since(started));
            let left = one.definition.rollout().at_most.saturating_sub(age);
            add(|of| &mut of.undecided, runs && age > policies.undecided);
            add(|of| &mut of.ends_soon, runs && left < 7_u64.saturating_mul(DAY_MS));
            let is_served = one.phase == Phase::Completed && one.shipped.is_some();
            add(|of| &mut of.not_cleaned_up, is_served && now.since(one.since) > policies.cleanup);
            let owner = one.definition.wire().owner.as_deref().unwrap_or_default();
            add(|of| &mut of.without_owner, owner.trim().is_empty());
            add(|of| &mut of.incomplete, !missing_facts(&one.definition, &policies.facts).is_empty());
        }
        hygiene
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
