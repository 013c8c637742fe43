//! A request as the engine sees it: header bytes, looked into only when asked.
//!
//! Headers are bytes and stay bytes. What is needed as text and is not UTF-8
//! counts as absent. Nothing is parsed in advance: most requests are asked for
//! one cookie.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use splitway_document::{Document, Value};

use crate::guardrail::Tripped;
use crate::identity::Entropy;
use crate::normal;
use crate::pairs::{Index, Syntax};

/// Longest value of a cookie, header or parameter that is looked at, in bytes.
pub const MAX_VALUE: usize = 4096;
/// Cookies and queries up to this length, in bytes, are searched anew for each name; longer ones are
/// indexed once, so that a long request does not cost its length times the names that a config asks for.
const LONG: usize = 2048;
/// Most query parameters that are looked at.
pub(crate) const MAX_PARAMETERS: usize = 1_500;
/// Bytes of JWT payloads, as headers have them, that are read of one request, all together.
const MAX_JWT: usize = 8 * 1024;
/// Longest path that targeting looks at, in bytes.
const MAX_PATH: usize = 8 * 1024;
/// Bytes that the regular expressions of one request may look at, all together: each byte takes about two
/// thousand instructions.
const MAX_MATCHED: usize = 4 * 1024;
/// Bytes that `contains` may look at, all together.
const MAX_SEARCHED: usize = 64 * 1024;

/// Header pairs in wire order. Names are lower-case, as HTTP/2 and Envoy have
/// them, and include `:method`, `:path` and `:authority`.
pub type HeaderPairs<'a> = &'a [(&'a [u8], &'a [u8])];

/// A request: a lazy view of its headers. What takes time to read is kept, so that it is read once
/// however many rules ask for it.
#[derive(Clone, Debug)]
pub struct RequestView<'a> {
    headers: HeaderPairs<'a>,
    entropy: Option<&'a dyn Entropy>,
    tripped: Option<&'a Tripped>,
    path: OnceCell<Cow<'a, [u8]>>,
    cookies: OnceCell<Index>,
    query_text: OnceCell<Option<&'a [u8]>>,
    query: OnceCell<Index>,
    /// Payloads by the header values that hold them.
    jwts: RefCell<Vec<(&'a [u8], Option<Document>)>>,
    /// What was asked of them: header, claim, answer.
    claims: RefCell<Vec<(String, String, Option<String>)>>,
    decoded: Cell<usize>,
    matched: Cell<usize>,
    searched: Cell<usize>,
}

impl<'a> RequestView<'a> {
    /// A view of `headers`, which must no longer hold client-sent copies of
    /// ours (see [`crate::Plan::is_ours`]).
    #[must_use]
    pub fn new(headers: HeaderPairs<'a>) -> Self {
        Self {
            headers,
            entropy: None,
            tripped: None,
            path: OnceCell::new(),
            cookies: OnceCell::new(),
            query_text: OnceCell::new(),
            query: OnceCell::new(),
            jwts: RefCell::new(Vec::new()),
            claims: RefCell::new(Vec::new()),
            decoded: Cell::new(0),
            matched: Cell::new(0),
            searched: Cell::new(0),
        }
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

    /// Whether regular expressions may look at `bytes` more of this request; if so, they are counted.
    pub(crate) fn may_match(&self, bytes: usize) -> bool {
        spend(&self.matched, bytes, MAX_MATCHED)
    }

    /// The same of `contains`.
    pub(crate) fn may_search(&self, bytes: usize) -> bool {
        spend(&self.searched, bytes, MAX_SEARCHED)
    }

    /// Every value of the header `name` (lower-case), in wire order.
    pub fn header_values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        let headers = self.headers;
        headers.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The first value of the header `name`, without surrounding blanks.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().find(|(n, _)| same(n, name.as_bytes()));
        found.map(|(_, value)| value.trim_ascii())
    }

    /// The first value of the header `name` that can identify a unit.
    pub(crate) fn header_text(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.iter().filter(|(n, _)| same(n, name.as_bytes()));
        values.find_map(|(_, value)| usable(value))
    }

    /// All values of the header `name` joined with `, ` (RFC 9110, 5.3). More than [`MAX_VALUE`] bytes of
    /// several values are not joined: the result is then longer than that, and not whole.
    #[must_use]
    pub fn header_joined(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut values = self.headers.iter().filter(|(n, _)| *n == name.as_bytes());
        let first = values.next()?.1.trim_ascii();
        let mut joined = Cow::Borrowed(first);
        for (_, value) in values {
            if joined.len() > MAX_VALUE {
                break;
            }
            let value = value.trim_ascii();
            let all = joined.to_mut();
            all.extend_from_slice(b", ");
            all.extend_from_slice(value.get(..MAX_VALUE).unwrap_or(value));
        }
        Some(joined)
    }

