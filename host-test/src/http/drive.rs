//! Moves a stream forward until it waits or ends.

use super::HttpStream;
use super::side::{Next, Verdict};
use crate::config::FailurePolicy;
use crate::message::Request;
use crate::state::{Context, Deferred, LocalResponse};
use crate::types::StreamType;
use crate::vm::{Called, Vm};

/// Which half of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Request,
    Response,
}

impl Vm {
    /// Starts a stream; [`Vm::pump`] moves it.
    pub(crate) fn open_http(&mut self, root: u32, request: Request) -> u32 {
        let state = self.state_mut();
        let (now, position) = (state.shared.now_ns(), state.shared.log.position());
        let callouts = state.callouts_taken + state.callouts.len();
        let rejected = request.rejected;
        let http2 = state.world.http2;
        let mut stream = HttpStream::new(root, request, http2, now, position, callouts);
        let open = matches!(state.world.policy, FailurePolicy::Open | FailurePolicy::OpenLegacy);
        stream.off = open && state.failed.is_some();
        let id = state.new_context(|_| Context::Http(Box::new(stream)));
        self.call(id, "proxy_on_context_create", |exports, store| {
            exports.on_context_create.call2(store, id, root)
        });
        let missing_host = !self.stream(id).decode.headers.contains(":authority");
        let rejected = rejected.map(|status| match status {
            431 => (status, "http1.headers_too_large"),
            _ => (status, "http1.codec_error"),
        });
        let refused = missing_host.then_some((400, "missing_host_header"));
        if let Some((status, details)) = rejected.or(refused) {
            let headers = [(":status", status.to_string())].into_iter().collect();
            let stream = self.stream(id);
            stream.encode.headers = headers;
            stream.encode.begun = true;
            // The codec answers with the reason phrase.
            stream.encode.passed = match (status, details) {
                (431, _) => b"Request Header Fields Too Large".to_vec(),
                (400, "http1.codec_error") => b"Bad Request".to_vec(),
                _ => Vec::new(),
            };
            stream.details = details.into();
            stream.decode.headers.remove(":scheme");
            stream.done = true;
        }
        id
    }

    /// Moves a stream as far as it goes now.
    pub(crate) fn pump(&mut self, id: u32) {
        loop {
            let Some(stream) = self.state_mut().http_by_id(id) else {
                return;
            };
            if stream.done {
                return;
            }
            let moved = if stream.encode.begun {
                self.advance(id, Half::Response)
            } else if !stream.decode.finished {
                self.advance(id, Half::Request)
            } else {
                self.take_arrival(id)
            };
            if !moved {
                return;
            }
        }
    }

    /// One call into the guest, or one step without it. False when the stream
    /// waits.
    fn advance(&mut self, id: u32, half: Half) -> bool {
        let stream = self.stream(id);
        if half == Half::Response && stream.bypass {
            stream.encode.bypass();
        }
        let side = if half == Half::Request { &mut stream.decode } else { &mut stream.encode };
        match side.next() {
            Next::Blocked => return false,
            Next::Torn => {
                stream.details = "upstream_reset_after_response_started{protocol_error}".into();
                stream.flags = "UPE";
                self.reset_stream(id);
                return true;
            }
            Next::Finished if half == Half::Request => {}
            Next::Finished => {
                self.complete(id);
                return true;
            }
            Next::Headers { count, end } => self.headers(id, half, count, end),
            Next::Body { size, end } => self.body(id, half, size, end),
            Next::Trailers { count } => self.trailers(id, half, count),
        }
        self.after_step(id);
        true
    }

    fn headers(&mut self, id: u32, half: Half, count: usize, end: bool) {
        let (count, end) = (clamp(count), u32::from(end));
        let answer = match half {
            Half::Request => self.call(id, "proxy_on_request_headers", |exports, store| {
                exports.on_request_headers.call3(store, id, count, end)
            }),
            Half::Response => self.call(id, "proxy_on_response_headers", |exports, store| {
                exports.on_response_headers.call3(store, id, count, end)
            }),
        };
        let verdict = self.verdict(id, answer, |number| match number {
            0 => Verdict::Continue,
            1 => Verdict::Pause,
            _ => Verdict::Watermark,
        });
        let may_stop_only_headers = self.state().world.allow_headers_stop_iteration;
        self.side(id, half).answer_headers(verdict, may_stop_only_headers);
    }

    fn body(&mut self, id: u32, half: Half, size: usize, end: bool) {
        let (size, end) = (clamp(size), u32::from(end));
        let answer = match half {
            Half::Request => self.call(id, "proxy_on_request_body", |exports, store| {
                exports.on_request_body.call3(store, id, size, end)
            }),
            Half::Response => self.call(id, "proxy_on_response_body", |exports, store| {
                exports.on_response_body.call3(store, id, size, end)
            }),
        };
        let verdict = self.verdict(id, answer, |number| match number {
            0 => Verdict::Continue,
            1 => Verdict::Pause,
            2 => Verdict::Watermark,
            _ => Verdict::Discard,
        });
        self.side(id, half).answer_body(verdict);
    }

