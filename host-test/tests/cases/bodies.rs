//! Bodies and other buffers.

use super::{CASE, Case, PLAIN, Sent, Step::Send};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bodies held until their end",
        script: "
            request_headers: remove 0 content-length
            request_body: facts
            request_body: buffer 0 0 100
            request_body: hold
            response_headers: remove 2 content-length
            response_body: facts
            response_body: buffer 1 0 100
            response_body: setbuffer 1 max 0 !
            response_body: hold",
        steps: &[
            Send(Sent { body: "abcdef", answer: "up!!", ..PLAIN }),
            Send(Sent { answer: "up!!", ..PLAIN }),
        ],
        log: "
            request_headers remove 0 content-length = 0
            request_body facts = 2 6 0
            request_body buffer 0 0 100 = 0 abcdef
            request_body facts = 2 6 1
            request_body buffer 0 0 100 = 0 abcdef
            response_headers remove 2 content-length = 0
            response_body facts = 2 2 0
            response_body buffer 1 0 100 = 0 up
            response_body setbuffer 1 max 0 ! = 0
            response_body facts = 2 3 1
            response_body buffer 1 0 100 = 0 up!
            response_body setbuffer 1 max 0 ! = 0
            request_headers remove 0 content-length = 0
            response_headers remove 2 content-length = 0
            response_body facts = 3 2 0
            response_body buffer 1 0 100 = 0 up
            response_body setbuffer 1 max 0 ! = 0
            response_body facts = 3 3 1
            response_body buffer 1 0 100 = 0 up!
            response_body setbuffer 1 max 0 ! = 0",
        ..CASE
    },
    Case {
        name: "request body buffer",
        script: "
            request_headers: get 0 content-length
            request_headers: remove 0 content-length
            request_headers: buffer 0 0 10
            request_body: facts
            request_body: buffer 0 0 100
            request_body: bufferstatus 0
            request_body: buffer 0 2 3
            request_body: buffer 0 6 0
            request_body: buffer 0 6 10
            request_body: buffer 0 7 10
            request_body: buffer 9 0 10
            request_body: setbuffer 9 0 0 x
            request_body: setbuffer 0 0 0 <
            request_body: buffer 0 0 100
            request_body: setbuffer 0 max 0 >
            request_body: buffer 0 0 100
            request_body: setbuffer 0 0 3 AB
            request_body: buffer 0 0 100
            request_body: setbuffer 0 2 1 Y
            request_body: buffer 0 0 100
            request_body: setbuffer 0 2 0 ins
            request_body: buffer 0 0 100
            request_body: setbuffer 0 0 max whole
            request_body: buffer 0 0 100
            request_body: buffer 1 0 10
            request_body: setbuffer 1 0 0 x
            request_body: get 0 :path",
        steps: &[Send(Sent { body: "abcdef", ..PLAIN })],
        log: "
            request_headers get 0 content-length = 0 6
            request_headers remove 0 content-length = 0
            request_headers buffer 0 0 10 = 0 (empty)
            request_body facts = 2 6 0
            request_body buffer 0 0 100 = 0 abcdef
            request_body bufferstatus 0 = 0 6
            request_body buffer 0 2 3 = 0 cde
            request_body buffer 0 6 0 = 0 (empty)
            request_body buffer 0 6 10 = 0 (empty)
            request_body buffer 0 7 10 = 0 (empty)
            request_body buffer 9 0 10 = 2 -
            request_body setbuffer 9 0 0 x = 2
            request_body setbuffer 0 0 0 < = 0
            request_body buffer 0 0 100 = 0 <abcdef
            request_body setbuffer 0 max 0 > = 0
            request_body buffer 0 0 100 = 0 <abcdef>
            request_body setbuffer 0 0 3 AB = 0
            request_body buffer 0 0 100 = 0 ABcdef>
            request_body setbuffer 0 2 1 Y = 2
            request_body buffer 0 0 100 = 0 ABcdef>
            request_body setbuffer 0 2 0 ins = 2
            request_body buffer 0 0 100 = 0 ABcdef>
            request_body setbuffer 0 0 max whole = 0
            request_body buffer 0 0 100 = 0 whole
            request_body buffer 1 0 10 = 0 (empty)
            request_body setbuffer 1 0 0 x = 2
            request_body get 0 :path = 2 -
            request_body facts = 2 0 1
            request_body buffer 0 0 100 = 0 (empty)
            request_body bufferstatus 0 = 0 0
            request_body buffer 0 2 3 = 0 (empty)
            request_body buffer 0 6 0 = 0 (empty)
            request_body buffer 0 6 10 = 0 (empty)
            request_body buffer 0 7 10 = 0 (empty)
            request_body buffer 9 0 10 = 2 -
            request_body setbuffer 9 0 0 x = 2
            request_body setbuffer 0 0 0 < = 0
            request_body buffer 0 0 100 = 0 <
            request_body setbuffer 0 max 0 > = 0
            request_body buffer 0 0 100 = 0 <>
            request_body setbuffer 0 0 3 AB = 0
            request_body buffer 0 0 100 = 0 AB
            request_body setbuffer 0 2 1 Y = 0
            request_body buffer 0 0 100 = 0 ABY
            request_body setbuffer 0 2 0 ins = 2
            request_body buffer 0 0 100 = 0 ABY
            request_body setbuffer 0 0 max whole = 0
            request_body buffer 0 0 100 = 0 whole
            request_body buffer 1 0 10 = 0 (empty)
            request_body setbuffer 1 0 0 x = 2
            request_body get 0 :path = 2 -",
        ..CASE
    },
    Case {
        name: "response body buffer",
        script: "
            response_headers: remove 2 content-length
            response_body: facts
            response_body: buffer 1 0 100
            response_body: setbuffer 1 max 0 !
            response_body: get 2 :status
            response_body: set 2 a b",
        steps: &[Send(Sent { answer: "up!!", ..PLAIN })],
        log: "
            response_headers remove 2 content-length = 0
            response_body facts = 2 2 0
            response_body buffer 1 0 100 = 0 up
            response_body setbuffer 1 max 0 ! = 0
            response_body get 2 :status = 2 -
            response_body set 2 a b = 2
            response_body facts = 2 0 1
            response_body buffer 1 0 100 = 0 (empty)
            response_body setbuffer 1 max 0 ! = 0
            response_body get 2 :status = 2 -
            response_body set 2 a b = 2",
        ..CASE
    },
    Case {
        name: "buffers that are not open",
        script: "
            request_headers: buffer 7 0 10
            request_headers: buffer 6 0 10
            request_headers: buffer 4 0 10
            request_headers: buffer 5 0 10
            request_headers: buffer 2 0 10
            request_headers: bufferstatus 7
            request_headers: bufferstatus 4
            request_headers: bufferstatus 0
            request_headers: setbuffer 6 0 0 x
            request_headers: setbuffer 7 0 0 x
            request_headers: setbuffer 0 0 0 x
            request_headers: setbuffer 4 0 0 x",
        log: "
            request_headers buffer 7 0 10 = 1 -
            request_headers buffer 6 0 10 = 0 (empty)
            request_headers buffer 4 0 10 = 1 -
            request_headers buffer 5 0 10 = 0 (empty)
            request_headers buffer 2 0 10 = 0 (empty)
            request_headers bufferstatus 7 = 1 0
            request_headers bufferstatus 4 = 1 0
            request_headers bufferstatus 0 = 0 0
            request_headers setbuffer 6 0 0 x = 2
            request_headers setbuffer 7 0 0 x = 1
            request_headers setbuffer 0 0 0 x = 2
            request_headers setbuffer 4 0 0 x = 1",
        ..CASE
    },
    Case {
        name: "request trailers",
        script: "
            request_headers: get 1 t
            request_headers: add 1 u 2
            request_body: facts
            request_body: get 1 t
            request_trailers: facts
            request_trailers: get 1 t
            request_trailers: get 1 nope
            request_trailers: pairs 1
            request_trailers: add 1 u 2
            request_trailers: set 1 t 3
            request_trailers: size 1
            request_trailers: get 0 :path
            response_headers: get 1 t
            log: get 1 t",
        steps: &[Send(Sent {
            path: "/o/echo",
            body: "abcd",
            trailers: &[("t", "1"), ("v", "4")],
            answer: "abcd t=3",
            ..PLAIN
        })],
        log: "
            request_headers get 1 t = 2 -
            request_headers add 1 u 2 = 2
            request_body facts = 2 4 0
            request_body get 1 t = 2 -
            request_trailers facts = 2 2
            request_trailers get 1 t = 0 1
            request_trailers get 1 nope = 1 -
            request_trailers pairs 1 = 0 t=1&v=4
            request_trailers add 1 u 2 = 0
            request_trailers set 1 t 3 = 0
            request_trailers size 1 = 0 6
            request_trailers get 0 :path = 2 -
            response_headers get 1 t = 2 -
            log get 1 t = 1 -",
        ..CASE
    },
    Case {
        name: "request trailers after a body that is held",
        script: "
            request_body: facts
            request_body: return 1
            request_trailers: buffer 0 0 100
            request_trailers: setbuffer 0 max 0 !
            request_trailers: buffer 0 0 100
            request_trailers: remove 1 t",
        steps: &[Send(Sent {
            path: "/o/echo",
            body: "abcd",
            trailers: &[("t", "1")],
            answer: "abcd! t=-",
            ..PLAIN
        })],
        log: "
            request_body facts = 2 4 0
            request_trailers buffer 0 0 100 = 0 abcd
            request_trailers setbuffer 0 max 0 ! = 0
            request_trailers buffer 0 0 100 = 0 abcd!
            request_trailers remove 1 t = 0",
        ..CASE
    },
    Case {
        name: "response trailers",
        script: "
            response_headers: get 3 t
            response_body: facts
            response_trailers: facts
            response_trailers: get 3 t
            response_trailers: get 3 nope
            response_trailers: pairs 3
            response_trailers: add 3 u 2
            response_trailers: set 3 t 3
            response_trailers: get 2 :status
            log: get 3 t
            log: pairs 3",
        steps: &[Send(Sent {
            path: "/o/trailers",
            answer: "body",
            answer_trailers: &[("t", "3"), ("u", "2")],
            ..PLAIN
        })],
        log: "
            response_headers get 3 t = 2 -
            response_body facts = 2 4 0
            response_trailers facts = 2 1
            response_trailers get 3 t = 0 1
            response_trailers get 3 nope = 1 -
            response_trailers pairs 3 = 0 t=1
            response_trailers add 3 u 2 = 0
            response_trailers set 3 t 3 = 0
            response_trailers get 2 :status = 2 -
            log get 3 t = 0 3
            log pairs 3 = 0 u=2&t=3",
        ..CASE
    },
    Case {
        name: "response trailers that are paused until a callout is answered",
        script: "
            response_trailers: call alt / 5000
            response_trailers: return 1
            http_call_response: effective 2
            http_call_response: get 3 t
            http_call_response: add 3 u 2
            http_call_response: continue 1",
        steps: &[Send(Sent {
            path: "/o/trailers",
            answer: "body",
            answer_trailers: &[("t", "1"), ("u", "2")],
            ..PLAIN
        })],
        log: "
            response_trailers call alt / 5000 = 0 4
            http_call_response effective 2 = 0
            http_call_response get 3 t = 0 1
            http_call_response add 3 u 2 = 0
            http_call_response continue 1 = 0",
        ..CASE
    },
];
