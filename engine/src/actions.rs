//! What an assignment does to the request and the response.
//!
//! Where two experiments want the same single-valued thing (cluster, host,
//! path, a header), the one whose id sorts first wins, so that the order of the
//! document does not matter. `compile` warns where two route by the same means.

use std::borrow::Cow;

use crate::decide::Decision;
use crate::plan::{Plan, Variant};
use crate::view::{RequestView, decoded};

/// A variant's actions, ready to be applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct VariantActions {
    pub(crate) cluster: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) path: Option<PathRewrite>,
    pub(crate) request_headers: Box<[HeaderChange]>,
    pub(crate) response_headers: Box<[HeaderChange]>,
}

/// A change to one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// Replace all values, or create.
    Set(Box<str>, Box<str>),
    /// Append a value.
    Add(Box<str>, Box<str>),
    /// Remove all values.
    Remove(Box<str>),
}

/// Replaces the beginning of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathRewrite {
    /// Without a trailing `/`, so the root is empty.
    pub(crate) prefix: Box<str>,
    /// Without a trailing `/`.
    pub(crate) replacement: Box<str>,
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

impl Plan {
    /// The cluster that the decision routes to.
    #[must_use]
    pub fn cluster(&self, decision: &Decision) -> Option<&str> {
        self.assigned(decision).find_map(|variant| variant.actions.cluster.as_deref())
    }

    /// The host that the decision routes to.
    #[must_use]
    pub fn host(&self, decision: &Decision) -> Option<&str> {
        self.assigned(decision).find_map(|variant| variant.actions.host.as_deref())
    }

    /// The path that the decision asks for.
    #[must_use]
    pub fn path(&self, decision: &Decision, request: &RequestView<'_>) -> Rewrite {
        self.assigned(decision)
            .filter_map(|variant| variant.actions.path.as_ref())
            .map(|rewrite| rewrite.apply(request.path_and_query()))
            .find(|outcome| *outcome != Rewrite::None)
            .unwrap_or(Rewrite::None)
    }

    /// The value of `x-splitway`: an RFC 9651 dictionary, experiments in order
    /// of their ids. `None` when the unit is in no experiment.
    #[must_use]
    pub fn stamp(&self, decision: &Decision) -> Option<Cow<'_, str>> {
        let mut members = self.assigned(decision).map(|variant| &*variant.stamp);
        let mut stamp = Cow::Borrowed(members.next()?);
        for member in members {
            let all = stamp.to_mut();
            all.push_str(", ");
            all.push_str(member);
        }
        Some(stamp)
    }

    /// Changes to the request's headers, in the order to apply them.
    pub fn request_headers<'p, 'd>(
        &'p self,
        decision: &'d Decision,
    ) -> impl Iterator<Item = &'p HeaderChange> + use<'p, 'd> {
        // Last write wins, so the experiment that sorts first comes last.
        self.assigned(decision).rev().flat_map(|variant| &variant.actions.request_headers)
    }

    /// Changes to the response's headers, in the order to apply them.
    pub fn response_headers<'p, 'd>(
        &'p self,
        decision: &'d Decision,
    ) -> impl Iterator<Item = &'p HeaderChange> + use<'p, 'd> {
        self.assigned(decision).rev().flat_map(|variant| &variant.actions.response_headers)
    }

    fn assigned<'p, 'd>(
        &'p self,
        decision: &'d Decision,
    ) -> impl DoubleEndedIterator<Item = &'p Variant> + use<'p, 'd> {
        decision.assignments.iter().filter_map(|a| self.experiment(a.experiment)?.variant(a.variant))
    }
}

impl PathRewrite {
    /// The rewrite of `path_and_query`.
    pub(crate) fn apply(&self, path_and_query: &[u8]) -> Rewrite {
        let Some(rest) = path_and_query.strip_prefix(self.prefix.as_bytes()) else {
            return Rewrite::None;
        };
        if !path_and_query.starts_with(b"/") || !matches!(rest.first(), None | Some(b'/' | b'?')) {
            return Rewrite::None;
        }
        if !is_plain(rest) {
            return Rewrite::Refused;
        }
        let mut path =
            Vec::with_capacity(self.replacement.len().saturating_add(rest.len()).saturating_add(1));
        path.extend_from_slice(self.replacement.as_bytes());
        if path.is_empty() && rest.first() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(rest);
        Rewrite::To(path)
    }
}

/// Whether what follows the prefix stays below it, in every reading of it:
/// servers decode before or after they split, take `\` for `/`, and cut off what
/// follows `;` or `#`.
fn is_plain(rest: &[u8]) -> bool {
    let is_separator = |b: &u8| matches!(b, b'/' | b'\\');
    let safe_bytes = rest.iter().all(|b| *b > 0x20 && *b != 0x7f && *b != b'\\');
    let path = decoded(rest.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default());
    let leaves =
        |segment: &[u8]| segment.strip_prefix(b"..").is_some_and(|tail| matches!(tail, [] | [b';', ..]));
    let two_separators = path.get(..2).is_some_and(|start| start.iter().all(is_separator));
    safe_bytes && !two_separators && !path.split(is_separator).any(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(prefix: &str, replacement: &str, path: &str) -> Rewrite {
        PathRewrite { prefix: prefix.into(), replacement: replacement.into() }.apply(path.as_bytes())
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
