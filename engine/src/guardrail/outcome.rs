//! What became of an exchange: whether it failed, and how long the upstream took.

use super::metric::Metric;

/// What became of an exchange, as far as the proxy knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status of the response; `None` if the client left before there was one.
    pub status: Option<u16>,
    /// gRPC status of a gRPC call; `None` for other exchanges, and for calls that the client cancelled.
    pub grpc_status: Option<u64>,
    /// Milliseconds from the end of the request to the head of the response, or without one to the end of the
    /// exchange: neither a slow upload nor a slow download is in it. `None` if the client never finished its request,
    /// or if the response began before that.
    pub waited_ms: Option<u64>,
}

impl Outcome {
    /// The first digit of the status, 0 without one. Where there is a gRPC status it decides: 2 for OK, 5 for the
    /// server's errors, 4 for all others.
    #[must_use]
    pub fn class(&self) -> u16 {
        match self.grpc_status {
            Some(0) => 2,
            Some(status) if is_servers_error(status) => 5,
            Some(_) => 4,
            None => self.status.unwrap_or(0) / 100,
        }
    }

    /// Whether the exchange is bad by `metric`; `None` if it is no evidence either way.
    #[must_use]
    pub fn is_bad(&self, metric: Metric) -> Option<bool> {
        let waits_longer = |limit| self.waited_ms.map(|waited| waited > limit);
        match (metric, self.status) {
            (Metric::ServerErrors { .. }, Some(_)) => Some(self.class() == 5),
            (Metric::SlowerThan(limit), Some(_)) => waits_longer(limit),
            // How long it would have taken is unknown, but for a bound.
            (Metric::ServerErrors { abandoned_after: limit } | Metric::SlowerThan(limit), None) => {
                waits_longer(limit).filter(|longer| *longer)
            }
        }
    }
}

/// Whether a gRPC status is an error of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
/// DATA_LOSS (OpenTelemetry semantic conventions for gRPC, span status of servers).
fn is_servers_error(status: u64) -> bool {
    matches!(status, 2 | 4 | 12 | 13 | 14 | 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: Metric = Metric::ServerErrors { abandoned_after: 500 };

    #[test]
    fn errors_are_the_servers() {
        let http = |status| Outcome { status: Some(status), ..Outcome::default() };
        let grpc = |code| Outcome { grpc_status: Some(code), ..http(200) };
        for (status, bad, class) in
            [(101, false, 1), (200, false, 2), (404, false, 4), (500, true, 5), (504, true, 5)]
        {
            assert_eq!((http(status).is_bad(ERRORS), http(status).class()), (Some(bad), class), "{status}");
        }
        let bad: Vec<u64> = (0..=17).filter(|code| grpc(*code).is_bad(ERRORS) == Some(true)).collect();
        assert_eq!(bad, [2, 4, 12, 13, 14, 15]);
        assert_eq!((grpc(0).class(), grpc(5).class(), grpc(14).class()), (2, 4, 5));
    }

    #[test]
    fn a_client_that_left_is_evidence_only_after_a_wait() {
        let left = |waited_ms| Outcome { waited_ms, ..Outcome::default() };
        assert_eq!(left(Some(501)).is_bad(ERRORS), Some(true));
        assert_eq!(left(Some(500)).is_bad(ERRORS), None, "an abort at once is none");
        assert_eq!(left(None).is_bad(ERRORS), None, "its request was not complete");
        assert_eq!(left(None).class(), 0);
        let slow = Metric::SlowerThan(100);
        assert_eq!((left(Some(101)).is_bad(slow), left(Some(99)).is_bad(slow)), (Some(true), None));
    }

    #[test]
    fn slow_is_what_the_upstream_took() {
        let after = |waited_ms| Outcome { status: Some(200), waited_ms, ..Outcome::default() };
        let slow = Metric::SlowerThan(100);
        assert_eq!(after(Some(100)).is_bad(slow), Some(false));
        assert_eq!(after(Some(101)).is_bad(slow), Some(true));
        assert_eq!(after(None).is_bad(slow), None, "a response before the request's end is not timed");
    }
}
