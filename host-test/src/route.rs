//! The route table: which cluster gets a request.

use crate::headers::Headers;
use std::time::Duration;

/// One entry of the route table: conditions, then what to do. The first
/// route whose conditions all hold is taken.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) name: String,
    conditions: Vec<Condition>,
    pub(crate) target: RouteTarget,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) internal_redirects: u32,
}

#[derive(Clone, Debug)]
enum Condition {
    Header(Vec<u8>, Vec<u8>),
    HeaderPresent(Vec<u8>),
    PathPrefix(Vec<u8>),
    PathExact(Vec<u8>),
    Host(Vec<u8>),
}

/// Where a route leads.
#[derive(Clone, Debug)]
pub(crate) enum RouteTarget {
    Cluster(String),
    ClusterHeader(Vec<u8>),
    Direct(u16, Vec<u8>),
}

impl Route {
    /// Requests whose first value of `name` is exactly `value`.
    pub fn header(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Route {
        Route::with(Condition::Header(lower(name), value.as_ref().to_vec()))
    }

    /// Requests that have this header.
    pub fn header_present(name: impl AsRef<[u8]>) -> Route {
        Route::with(Condition::HeaderPresent(lower(name)))
    }

    /// Requests whose path starts with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Route {
        Route::with(Condition::PathPrefix(prefix.as_ref().to_vec()))
    }

    /// Requests whose path, without the query, is exactly `path`.
    pub fn path(path: impl AsRef<[u8]>) -> Route {
        Route::with(Condition::PathExact(path.as_ref().to_vec()))
    }

    /// Requests to this authority.
    pub fn host(host: impl AsRef<[u8]>) -> Route {
        Route::with(Condition::Host(lower(host)))
    }

    /// Every request.
    pub fn any() -> Route {
        Route {
            name: String::new(),
            conditions: Vec::new(),
            target: RouteTarget::Direct(404, Vec::new()),
            timeout: Duration::from_secs(15),
            retries: 0,
            internal_redirects: 0,
        }
    }

    /// Adds the conditions of another route.
    #[must_use]
    pub fn and(mut self, other: Route) -> Route {
        self.conditions.extend(other.conditions);
        self
    }

    /// Leads to a cluster; one that is not known gives 503 `NC`.
    #[must_use]
    pub fn to(mut self, cluster: impl Into<String>) -> Route {
        self.target = RouteTarget::Cluster(cluster.into());
        self
    }

    /// Leads to the cluster that this request header names.
    #[must_use]
    pub fn cluster_header(mut self, header: impl AsRef<[u8]>) -> Route {
        self.target = RouteTarget::ClusterHeader(lower(header));
        self
    }

    /// Answers directly.
    #[must_use]
    pub fn direct_response(mut self, status: u16, body: impl Into<Vec<u8>>) -> Route {
        self.target = RouteTarget::Direct(status, body.into());
        self
    }

    /// The name that `route_name` shows.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Route {
        self.name = name.into();
        self
    }

    /// How long the upstream may take; 15 s at first, as in Envoy. Zero means
    /// for ever.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Route {
        self.timeout = timeout;
        self
    }

    /// Tries again after a 5xx, a refused connection or a reset, this often.
    /// The filter runs once for all attempts.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Route {
        self.retries = retries;
        self
    }

    /// Follows 302 responses inside the proxy, this often. The filter runs
    /// once for each.
    #[must_use]
    pub fn internal_redirects(mut self, redirects: u32) -> Route {
        self.internal_redirects = redirects;
        self
    }

    pub(crate) fn matches(&self, headers: &Headers) -> bool {
        self.conditions.iter().all(|condition| condition.holds(headers))
    }

    /// The cluster it leads to, which a request header may name.
    pub(crate) fn cluster_for(&self, headers: &Headers) -> Option<String> {
        match &self.target {
            RouteTarget::Cluster(cluster) => Some(cluster.clone()),
            RouteTarget::ClusterHeader(name) => headers.text(name),
            RouteTarget::Direct(..) => None,
        }
    }

    fn with(condition: Condition) -> Route {
        Route { conditions: vec![condition], ..Route::any() }
    }
}

impl Condition {
    fn holds(&self, headers: &Headers) -> bool {
        let path = || headers.get(":path").unwrap_or_default();
        match self {
            Condition::Header(name, value) => headers.get(name) == Some(value),
            Condition::HeaderPresent(name) => headers.contains(name),
            Condition::PathPrefix(prefix) => path().starts_with(prefix),
            Condition::PathExact(exact) => path().split(|&byte| byte == b'?').next() == Some(exact),
            Condition::Host(host) => {
                headers.get(":authority").is_some_and(|found| found.eq_ignore_ascii_case(host))
            }
        }
    }
}

fn lower(name: impl AsRef<[u8]>) -> Vec<u8> {
    name.as_ref().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;

    #[test]
    fn conditions() {
        let request = Request::get("/a/b?q=1").header("x-v", "2").headers;
        assert!(Route::prefix("/a").and(Route::header("X-V", "2")).matches(&request));
        assert!(!Route::prefix("/a").and(Route::header("x-v", "3")).matches(&request));
        assert!(Route::path("/a/b").matches(&request));
        assert!(!Route::path("/a").matches(&request));
        assert!(Route::host("EXAMPLE.com").matches(&request));
        assert!(Route::header_present("x-v").matches(&request));
        assert!(Route::any().matches(&request));
    }
}
