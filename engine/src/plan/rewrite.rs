//! Another path: prefixes and patterns, and what must not be rewritten.

use std::borrow::Cow;

use regex_lite::Regex;

use crate::request::{MAX_VALUE, RequestView, decoded, normal};

/// Longest path that a regular expression may make, in bytes.
const MAX_REPLACED: usize = 8192;

/// How many slashes of a replacement's fixed part are looked at for what a path was before.
const MAX_ORIGINS: usize = 8;

/// Another path.
#[derive(Clone, Debug)]
pub(crate) enum PathRewrite {
    /// Another beginning. Both without a trailing `/`, so the root is empty.
    Prefix { prefix: Box<str>, replacement: Box<str> },
    /// The first match of `regex` in the path replaced.
    Regex { regex: Box<Regex>, replacement: Box<str> },
}

/// Answers with another path of the same host.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) path: PathRewrite,
    pub(crate) status: u16,
}

/// What a redirect comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirection {
    /// No redirect, or not for this request.
    None,
    /// An answer with this status and `location`, a path with its query.
    To(u16, Vec<u8>),
    /// Not safe to do: as [`Rewrite::Refused`], or the target would be redirected
    /// again.
    Refused,
}

/// What a path rewrite comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// No rewrite, or not for this path.
    None,
    /// The new path and query.
    To(Vec<u8>),
    /// The request's path is one that must not be rewritten: it could leave
    /// the prefix (`..`, `\`) or change the authority (`//`).
    Refused,
}

impl PathRewrite {
    /// The rewrite of `path_and_query`.
    pub(crate) fn apply(&self, path_and_query: &[u8]) -> Rewrite {
        if !path_and_query.starts_with(b"/") {
            return Rewrite::None;
        }
        match self {
            Self::Prefix { prefix, replacement } => replace_prefix(path_and_query, prefix, replacement),
            Self::Regex { regex, replacement } => replace_match(path_and_query, regex, replacement),
        }
    }
}

fn replace_prefix(path_and_query: &[u8], prefix: &str, replacement: &str) -> Rewrite {
    // A path that comes back as it was rewritten is not rewritten again.
    if replacement.len() > prefix.len()
        && replacement.starts_with(prefix)
        && below(path_and_query, replacement).is_some()
    {
        return Rewrite::None;
    }
    let Some(rest) = below(path_and_query, prefix) else {
        // Spelt otherwise it is below the prefix, and targeting took it for such.
        let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
        return match normal::path(path) {
            Cow::Owned(path) if below(&path, prefix).is_some() => Rewrite::Refused,
            _ => Rewrite::None,
        };
    };
    if !is_plain(rest) {
        return Rewrite::Refused;
    }
    let mut path = Vec::with_capacity(replacement.len().saturating_add(rest.len()).saturating_add(1));
    path.extend_from_slice(replacement.as_bytes());
    if path.is_empty() && rest.first() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(rest);
    Rewrite::To(path)
}

/// What follows the prefix, if it ends at a segment.
fn below<'p>(path_and_query: &'p [u8], prefix: &str) -> Option<&'p [u8]> {
    let rest = path_and_query.strip_prefix(prefix.as_bytes())?;
    matches!(rest.first(), None | Some(b'/' | b'?' | b'#')).then_some(rest)
}

fn replace_match(path_and_query: &[u8], regex: &Regex, replacement: &str) -> Rewrite {
    let end = path_and_query.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path_and_query.len());
    let Some((path, query)) = path_and_query.split_at_checked(end) else { return Rewrite::None };
    if path.len() > MAX_VALUE {
        return Rewrite::None;
    }
    let Ok(path) = std::str::from_utf8(path) else { return Rewrite::None };
    let replaced = regex.replace(path, replacement);
    // A path that comes back as it was rewritten is not rewritten again.
    if replaced == path || is_result(path, regex, replacement) {
        return Rewrite::None;
    }
    // Both: what was there may not be smuggled past, what came out may not lead away.
    let safe = |path: &str| path.starts_with('/') && is_plain(path.as_bytes());
    if !safe(path)
        || !safe(&replaced)
        || replaced.contains(['?', '#'])
        || replaced.len() > MAX_REPLACED
        || !is_plain(query)
    {
        return Rewrite::Refused;
    }
    let mut whole = replaced.into_owned().into_bytes();
    whole.extend_from_slice(query);
    Rewrite::To(whole)
}

