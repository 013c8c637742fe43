//! TCP streams: the data of one connection. The driver is in
//! [`crate::connection`].

use std::collections::BTreeMap;

/// A connection as the guest sees it.
#[derive(Debug, Default)]
pub(crate) struct TcpStream {
    pub(crate) root: u32,
    /// Readable while the data waits for the guest.
    pub(crate) downstream: Option<Vec<u8>>,
    pub(crate) upstream: Option<Vec<u8>>,
    pub(crate) stopped: bool,
    pub(crate) upstream_stopped: bool,
    /// What passed on to the upstream, and to the client.
    pub(crate) to_upstream: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    pub(crate) closed: bool,
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
}
