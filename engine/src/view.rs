//! A request as the engine sees it: header bytes, looked into only when asked.
//!
//! Headers are bytes and stay bytes. What is needed as text and is not UTF-8
//! counts as absent. Nothing is parsed in advance: most requests are asked for
//! one cookie.

use std::borrow::Cow;
use std::net::IpAddr;

use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::document::{Document, Value};
use crate::guardrail::Tripped;
use crate::identity::Entropy;

/// Longest value of a cookie, header or parameter that is looked at, in bytes.
pub const MAX_VALUE: usize = 4096;
/// Cookie pairs that are looked at in one request.
pub const MAX_COOKIES: usize = 64;
/// Largest JWT payload that is looked at, in bytes of its header.
const MAX_JWT: usize = 16 * 1024;

/// Header pairs in wire order. Names are lower-case, as HTTP/2 and Envoy have
/// them, and include `:method`, `:path` and `:authority`.
pub type HeaderPairs<'a> = &'a [(&'a [u8], &'a [u8])];

/// A request: a lazy view of its headers.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    headers: HeaderPairs<'a>,
    entropy: Option<&'a dyn Entropy>,
    tripped: Option<&'a Tripped>,
}

impl<'a> RequestView<'a> {
    /// A view of `headers`, which must no longer hold client-sent copies of
    /// ours (see [`crate::Plan::is_ours`]).
    #[must_use]
    pub fn new(headers: HeaderPairs<'a>) -> Self {
        Self { headers, entropy: None, tripped: None }
    }

    /// The same request with randomness for an id, should one have to be minted.
    #[must_use]
    pub fn with_entropy(self, entropy: &'a dyn Entropy) -> Self {
        Self { entropy: Some(entropy), ..self }
    }

    /// The same request while guardrails have switched variants off.
    #[must_use]
    pub fn with_tripped(self, tripped: &'a Tripped) -> Self {
        Self { tripped: Some(tripped), ..self }
    }

