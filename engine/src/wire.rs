//! The config as it is written: one struct per mapping, no meaning yet.
//!
//! [`crate::compile`] gives it meaning; nothing else reads these types. The
//! JSON Schema is generated from them, so their docs are what an editor shows.
//! Required fields are plain, optional ones are `Option`, `Vec` or map (what
//! `document::read` relies on).

use splitway_document::{Cursor, Fields, Read, Want};

pub use splitway_document::Entries;

/// Structs that are read from a mapping, field by field.
macro_rules! records {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn of(fields: &Fields<'_>) -> Self {
                Self { $($field: fields.read(stringify!($field)),)* }
            }
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                Self::of(&at.fields(Self::FIELDS))
            }
        }
    )*};
}

/// Enums that are read from a word. The first is the stand-in.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant,)*
        }

        impl $name {
            const FIRST: Self = {
                let [first, ..] = Self::ALL;
                *first
            };
            const ALL: &'static [Self; [$($word),*].len()] = &[$(Self::$variant),*];
            const WORDS: &'static [&'static str] = &[$($word),*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::FIRST
            }
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                let known = at.name(Self::WORDS).and_then(|index| Self::ALL.get(index));
                known.copied().unwrap_or(Self::FIRST)
            }
        }
    };
}

/// Enums that are read from `{ word: content }`. The first is the stand-in.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident($first_type:ty) = $first_word:literal,
        $($(#[$variant_meta:meta])* $variant:ident($type:ty) = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $(#[$first_meta])* #[cfg_attr(feature = "schema", schemars(rename = $first_word))] $first($first_type),
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant($type),)*
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                match at.choice(&[$first_word, $($word),*]) {
                    $(Some(($word, node)) => Self::$variant(at.inside($word, node)),)*
                    Some((word, node)) => Self::$first(at.inside(word, node)),
                    None => Self::$first(at.stand_in()),
                }
            }
        }
    };
}

/// Enums that are read from `{ tag: word, … }`. The first is the stand-in.
macro_rules! tagged {
    ($tag:literal => $(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident($first_type:ident) = $first_word:literal,
        $($(#[$variant_meta:meta])* $variant:ident($type:ident) = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(tag = $tag))]
        pub enum $name {
            $(#[$first_meta])* #[cfg_attr(feature = "schema", schemars(rename = $first_word))] $first($first_type),
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant($type),)*
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                match at.tag($tag, &[$first_word, $($word),*]) {
                    $(Some($word) => Self::$variant($type::of(&at.tagged_fields($type::FIELDS, Some($tag)))),)*
                    Some(_) => Self::$first($first_type::of(&at.tagged_fields($first_type::FIELDS, Some($tag)))),
                    None => Self::$first(at.stand_in()),
                }
            }
        }
    };
}

/// A registry fact: the tools check it, the filter passes it over.
#[cfg(feature = "advice")]
pub type Fact<T> = Option<T>;

/// A registry fact: the tools check it, the filter passes it over.
#[cfg(not(feature = "advice"))]
pub type Fact<T> = std::marker::PhantomData<T>;

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

/// Pattern of ids: they travel in headers, metrics and logs unescaped.
#[cfg(feature = "schema")]
const ID_PATTERN: &str = "^[a-z0-9_-]{1,64}$";

choices! {
    /// Where a value comes from.
    pub enum Source {
        /// A request header.
        Header(String) = "header",
        /// A cookie, its value as sent (no decoding).
        Cookie(String) = "cookie",
        /// A query parameter, percent-decoded.
        Query(String) = "query",
        /// A claim of a JWT payload that the proxy has already verified and put
        /// into a header (base64url JSON, as Envoy's `forward_payload_header`).
        JwtClaim(JwtClaim) = "jwt_claim",
        /// The client's address, from `x-forwarded-for`.
        ClientAddress(ClientAddress) = "client_address",
    }
}

records! {
    /// A claim of a verified JWT payload header.
    pub struct JwtClaim {
        /// The header that holds the payload.
        pub header: String,
        /// The claim: a string or a whole number.
        pub claim: String,
    }
}

records! {
    /// The client's address.
    pub struct ClientAddress {
        /// Proxies in front of this one that append to `x-forwarded-for`. 0: the
        /// last entry (the peer, which this proxy appended); 1: the one before.
        pub trusted_hops: Option<u8>,
    }
}

/// A percentage, such as `25%` or `0.5%`: up to four decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share(
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$")))]
    pub String,
);

impl Read for Share {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Percentage, "a percentage such as 25%"))
    }
}

