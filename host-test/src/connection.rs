//! TCP connections through a network filter.

use crate::host::Host;
use crate::state::Context;
use crate::tcp::TcpStream;
use crate::types::Peer;
use crate::vm::{Called, Vm};

/// An open TCP connection. Data goes in with [`Connection::client_sends`] and
/// [`Connection::upstream_sends`]; what the filter lets pass comes out of
/// [`Connection::upstream_received`] and [`Connection::client_received`].
pub struct Connection<'a> {
    host: &'a mut Host,
    worker: usize,
    context: u32,
    allowed: bool,
    ended: bool,
    /// What had arrived at upstream and client when it ended.
    received: (Vec<u8>, Vec<u8>),
}

impl Host {
    /// Opens a TCP connection on a worker, counted from 0.
    pub fn connect(&mut self, worker: usize) -> Connection<'_> {
        let vm = self.worker_vm(worker);
        let root = vm.root;
        let context = vm
            .state_mut()
            .new_context(|_| Context::Tcp(Box::new(TcpStream { root, ..TcpStream::default() })));
        vm.call(context, "proxy_on_context_create", |exports, store| {
            exports.on_context_create.call2(store, context, root)
        });
        let answer = vm.call(context, "proxy_on_new_connection", |exports, store| {
            exports.on_new_connection.call1(store, context)
        });
        let allowed = matches!(answer, Called::Returned(0) | Called::Missing);
        if let Some(stream) = tcp(vm, context) {
            stream.stopped = !allowed;
            stream.closed = matches!(answer, Called::Failed);
        }
        vm.settle();
        let mut connection =
            Connection { host: self, worker, context, allowed, ended: false, received: Default::default() };
        connection.end_if_closed();
        connection
    }
}

impl Connection<'_> {
    /// Whether `proxy_on_new_connection` let it through.
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// Bytes arrive from the client. A paused filter sees them together with
    /// what it paused before.
    pub fn client_sends(&mut self, data: impl AsRef<[u8]>, end: bool) {
        let context = self.context;
        let vm = self.host.worker_vm(self.worker);
        let Some(stream) = tcp(vm, context).filter(|stream| !stream.closed) else {
            return;
        };
        let buffer = stream.downstream.get_or_insert_default();
        buffer.extend_from_slice(data.as_ref());
        let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let answer = vm.call(context, "proxy_on_downstream_data", |exports, store| {
            exports.on_downstream_data.call3(store, context, size, end.into())
        });
        if let Some(stream) = tcp(vm, context) {
            stream.closed |= matches!(answer, Called::Failed);
            stream.stopped = !matches!(answer, Called::Returned(0) | Called::Missing);
            if !stream.stopped {
                let passed = stream.downstream.take().unwrap_or_default();
                stream.to_upstream.extend(passed);
            }
        }
        vm.settle();
        self.host.settle();
        self.end_if_closed();
    }

    /// Bytes arrive from the upstream. The end of the stream also closes the
    /// upstream connection, as in Envoy.
    pub fn upstream_sends(&mut self, data: impl AsRef<[u8]>, end: bool) {
        let context = self.context;
        let vm = self.host.worker_vm(self.worker);
        let Some(stream) = tcp(vm, context).filter(|stream| !stream.closed) else {
            return;
        };
        let buffer = stream.upstream.get_or_insert_default();
        buffer.extend_from_slice(data.as_ref());
        let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let answer = vm.call(context, "proxy_on_upstream_data", |exports, store| {
            exports.on_upstream_data.call3(store, context, size, end.into())
        });
        if let Some(stream) = tcp(vm, context) {
            stream.closed |= matches!(answer, Called::Failed);
            stream.upstream_stopped = !matches!(answer, Called::Returned(0) | Called::Missing);
            if !stream.upstream_stopped {
                let passed = stream.upstream.take().unwrap_or_default();
                stream.to_client.extend(passed);
            }
        }
        if end {
            close_upstream(vm, context, Peer::Unknown);
        }
        vm.settle();
        self.host.settle();
        self.end_if_closed();
    }

    /// What reached the upstream so far.
    pub fn upstream_received(&mut self) -> Vec<u8> {
        let context = self.context;
        tcp(self.host.worker_vm(self.worker), context)
            .map(|stream| stream.to_upstream.clone())
            .unwrap_or_else(|| self.received.0.clone())
    }

    /// What reached the client so far.
    pub fn client_received(&mut self) -> Vec<u8> {
        let context = self.context;
        tcp(self.host.worker_vm(self.worker), context)
            .map(|stream| stream.to_client.clone())
            .unwrap_or_else(|| self.received.1.clone())
    }

    /// Whether the filter, or its failure, closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let context = self.context;
        tcp(self.host.worker_vm(self.worker), context).is_none_or(|stream| stream.closed)
    }

    /// Closes it: `proxy_on_downstream_connection_close`, then done, log and
    /// delete, in Envoy's order for TCP. To the filter a connection that the
    /// client and the upstream have both half-closed is closed by the proxy
    /// ([`Peer::Local`]).
    pub fn close(mut self, peer: Peer) {
        self.end(peer);
    }

    /// When the filter closed it, its last callbacks come at once.
    fn end_if_closed(&mut self) {
        if self.is_closed() {
            self.end(Peer::Local);
        }
    }

    fn end(&mut self, peer: Peer) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let id = self.context;
        let vm = self.host.worker_vm(self.worker);
        vm.call(id, "proxy_on_downstream_connection_close", |exports, store| {
            exports.on_downstream_close.call2(store, id, peer as u32)
        });
        vm.call(id, "proxy_on_done", |exports, store| exports.on_done.call1(store, id));
        vm.call(id, "proxy_on_log", |exports, store| exports.on_log.call1(store, id));
        vm.call(id, "proxy_on_delete", |exports, store| exports.on_delete.call1(store, id));
        let root = match vm.state_mut().contexts.remove(&id) {
            Some(Context::Tcp(stream)) => {
                self.received = (stream.to_upstream, stream.to_client);
                stream.root
            }
            _ => id,
        };
        vm.shut_down_if_unused(root);
        vm.settle();
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.end(Peer::Remote);
    }
}

impl std::fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("context", &self.context).finish_non_exhaustive()
    }
}

fn close_upstream(vm: &mut Vm, id: u32, peer: Peer) {
    vm.call(id, "proxy_on_upstream_connection_close", |exports, store| {
        exports.on_upstream_close.call2(store, id, peer as u32)
    });
}

fn tcp(vm: &mut Vm, id: u32) -> Option<&mut TcpStream> {
    match vm.state_mut().contexts.get_mut(&id) {
        Some(Context::Tcp(stream)) => Some(stream),
        _ => None,
    }
}
