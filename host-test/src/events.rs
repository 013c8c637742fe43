//! What happens in a VM as virtual time passes: ticks, callout answers,
//! upstream answers, queue notices.

use crate::calls::CallEvent;
use crate::state::{Context, Received};
use crate::vm::Vm;

/// The next thing that happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Call(u32),
    Upstream(u32),
    Tick(u32),
}

/// Status 11, which Envoy reports for a callout that was reset.
const BROKEN_CONNECTION: u32 = 11;

impl Vm {
    /// The earliest event and its time. At equal times answers come before
    /// ticks, and lower ids first.
    pub(crate) fn next_event(&self) -> Option<(u64, Event)> {
        let state = self.state();
        if state.failed.is_some() {
            let upstream = state.contexts.iter().filter_map(upstream_event);
            return upstream.min_by_key(|(due, _)| *due);
        }
        let calls = state.calls.iter().filter_map(|(&token, call)| Some((call.due()?, Event::Call(token))));
        let upstream = state.contexts.iter().filter_map(upstream_event);
        let ticks = state.contexts.iter().filter_map(|(&id, context)| match context {
            Context::Root(root) => Some((root.timer?.due_ns, Event::Tick(id))),
            _ => None,
        });
        calls.chain(upstream).chain(ticks).min_by_key(|(due, _)| *due)
    }

    /// Runs an event that is due.
    pub(crate) fn run_event(&mut self, event: Event) {
        match event {
            Event::Call(token) => self.deliver(token),
            Event::Upstream(id) => self.dirty.push(id),
            Event::Tick(root) => self.tick(root),
        }
        self.settle();
    }

    /// Pumps every stream that something moved, until none moves.
    pub(crate) fn settle(&mut self) {
        self.apply_actions();
        while let Some(id) = self.dirty.pop() {
            self.pump(id);
        }
    }

    /// Ticks a root context now and sets its next time.
    pub(crate) fn tick(&mut self, root: u32) {
        let now = self.state().shared.now_ns();
        if let Some(timer) = self.state_mut().root_mut(root).and_then(|root| root.timer.as_mut()) {
            timer.due_ns = now.saturating_add(timer.period_ns);
        }
        self.call(root, "proxy_on_tick", |exports, store| exports.on_tick.call1(store, root));
        self.apply_actions();
    }

    /// Ticks every root context that has a timer.
    pub(crate) fn tick_all(&mut self) {
        let timed = |(&id, context): (&u32, &Context)| {
            matches!(context, Context::Root(root) if root.timer.is_some()).then_some(id)
        };
        let roots: Vec<u32> = self.state().contexts.iter().filter_map(timed).collect();
        for root in roots {
            self.tick(root);
        }
        self.settle();
    }

    /// After a clock jump: everything keeps its distance from now.
    pub(crate) fn shift_time(&mut self, before: u64, after: u64) {
        let moved = |due: u64| {
            if due == u64::MAX { due } else { after.saturating_add(due.saturating_sub(before)) }
        };
        self.loaded_ns = after.saturating_sub(before.saturating_sub(self.loaded_ns));
        let state = self.state_mut();
        state
            .calls
            .values_mut()
            .flat_map(|call| call.events.iter_mut())
            .for_each(|(due, _)| *due = moved(*due));
        for context in state.contexts.values_mut() {
            match context {
                Context::Root(root) => {
                    if let Some(timer) = &mut root.timer {
                        timer.due_ns = moved(timer.due_ns);
                    }
                }
                Context::Http(stream) => {
                    if let Some((due, _)) = &mut stream.pending {
                        *due = moved(*due);
                    }
                }
                Context::Tcp(_) => {}
            }
        }
    }

