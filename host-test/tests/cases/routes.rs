//! How a changed request picks its route again.

use super::{CASE, Case, PLAIN, Sent, Step::Send};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "setting a request header picks the route again",
        script: "request_headers: set 0 x-route alt",
        steps: &[Send(Sent { answer: "alt", ..PLAIN })],
        log: "
            request_headers set 0 x-route alt = 0",
        ..CASE
    },
    Case {
        name: "adding a request header picks the route again",
        script: "request_headers: add 0 x-route alt",
        steps: &[Send(Sent { answer: "alt", ..PLAIN })],
        log: "
            request_headers add 0 x-route alt = 0",
        ..CASE
    },
    Case {
        name: "removing a request header picks the route again",
        script: "request_headers: remove 0 x-route",
        steps: &[Send(Sent { headers: &[("x-route", "alt")], ..PLAIN })],
        log: "
            request_headers remove 0 x-route = 0",
        ..CASE
    },
    Case {
        name: "a client's route header is obeyed",
        script: "request_headers: property xds/cluster_name",
        steps: &[Send(Sent { headers: &[("x-route", "alt")], answer: "alt", ..PLAIN }), Send(PLAIN)],
        log: "
            request_headers property xds/cluster_name = 0 alt
            request_headers property xds/cluster_name = 0 up",
        ..CASE
    },
    Case {
        name: "retries run the filter once",
        script: "
            request_headers: facts
            response_headers: get 2 :status
            log: integer upstream/request_attempt_count",
        steps: &[Send(Sent { path: "/o/flaky", answer: "third", ..PLAIN })],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "an internal redirect runs the filter twice with one request id",
        script: "
            create: facts
            request_headers: get 0 :path
            request_headers: get 0 x-request-id
            request_headers: get 0 x-envoy-original-url
            response_headers: get 2 :status
            log: get 0 :path
            log: get 2 :status
            log: integer response/code
            log: property response/code_details
            done: facts
            delete: facts",
        steps: &[Send(Sent {
            path: "/o/moved",
            headers: &[("x-request-id", "11111111-2222-4333-8444-555555555555")],
            ..PLAIN
        })],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "an upstream that resets the stream",
        script: "
            response_headers: get 2 :status
            log: integer response/code
            log: property response/code_details",
        steps: &[Send(Sent { path: "/o/reset", status: 503, answer: "?", ..PLAIN })],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "an upstream that breaks off in its body",
        script: "
            response_headers: facts
            response_body: facts
            log: integer response/code
            log: property response/code_details
            done: facts",
        steps: &[Send(Sent { headers: &[("x-route", "torn")], status: 200, answer: "part", ..PLAIN })],
        log: "
            ?",
        ..CASE
    },
];
