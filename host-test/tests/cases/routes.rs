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
            request_headers facts = 2 6 1
            response_headers get 2 :status = 0 200
            log integer upstream/request_attempt_count = 0 3",
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
            create facts = 2 1
            request_headers get 0 :path = 0 /o/moved
            request_headers get 0 x-request-id = 0 11111111-2222-4333-8444-555555555555
            request_headers get 0 x-envoy-original-url = 1 -
            log get 0 :path = 0 /p
            log get 2 :status = 0 302
            log integer response/code = 0 302
            log property response/code_details = 0 internal_redirect
            done facts = 2
            delete facts = 2
            create facts = 3 1
            request_headers get 0 :path = 0 /p
            request_headers get 0 x-request-id = 0 11111111-2222-4333-8444-555555555555
            request_headers get 0 x-envoy-original-url = 0 http://probe.test/o/moved
            response_headers get 2 :status = 0 200
            log get 0 :path = 0 /p
            log get 2 :status = 0 200
            log integer response/code = 0 200
            log property response/code_details = 0 via_upstream
            done facts = 3
            delete facts = 3",
        ..CASE
    },
    Case {
        name: "an upstream that resets the stream",
        script: "
            response_headers: get 2 :status
            log: integer response/code
            log: integer response/flags
            log: property response/code_details",
        steps: &[Send(Sent {
            path: "/reset",
            headers: &[("x-route", "torn")],
            status: 503,
            answer: "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ..PLAIN
        })],
        log: "
            response_headers get 2 :status = 0 503
            log integer response/code = 0 503
            log integer response/flags = 0 64
            log property response/code_details = 0 upstream_reset_before_response_started{connection_termination}",
        ..CASE
    },
    Case {
        name: "an upstream that breaks off in its body",
        script: "
            response_headers: get 2 content-length
            response_body: facts
            log: integer response/code
            log: integer response/flags
            log: property response/code_details
            done: facts",
        steps: &[Send(Sent { headers: &[("x-route", "torn")], status: 200, answer: "part", ..PLAIN })],
        log: "
            response_headers get 2 content-length = 0 10
            response_body facts = 2 4 0
            log integer response/code = 0 200
            log integer response/flags = 0 8388608
            log property response/code_details = 0 upstream_reset_after_response_started{protocol_error}
            done facts = 2",
        ..CASE
    },
    Case {
        name: "an upstream that refuses connections",
        script: "
            response_headers: get 2 :status
            log: integer response/code
            log: integer response/flags
            log: property response/code_details
            log: property xds/cluster_name",
        steps: &[Send(Sent {
            headers: &[("x-route", "down")],
            status: 503,
            answer: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
            ..PLAIN
        })],
        log: "
            response_headers get 2 :status = 0 503
            log integer response/code = 0 503
            log integer response/flags = 0 32
            log property response/code_details = 0 upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}
            log property xds/cluster_name = 0 down",
        ..CASE
    },
];