/// Whether the rewrite itself makes `path` from another one: from `path` with a shorter text in place
/// of a fixed part of the replacement. Each candidate is rewritten to see whether `path` comes out, so
/// text that the client wrote is not mistaken for such a part.
fn is_result(path: &str, regex: &Regex, replacement: &str) -> bool {
    replacement.split('$').enumerate().any(|(index, part)| {
        let literal = if index == 0 { part } else { behind_name(part) };
        let mut windows = path.as_bytes().windows(literal.len().max(1));
        let Some(at) = windows.position(|window| window == literal.as_bytes()) else { return false };
        let cuts = literal.bytes().enumerate().filter(|(_, byte)| *byte == b'/').take(MAX_ORIGINS);
        let mut parts = vec![literal_start(regex.as_str()), ""];
        for (cut, _) in cuts {
            parts.extend(literal.get(cut..));
            parts.extend(literal.get(..=cut));
        }
        parts.iter().any(|part| {
            let mut origin = path.to_owned();
            origin.replace_range(at..at.saturating_add(literal.len()), part);
            origin.len() < path.len() && regex.replace(&origin, replacement) == path
        })
    })
}

/// What follows the name of a group in a replacement.
fn behind_name(part: &str) -> &str {
    match part.strip_prefix('{') {
        Some(braced) => braced.split_once('}').map_or("", |(_, literal)| literal),
        None => part.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphanumeric()),
    }
}

/// The text that every match begins with, as far as it is written plainly.
fn literal_start(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let end = pattern.find(|c: char| !matches!(c, '/' | '-' | '_') && !c.is_ascii_alphanumeric());
    let (literal, rest) = pattern.split_at_checked(end.unwrap_or(pattern.len())).unwrap_or_default();
    // What may be repeated or left out is no part of it.
    let shorter = literal.get(..literal.len().saturating_sub(1)).unwrap_or_default();
    if rest.starts_with(['*', '?', '{']) { shorter } else { literal }
}

impl PathRewrite {
    /// The path that was replaced by `path_and_query`, if that can be known.
    pub(crate) fn undo(&self, path_and_query: &[u8]) -> Option<Vec<u8>> {
        let Self::Prefix { prefix, replacement } = self else { return None };
        // Where nothing stands for the prefix, one that is there was put there for the client.
        if replacement.is_empty() && below(path_and_query, prefix).is_some() {
            return None;
        }
        let rest = below(path_and_query, replacement)?;
        let slash: &[u8] = if prefix.is_empty() && rest.first() != Some(&b'/') { b"/" } else { b"" };
        Some([prefix.as_bytes(), slash, rest].concat())
    }
}

impl Redirect {
    pub(crate) fn apply(&self, request: &RequestView<'_>) -> Redirection {
        // A client repeats a 302 as a GET, whatever it sent.
        if self.status != 307 && !matches!(request.method(), b"GET" | b"HEAD") {
            return Redirection::None;
        }
        match self.path.apply(request.path_and_query()) {
            Rewrite::None => Redirection::None,
            Rewrite::To(path) if self.path.apply(&path) == Rewrite::None => {
                Redirection::To(self.status, path)
            }
            Rewrite::To(_) | Rewrite::Refused => Redirection::Refused,
        }
    }
}