/// A secret: the text itself, or `{ env: NAME }` for the value of an environment variable of the
/// proxy (at the edge: of a binding). With `env` the config holds nothing that has to be kept secret.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// Where it is.
    Variable(Variable),
}

impl Default for Secret {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Read for Secret {
    fn read(at: &Cursor<'_>) -> Self {
        if at.is_mapping() {
            Self::Variable(Variable::read(at))
        } else {
            Self::Text(at.text(Want::Text, "text, or `{ env: NAME }`"))
        }
    }
}

records! {
    /// An environment variable of the proxy.
    pub struct Variable {
        /// Its name: letters, digits and `_`, such as `SPLITWAY_EXPOSURE_KEY`.
        #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]{0,63}$")))]
        pub env: String,
    }
}

/// A time in RFC 3339, such as `2026-11-20T00:00:00Z`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instant(#[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))] pub String);

impl Read for Instant {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Text, "a time such as 2026-11-20T00:00:00Z"))
    }
}

/// A duration, such as `30s`, `15m` or `12h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Period(pub String);

impl Read for Period {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Text, "a duration such as 30s"))
    }
}

records! {
    /// A unit for requests that carry none.
    pub struct Mint {
        /// Name of the cookie; it begins with `__Host-`. Default: `__Host-splitway`.
        pub cookie: Option<String>,
        /// How long the cookie lives, at most 395d. Default: 390d.
        pub max_age: Option<Period>,
        /// The cookie is renewed when less than this is left. Default: a quarter of
        /// `max_age`.
        pub renew_before: Option<Period>,
        /// From when on a browser that carries no id is in experiments. Default: `at_once`.
        pub enter: Option<MintEntry>,
        /// Mints for plain HTTP, too, where browsers do not keep the cookie: for a proxy behind something that ends
        /// TLS and does not say so in `x-forwarded-proto`. Hosts named `localhost` count as HTTPS. Default: false.
        pub plain_http: Option<bool>,
        /// The same id for requests that come before the cookie is there.
        pub provisional: Option<Provisional>,
    }
}

words! {
    /// From when on a browser that carries no id is in experiments.
    pub enum MintEntry {
        /// From the request that gets the cookie on.
        AtOnce = "at_once",
        /// From the first request that brings the cookie back: for sites whose requests without cookies come
        /// mostly from machines, which do not keep them.
        Returning = "returning",
    }
}

records! {
    /// Requests of one browser that are under way at once get the same id: a keyed
    /// hash of `traits` and the time, in place of a random one. Browsers that are
    /// alike in all traits within one window share it, too.
    pub struct Provisional {
        /// Secret key of the hash: at least 16 random characters, or `{ env: NAME }`.
        pub key: Secret,
        /// How long requests are taken together. Default: 10s.
        pub window: Option<Period>,
        /// What tells browsers apart.
        #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
        #[cfg_attr(feature = "schema", schemars(default))]
        pub traits: Vec<Source>,
    }
}

records! {
    /// Whether units may be used, stored and logged.
    pub struct Consent {
        /// What is done without consent. Default: `required`.
        pub mode: Option<ConsentMode>,
        /// Holds for requests that carry consent.
        pub granted: Option<Rule>,
        /// What `Sec-GPC: 1` means, and any other value but `0`. Default: `deny`.
        pub gpc: Option<Gpc>,
    }
}

