//! Guardrails.

use splitway_document::{Code, Place, prose};

use super::compiler::Compiler;
use super::draft::handle;
use super::limits::MAX_GUARDRAILS;
use super::values::Parts;
use crate::digest::digest_of_guardrail;
use crate::guardrail::{Guardrail, Metric, SLOTS};
use crate::ids::VariantId;
use crate::order::insert_by;
use crate::plan::Experiment;
use crate::wire;

const DEFAULT_ALPHA: f64 = 0.001;
/// Distinct units with a bad exchange before a variant can trip.
const DEFAULT_BAD_UNITS: u32 = 10;
/// Milliseconds after which a client that leaves without a response is evidence: longer than it takes to type on or to
/// click elsewhere, shorter than the time-outs of most clients.
const ABANDONED_AFTER_MS: u64 = 500;
/// Units that all guardrails keep together, by experiment and variant: 6 bytes each.
const MAX_UNITS: usize = 32_768;
/// Fewest and most units that one guardrail keeps of a variant.
const UNITS: std::ops::RangeInclusive<usize> = 64..=4_096;

impl Compiler<'_> {
    /// All guardrails, in order of `experiments`, which are in order of their ids.
    pub(super) fn guardrails(&mut self, experiments: &[Experiment]) -> Box<[Guardrail]> {
        let config = self.config;
        let mut all = Vec::new();
        let mut arms = 0_usize;
        let list = Place::Root.key("experiments");
        for (position, written) in config.experiments.iter().enumerate() {
            let index = experiments.binary_search_by(|known| (*known.id).cmp(&written.id));
            let Some(id) = index.ok().map(handle) else { continue };
            let at = list.index(position);
            let guardrails_at = at.key("guardrails");
            for (index, guardrail) in written.guardrails.iter().enumerate() {
                let guardrail = self.guardrail(guardrails_at.index(index), guardrail, written);
                if let Some(guardrail) = guardrail {
                    let digest = digest_of_guardrail(self.document, position, index);
                    let guarded = experiments.get(id.index());
                    let shares = guarded.map(Experiment::shares).unwrap_or_default().into();
                    let control = guarded.map_or(VariantId(0), Experiment::control);
                    let guardrail = Guardrail { experiment: id, control, digest, shares, ..guardrail };
                    insert_by(&mut all, guardrail, |a, b| a.experiment.cmp(&b.experiment));
                    arms = arms.saturating_add(written.variants.len());
                }
            }
        }
        self.limit(list, "guardrails", all.len(), MAX_GUARDRAILS);
        let capacity = MAX_UNITS.checked_div(arms).unwrap_or(0).clamp(*UNITS.start(), *UNITS.end());
        all.iter_mut().for_each(|guardrail| guardrail.capacity = capacity);
        all.into()
    }

    fn guardrail(
        &mut self,
        at: Place<'_>,
        guardrail: &wire::Guardrail,
        experiment: &wire::Experiment,
    ) -> Option<Guardrail> {
        let metric = match (guardrail.metric, &guardrail.slower_than) {
            (wire::GuardrailMetric::Latency, Some(period)) => {
                Metric::SlowerThan(self.period(at.key("slower_than"), Some(period), 0))
            }
            (wire::GuardrailMetric::Latency, None) => {
                let expected = "a duration such as 30s";
                self.error_in(&at, "slower_than", Code::MissingField, expected, "nothing");
                return None;
            }
            (wire::GuardrailMetric::Http5xxRate, None) => {
                let period = guardrail.abandoned_after.as_ref();
                let abandoned_after = self.period(at.key("abandoned_after"), period, ABANDONED_AFTER_MS);
                Metric::ServerErrors { abandoned_after }
            }
            (wire::GuardrailMetric::Http5xxRate, Some(_)) => {
                let found = "`http_5xx_rate`";
                self.error_in(&at, "slower_than", Code::Conflict, "`metric: latency`", found);
                return None;
            }
        };
        if guardrail.metric == wire::GuardrailMetric::Latency && guardrail.abandoned_after.is_some() {
            self.error_in(&at, "abandoned_after", Code::Conflict, "`metric: http_5xx_rate`", "`latency`");
        }
        let max = guardrail.max.as_ref().and_then(|share| self.share(at.key("max"), share));
        let increase = guardrail.max_increase.as_ref();
        let increase = increase.and_then(|share| self.share(at.key("max_increase"), share));
        if experiment.variants.len() == 1 && guardrail.max.is_none() {
            let expected = "a limit, without a control";
            self.error_in(&at, "max", Code::MissingField, expected, "nothing");
        }
        let min_requests = guardrail.min_requests.unwrap_or(500);
        if min_requests == 0 {
            self.error_in(&at, "min_requests", Code::OutOfRange, "at least 1", "0");
        }
        let min_bad_units = guardrail.min_bad_units.unwrap_or(DEFAULT_BAD_UNITS);
        if !(1..=64).contains(&min_bad_units) {
            self.error_in(&at, "min_bad_units", Code::OutOfRange, "1 to 64", &prose!("{min_bad_units}"));
        }
        let window = self.period(at.key("window"), guardrail.window.as_ref(), 60_000);
        if !(6_000..=3_600_000).contains(&window) {
            let found = guardrail.window.as_ref().map_or("", |period| &period.0);
            self.error_in(&at, "window", Code::OutOfRange, "6s to 1h", found);
        }
        let alpha = guardrail.alpha.unwrap_or(DEFAULT_ALPHA);
        if !(alpha > 0.0 && alpha <= 0.1) {
            self.error_in(&at, "alpha", Code::OutOfRange, "above 0, at most 0.1", "not");
        }
        let compares = guardrail.max_increase.is_some() || guardrail.max.is_none();
        let max_increase = compares.then(|| increase.map_or(0.0, Parts::fraction));
        let tests = if compares && max.is_some() { 2.0 } else { 1.0 };
        Some(Guardrail {
            experiment: handle(0),
            digest: 0,
            metric,
            max_increase,
            max: max.map(Parts::fraction),
            min_requests,
            min_bad_units,
            capacity: 0,
            control: VariantId(0),
            shares: Box::default(),
            slot_ms: i64::try_from(window).ok()?.checked_div(SLOTS as i64)?,
            enough: (tests * SLOTS as f64 / alpha).ln(),
            enforces: guardrail.action != Some(wire::GuardrailAction::Observe),
        })
    }
}