/// Whether what follows the prefix stays below it, in every reading of it:
/// servers decode before or after they split, take `\` for `/`, and cut off what
/// follows `;` or `#`.
fn is_plain(rest: &[u8]) -> bool {
    let safe_bytes = rest.iter().all(|b| *b > 0x20 && *b != 0x7f && *b != b'\\');
    let path = decoded(rest.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default());
    let leaves =
        |segment: &[u8]| segment.strip_prefix(b"..").is_some_and(|tail| matches!(tail, [] | [b';', ..]));
    let two_separators = path.starts_with(b"//");
    safe_bytes && !two_separators && !path.contains(&b'\\') && !path.split(|b| *b == b'/').any(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(prefix: &str, replacement: &str, path: &str) -> Rewrite {
        PathRewrite::Prefix { prefix: prefix.into(), replacement: replacement.into() }.apply(path.as_bytes())
    }

    fn to(path: &str) -> Rewrite {
        Rewrite::To(path.as_bytes().to_vec())
    }

    #[test]
    fn prefixes_are_replaced_at_segments() {
        assert_eq!(rewrite("/checkout", "/v2", "/checkout/a?x=1"), to("/v2/a?x=1"));
        assert_eq!(rewrite("/checkout", "/v2", "/checkout?x=/../"), to("/v2?x=/../"));
        assert_eq!(rewrite("/checkout", "/v2", "/checkouts"), Rewrite::None);
        assert_eq!(rewrite("/checkout", "/v2", "/other"), Rewrite::None);
        assert_eq!(rewrite("/checkout", "", "/checkout"), to("/"));
        assert_eq!(rewrite("/checkout", "", "/checkout?a"), to("/?a"));
        assert_eq!(rewrite("", "/v2", "/a"), to("/v2/a"));
        assert_eq!(rewrite("", "/v2", "*"), Rewrite::None);
        // Once.
        assert_eq!(rewrite("", "/v2", "/v2/a?b"), Rewrite::None);
        assert_eq!(rewrite("/a", "/a/b", "/a/b/c"), Rewrite::None);
        assert_eq!(rewrite("", "/v2", "/v20"), to("/v2/v20"));
        // Targeting takes these for what is below the prefix.
        assert_eq!(rewrite("/checkout", "/v2", "/%63heckout/a"), Rewrite::Refused);
        assert_eq!(rewrite("/checkout", "/v2", "//checkout"), Rewrite::Refused);
        assert_eq!(rewrite("/checkout", "/v2", "/a/../b"), Rewrite::None);
    }

    fn by_regex(pattern: &str, replacement: &str) -> PathRewrite {
        PathRewrite::Regex { regex: Box::new(Regex::new(pattern).unwrap()), replacement: replacement.into() }
    }

    #[test]
    fn matches_are_replaced() {
        let rewrite = by_regex("^/p/([0-9]+)$", "/products/$1");
        assert_eq!(rewrite.apply(b"/p/17?x=/p/1"), to("/products/17?x=/p/1"));
        assert_eq!(rewrite.apply(b"/p/a"), Rewrite::None);
        assert_eq!(rewrite.apply(b"/p/\xff"), Rewrite::None);
        let anything = by_regex("^/r/(.*)$", "/$1");
        for path in [
            "/r//evil.example",
            "/r/../a",
            "/r/%2e%2e/a",
            "/r/%2fevil.example",
            "/r/a\\b",
            "/r/a%5Cb",
            "/r/a\rb",
        ] {
            assert_eq!(anything.apply(path.as_bytes()), Rewrite::Refused, "{path}");
        }
        assert_eq!(by_regex("^/r/", "").apply(b"/r/evil.example/"), Rewrite::Refused);
        assert_eq!(by_regex("^/r", "/?").apply(b"/r"), Rewrite::Refused);
    }

    #[test]
    fn a_match_is_replaced_once() {
        for (pattern, replacement, path, expected) in [
            ("^/(.*)$", "/v2/$1", "/a", "/v2/a"),
            ("^/(.*)$", "/v2/${1}", "/v2beta", "/v2/v2beta"),
            ("^(/.*)$", "/v2$1", "/a", "/v2/a"),
            ("^(/.*)$", "/v2$1", "/v2beta", "/v2/v2beta"),
            ("^/", "/v2/", "/a", "/v2/a"),
            ("^/a", "/a/a", "/a/x", "/a/a/x"),
            ("^/checkout-(.*)$", "/checkout-new-$1", "/checkout-a", "/checkout-new-a"),
            ("^/(en|de)/(.*)$", "/$1/v2/$2", "/en/a", "/en/v2/a"),
            ("^(/.*)$", "$1/v2", "/a", "/a/v2"),
            ("/shop", "/shop/v2", "/en/shop/a", "/en/shop/v2/a"),
            ("^/shop/([0-9]+)/.*$", "/shop/$1", "/shop/12/blue", "/shop/12"),
            ("^/products?/(.*)$", "/products/v2/$1", "/product/a", "/products/v2/a"),
        ] {
            let rewrite = by_regex(pattern, replacement);
            assert_eq!(rewrite.apply(path.as_bytes()), to(expected), "{pattern} on {path}");
            assert_eq!(rewrite.apply(expected.as_bytes()), Rewrite::None, "{pattern} on {expected}");
            let query = format!("{expected}?x=/v2/");
            assert_eq!(rewrite.apply(query.as_bytes()), Rewrite::None, "{pattern} on {query}");
        }
    }

    #[test]
    fn redirects_end() {
        let headers: [(&[u8], &[u8]); 2] = [(b":method", b"GET"), (b":path", b"/a?q")];
        let get = RequestView::new(&headers);
        let headers: [(&[u8], &[u8]); 2] = [(b":method", b"POST"), (b":path", b"/a?q")];
        let post = RequestView::new(&headers);
        let swapped: [(&[u8], &[u8]); 2] = [(b":method", b"GET"), (b":path", b"/a/b")];
        let prefix = |prefix: &str, replacement: &str| PathRewrite::Prefix {
            prefix: prefix.into(),
            replacement: replacement.into(),
        };
        let redirect = |path, status| Redirect { path, status };
        let there = |status| Redirection::To(status, b"/b?q".to_vec());
        assert_eq!(redirect(prefix("/a", "/b"), 302).apply(&get), there(302));
        assert_eq!(redirect(prefix("/a", "/b"), 302).apply(&post), Redirection::None);
        assert_eq!(redirect(prefix("/a", "/b"), 307).apply(&post), there(307));
        // Without an end, a browser gives up with an error.
        let swap = || by_regex("^/([a-z]*)/([a-z]*)$", "/$2/$1");
        assert_eq!(redirect(swap(), 302).apply(&RequestView::new(&swapped)), Redirection::Refused);
        assert_eq!(redirect(prefix("", "/v2"), 302).apply(&get), Redirection::To(302, b"/v2/a?q".to_vec()));
        assert_eq!(
            redirect(by_regex("^/", "/v2/"), 302).apply(&get),
            Redirection::To(302, b"/v2/a?q".to_vec())
        );
        assert_eq!(
            redirect(by_regex("^/a", "/a/a"), 302).apply(&get),
            Redirection::To(302, b"/a/a?q".to_vec())
        );
    }

    #[test]
    fn nothing_leaves_the_prefix_or_changes_the_authority() {
        for path in [
            "/checkout//evil.example",
            "/checkout/../admin",
            "/checkout/%2e%2E/admin",
            "/checkout/.%2e",
            "/checkout/a\\b",
            "/checkout/a\r\nb",
            "/checkout/..;/a",
            "/checkout/..%2fadmin",
            "/checkout/a%5C..",
            "/checkout/%2fevil.example",
            "/checkout/..#",
        ] {
            assert_eq!(rewrite("/checkout", "", path), Rewrite::Refused, "{path}");
        }
    }
}
