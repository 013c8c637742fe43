//! Network filters.

use super::{CASE, Case, Step::Talk};

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
            ?",
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
        steps: &[Talk(&[("bye", "re:bye")])],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "TCP data that is held until there is more",
        script: "
            downstream_data: facts
            downstream_data: buffer 2 0 100
            downstream_data: return 1
            upstream_data: continue 2
            tick: say unused",
        steps: &[Talk(&[("one", "")])],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "properties of a TCP connection",
        script: "
            downstream_data: property request/path
            downstream_data: property plugin_name
            downstream_data: property xds/cluster_name
            downstream_data: get 0 :path
            downstream_data: local 403 no
            downstream_data: setproperty mine v
            downstream_data: property mine
            log: property mine",
        steps: &[Talk(&[("x", "re:x")])],
        log: "
            ?",
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
            ?",
        ..CASE
    },
    Case {
        name: "a trap on a TCP connection",
        script: "
            downstream_data: trap
            downstream_close: facts",
        steps: &[Talk(&[("x", "")]), Talk(&[("x", "")])],
        log: "
            ?",
        ..CASE
    },
];
