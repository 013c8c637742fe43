//! The rules of the house: `policies.yaml`.

use splitway_document::{
    Code, Cursor, Document, Path, Problem, Problems, Read, describe_number, parse_duration, read,
};

use crate::intent::hash_of;
use crate::rollout::share;
use crate::time::Time;

/// Structs that are read field by field.
macro_rules! records {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)* }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                let fields = at.fields(&[$(stringify!($field)),*]);
                Self { $($field: fields.read(stringify!($field)),)* }
            }
        }
    )*};
}

records! {
    /// Policies as they are written.
    pub(crate) struct Written {
        pub(crate) version: u32,
        pub(crate) concurrency: Option<Concurrency>,
        pub(crate) launch: Option<Launch>,
        pub(crate) approvals: Option<Approvals>,
        pub(crate) blast_radius: Option<BlastRadius>,
        pub(crate) freeze: Vec<FreezeWritten>,
        pub(crate) budgets: Vec<Budget>,
        pub(crate) feasibility: Option<Feasibility>,
        pub(crate) hygiene: Option<HygieneWritten>,
        pub(crate) delivery: Option<Delivery>,
        pub(crate) breach: Option<Breach>,
    }

    /// How many experiments may run at once.
    pub(crate) struct Concurrency {
        pub(crate) total: Option<u32>,
        pub(crate) per_team: Option<u32>,
        pub(crate) per_layer: Option<u32>,
        pub(crate) queued: Option<u32>,
    }

    /// What must be known of an experiment before it starts.
    pub(crate) struct Launch {
        pub(crate) facts: Vec<String>,
    }

    /// What needs approvals, beyond what a rollout asks for.
    pub(crate) struct Approvals {
        pub(crate) start: Option<u32>,
        pub(crate) ship: Option<u32>,
        pub(crate) above: Option<String>,
        pub(crate) step: Option<u32>,
    }

    /// How many units may be at risk.
    pub(crate) struct BlastRadius {
        pub(crate) first_step: Option<String>,
        pub(crate) at_risk: Option<String>,
    }

    /// A time in which nothing starts or grows.
    pub(crate) struct FreezeWritten {
        pub(crate) from: String,
        pub(crate) to: String,
        pub(crate) reason: String,
        pub(crate) team: Option<String>,
    }

    /// An error budget.
    pub struct Budget {
        /// Its name.
        pub name: String,
        /// The Prometheus query of its burn rate.
        pub query: String,
        /// The burn rate above which nothing starts. Default: 1.5.
        pub block: Option<f64>,
        /// The burn rate above which ramps hold and are rolled back. Default: 2.
        pub hold: Option<f64>,
        /// The burn rate above which somebody is paged. Default: 4.
        pub page: Option<f64>,
    }

    /// Whether an experiment can be decided in time.
    pub(crate) struct Feasibility {
        pub(crate) units_per_day: Option<u64>,
        pub(crate) deviation: Option<f64>,
    }

    /// What is forgotten.
    pub(crate) struct HygieneWritten {
        pub(crate) undecided: Option<String>,
        pub(crate) cleanup: Option<String>,
        pub(crate) paused: Option<String>,
    }

    /// When a delivery is late.
    pub(crate) struct Delivery {
        pub(crate) within: Option<String>,
    }

    /// When a difference is a breach.
    pub(crate) struct Breach {
        pub(crate) alpha: Option<f64>,
        pub(crate) min_bad: Option<u64>,
    }
}

/// A time in which nothing starts or grows. Rollbacks and kills go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its first moment.
    pub from: Time,
    /// The moment after its last.
    pub to: Time,
    /// Why.
    pub reason: String,
    /// The team that it is for; everyone if absent.
    pub team: Option<String>,
}

