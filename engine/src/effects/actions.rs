//! What an assignment does to the request and the response.
//!
//! Two experiments that act on the same single-valued thing (cluster, host, path,
//! redirect, shadow, a header) are never both entered: `decide` drops the one with
//! the lower priority, so what a decision names is what is applied.

use std::borrow::Cow;

use crate::decide::Decision;
use crate::plan::{HeaderChange, Plan, Redirection, Rewrite, Variant};
use crate::request::{RequestView, normal};

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

    /// The path that the decision asks for in place of `path_and_query`.
    #[must_use]
    pub fn path(&self, decision: &Decision, path_and_query: &[u8]) -> Rewrite {
        self.assigned(decision)
            .filter_map(|variant| variant.actions.path.as_ref())
            .map(|rewrite| rewrite.apply(path_and_query))
            .find(|outcome| *outcome != Rewrite::None)
            .unwrap_or(Rewrite::None)
    }

    /// The redirect that the decision asks for; never for a preflight, which browsers do not let be redirected.
    #[must_use]
    pub fn redirect(&self, decision: &Decision, request: &RequestView<'_>) -> Redirection {
        if decision.quiet && request.is_preflight() {
            return Redirection::None;
        }
        let mut redirects = self.assigned(decision).filter_map(|variant| variant.actions.redirect.as_ref());
        redirects
            .find_map(|redirect| {
                Some(redirect.apply(request)).filter(|outcome| *outcome != Redirection::None)
            })
            .unwrap_or(Redirection::None)
    }

    /// The cluster that gets a copy of the request.
    #[must_use]
    pub fn shadow(&self, decision: &Decision) -> Option<&str> {
        self.assigned(decision).find_map(|variant| variant.actions.shadow.as_deref())
    }

    /// The value of `x-splitway`: an RFC 9651 dictionary, experiments in order
    /// of their ids. `None` when the unit is in no experiment.
    #[must_use]
    pub fn stamp(&self, decision: &Decision) -> Option<Cow<'_, str>> {
        joined(&mut self.assigned(decision).map(|variant| &*variant.stamp))
    }

    /// The value of `x-splitway` in the response: as [`Self::stamp`], without the experiments whose stamp
    /// is for the upstream alone.
    #[must_use]
    pub fn response_stamp(&self, decision: &Decision) -> Option<Cow<'_, str>> {
        joined(
            &mut self
                .assigned(decision)
                .filter(|variant| !variant.hides_stamp)
                .map(|variant| &*variant.stamp),
        )
    }

    /// Changes to the request's headers, in the order to apply them.
    pub fn request_headers<'p, 'd>(
        &'p self,
        decision: &'d Decision,
    ) -> impl Iterator<Item = &'p HeaderChange> + use<'p, 'd> {
        self.assigned(decision).flat_map(|variant| &variant.actions.request_headers)
    }

    /// Changes to the response's headers, in the order to apply them.
    pub fn response_headers<'p, 'd>(
        &'p self,
        decision: &'d Decision,
    ) -> impl Iterator<Item = &'p HeaderChange> + use<'p, 'd> {
        self.assigned(decision).flat_map(|variant| &variant.actions.response_headers)
    }

    fn assigned<'p, 'd>(&'p self, decision: &'d Decision) -> impl Iterator<Item = &'p Variant> + use<'p, 'd> {
        let applied = decision.assignments.iter().filter(|assignment| !assignment.withheld);
        applied.filter_map(|a| self.experiment(a.experiment)?.variant(a.variant))
    }
}

/// The URL that a client asked for, where a variant asks for another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The client's host and port.
    pub authority: Vec<u8>,
    /// The client's path and query.
    pub path: Vec<u8>,
    /// The variant's path and query; `None` if it is the client's.
    pub rewritten: Option<Vec<u8>>,
}

impl Plan {
    /// Whether the upstream sees another host or path than the client's, so that its answer may name them.
    #[must_use]
    pub fn changes_url(&self, decision: &Decision) -> bool {
        self.assigned(decision)
            .any(|variant| variant.actions.host.is_some() || variant.actions.path.is_some())
    }

