//! Failure policies.

use super::{
    CASE, Case, PLAIN, Sent,
    Step::{Elapse, Send},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "FAIL_CLOSED after a trap",
        script: "
            request_headers: trap
            response_headers: say not reached
            log: say not reached",
        steps: &[
            Send(Sent { status: 503, answer: "", ..PLAIN }),
            Send(Sent { status: 503, answer: "", ..PLAIN }),
        ],
        ..CASE
    },
    Case {
        name: "FAIL_OPEN after a trap",
        script: "request_headers: trap",
        policy: "FAIL_OPEN",
        steps: &[Send(Sent { status: 503, answer: "", ..PLAIN }), Send(PLAIN)],
        ..CASE
    },
    Case {
        name: "fail_open: true after a trap",
        script: "request_headers: trap",
        policy: "fail_open",
        steps: &[Send(PLAIN), Send(PLAIN)],
        ..CASE
    },
    Case {
        name: "a trap in the response phase",
        script: "response_headers: trap",
        steps: &[Send(Sent { status: 503, answer: "", answer_headers: &[("set-cookie", "-")], ..PLAIN })],
        ..CASE
    },
    Case {
        name: "a trap in the log phase",
        script: "log: trap",
        steps: &[Send(PLAIN), Send(Sent { status: 503, answer: "", ..PLAIN })],
        ..CASE
    },
    Case {
        name: "FAIL_RELOAD within the back-off",
        script: "
            request_headers: facts
            request_headers: trap",
        policy: "FAIL_RELOAD 3600000",
        steps: &[
            Send(Sent { status: 503, answer: "", ..PLAIN }),
            Send(Sent { status: 503, answer: "", ..PLAIN }),
        ],
        log: "
            request_headers facts = 2 6 1",
        ..CASE
    },
    Case {
        name: "FAIL_RELOAD after the back-off",
        script: "
            create: facts
            request_headers: facts
            request_headers: trap",
        policy: "FAIL_RELOAD 2",
        steps: &[
            Elapse,
            Send(Sent { status: 503, answer: "", ..PLAIN }),
            Send(Sent { status: 503, answer: "", ..PLAIN }),
        ],
        log: "
            create facts = 2 1
            request_headers facts = 2 6 1
            create facts = 2 1
            request_headers facts = 2 6 1",
        ..CASE
    },
];
