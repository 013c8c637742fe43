//! The whole config.

use super::experiment::Experiment;
use super::exposure::Exposure;
use super::identity::{Bots, Consent, Mint};
use super::sources::Source;
use super::surroundings::{Neighbours, Propagation, StampFor};
use super::tokens::QaTokens;
#[cfg(feature = "schema")]
use super::values::ID_PATTERN;
use super::values::{Period, Share};
use splitway_document::{Cursor, Entries, Fields, Read};

records! {
    /// A Splitway config.
    pub struct Config {
        /// Version of this format: 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1)))]
        pub version: u32,
        /// Prefix of every salt, so that two teams with the same experiment id do
        /// not get the same split. Default: `splitway`.
        #[cfg_attr(feature = "schema", schemars(extend("pattern" = ID_PATTERN)))]
        pub namespace: Option<String>,
        /// `true` switches every experiment off at once: requests pass untouched.
        pub kill_switch: Option<bool>,
        /// What is randomised: the first source that yields a value wins.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub unit: Vec<Source>,
        /// Gives a unit to browsers that carry none: a random id in a cookie. It is
        /// the last source of `unit`.
        pub mint: Option<Mint>,
        /// Whether units may be used, stored and logged.
        pub consent: Option<Consent>,
        /// Requests that do not come from people (crawlers, monitors, health checks); they are in no
        /// experiment. Default: the built-in list if there is `mint` or a unit is the client's address,
        /// else none.
        pub bots: Option<Bots>,
        /// Keeps shared caches from serving one variant's responses to another's
        /// units (`Vary`, and `private` beside our cookie). Default: true.
        pub cache_safety: Option<bool>,
        /// Who gets the stamp `x-splitway`. Default: `everyone`.
        pub stamp: Option<StampFor>,
        /// Where else the assignments are told.
        pub propagation: Option<Propagation>,
        /// Other Splitways, with other namespaces, that requests pass before or after this
        /// one. Default: none, so this one meets clients.
        pub neighbours: Option<Neighbours>,
        /// Named values that targeting can ask for.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub attributes: Entries<Source>,
        /// Exposures decided this close to a schedule or ramp boundary are marked
        /// `splitway.clock_edge`, because another proxy's clock may have decided
        /// otherwise. Default: 5s.
        pub clock_skew: Option<Period>,
        /// Exposure records: what they say, and where they go.
        pub exposure: Option<Exposure>,
        /// Whether responses by class and durations are counted for each variant: two
        /// more calls of the proxy per request and experiment. Default: false.
        pub service_metrics: Option<bool>,
        /// Signed, expiring tokens with which testers choose a variant.
        pub qa_tokens: Option<QaTokens>,
        /// Units kept out of experiments.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub holdouts: Vec<Holdout>,
        /// Layers: a unit is in at most one experiment of a layer.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub layers: Vec<Layer>,
        /// The experiments.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub experiments: Vec<Experiment>,
    }
}

records! {
    /// Units kept out of experiments, to measure what all of them do together.
    pub struct Holdout {
        /// Its id.
        pub id: String,
        /// Share of all units that is held out.
        pub share: Share,
        /// The layers it holds for. Default: all.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub layers: Vec<String>,
        /// Replaces the salt made of namespace and id.
        pub salt: Option<String>,
    }
}

records! {
    /// A layer.
    pub struct Layer {
        /// Its id.
        pub id: String,
        /// Replaces the salt made of namespace and id.
        pub salt: Option<String>,
    }
}
