//! The numbers of the Proxy-Wasm ABI, named.
//!
//! Source: the ABI specification v0.2.1, section "Types", and for the status
//! codes it leaves out (5, 9, 11) the `WasmResult` enum of Envoy's host: a
//! guest can meet all thirteen.

/// What a hostcall answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Status {
    /// The call did what it was asked.
    Ok = 0,
    /// The header, property, metric, queue or function does not exist.
    NotFound = 1,
    /// An argument is out of range, or the thing is not available now.
    BadArgument = 2,
    /// The host could not encode the value.
    SerializationFailure = 3,
    /// The host could not decode what it was given.
    ParseFailure = 4,
    /// An expression handed over by the guest does not compile (Envoy only).
    BadExpression = 5,
    /// A pointer or a length leaves the guest's memory.
    InvalidMemoryAccess = 6,
    /// The queue is empty.
    Empty = 7,
    /// The compare-and-set value is stale.
    CasMismatch = 8,
    /// The result has another shape than expected (Envoy only).
    ResultMismatch = 9,
    /// The host failed.
    InternalFailure = 10,
    /// The connection of a callout broke (Envoy only).
    BrokenConnection = 11,
    /// The host does not have this.
    Unimplemented = 12,
}

impl Status {
    /// Every status, in numeric order.
    pub const ALL: [Status; 13] = [
        Status::Ok,
        Status::NotFound,
        Status::BadArgument,
        Status::SerializationFailure,
        Status::ParseFailure,
        Status::BadExpression,
        Status::InvalidMemoryAccess,
        Status::Empty,
        Status::CasMismatch,
        Status::ResultMismatch,
        Status::InternalFailure,
        Status::BrokenConnection,
        Status::Unimplemented,
    ];
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LogLevel {
    /// 0
    Trace = 0,
    /// 1
    Debug = 1,
    /// 2
    Info = 2,
    /// 3
    Warn = 3,
    /// 4
    Error = 4,
    /// 5
    Critical = 5,
}

impl LogLevel {
    pub(crate) fn from_abi(level: u32) -> Option<LogLevel> {
        Some(match level {
            0 => LogLevel::Trace,
            1 => LogLevel::Debug,
            2 => LogLevel::Info,
            3 => LogLevel::Warn,
            4 => LogLevel::Error,
            5 => LogLevel::Critical,
            _ => return None,
        })
    }
}

/// Which header map a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    CallResponseHeaders,
    CallResponseTrailers,
}

impl MapType {
    pub(crate) fn from_abi(map: u32) -> Option<MapType> {
        Some(match map {
            0 => MapType::RequestHeaders,
            1 => MapType::RequestTrailers,
            2 => MapType::ResponseHeaders,
            3 => MapType::ResponseTrailers,
            4 => MapType::GrpcInitialMetadata,
            5 => MapType::GrpcTrailingMetadata,
            6 => MapType::CallResponseHeaders,
            7 => MapType::CallResponseTrailers,
            _ => return None,
        })
    }
}

/// Which byte buffer a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferType {
    RequestBody,
    ResponseBody,
    Downstream,
    Upstream,
    CallResponseBody,
    GrpcMessage,
    VmConfiguration,
    PluginConfiguration,
    CallData,
}

impl BufferType {
    pub(crate) fn from_abi(buffer: u32) -> Option<BufferType> {
        Some(match buffer {
            0 => BufferType::RequestBody,
            1 => BufferType::ResponseBody,
            2 => BufferType::Downstream,
            3 => BufferType::Upstream,
            4 => BufferType::CallResponseBody,
            5 => BufferType::GrpcMessage,
            6 => BufferType::VmConfiguration,
            7 => BufferType::PluginConfiguration,
            8 => BufferType::CallData,
            _ => return None,
        })
    }
}

/// The stream a resume or close means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamType {
    Request,
    Response,
    Downstream,
    Upstream,
}

impl StreamType {
    pub(crate) fn from_abi(stream: u32) -> Option<StreamType> {
        Some(match stream {
            0 => StreamType::Request,
            1 => StreamType::Response,
            2 => StreamType::Downstream,
            3 => StreamType::Upstream,
            _ => return None,
        })
    }
}

/// Who closed a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Peer {
    /// Not known.
    Unknown = 0,
    /// The proxy.
    Local = 1,
    /// The other end.
    Remote = 2,
}

/// The ABI version a module asks for by its marker export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    /// `proxy_abi_version_0_2_0`
    V0_2_0,
    /// `proxy_abi_version_0_2_1`
    V0_2_1,
}