words! {
    /// What is done for requests without consent.
    pub enum ConsentMode {
        /// Nothing: no experiment, no cookie, no exposure; a cookie of ours is
        /// deleted.
        Required = "required",
        /// They are in experiments and get the cookie, but exposures do not show
        /// their unit.
        Exempt = "exempt",
        /// Consent is not looked at.
        Off = "off",
    }
}

words! {
    /// What the header `Sec-GPC: 1` (Global Privacy Control) means.
    pub enum Gpc {
        /// No consent, whatever else is there.
        Deny = "deny",
        /// Nothing.
        Ignore = "ignore",
    }
}

records! {
    /// Requests that are no people's.
    pub struct Bots {
        /// Whether the built-in list of user agents counts. Default: true.
        pub defaults: Option<bool>,
        /// Requests for which this holds count, too.
        pub also: Option<Rule>,
    }
}

records! {
    /// Where else the assignments are told, besides `x-splitway`.
    pub struct Propagation {
        /// Upstream, as members `splitway.<experiment>` of the header `baggage`
        /// (W3C). Default: false.
        pub baggage: Option<bool>,
        /// The proxy itself, as its filter state `wasm.splitway`: for tracing tags
        /// and access logs. Default: false.
        pub filter_state: Option<bool>,
    }
}

words! {
    /// Who gets the stamp `x-splitway`.
    pub enum StampFor {
        /// The upstream and the client.
        Everyone = "everyone",
        /// The upstream alone: clients do not learn that they are in the experiment.
        Upstream = "upstream",
    }
}

