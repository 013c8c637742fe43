//! The config as it is written: one struct per mapping, no meaning yet.
//!
//! [`crate::compile`] gives it meaning; nothing else reads these types. The
//! JSON Schema is generated from them, so their docs are what an editor shows.
//! Required fields are plain, optional ones are `Option`, `Vec` or map (what
//! `document::read` relies on).

use std::collections::BTreeMap;

use serde::Deserialize;

/// A Splitway config.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
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
    #[serde(default)]
    pub unit: Vec<Source>,
    /// Named values that targeting can ask for.
    #[serde(default)]
    pub attributes: BTreeMap<String, Source>,
    /// Exposures decided this close to a schedule or ramp boundary are marked
    /// `splitway.clock_edge`, because another proxy's clock may have decided
    /// otherwise. Default: 5s.
    pub clock_skew: Option<Period>,
    /// What an exposure record says about the unit.
    pub exposure: Option<Exposure>,
    /// Signed, expiring tokens with which testers choose a variant.
    pub qa_tokens: Option<QaTokens>,
    /// Units kept out of experiments.
    #[serde(default)]
    pub holdouts: Vec<Holdout>,
    /// Layers: a unit is in at most one experiment of a layer.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// The experiments.
    #[serde(default)]
    pub experiments: Vec<Experiment>,
}

/// Pattern of ids: they travel in headers, metrics and logs unescaped.
#[cfg(feature = "schema")]
const ID_PATTERN: &str = "^[a-z0-9_-]{1,64}$";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A request header.
    Header(String),
    /// A cookie, its value as sent (no decoding).
    Cookie(String),
    /// A query parameter, percent-decoded.
    Query(String),
    /// A claim of a JWT payload that the proxy has already verified and put
    /// into a header (base64url JSON, as Envoy's `forward_payload_header`).
    JwtClaim(JwtClaim),
    /// The client's address, from `x-forwarded-for`.
    ClientAddress(ClientAddress),
}

/// A claim of a verified JWT payload header.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JwtClaim {
    /// The header that holds the payload.
    pub header: String,
    /// The claim: a string or a whole number.
    pub claim: String,
}

/// The client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientAddress {
    /// Proxies in front of this one that append to `x-forwarded-for`. 0: the
    /// last entry (the peer, which this proxy appended); 1: the one before.
    pub trusted_hops: Option<u8>,
}

/// A percentage, such as `25%` or `0.5%`: up to four decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share(
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$")))]
    pub String,
);

/// A time in RFC 3339, such as `2026-11-20T00:00:00Z`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instant(#[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))] pub String);

/// A duration, such as `30s`, `15m` or `12h`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Period(pub String);

/// Units kept out of experiments, to measure what all of them do together.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// Its id.
    pub id: String,
    /// Share of all units that is held out.
    pub share: Share,
    /// The layers it holds for. Default: all.
    #[serde(default)]
    pub layers: Vec<String>,
    /// Replaces the salt made of namespace and id.
    pub salt: Option<String>,
}

/// A layer.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its id.
    pub id: String,
    /// Replaces the salt made of namespace and id.
    pub salt: Option<String>,
}

/// What exposure records say about the unit.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// How `feature_flag.context.id` shows the unit. Default: `pseudonym`.
    pub unit: Option<UnitForm>,
    /// Key of the pseudonym (HMAC-SHA-256). Without one the namespace is the
    /// key, which anyone with a list of ids can undo.
    pub key: Option<String>,
}

/// How a unit appears in exposures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnitForm {
    /// First 128 bits of HMAC-SHA-256(key, unit), in hex.
    #[default]
    Pseudonym,
    /// As it is: only where the id is not personal data.
    Raw,
    /// Not at all.
    None,
}

/// Where QA tokens are looked for, and the keys that sign them.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QaTokens {
    /// Request header that carries a token.
    pub header: Option<String>,
    /// Cookie that carries a token.
    pub cookie: Option<String>,
    /// Query parameter that carries a token.
    pub query: Option<String>,
    /// One key, or two while they are being rotated.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2)))]
    #[serde(default)]
    pub keys: Vec<QaKey>,
}

/// A signing key of QA tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QaKey {
    /// Key id, named in each token.
    pub id: String,
    /// At least 32 characters, random.
    pub secret: String,
}

