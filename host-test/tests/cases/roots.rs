//! Root contexts: configuration, ticks, queues, and what outlives them.

use super::{
    CASE, Case, PLAIN, Sent, Speaker,
    Step::{Await, Configure, Finish, Open, Refuse, Send},
};

const SLOW: Sent = Sent { path: "/o/slow", answer: "slow", ..PLAIN };

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a tick in the worker",
        script: "
            configure: tick 20
            tick: facts
            tick: tick 0
            tick: get 0 :path
            tick: property plugin_root_id",
        steps: &[Await("tick property")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a tick in the main VM",
        script: "
            configure: tick 20
            tick: facts
            tick: tick 0",
        steps: &[Await("tick tick")],
        vm: Speaker::Main,
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a queue notice goes to the VM that registered last",
        script: "
            configure: register q
            request_headers: enqueue 1 hello
            queue_ready: facts
            queue_ready: dequeue 1",
        steps: &[Send(PLAIN), Await("queue_ready dequeue")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a new configuration is a new root context in the same VM",
        script: "
            request_headers: say old
            create: facts
            done: say never",
        steps: &[
            Send(PLAIN),
            Configure(
                "
                configure: facts
                done: facts
                log: facts
                delete: facts
                request_headers: facts",
            ),
            Await("delete facts"),
            Send(PLAIN),
        ],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "the main VM takes a new configuration, too",
        script: "
            request_headers: say unused",
        steps: &[Configure(
            "
                configure: facts
                done: facts
                delete: facts",
        )],
        vm: Speaker::Main,
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a refused configuration leaves the last good one",
        script: "
            request_headers: set 0 x-route alt",
        steps: &[
            Send(Sent { answer: "alt", ..PLAIN }),
            Refuse("configure: return 0"),
            Send(Sent { answer: "alt", ..PLAIN }),
        ],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a configuration that traps leaves the last good one",
        script: "
            request_headers: set 0 x-route alt",
        steps: &[
            Send(Sent { answer: "alt", ..PLAIN }),
            Refuse("configure: trap"),
            Send(Sent { answer: "alt", ..PLAIN }),
        ],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a root context that is not done lives until it says so",
        script: "
            request_headers: say old",
        steps: &[
            Send(PLAIN),
            Configure(
                "
                configure: tick 20
                done: facts
                done: return 0
                tick: effective 1
                tick: proxydone
                tick: tick 0
                delete: facts",
            ),
            Await("delete facts = 1"),
        ],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a stream keeps its root context over a new configuration",
        script: "
            request_headers: facts",
        steps: &[
            Open(SLOW, "request_headers facts"),
            Configure(
                "
                create: facts
                configure: facts
                request_headers: facts
                response_headers: facts
                log: facts
                done: facts
                delete: facts",
            ),
            Finish,
            Await("delete facts = 1"),
            Send(PLAIN),
        ],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "the callout of an open stream outlives its configuration",
        script: "
            request_headers: call origin /o/slow 5000
            request_headers: return 1",
        steps: &[
            Open(PLAIN, "request_headers call"),
            Configure(
                "
                configure: facts
                http_call_response: facts
                http_call_response: effective 2
                http_call_response: continue 0
                done: facts
                delete: facts",
            ),
            Finish,
            Await("delete facts = 1"),
        ],
        log: "
            ?",
        ..CASE
    },
];
