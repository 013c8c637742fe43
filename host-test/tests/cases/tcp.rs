//! Network filters.

use super::{CASE, Case, HELD, Step::Talk};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a TCP connection that the client closes",
        script: "
            create: facts
            new_connection: facts
            downstream_data: facts
            downstream_data: buffer 2 0 100
            downstream_data: bufferstatus 2
            downstream_data: setbuffer 2 max 0 !
            upstream_data: facts
            upstream_data: buffer 3 0 100
            upstream_data: setbuffer 3 0 0 <
            upstream_data: buffer 2 0 100
            upstream_close: facts
            downstream_close: facts
            done: facts
            log: facts
            delete: facts",
        steps: &[Talk(&[("ping", "<re:ping!"), ("more", "<re:more!")])],
        log: "
            create facts = 2 1
            new_connection facts = 2
            downstream_data facts = 2 4 0
            downstream_data buffer 2 0 100 = 0 ping
            downstream_data bufferstatus 2 = 0 4
            downstream_data setbuffer 2 max 0 ! = 0
            upstream_data facts = 2 8 0
            upstream_data buffer 3 0 100 = 0 re:ping!
            upstream_data setbuffer 3 0 0 < = 0
            upstream_data buffer 2 0 100 = 0 (empty)
            downstream_data facts = 2 4 0
            downstream_data buffer 2 0 100 = 0 more
            downstream_data bufferstatus 2 = 0 4
            downstream_data setbuffer 2 max 0 ! = 0
            upstream_data facts = 2 8 0
            upstream_data buffer 3 0 100 = 0 re:more!
            upstream_data setbuffer 3 0 0 < = 0
            upstream_data buffer 2 0 100 = 0 (empty)
            downstream_data facts = 2 0 1
            downstream_data buffer 2 0 100 = 0 (empty)
            downstream_data bufferstatus 2 = 0 0
            downstream_data setbuffer 2 max 0 ! = 0
            upstream_data facts = 2 0 1
            upstream_data buffer 3 0 100 = 0 (empty)
            upstream_data setbuffer 3 0 0 < = 0
            upstream_data buffer 2 0 100 = 0 (empty)
            upstream_close facts = 2 0
            downstream_close facts = 2 1
            done facts = 2
            log facts = 2
            delete facts = 2",
        ..CASE
    },
    Case {
        name: "a TCP connection that the upstream closes",
        script: "
            downstream_data: facts
            upstream_data: facts
            upstream_close: facts
            downstream_close: facts
            done: facts
            log: facts
            delete: facts",
        steps: &[Talk(&[("bye", "")])],
        log: "
            downstream_data facts = 2 3 0
            upstream_data facts = 2 0 1
            upstream_close facts = 2 0
            downstream_data facts = 2 0 1
            downstream_close facts = 2 2
            done facts = 2
            log facts = 2
            delete facts = 2",
        ..CASE
    },
    Case {
        name: "TCP data that is held until the end",
        script: "
            downstream_data: facts
            downstream_data: buffer 2 0 100
            downstream_data: hold",
        steps: &[Talk(&[("one", HELD), ("two", HELD), ("", "re:onetwo")])],
        log: "
            downstream_data facts = 2 3 0
            downstream_data buffer 2 0 100 = 0 one
            downstream_data facts = 2 6 0
            downstream_data buffer 2 0 100 = 0 onetwo
            downstream_data facts = 2 6 1
            downstream_data buffer 2 0 100 = 0 onetwo",
        ..CASE
    },
    Case {
        name: "properties of a TCP connection",
        script: "
            downstream_data: property request/path
            downstream_data: property plugin_name
            downstream_data: get 0 :path
            downstream_data: local 403 no
            downstream_data: setproperty mine v
            downstream_data: property mine
            log: property mine",
        steps: &[Talk(&[("x", "re:x")])],
        log: "
            downstream_data property request/path = 1 -
            downstream_data property plugin_name = 0 probe
            downstream_data get 0 :path = 2 -
            downstream_data local 403 no = 0
            downstream_data setproperty mine v = 0
            downstream_data property mine = 0 v
            downstream_data property request/path = 1 -
            downstream_data property plugin_name = 0 probe
            downstream_data get 0 :path = 2 -
            downstream_data local 403 no = 0
            downstream_data setproperty mine v = 0
            downstream_data property mine = 0 v
            log property mine = 0 v",
        ..CASE
    },
    Case {
        name: "a TCP connection that the filter closes",
        script: "
            downstream_data: close 2
            downstream_close: facts
            upstream_close: facts
            log: facts",
        steps: &[Talk(&[("x", "")])],
        log: "
            downstream_data close 2 = 0
            downstream_close facts = 2 1
            log facts = 2",
        ..CASE
    },
    Case {
        name: "a trap on a TCP connection",
        script: "
            downstream_data: trap
            downstream_close: facts",
        steps: &[Talk(&[("x", "")]), Talk(&[("x", "")])],
        ..CASE
    },
];