    /// The method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.header(":method").unwrap_or_default()
    }

    /// Whether nobody has seen what the request asks for: a preflight, or a prefetch.
    pub(crate) fn is_quiet(&self) -> bool {
        let purpose = |(name, value): &(&[u8], &[u8])| match name.len() {
            7 => same(name, b"purpose") && value.starts_with(b"prefetch"),
            11 => same(name, b"sec-purpose") && value.starts_with(b"prefetch"),
            _ => false,
        };
        self.headers.iter().any(purpose) || self.is_preflight()
    }

    /// Whether the request is a browser's question whether it may send another one (CORS).
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.method() == b"OPTIONS" && self.header("access-control-request-method").is_some()
    }

    /// Whether a browser keeps a cookie with `Secure`: the client came by HTTPS, or to its own machine. A proxy
    /// that does not say how is taken to be behind TLS.
    pub(crate) fn keeps_secure_cookies(&self) -> bool {
        let forwarded = self.header("x-forwarded-proto").or_else(|| self.header(":scheme"));
        let scheme = forwarded.and_then(|list| list.split(|byte| *byte == b',').next());
        let is_plain = scheme.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"http"));
        let host = self.host();
        !is_plain
            || matches!(host, b"localhost" | b"[::1]")
            || host.starts_with(b"127.")
            || host.ends_with(b".localhost")
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

    /// The path as sent, without query and fragment.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        let whole = self.path_and_query();
        let end = whole.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(whole.len());
        whole.get(..end).unwrap_or_default()
    }

    /// The path as targeting compares it: without query and fragment, `.` and `..` resolved, runs of
    /// slashes made one, `\` taken for `/`, escapes of unreserved characters decoded and other escapes in
    /// upper case (RFC 3986, 6.2.2). Empty for a path of more than 8 kB.
    #[must_use]
    pub fn normal_path(&self) -> &[u8] {
        self.path.get_or_init(|| {
            let path = self.path();
            if path.len() > MAX_PATH { Cow::Borrowed(&[]) } else { normal::path(path) }
        })
    }

    /// The host as targeting compares it, but for upper case: without port, user information and a
    /// trailing dot.
    #[must_use]
    pub fn host(&self) -> &'a [u8] {
        normal::host(self.authority())
    }

    /// Host and port as sent.
    #[must_use]
    pub fn authority(&self) -> &'a [u8] {
        self.header(":authority").or_else(|| self.header("host")).unwrap_or_default()
    }

    /// The first cookie `name` whose value is UTF-8, not empty and at most
    /// [`MAX_VALUE`] bytes; the value as sent (RFC 6265, 5.4: no decoding, quotes
    /// belong to it). All `cookie` lines are read.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        let mut length = 0_usize;
        for (_, line) in self.headers.iter().filter(|(n, _)| *n == b"cookie") {
            length = length.saturating_add(line.len());
            if length > LONG {
                return self.indexed_cookie(name);
            }
            let mut rest = Some(*line);
            while let Some(line) = rest {
                let pair = line.trim_ascii_start();
                // Names have no semicolon, so what begins with one has it before the pair's end.
                let value = after_name(pair, name.as_bytes());
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

    #[inline(never)]
    fn indexed_cookie(&self, name: &str) -> Option<&'a str> {
        let lines = || self.header_values("cookie");
        let index = self.cookies.get_or_init(|| Index::new(Syntax::Cookie, lines()));
        index.find(Syntax::Cookie, lines(), name).and_then(usable)
    }

    /// The query, without `?` and fragment; `None` without one.
    pub(crate) fn raw_query(&self) -> Option<&'a [u8]> {
        *self.query_text.get_or_init(|| {
            let whole = self.path_and_query();
            let start = whole.iter().position(|b| *b == b'?')?.saturating_add(1);
            whole.get(start..)?.split(|b| *b == b'#').next()
        })
    }

    /// The first query parameter `name` that has a value, percent-decoded, `+` as a blank
    /// (WHATWG URL, form decoding); empty if it is there without a value. The first 1,500 are read.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'a, str>> {
        let query = self.raw_query()?;
        if query.len() > LONG {
            let lines = || std::iter::once(query);
            let index = self.query.get_or_init(|| Index::new(Syntax::Query, lines()));
            return percent_decoded(index.find(Syntax::Query, lines(), name)?);
        }
        let mut found = None;
        for pair in query.split(|b| *b == b'&') {
            let (key, value) = Syntax::Query.parts(pair);
            if Syntax::Query.names(key, name.as_bytes())
                && let Some(value) = percent_decoded(value)
            {
                if !value.trim_ascii().is_empty() {
                    return Some(value);
                }
                found.get_or_insert(value);
            }
        }
        found
    }

    /// Calls `see` with every value of the query parameter `name`.
    pub(crate) fn each_parameter(&self, name: &str, mut see: impl FnMut(&[u8])) {
        let query = self.raw_query().unwrap_or_default();
        let pairs = query.split(|b| *b == b'&').take(MAX_PARAMETERS);
        for (key, value) in pairs.map(|pair| Syntax::Query.parts(pair)) {
            if Syntax::Query.names(key, name.as_bytes())
                && let Some(value) = percent_decoded(value)
            {
                see(value.as_bytes());
            }
        }
    }

    /// Calls `see` with every value of the cookie `name`.
    pub(crate) fn each_cookie(&self, name: &str, mut see: impl FnMut(&[u8])) {
        for line in self.header_values("cookie") {
            for (key, value) in line.split(|b| *b == b';').map(|pair| Syntax::Cookie.parts(pair)) {
                if key == name.as_bytes() {
                    see(value);
                }
            }
        }
    }

    /// The client's address: the entry of `x-forwarded-for` that `trusted_hops`
    /// proxies in front of this one left behind, counted from the right. A port behind it is not looked at; an
    /// IPv4-mapped IPv6 address is the IPv4 one.
    #[must_use]
    pub fn client_address(&self, trusted_hops: u8) -> Option<IpAddr> {
        let lines = self.headers.iter().rev().filter(|(n, _)| *n == b"x-forwarded-for");
        let mut entries = lines.flat_map(|(_, line)| line.rsplit(|b| *b == b','));
        let text = std::str::from_utf8(entries.nth(usize::from(trusted_hops))?.trim_ascii()).ok()?;
        let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
                good.then_some(address)?
            }
            None => match text.split_once(':') {
                Some((address, port)) if is_port(port) && address.contains('.') => address,
                _ => text,
            },
        };
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }

    /// The claim `claim` (a string or a whole number) of the base64url JSON in
    /// the header `header`: of its first value that has it. The proxy has verified it, or it means nothing.
    #[must_use]
    pub fn jwt_claim(&self, header: &str, claim: &str) -> Option<String> {
        let mut asked = self.claims.borrow_mut();
        if let Some((.., known)) = asked.iter().find(|(of, name, _)| of == header && name == claim) {
            return known.clone();
        }
        let value = self.header_values(header).find_map(|value| self.claim(value.trim_ascii(), claim));
        asked.push((header.to_owned(), claim.to_owned(), value.clone()));
        value
    }

    fn claim(&self, payload: &'a [u8], claim: &str) -> Option<String> {
        let mut read = self.jwts.borrow_mut();
        let known = read.iter().position(|(value, _)| std::ptr::eq(*value, payload));
        let known = known.unwrap_or_else(|| {
            let may = spend(&self.decoded, payload.len(), MAX_JWT);
            read.push((payload, if may { claims(payload) } else { None }));
            read.len().saturating_sub(1)
        });
        match read.get(known)?.1.as_ref()?.field(claim)? {
            Value::Text(text) if usable(text.as_bytes()).is_some() => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Whether `bytes` more are within `most`; if so, they are counted.
fn spend(spent: &Cell<usize>, bytes: usize, most: usize) -> bool {
    let all = spent.get().saturating_add(bytes);
    let may = all <= most;
    if may {
        spent.set(all);
    }
    may
}

fn claims(payload: &[u8]) -> Option<Document> {
    let unpadded = payload.strip_suffix(b"==").or_else(|| payload.strip_suffix(b"="));
    let json = Base64UrlUnpadded::decode_vec(std::str::from_utf8(unpadded.unwrap_or(payload)).ok()?).ok()?;
    Document::from_json(&json).ok()
}

/// What is before the first semicolon, and what is after it. Looks at eight bytes at a time: cookies are
/// the longest text that every request has searched.
pub(crate) fn split_at_semicolon(line: &[u8]) -> (&[u8], Option<&[u8]>) {
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
    String::from_utf8(form_decoded(raw).collect()).ok().map(Cow::Owned)
}

/// The bytes of `raw` by form decoding.
pub(crate) fn form_decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    escapes(raw).map(|(byte, escaped)| if byte == b'+' && !escaped { b' ' } else { byte })
}

/// Percent-escapes decoded; what only looks like one stays.
pub(crate) fn decoded(raw: &[u8]) -> Vec<u8> {
    escapes(raw).map(|(byte, _)| byte).collect()
}

/// Each byte with its percent-escape decoded, and whether it was escaped.
pub(crate) fn escapes(raw: &[u8]) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let escape = if *first == b'%' { tail.split_first_chunk::<2>() } else { None };
        let escape = escape.and_then(|(hex, after)| hex_byte(*hex).map(|byte| (byte, after)));
        rest = escape.map_or(tail, |(_, after)| after);
        Some(escape.map_or((*first, false), |(byte, _)| (byte, true)))
    })
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
    fn a_cookie_is_found_behind_any_number_of_others() {
        for others in [0, 64, 600, 10_000] {
            let mut line = "x=1; ".repeat(others);
            line.push_str("uid=; uid=late; uid=later");
            let headers = pairs(&[("cookie", b"a=b"), ("cookie", line.as_bytes()), ("cookie", b"last=z")]);
            let view = RequestView::new(&headers);
            assert_eq!(view.cookie("uid"), Some("late"), "{others}");
            assert_eq!(view.cookie("a"), Some("b"), "{others}");
            assert_eq!(view.cookie("last"), Some("z"), "{others}");
            assert_eq!(view.cookie("la"), None, "{others}");
        }
        let long = format!("uid={}", "a".repeat(MAX_VALUE + 1));
        let headers = pairs(&[("cookie", long.as_bytes())]);
        assert_eq!(RequestView::new(&headers).cookie("uid"), None);
    }

    /// One rule for all sources: the first value that can identify a unit.
    #[test]
    fn the_first_usable_value_counts_in_every_source() {
        for padding in [0, 1_400] {
            let path = format!("/?{}uid=&uid=%ff&uid=u1&uid=u2&e&f=+", "x&".repeat(padding));
            let headers = pairs(&[(":path", path.as_bytes()), ("x", b" "), ("x", b"\xff"), ("x", b"u1")]);
            let view = RequestView::new(&headers);
            assert_eq!(view.query("uid").as_deref(), Some("u1"), "{padding}");
            assert_eq!(view.query("e").as_deref(), Some(""), "{padding}");
            assert_eq!(view.query("f").as_deref(), Some(" "), "{padding}");
            assert_eq!(view.query("g"), None, "{padding}");
            assert_eq!(view.header_text("x"), Some("u1"));
        }
    }

    #[test]
    fn addresses_may_have_ports() {
        for (entry, address) in [
            ("203.0.113.7:51234", Some("203.0.113.7")),
            ("203.0.113.7", Some("203.0.113.7")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("[::ffff:203.0.113.7]:80", Some("203.0.113.7")),
            ("203.0.113.7:x", None),
            ("203.0.113.7:80:80", None),
            ("[2001:db8::1]x", None),
            ("unknown", None),
            ("", None),
        ] {
            let headers = pairs(&[("x-forwarded-for", entry.as_bytes())]);
            let found = RequestView::new(&headers).client_address(0);
            assert_eq!(found.map(|found| found.to_string()).as_deref(), address, "{entry}");
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
        for (authority, host) in [
            ("a.example:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("a", "a"),
            ("a.example.", "a.example"),
            ("a.example.:443", "a.example"),
            ("user:word@a.example:80", "a.example"),
        ] {
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

    #[test]
    fn the_jwts_of_a_request_have_one_limit() {
        let filler = "x".repeat(4_000);
        let of = |claim: &str, filler: &str| {
            Base64UrlUnpadded::encode_string(format!("{{\"{claim}\":1,\"filler\":\"{filler}\"}}").as_bytes())
        };
        let values = [of("first", &filler), of("second", &filler), of("small", "")];
        let lines: Vec<(&str, &[u8])> = values.iter().map(|value| ("x-jwt", value.as_bytes())).collect();
        let headers = pairs(&lines);
        let view = RequestView::new(&headers);
        for (claim, found) in [("first", true), ("second", false), ("small", true), ("first", true)] {
            assert_eq!(view.jwt_claim("x-jwt", claim).is_some(), found, "{claim}");
        }
    }
}
