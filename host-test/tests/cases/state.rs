//! Properties, metrics, shared data, queues.

use super::{CASE, Case, PLAIN, Sent, Step::Send};

pub(crate) const CASES: &[Case] = &[
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
        steps: &[Send(Sent { headers: &[("cookie", "a=1"), ("user-agent", "probe")], ..PLAIN })],
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
];
