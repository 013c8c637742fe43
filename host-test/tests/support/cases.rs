//! Probe scripts with what the guest must see. One table for every host:
//! `tests/abi.rs` runs it here, `tests/envoy.rs` on a real Envoy 1.40.
//!
//! Both have these clusters, and a request goes to `up` unless it has
//! `x-route: NAME`: `up` and `alt` answer 200 with `set-cookie: a=1`,
//! `set-cookie: b=2`, `vary: accept`, `content-type: text/plain` and their
//! name as body. `/direct` is a direct response, `x-route: nowhere` leads to
//! a cluster that does not exist, `/none` has no route.

/// A script, requests, and what follows.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) requests: &'static [Sent],
    /// What the guest logs, from the first request on.
    pub(crate) log: &'static str,
}

/// A request, and what the client gets.
pub(crate) struct Sent {
    pub(crate) path: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
    /// Status, body, and `name: value` of headers the case is about.
    pub(crate) status: u16,
    pub(crate) answer: &'static str,
    pub(crate) answer_headers: &'static [(&'static str, &'static str)],
}

const PLAIN: Sent =
    Sent { path: "/p?q=1", headers: &[], body: "", status: 200, answer: "up", answer_headers: &[] };
const CASE: Case = Case { name: "", script: "", policy: "FAIL_CLOSED", requests: &[PLAIN], log: "" };

