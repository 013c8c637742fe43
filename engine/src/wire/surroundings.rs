//! What stands around the proxy.

use splitway_document::{Cursor, Fields, Read};

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