    /// `location`, the response header, as the client knows the URL: the variant's own host is the client's, its prefix
    /// the one that it replaced. `None` if it stays as it is.
    #[must_use]
    pub fn client_location(&self, decision: &Decision, asked: &Asked, location: &[u8]) -> Option<Vec<u8>> {
        let (scheme, authority, path) = url_parts(location)?;
        let is = |host: &[u8]| normal::host(authority).eq_ignore_ascii_case(normal::host(host));
        let is_variants = self.host(decision).is_some_and(|host| is(host.as_bytes()));
        if !authority.is_empty() && !is_variants && !is(&asked.authority) {
            return None;
        }
        let rewrites = self.assigned(decision).filter_map(|variant| variant.actions.path.as_ref());
        let original = asked.rewritten.as_deref().and_then(|rewritten| {
            if path == rewritten {
                return Some(asked.path.clone());
            }
            rewrites.filter_map(|rewrite| rewrite.undo(path)).next()
        });
        if !is_variants && original.is_none() {
            return None;
        }
        let path = original.as_deref().unwrap_or(path);
        // Without a host before it, this would be one.
        if authority.is_empty() && path.starts_with(b"//") {
            return None;
        }
        // The default port of the other scheme is not one of this.
        let own: &[u8] = match scheme.to_ascii_lowercase().as_slice() {
            b"https://" => asked.authority.strip_suffix(b":80").unwrap_or(&asked.authority),
            b"http://" => asked.authority.strip_suffix(b":443").unwrap_or(&asked.authority),
            _ => &asked.authority,
        };
        Some([scheme, if is_variants { own } else { authority }, path].concat())
    }
}

/// Scheme with its slashes, authority, and what follows; the first two may be empty. `None` for a relative path.
fn url_parts(location: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let known: [&[u8]; 3] = [b"https://", b"http://", b"//"];
    let scheme = known.iter().find_map(|scheme| {
        let head = location.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(head)
    });
    let Some(scheme) = scheme else {
        return location.starts_with(b"/").then_some((&[], &[], location));
    };
    let rest = location.get(scheme.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    Some((scheme, authority, path))
}

/// The members of a dictionary in one value; `None` of none.
fn joined<'p>(members: &mut dyn Iterator<Item = &'p str>) -> Option<Cow<'p, str>> {
    let mut stamp = Cow::Borrowed(members.next()?);
    for member in members {
        let all = stamp.to_mut();
        all.push_str(", ");
        all.push_str(member);
    }
    Some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_the_clients_own() {
        let json = br#"{"version":1,"unit":[{"header":"u"}],"experiments":[{"id":"e","variants":[{"id":"on",
            "route":{"host":"v2.local:8080","path":{"prefix":"/shop","replace_prefix":"/v2/shop"}}}]}]}"#;
        let plan = crate::compile(&crate::Document::from_json(json).unwrap()).unwrap();
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/shop/cart?a"), (b"u", b"1")];
        let request = RequestView::new(&headers);
        let decision = plan.decide(&request, crate::Timestamp(0), &mut crate::NoTrace);
        let Rewrite::To(rewritten) = plan.path(&decision, request.path_and_query()) else { panic!() };
        let asked = Asked {
            authority: b"shop.example:80".to_vec(),
            path: request.path_and_query().to_vec(),
            rewritten: Some(rewritten),
        };
        for (location, expected) in [
            ("https://v2.local/v2/shop/cart?a", Some("https://shop.example/shop/cart?a")),
            ("http://V2.local:8080/v2/shop/pay", Some("http://shop.example:80/shop/pay")),
            ("http://v2.local", Some("http://shop.example:80")),
            ("//v2.local/other", Some("//shop.example:80/other")),
            ("https://shop.example/v2/shop/pay", Some("https://shop.example/shop/pay")),
            ("/v2/shop", Some("/shop")),
            ("/v2/shopping", None),
            ("/login", None),
            ("pay", None),
            ("https://shop.example/login", None),
            ("https://elsewhere.example/v2/shop/pay", None),
        ] {
            let found = plan.client_location(&decision, &asked, location.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{location}");
        }
    }
}