records! {
    /// Other Splitways that requests pass: filters of the same proxy, or of a proxy in
    /// front or behind. Experiments of different ones need different ids.
    pub struct Neighbours {
        /// Every request comes from another Splitway, which has removed what clients made
        /// up: its stamp, route and baggage stay, unless a variant of this config says
        /// otherwise. Never say so where clients can connect. Default: false.
        pub in_front: Option<bool>,
        /// Every response comes through another Splitway: its stamp stays, beside the one
        /// of this config. Without, `x-splitway…` of a response is removed. Default: false.
        pub behind: Option<bool>,
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

records! {
    /// What exposure records say, and where they go.
    pub struct Exposure {
        /// How `feature_flag.context.id` shows the unit. Default: `pseudonym` if
        /// there is a key, and else `none`.
        pub unit: Option<UnitForm>,
        /// Secret key of the pseudonym (HMAC-SHA-256): at least 16 random
        /// characters, or `{ env: NAME }`.
        pub key: Option<Secret>,
        /// How often it is recorded that a unit met a variant. Default: `request`.
        pub once_per: Option<OncePer>,
        /// Whether every record tells attempts and response flags: two more questions
        /// to the proxy per request. Default: false; then flags are told where the
        /// status is missing or 500 and more.
        pub details: Option<bool>,
        /// Whether records go to the proxy's own log. Default: true.
        pub log: Option<bool>,
        /// Whether records, without what is known only after the response, go to the
        /// proxy's filter state `wasm.splitway_exposures`, from where its access
        /// loggers take them: a JSON array. Default: false.
        pub filter_state: Option<bool>,
        /// Sends records to an OpenTelemetry collector.
        pub otlp: Option<Otlp>,
    }
}

words! {
    /// How often it is recorded that a unit met a variant.
    pub enum OncePer {
        /// Once for each request.
        Request = "request",
        /// Once, as far as a worker of the proxy remembers: it knows at least the last
        /// 24,576 pairs of unit and variant.
        Unit = "unit",
    }
}

records! {
    /// An OpenTelemetry collector that takes OTLP/HTTP logs as JSON.
    pub struct Otlp {
        /// The proxy's cluster that the collector is.
        pub cluster: String,
        /// Path of its logs endpoint. Default: `/v1/logs`.
        pub path: Option<String>,
        /// Value of `:authority`. Default: the cluster's name.
        pub host: Option<String>,
        /// Further request headers, such as an API key; a value may be `{ env: NAME }`.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub headers: Entries<Secret>,
        /// How long an answer may take, 100ms to 60s. Default: 5s.
        pub timeout: Option<Period>,
        /// Most bytes of records that each worker keeps while the collector cannot be
        /// reached, 65536 to 16777216; what is beyond is dropped and counted.
        /// Default: 4194304.
        #[cfg_attr(feature = "schema", schemars(range(min = 65536, max = 16_777_216)))]
        pub buffer: Option<u32>,
    }
}

words! {
    /// How a unit appears in exposures.
    pub enum UnitForm {
        /// First 128 bits of HMAC-SHA-256(key, unit), in hex.
        Pseudonym = "pseudonym",
        /// As it is: only where the id is not personal data.
        Raw = "raw",
        /// Not at all.
        None = "none",
    }
}

records! {
    /// Where QA tokens are looked for, and the keys that sign them. A request may carry several, for different
    /// experiments: under one name with a comma or `|` between, or under several. Upstreams do not get them.
    pub struct QaTokens {
        /// Request header that carries tokens.
        pub header: Option<String>,
        /// Cookie that carries tokens.
        pub cookie: Option<String>,
        /// Query parameter that carries tokens.
        pub query: Option<String>,
        /// One key, or two while they are being rotated.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2)))]
        #[cfg_attr(feature = "schema", schemars(default))]
        pub keys: Vec<QaKey>,
    }
}

records! {
    /// A signing key of QA tokens.
    pub struct QaKey {
        /// Key id, named in each token.
        pub id: String,
        /// At least 32 random characters, or `{ env: NAME }`.
        pub secret: Secret,
    }
}

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
    /// A limit that a variant must not cross. What counts is how many of its units had a bad exchange, not how many
    /// exchanges were bad. (`metrics.guardrails` are names for the analysis; the proxy does not read those.)
    pub struct Guardrail {
        /// What is counted.
        pub metric: GuardrailMetric,
        /// For `latency`: exchanges are slow if the response does not begin within this time after the request's
        /// end.
        pub slower_than: Option<Period>,
        /// For `http_5xx_rate`: a client that leaves without a response counts as an error once it has waited
        /// longer than this after the end of its request. Default: 500ms.
        pub abandoned_after: Option<Period>,
        /// How much more than the control's the variant's share of units may be, in points.
        /// Default: 0%, unless there is `max`.
        pub max_increase: Option<Share>,
        /// The largest share of the variant's units, whatever the control's is.
        pub max: Option<Share>,
        /// Requests of the variant before it is judged. Default: 500.
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        pub min_requests: Option<u32>,
        /// Distinct units of the variant with a bad exchange before it can trip. Default: 10.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 64)))]
        pub min_bad_units: Option<u32>,
        /// How far it looks back, 6s to 1h. Default: 60s.
        pub window: Option<Period>,
        /// How likely it may be, within one window, that a variant trips which is not
        /// worse: up to 0.1. Default: 0.001.
        #[cfg_attr(feature = "schema", schemars(range(max = 0.1)))]
        pub alpha: Option<f64>,
        /// What happens. Default: `kill`.
        pub action: Option<GuardrailAction>,
    }
}

words! {
    /// What a guardrail counts.
    pub enum GuardrailMetric {
        /// The share of units with an error: a status of 500 and more, a gRPC status that is the server's error, or
        /// a client that gave up waiting.
        Http5xxRate = "http_5xx_rate",
        /// The share of units with an exchange that was slower than `slower_than`.
        Latency = "latency",
    }
}

words! {
    /// What happens when a guardrail trips.
    pub enum GuardrailAction {
        /// The variant is off on every worker of the proxy.
        Kill = "kill",
        /// A line is logged and a gauge set; the variant stays on.
        Observe = "observe",
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
    /// A variant of an experiment.
    pub struct Variant {
        /// Its id.
        #[cfg_attr(feature = "schema", schemars(extend("pattern" = ID_PATTERN)))]
        pub id: String,
        /// Share of the experiment's units, in proportion to the others' weights.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
        pub weight: Option<f64>,
        /// The experiment's buckets it gets, as inclusive ranges, in place of
        /// `weight`; all variants' together are 0 to 9999.
        #[cfg_attr(feature = "schema", schemars(default))]
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
}

records! {
    /// Where a variant's requests go.
    pub struct Route {
        /// Upstream cluster: sent to the proxy's routes as `x-splitway-cluster`.
        pub cluster: Option<String>,
        /// New host (`:authority`).
        pub host: Option<String>,
        /// New path.
        pub path: Option<PathRewrite>,
        /// Answered by the proxy with a redirect to another path of the same host. gRPC calls and upgrades (WebSocket)
        /// would fail on one, so they take no part in an experiment in which a variant redirects.
        pub redirect: Option<Redirect>,
        /// A cluster that gets a copy of each request, whose answer is dropped: sent
        /// to the proxy's mirror policy as `x-splitway-shadow`.
        pub shadow: Option<String>,
    }
}

records! {
    /// Another path: either a prefix is replaced, or what a regular expression
    /// matches.
    pub struct PathRewrite {
        /// What is replaced, at a segment boundary; other paths stay. Default: `/`,
        /// that is, the replacement is put in front.
        pub prefix: Option<String>,
        /// What it is replaced with.
        pub replace_prefix: Option<String>,
        /// A regular expression (linear time, unanchored, at most 1 kB) on the path
        /// without its query; other paths stay.
        pub regex: Option<String>,
        /// What its first match is replaced with; `$1` and `${name}` are its groups. A path
        /// that this made from a shorter one is left alone.
        pub replacement: Option<String>,
    }
}

records! {
    /// A redirect to another path of the same host.
    pub struct Redirect {
        /// Where to; the query stays. Paths that it leaves alone are not redirected,
        /// nor are those that it would redirect again.
        pub path: PathRewrite,
        /// 302 or 303 (for GET and HEAD only), or 307. Default: 302.
        pub status: Option<u32>,
    }
}

records! {
    /// Changes to headers.
    pub struct HeaderChanges {
        /// Replace or create.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub set: Entries<String>,
        /// Append, keeping what is there.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub add: Entries<String>,
        /// Remove.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub remove: Vec<String>,
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

choices! {
    /// Which requests are eligible.
    pub enum Rule {
        /// Every one of these holds (of none: true).
        All(Vec<Rule>) = "all",
        /// At least one of these holds (of none: false).
        Any(Vec<Rule>) = "any",
        /// This does not hold.
        Not(Box<Rule>) = "not",
        /// The method.
        Method(Match) = "method",
        /// The path, without the query, in its normal form: `.` and `..` resolved, runs of slashes made one,
        /// escapes of letters, digits and `-._~` decoded, other escapes in upper case.
        Path(Match) = "path",
        /// The host, lower-case, without port, user information and a trailing dot.
        Host(Match) = "host",
        /// A request header; several of one name are joined with `, `.
        Header(NamedMatch) = "header",
        /// A cookie.
        Cookie(NamedMatch) = "cookie",
        /// A query parameter, percent-decoded.
        Query(NamedMatch) = "query",
        /// A value declared under `attributes`.
        Attribute(NamedMatch) = "attribute",
        /// The unit itself.
        Unit(Match) = "unit",
        /// The client's address.
        ClientAddress(AddressMatch) = "client_address",
        /// A share of units chosen by a salt of its own.
        Sample(Sample) = "sample",
    }
}

records! {
    /// One operator on a value. A missing value matches nothing but
    /// `exists: false`. Of a value above 4,096 bytes only `prefix` and `exists` take notice.
    pub struct Match {
        /// The same.
        pub equals: Option<String>,
        /// One of these.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub one_of: Vec<String>,
        /// Begins with this; for a path, at a segment boundary.
        pub prefix: Option<String>,
        /// Ends with this.
        pub suffix: Option<String>,
        /// Contains this.
        pub contains: Option<String>,
        /// Glob: `*` within a path segment, `**` across, `?` one character.
        pub glob: Option<String>,
        /// Regular expression (linear time, unanchored, at most 1 kB). All that look at one
        /// request see 4 kB of it together; beyond that, none matches.
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
}

records! {
    /// One operator on a named value. A missing value matches nothing but
    /// `exists: false`. Of a value above 4,096 bytes only `prefix` and `exists` take notice.
    pub struct NamedMatch {
        /// The name of the header, cookie, parameter or attribute.
        pub name: String,
        /// The same.
        pub equals: Option<String>,
        /// One of these.
        #[cfg_attr(feature = "schema", schemars(default))]
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
}

records! {
    /// Bounds on a number; all that are given must hold.
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
}

records! {
    /// Bounds on a semantic version; all that are given must hold. A missing minor
    /// or patch number counts as 0; precedence is that of semver.org.
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
}

records! {
    /// An address in one of some ranges.
    pub struct AddressMatch {
        /// CIDR ranges, such as `10.0.0.0/8` or `2001:db8::/32`.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub one_of: Vec<String>,
        /// As in a `client_address` source. Default: 0.
        pub trusted_hops: Option<u8>,
    }
}

records! {
    /// A share of units.
    pub struct Sample {
        /// Its salt; the namespace is put in front.
        pub salt: String,
        /// The share.
        pub share: Share,
    }
}

tagged! { "dialect" =>
    /// Whose bucketing arithmetic an experiment uses, with that system's own
    /// parameters. All but `splitway` also decide who is in.
    pub enum Bucketing {
        /// Splitway's own.
        Splitway(SplitwayBucketing) = "splitway",
        /// GrowthBook, hash version 1.
        GrowthbookV1(GrowthbookBucketing) = "growthbook_v1",
        /// GrowthBook, hash version 2.
        GrowthbookV2(GrowthbookBucketing) = "growthbook_v2",
        /// Optimizely Feature Experimentation.
        Optimizely(OptimizelyBucketing) = "optimizely",
        /// Unleash.
        Unleash(UnleashBucketing) = "unleash",
        /// LaunchDarkly.
        Launchdarkly(LaunchdarklyBucketing) = "launchdarkly",
        /// Statsig.
        Statsig(StatsigBucketing) = "statsig",
        /// Split (Harness FME).
        Split(SplitBucketing) = "split",
        /// PlanOut.
        Planout(PlanoutBucketing) = "planout",
        /// Eppo.
        Eppo(EppoBucketing) = "eppo",
        /// flagd's `fractional` operation.
        Flagd(FlagdBucketing) = "flagd",
    }
}

records! {
    /// Splitway's own arithmetic.
    pub struct SplitwayBucketing {
        /// Replaces the salt made of namespace and experiment id.
        pub salt: Option<String>,
    }

    /// GrowthBook's parameters.
    pub struct GrowthbookBucketing {
        /// Default: the experiment's id.
        pub seed: Option<String>,
        /// Share of each weight that is active, from 0 to 1. Default: 1.
        pub coverage: Option<f64>,
        /// A fraction per variant. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<f64>,
        /// `[start, end)` per variant, from 0 to 1, in place of coverage and
        /// weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[f64; 2]>,
        /// A namespace: `[id, start, end]`.
        pub namespace: Option<(String, f64, f64)>,
        /// All must let the unit pass; they replace the namespace.
        pub filters: Option<Vec<GrowthbookFilter>>,
    }

    /// A filter of GrowthBook.
    pub struct GrowthbookFilter {
        /// Its seed.
        pub seed: String,
        /// 1 or 2. Default: 2.
        pub hash_version: Option<u8>,
        /// The unit passes in one of these, `[start, end)`, from 0 to 1.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[f64; 2]>,
    }

    /// Optimizely's parameters.
    pub struct OptimizelyBucketing {
        /// The experiment's numeric id.
        pub experiment_id: String,
        /// Variants by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub traffic_allocation: Vec<OptimizelyAllocation>,
        /// The random group it is in.
        pub group: Option<OptimizelyGroup>,
    }

    /// A piece of Optimizely's traffic.
    pub struct OptimizelyAllocation {
        /// Who gets it; none: nobody.
        pub variant: Option<String>,
        /// Its end (exclusive), of 10,000.
        pub end_of_range: u32,
    }

    /// A group of Optimizely with the policy `random`.
    pub struct OptimizelyGroup {
        /// Its numeric id.
        pub id: String,
        /// Experiments by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub traffic_allocation: Vec<OptimizelyGroupAllocation>,
    }

    /// A piece of a group's traffic.
    pub struct OptimizelyGroupAllocation {
        /// Whose it is; empty: nobody's.
        pub experiment_id: String,
        /// Its end (exclusive), of 10,000.
        pub end_of_range: u32,
    }

    /// Unleash's parameters.
    pub struct UnleashBucketing {
        /// Default: the experiment's id.
        pub group_id: Option<String>,
        /// Whole percent. Default: 100.
        pub rollout: Option<u32>,
        /// Whole weights. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub variant_weights: Vec<u32>,
    }

    /// LaunchDarkly's parameters.
    pub struct LaunchdarklyBucketing {
        /// The flag's key.
        pub flag_key: String,
        /// The flag's salt.
        pub salt: String,
        /// The rollout's seed, which replaces key and salt.
        pub seed: Option<i64>,
        /// Weights of 100,000. Default: the variants' weights, scaled.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<u32>,
    }

    /// Statsig's parameters.
    pub struct StatsigBucketing {
        /// The config's salt.
        pub config_salt: String,
        /// The rule's salt.
        pub rule_salt: String,
        /// Percentage that passes. Default: 100.
        pub pass_percentage: Option<f64>,
        /// Groups by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub groups: Vec<StatsigGroup>,
        /// The groups' salt. Default: the config's.
        pub group_salt: Option<String>,
    }

    /// A group of Statsig.
    pub struct StatsigGroup {
        /// Who gets it; none: nobody.
        pub variant: Option<String>,
        /// Its end (exclusive), of 1,000.
        pub end: u32,
    }

    /// Split's parameters.
    pub struct SplitBucketing {
        /// The flag's seed, 32 bits.
        pub seed: i64,
        /// Whole percentages. Default: the variants' weights, which must then
        /// be percentages.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub sizes: Vec<u32>,
        /// Whole percentage of the traffic to consider. Default: 100.
        pub traffic_allocation: Option<u32>,
        /// Its seed, 32 bits. Default: 0.
        pub traffic_allocation_seed: Option<i64>,
    }

    /// PlanOut's parameters.
    pub struct PlanoutBucketing {
        /// The experiment's salt. Default: the experiment's id.
        pub experiment_salt: Option<String>,
        /// The parameter's salt: PlanOut's default is its name.
        pub parameter_salt: String,
        /// A weight per variant (`WeightedChoice`). Default: the variants'
        /// weights, or a `UniformChoice` if they have none.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<f64>,
    }

    /// Eppo's parameters.
    pub struct EppoBucketing {
        /// The shards' salt.
        pub salt: String,
        /// Default: 10,000.
        pub total_shards: Option<u32>,
        /// Per variant its `[start, end)` ranges of shards.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<Vec<[u32; 2]>>,
        /// The traffic shard in front.
        pub traffic: Option<EppoTraffic>,
    }

    /// Eppo's traffic shard.
    pub struct EppoTraffic {
        /// Its salt.
        pub salt: String,
        /// Its `[start, end)` ranges.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[u32; 2]>,
    }

    /// flagd's parameters.
    pub struct FlagdBucketing {
        /// The flag's key.
        pub flag_key: String,
        /// Whole weights. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<u32>,
        /// Revision of the `fractional` operation, 2 or 3: the two give most units another variant. 3 hashes the two keys
        /// as canonical CBOR, as openfeature-flagd-core 2 does. Default: 2.
        #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 3)))]
        pub revision: Option<u32>,
    }
}