/// The table.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "order of callbacks",
        script: "
            create: say create
            request_headers: say request_headers
            request_body: say request_body
            response_headers: say response_headers
            response_body: say response_body
            log: say log
            done: say done
            delete: say delete",
        requests: &[PLAIN],
        log: "
            create
            request_headers
            response_headers
            response_body
            response_body
            log
            done
            delete",
        ..CASE
    },
    Case {
        name: "maps in the request phase",
        script: "
            request_headers: get 0 cookie
            request_headers: get 0 COOKIE
            request_headers: get 0 nope
            request_headers: get 0 :path
            request_headers: get 0 empty
            request_headers: get 8 x
            request_headers: get 2 :status
            request_headers: pairs 2
            request_headers: get 1 x
            request_headers: get 6 x
            request_headers: pairs 6
            request_headers: get 4 x
            request_headers: set 2 a b
            request_headers: add 2 a b
            request_headers: remove 2 a
            request_headers: setpairs 2 a=b
            request_headers: set 1 a b
            request_headers: set 6 a b
            request_headers: set 9 a b
            request_headers: size 2
            request_headers: size 9
            request_headers: remove 0 nope",
        requests: &[Sent { headers: &[("cookie", "a=1"), ("cookie", "b=2"), ("empty", "")], ..PLAIN }],
        log: "
            request_headers get 0 cookie = 0 a=1
            request_headers get 0 COOKIE = 0 a=1
            request_headers get 0 nope = 1 -
            request_headers get 0 :path = 0 /p?q=1
            request_headers get 0 empty = 0 (empty)
            request_headers get 8 x = 2 -
            request_headers get 2 :status = 2 -
            request_headers pairs 2 = 0 (empty)
            request_headers get 1 x = 2 -
            request_headers get 6 x = 2 -
            request_headers pairs 6 = 0 (empty)
            request_headers get 4 x = 2 -
            request_headers set 2 a b = 2
            request_headers add 2 a b = 2
            request_headers remove 2 a = 2
            request_headers setpairs 2 a=b = 2
            request_headers set 1 a b = 2
            request_headers set 6 a b = 2
            request_headers set 9 a b = 2
            request_headers size 2 = 2 0
            request_headers size 9 = 2 0
            request_headers remove 0 nope = 0",
        ..CASE
    },
    Case {
        name: "maps in the response phase",
        script: "
            response_headers: get 0 :path
            response_headers: pairs 0
            response_headers: set 0 a b
            response_headers: size 0
            response_headers: get 2 :status
            response_headers: get 2 set-cookie
            response_headers: get 1 x
            response_headers: get 3 x
            response_headers: pairs 3",
        log: "
            response_headers get 0 :path = 2 -
            response_headers pairs 0 = 0 (empty)
            response_headers set 0 a b = 2
            response_headers size 0 = 2 0
            response_headers get 2 :status = 0 200
            response_headers get 2 set-cookie = 0 a=1
            response_headers get 1 x = 2 -
            response_headers get 3 x = 2 -
            response_headers pairs 3 = 0 (empty)",
        ..CASE
    },
    Case {
        name: "maps in the log phase",
        script: "
            log: get 0 :path
            log: get 0 nope
            log: get 2 :status
            log: get 2 nope
            log: get 1 x
            log: get 3 x
            log: get 6 x
            log: pairs 1
            log: pairs 3
            log: set 0 a b
            log: add 2 a b
            log: remove 2 a
            log: setpairs 0 a=b
            log: size 0
            log: size 2
            log: buffer 0 0 10
            log: buffer 1 0 10
            log: setproperty late v
            log: property late
            done: get 0 :path
            done: get 2 :status
            done: property request/path
            delete: get 0 :path",
        log: "
            log get 0 :path = 0 /p?q=1
            log get 0 nope = 1 -
            log get 2 :status = 0 200
            log get 2 nope = 1 -
            log get 1 x = 1 -
            log get 3 x = 1 -
            log get 6 x = 1 -
            log pairs 1 = 0 (empty)
            log pairs 3 = 0 (empty)
            log set 0 a b = 2
            log add 2 a b = 2
            log remove 2 a = 2
            log setpairs 0 a=b = 2
            log size 0 = 2 0
            log size 2 = 2 0
            log buffer 0 0 10 = 0 (empty)
            log buffer 1 0 10 = 0 (empty)
            log setproperty late v = 0
            log property late = 0 v
            done get 0 :path = 2 -
            done get 2 :status = 2 -
            done property request/path = 1 -
            delete get 0 :path = 2 -",
        ..CASE
    },
    Case {
        name: "add keeps set-cookie",
        script: "
            response_headers: add 2 set-cookie c=3
            response_headers: get 2 set-cookie",
        requests: &[Sent {
            answer_headers: &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("set-cookie", "c=3")],
            ..PLAIN
        }],
        log: "
            response_headers add 2 set-cookie c=3 = 0
            response_headers get 2 set-cookie = 0 a=1",
        ..CASE
    },
    Case {
        name: "set replaces every set-cookie",
        script: "
            response_headers: set 2 set-cookie c=3
            response_headers: get 2 set-cookie",
        requests: &[Sent { answer_headers: &[("set-cookie", "c=3")], ..PLAIN }],
        log: "
            response_headers set 2 set-cookie c=3 = 0
            response_headers get 2 set-cookie = 0 c=3",
        ..CASE
    },
    Case {
        name: "remove takes every set-cookie",
        script: "response_headers: remove 2 Set-Cookie",
        requests: &[Sent { answer_headers: &[("set-cookie", "-")], ..PLAIN }],
        log: "
            response_headers remove 2 Set-Cookie = 0",
        ..CASE
    },
    Case {
        name: "adding to headers with one slot",
        script: "
            request_headers: add 0 cookie b=2
            request_headers: get 0 cookie
            request_headers: add 0 x-many 2
            request_headers: get 0 x-many
            request_headers: add 0 user-agent two
            request_headers: get 0 user-agent
            request_headers: add 0 x-forwarded-proto two
            request_headers: get 0 x-forwarded-proto
            request_headers: add 0 accept two
            request_headers: get 0 accept
            request_headers: add 0 :path /two
            request_headers: get 0 :path
            request_headers: set 0 :path /p?q=1
            request_headers: set 0 x-many 3
            request_headers: get 0 x-many
            response_headers: add 2 vary two
            response_headers: get 2 vary
            response_headers: add 2 content-type two
            response_headers: get 2 content-type
            response_headers: add 2 cache-control one
            response_headers: add 2 cache-control two
            response_headers: get 2 cache-control",
        requests: &[Sent {
            headers: &[("cookie", "a=1"), ("x-many", "1"), ("user-agent", "one"), ("accept", "one")],
            ..PLAIN
        }],
        log: "
            request_headers add 0 cookie b=2 = 0
            request_headers get 0 cookie = 0 a=1
            request_headers add 0 x-many 2 = 0
            request_headers get 0 x-many = 0 1
            request_headers add 0 user-agent two = 0
            request_headers get 0 user-agent = 0 one,two
            request_headers add 0 x-forwarded-proto two = 0
            request_headers get 0 x-forwarded-proto = 0 http,two
            request_headers add 0 accept two = 0
            request_headers get 0 accept = 0 one,two
            request_headers add 0 :path /two = 0
            request_headers get 0 :path = 0 /p?q=1,/two
            request_headers set 0 :path /p?q=1 = 0
            request_headers set 0 x-many 3 = 0
            request_headers get 0 x-many = 0 3
            response_headers add 2 vary two = 0
            response_headers get 2 vary = 0 accept,two
            response_headers add 2 content-type two = 0
            response_headers get 2 content-type = 0 text/plain,two
            response_headers add 2 cache-control one = 0
            response_headers add 2 cache-control two = 0
            response_headers get 2 cache-control = 0 one,two",
        ..CASE
    },
    Case {
        name: "which headers have one slot",
        script: "
            request_headers: slot 0 accept-encoding
            request_headers: slot 0 accept-language
            request_headers: slot 0 authorization
            request_headers: slot 0 cache-control
            request_headers: slot 0 pragma
            request_headers: slot 0 origin
            request_headers: slot 0 referer
            request_headers: slot 0 if-match
            request_headers: slot 0 if-none-match
            request_headers: slot 0 if-modified-since
            request_headers: slot 0 if-range
            request_headers: slot 0 range
            request_headers: slot 0 access-control-request-method
            request_headers: slot 0 access-control-request-headers
            request_headers: slot 0 x-forwarded-for
            request_headers: slot 0 x-forwarded-host
            request_headers: slot 0 x-forwarded-client-cert
            request_headers: slot 0 x-forwarded-port
            request_headers: slot 0 via
            request_headers: slot 0 expect
            request_headers: slot 0 te
            request_headers: slot 0 upgrade
            request_headers: slot 0 keep-alive
            request_headers: slot 0 proxy-connection
            request_headers: slot 0 x-envoy-original-url
            request_headers: slot 0 x-envoy-original-path
            request_headers: slot 0 x-envoy-retry-on
            request_headers: slot 0 x-envoy-max-retries
            request_headers: slot 0 x-envoy-upstream-rq-timeout-ms
            request_headers: slot 0 x-client-trace-id
            request_headers: slot 0 grpc-timeout
            request_headers: slot 0 grpc-accept-encoding
            request_headers: slot 0 x-real-ip
            request_headers: slot 0 forwarded
            request_headers: slot 0 traceparent
            request_headers: slot 0 tracestate
            request_headers: slot 0 baggage
            request_headers: slot 0 x-b3-traceid
            request_headers: slot 0 sec-gpc
            request_headers: slot 0 dnt
            request_headers: slot 0 host
            response_headers: slot 2 access-control-allow-origin
            response_headers: slot 2 access-control-allow-methods
            response_headers: slot 2 access-control-allow-headers
            response_headers: slot 2 access-control-allow-credentials
            response_headers: slot 2 access-control-expose-headers
            response_headers: slot 2 access-control-max-age
            response_headers: slot 2 age
            response_headers: slot 2 cache-control
            response_headers: slot 2 content-encoding
            response_headers: slot 2 content-language
            response_headers: slot 2 etag
            response_headers: slot 2 expires
            response_headers: slot 2 last-modified
            response_headers: slot 2 location
            response_headers: slot 2 www-authenticate
            response_headers: slot 2 via
            response_headers: slot 2 x-envoy-degraded
            response_headers: slot 2 x-request-id
            response_headers: slot 2 grpc-status
            response_headers: slot 2 grpc-message
            response_headers: slot 2 grpc-encoding
            response_headers: slot 2 proxy-status
            response_headers: slot 2 retry-after
            response_headers: slot 2 link
            response_headers: slot 2 strict-transport-security
            response_headers: slot 2 content-security-policy",
        log: "
            request_headers slot 0 accept-encoding = 0 one,two
            request_headers slot 0 accept-language = 0 one
            request_headers slot 0 authorization = 0 one,two
            request_headers slot 0 cache-control = 0 one,two
            request_headers slot 0 pragma = 0 one,two
            request_headers slot 0 origin = 0 one,two
            request_headers slot 0 referer = 0 one,two
            request_headers slot 0 if-match = 0 one,two
            request_headers slot 0 if-none-match = 0 one,two
            request_headers slot 0 if-modified-since = 0 one,two
            request_headers slot 0 if-range = 0 one,two
            request_headers slot 0 range = 0 one
            request_headers slot 0 access-control-request-method = 0 one,two
            request_headers slot 0 access-control-request-headers = 0 one,two
            request_headers slot 0 x-forwarded-for = 0 one,two
            request_headers slot 0 x-forwarded-host = 0 one,two
            request_headers slot 0 x-forwarded-client-cert = 0 one,two
            request_headers slot 0 x-forwarded-port = 0 one,two
            request_headers slot 0 via = 0 one,two
            request_headers slot 0 expect = 0 one,two
            request_headers slot 0 te = 0 one,two
            request_headers slot 0 upgrade = 0 one,two
            request_headers slot 0 keep-alive = 0 one,two
            request_headers slot 0 proxy-connection = 0 one,two
            request_headers slot 0 x-envoy-original-url = 0 one,two
            request_headers slot 0 x-envoy-original-path = 0 one,two
            request_headers slot 0 x-envoy-retry-on = 0 one,two
            request_headers slot 0 x-envoy-max-retries = 0 one,two
            request_headers slot 0 x-envoy-upstream-rq-timeout-ms = 0 one,two
            request_headers slot 0 x-client-trace-id = 0 one,two
            request_headers slot 0 grpc-timeout = 0 one,two
            request_headers slot 0 grpc-accept-encoding = 0 one,two
            request_headers slot 0 x-real-ip = 0 one
            request_headers slot 0 forwarded = 0 one
            request_headers slot 0 traceparent = 0 one
            request_headers slot 0 tracestate = 0 one
            request_headers slot 0 baggage = 0 one
            request_headers slot 0 x-b3-traceid = 0 one
            request_headers slot 0 sec-gpc = 0 one
            request_headers slot 0 dnt = 0 one
            request_headers slot 0 host = 0 probe.test,one,two
            response_headers slot 2 access-control-allow-origin = 0 one,two
            response_headers slot 2 access-control-allow-methods = 0 one,two
            response_headers slot 2 access-control-allow-headers = 0 one,two
            response_headers slot 2 access-control-allow-credentials = 0 one,two
            response_headers slot 2 access-control-expose-headers = 0 one,two
            response_headers slot 2 access-control-max-age = 0 one,two
            response_headers slot 2 age = 0 one,two
            response_headers slot 2 cache-control = 0 one,two
            response_headers slot 2 content-encoding = 0 one,two
            response_headers slot 2 content-language = 0 one
            response_headers slot 2 etag = 0 one,two
            response_headers slot 2 expires = 0 one,two
            response_headers slot 2 last-modified = 0 one,two
            response_headers slot 2 location = 0 one,two
            response_headers slot 2 www-authenticate = 0 one
            response_headers slot 2 via = 0 one,two
            response_headers slot 2 x-envoy-degraded = 0 one,two
            response_headers slot 2 x-request-id = 0 one,two
            response_headers slot 2 grpc-status = 0 one,two
            response_headers slot 2 grpc-message = 0 one,two
            response_headers slot 2 grpc-encoding = 0 one
            response_headers slot 2 proxy-status = 0 one,two
            response_headers slot 2 retry-after = 0 one
            response_headers slot 2 link = 0 one
            response_headers slot 2 strict-transport-security = 0 one
            response_headers slot 2 content-security-policy = 0 one",
        ..CASE
    },
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
        requests: &[Sent { body: "abcdef", answer: "up!!", ..PLAIN }, Sent { answer: "up!!", ..PLAIN }],
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
        name: "the order of a changed map",
        script: "
            request_headers: setpairs 0 :authority=h&:method=GET&:scheme=http&a=1&b=2&a=3&:path=/p
            request_headers: pairs 0
            request_headers: set 0 a 4
            request_headers: pairs 0
            request_headers: add 0 b 5
            request_headers: set 0 :path /q
            request_headers: pairs 0
            response_headers: get 2 :status",
        requests: &[Sent { status: 404, answer: "", ..PLAIN }],
        log: "
            request_headers setpairs 0 :authority=h&:method=GET&:scheme=http&a=1&b=2&a=3&:path=/p = 0
            request_headers pairs 0 = 0 :authority=h&:method=GET&:scheme=http&:path=/p&a=1&b=2&a=3
            request_headers set 0 a 4 = 0
            request_headers pairs 0 = 0 :authority=h&:method=GET&:scheme=http&:path=/p&b=2&a=4
            request_headers add 0 b 5 = 0
            request_headers set 0 :path /q = 0
            request_headers pairs 0 = 0 :authority=h&:method=GET&:scheme=http&:path=/q&b=2&a=4&b=5
            response_headers get 2 :status = 0 404",
        ..CASE
    },
    Case {
        name: "setting a request header picks the route again",
        script: "request_headers: set 0 x-route alt",
        requests: &[Sent { answer: "alt", ..PLAIN }],
        log: "
            request_headers set 0 x-route alt = 0",
        ..CASE
    },
    Case {
        name: "adding a request header picks the route again",
        script: "request_headers: add 0 x-route alt",
        requests: &[Sent { answer: "alt", ..PLAIN }],
        log: "
            request_headers add 0 x-route alt = 0",
        ..CASE
    },
    Case {
        name: "removing a request header picks the route again",
        script: "request_headers: remove 0 x-route",
        requests: &[Sent { headers: &[("x-route", "alt")], ..PLAIN }],
        log: "
            request_headers remove 0 x-route = 0",
        ..CASE
    },
    Case {
        name: "a client's route header is obeyed",
        script: "request_headers: property xds/cluster_name",
        requests: &[Sent { headers: &[("x-route", "alt")], answer: "alt", ..PLAIN }, PLAIN],
        log: "
            request_headers property xds/cluster_name = 0 alt
            request_headers property xds/cluster_name = 0 up",
        ..CASE
    },
    Case {
        name: "responses that the proxy makes run the response phase",
        script: "
            response_headers: get 2 :status
            response_headers: add 2 x-seen 1
            log: integer response/code
            log: property response/code_details
            log: integer response/flags
            log: property xds/cluster_name",
        requests: &[
            Sent {
                headers: &[("x-route", "nowhere")],
                status: 503,
                answer: "",
                answer_headers: &[("x-seen", "1")],
                ..PLAIN
            },
            Sent {
                path: "/direct",
                status: 201,
                answer: "direct",
                answer_headers: &[("x-seen", "1")],
                ..PLAIN
            },
            Sent { path: "/none", status: 404, answer: "", answer_headers: &[("x-seen", "1")], ..PLAIN },
            Sent { answer_headers: &[("x-seen", "1")], ..PLAIN },
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
        requests: &[
            Sent {
                status: 403,
                answer: "denied",
                answer_headers: &[("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain")],
                ..PLAIN
            },
            Sent { status: 403, answer: "denied", body: "ignored", ..PLAIN },
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
        requests: &[Sent { status: 302, answer: "", answer_headers: &[("location", "/x")], ..PLAIN }],
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
        requests: &[Sent {
            headers: &[("content-type", "application/grpc")],
            status: 200,
            answer: "",
            ..PLAIN
        }],
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
        requests: &[Sent {
            status: 418,
            answer: "teapot",
            answer_headers: &[("x-a", "1"), ("x-b", "-"), ("set-cookie", "-")],
            ..PLAIN
        }],
        log: "
            response_headers local 418 teapot x-a=1 = 0
            response_headers set 2 x-b 2 = 0
            log integer response/code = 0 418
            log property response/code_details = 0 probe_details
            log get 2 x-b = 1 -",
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
        requests: &[Sent { body: "abcdef", ..PLAIN }],
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
        requests: &[Sent { answer: "up!!", ..PLAIN }],
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
        requests: &[Sent { answer: "alt", ..PLAIN }],
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
        requests: &[Sent { status: 299, answer: "down", ..PLAIN }],
        log: "
            request_headers call down / 1000 = 0 4
            http_call_response get 6 :status = 0 503
            http_call_response effective 2 = 0
            http_call_response local 299 down = 0",
        ..CASE
    },
    Case {
        name: "properties of a request",
        script: "
            request_headers: property request/path
            request_headers: property request/url_path
            request_headers: property request/query
            request_headers: property request/host
            request_headers: property request/method
            request_headers: property request/scheme
            request_headers: property request/protocol
            request_headers: property request/useragent
            request_headers: property request/referer
            request_headers: property request/headers/cookie
            request_headers: property request/headers/nope
            request_headers: property request/nope
            request_headers: integer request/duration
            request_headers: integer request/size
            request_headers: integer response/code
            request_headers: property response/code_details
            request_headers: property cluster_name
            request_headers: property route_name
            request_headers: property xds/route_name
            request_headers: property xds/cluster_name
            request_headers: property plugin_name
            request_headers: property plugin_root_id
            request_headers: property plugin_vm_id
            request_headers: property nope
            request_headers: property request
            request_headers: property upstream/address
            request_headers: integer upstream/request_attempt_count
            response_headers: integer response/code
            response_headers: property response/headers/vary
            response_headers: property request/path
            response_headers: property xds/cluster_name
            response_headers: integer upstream/request_attempt_count
            log: integer response/code
            log: integer response/flags
            log: property response/code_details
            log: property cluster_name
            log: property xds/cluster_name
            log: property xds/route_name
            log: property request/path
            log: integer response/size
            log: integer upstream/request_attempt_count",
        requests: &[Sent { headers: &[("cookie", "a=1"), ("user-agent", "probe")], ..PLAIN }],
        log: "
            request_headers property request/path = 0 /p?q=1
            request_headers property request/url_path = 0 /p
            request_headers property request/query = 0 q=1
            request_headers property request/host = 0 probe.test
            request_headers property request/method = 0 GET
            request_headers property request/scheme = 0 http
            request_headers property request/protocol = 0 HTTP/1.1
            request_headers property request/useragent = 0 probe
            request_headers property request/referer = 1 -
            request_headers property request/headers/cookie = 0 a=1
            request_headers property request/headers/nope = 1 -
            request_headers property request/nope = 1 -
            request_headers integer request/duration = 1 -
            request_headers integer request/size = 0 0
            request_headers integer response/code = 1 -
            request_headers property response/code_details = 1 -
            request_headers property cluster_name = 1 -
            request_headers property route_name = 1 -
            request_headers property xds/route_name = 0 main
            request_headers property xds/cluster_name = 0 up
            request_headers property plugin_name = 0 probe
            request_headers property plugin_root_id = 0 root
            request_headers property plugin_vm_id = 0 vm
            request_headers property nope = 1 -
            request_headers property request = 3 -
            request_headers property upstream/address = 1 -
            request_headers integer upstream/request_attempt_count = 0 0
            response_headers integer response/code = 0 200
            response_headers property response/headers/vary = 0 accept
            response_headers property request/path = 1 -
            response_headers property xds/cluster_name = 0 up
            response_headers integer upstream/request_attempt_count = 0 1
            log integer response/code = 0 200
            log integer response/flags = 0 0
            log property response/code_details = 0 via_upstream
            log property cluster_name = 1 -
            log property xds/cluster_name = 0 up
            log property xds/route_name = 0 main
            log property request/path = 0 /p?q=1
            log integer response/size = 0 2
            log integer upstream/request_attempt_count = 0 1",
        ..CASE
    },
    Case {
        name: "filter state",
        script: "
            request_headers: property mine
            request_headers: setproperty mine v
            request_headers: property mine
            request_headers: property wasm.mine
            request_headers: property filter_state/wasm.mine
            request_headers: setproperty two/parts v
            request_headers: property two/parts
            request_headers: property two
            request_headers: setproperty request/path v
            request_headers: property request/path
            request_headers: setproperty mine w
            log: property mine
            configure: setproperty mine v
            configure: property mine
            configure: property plugin_root_id
            configure: property request/path",
        log: "
            request_headers property mine = 1 -
            request_headers setproperty mine v = 0
            request_headers property mine = 0 v
            request_headers property wasm.mine = 1 -
            request_headers property filter_state/wasm.mine = 0 v
            request_headers setproperty two/parts v = 0
            request_headers property two/parts = 1 -
            request_headers property two = 1 -
            request_headers setproperty request/path v = 0
            request_headers property request/path = 0 /p?q=1
            request_headers setproperty mine w = 0
            log property mine = 0 w",
        ..CASE
    },
    Case {
        name: "metrics",
        script: "
            request_headers: define 0 host_test.c
            request_headers: define 1 host_test.g
            request_headers: define 2 host_test.h
            request_headers: define 3 host_test.x
            request_headers: define 0 host_test.c
            request_headers: increment 4 2
            request_headers: increment 4 0
            request_headers: increment 4 -1
            request_headers: metric 4
            request_headers: metric 8
            request_headers: record 4 3
            request_headers: metric 4
            request_headers: record 5 9
            request_headers: increment 5 -4
            request_headers: metric 5
            request_headers: increment 6 1
            request_headers: record 6 3
            request_headers: metric 6
            request_headers: record 7 1
            request_headers: increment 7 1
            request_headers: metric 7
            request_headers: increment 400 1
            request_headers: record 400 1
            request_headers: metric 400",
        log: "
            request_headers define 0 host_test.c = 0 4
            request_headers define 1 host_test.g = 0 5
            request_headers define 2 host_test.h = 0 6
            request_headers define 3 host_test.x = 2 0
            request_headers define 0 host_test.c = 0 8
            request_headers increment 4 2 = 0
            request_headers increment 4 0 = 2
            request_headers increment 4 -1 = 2
            request_headers metric 4 = 0 2
            request_headers metric 8 = 0 2
            request_headers record 4 3 = 0
            request_headers metric 4 = 0 5
            request_headers record 5 9 = 0
            request_headers increment 5 -4 = 0
            request_headers metric 5 = 0 5
            request_headers increment 6 1 = 2
            request_headers record 6 3 = 0
            request_headers metric 6 = 2 0
            request_headers record 7 1 = 1
            request_headers increment 7 1 = 2
            request_headers metric 7 = 2 0
            request_headers increment 400 1 = 1
            request_headers record 400 1 = 1
            request_headers metric 400 = 1 0",
        ..CASE
    },
    Case {
        name: "shared data",
        script: "
            request_headers: sharedget k
            request_headers: sharedset k v 77
            request_headers: sharedget k
            request_headers: sharedset k w 4000000
            request_headers: sharedcas k x
            request_headers: sharedget k
            request_headers: sharedset k y 0
            request_headers: sharedget k
            request_headers: sharedset k  0
            request_headers: sharedget k",
        log: "
            request_headers sharedget k = 1 - cas none
            request_headers sharedset k v 77 = 0
            request_headers sharedget k = 0 v cas some
            request_headers sharedset k w 4000000 = 8
            request_headers sharedcas k x = 0
            request_headers sharedget k = 0 x cas some
            request_headers sharedset k y 0 = 0
            request_headers sharedget k = 0 y cas some
            request_headers sharedset k  0 = 0
            request_headers sharedget k = 0 (empty) cas some",
        ..CASE
    },
    Case {
        name: "shared queues",
        script: "
            request_headers: resolve - host-test
            request_headers: register host-test
            request_headers: register host-test
            request_headers: resolve - host-test
            request_headers: resolve elsewhere host-test
            request_headers: enqueue 1 item
            request_headers: dequeue 1
            request_headers: dequeue 1
            request_headers: enqueue 99 item
            request_headers: dequeue 99
            request_headers: enqueue 1 more
            log: say log",
        log: "
            request_headers resolve - host-test = 1 0
            request_headers register host-test = 0 1
            request_headers register host-test = 0 1
            request_headers resolve - host-test = 0 1
            request_headers resolve elsewhere host-test = 1 0
            request_headers enqueue 1 item = 0
            request_headers dequeue 1 = 0 item
            request_headers dequeue 1 = 7 -
            request_headers enqueue 99 item = 1
            request_headers dequeue 99 = 1 -
            request_headers enqueue 1 more = 0
            log",
        ..CASE
    },
    Case {
        name: "odd arguments",
        script: "
            request_headers: effective 99
            request_headers: proxydone
            request_headers: logat 6 x
            request_headers: badpointer
            request_headers: continue 4
            request_headers: continue 3
            request_headers: close 4
            request_headers: foreign nope x
            request_headers: foreign clear_route_cache x",
        log: "
            request_headers effective 99 = 2
            request_headers proxydone = 1
            request_headers logat 6 x = 2
            request_headers badpointer = 6
            request_headers continue 4 = 2
            request_headers continue 3 = 12
            request_headers close 4 = 2
            request_headers foreign nope x = 1 -
            request_headers foreign clear_route_cache x = 0 (empty)",
        ..CASE
    },
    Case {
        name: "closing the request resets the stream",
        script: "
            request_headers: close 0
            log: say log",
        requests: &[Sent { status: 0, answer: "", ..PLAIN }],
        log: "
            request_headers close 0 = 0
            log",
        ..CASE
    },
    Case {
        name: "FAIL_CLOSED after a trap",
        script: "
            request_headers: trap
            response_headers: say not reached
            log: say not reached",
        requests: &[Sent { status: 503, answer: "", ..PLAIN }, Sent { status: 503, answer: "", ..PLAIN }],
        ..CASE
    },
    Case {
        name: "FAIL_OPEN after a trap",
        script: "request_headers: trap",
        policy: "FAIL_OPEN",
        requests: &[Sent { status: 503, answer: "", ..PLAIN }, PLAIN],
        ..CASE
    },
    Case {
        name: "fail_open: true after a trap",
        script: "request_headers: trap",
        policy: "fail_open",
        requests: &[PLAIN, PLAIN],
        ..CASE
    },
    Case {
        name: "a trap in the response phase",
        script: "response_headers: trap",
        requests: &[Sent { status: 503, answer: "", answer_headers: &[("set-cookie", "-")], ..PLAIN }],
        ..CASE
    },
    Case {
        name: "a trap in the log phase",
        script: "log: trap",
        requests: &[PLAIN, Sent { status: 503, answer: "", ..PLAIN }],
        ..CASE
    },
];

/// What a host showed for a case.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) answers: Vec<Answer>,
    pub(crate) log: Vec<String>,
}

