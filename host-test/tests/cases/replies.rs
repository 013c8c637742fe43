//! Responses that no upstream made.

use super::{CASE, Case, PLAIN, Refusal, Sent, Step::Send};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "responses that the proxy makes run the response phase",
        script: "
            response_headers: get 2 :status
            response_headers: add 2 x-seen 1
            log: integer response/code
            log: property response/code_details
            log: integer response/flags
            log: property xds/cluster_name",
        steps: &[
            Send(Sent {
                headers: &[("x-route", "nowhere")],
                status: 503,
                answer: "",
                answer_headers: &[("x-seen", "1")],
                ..PLAIN
            }),
            Send(Sent {
                path: "/direct",
                status: 201,
                answer: "direct",
                answer_headers: &[("x-seen", "1")],
                ..PLAIN
            }),
            Send(Sent {
                path: "/none",
                status: 404,
                answer: "",
                answer_headers: &[("x-seen", "1")],
                ..PLAIN
            }),
            Send(Sent { answer_headers: &[("x-seen", "1")], ..PLAIN }),
        ],
        log: "
            response_headers get 2 :status = 0 503
            response_headers add 2 x-seen 1 = 0
            log integer response/code = 0 503
            log property response/code_details = 0 cluster_not_found
            log integer response/flags = 0 16777216
            log property xds/cluster_name = 1 -
            response_headers get 2 :status = 0 201
            response_headers add 2 x-seen 1 = 0
            log integer response/code = 0 201
            log property response/code_details = 0 direct_response
            log integer response/flags = 0 0
            log property xds/cluster_name = 1 -
            response_headers get 2 :status = 0 404
            response_headers add 2 x-seen 1 = 0
            log integer response/code = 0 404
            log property response/code_details = 0 route_not_found
            log integer response/flags = 0 256
            log property xds/cluster_name = 1 -
            response_headers get 2 :status = 0 200
            response_headers add 2 x-seen 1 = 0
            log integer response/code = 0 200
            log property response/code_details = 0 via_upstream
            log integer response/flags = 0 0
            log property xds/cluster_name = 0 up",
        ..CASE
    },
    Case {
        name: "a local response in the request phase",
        script: "
            request_headers: local 403 denied x-a=1&x-a=2
            request_headers: get 0 :method
            request_body: say not reached
            response_headers: get 2 :status
            response_headers: get 2 x-a
            response_headers: get 2 content-type
            response_headers: get 2 content-length
            response_headers: get 0 :path
            response_body: buffer 1 0 100
            log: integer response/code
            log: property response/code_details",
        steps: &[
            Send(Sent {
                status: 403,
                answer: "denied",
                answer_headers: &[("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain")],
                ..PLAIN
            }),
            Send(Sent { status: 403, answer: "denied", body: "ignored", ..PLAIN }),
        ],
        log: "
            request_headers local 403 denied x-a=1&x-a=2 = 0
            request_headers get 0 :method = 0 GET
            response_headers get 2 :status = 0 403
            response_headers get 2 x-a = 0 1
            response_headers get 2 content-type = 0 text/plain
            response_headers get 2 content-length = 0 6
            response_headers get 0 :path = 0 /p?q=1
            response_body buffer 1 0 100 = 0 denied
            log integer response/code = 0 403
            log property response/code_details = 0 probe_details
            request_headers local 403 denied x-a=1&x-a=2 = 0
            request_headers get 0 :method = 0 POST
            response_headers get 2 :status = 0 403
            response_headers get 2 x-a = 0 1
            response_headers get 2 content-type = 0 text/plain
            response_headers get 2 content-length = 0 6
            response_headers get 0 :path = 0 /p?q=1
            response_body buffer 1 0 100 = 0 denied
            log integer response/code = 0 403
            log property response/code_details = 0 probe_details",
        ..CASE
    },
    Case {
        name: "a local response without a body",
        script: "
            request_headers: local 302  location=/x&content-type=text/html
            response_headers: get 2 :status
            response_headers: get 2 content-type
            response_headers: get 2 content-length
            response_headers: get 2 location",
        steps: &[Send(Sent { status: 302, answer: "", answer_headers: &[("location", "/x")], ..PLAIN })],
        log: "
            request_headers local 302  location=/x&content-type=text/html = 0
            response_headers get 2 :status = 0 302
            response_headers get 2 content-type = 1 -
            response_headers get 2 content-length = 1 -
            response_headers get 2 location = 0 /x",
        ..CASE
    },
    Case {
        name: "a local response to gRPC",
        script: "
            request_headers: local 403 not%allowed x-a=1 7
            response_headers: get 2 :status
            response_headers: get 2 grpc-status
            response_headers: get 2 grpc-message
            response_headers: get 2 x-a
            response_headers: get 2 content-type
            response_body: say not reached",
        steps: &[Send(Sent {
            headers: &[("content-type", "application/grpc")],
            status: 200,
            answer: "",
            ..PLAIN
        })],
        log: "
            request_headers local 403 not%allowed x-a=1 7 = 0
            response_headers get 2 :status = 0 200
            response_headers get 2 grpc-status = 0 7
            response_headers get 2 grpc-message = 0 not%25allowed
            response_headers get 2 x-a = 0 1
            response_headers get 2 content-type = 0 application/grpc",
        ..CASE
    },
    Case {
        name: "a local response in the response phase",
        script: "
            response_headers: local 418 teapot x-a=1
            response_headers: set 2 x-b 2
            response_body: say not reached
            log: integer response/code
            log: property response/code_details
            log: get 2 x-b",
        steps: &[Send(Sent {
            status: 418,
            answer: "teapot",
            answer_headers: &[("x-a", "1"), ("x-b", "-"), ("set-cookie", "-")],
            ..PLAIN
        })],
        log: "
            response_headers local 418 teapot x-a=1 = 0
            response_headers set 2 x-b 2 = 0
            log integer response/code = 0 418
            log property response/code_details = 0 probe_details
            log get 2 x-b = 1 -",
        ..CASE
    },
    Case {
        name: "closing the request resets the stream",
        script: "
            request_headers: close 0
            log: say log",
        steps: &[Send(Sent { status: 0, answer: "", ..PLAIN })],
        log: "
            request_headers close 0 = 0
            log",
        ..CASE
    },
    Case {
        name: "a request without a host reaches only the log",
        script: "
            create: facts
            request_headers: say never
            response_headers: say never
            log: get 0 :path
            log: pairs 0
            log: get 2 :status
            log: integer response/code
            log: property response/code_details
            done: facts
            delete: facts",
        steps: &[Send(Sent { refused: Some(Refusal::NoHost), status: 400, answer: "", ..PLAIN })],
        log: "
            create facts = 2 1
            log get 0 :path = 0 /p?q=1
            log pairs 0 = 0 :path=/p?q=1&:method=GET&connection=close
            log get 2 :status = 0 400
            log integer response/code = 0 400
            log property response/code_details = 0 missing_host_header
            done facts = 2
            delete facts = 2",
        ..CASE
    },
    Case {
        name: "a request that the codec refuses reaches only the log",
        script: "
            create: facts
            request_headers: say never
            response_headers: say never
            log: get 0 :path
            log: pairs 0
            log: get 2 :status
            log: integer response/code
            log: property response/code_details
            log: property xds/cluster_name
            done: facts
            delete: facts",
        steps: &[Send(Sent {
            refused: Some(Refusal::TooLarge),
            status: 431,
            answer: "Request Header Fields Too Large",
            ..PLAIN
        })],
        log: "
            create facts = 2 1
            log get 0 :path = 1 -
            log pairs 0 = 0 (empty)
            log get 2 :status = 0 431
            log integer response/code = 0 431
            log property response/code_details = 0 http1.headers_too_large
            log property xds/cluster_name = 1 -
            done facts = 2
            delete facts = 2",
        ..CASE
    },
];
