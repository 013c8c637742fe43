//! Callouts on their way: what will come back, and when.

use crate::callout::{GrpcReply, GrpcRequest};
use crate::config::World;
use crate::headers::Headers;
use crate::message::{Message, UpstreamKind, UpstreamRequest, UpstreamResponse};
use crate::refused::{REFUSED_BODY, UNAVAILABLE};
use std::collections::VecDeque;
use std::time::Duration;

/// The kind of a callout, in the two low bits of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Http,
    GrpcCall,
    GrpcStream,
}

impl CallKind {
    pub(crate) fn of(id: u32) -> Option<CallKind> {
        match id & 3 {
            0 => Some(CallKind::Http),
            1 => Some(CallKind::GrpcCall),
            2 => Some(CallKind::GrpcStream),
            _ => None,
        }
    }
}

/// A callout that the guest waits for.
#[derive(Debug)]
pub(crate) struct PendingCall {
    pub(crate) root: u32,
    pub(crate) events: VecDeque<(u64, CallEvent)>,
    /// `Some` for gRPC streams, which can send more.
    pub(crate) stream: Option<GrpcRequest>,
    pub(crate) local_closed: bool,
    /// Initial metadata of a gRPC stream came back.
    pub(crate) begun: bool,
}

/// Something that comes back.
#[derive(Debug)]
pub(crate) enum CallEvent {
    Http(Message),
    HttpReset,
    GrpcInitial(Headers),
    GrpcMessage(Vec<u8>),
    GrpcTrailing(Headers),
    GrpcClose(u32, String),
}

impl PendingCall {
    /// An HTTP callout with the upstream's answer, cut off at the timeout.
    pub(crate) fn http(root: u32, now: u64, timeout: Duration, response: UpstreamResponse) -> PendingCall {
        let late =
            matches!(response.kind, UpstreamKind::Hang) || !timeout.is_zero() && response.delay > timeout;
        let (due, event) = match response.kind {
            _ if late && timeout.is_zero() => return PendingCall::with(root, VecDeque::new()),
            _ if late => (timeout, CallEvent::Http(local_message(504, "upstream request timeout"))),
            UpstreamKind::Response(message) if message.torn => (response.delay, CallEvent::HttpReset),
            UpstreamKind::Response(message) => (response.delay, CallEvent::Http(message)),
            UpstreamKind::ConnectionRefused => (response.delay, CallEvent::Http(refused())),
            UpstreamKind::Reset => (response.delay, CallEvent::Http(local_message(503, RESET_BODY))),
            UpstreamKind::Hang => return PendingCall::with(root, VecDeque::new()),
        };
        PendingCall::with(root, VecDeque::from([(later(now, due), event)]))
    }

    /// A unary gRPC call: one message, or a close with its status.
    pub(crate) fn grpc(root: u32, now: u64, timeout: Duration, reply: GrpcReply) -> PendingCall {
        let late = reply.hang || !timeout.is_zero() && reply.delay > timeout;
        if late && timeout.is_zero() {
            return PendingCall::with(root, VecDeque::new());
        }
        let event = match (late, reply.status, reply.messages.into_iter().next()) {
            (true, ..) => {
                CallEvent::GrpcClose(UNAVAILABLE, "upstream request timeout{response_timeout}".into())
            }
            (_, Some((status, message)), _) if status != 0 => {
                CallEvent::GrpcClose(status, detailed(&message, reply.details))
            }
            (_, _, Some(message)) => CallEvent::GrpcMessage(message),
            (_, _, None) => CallEvent::GrpcMessage(Vec::new()),
        };
        let due = if late { timeout } else { reply.delay };
        PendingCall::with(root, VecDeque::from([(later(now, due), event)]))
    }

    /// A gRPC stream that was just opened.
    pub(crate) fn grpc_stream(root: u32, request: GrpcRequest) -> PendingCall {
        PendingCall { stream: Some(request), ..PendingCall::with(root, VecDeque::new()) }
    }

