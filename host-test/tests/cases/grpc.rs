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
            grpc_receive: grpccancel 5
            grpc_trailing: facts
            grpc_close: facts",
        steps: &[Send(PLAIN), Await("grpc_receive grpccancel")],
        log: "
            request_headers grpccall origin Hello 5000 ping = 0 5
            grpc_receive facts = 1 5 7
            grpc_receive buffer 5 0 100 = 0 re:ping
            grpc_receive status = 0 (empty) code 0
            grpc_receive get 4 i = 2 -
            grpc_receive grpccancel 5 = 0",
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
            request_headers grpccall origin Fail 5000 ping = 0 5
            grpc_close facts = 1 5 7
            grpc_close status = 0 no{via_upstream} code 7",
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
            request_headers grpccall origin Hang 50 ping = 0 5
            grpc_close facts = 1 5 14
            grpc_close status = 0 upstream request timeout{response_timeout} code 14",
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
            request_headers grpccall down Hello 5000 ping = 0 5
            grpc_close facts = 1 5 14
            grpc_close status = 0 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure{upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}} code 14",
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
            request_headers grpccall origin Hello 5000 ping = 0 5
            request_headers grpccancel 5 = 0
            request_headers grpccancel 5 = 1
            request_headers grpcclose 5 = 1
            request_headers grpccall origin Hello 5000 pong = 0 9
            request_headers grpcclose 9 = 0
            request_headers grpccancel 9 = 1
            request_headers grpccall origin Hello 5000 third = 0 13
            grpc_receive facts = 1 13 8
            grpc_receive buffer 5 0 100 = 0 re:third",
        ..CASE
    },
    Case {
        name: "a gRPC stream",
        script: "
            request_headers: grpcstream origin Chat
            request_headers: grpcsend 6 one 0
            request_headers: grpcsend 5 one 0
            grpc_initial: get 4 i
            grpc_initial: get 4 :status
            grpc_initial: get 4 content-type
            grpc_receive: facts
            grpc_receive: buffer 5 0 100
            grpc_receive: grpcclose 6
            grpc_receive: grpcsend 6 late 0
            grpc_trailing: pairs 5
            grpc_trailing: get 4 i
            grpc_close: facts
            grpc_close: status
            grpc_close: grpcclose 6",
        steps: &[Send(PLAIN), Await("grpc_close grpcclose")],
        log: "
            request_headers grpcstream origin Chat = 0 6
            request_headers grpcsend 6 one 0 = 0
            request_headers grpcsend 5 one 0 = 2
            grpc_initial get 4 i = 0 1
            grpc_initial get 4 :status = 0 200
            grpc_initial get 4 content-type = 0 application/grpc
            grpc_receive facts = 1 6 3
            grpc_receive buffer 5 0 100 = 0 one
            grpc_receive grpcclose 6 = 0
            grpc_receive grpcsend 6 late 0 = 0
            grpc_trailing pairs 5 = 0 grpc-status=0&grpc-message=bye&t=2
            grpc_trailing get 4 i = 2 -
            grpc_close facts = 1 6 0
            grpc_close status = 0 bye{via_upstream} code 0
            grpc_close grpcclose 6 = 0",
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
            request_headers grpcstream origin Chat = 0 6
            request_headers grpcsend 6 one 1 = 0
            grpc_receive buffer 5 0 100 = 0 one
            grpc_trailing get 5 t = 0 2
            grpc_close facts = 1 6 0",
        ..CASE
    },
    Case {
        name: "a gRPC stream that fails",
        script: "
            request_headers: grpcstream origin Fail
            request_headers: grpcsend 6 one 1
            grpc_initial: facts
            grpc_initial: get 4 grpc-status
            grpc_receive: buffer 5 0 100
            grpc_trailing: get 5 :status
            grpc_trailing: get 5 content-type
            grpc_trailing: get 5 grpc-status
            grpc_trailing: get 5 grpc-message
            grpc_close: facts
            grpc_close: status",
        steps: &[Send(PLAIN), Await("grpc_close status")],
        log: "
            request_headers grpcstream origin Fail = 0 6
            request_headers grpcsend 6 one 1 = 0
            grpc_initial facts = 1 6 0
            grpc_initial get 4 grpc-status = 1 -
            grpc_trailing get 5 :status = 0 200
            grpc_trailing get 5 content-type = 0 application/grpc
            grpc_trailing get 5 grpc-status = 0 7
            grpc_trailing get 5 grpc-message = 0 no
            grpc_close facts = 1 6 7
            grpc_close status = 0 no{via_upstream} code 7",
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
            request_headers grpcstream origin Chat = 0 6
            request_headers grpcsend 6 one 0 = 0
            grpc_receive buffer 5 0 100 = 0 one
            grpc_receive grpccancel 6 = 0
            grpc_receive grpccancel 6 = 1
            grpc_receive grpcsend 6 late 0 = 1",
        ..CASE
    },
];
