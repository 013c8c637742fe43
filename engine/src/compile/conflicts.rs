//! What experiments of different layers act on that only one can have.

#[cfg(feature = "advice")]
use super::compiler::Compiler;
#[cfg(feature = "advice")]
use super::draft::Draft;
use crate::ids::LayerId;
#[cfg(feature = "advice")]
use crate::plan::Plan;
use crate::plan::{Claim, Experiment, HeaderChange, VariantActions, When};

/// Something that a request or response has once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing<'d> {
    Cluster,
    Host,
    Path,
    Shadow,
    /// That the request goes on to an upstream: a redirect takes it from all who act on it.
    Upstream,
    RequestHeader(&'d str),
    ResponseHeader(&'d str),
}

/// Who acts on a thing.
struct Claimant {
    experiment: usize,
    layer: LayerId,
    shared: bool,
    when: When,
}

/// Calls `claim` with everything that a variant acts on, whether that can be shared, and when it acts.
fn claims_of<'d>(actions: &'d VariantActions, claim: &mut impl FnMut(Thing<'d>, bool, When)) {
    for (thing, is_there) in [
        (Thing::Cluster, actions.cluster.is_some()),
        (Thing::Host, actions.host.is_some()),
        (Thing::Shadow, actions.shadow.is_some()),
    ] {
        if is_there {
            claim(thing, false, When::Always);
            claim(Thing::Upstream, true, When::Always);
        }
    }
    if actions.path.is_some() {
        claim(Thing::Path, false, When::Rewrites);
        claim(Thing::Upstream, true, When::Rewrites);
    }
    if actions.redirect.is_some() {
        claim(Thing::Upstream, false, When::Redirects);
    }
    for change in &actions.request_headers {
        let (name, shared) = named(change);
        claim(Thing::RequestHeader(name), shared, When::Always);
        claim(Thing::Upstream, true, When::Always);
    }
    for change in &actions.response_headers {
        let (name, shared) = named(change);
        claim(Thing::ResponseHeader(name), shared, When::Always);
    }
}

/// The header that is changed; values that are added stand beside each other.
fn named(change: &HeaderChange) -> (&str, bool) {
    match change {
        HeaderChange::Set(name, _) | HeaderChange::Remove(name) => (name, false),
        HeaderChange::Add(name, _) => (name, true),
    }
}

/// Every thing that some experiment acts on, and who does, in order of their ids.
fn claimants(experiments: &[Experiment], by_token: bool) -> Vec<(Thing<'_>, Vec<Claimant>)> {
    let mut things: Vec<(Thing<'_>, Vec<Claimant>)> = Vec::new();
    for (index, experiment) in experiments.iter().enumerate().filter(|(_, e)| e.can_be_entered(by_token)) {
        let mut claim = |thing, shared, when| {
            let claimant = Claimant { experiment: index, layer: experiment.layer, shared, when };
            match things.binary_search_by(|(known, _)| known.cmp(&thing)) {
                Err(place) => things.insert(place, (thing, vec![claimant])),
                Ok(place) => {
                    let Some((_, all)) = things.get_mut(place) else { return };
                    let own = all.iter().rev().take_while(|other| other.experiment == index);
                    let known = |other: &Claimant| other.shared == shared && other.when == when;
                    if !own.into_iter().any(known) {
                        all.push(claimant);
                    }
                }
            }
        };
        for variant in &experiment.variants {
            claims_of(&variant.actions, &mut claim);
        }
    }
    things
}

/// Writes down for each experiment what it acts on that one of another layer acts on, too. Whether there is such a thing.
pub(super) fn contest(experiments: &mut [Experiment], by_token: bool) -> bool {
    let mut claims: Vec<Vec<Claim>> = Vec::new();
    claims.resize_with(experiments.len(), Vec::new);
    let mut thing = 0_u16;
    for (_, all) in claimants(experiments, by_token) {
        let layer = all.first().map(|first| first.layer);
        let several = all.iter().any(|other| Some(other.layer) != layer);
        if !several || all.iter().all(|one| one.shared) {
            continue;
        }
        for one in &all {
            if let Some(own) = claims.get_mut(one.experiment) {
                own.push(Claim { thing, shared: one.shared, when: one.when });
            }
        }
        thing = thing.saturating_add(1);
    }
    for (experiment, claims) in experiments.iter_mut().zip(claims) {
        experiment.claims = claims.into();
    }
    thing > 0
}

#[cfg(feature = "advice")]
impl Compiler<'_> {
    /// Warns of experiments that are left out of requests for which another one comes first; `positions` are their
    /// places in the document.
    pub(super) fn warn_of_conflicts(&mut self, plan: &Plan, positions: &[usize]) {
        use super::disjoint::can_meet;
        use splitway_document::{Code, Place, Problem};

        let experiments = &plan.experiments;
        let by_token = plan.tokens.is_some();
        let mut warned: Vec<(usize, usize, Vec<String>)> = Vec::new();
        for (thing, all) in claimants(experiments, by_token) {
            for (place, one) in all.iter().enumerate() {
                for other in all.iter().skip(place.saturating_add(1)) {
                    let (Some(a), Some(b)) =
                        (experiments.get(one.experiment), experiments.get(other.experiment))
                    else {
                        continue;
                    };
                    if one.layer == other.layer || one.shared && other.shared {
                        continue;
                    }
                    // Ids are in order, so of equals the first comes first.
                    let (winner, loser) = if b.priority > a.priority {
                        (other.experiment, one.experiment)
                    } else {
                        (one.experiment, other.experiment)
                    };
                    match warned.iter_mut().find(|(known, ..)| *known == loser) {
                        Some((_, first, things)) if *first == winner => {
                            let name = thing.to_string();
                            if !things.contains(&name) && can_meet(plan, (a, one.when), (b, other.when)) {
                                things.push(name);
                            }
                        }
                        Some(_) => {}
                        None if can_meet(plan, (a, one.when), (b, other.when)) => {
                            warned.push((loser, winner, vec![thing.to_string()]));
                        }
                        None => {}
                    }
                }
            }
        }
        warned.sort_by_key(|(loser, ..)| positions.get(*loser).copied());
        for (loser, winner, things) in warned {
            let (Some(position), Some(winner)) = (positions.get(loser), experiments.get(winner)) else {
                continue;
            };
            let found = format!(
                "`{}` (priority {}) acts on it, too: {}",
                winner.id,
                winner.priority,
                things.join(", ")
            );
            let at = Place::Root.key("experiments");
            let at = at.index(*position);
            let expected = "actions that no experiment of another layer takes for the same requests";
            let problem = Problem::error(at.key("variants").path(), Code::Conflict, expected, &found);
            self.problems.push(problem.warning().suggest(|| {
                format!(
                    "requests in both are only in `{}`; put both into one layer, tell their requests apart by \
                     `targeting`, or choose by `priority`",
                    winner.id
                )
            }));
        }
    }
}

/// Two experiments of different layers that act on the same things, of which a request can have only one.
#[cfg(feature = "advice")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contention {
    /// The one whose id sorts first.
    pub first: crate::ids::ExperimentId,
    /// The other one.
    pub second: crate::ids::ExperimentId,
    /// What both act on: `cluster`, `request header x-checkout`.
    pub things: Vec<String>,
}