/// The rules of the house, with meaning. The default holds back nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// As canonical JSON.
    pub(crate) text: String,
    /// Their content hash.
    pub(crate) hash: String,
    /// Most experiments that run at once.
    pub total: Option<u32>,
    /// Most of one team.
    pub per_team: Option<u32>,
    /// Most of one layer.
    pub per_layer: Option<u32>,
    /// Most that may wait in the queue.
    pub queued: Option<u32>,
    /// Registry facts that a start needs, by the names of their fields.
    pub facts: Vec<String>,
    /// Approvals that every start needs.
    pub start_approvals: u32,
    /// Approvals that shipping needs.
    pub ship_approvals: u32,
    /// Approvals that a step needs whose traffic is above [`Self::large_step`].
    pub step_approvals: u32,
    /// Traffic in ten thousandths above which a step needs approvals.
    pub large_step: u32,
    /// Most traffic of a first step, in ten thousandths.
    pub first_step: u32,
    /// Most units that may be at risk at once, in ten thousandths of all units.
    pub at_risk: u32,
    /// When nothing starts or grows.
    pub freezes: Vec<Freeze>,
    /// Error budgets.
    pub budgets: Vec<Budget>,
    /// Units that come by in a day.
    pub units_per_day: Option<u64>,
    /// Standard deviation of a metric for which only an absolute effect is known.
    pub deviation: f64,
    /// An experiment is stale when it runs undecided for longer than this, in milliseconds.
    pub undecided: u64,
    /// A shipped experiment is stale when it is still served after this, in milliseconds.
    pub cleanup: u64,
    /// A paused experiment is rolled back after this, in milliseconds.
    pub paused: u64,
    /// A document that is not in force everywhere after this, in milliseconds, is reported.
    pub deliver_within: u64,
    /// How likely it may be that a variant is taken for harmful which is not.
    pub alpha: f64,
    /// Bad units of a variant before it can be taken for harmful.
    pub min_bad: u64,
}

const DAY: u64 = 86_400_000;

/// Registry facts that `launch.facts` can name.
pub(crate) const FACTS: &[&str] = &[
    "owner",
    "team",
    "hypothesis",
    "metrics",
    "guardrails",
    "on_call",
    "runbook",
    "rollback_contact",
    "analysis",
    "rollout",
];

impl Default for Policies {
    fn default() -> Self {
        let text = r#"{"version":1}"#.to_owned();
        Self {
            hash: hash_of(&text),
            text,
            total: None,
            per_team: None,
            per_layer: None,
            queued: None,
            facts: Vec::new(),
            start_approvals: 0,
            ship_approvals: 1,
            step_approvals: 0,
            large_step: 10_000,
            first_step: 10_000,
            at_risk: u32::MAX,
            freezes: Vec::new(),
            budgets: Vec::new(),
            units_per_day: None,
            deviation: 1.0,
            undecided: 60 * DAY,
            cleanup: 30 * DAY,
            paused: 30 * DAY,
            deliver_within: 10_000,
            alpha: 0.001,
            min_bad: 10,
        }
    }
}

impl Policies {
    /// Reads policies in YAML or JSON.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        Self::new(&Document::from_yaml(text)?)
    }

    /// Reads policies that were stored in an event.
    pub(crate) fn of_event(text: &str) -> Option<Self> {
        Self::new(&Document::from_json(text.as_bytes()).ok()?).ok()
    }

    /// Gives a document of policies its meaning.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(document: &Document) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let written: Written = read(document, &mut problems);
        let mut reader = Reader { problems: &mut problems };
        let policies = reader.policies(written, document.to_json());
        document.locate_problems(&mut problems);
        if problems.has_errors() { Err(problems) } else { Ok(policies) }
    }

    /// Their content hash.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The level of a burn rate: 0 is fine, 1 blocks starts, 2 holds ramps and rolls back, 3 pages. `None` for a budget
    /// that is not known and a rate that is not a number.
    #[must_use]
    pub fn level(&self, budget: &str, rate: f64) -> Option<u8> {
        let budget = self.budgets.iter().find(|known| known.name == budget)?;
        if !rate.is_finite() {
            return None;
        }
        let above = |limit: Option<f64>, default: f64| u8::from(rate > limit.unwrap_or(default));
        let levels = [above(budget.block, 1.5), above(budget.hold, 2.0), above(budget.page, 4.0)];
        Some((1_u8..).zip(levels).filter(|(_, is)| *is == 1).map(|(level, _)| level).max().unwrap_or(0))
    }
}

struct Reader<'p> {
    problems: &'p mut Problems,
}

