//! Header names: which are ours, which an experiment may not touch.

/// The header that carries the assignments, upstream and back.
pub const STAMP: &str = "x-splitway";
/// The request header by which the proxy's routes choose the cluster.
pub const CLUSTER: &str = "x-splitway-cluster";
/// The request header by which the proxy's mirror policy chooses the cluster that
/// gets a copy.
pub const SHADOW: &str = "x-splitway-shadow";
/// The response header that tells the steps of the decision to whoever has a token
/// that asks for them.
pub const EXPLAIN: &str = "x-splitway-explain";

/// Request headers that clients legitimately send, so that a variant setting
/// one does not mean that clients' own must be removed.
const CLIENTS_OWN: [&str; 31] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "baggage",
    "cache-control",
    "content-type",
    "dnt",
    "forwarded",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "range",
    "referer",
    "save-data",
    "sec-gpc",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

/// Headers that frame or route the message, or that the proxy owns: changing
/// one can break or smuggle requests.
const RESERVED: [&str; 15] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Why a header may not be changed by a variant.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(':')
        || name.starts_with("x-envoy-")
        || is_prefixed(name.as_bytes())
        || RESERVED.contains(&name)
}

/// Whether `name` is a header name as HTTP/2 has it: a lower-case token.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether `value` is a field value (RFC 9110, 5.5) without surrounding blanks.
pub(crate) fn is_value(value: &str) -> bool {
    value.trim() == value
        && value.len() <= 4096
        && value.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f))
}

/// The names of headers that only Splitway may put on a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct OurHeaders {
    /// Beyond `x-splitway…`: normalised (`-` for `_`).
    names: Box<[Box<[u8]>]>,
    /// Bit `n % 64` is set if some name has `n` bytes: rules out most headers.
    lengths: u64,
}

impl OurHeaders {
    /// Ours, given the request headers that variants set or add.
    pub(crate) fn new<'a>(set_by_variants: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for name in set_by_variants.filter(|name| !CLIENTS_OWN.contains(name)) {
            let name: Box<[u8]> = name.bytes().map(normal).collect();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let lengths = names.iter().fold(0, |mask, name| mask | length_bit(name));
        Self { names: names.into(), lengths }
    }

    /// Those beyond `x-splitway…`, with `-` for `_`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| std::str::from_utf8(name).ok())
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        if is_prefixed(name) {
            return true;
        }
        self.lengths & length_bit(name) != 0
            && self
                .names
                .iter()
                .any(|ours| ours.len() == name.len() && ours.iter().zip(name).all(|(a, b)| *a == normal(*b)))
    }
}

fn is_prefixed(name: &[u8]) -> bool {
    name.split_at_checked(STAMP.len())
        .is_some_and(|(head, _)| head.iter().zip(STAMP.bytes()).all(|(a, b)| normal(*a) == b))
}

fn normal(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn length_bit(name: &[u8]) -> u64 {
    1_u64.wrapping_shl(u32::try_from(name.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_in_every_spelling_and_nobody_elses() {
        let ours = OurHeaders::new(["x-checkout", "accept-language"].into_iter());
        for name in
            ["x-splitway", "x_splitway", "x-splitway-cluster", "X_Splitway-Foo", "x-checkout", "x_checkout"]
        {
            assert!(ours.contains(name.as_bytes()), "{name}");
        }
        for name in ["x-split", "accept-language", "x-checkouts", "cookie", ""] {
            assert!(!ours.contains(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn reserved_names() {
        for name in [":path", "host", "transfer-encoding", "x-splitway", "x-envoy-retry-on"] {
            assert!(is_reserved(name), "{name}");
        }
        assert!(!is_reserved("x-checkout"));
        assert!(is_name("x-checkout") && !is_name("X-Checkout") && !is_name("a b") && !is_name(""));
        assert!(is_value("a b") && !is_value("a\r\nb") && !is_value(" a"));
    }
}
