//! Callouts: requests that the guest itself sends.

use crate::headers::Headers;
use crate::message::UpstreamRequest;
use crate::refused::{REFUSED_BODY, REFUSED_DETAILS, UNAVAILABLE};
use std::time::Duration;

/// A callout that the guest made.
#[derive(Clone, Debug)]
pub struct CalloutRecord {
    /// The id that the guest got.
    pub token: u32,
    /// The request, with the cluster it went to.
    pub request: UpstreamRequest,
    /// The timeout; zero means none.
    pub timeout: Duration,
    /// `Some` for gRPC: service and method.
    pub grpc: Option<(String, String)>,
}

/// One gRPC call or one message on a gRPC stream, as the upstream gets it.
#[derive(Clone, Debug)]
pub struct GrpcRequest {
    /// The cluster.
    pub cluster: String,
    /// The service, such as `helloworld.Greeter`.
    pub service: String,
    /// The method.
    pub method: String,
    /// Initial metadata.
    pub metadata: Headers,
    /// The message; `None` when a stream was opened or closed.
    pub message: Option<Vec<u8>>,
    /// The guest will send no more.
    pub end: bool,
}

/// What a gRPC upstream answers.
#[derive(Clone, Debug)]
pub struct GrpcReply {
    pub(crate) initial_metadata: Headers,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) trailing_metadata: Headers,
    pub(crate) status: Option<(u32, String)>,
    pub(crate) delay: Duration,
    pub(crate) hang: bool,
    /// Why it ended, in Envoy's words, which stand behind the status message.
    pub(crate) details: &'static str,
}

impl Default for GrpcReply {
    fn default() -> GrpcReply {
        GrpcReply {
            initial_metadata: Headers::new(),
            messages: Vec::new(),
            trailing_metadata: Headers::new(),
            status: None,
            delay: Duration::ZERO,
            hang: false,
            details: "via_upstream",
        }
    }
}

impl GrpcReply {
    /// One message and status 0, which ends the call.
    pub fn ok(message: impl Into<Vec<u8>>) -> GrpcReply {
        GrpcReply::message(message).close(0, "")
    }

    /// One message; the stream stays open.
    pub fn message(message: impl Into<Vec<u8>>) -> GrpcReply {
        GrpcReply { messages: vec![message.into()], ..GrpcReply::default() }
    }

    /// Nothing now; the stream stays open.
    pub fn silent() -> GrpcReply {
        GrpcReply::default()
    }

    /// A status other than 0 ends the call without a message.
    pub fn error(status: u32, message: impl Into<String>) -> GrpcReply {
        GrpcReply::default().close(status, message)
    }

    /// Never answers.
    pub fn hang() -> GrpcReply {
        GrpcReply { hang: true, ..GrpcReply::default() }
    }

    /// The cluster does not accept the connection: status 14.
    pub fn connection_refused() -> GrpcReply {
        GrpcReply { details: REFUSED_DETAILS, ..GrpcReply::error(UNAVAILABLE, REFUSED_BODY) }
    }

    /// Ends the call with this status. Envoy tells the guest its message with
    /// `{via_upstream}` behind it, and so does this host.
    #[must_use]
    pub fn close(mut self, status: u32, message: impl Into<String>) -> GrpcReply {
        self.status = Some((status, message.into()));
        self
    }

    /// Adds an initial metadata entry.
    #[must_use]
    pub fn initial_metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> GrpcReply {
        self.initial_metadata.add(name, value);
        self
    }

    /// Adds a trailing metadata entry.
    #[must_use]
    pub fn trailing_metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> GrpcReply {
        self.trailing_metadata.add(name, value);
        self
    }

    /// Answers after this much virtual time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> GrpcReply {
        self.delay = delay;
        self
    }
}
