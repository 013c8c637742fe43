//! One experiment of the document.

use splitway_document::{ADVICE, Code, Place, Problem, describe_text, prose};

use super::compiler::Compiler;
use super::draft::{Draft, NO_LAYER, TrafficDraft, handle};
use super::values::Parts;
use crate::ids::VariantId;
use crate::order::insert_by;
use crate::plan::{Experiment, Gate, Traffic, Variant};
use crate::request::Rule;
use crate::time::Timestamp;
use crate::wire;

/// Most units in an experiment's allow-lists: they are for testers.
const MAX_OVERRIDES: usize = 1_000;

/// Highest priority, and the one of experiments that state none.
const MAX_PRIORITY: u32 = 1000;
const DEFAULT_PRIORITY: u32 = 50;

impl<'c> Compiler<'c> {
    /// The experiments, ordered by id.
    pub(super) fn experiments(&mut self) -> Vec<Draft<'c>> {
        let config = self.config;
        let mut order: Vec<(usize, &wire::Experiment)> = Vec::with_capacity(config.experiments.len());
        for entry in config.experiments.iter().enumerate() {
            insert_by(&mut order, entry, |(_, a), (_, b)| a.id.cmp(&b.id));
        }
        let list = Place::Root.key("experiments");
        let mut drafts: Vec<Draft<'c>> = Vec::with_capacity(order.len());
        for (rank, (position, experiment)) in order.into_iter().enumerate() {
            let at = list.index(position);
            if let Some(previous) = drafts.last()
                && *previous.experiment.id == *experiment.id
            {
                let found = prose!("`{}` again", experiment.id);
                self.error_in(&at, "id", Code::DuplicateId, "each experiment id once", &found);
            }
            drafts.push(self.experiment(at, rank, position, experiment));
        }
        drafts
    }

    fn experiment(
        &mut self,
        at: Place<'_>,
        rank: usize,
        position: usize,
        experiment: &'c wire::Experiment,
    ) -> Draft<'c> {
        self.experiment_id(at.key("id"), &experiment.id);
        let layer = match &experiment.layer {
            Some(layer) => {
                self.known_layer(at.key("layer"), layer);
                layer
            }
            None => &experiment.id,
        };
        let chain = self.chain(at.key("unit"), &experiment.unit);
        if experiment.unit.is_empty() && self.config.unit.is_empty() && self.config.mint.is_none() {
            let expected = "a unit, here or for the whole document, such as `- cookie: uid`";
            self.error(Place::Root.key("unit"), Code::MissingField, expected, "none");
        }
        let (start, end) = self.schedule(at, experiment);
        let status = experiment.status.unwrap_or(wire::Status::Running);
        let variants = self.variants(at, experiment);
        let split = self.split(at, experiment);
        let targeting = experiment.targeting.as_ref().and_then(|rule| self.rule(at.key("targeting"), rule));
        let stated = if experiment.buckets.is_empty() {
            None
        } else {
            Some(self.ranges(at.key("buckets"), &experiment.buckets).unwrap_or_default())
        };
        let control = variants.iter().zip(&experiment.variants).position(|(_, v)| v.control == Some(true));
        Draft {
            handle: handle(rank),
            position,
            layer,
            chain,
            stated,
            traffic: self.traffic(at, experiment),
            is_over: matches!(status, wire::Status::Completed | wire::Status::RolledBack),
            experiment: Experiment {
                id: experiment.id.as_str().into(),
                layer: NO_LAYER,
                priority: self.priority(at.key("priority"), experiment.priority),
                claims: Box::default(),
                gate: gate(status),
                start,
                end,
                traffic: Traffic::Fixed(0),
                owned: 0,
                redirects: variants.iter().any(|variant| variant.actions.redirect.is_some()),
                is_for_urls: targeting.as_ref().is_some_and(Rule::is_for_urls),
                targeting,
                split,
                control: VariantId(control.and_then(|i| u16::try_from(i).ok()).unwrap_or(0)),
                overrides: self.overrides(at.key("overrides"), experiment, &variants),
                variants: variants.into(),
            },
        }
    }

    /// An experiment's id is a dictionary key in `x-splitway` (RFC 9651, 3.2),
    /// so it begins with a letter.
    fn experiment_id(&mut self, at: Place<'_>, id: &str) {
        self.id(at, id);
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) {
            self.error(at, Code::InvalidValue, "an id that begins with a letter", &describe_text(id));
        }
    }

    fn priority(&mut self, at: Place<'_>, priority: Option<u32>) -> u16 {
        let priority = priority.unwrap_or(DEFAULT_PRIORITY);
        if priority > MAX_PRIORITY {
            self.error(at, Code::OutOfRange, "0 to 1000", &prose!("{priority}"));
        }
        u16::try_from(priority.min(MAX_PRIORITY)).unwrap_or_default()
    }

    fn schedule(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let schedule_at = at.key("schedule");
        let (start, end) = experiment.schedule.as_ref().map_or((None, None), |schedule| {
            let mut time = |name, time: &Option<_>| self.instant(schedule_at.key(name), time.as_ref()?);
            (time("start", &schedule.start), time("end", &schedule.end))
        });
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            let expected = prose!("a time after the start, {start}");
            self.error_in(&schedule_at, "end", Code::Conflict, &expected, &prose!("{end}"));
        }
        if experiment.status == Some(wire::Status::Scheduled) && start.is_none() {
            let expected = "a start, because the status is `scheduled`";
            self.error_in(&schedule_at, "start", Code::MissingField, expected, "nothing");
        }
        (start, end)
    }

    fn traffic(&mut self, at: Place<'_>, experiment: &wire::Experiment) -> TrafficDraft {
        if let Some(share) = &experiment.traffic {
            if !experiment.ramp.is_empty() {
                self.error_in(&at, "ramp", Code::Conflict, "either `traffic` or `ramp`", "both");
            }
            return TrafficDraft::Fixed(self.share(at.key("traffic"), share).unwrap_or(Parts::ALL));
        }
        if experiment.ramp.is_empty() {
            return TrafficDraft::Fixed(Parts::ALL);
        }
        let ramp_at = at.key("ramp");
        let mut steps: Vec<(Timestamp, Parts)> = Vec::with_capacity(experiment.ramp.len());
        for (index, step) in experiment.ramp.iter().enumerate() {
            let at = ramp_at.index(index);
            let time = self.instant(at.key("at"), &step.at);
            let share = self.share(at.key("traffic"), &step.traffic);
            let (Some(time), Some(share)) = (time, share) else { continue };
            if let Some((before, smaller)) = steps.last().copied() {
                if time <= before {
                    let expected = prose!("a time after the step before, {before}");
                    self.error_in(&at, "at", Code::Conflict, &expected, &prose!("{time}"));
                }
                if ADVICE && share < smaller {
                    let problem = Problem::error(
                        at.key("traffic").path(),
                        Code::OutOfRange,
                        "at least as much as the step before",
                        &step.traffic.0,
                    );
                    self.problems
                        .push(problem.warning().suggest(|| "units that were in will leave".to_owned()));
                }
            }
            steps.push((time, share));
        }
        TrafficDraft::Ramp(steps)
    }

    fn overrides(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        variants: &[Variant],
    ) -> Box<[(Box<str>, VariantId)]> {
        let mut all: Vec<(Box<str>, VariantId)> = Vec::new();
        for (name, units) in experiment.overrides.iter() {
            let index = variants.iter().position(|variant| *variant.id == *name);
            let Some(variant) = index.and_then(|index| u16::try_from(index).ok()) else {
                let ids = variants.iter().map(|variant| &*variant.id);
                let problem = Problem::error(
                    at.key(name).path(),
                    Code::UnknownReference,
                    "a variant of this experiment",
                    &describe_text(name),
                );
                self.problems.push(problem.about(name).suggest_near(name, ids));
                continue;
            };
            let list = at.key(name);
            for (i, unit) in units.iter().enumerate() {
                if all.len() > MAX_OVERRIDES {
                    break;
                }
                let Some(unit) = self.text(list.index(i), unit) else { continue };
                match all.binary_search_by(|(known, _)| known.cmp(&unit)) {
                    Err(position) => all.insert(position, (unit, VariantId(variant))),
                    Ok(position) => {
                        if all.get(position).is_some_and(|(_, other)| other.0 != variant) {
                            let found = prose!("{} under two", describe_text(&unit));
                            let expected = "each unit under one variant";
                            self.error(list.index(i), Code::Conflict, expected, &found);
                        }
                    }
                }
            }
        }
        self.limit(at, "units", all.len(), MAX_OVERRIDES);
        all.into()
    }
}

fn gate(status: wire::Status) -> Gate {
    match status {
        wire::Status::Running | wire::Status::Scheduled => Gate::Open,
        wire::Status::Draft => Gate::OverridesOnly,
        wire::Status::Paused | wire::Status::Completed | wire::Status::RolledBack => Gate::Closed,
    }
}