/// An experiment.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its id; begins with a letter. Never reuse one for a rerun.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[a-z][a-z0-9_-]{0,63}$")))]
    pub id: String,
    /// The layer it belongs to. Default: one of its own, named like it.
    pub layer: Option<String>,
    /// Where it is in its life. Default: `running`.
    pub status: Option<Status>,
    /// When it takes units.
    pub schedule: Option<Schedule>,
    /// Share of the buckets it owns that is active. Default: 100%.
    pub traffic: Option<Share>,
    /// The same as `traffic`, growing by time.
    #[serde(default)]
    pub ramp: Vec<RampStep>,
    /// The layer's buckets it owns, as inclusive ranges of 0 to 9999. Needed
    /// where several experiments share a layer; alone, it owns all.
    #[serde(default)]
    pub buckets: Vec<[u32; 2]>,
    /// Another unit than the document's.
    #[serde(default)]
    pub unit: Vec<Source>,
    /// Which requests are eligible. Default: all.
    pub targeting: Option<Rule>,
    /// Whose bucketing arithmetic. Default: Splitway's own.
    pub bucketing: Option<Bucketing>,
    /// The variants; the first is the control unless one is marked.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Units that always get a given variant: `{ one-step: [tester-1] }`.
    #[serde(default)]
    pub overrides: BTreeMap<String, Vec<String>>,

    /// Name for people.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The owner's team.
    pub team: Option<String>,
    /// What is expected to happen, and why.
    pub hypothesis: Option<String>,
    /// What it is judged by.
    pub metrics: Option<Metrics>,
    /// How it will be analysed.
    pub analysis: Option<Analysis>,
}

/// Where an experiment is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not launched: only overrides enter.
    Draft,
    /// Takes units from `schedule.start` on.
    Scheduled,
    /// Takes units, inside its schedule if it has one.
    #[default]
    Running,
    /// Takes none for now.
    Paused,
    /// Over.
    Completed,
    /// Stopped because it did harm: the kill switch of one experiment.
    RolledBack,
}

/// When an experiment takes units.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// First moment (inclusive).
    pub start: Option<Instant>,
    /// Last moment (exclusive).
    pub end: Option<Instant>,
}

/// From `at` on, `traffic` of the owned buckets are active.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RampStep {
    /// When the step begins (inclusive).
    pub at: Instant,
    /// Active share from then on.
    pub traffic: Share,
}

/// A variant of an experiment.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = ID_PATTERN)))]
    pub id: String,
    /// Share of the experiment's units, in proportion to the others' weights.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub weight: Option<f64>,
    /// The experiment's buckets it gets, as inclusive ranges, in place of
    /// `weight`; all variants' together are 0 to 9999.
    #[serde(default)]
    pub buckets: Vec<[u32; 2]>,
    /// Marks the control. Default: the first variant.
    pub control: Option<bool>,
    /// Where its requests go. Default: where they would have gone.
    pub route: Option<Route>,
    /// Changes to the request's headers.
    pub request_headers: Option<HeaderChanges>,
    /// Changes to the response's headers.
    pub response_headers: Option<HeaderChanges>,
}

/// Where a variant's requests go.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Upstream cluster: sent to the proxy's routes as `x-splitway-cluster`.
    pub cluster: Option<String>,
    /// New host (`:authority`).
    pub host: Option<String>,
    /// New path.
    pub path: Option<PathRewrite>,
}

/// Replaces the beginning of the path.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PathRewrite {
    /// What is replaced, at a segment boundary; other paths stay. Default: `/`,
    /// that is, the replacement is put in front.
    pub prefix: Option<String>,
    /// What it is replaced with.
    pub replace_prefix: String,
}

/// Changes to headers.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Replace or create.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Append, keeping what is there.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// What an experiment is judged by.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The metric that decides.
    pub primary: Option<String>,
    /// Metrics that are looked at.
    #[serde(default)]
    pub secondary: Vec<String>,
    /// Metrics that must not get worse.
    #[serde(default)]
    pub guardrails: Vec<String>,
}

/// How an experiment will be analysed.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// Significance level. Default: 0.05.
    pub alpha: Option<f64>,
    /// Power. Default: 0.8.
    pub power: Option<f64>,
    /// Smallest effect worth finding, absolute. Default: 0.005.
    pub minimum_detectable_effect: Option<f64>,
    /// Fewest units an arm. Default: 10,000.
    pub min_units_per_arm: Option<u64>,
}