#[cfg(feature = "advice")]
impl Plan {
    /// Every pair of experiments that can meet in one request and act on the same thing there. One of the two is
    /// not entered then.
    #[must_use]
    pub fn contentions(&self) -> Vec<Contention> {
        let mut pairs = std::collections::BTreeMap::<(usize, usize), Vec<String>>::new();
        for (thing, all) in claimants(&self.experiments, self.tokens.is_some()) {
            for (place, one) in all.iter().enumerate() {
                for other in all.iter().skip(place.saturating_add(1)) {
                    let found =
                        self.experiments.get(one.experiment).zip(self.experiments.get(other.experiment));
                    let Some((a, b)) = found else { continue };
                    if one.layer == other.layer || one.shared && other.shared {
                        continue;
                    }
                    if super::disjoint::can_meet(self, (a, one.when), (b, other.when)) {
                        let key =
                            (one.experiment.min(other.experiment), one.experiment.max(other.experiment));
                        let things = pairs.entry(key).or_default();
                        let name = thing.to_string();
                        if !things.contains(&name) {
                            things.push(name);
                        }
                    }
                }
            }
        }
        let handle = |index: usize| u16::try_from(index).map(crate::ids::ExperimentId).ok();
        let contention = |((first, second), things)| {
            Some(Contention { first: handle(first)?, second: handle(second)?, things })
        };
        pairs.into_iter().filter_map(contention).collect()
    }
}

#[cfg(feature = "advice")]
impl std::fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Shadow => f.write_str("shadow"),
            Self::Upstream => f.write_str("redirect"),
            Self::RequestHeader(name) => write!(f, "request header {name}"),
            Self::ResponseHeader(name) => write!(f, "response header {name}"),
        }
    }
}

/// The places of the experiments in the document, in order of their ids.
#[cfg(feature = "advice")]
pub(super) fn positions(drafts: &[Draft<'_>]) -> Vec<usize> {
    drafts.iter().map(|draft| draft.position).collect()
}
