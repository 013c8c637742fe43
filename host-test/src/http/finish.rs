//! The end of a stream: log, done, delete, and the record of it.

use super::HttpStream;
use crate::exchange::{ClientResponse, Exchange};
use crate::message::Request;
use crate::state::Context;
use crate::vm::Vm;
use std::time::Duration;

impl Vm {
    /// The response is out.
    pub(crate) fn complete(&mut self, id: u32) {
        let now = self.state().shared.now_ns();
        let stream = self.stream(id);
        stream.done = true;
        stream.end_ns = Some(now);
        stream.decode.close_maps();
        stream.encode.close_maps();
    }

    /// Ends a stream without the rest of its response.
    pub(crate) fn reset_stream(&mut self, id: u32) {
        let stream = self.stream(id);
        if !stream.done {
            stream.reset = true;
            stream.decode.abort();
            stream.encode.abort();
            self.complete(id);
        }
    }

    /// Runs the last callbacks in Envoy's order (log, done, delete) and takes
    /// the stream apart. A redirected stream also gives the request to run
    /// next.
    pub(crate) fn finish_http(&mut self, id: u32, worker: usize) -> Option<(Exchange, Option<Request>)> {
        self.state_mut().http_by_id(id)?.log_phase = true;
        self.call(id, "proxy_on_log", |exports, store| exports.on_log.call1(store, id));
        if let Some(stream) = self.state_mut().http_by_id(id) {
            stream.log_phase = false;
        }
        self.call(id, "proxy_on_done", |exports, store| exports.on_done.call1(store, id));
        self.call(id, "proxy_on_delete", |exports, store| exports.on_delete.call1(store, id));
        let trap = self.state().failed.clone();
        let vm = self.state().vm;
        let state = self.state_mut();
        let Some(Context::Http(stream)) = state.contexts.remove(&id) else {
            return None;
        };
        let logs = state.shared.log.since(stream.log_position, Some(vm));
        let position = stream.callout_position.saturating_sub(state.callouts_taken);
        let callouts = state.callouts.get(position..).unwrap_or_default().to_vec();
        self.apply_actions();
        let mut stream = *stream;
        self.shut_down_if_unused(stream.root);
        let redirect = stream.redirect_to.take();
        let duration =
            Duration::from_nanos(stream.end_ns.unwrap_or(stream.start_ns).saturating_sub(stream.start_ns));
        if self.failed_in == Some(id) {
            stream.trap = trap;
        }
        let exchange = Exchange {
            response: client_response(&mut stream),
            upstream: stream.attempts,
            request_headers: stream.decode.headers,
            details: stream.details,
            flags: stream.flags.to_owned(),
            logs,
            callouts,
            filter_state: stream.filter_state,
            trap: stream.trap,
            worker,
            context_id: id,
            duration,
        };
        Some((exchange, redirect))
    }
}

fn client_response(stream: &mut HttpStream) -> ClientResponse {
    if !stream.encode.forwarded && stream.encode.passed.is_empty() && stream.reset {
        return ClientResponse { reset: true, ..ClientResponse::default() };
    }
    ClientResponse {
        status: stream.status().unwrap_or(0),
        headers: std::mem::take(&mut stream.encode.headers),
        body: std::mem::take(&mut stream.encode.passed),
        trailers: stream.encode.trailers.take(),
        reset: stream.reset,
    }
}