    /// Queues what a gRPC stream's upstream answers.
    pub(crate) fn extend(&mut self, now: u64, reply: GrpcReply) {
        if reply.hang {
            return;
        }
        let due = later(now, reply.delay);
        // A status alone comes in the one block of headers there is.
        let trailers_only = !self.begun
            && reply.messages.is_empty()
            && reply.initial_metadata.is_empty()
            && reply.status.is_some();
        let begins =
            !reply.messages.is_empty() || !reply.initial_metadata.is_empty() || reply.status.is_some();
        let begins = begins && !self.begun;
        self.begun |= begins;
        let mut push = |event| self.events.push_back((due, event));
        if begins {
            let mut headers = if trailers_only { Headers::new() } else { grpc_headers() };
            reply.initial_metadata.iter().for_each(|(name, value)| headers.add(name, value));
            push(CallEvent::GrpcInitial(headers));
        }
        reply.messages.into_iter().for_each(|message| push(CallEvent::GrpcMessage(message)));
        if let Some((status, message)) = reply.status {
            let mut trailers = if trailers_only { grpc_headers() } else { Headers::new() };
            trailers.add("grpc-status", status.to_string());
            if !message.is_empty() {
                trailers.add("grpc-message", &message);
            }
            reply.trailing_metadata.iter().for_each(|(name, value)| trailers.add(name, value));
            push(CallEvent::GrpcTrailing(trailers));
            push(CallEvent::GrpcClose(status, detailed(&message, reply.details)));
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        self.events.front().map(|(due, _)| *due)
    }

    fn with(root: u32, events: VecDeque<(u64, CallEvent)>) -> PendingCall {
        PendingCall { root, events, stream: None, local_closed: false, begun: false }
    }
}

fn grpc_headers() -> Headers {
    [(":status", "200"), ("content-type", "application/grpc")].into_iter().collect()
}

/// Envoy tells the guest the message of the status with its own details
/// behind it.
fn detailed(message: &str, details: &str) -> String {
    if message.is_empty() { details.to_owned() } else { format!("{message}{{{details}}}") }
}

/// Asks a gRPC upstream. An HTTP upstream in its place is only asked whether
/// it accepts the connection.
pub(crate) fn ask_grpc(world: &World, request: &GrpcRequest) -> GrpcReply {
    if let Some(upstream) = world.grpc.get(&request.cluster) {
        return upstream(request);
    }
    let headers =
        [(":method", "POST".to_owned()), (":path", format!("/{}/{}", request.service, request.method))];
    let asked = world.clusters.get(&request.cluster).map(|upstream| {
        upstream(&UpstreamRequest {
            cluster: request.cluster.clone(),
            headers: headers.into_iter().collect(),
            body: request.message.clone().unwrap_or_default(),
            trailers: None,
            attempt: 1,
        })
    });
    match asked.map(|response| response.kind) {
        Some(UpstreamKind::ConnectionRefused) => GrpcReply::connection_refused(),
        _ => GrpcReply {
            details: "no_healthy_upstream",
            ..GrpcReply::error(UNAVAILABLE, "no healthy upstream")
        },
    }
}

/// A response that the proxy makes up.
pub(crate) fn local_message(status: u16, body: &str) -> Message {
    let mut headers = Headers::new();
    headers.add(":status", status.to_string());
    if !body.is_empty() {
        headers.add("content-length", body.len().to_string());
        headers.add("content-type", "text/plain");
    }
    let chunks = if body.is_empty() { Vec::new() } else { vec![body.as_bytes().to_vec()] };
    Message { headers, chunks, trailers: None, torn: false }
}

pub(crate) const RESET_BODY: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";

fn refused() -> Message {
    local_message(503, REFUSED_BODY)
}

pub(crate) fn later(now: u64, delay: Duration) -> u64 {
    now.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
}