    fn trailers(&mut self, id: u32, half: Half, count: usize) {
        let count = clamp(count);
        let answer = match half {
            Half::Request => self.call(id, "proxy_on_request_trailers", |exports, store| {
                exports.on_request_trailers.call2(store, id, count)
            }),
            Half::Response => self.call(id, "proxy_on_response_trailers", |exports, store| {
                exports.on_response_trailers.call2(store, id, count)
            }),
        };
        let verdict =
            self.verdict(id, answer, |number| if number == 0 { Verdict::Continue } else { Verdict::Pause });
        self.side(id, half).answer_trailers(verdict);
    }

    /// What a call's outcome means for the stream. A missing export lets
    /// everything pass; a failed VM closes the stream, or lets it pass under
    /// the old `fail_open`.
    fn verdict(&mut self, id: u32, answer: Called<u32>, meaning: impl Fn(u32) -> Verdict) -> Verdict {
        let stopped = std::mem::take(&mut self.state_mut().stop_iteration);
        match answer {
            Called::Missing => Verdict::Continue,
            Called::Returned(_) if stopped => Verdict::Discard,
            Called::Returned(number) => meaning(number),
            Called::Failed => self.fail_stream(id),
        }
    }

    fn fail_stream(&mut self, id: u32) -> Verdict {
        let state = self.state_mut();
        let policy = state.world.policy;
        let trap = state.failed.clone();
        let here = self.failed_in == Some(id);
        let stream = self.stream(id);
        if here {
            stream.trap = trap;
        }
        if stream.off || policy == FailurePolicy::OpenLegacy {
            return Verdict::Continue;
        }
        if !std::mem::replace(&mut stream.failed, true) {
            let details = "wasm_fail_stream".into();
            self.local_response(
                id,
                LocalResponse { status: 503, details, grpc_status: Some(14), ..LocalResponse::default() },
            );
        }
        Verdict::Discard
    }

    /// Does what the guest asked for while it ran, and lets headers that were
    /// let go reach the router.
    fn after_step(&mut self, id: u32) {
        self.apply_actions();
        let stream = self.stream(id);
        if stream.decode.forwarded && !stream.routed && !stream.encode.begun && !stream.done {
            self.route_request(id);
        }
    }

    /// Applies deferred actions of any stream. Streams other than the one
    /// being pumped are remembered in `dirty`.
    pub(crate) fn apply_actions(&mut self) {
        while let Some(action) = self.state_mut().actions.pop_front() {
            match action {
                Deferred::Continue(id, stream) => self.resume(id, stream),
                Deferred::Close(id, stream) => self.close(id, stream),
                Deferred::LocalResponse(id, response) => {
                    if self.state_mut().http_by_id(id).is_some_and(|stream| !stream.done) {
                        self.local_response(id, response);
                    }
                    self.dirty.push(id);
                }
                Deferred::FinishRoot(id) => self.delete_root(id),
            }
        }
    }

    fn resume(&mut self, id: u32, which: StreamType) {
        match self.state_mut().contexts.get_mut(&id) {
            Some(Context::Http(stream)) if which != StreamType::Request => stream.encode.resume(),
            Some(Context::Http(stream)) if !stream.encode.begun => stream.decode.resume(),
            Some(Context::Tcp(stream)) => {
                stream.stopped = false;
                let held = stream.downstream.take().unwrap_or_default();
                stream.to_upstream.extend(held);
            }
            _ => {}
        }
        let forwarded = |stream: &&mut HttpStream| {
            stream.decode.forwarded && !stream.routed && !stream.encode.begun && !stream.done
        };
        if self.state_mut().http_by_id(id).filter(forwarded).is_some() {
            self.route_request(id);
        }
        self.dirty.push(id);
    }

    fn close(&mut self, id: u32, which: StreamType) {
        match self.state_mut().contexts.get_mut(&id) {
            Some(Context::Http(stream))
                if matches!(which, StreamType::Request | StreamType::Response) && !stream.done =>
            {
                if stream.details.is_empty() {
                    stream.details = "wasm_close_stream".into();
                }
                self.reset_stream(id);
            }
            Some(Context::Tcp(stream)) => stream.closed = true,
            _ => {}
        }
    }

    fn side(&mut self, id: u32, half: Half) -> &mut super::side::Side {
        let stream = self.stream(id);
        match half {
            Half::Request => &mut stream.decode,
            Half::Response => &mut stream.encode,
        }
    }
}

fn clamp(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