/// A response as the client got it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// The differences between a case and what a host showed, as text that can be
/// pasted into the table.
pub(crate) fn differences(case: &Case, observed: &Observed) -> String {
    let mut text = String::new();
    for (sent, answer) in case.requests.iter().zip(&observed.answers) {
        if (answer.status, answer.body.as_str()) != (sent.status, sent.answer) {
            text += &format!(
                "  client: {} {:?}, expected {} {:?}\n",
                answer.status, answer.body, sent.status, sent.answer
            );
        }
        let mut names: Vec<&str> = sent.answer_headers.iter().map(|(name, _)| *name).collect();
        names.dedup();
        for name in names {
            let wanted: Vec<&str> = sent
                .answer_headers
                .iter()
                .filter(|(key, value)| *key == name && *value != "-")
                .map(|(_, value)| *value)
                .collect();
            let found: Vec<&str> = answer
                .headers
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .collect();
            if found != wanted {
                text += &format!("  client: {name} {found:?}, expected {wanted:?}\n");
            }
        }
    }
    let wanted: Vec<&str> = case.log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if observed.log != wanted {
        text += &format!("  log:\n            {}\n", observed.log.join("\n            "));
    }
    if text.is_empty() { text } else { format!("== {}\n{text}", case.name) }
}

/// Whether a line of the guest counts: not the echo of `say`, and not what
/// it says before the first request.
pub(crate) fn shown(line: &str) -> bool {
    !line.ends_with(" = ") && !line.starts_with("configure ") && !line.starts_with("vm_start ")
}
