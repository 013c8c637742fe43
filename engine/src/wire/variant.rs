//! Variants, and what they do.

#[cfg(feature = "schema")]
use super::values::ID_PATTERN;
use splitway_document::{Cursor, Entries, Fields, Read};

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
