//! Which exposures are recorded, and where they go.

use super::values::{Period, Secret};
use splitway_document::{Cursor, Entries, Fields, Read};

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
