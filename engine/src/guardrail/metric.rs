//! What counts against a variant.

/// What a guardrail counts as bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Responses with a status of 500 and more, gRPC calls with an error of the server, and clients that left after
    /// they had waited longer than `abandoned_after` milliseconds for a response.
    ServerErrors {
        /// Milliseconds from the end of the request on.
        abandoned_after: u64,
    },
    /// Exchanges in which the head of the response took longer than this many milliseconds.
    SlowerThan(u64),
}
