//! Guardrails.

use super::values::{Period, Share};
use splitway_document::{Cursor, Fields, Read};

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
