//! The order of callbacks, and calls with odd arguments.

use super::{CASE, Case};

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
        name: "log levels",
        script: "
            request_headers: loglevel
            request_headers: logat 0 trace
            request_headers: logat 1 debug
            request_headers: logat 2 info
            request_headers: logat 3 warn
            request_headers: logat 5 critical",
        log: "
            request_headers loglevel = 0 2
            request_headers logat 0 trace = 0
            request_headers logat 1 debug = 0
            info
            request_headers logat 2 info = 0
            warn
            request_headers logat 3 warn = 0
            critical
            request_headers logat 5 critical = 0",
        ..CASE
    },
    Case {
        name: "the clocks",
        script: "
            request_headers: clocks
            log: clocks",
        log: "
            request_headers clocks = 0 same
            log clocks = 0 same",
        ..CASE
    },
];
