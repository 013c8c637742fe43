//! One layer of an evaluation: at most one experiment of it is entered.

use super::decision::{Assignment, Decision};
use super::reason::Reason;
use super::tokens::Grant;
use super::trace::{Step, Trace, not_entered, outcome};
use super::units::{UnitState, Units};
use crate::ids::{ExperimentId, LayerId, VariantId};
use crate::plan::{Experiment, Gate, Layer, Plan};
use crate::request::RequestView;
use crate::time::Timestamp;

/// One layer of one evaluation.
pub(super) struct LayerPass<'p, 'r> {
    pub(super) plan: &'p Plan,
    pub(super) request: &'p RequestView<'r>,
    pub(super) now: Timestamp,
    pub(super) index: LayerId,
    pub(super) layer: &'p Layer,
    pub(super) grants: &'p [Grant],
}

impl<'p> LayerPass<'p, '_> {
    pub(super) fn run(&self, units: &mut Units<'_, '_>, decision: &mut Decision, trace: &mut impl Trace) {
        let Some(unit) = units.resolve(self.layer.chain, trace) else { return };
        let allowed = || if self.layer.has_overrides { self.allow_list(unit.value()?) } else { None };
        let chosen = self.token_override().or_else(allowed);
        if let Some(assignment) = chosen {
            for id in &self.layer.experiments {
                if *id == assignment.experiment {
                    self.tell(&assignment, trace);
                } else {
                    trace.step(not_entered(*id, Reason::OtherExperiment, None));
                }
            }
            return decision.add(assignment);
        }
        if unit.value.is_none() {
            decision.unit_missing = true;
            for id in &self.layer.experiments {
                trace.step(not_entered(*id, Reason::NoUnit, None));
            }
            return;
        }
        let mut layer_bucket = None;
        let mut ruled_out = 0_u32;
        if trace.wants_all() {
            for id in &self.layer.experiments {
                let out = self.consider(*id, unit, &mut layer_bucket, decision, trace);
                ruled_out = ruled_out.wrapping_add(out.into());
            }
        } else if let Some(id) = self.candidate(unit, &mut layer_bucket, trace) {
            ruled_out = self.consider(id, unit, &mut layer_bucket, decision, trace).into();
        }
        units.ruled_out = units.ruled_out.wrapping_add(ruled_out);
    }

    /// The only experiment of the layer that the unit can enter by its bucket.
    #[inline(always)]
    fn candidate(
        &self,
        unit: &UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        trace: &mut impl Trace,
    ) -> Option<ExperimentId> {
        if self.layer.sole.is_some() {
            return self.layer.sole;
        }
        let bucket = self.layer_bucket(unit.value().unwrap_or_default(), trace);
        *layer_bucket = Some(bucket);
        Some(self.layer.owners.at(bucket)?.owner?.experiment)
    }

    /// Adds the experiment to the decision if the unit enters it. Whether the URL alone rules it out.
    #[inline(always)]
    fn consider(
        &self,
        id: ExperimentId,
        unit: &mut UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        decision: &mut Decision,
        trace: &mut impl Trace,
    ) -> bool {
        let Some(experiment) = self.plan.experiment(id) else { return false };
        match self.enter(id, experiment, unit, layer_bucket, trace) {
            // Put together only here: passed on in pieces smaller than a word, it costs more than
            // the hash.
            Ok((variant, bucket)) => {
                let off = self.request.tripped().is_some_and(|tripped| tripped.has(id, variant));
                let withheld = off && variant == experiment.control;
                let (variant, reason) =
                    if off { (experiment.control, Reason::Guardrail) } else { (variant, Reason::Split) };
                let assignment = Assignment {
                    experiment: id,
                    variant,
                    bucket,
                    reason,
                    chain: self.layer.chain,
                    clock_edge: experiment.near_boundary(self.now, self.plan.clock_skew_ms),
                    withheld,
                };
                self.tell(&assignment, trace);
                decision.add(assignment);
                false
            }
            Err((reason, bucket)) => {
                trace.step(not_entered(id, reason, bucket));
                reason == Reason::NotTargeted && experiment.is_for_urls && experiment.can_serve(self.request)
            }
        }
    }

    fn experiments(&self) -> impl Iterator<Item = (ExperimentId, &'p Experiment)> {
        let plan = self.plan;
        self.layer.experiments.iter().filter_map(|id| plan.experiment(*id).map(|e| (*id, e)))
    }

    /// Tells what came out for an experiment, unless a conflict may still keep it out.
    #[inline(always)]
    fn tell(&self, assignment: &Assignment, trace: &mut impl Trace) {
        let is_settled = |experiment: &Experiment| experiment.claims.is_empty();
        if !self.plan.contested || self.plan.experiment(assignment.experiment).is_none_or(is_settled) {
            trace.step(outcome(assignment));
        }
    }

    fn token_override(&self) -> Option<Assignment> {
        let in_layer = |grant: &&Grant| {
            self.plan.experiment(grant.experiment).is_some_and(|experiment| {
                experiment.layer == self.index && experiment.can_serve(self.request)
            })
        };
        let grant = self.grants.iter().find(in_layer)?;
        Some(self.overridden(grant.experiment, grant.variant, Reason::QaToken))
    }

    fn allow_list(&self, unit: &str) -> Option<Assignment> {
        let takes =
            |experiment: &Experiment| experiment.gate != Gate::Closed && experiment.can_serve(self.request);
        self.experiments().filter(|(_, experiment)| takes(experiment)).find_map(|(id, experiment)| {
            let index = experiment.overrides.binary_search_by(|(u, _)| (**u).cmp(unit)).ok()?;
            let (_, variant) = experiment.overrides.get(index)?;
            let applies = experiment.applies_to_somebody(self.request);
            applies.then(|| self.overridden(id, *variant, Reason::Override))
        })
    }

    fn overridden(&self, experiment: ExperimentId, variant: VariantId, reason: Reason) -> Assignment {
        let chain = self.layer.chain;
        Assignment { experiment, variant, bucket: 0, reason, chain, clock_edge: false, withheld: false }
    }

    /// Step 5 of [`Plan::decide`]: the variant and its bucket, or why not and
    /// the last bucket that was computed.
    fn enter(
        &self,
        id: ExperimentId,
        experiment: &Experiment,
        unit: &mut UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        trace: &mut impl Trace,
    ) -> Result<(VariantId, u32), (Reason, Option<u32>)> {
        let out = |reason| Err((reason, None));
        if experiment.gate != Gate::Open {
            return out(Reason::NotRunning);
        }
        if experiment.start.is_some_and(|start| self.now < start) {
            return out(Reason::NotStarted);
        }
        if experiment.end.is_some_and(|end| self.now >= end) {
            return out(Reason::Ended);
        }
        if !self.layer.holdouts.is_empty() && unit.held_out(&self.layer.holdouts, self.plan, trace) {
            return out(Reason::Holdout);
        }
        let value = unit.value().unwrap_or_default();
        if self.layer.sole.is_none() {
            let bucket = *layer_bucket.get_or_insert_with(|| self.layer_bucket(value, trace));
            self.check_traffic(id, experiment, bucket, trace).map_err(|reason| (reason, Some(bucket)))?;
        }
        if !experiment.can_serve(self.request) {
            trace.step(Step::Targeting { experiment: id, eligible: false });
            return Err((Reason::NotTargeted, *layer_bucket));
        }
        if let Some(rule) = &experiment.targeting {
            let eligible = rule.holds(self.request, value);
            trace.step(Step::Targeting { experiment: id, eligible });
            if !eligible {
                return Err((Reason::NotTargeted, *layer_bucket));
            }
        }
        experiment.split.pick(value).map_err(|bucket| (Reason::DialectExcluded, Some(bucket)))
    }

    fn layer_bucket(&self, unit: &str, trace: &mut impl Trace) -> u32 {
        let bucket = self.layer.hash.bucket(unit);
        let owner = self.layer.owners.at(bucket).and_then(|segment| segment.owner);
        let owner = owner.map(|slot| slot.experiment);
        trace.step(Step::Layer { layer: self.index, bucket, owner });
        bucket
    }

    fn check_traffic(
        &self,
        id: ExperimentId,
        experiment: &Experiment,
        bucket: u32,
        trace: &mut impl Trace,
    ) -> Result<(), Reason> {
        let segment = self.layer.owners.at(bucket).ok_or(Reason::OutsideBuckets)?;
        let slot = segment.owner.filter(|slot| slot.experiment == id).ok_or(Reason::OutsideBuckets)?;
        let position = slot.offset.saturating_add(bucket.saturating_sub(segment.start));
        let active = experiment.active_buckets(self.now);
        trace.step(Step::Traffic { experiment: id, position, active, owned: experiment.owned });
        if position < active { Ok(()) } else { Err(Reason::OutsideTraffic) }
    }
}
