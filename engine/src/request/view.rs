//! A request as the engine sees it: header bytes, looked into only when asked.
//!
//! Headers are bytes and stay bytes. What is needed as text and is not UTF-8
//! counts as absent. Nothing is parsed in advance: most requests are asked for
//! one cookie.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};

use splitway_document::Document;

use super::entropy::Entropy;
use super::normal;
use super::pairs::Index;
use super::text::{MAX_VALUE, same, usable};
use super::tripped::Tripped;

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
    pub(super) headers: HeaderPairs<'a>,
    entropy: Option<&'a dyn Entropy>,
    tripped: Option<&'a Tripped>,
    path: OnceCell<Cow<'a, [u8]>>,
    pub(super) cookies: OnceCell<Index>,
    pub(super) query_text: OnceCell<Option<&'a [u8]>>,
    pub(super) query: OnceCell<Index>,
    /// Payloads by the header values that hold them.
    pub(super) jwts: RefCell<Vec<(&'a [u8], Option<Document>)>>,
    /// What was asked of them: header, claim, answer.
    pub(super) claims: RefCell<Vec<(String, String, Option<String>)>>,
    pub(super) decoded: Cell<usize>,
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
}

/// Whether `bytes` more are within `most`; if so, they are counted.
pub(super) fn spend(spent: &Cell<usize>, bytes: usize, most: usize) -> bool {
    let all = spent.get().saturating_add(bytes);
    let may = all <= most;
    if may {
        spent.set(all);
    }
    may
}
