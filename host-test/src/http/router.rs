//! The router: picks a route, asks the upstream, takes its answer.

use super::side::Side;
use super::{Arrival, HttpStream};
use crate::calls::{RESET_BODY, later};
use crate::config::World;
use crate::message::{Message, Request, UpstreamKind, UpstreamRequest, UpstreamResponse};
use crate::refused::{REFUSED_BODY, REFUSED_DETAILS};
use crate::route::{Route, RouteTarget};
use crate::state::LocalResponse;
use crate::vm::Vm;
use std::sync::Arc;

impl Vm {
    /// The request's headers left the filter.
    pub(crate) fn route_request(&mut self, id: u32) {
        let world = Arc::clone(&self.state().world);
        let stream = self.stream(id);
        stream.routed = true;
        let Some(route) = stream.chosen_route(&world) else {
            return self.refuse(id, 404, Vec::new(), "route_not_found", "NR");
        };
        if let RouteTarget::Direct(status, body) = &route.target {
            return self.refuse(id, *status, body.clone(), "direct_response", "");
        }
        let cluster = route.cluster_for(&stream.decode.headers).unwrap_or_default();
        if world.clusters.contains_key(&cluster) {
            stream.cluster = Some(cluster);
        } else {
            self.refuse(id, 503, Vec::new(), "cluster_not_found", "NC");
        }
    }

    fn refuse(&mut self, id: u32, status: u16, body: Vec<u8>, details: &str, flags: &'static str) {
        self.local_response(
            id,
            LocalResponse {
                status: status.into(),
                body,
                details: details.into(),
                flags,
                ..LocalResponse::default()
            },
        );
    }

    /// The request is complete: asks the upstream, or takes its answer if it
    /// has arrived. False when it has not.
    pub(crate) fn take_arrival(&mut self, id: u32) -> bool {
        let now = self.state().shared.now_ns();
        let world = Arc::clone(&self.state().world);
        let stream = self.stream(id);
        let Some((due, _)) = stream.pending else {
            return self.ask_upstream(id, &world);
        };
        if due > now {
            return false;
        }
        match stream.pending.take() {
            Some((_, Arrival::Response(message))) => self.respond(id, &world, message),
            Some((_, Arrival::Failure { status, body, details, flags })) => {
                self.refuse(id, status, body.into(), details, flags);
            }
            Some((_, Arrival::Never)) | None => return false,
        }
        true
    }

    fn ask_upstream(&mut self, id: u32, world: &World) -> bool {
        let now = self.state().shared.now_ns();
        let stream = self.stream(id);
        let (Some(cluster), Some(route)) = (stream.cluster.clone(), stream.chosen_route(world)) else {
            return false;
        };
        let Some(upstream) = world.clusters.get(&cluster) else {
            return false;
        };
        let mut request = UpstreamRequest {
            cluster,
            headers: stream.decode.headers.clone(),
            body: std::mem::take(&mut stream.decode.passed),
            trailers: stream.decode.trailers.clone(),
            attempt: 1,
        };
        stream.asked_ns = now;
        let mut at = now;
        let (due, arrival) = loop {
            let response = upstream(&request);
            let retry = retriable(&response) && request.attempt <= route.retries;
            let (due, arrival) = arrival(response, at, route);
            if !retry {
                stream.attempts.push(request);
                break (due, arrival);
            }
            at = due;
            stream.attempts.push(request.clone());
            request.attempt += 1;
        };
        stream.pending = Some((due, arrival));
        true
    }

    /// The answer of a stream's upstream, from outside.
    pub(crate) fn answer(&mut self, id: u32, response: UpstreamResponse) {
        let now = self.state().shared.now_ns();
        let world = Arc::clone(&self.state().world);
        let stream = self.stream(id);
        if let Some(route) = stream.chosen_route(&world) {
            stream.pending = Some(arrival(response, now, route));
        }
    }

    fn respond(&mut self, id: u32, world: &World, mut message: Message) {
        let now = self.state().shared.now_ns();
        let stream = self.stream(id);
        if let Some(request) = redirect(stream, world, &message) {
            stream.redirect_to = Some(request);
            stream.encode = Side::new(message);
            stream.details = "internal_redirect".into();
            stream.end_ns = None;
            return self.complete(id);
        }
        if world.proxy_headers {
            let milliseconds = now.saturating_sub(stream.asked_ns) / 1_000_000;
            message.headers.set("x-envoy-upstream-service-time", milliseconds.to_string());
        }
        stream.encode = Side::new(message.framed(world.http2));
        stream.details = "via_upstream".into();
    }
}

fn retriable(response: &UpstreamResponse) -> bool {
    match &response.kind {
        UpstreamKind::Response(message) => {
            message.headers.get(":status").is_some_and(|status| status.first() == Some(&b'5'))
        }
        _ => true,
    }
}

fn arrival(response: UpstreamResponse, now: u64, route: &Route) -> (u64, Arrival) {
    let timed = !route.timeout.is_zero();
    if timed && (matches!(response.kind, UpstreamKind::Hang) || response.delay > route.timeout) {
        let failure = Arrival::Failure {
            status: 504,
            body: "upstream request timeout",
            details: "response_timeout",
            flags: "UT",
        };
        return (later(now, route.timeout), failure);
    }
    let due = later(now, response.delay);
    match response.kind {
        UpstreamKind::Response(message) => (due, Arrival::Response(message)),
        UpstreamKind::ConnectionRefused => {
            let details = REFUSED_DETAILS;
            (due, Arrival::Failure { status: 503, body: REFUSED_BODY, details, flags: "UF" })
        }
        UpstreamKind::Reset => {
            let details = "upstream_reset_before_response_started{connection_termination}";
            (due, Arrival::Failure { status: 503, body: RESET_BODY, details, flags: "UC" })
        }
        UpstreamKind::Hang => (u64::MAX, Arrival::Never),
    }
}

/// The request that an internal redirect makes of a 302, with the first
/// request's id and its URL in `x-envoy-original-url`.
fn redirect(stream: &mut HttpStream, world: &World, message: &Message) -> Option<Request> {
    let route = stream.chosen_route(world)?;
    if stream.redirects >= route.internal_redirects || message.headers.get(":status") != Some(b"302") {
        return None;
    }
    let location = message.headers.text("location")?;
    let mut headers = stream.decode.headers.clone();
    let part = |name: &str| headers.text(name).unwrap_or_default();
    let original = format!("{}://{}{}", part(":scheme"), part(":authority"), part(":path"));
    let (authority, path) = match location.split_once("://") {
        Some((_, rest)) => {
            rest.split_once('/').map_or((rest, "/".to_owned()), |(host, path)| (host, format!("/{path}")))
        }
        None => ("", location.clone()),
    };
    if !authority.is_empty() {
        headers.set(":authority", authority);
    }
    headers.set(":path", path);
    headers.set("x-envoy-original-url", original);
    // In place: the log phase of the first run sees the new path.
    stream.decode.headers = headers.clone();
    let mut request = Request::get("/");
    request.headers = headers;
    request.properties = std::mem::take(&mut stream.properties);
    Some(request)
}
