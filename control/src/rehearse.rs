//! Game days: what would happen if.

use crate::actor::Actor;
use crate::chain::Sealed;
use crate::command::Input;
use crate::event::{Condition, Tally};
use crate::evidence::{Evidence, Measure, Sample};
use crate::react::react;
use crate::state::State;
use crate::time::Time;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// From now on, a variant fails for this share of its units, in ten thousandths, while the control is fine.
    Breach {
        /// The experiment.
        experiment: String,
        /// The variant.
        variant: String,
        /// Units that each arm gets in a second.
        units_per_second: u64,
        /// Its failing units of 10,000.
        failing: u64,
    },
    /// Every source of evidence is in this condition.
    DataGap(Condition),
    /// A proxy refuses the wanted document.
    RefusingProxy(String),
}

/// What would happen within `seconds` after an incident, second by second, in a copy of the state. Nothing of it does.
#[must_use]
pub fn rehearse(
    state: &State,
    evidence: &Evidence,
    incident: &Incident,
    now: Time,
    seconds: u32,
) -> Vec<Sealed> {
    let (mut state, mut evidence, mut events) = (state.clone(), evidence.clone(), Vec::new());
    for second in 0..=seconds {
        let at = now.plus(u64::from(second).saturating_mul(1_000));
        for input in inputs(&state, &mut evidence, incident, second) {
            let reaction = react(&state, &evidence, &Actor::Schedule, &input, at);
            events.extend(reaction.events);
            state = reaction.state;
        }
    }
    events
}

fn inputs(state: &State, evidence: &mut Evidence, incident: &Incident, second: u32) -> Vec<Input> {
    let mut inputs = Vec::new();
    match incident {
        Incident::Breach { experiment, variant, units_per_second, failing } => {
            let control = state.experiment(experiment).map(|one| one.definition.control().to_owned());
            let units = units_per_second.saturating_mul(u64::from(second).saturating_add(1));
            let failing = units.saturating_mul(*failing).checked_div(10_000).unwrap_or_default();
            for (variant, bad) in [(Some(variant.clone()), failing), (control, 0)] {
                evidence.observe(Sample {
                    proxy: "rehearsal".to_owned(),
                    boot: "rehearsal".to_owned(),
                    version: "rehearsal".to_owned(),
                    experiment: experiment.clone(),
                    variant: variant.unwrap_or_default(),
                    measure: Measure::Errors,
                    tally: Tally { units, bad },
                });
            }
        }
        Incident::DataGap(condition) => {
            let of = |source: &String| Input::Source { source: source.clone(), condition: *condition };
            inputs.extend(state.sources().keys().map(of));
        }
        Incident::RefusingProxy(proxy) => inputs.extend(state.wanted().map(|wanted| Input::Refused {
            proxy: proxy.clone(),
            document: wanted.document.clone(),
            reason: "a rehearsal".to_owned(),
        })),
    }
    inputs.push(Input::Tick);
    inputs
}
