//! Header maps: what each phase may read and write.

use super::{CASE, Case, PLAIN, Sent, Step::Send};

pub(crate) const CASES: &[Case] = &[
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
        steps: &[Send(Sent { headers: &[("cookie", "a=1"), ("cookie", "b=2"), ("empty", "")], ..PLAIN })],
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
        steps: &[Send(Sent {
            answer_headers: &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("set-cookie", "c=3")],
            ..PLAIN
        })],
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
        steps: &[Send(Sent { answer_headers: &[("set-cookie", "c=3")], ..PLAIN })],
        log: "
            response_headers set 2 set-cookie c=3 = 0
            response_headers get 2 set-cookie = 0 c=3",
        ..CASE
    },
    Case {
        name: "remove takes every set-cookie",
        script: "response_headers: remove 2 Set-Cookie",
        steps: &[Send(Sent { answer_headers: &[("set-cookie", "-")], ..PLAIN })],
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
        steps: &[Send(Sent {
            headers: &[("cookie", "a=1"), ("x-many", "1"), ("user-agent", "one"), ("accept", "one")],
            ..PLAIN
        })],
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
        steps: &[Send(Sent { status: 404, answer: "", ..PLAIN })],
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
];
