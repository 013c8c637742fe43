//! Header maps: ordered, repeated names allowed, values are bytes.

use std::fmt;

/// An ordered multimap of header names and values.
///
/// Names are kept in lower case, as Envoy does; values are bytes, because a
/// client may send any. Pseudo headers (`:path`) stay before the others, and
/// `host` means `:authority`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Names that Envoy keeps in one slot: adding a second value appends it to
/// the first with a comma instead of making a second entry. Measured on Envoy
/// 1.40; some are kept so only in requests or only in responses, and here in
/// both, because a filter has no use for them on the other side.
const SINGLE_SLOT: &[&[u8]] = &[
    b":authority",
    b":method",
    b":path",
    b":protocol",
    b":scheme",
    b":status",
    b"accept",
    b"accept-encoding",
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-max-age",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"date",
    b"etag",
    b"expect",
    b"expires",
    b"grpc-accept-encoding",
    b"grpc-message",
    b"grpc-status",
    b"grpc-timeout",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"keep-alive",
    b"last-modified",
    b"location",
    b"origin",
    b"pragma",
    b"proxy-connection",
    b"proxy-status",
    b"referer",
    b"server",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
    b"vary",
    b"via",
    b"x-client-trace-id",
    b"x-envoy-attempt-count",
    b"x-envoy-degraded",
    b"x-envoy-max-retries",
    b"x-envoy-original-path",
    b"x-envoy-original-url",
    b"x-envoy-retry-on",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-service-time",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-request-id",
];

impl Headers {
    /// An empty map.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// The first value of `name`, as the ABI's get does.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The first value of `name` as text, with invalid UTF-8 replaced.
    pub fn text(&self, name: impl AsRef<[u8]>) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All values of `name`, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.entries
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(alias(name.as_ref())))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether `name` occurs.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a value and keeps the others. A header that Envoy keeps in one
    /// slot (such as `x-forwarded-for`) gets the value appended with a comma.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (alias(name.as_ref()).to_ascii_lowercase(), value.as_ref());
        if SINGLE_SLOT.binary_search(&name.as_slice()).is_ok()
            && let Some((_, slot)) = self.entries.iter_mut().find(|(key, _)| *key == name)
        {
            slot.push(b',');
            slot.extend_from_slice(value);
            return;
        }
        self.insert(name, value.to_vec());
    }

    /// Replaces every value of `name` by one, which moves to the end, as
    /// Envoy's `setCopy` does.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = alias(name.as_ref()).to_ascii_lowercase();
        self.entries.retain(|(key, _)| *key != name);
        self.insert(name, value.as_ref().to_vec());
    }

    /// Removes every value of `name`.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.entries.retain(|(key, _)| !key.eq_ignore_ascii_case(alias(name.as_ref())));
    }

    /// Number of entries; a repeated name counts each time.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the map has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sum of the lengths of names and values, in bytes.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Removes every entry.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    fn insert(&mut self, name: Vec<u8>, value: Vec<u8>) {
        if name.first() == Some(&b':') {
            let at = self.entries.iter().take_while(|(key, _)| key.first() == Some(&b':')).count();
            self.entries.insert(at, (name, value));
        } else {
            self.entries.push((name, value));
        }
    }
}

fn alias(name: &[u8]) -> &[u8] {
    if name.eq_ignore_ascii_case(b"host") { b":authority" } else { name }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.iter().map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii())),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_single_slot_list_can_be_searched() {
        assert!(SINGLE_SLOT.is_sorted());
    }

    #[test]
    fn set_replaces_all_and_add_keeps() {
        let mut headers: Headers =
            [("Set-Cookie", "a"), ("x", "1"), ("set-cookie", "b")].into_iter().collect();
        headers.add("set-cookie", "c");
        assert_eq!(headers.get_all("set-cookie").count(), 3);
        headers.set("SET-COOKIE", "d");
        assert_eq!(headers.get_all("set-cookie").collect::<Vec<_>>(), [b"d"]);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn single_slot_headers_are_joined_and_pseudo_headers_stay_in_front() {
        let mut headers: Headers = [("x-forwarded-for", "1.1.1.1")].into_iter().collect();
        headers.add("x-forwarded-for", "2.2.2.2");
        headers.add(":path", "/");
        assert_eq!(format!("{headers:?}"), r#"[":path: /", "x-forwarded-for: 1.1.1.1,2.2.2.2"]"#);
    }
}