impl Reader<'_> {
    fn error(&mut self, path: Path, expected: &str, found: &str) {
        self.problems.push(Problem::error(path, Code::InvalidValue, expected, found));
    }

    fn policies(&mut self, written: Written, text: String) -> Policies {
        let root = Path::default();
        let default = Policies::default();
        if written.version != 1 {
            self.error(root.key("version"), "1", &written.version.to_string());
        }
        let concurrency = written.concurrency.unwrap_or_default();
        let approvals = written.approvals.unwrap_or_default();
        let radius = written.blast_radius.unwrap_or_default();
        let feasibility = written.feasibility.unwrap_or_default();
        let hygiene = written.hygiene.unwrap_or_default();
        let breach = written.breach.unwrap_or_default();
        let facts = written.launch.unwrap_or_default().facts;
        for (index, fact) in facts.iter().enumerate().filter(|(_, fact)| !FACTS.contains(&fact.as_str())) {
            let at = root.key("launch").key("facts").index(index);
            let problem = Problem::error(at, Code::UnknownReference, &FACTS.join(", "), fact);
            self.problems.push(problem.suggest_near(fact, FACTS.iter().copied()));
        }
        let at = root.key("approvals");
        let large_step = self.share(at.key("above"), approvals.above.as_deref(), default.large_step);
        let at = root.key("blast_radius");
        let first_step = self.share(at.key("first_step"), radius.first_step.as_deref(), default.first_step);
        let at_risk = self.share(at.key("at_risk"), radius.at_risk.as_deref(), default.at_risk);
        let freezes = written.freeze.into_iter().enumerate();
        let freezes =
            freezes.filter_map(|(index, freeze)| self.freeze(&root.key("freeze").index(index), freeze));
        let freezes = freezes.collect();
        for (index, budget) in written.budgets.iter().enumerate() {
            let at = root.key("budgets").index(index);
            for (name, limit) in [("block", budget.block), ("hold", budget.hold), ("page", budget.page)] {
                if let Some(limit) = limit.filter(|limit| *limit <= 0.0) {
                    self.error(at.key(name), "a burn rate above 0", &describe_number(limit));
                }
            }
            if written.budgets.iter().take(index).any(|other| other.name == budget.name) {
                self.error(at.key("name"), "each budget once", &format!("`{}` again", budget.name));
            }
        }
        let at = root.key("hygiene");
        let undecided = self.period(at.key("undecided"), hygiene.undecided.as_deref(), default.undecided);
        let cleanup = self.period(at.key("cleanup"), hygiene.cleanup.as_deref(), default.cleanup);
        let paused = self.period(at.key("paused"), hygiene.paused.as_deref(), default.paused);
        let within = written.delivery.unwrap_or_default().within;
        let deliver_within =
            self.period(root.key("delivery").key("within"), within.as_deref(), default.deliver_within);
        let alpha = breach.alpha.unwrap_or(default.alpha);
        if !(alpha > 0.0 && alpha <= 0.1) {
            self.error(
                root.key("breach").key("alpha"),
                "more than 0 and at most 0.1",
                &describe_number(alpha),
            );
        }
        let deviation = feasibility.deviation.unwrap_or(default.deviation);
        if deviation <= 0.0 {
            self.error(root.key("feasibility").key("deviation"), "more than 0", &describe_number(deviation));
        }
        Policies {
            hash: hash_of(&text),
            text,
            total: concurrency.total,
            per_team: concurrency.per_team,
            per_layer: concurrency.per_layer,
            queued: concurrency.queued,
            facts,
            start_approvals: approvals.start.unwrap_or(default.start_approvals),
            ship_approvals: approvals.ship.unwrap_or(default.ship_approvals),
            step_approvals: approvals.step.unwrap_or(default.step_approvals),
            large_step,
            first_step,
            at_risk,
            freezes,
            budgets: written.budgets,
            units_per_day: feasibility.units_per_day,
            deviation,
            undecided,
            cleanup,
            paused,
            deliver_within,
            alpha,
            min_bad: breach.min_bad.unwrap_or(default.min_bad),
        }
    }

    fn share(&mut self, at: Path, written: Option<&str>, default: u32) -> u32 {
        let Some(written) = written else { return default };
        share(written).unwrap_or_else(|| {
            self.error(at, "a share such as 25%", written);
            default
        })
    }

    fn period(&mut self, at: Path, written: Option<&str>, default: u64) -> u64 {
        let Some(written) = written else { return default };
        parse_duration(written).unwrap_or_else(|| {
            self.error(at, "a duration such as 30d", written);
            default
        })
    }

    fn freeze(&mut self, at: &Path, written: FreezeWritten) -> Option<Freeze> {
        let mut time = |name: &str, text: &str| {
            let time = Time::parse(text);
            if time.is_none() {
                self.error(at.key(name), "a time such as 2026-12-20T00:00:00Z", text);
            }
            time
        };
        let (from, to) = (time("from", &written.from)?, time("to", &written.to)?);
        if to <= from {
            self.error(at.key("to"), "a time after `from`", &written.to);
        }
        Some(Freeze { from, to, reason: written.reason, team: written.team })
    }
}
