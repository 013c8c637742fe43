//! Requests without their QA tokens.

use crate::plan::Plan;
use crate::request::{RequestView, Syntax};

/// A request without its tokens: what has to be changed for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithoutTokens<'p> {
    /// A header that carried some.
    pub header: Option<&'p str>,
    /// The `cookie` lines that are left, if cookies carried some.
    pub cookies: Option<Vec<Vec<u8>>>,
    /// Path and query, if the query carried some.
    pub path: Option<Vec<u8>>,
}

impl Plan {
    /// What has to be changed to take the QA tokens off `request`; `None` if it carries none. All else stays byte for
    /// byte.
    #[must_use]
    pub fn without_tokens(&self, request: &RequestView<'_>) -> Option<WithoutTokens<'_>> {
        let policy = self.tokens.as_ref().filter(|policy| policy.is_carried(request))?;
        let header = policy.header.as_deref().filter(|name| request.header(name).is_some());
        let cookie = policy.cookie.as_deref();
        let query = policy.query.as_deref();
        Some(WithoutTokens {
            header,
            cookies: cookie.and_then(|name| cookies_without(request, name)),
            path: query.and_then(|name| path_without(request.path_and_query(), name)),
        })
    }
}

/// The cookie lines without the cookie `name`; `None` if it is not there.
fn cookies_without(request: &RequestView<'_>, name: &str) -> Option<Vec<Vec<u8>>> {
    let mut found = false;
    let lines = request.header_values("cookie").map(|line| {
        let (rest, removed) = without(line, b';', |pair| Syntax::Cookie.parts(pair).0 == name.as_bytes());
        found |= removed;
        if removed { rest.trim_ascii().to_vec() } else { rest }
    });
    let lines: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).collect();
    found.then_some(lines)
}

/// Path and query without the parameter `name`; `None` if it is not there.
fn path_without(path_and_query: &[u8], name: &str) -> Option<Vec<u8>> {
    let start = path_and_query.iter().position(|byte| *byte == b'?')?;
    let (path, query) = path_and_query.split_at_checked(start)?;
    let query = query.get(1..)?;
    let end = query.iter().position(|byte| *byte == b'#').unwrap_or(query.len());
    let (query, fragment) = query.split_at_checked(end)?;
    let is_token = |pair: &[u8]| Syntax::Query.names(Syntax::Query.parts(pair).0, name.as_bytes());
    let (query, removed) = without(query, b'&', is_token);
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    removed.then(|| [path, mark, &query, fragment].concat())
}

/// The text without the pairs that are to go, and whether there were any.
fn without(text: &[u8], separator: u8, goes: impl Fn(&[u8]) -> bool) -> (Vec<u8>, bool) {
    let mut rest = Vec::with_capacity(text.len());
    let mut removed = false;
    let mut first = true;
    for pair in text.split(|byte| *byte == separator) {
        if goes(pair) {
            removed = true;
            continue;
        }
        if !first {
            rest.push(separator);
        }
        first = false;
        rest.extend_from_slice(pair);
    }
    (rest, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_without_tokens_is_as_it_was() {
        for (sent, left) in [
            ("/a?qa=t", Some("/a")),
            ("/a?x=%2F&qa=t&y=+#f", Some("/a?x=%2F&y=+#f")),
            ("/a?qa=t&x", Some("/a?x")),
            ("/a?q%61=t&qa&&x", Some("/a?&x")),
            ("/a?qab=t", None),
            ("/a", None),
        ] {
            let without = path_without(sent.as_bytes(), "qa");
            assert_eq!(without.as_deref(), left.map(str::as_bytes), "{sent}");
        }
        let headers: [(&[u8], &[u8]); 3] =
            [(b"cookie", b"a=1; qa=t; b=\xff "), (b"cookie", b"qa=t"), (b"cookie", b" c=3")];
        let left = cookies_without(&RequestView::new(&headers), "qa").unwrap();
        assert_eq!(left, [b"a=1; b=\xff".to_vec(), b" c=3".to_vec()]);
        assert_eq!(cookies_without(&RequestView::new(&headers), "d"), None);
    }
}
