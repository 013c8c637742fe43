//! What a controller would refuse, before it is asked: for continuous integration.

use splitway_document::{Code, Document, Path, Problem, Problems};
use splitway_engine::read_wire;

use crate::intent::{Definition, canonical_item};
use crate::policy::Policies;
use crate::react::gates::hopeless;
use crate::rollout::Rollout;
use crate::rules::{Reason, Rule};

/// Everything in a config that compiles which a controller with these policies would refuse: rollouts that mean nothing, and
/// what no waiting will change. What depends on the moment (free buckets, approvals, freezes) is not in it.
#[must_use]
pub fn check(document: &Document, policies: Option<&Policies>) -> Problems {
    let mut problems = Problems::default();
    let config = read_wire(document);
    let ids: Vec<&str> = config.experiments.iter().map(|experiment| experiment.id.as_str()).collect();
    for (index, experiment) in config.experiments.iter().enumerate() {
        let at = Path::default().key("experiments").index(index);
        let rollout = Rollout::read(experiment, &at, &mut problems);
        for (position, other) in rollout.after.iter().enumerate() {
            if !ids.contains(&other.as_str()) {
                let at = at.key("rollout").key("after").index(position);
                let problem =
                    Problem::error(at, Code::UnknownReference, "an experiment of this config", other);
                // It may be in another file, or archived.
                problems.push(problem.warning().suggest_near(other, ids.iter().copied()));
            }
        }
        let Some((policies, text)) = policies.zip(canonical_item(document, index)) else { continue };
        for reason in hopeless(&Definition::new(text), policies) {
            problems.push(as_problem(&at, &reason));
        }
    }
    document.locate_problems(&mut problems);
    problems
}

fn as_problem(at: &Path, reason: &Reason) -> Problem {
    let (expected, rest) = reason.help.split_once("; ").unwrap_or((&reason.help, ""));
    let (expected, found) = expected.split_once(", found ").unwrap_or((expected, "none"));
    let expected = expected.trim_start_matches("expected ");
    let path = match reason.code {
        Rule::LaunchFacts => at.key(&reason.place),
        Rule::BlastRadius => at.key("rollout").key("steps").index(0).key("traffic"),
        _ => at.key("rollout").key("decide").key("at_most"),
    };
    let problem = Problem::error(path, Code::Launch, expected, found);
    if rest.is_empty() { problem } else { problem.suggest(|| rest.to_owned()) }
}