    /// Tells the guest about queue items, until there are no notices left.
    /// Returns whether there was one.
    pub(crate) fn notify(&mut self) -> bool {
        let mut any = false;
        while let Some(notice) = self.state().shared.next_notice(self.state().key) {
            any = true;
            let (context, queue) = (notice.context, notice.queue);
            if self.state().contexts.contains_key(&context) {
                self.call(context, "proxy_on_queue_ready", |exports, store| {
                    exports.on_queue_ready.call2(store, context, queue)
                });
                self.settle();
            }
        }
        any
    }

    /// Calls `proxy_on_foreign_function` of the root context.
    pub(crate) fn foreign(&mut self, function: u32, data: Vec<u8>) {
        let root = self.root;
        let size = len(&data);
        self.state_mut().received.call_data = Some(data);
        self.call(root, "proxy_on_foreign_function", |exports, store| {
            exports.on_foreign_function.call3(store, root, function, size)
        });
        self.state_mut().received = Received::default();
        self.settle();
    }

    fn deliver(&mut self, token: u32) {
        let state = self.state_mut();
        let Some(pending) = state.calls.get_mut(&token) else {
            return;
        };
        let root = pending.root;
        let Some((_, event)) = pending.events.pop_front() else {
            return;
        };
        // Until the callback returns, the guest can still name the call.
        let ended = pending.stream.is_none() || matches!(event, CallEvent::GrpcClose(..));
        match event {
            CallEvent::Http(message) => self.http_answer(root, token, message),
            CallEvent::HttpReset => {
                self.state_mut().received.status = (BROKEN_CONNECTION, "reset".into());
                self.call(root, "proxy_on_http_call_response", |exports, store| {
                    exports.on_http_call_response.call5(store, (root, token, 0, 0, 0))
                });
            }
            CallEvent::GrpcInitial(metadata) => {
                let count = count(&metadata);
                self.state_mut().received.grpc_initial = Some(metadata);
                self.call(root, "proxy_on_grpc_receive_initial_metadata", |exports, store| {
                    exports.on_grpc_initial.call3(store, root, token, count)
                });
            }
            CallEvent::GrpcMessage(message) => {
                let size = len(&message);
                self.state_mut().received.grpc_message = Some(message);
                self.call(root, "proxy_on_grpc_receive", |exports, store| {
                    exports.on_grpc_receive.call3(store, root, token, size)
                });
            }
            CallEvent::GrpcTrailing(metadata) => {
                let count = count(&metadata);
                self.state_mut().received.grpc_trailing = Some(metadata);
                self.call(root, "proxy_on_grpc_receive_trailing_metadata", |exports, store| {
                    exports.on_grpc_trailing.call3(store, root, token, count)
                });
            }
            CallEvent::GrpcClose(status, message) => {
                self.state_mut().received.status = (status, message);
                self.call(root, "proxy_on_grpc_close", |exports, store| {
                    exports.on_grpc_close.call3(store, root, token, status)
                });
            }
        }
        self.state_mut().received = Received::default();
        if ended {
            self.state_mut().calls.remove(&token);
        }
    }

    fn http_answer(&mut self, root: u32, token: u32, message: crate::message::Message) {
        let body = message.chunks.concat();
        let (headers, trailers) = (count(&message.headers), message.trailers.as_ref().map_or(0, count));
        let size = len(&body);
        let received = &mut self.state_mut().received;
        received.call_headers = Some(message.headers);
        received.call_trailers = message.trailers;
        received.call_body = Some(body);
        self.call(root, "proxy_on_http_call_response", |exports, store| {
            exports.on_http_call_response.call5(store, (root, token, headers, size, trailers))
        });
    }
}

fn upstream_event((&id, context): (&u32, &Context)) -> Option<(u64, Event)> {
    match context {
        Context::Http(stream) if !stream.done && !stream.encode.begun => {
            let (due, _) = stream.pending.as_ref()?;
            (*due != u64::MAX).then_some((*due, Event::Upstream(id)))
        }
        _ => None,
    }
}

fn count(headers: &crate::headers::Headers) -> u32 {
    u32::try_from(headers.len()).unwrap_or(u32::MAX)
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
