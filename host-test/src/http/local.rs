//! Responses that do not come from an upstream.

use super::side::Side;
use crate::headers::Headers;
use crate::message::Message;
use crate::state::LocalResponse;
use crate::vm::Vm;

impl Vm {
    /// Sends a local response, as Envoy's `sendLocalReply` does: past the
    /// filter's response callbacks when no response has begun; directly when
    /// one is being encoded; and when its headers are out, as a reset. Of two
    /// in one callback the client gets the first.
    pub(crate) fn local_response(&mut self, id: u32, response: LocalResponse) {
        let stream = self.stream(id);
        if stream.encode.forwarded {
            self.reset_stream(id);
            return;
        }
        if stream.encode.begun && stream.encode.is_untouched() && !stream.failed {
            return;
        }
        let direct = stream.encode.begun;
        stream.details = response.details.clone();
        stream.flags = response.flags;
        let grpc = stream.decode.headers.get("content-type").is_some_and(is_grpc);
        let head = stream.decode.headers.get(":method") == Some(b"HEAD");
        let message = if grpc { grpc_message(response) } else { plain_message(response, head) };
        stream.decode.abort();
        stream.pending = None;
        stream.encode = Side::new(message);
        stream.bypass = direct || stream.failed;
    }
}

fn plain_message(response: LocalResponse, head: bool) -> Message {
    let mut headers = Headers::new();
    headers.add(":status", response.status.to_string());
    response.headers.iter().for_each(|(name, value)| headers.add(name, value));
    if response.body.is_empty() {
        headers.remove("content-length");
        headers.remove("content-type");
    } else {
        headers.set("content-length", response.body.len().to_string());
        if !headers.contains("content-type") {
            headers.add("content-type", "text/plain");
        }
    }
    let chunks = if response.body.is_empty() || head { Vec::new() } else { vec![response.body] };
    Message { headers, chunks, trailers: None, torn: false }
}

/// A gRPC client gets 200 with the status in headers and no body.
fn grpc_message(response: LocalResponse) -> Message {
    let mut headers = Headers::new();
    headers.add(":status", "200");
    headers.add("content-type", "application/grpc");
    let status = response.grpc_status.unwrap_or(match response.status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    });
    headers.add("grpc-status", status.to_string());
    if !response.body.is_empty() {
        headers.add("grpc-message", percent_encode(&response.body));
    }
    response.headers.iter().for_each(|(name, value)| headers.add(name, value));
    Message { headers, chunks: Vec::new(), trailers: None, torn: false }
}

fn is_grpc(content_type: &[u8]) -> bool {
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| rest.is_empty() || rest[0] == b'+')
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
