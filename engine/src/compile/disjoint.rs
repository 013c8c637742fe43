//! Whether two experiments can meet in one request, as far as their targeting and schedules tell: for
//! warnings. In doubt they can.

use ipnet::IpNet;

use crate::plan::{Experiment, PathRewrite, Plan, When};
use crate::request::{Bounds, Rule, Subject, Test, Text};

/// Whether some request can be in both, while both act as they claim.
pub(crate) fn can_meet(plan: &Plan, one: (&Experiment, When), other: (&Experiment, When)) -> bool {
    let (a, b) = (one.0, other.0);
    let apart = |first: &Experiment, second: &Experiment| {
        first.end.is_some_and(|end| second.start.is_some_and(|start| end <= start))
    };
    if apart(a, b) || apart(b, a) {
        return false;
    }
    let chain = |experiment: &Experiment| plan.layer(experiment.layer).map(|layer| layer.chain);
    let units = chain(a) == chain(b);
    let acting = [acting_on(a, one.1), acting_on(b, other.1)];
    let [first, second] = [(a, &acting[0]), (b, &acting[1])]
        .map(|(experiment, acting)| experiment.targeting.iter().chain(acting).collect::<Vec<&Rule>>());
    !first.iter().any(|rule| second.iter().any(|other| disjoint(rule, other, units)))
}

/// The paths that an experiment acts on, if its rewrites name them.
fn acting_on(experiment: &Experiment, when: When) -> Option<Rule> {
    let mut rules = Vec::new();
    for actions in experiment.variants.iter().map(|variant| &variant.actions) {
        let rewrite = match when {
            When::Always => return None,
            When::Rewrites => actions.path.as_ref(),
            When::Redirects => actions.redirect.as_ref().map(|redirect| &redirect.path),
        };
        match rewrite {
            None => {}
            Some(PathRewrite::Prefix { prefix, .. }) => rules.push(Rule::Value {
                subject: Subject::Path,
                test: Test::PathPrefix(Text { value: prefix.as_bytes().into(), ignore_case: false }),
            }),
            Some(PathRewrite::Regex { .. }) => return None,
        }
    }
    Some(Rule::Any(rules.into()))
}

/// Whether no request holds both. `units`: both ask for the same unit.
fn disjoint(a: &Rule, b: &Rule, units: bool) -> bool {
    match (a, b) {
        (Rule::Any(rules), other) | (other, Rule::Any(rules)) => {
            rules.iter().all(|rule| disjoint(rule, other, units))
        }
        (Rule::All(rules), other) | (other, Rule::All(rules)) => {
            rules.iter().any(|rule| disjoint(rule, other, units))
        }
        (Rule::Not(denied), other) | (other, Rule::Not(denied)) => implies(other, denied, units),
        (Rule::Value { subject: of, test: one }, Rule::Value { subject: also, test: other }) => {
            same(of, also, units) && (never_both(one, other) || never_both(other, one))
        }
        (
            Rule::Address { ranges: one, trusted_hops: a },
            Rule::Address { ranges: other, trusted_hops: b },
        ) => a == b && !one.iter().any(|one| other.iter().any(|other| overlap(one, other))),
        _ => false,
    }
}

/// Whether every request that holds `a` holds `b`.
fn implies(a: &Rule, b: &Rule, units: bool) -> bool {
    match (a, b) {
        (_, Rule::All(rules)) => rules.iter().all(|rule| implies(a, rule, units)),
        (Rule::Any(rules), _) => rules.iter().all(|rule| implies(rule, b, units)),
        (_, Rule::Any(rules)) => rules.iter().any(|rule| implies(a, rule, units)),
        (Rule::All(rules), _) => rules.iter().any(|rule| implies(rule, b, units)),
        (Rule::Not(a), Rule::Not(b)) => implies(b, a, units),
        (Rule::Value { subject: of, test: one }, Rule::Value { subject: also, test: other }) => {
            same(of, also, units)
                && match (one, other) {
                    (_, Test::Exists(true)) => !matches!(one, Test::Exists(false)),
                    (Test::Exists(false), Test::Exists(false)) => true,
                    (Test::PathPrefix(one), Test::PathPrefix(other)) => {
                        exact(one) && other_begins(one, other, true)
                    }
                    (Test::Prefix(one), Test::Prefix(other)) => exact(one) && other_begins(one, other, false),
                    _ => values(one).is_some_and(|all| all.iter().all(|value| holds(other, value))),
                }
        }
        _ => false,
    }
}

/// Whether they read the same value.
fn same(a: &Subject, b: &Subject, units: bool) -> bool {
    match (a, b) {
        (Subject::Method, Subject::Method)
        | (Subject::Path, Subject::Path)
        | (Subject::Host, Subject::Host) => true,
        (Subject::Unit, Subject::Unit) => units,
        (Subject::Header(a), Subject::Header(b))
        | (Subject::Cookie(a), Subject::Cookie(b))
        | (Subject::Query(a), Subject::Query(b)) => a == b,
        (Subject::Attribute(a), Subject::Attribute(b)) => a == b,
        _ => false,
    }
}

fn exact(text: &Text) -> bool {
    !text.ignore_case
}

/// All values for which a test holds, if they can be listed.
fn values(test: &Test) -> Option<Vec<&[u8]>> {
    match test {
        Test::Equals(text) if exact(text) => Some(vec![&text.value]),
        Test::OneOf(texts) if texts.iter().all(exact) => {
            Some(texts.iter().map(|text| &*text.value).collect())
        }
        _ => None,
    }
}

fn holds(test: &Test, value: &[u8]) -> bool {
    test.holds(Some(value))
}

/// Whether `one` begins with `other`, at a segment if so asked.
fn other_begins(one: &Text, other: &Text, segments: bool) -> bool {
    let test = if segments { Test::PathPrefix(other.clone()) } else { Test::Prefix(other.clone()) };
    holds(&test, &one.value)
}

fn never_both(one: &Test, other: &Test) -> bool {
    if let Some(all) = values(one) {
        return !all.iter().any(|value| holds(other, value));
    }
    match (one, other) {
        (Test::Exists(false), _) => !matches!(other, Test::Exists(false)),
        (Test::PathPrefix(a), Test::PathPrefix(b)) => {
            exact(a) && exact(b) && !other_begins(a, b, true) && !other_begins(b, a, true)
        }
        (Test::Prefix(a), Test::Prefix(b)) => {
            exact(a) && exact(b) && !other_begins(a, b, false) && !other_begins(b, a, false)
        }
        (Test::Suffix(a), Test::Suffix(b)) => {
            exact(a) && exact(b) && !a.value.ends_with(&b.value) && !b.value.ends_with(&a.value)
        }
        (Test::Number(a), Test::Number(b)) => below(a, b),
        (Test::Version(a), Test::Version(b)) => below(a, b),
        _ => false,
    }
}

/// Whether everything within `a` is less than everything within `b`.
fn below<T: PartialOrd>(a: &Bounds<T>, b: &Bounds<T>) -> bool {
    let tops = [(&a.eq, true), (&a.lte, true), (&a.lt, false)];
    let bottoms = [(&b.eq, true), (&b.gte, true), (&b.gt, false)];
    tops.iter().any(|(top, reached)| {
        bottoms.iter().any(|(bottom, also)| match (top, bottom) {
            (Some(top), Some(bottom)) => top < bottom || top == bottom && !(*reached && *also),
            _ => false,
        })
    })
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
