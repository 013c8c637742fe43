//! What Envoy's listener does with a request before the filter sees it, for the hosts that have
//! no Envoy. `deploy/envoy/bootstrap.yaml` is the reference: it is the edge (`use_remote_address`).

use proxy_wasm_host::Headers;

use super::{Request, Route, Setup, Target};
use crate::wire::{Failing, Upstream};

/// Where all clients of a scenario come from.
const CLIENT: &str = "127.0.0.1";

/// The request's headers as the filter gets them, `x-request-id` left out; or the status with which the proxy
/// rejects the request.
pub(super) fn arrive(request: &Request, setup: &Setup) -> Result<Headers, u16> {
    let mut headers = Headers::new();
    headers.add(":authority", &request.host);
    headers.add(":path", &request.path);
    headers.add(":method", &request.method);
    headers.add(":scheme", "http");
    for (name, value) in &request.headers {
        if name.contains('_') && !setup.allow_underscores {
            return Err(400);
        }
        // The edge sets these itself.
        if !["x-request-id", "x-forwarded-proto"].contains(&name.to_ascii_lowercase().as_str()) {
            headers.add(name, value);
        }
    }
    headers.add("x-forwarded-for", CLIENT);
    headers.add("x-forwarded-proto", "http");
    Ok(headers)
}

/// The first route that takes a request.
pub(super) fn route<'s>(setup: &'s Setup, headers: &Headers) -> Option<&'s Route> {
    let whole = headers.get(":path").unwrap_or_default();
    let path = whole.split(|byte| *byte == b'?').next().unwrap_or_default();
    setup.routes.iter().find(|route| {
        route.path.as_ref().is_none_or(|exact| exact.as_bytes() == path)
            && route.prefix.as_ref().is_none_or(|prefix| whole.starts_with(prefix.as_bytes()))
            && route.headers.iter().all(|(name, value)| headers.get(name) == Some(value.as_bytes()))
    })
}

/// What comes back from the route: status, headers without `:status`, body; and the cluster that it leads to.
pub(super) struct Answer<'s> {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    pub(super) cluster: Option<&'s str>,
    /// The request reached the cluster.
    pub(super) is_reached: bool,
}

/// The answer of route and upstream, as Envoy would give it.
pub(super) fn answer<'s>(setup: &'s Setup, route: Option<&'s Route>) -> Answer<'s> {
    let own = |status: u16, body: &str, cluster: Option<&'s str>, is_reached: bool| {
        let mut headers = Headers::new();
        if !body.is_empty() {
            headers.add("content-length", body.len().to_string());
            headers.add("content-type", "text/plain");
        }
        Answer { status, headers, body: body.as_bytes().to_vec(), cluster, is_reached }
    };
    let Some(route) = route else { return own(404, "", None, false) };
    let cluster = match &route.target {
        Target::Direct(status, body) => return own(*status, body, None, false),
        Target::Cluster(cluster) => cluster,
    };
    let Some(upstream) = setup.clusters.get(cluster) else { return own(503, "", None, false) };
    match upstream.fails {
        Some(Failing::Refuse) => own(503, REFUSED, Some(cluster), false),
        Some(Failing::Reset) => own(503, RESET, Some(cluster), true),
        None => Answer {
            status: upstream.status,
            headers: lines(upstream).into_iter().collect(),
            body: upstream.body.clone().into_bytes(),
            cluster: Some(cluster),
            is_reached: true,
        },
    }
}

const REFUSED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused";
const RESET: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";

/// The header lines that an upstream sends.
pub(super) fn lines(upstream: &Upstream) -> Vec<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    for (name, values) in &upstream.headers {
        for value in values.all() {
            lines.push((name.to_ascii_lowercase(), crate::run::constant(value)));
        }
    }
    lines
}

/// Names and values, without pseudo headers.
pub(super) fn without_pseudo(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .filter(|(name, _)| name.first() != Some(&b':'))
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
        .collect()
}

/// Makes a request's headers what its upstream gets.
pub(super) fn at_upstream(cluster: &str, headers: &Headers, body: Vec<u8>) -> super::AtUpstream {
    let text = |name: &str| headers.text(name).unwrap_or_default();
    super::AtUpstream {
        cluster: cluster.to_owned(),
        method: text(":method"),
        path: text(":path"),
        host: text(":authority"),
        headers: without_pseudo(headers),
        body,
    }
}
