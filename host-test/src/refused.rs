//! Envoy's words for connections that do not come about.

/// gRPC status 14, which Envoy makes of a 503 or 504.
pub(crate) const UNAVAILABLE: u32 = 14;

pub(crate) const REFUSED_BODY: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
pub(crate) const REFUSED_DETAILS: &str = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
