//! gRPC callouts.

use super::{
    CASE, Case, PLAIN,
    Step::{Await, Send},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a gRPC call that is answered",
        script: "
            request_headers: grpccall origin Hello 5000 ping
            grpc_initial: facts
            grpc_receive: facts
            grpc_receive: buffer 5 0 100
            grpc_receive: status
            grpc_receive: get 4 i
            grpc_trailing: facts
            grpc_close: facts",
        steps: &[Send(PLAIN), Await("grpc_receive get 4 i")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC call that fails",
        script: "
            request_headers: grpccall origin Fail 5000 ping
            grpc_receive: facts
            grpc_trailing: facts
            grpc_close: facts
            grpc_close: status",
        steps: &[Send(PLAIN), Await("grpc_close status")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC call that times out",
        script: "
            request_headers: grpccall origin Hang 50 ping
            grpc_receive: facts
            grpc_trailing: facts
            grpc_close: facts
            grpc_close: status",
        steps: &[Send(PLAIN), Await("grpc_close status")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC call to a cluster that refuses",
        script: "
            request_headers: grpccall down Hello 5000 ping
            grpc_receive: facts
            grpc_close: facts
            grpc_close: status",
        steps: &[Send(PLAIN), Await("grpc_close status")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC call that is cancelled",
        script: "
            request_headers: grpccall origin Hello 5000 ping
            request_headers: grpccancel 5
            request_headers: grpccancel 5
            request_headers: grpcclose 5
            request_headers: grpccall origin Hello 5000 pong
            request_headers: grpcclose 9
            request_headers: grpccancel 9
            request_headers: grpccall origin Hello 5000 third
            grpc_receive: facts
            grpc_receive: buffer 5 0 100
            grpc_close: facts",
        steps: &[Send(PLAIN), Await("grpc_receive buffer")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC stream",
        script: "
            request_headers: grpcstream origin Chat
            request_headers: grpcsend 6 one 0
            request_headers: grpcsend 5 one 0
            grpc_initial: facts
            grpc_initial: get 4 i
            grpc_receive: facts
            grpc_receive: buffer 5 0 100
            grpc_receive: grpcclose 6
            grpc_receive: grpcsend 6 late 0
            grpc_trailing: get 5 t
            grpc_trailing: get 4 i
            grpc_close: facts
            grpc_close: status
            grpc_close: grpcclose 6",
        steps: &[Send(PLAIN), Await("grpc_close grpcclose")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC stream that ends with its message",
        script: "
            request_headers: grpcstream origin Chat
            request_headers: grpcsend 6 one 1
            grpc_receive: buffer 5 0 100
            grpc_trailing: get 5 t
            grpc_close: facts",
        steps: &[Send(PLAIN), Await("grpc_close facts")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC stream that fails",
        script: "
            request_headers: grpcstream origin Fail
            request_headers: grpcsend 6 one 1
            grpc_initial: get 4 i
            grpc_receive: buffer 5 0 100
            grpc_trailing: get 5 t
            grpc_close: facts
            grpc_close: status",
        steps: &[Send(PLAIN), Await("grpc_close status")],
        log: "
            ?",
        ..CASE
    },
    Case {
        name: "a gRPC stream that is cancelled",
        script: "
            request_headers: grpcstream origin Chat
            request_headers: grpcsend 6 one 0
            grpc_receive: buffer 5 0 100
            grpc_receive: grpccancel 6
            grpc_receive: grpccancel 6
            grpc_receive: grpcsend 6 late 0
            grpc_close: facts",
        steps: &[Send(PLAIN), Await("grpc_receive grpcsend")],
        log: "
            ?",
        ..CASE
    },
];
