//! Cookies and query parameters, by name.

use std::borrow::Cow;

use super::pairs::{Index, Syntax};
#[cfg(doc)]
use super::text::MAX_VALUE;
use super::text::{MAX_PARAMETERS, after_name, percent_decoded, split_at_semicolon, usable};
use super::view::RequestView;

/// Cookies and queries up to this length, in bytes, are searched anew for each name; longer ones are
/// indexed once, so that a long request does not cost its length times the names that a config asks for.
const LONG: usize = 2048;

impl<'a> RequestView<'a> {
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
}
