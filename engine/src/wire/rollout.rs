//! How a controller carries an experiment through its life.

use super::values::{Period, Share};
use splitway_document::{Cursor, Fields, Read};

records! {
    /// How a controller carries an experiment through its life.
    pub struct Rollout {
        /// Experiments that must have ended before this one starts.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub after: Vec<String>,
        /// The steps, in order. Default: one step with the experiment's own traffic.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub steps: Vec<RolloutStep>,
        /// Share of the layer's buckets that the controller allocates where `buckets` is absent. Default: all of them.
        pub share: Option<Share>,
        /// What happens when a variant does harm. Default: `rollback`.
        pub on_breach: Option<OnBreach>,
        /// When and how it ends.
        pub decide: Option<Decide>,
    }

    /// A step of a rollout.
    pub struct RolloutStep {
        /// Share of the experiment's buckets that is active.
        pub traffic: Share,
        /// How long the step lasts at least. Default: 0s.
        pub hold: Option<Period>,
        /// What must be seen before the next step.
        pub until: Option<Until>,
        /// Approvals that the step needs before it begins. Default: 0.
        #[cfg_attr(feature = "schema", schemars(range(max = 10)))]
        pub approvals: Option<u32>,
    }

    /// What must be seen before a step ends.
    pub struct Until {
        /// Units in every variant.
        pub units_per_arm: Option<u64>,
    }

    /// When and how an experiment ends.
    pub struct Decide {
        /// It is stopped when it is undecided this long after its start.
        pub at_most: Option<Period>,
        /// Who ships a variant that won. Default: `approval`.
        pub ship: Option<Ship>,
        /// What happens when the verdict is not to ship. Default: `rollback`.
        pub otherwise: Option<OnBreach>,
    }
}

words! {
    /// What happens to an experiment that does harm.
    pub enum OnBreach {
        /// It is rolled back, for good.
        Rollback = "rollback",
        /// It takes no units until a person resumes it.
        Pause = "pause",
    }
}

words! {
    /// Who ships a variant that won.
    pub enum Ship {
        /// A person approves it.
        Approval = "approval",
        /// The controller ships it at once.
        Automatic = "automatic",
    }
}
