//! HTTP callouts.

use super::{
    CASE, Case, PLAIN, Sent,
    Step::{Await, Send},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a pause in the headers until a callout is answered",
        script: "
            request_headers: call alt /callout 1000
            request_headers: return 1
            http_call_response: get 6 :status
            http_call_response: get 6 nope
            http_call_response: get 7 x
            http_call_response: pairs 7
            http_call_response: buffer 4 0 100
            http_call_response: setbuffer 4 0 0 x
            http_call_response: set 6 a b
            http_call_response: get 0 :path
            http_call_response: status
            http_call_response: effective 2
            http_call_response: get 0 :path
            http_call_response: set 0 x-route alt
            http_call_response: continue 0
            http_call_response: get 0 :path
            response_headers: get 6 :status",
        steps: &[Send(Sent { answer: "alt", ..PLAIN })],
        log: "
            request_headers call alt /callout 1000 = 0 4
            http_call_response get 6 :status = 0 200
            http_call_response get 6 nope = 1 -
            http_call_response get 7 x = 2 -
            http_call_response pairs 7 = 0 (empty)
            http_call_response buffer 4 0 100 = 0 alt
            http_call_response setbuffer 4 0 0 x = 2
            http_call_response set 6 a b = 2
            http_call_response get 0 :path = 2 -
            http_call_response status = 0 (empty) code 0
            http_call_response effective 2 = 0
            http_call_response get 0 :path = 0 /p?q=1
            http_call_response set 0 x-route alt = 0
            http_call_response continue 0 = 0
            http_call_response get 0 :path = 2 -
            response_headers get 6 :status = 2 -",
        ..CASE
    },
    Case {
        name: "callouts that cannot be made",
        script: "
            request_headers: call none / 1000
            request_headers: call alt - 1000
            request_headers: call alt / max
            request_headers: grpccall none m 1000
            request_headers: grpcstream none m
            request_headers: grpcsend 1 x 0
            request_headers: grpcsend 2 x 0
            request_headers: grpccancel 1
            request_headers: grpccancel 2
            request_headers: grpcclose 1
            request_headers: grpcclose 2",
        log: "
            request_headers call none / 1000 = 2 0
            request_headers call alt - 1000 = 2 0
            request_headers call alt / max = 2 0
            request_headers grpccall none m 1000 = 4 0
            request_headers grpcstream none m = 4 0
            request_headers grpcsend 1 x 0 = 2
            request_headers grpcsend 2 x 0 = 1
            request_headers grpccancel 1 = 1
            request_headers grpccancel 2 = 1
            request_headers grpcclose 1 = 1
            request_headers grpcclose 2 = 1",
        ..CASE
    },
    Case {
        name: "a callout that is refused",
        script: "
            request_headers: call down / 1000
            request_headers: return 1
            http_call_response: get 6 :status
            http_call_response: effective 2
            http_call_response: local 299 down",
        steps: &[Send(Sent { status: 299, answer: "down", ..PLAIN })],
        log: "
            request_headers call down / 1000 = 0 4
            http_call_response get 6 :status = 0 503
            http_call_response effective 2 = 0
            http_call_response local 299 down = 0",
        ..CASE
    },
    Case {
        name: "a callout that times out",
        script: "
            request_headers: call origin /o/hang 50
            http_call_response: get 6 :status
            http_call_response: buffer 4 0 100
            http_call_response: status",
        steps: &[Send(PLAIN), Await("http_call_response status")],
        log: "
            request_headers call origin /o/hang 50 = 0 4
            http_call_response get 6 :status = 0 504
            http_call_response buffer 4 0 100 = 0 upstream request timeout
            http_call_response status = 0 (empty) code 0",
        ..CASE
    },
    Case {
        name: "a callout that is reset before a response",
        script: "
            request_headers: call torn /reset 5000
            http_call_response: get 6 :status
            http_call_response: buffer 4 0 200
            http_call_response: status",
        steps: &[Send(PLAIN), Await("http_call_response status")],
        log: "
            request_headers call torn /reset 5000 = 0 4
            http_call_response get 6 :status = 0 503
            http_call_response buffer 4 0 200 = 0 upstream connect error or disconnect/reset before headers. reset reason: connection termination
            http_call_response status = 0 (empty) code 0",
        ..CASE
    },
    Case {
        name: "a callout that is reset in its response",
        script: "
            request_headers: call torn / 5000
            http_call_response: facts
            http_call_response: get 6 :status
            http_call_response: pairs 6
            http_call_response: buffer 4 0 100
            http_call_response: status",
        steps: &[Send(PLAIN), Await("http_call_response status")],
        log: "
            request_headers call torn / 5000 = 0 4
            http_call_response facts = 1 4 0 0 0
            http_call_response get 6 :status = 2 -
            http_call_response pairs 6 = 0 (empty)
            http_call_response buffer 4 0 100 = 1 -
            http_call_response status = 0 reset code 11",
        ..CASE
    },
    Case {
        name: "a callout with trailers",
        script: "
            request_headers: call origin /o/trailers 5000
            http_call_response: get 7 t
            http_call_response: pairs 7
            http_call_response: size 7
            http_call_response: buffer 4 0 100",
        steps: &[Send(PLAIN), Await("http_call_response buffer")],
        log: "
            request_headers call origin /o/trailers 5000 = 0 4
            http_call_response get 7 t = 0 1
            http_call_response pairs 7 = 0 t=1
            http_call_response size 7 = 2 0
            http_call_response buffer 4 0 100 = 0 body",
        ..CASE
    },
    Case {
        name: "a callout with a body",
        script: "
            request_headers: call origin /o/echo 5000 content
            http_call_response: buffer 4 0 100
            http_call_response: buffer 4 3 2",
        steps: &[Send(PLAIN), Await("http_call_response buffer 4 3 2")],
        log: "
            request_headers call origin /o/echo 5000 content = 0 4
            http_call_response buffer 4 0 100 = 0 content t=-
            http_call_response buffer 4 3 2 = 0 te",
        ..CASE
    },
];