/// Which requests are eligible.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Every one of these holds (of none: true).
    All(Vec<Rule>),
    /// At least one of these holds (of none: false).
    Any(Vec<Rule>),
    /// This does not hold.
    Not(Box<Rule>),
    /// The method.
    Method(Match),
    /// The path, without the query.
    Path(Match),
    /// The host, lower-case, without the port.
    Host(Match),
    /// A request header; several of one name are joined with `, `.
    Header(NamedMatch),
    /// A cookie.
    Cookie(NamedMatch),
    /// A query parameter, percent-decoded.
    Query(NamedMatch),
    /// A value declared under `attributes`.
    Attribute(NamedMatch),
    /// The unit itself.
    Unit(Match),
    /// The client's address.
    ClientAddress(AddressMatch),
    /// A share of units chosen by a salt of its own.
    Sample(Sample),
}

/// One operator on a value. A missing value matches nothing but
/// `exists: false`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The same.
    pub equals: Option<String>,
    /// One of these.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Begins with this; for a path, at a segment boundary.
    pub prefix: Option<String>,
    /// Ends with this.
    pub suffix: Option<String>,
    /// Contains this.
    pub contains: Option<String>,
    /// Glob: `*` within a path segment, `**` across, `?` one character.
    pub glob: Option<String>,
    /// Regular expression (linear time, unanchored, at most 1 kB).
    pub regex: Option<String>,
    /// Is there (`true`) or not (`false`).
    pub exists: Option<bool>,
    /// Is a number that compares so.
    pub number: Option<NumberRange>,
    /// Is a semantic version that compares so.
    pub version: Option<VersionRange>,
    /// Compare without regard to ASCII case.
    pub ignore_case: Option<bool>,
}

/// One operator on a named value. A missing value matches nothing but
/// `exists: false`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedMatch {
    /// The name of the header, cookie, parameter or attribute.
    pub name: String,
    /// The same.
    pub equals: Option<String>,
    /// One of these.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Begins with this.
    pub prefix: Option<String>,
    /// Ends with this.
    pub suffix: Option<String>,
    /// Contains this.
    pub contains: Option<String>,
    /// Glob: `*` within a `/` segment, `**` across, `?` one character.
    pub glob: Option<String>,
    /// Regular expression (linear time, unanchored, at most 1 kB).
    pub regex: Option<String>,
    /// Is there (`true`) or not (`false`).
    pub exists: Option<bool>,
    /// Is a number that compares so.
    pub number: Option<NumberRange>,
    /// Is a semantic version that compares so.
    pub version: Option<VersionRange>,
    /// Compare without regard to ASCII case.
    pub ignore_case: Option<bool>,
}

/// Bounds on a number; all that are given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NumberRange {
    /// Equal.
    pub eq: Option<f64>,
    /// Greater.
    pub gt: Option<f64>,
    /// Greater or equal.
    pub gte: Option<f64>,
    /// Less.
    pub lt: Option<f64>,
    /// Less or equal.
    pub lte: Option<f64>,
}

/// Bounds on a semantic version; all that are given must hold. A missing minor
/// or patch number counts as 0; precedence is that of semver.org.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VersionRange {
    /// Equal.
    pub eq: Option<String>,
    /// Later.
    pub gt: Option<String>,
    /// Later or equal.
    pub gte: Option<String>,
    /// Earlier.
    pub lt: Option<String>,
    /// Earlier or equal.
    pub lte: Option<String>,
}

/// An address in one of some ranges.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddressMatch {
    /// CIDR ranges, such as `10.0.0.0/8` or `2001:db8::/32`.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// As in a `client_address` source. Default: 0.
    pub trusted_hops: Option<u8>,
}

/// A share of units.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its salt; the namespace is put in front.
    pub salt: String,
    /// The share.
    pub share: Share,
}

/// Whose bucketing arithmetic an experiment uses, with that system's own
/// parameters.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(tag = "dialect"))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bucketing {
    /// Splitway's own.
    Splitway {
        /// Replaces the salt made of namespace and experiment id.
        salt: Option<String>,
    },
}
