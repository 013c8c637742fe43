//! Experiments.

use super::bucketing::Bucketing;
use super::guardrail::Guardrail;
use super::rollout::Rollout;
use super::sources::Source;
use super::surroundings::StampFor;
use super::targeting::Rule;
use super::values::{Fact, Instant, Share};
use super::variant::Variant;
use splitway_document::{Cursor, Entries, Fields, Read};

records! {
    /// An experiment.
    pub struct Experiment {
        /// Its id; begins with a letter. Never reuse one for a rerun.
        #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[a-z][a-z0-9_-]{0,63}$")))]
        pub id: String,
        /// The layer it belongs to. Default: one of its own, named like it.
        pub layer: Option<String>,
        /// Which experiment is entered where two of different layers act on the same thing (cluster, host, path,
        /// redirect, shadow or a header) for one request: the one with the higher number, and of equal ones that
        /// whose id sorts first. The other is not entered, in none of its variants. 0 to 1000. Default: 50.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1000)))]
        pub priority: Option<u32>,
        /// Where it is in its life. Default: `running`.
        pub status: Option<Status>,
        /// When it takes units.
        pub schedule: Option<Schedule>,
        /// Share of the buckets it owns that is active. Default: 100%.
        pub traffic: Option<Share>,
        /// The same as `traffic`, growing by time.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ramp: Vec<RampStep>,
        /// The layer's buckets it owns, as inclusive ranges of 0 to 9999. Needed
        /// where several experiments share a layer; alone, it owns all.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub buckets: Vec<[u32; 2]>,
        /// Another unit than the document's.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub unit: Vec<Source>,
        /// Which requests are eligible. Default: all.
        pub targeting: Option<Rule>,
        /// Whose bucketing arithmetic. Default: Splitway's own.
        pub bucketing: Option<Bucketing>,
        /// The variants; the first is the control unless one is marked.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        #[cfg_attr(feature = "schema", schemars(default))]
        pub variants: Vec<Variant>,
        /// Who gets its part of the stamp. Default: as the document has it.
        pub stamp: Option<StampFor>,
        /// Units that always get a given variant: `{ one-step: [tester-1] }`. What `targeting` says of path, query,
        /// host and method must hold for them, too; the rest of it need not.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub overrides: Entries<Vec<String>>,
        /// What the proxies themselves watch: a variant that does harm gets the
        /// control's treatment until the experiment changes or was paused.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub guardrails: Vec<Guardrail>,

        /// Name for people.
        pub name: Fact<String>,
        /// What it is about.
        pub description: Fact<String>,
        /// Who answers for it.
        pub owner: Fact<String>,
        /// The owner's team.
        pub team: Fact<String>,
        /// What is expected to happen, and why.
        pub hypothesis: Fact<String>,
        /// What it is judged by.
        pub metrics: Fact<Metrics>,
        /// How it will be analysed.
        pub analysis: Fact<Analysis>,
        /// Who is called when it does harm.
        pub on_call: Fact<String>,
        /// Where it is written what to do then: a link.
        pub runbook: Fact<String>,
        /// Who is asked before, or informed after, it is rolled back.
        pub rollback_contact: Fact<String>,
        /// How a controller carries it through its life. A proxy ignores it.
        pub rollout: Fact<Rollout>,
    }
}

words! {
    /// Where an experiment is in its life.
    pub enum Status {
        /// Not launched: only overrides enter.
        Draft = "draft",
        /// Takes units from `schedule.start` on.
        Scheduled = "scheduled",
        /// Takes units, inside its schedule if it has one.
        Running = "running",
        /// Takes none for now.
        Paused = "paused",
        /// Over.
        Completed = "completed",
        /// Stopped because it did harm: the kill switch of one experiment.
        RolledBack = "rolled_back",
    }
}

records! {
    /// When an experiment takes units.
    pub struct Schedule {
        /// First moment (inclusive).
        pub start: Option<Instant>,
        /// Last moment (exclusive).
        pub end: Option<Instant>,
    }
}

records! {
    /// From `at` on, `traffic` of the owned buckets are active.
    pub struct RampStep {
        /// When the step begins (inclusive).
        pub at: Instant,
        /// Active share from then on.
        pub traffic: Share,
    }
}

records! {
    /// What an experiment is judged by.
    pub struct Metrics {
        /// The metric that decides.
        pub primary: Option<String>,
        /// Metrics that are looked at.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub secondary: Vec<String>,
        /// Metrics that must not get worse.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub guardrails: Vec<String>,
        /// Those of which less is better. Known to be: `http_5xx_rate`, `latency_mean`, `latency_p95` and other
        /// quantiles.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub lower_is_better: Vec<String>,
        /// Those of which more is better; assumed of `primary` and `secondary` metrics, never of guardrails.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub higher_is_better: Vec<String>,
    }
}

records! {
    /// How an experiment will be analysed.
    pub struct Analysis {
        /// Significance level. Default: 0.05.
        pub alpha: Option<f64>,
        /// Power. Default: 0.8.
        pub power: Option<f64>,
        /// Smallest effect worth finding, absolute. Without it nothing says that a change is too small to be worth having.
        pub minimum_detectable_effect: Option<f64>,
        /// Fewest units an arm. Default: 10,000.
        pub min_units_per_arm: Option<u64>,
        /// How much worse a guardrail may get, absolute, by metric: it holds once more than that is ruled out. One
        /// without a margin holds while nothing shows that it got worse.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub non_inferiority_margins: Entries<f64>,
    }
}
