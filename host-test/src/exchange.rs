//! The record of one exchange.

use crate::callout::CalloutRecord;
use crate::error::Trap;
use crate::headers::Headers;
use crate::log::LogEntry;
use crate::message::UpstreamRequest;
use std::collections::BTreeMap;
use std::time::Duration;

/// The response as the client gets it.
#[derive(Clone, Debug, Default)]
pub struct ClientResponse {
    /// The status code; 0 when the stream was reset before headers.
    pub status: u16,
    /// Headers, `:status` included.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// Trailers, when there were any.
    pub trailers: Option<Headers>,
    /// The stream was reset instead of ended.
    pub reset: bool,
}

impl ClientResponse {
    /// The first value of a response header as text, with invalid UTF-8
    /// replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }
}

/// Everything that one request caused.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the client got.
    pub response: ClientResponse,
    /// What upstreams got, one per attempt; empty when the request did not
    /// leave the proxy.
    pub upstream: Vec<UpstreamRequest>,
    /// The request headers as the filter left them.
    pub request_headers: Headers,
    /// Why the response is what it is, in Envoy's words (`via_upstream`,
    /// `route_not_found`, `wasm_fail_stream`).
    pub details: String,
    /// Envoy's response flags, in their short form (`NR`, `NC`, `UT`), empty
    /// when all went well.
    pub flags: String,
    /// Log lines written in this worker while the stream was open.
    pub logs: Vec<LogEntry>,
    /// Callouts made in this worker while the stream was open.
    pub callouts: Vec<CalloutRecord>,
    /// Filter state written with `set_property`: name (without Envoy's
    /// `wasm.` prefix) to value.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// The trap, when the guest trapped during this stream.
    pub trap: Option<Trap>,
    /// The worker that served it.
    pub worker: usize,
    /// The context id that the guest saw.
    pub context_id: u32,
    /// Virtual time from the request to the end of the response.
    pub duration: Duration,
}

impl Exchange {
    /// The last request that an upstream got.
    pub fn upstream_request(&self) -> Option<&UpstreamRequest> {
        self.upstream.last()
    }

    /// The cluster that served the request.
    pub fn cluster(&self) -> Option<&str> {
        self.upstream_request().map(|request| request.cluster.as_str())
    }
}