    #[inline]
    pub(crate) fn tripped(&self) -> Option<&'a Tripped> {
        self.tripped
    }

    pub(crate) fn random_bits(&self) -> Option<[u8; 16]> {
        self.entropy?.bits()
    }

    /// Every value of the header `name` (lower-case), in wire order.
    pub fn header_values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let headers = self.headers;
        headers.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The first value of the header `name`, without surrounding blanks.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().find(|(n, _)| same(n, name.as_bytes()));
        found.map(|(_, value)| value.trim_ascii())
    }

    /// As [`Self::header`], if it can identify a unit.
    pub(crate) fn header_text(&self, name: &str) -> Option<&'a str> {
        usable(self.header(name)?)
    }

    /// All values of the header `name` joined with `, ` (RFC 9110, 5.3).
    #[must_use]
    pub fn header_joined(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut values = self.headers.iter().filter(|(n, _)| *n == name.as_bytes());
        let first = values.next()?.1.trim_ascii();
        let mut joined = Cow::Borrowed(first);
        for (_, value) in values {
            let all = joined.to_mut();
            all.extend_from_slice(b", ");
            all.extend_from_slice(value.trim_ascii());
        }
        Some(joined)
    }

    /// The method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.header(":method").unwrap_or_default()
    }

    /// Path and query as sent.
    #[must_use]
    pub fn path_and_query(&self) -> &'a [u8] {
        self.header(":path").unwrap_or_default()
    }

    /// Whether it is a gRPC call, gRPC-Web included.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"))
    }

    /// Whether it asks for another protocol, such as WebSocket (RFC 9110, 7.8), or for a tunnel.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.header("upgrade").is_some() || self.method() == b"CONNECT"
    }

    /// The path, without query and fragment.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        let whole = self.path_and_query();
        let end = whole.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(whole.len());
        whole.get(..end).unwrap_or_default()
    }

    /// The host without its port.
    #[must_use]
    pub fn host(&self) -> &'a [u8] {
        let authority = self.header(":authority").or_else(|| self.header("host")).unwrap_or_default();
        let end = match authority.iter().position(|b| *b == b']') {
            Some(bracket) => bracket.saturating_add(1),
            None => authority.iter().position(|b| *b == b':').unwrap_or(authority.len()),
        };
        authority.get(..end).unwrap_or_default()
    }

    /// The first cookie `name` whose value is UTF-8, not empty and at most
    /// [`MAX_VALUE`] bytes; the value as sent (RFC 6265, 5.4: no decoding, quotes
    /// belong to it). All `cookie` lines are read, [`MAX_COOKIES`] pairs in all.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        let name = name.as_bytes();
        let mut pairs_left = MAX_COOKIES;
        for (_, line) in self.headers.iter().filter(|(n, _)| *n == b"cookie") {
            let mut rest = Some(*line);
            while let Some(line) = rest {
                pairs_left = pairs_left.checked_sub(1)?;
                let pair = line.trim_ascii_start();
                // Names have no semicolon, so what begins with one has it before the pair's end.
                let value = after_name(pair, name);
                let (until, after) = split_at_semicolon(value.unwrap_or(pair));
                if value.is_some()
                    && let Some(value) = usable(until)
                {
                    return Some(value);
                }
                rest = after;
            }
        }
        None
    }

    /// The first query parameter `name`, percent-decoded, `+` as a blank
    /// (WHATWG URL, form decoding).
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'a, str>> {
        let whole = self.path_and_query();
        let start = whole.iter().position(|b| *b == b'?')?.saturating_add(1);
        let query = whole.get(start..)?.split(|b| *b == b'#').next()?;
        query.split(|b| *b == b'&').find_map(|pair| {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            let key = percent_decoded(parts.next()?)?;
            (key == name).then(|| percent_decoded(parts.next().unwrap_or_default())).flatten()
        })
    }

    /// The client's address: the entry of `x-forwarded-for` that `trusted_hops`
    /// proxies in front of this one left behind, counted from the right.
    #[must_use]
    pub fn client_address(&self, trusted_hops: u8) -> Option<IpAddr> {
        let list = self.header_joined("x-forwarded-for")?;
        let entry = list.rsplit(|b| *b == b',').nth(usize::from(trusted_hops))?;
        let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }

    /// The claim `claim` (a string or a whole number) of the base64url JSON in
    /// the header `header`. The proxy has verified it, or it means nothing.
    #[must_use]
    pub fn jwt_claim(&self, header: &str, claim: &str) -> Option<String> {
        let payload = self.header(header).filter(|value| value.len() <= MAX_JWT)?;
        let unpadded = payload.strip_suffix(b"==").or_else(|| payload.strip_suffix(b"="));
        let json =
            Base64UrlUnpadded::decode_vec(std::str::from_utf8(unpadded.unwrap_or(payload)).ok()?).ok()?;
        let claims = Document::from_json(&json).ok()?;
        match claims.field(claim)? {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// What is before the first semicolon, and what is after it. Looks at eight bytes at a time: cookies are
/// the longest text that every request has searched.
fn split_at_semicolon(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let cut = |at: usize| (line.get(..at).unwrap_or_default(), line.get(at.wrapping_add(1)..));
    for (index, word) in line.as_chunks::<8>().0.iter().enumerate() {
        if let Some(at) = semicolon(*word) {
            return cut(index.wrapping_mul(8).wrapping_add(at));
        }
    }
    if line.len().is_multiple_of(8) {
        return (line, None);
    }
    // The last eight bytes, of which the first were looked at already.
    let found = match line.last_chunk::<8>() {
        Some(word) => semicolon(*word).map(|at| line.len().wrapping_sub(8).wrapping_add(at)),
        None => line.iter().position(|byte| *byte == b';'),
    };
    found.map_or((line, None), cut)
}

/// The place of the first semicolon of a word (Mycroft's test for a zero byte).
#[inline(always)]
fn semicolon(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const SEMICOLONS: u64 = ONES.wrapping_mul(b';' as u64);
    let zero_if_found = u64::from_le_bytes(word) ^ SEMICOLONS;
    // The lowest bit set is that of the first zero byte; higher ones may be wrong.
    let found = zero_if_found.wrapping_sub(ONES) & !zero_if_found & ONES.wrapping_shl(7);
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

/// Names are short, and a call to compare them takes longer than they do.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

/// What follows on `name` and `=`, if `pair` begins so.
#[inline(always)]
fn after_name<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = pair.split_at_checked(name.len())?;
    if same(found, name) { rest.trim_ascii_start().strip_prefix(b"=") } else { None }
}

/// A value that can identify a unit: UTF-8, not empty, not overlong.
pub(crate) fn usable(value: &[u8]) -> Option<&str> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > MAX_VALUE {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// Percent-decoding, borrowed when there is nothing to decode. `None` for what
/// is not UTF-8 afterwards, or overlong.
fn percent_decoded(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.len() > MAX_VALUE {
        return None;
    }
    if !raw.iter().any(|b| matches!(b, b'%' | b'+')) {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let plus_as_blank = |b: &u8| if *b == b'+' { b' ' } else { *b };
    let blanks: Vec<u8> = raw.iter().map(plus_as_blank).collect();
    String::from_utf8(decoded(&blanks)).ok().map(Cow::Owned)
}

/// Percent-escapes decoded; what only looks like one stays.
pub(crate) fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        let escape = if *first == b'%' { tail.split_first_chunk::<2>() } else { None };
        let byte = escape.and_then(|(hex, after)| hex_byte(*hex).map(|byte| (byte, after)));
        let (byte, after) = byte.unwrap_or((*first, tail));
        decoded.push(byte);
        rest = after;
    }
    decoded
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)?.wrapping_shl(4) | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'a>(list: &[(&'a str, &'a [u8])]) -> Vec<(&'a [u8], &'a [u8])> {
        list.iter().map(|(n, v)| (n.as_bytes(), *v)).collect()
    }

    #[test]
    fn cookies_of_all_lines_and_the_first_valid_one() {
        let headers = pairs(&[
            ("cookie", b"a=1; uid=\xff\xfe; uidx=no; uid="),
            ("cookie", b" uid = first ;uid=second"),
        ]);
        let view = RequestView::new(&headers);
        assert_eq!(view.cookie("uid"), Some("first"));
        assert_eq!(view.cookie("a"), Some("1"));
        assert_eq!(view.cookie("b"), None);
    }

    /// With neighbours of the semicolon, which a search by words could take for one.
    #[test]
    fn semicolons_are_found_wherever_they_are() {
        for length in 0..40 {
            for other in [b'a', 0, b';' - 1, b';' + 1, b';' | 0x80, b';' ^ 1, 0xff] {
                let line = vec![other; length];
                assert_eq!(split_at_semicolon(&line), (&*line, None));
                for first in 0..length {
                    for second in first..length {
                        let mut line = line.clone();
                        line[first] = b';';
                        line[second] = b';';
                        let expected = (&line[..first], Some(&line[first + 1..]));
                        assert_eq!(split_at_semicolon(&line), expected, "{line:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn cookies_beyond_the_limits_are_absent() {
        let mut many = "x=1;".repeat(MAX_COOKIES);
        many.push_str("uid=late");
        let long = format!("uid={}", "a".repeat(MAX_VALUE + 1));
        for line in [many, long] {
            let headers = pairs(&[("cookie", line.as_bytes())]);
            assert_eq!(RequestView::new(&headers).cookie("uid"), None);
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let headers = pairs(&[(":path", b"/a?x=%zz&uid=j%C3%B6+b%40c&uid=2&e#uid=3")]);
        let view = RequestView::new(&headers);
        assert_eq!(view.query("uid").as_deref(), Some("jö b@c"));
        assert_eq!(view.query("x").as_deref(), Some("%zz"));
        assert_eq!(view.query("e").as_deref(), Some(""));
        assert_eq!(view.path(), b"/a");
    }

    #[test]
    fn the_client_address_counts_hops_from_the_right() {
        let headers =
            pairs(&[("x-forwarded-for", b"6.6.6.6, 203.0.113.9"), ("x-forwarded-for", b"::ffff:10.0.0.1")]);
        let view = RequestView::new(&headers);
        assert_eq!(view.client_address(0).unwrap().to_string(), "10.0.0.1");
        assert_eq!(view.client_address(1).unwrap().to_string(), "203.0.113.9");
        assert_eq!(view.client_address(3), None);
    }

    #[test]
    fn hosts_lose_their_port() {
        for (authority, host) in [("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("a", "a")] {
            let headers = pairs(&[(":authority", authority.as_bytes())]);
            assert_eq!(RequestView::new(&headers).host(), host.as_bytes());
        }
    }

    #[test]
    fn jwt_claims() {
        let payload = Base64UrlUnpadded::encode_string(br#"{"sub":"u-1","n":7,"f":1.5,"e":""}"#);
        for padding in ["", "=", "=="] {
            let value = format!("{payload}{padding}");
            let headers = pairs(&[("x-jwt", value.as_bytes())]);
            let view = RequestView::new(&headers);
            assert_eq!(view.jwt_claim("x-jwt", "sub").as_deref(), Some("u-1"));
            assert_eq!(view.jwt_claim("x-jwt", "n").as_deref(), Some("7"));
            assert_eq!(view.jwt_claim("x-jwt", "f"), None);
            assert_eq!(view.jwt_claim("x-jwt", "e"), None);
        }
    }
}
