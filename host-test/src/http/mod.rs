//! HTTP streams: the state of one request and its response.

mod drive;
mod finish;
mod local;
mod router;
pub(crate) mod side;

use crate::config::World;
use crate::error::{Phase, Trap};
use crate::message::{Message, Request, UpstreamRequest};
use crate::route::Route;
use side::Side;
use std::collections::BTreeMap;

/// A stream as host and guest see it.
#[derive(Debug)]
pub(crate) struct HttpStream {
    pub(crate) root: u32,
    pub(crate) decode: Side,
    pub(crate) encode: Side,
    /// The chosen route: an index into the table, or none that matches.
    /// `None` means it must be picked (again).
    pub(crate) route: Option<Option<usize>>,
    /// The request reached the router.
    pub(crate) routed: bool,
    /// The request's headers reached the filter.
    pub(crate) started: bool,
    pub(crate) log_phase: bool,
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    pub(crate) envoy_filter_state: BTreeMap<String, Vec<u8>>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) start_ns: u64,
    /// When the upstream was asked.
    pub(crate) asked_ns: u64,
    pub(crate) end_ns: Option<u64>,
    pub(crate) log_position: u64,
    pub(crate) callout_position: usize,
    pub(crate) cluster: Option<String>,
    pub(crate) attempts: Vec<UpstreamRequest>,
    /// The upstream's answer and when it arrives.
    pub(crate) pending: Option<(u64, Arrival)>,
    pub(crate) redirects: u32,
    pub(crate) details: String,
    pub(crate) flags: &'static str,
    /// The response bypasses the filter.
    pub(crate) bypass: bool,
    /// The guest failed in this stream, and the 503 was sent.
    pub(crate) failed: bool,
    /// The filter had failed before, and the policy lets requests pass it.
    pub(crate) off: bool,
    pub(crate) reset: bool,
    pub(crate) done: bool,
    pub(crate) trap: Option<Trap>,
    /// The headers to run again with, after an internal redirect.
    pub(crate) redirect_to: Option<Request>,
}

/// What arrives from the upstream.
#[derive(Debug)]
pub(crate) enum Arrival {
    Response(Message),
    Failure { status: u16, body: &'static str, details: &'static str, flags: &'static str },
    Never,
}

impl HttpStream {
    pub(crate) fn new(
        root: u32,
        request: Request,
        http2: bool,
        now: u64,
        log_position: u64,
        callout_position: usize,
    ) -> HttpStream {
        let message = Message {
            headers: request.headers,
            chunks: request.chunks,
            trailers: request.trailers,
            torn: false,
        };
        HttpStream {
            root,
            decode: Side::new(message.framed(http2)),
            encode: Side::default(),
            route: None,
            routed: false,
            started: request.rejected.is_none(),
            log_phase: false,
            filter_state: BTreeMap::new(),
            envoy_filter_state: BTreeMap::new(),
            properties: request.properties,
            start_ns: now,
            asked_ns: now,
            end_ns: None,
            log_position,
            callout_position,
            cluster: None,
            attempts: Vec::new(),
            pending: None,
            redirects: 0,
            details: String::new(),
            flags: "",
            bypass: false,
            failed: false,
            off: false,
            reset: false,
            done: false,
            trap: None,
            redirect_to: None,
        }
    }

    /// The status code of the response, once there is one.
    pub(crate) fn status(&self) -> Option<u16> {
        let status = self.encode.headers.get(":status")?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }

    /// The cached route, or the one that the headers now choose.
    ///
    /// Envoy finds no route for a request without `x-forwarded-proto`, which
    /// it has put there itself and the filter can remove.
    pub(crate) fn chosen_route<'a>(&mut self, world: &'a World) -> Option<&'a Route> {
        let headers = &self.decode.headers;
        if world.proxy_headers && headers.get("x-forwarded-proto").is_none_or(<[u8]>::is_empty) {
            return None;
        }
        let index =
            *self.route.get_or_insert_with(|| world.routes.iter().position(|route| route.matches(headers)));
        world.routes.get(index?)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.encode.begun {
            [Phase::ResponseHeaders, Phase::ResponseBody, Phase::ResponseTrailers][self.encode.waits_at()]
        } else if self.decode.finished {
            Phase::Upstream
        } else {
            [Phase::RequestHeaders, Phase::RequestBody, Phase::RequestTrailers][self.decode.waits_at()]
        }
    }
}
