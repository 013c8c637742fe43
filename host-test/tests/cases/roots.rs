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
            tick facts = 1
            tick tick 0 = 0
            tick get 0 :path = 2 -
            tick property plugin_root_id = 0 root",
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
            tick facts = 1
            tick tick 0 = 0",
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
            request_headers enqueue 1 hello = 0
            queue_ready facts = 1 1
            queue_ready dequeue 1 = 0 hello",
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
            create facts = 2 1
            old
            never
            create facts = 3 0
            configure facts = 3 78
            done facts = 1
            delete facts = 1
            request_headers facts = 4 6 1
            log facts = 4
            done facts = 4
            delete facts = 4",
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
            done facts = 1
            delete facts = 1",
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
            request_headers set 0 x-route alt = 0
            request_headers set 0 x-route alt = 0",
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
            request_headers set 0 x-route alt = 0
            request_headers set 0 x-route alt = 0",
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
                configure: say new
                done: facts
                done: return 0
                request_headers: effective 1
                request_headers: proxydone
                delete: facts",
            ),
            Await("done facts = 1"),
            // On the worker alone: with a tick the main thread's VM said it, too, and Envoy 1.40 crashed there.
            Send(PLAIN),
            Await("delete facts = 1"),
        ],
        log: "
            old
            new
            done facts = 1
            request_headers effective 1 = 0
            request_headers proxydone = 0
            delete facts = 1
            done facts = 4
            delete facts = 4",
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
                response_headers: get 2 :status
                log: facts
                done: facts
                delete: facts",
            ),
            Finish,
            Await("delete facts = 1"),
            Send(PLAIN),
        ],
        log: "
            request_headers facts = 2 6 1
            configure facts = 3 124
            response_headers get 2 :status = 0 200
            log facts = 2
            done facts = 2
            delete facts = 2
            done facts = 1
            delete facts = 1
            create facts = 4 3
            request_headers facts = 4 6 1
            response_headers get 2 :status = 0 200
            log facts = 4
            done facts = 4
            delete facts = 4",
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
                http_call_response: get 6 :status
                http_call_response: effective 2
                http_call_response: continue 0
                done: facts
                delete: facts",
            ),
            Finish,
            Await("delete facts = 1"),
        ],
        log: "
            request_headers call origin /o/slow 5000 = 0 4
            configure facts = 3 141
            http_call_response get 6 :status = 0 200
            http_call_response effective 2 = 0
            http_call_response continue 0 = 0
            done facts = 2
            delete facts = 2
            done facts = 1
            delete facts = 1",
        ..CASE
    },
];
