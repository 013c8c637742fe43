//! Whose requests take part, and how they are recognised.

use super::sources::Source;
use super::targeting::Rule;
use super::values::{Period, Secret};
use splitway_document::{Cursor, Fields, Read};

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
