//! An upstream that is a process of its own: an Envoy that answers 200. It keeps up with any load, remembers
//! nothing, and can be killed and started again at its address.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::process::Process;

/// A running upstream. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    _process: Process,
}

impl Origin {
    /// Starts it at a loopback address.
    ///
    /// # Errors
    /// When there is no Envoy, or the port is taken.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        Self::failing(address, 0).await
    }

    /// The same, but so many of a hundred requests are answered with 500.
    ///
    /// # Errors
    /// As [`Origin::start`].
    pub async fn failing(address: SocketAddr, percent: u32) -> Result<Self> {
        let socket = |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let failing = json!({ "default_value": { "numerator": percent, "denominator": "HUNDRED" } });
        let routes = json!([
            { "match": { "prefix": "/", "runtime_fraction": failing }, "direct_response": { "status": 500 } },
            {
                "match": { "prefix": "/" },
                "direct_response": { "status": 200, "body": { "inline_string": "ok\n" } },
            },
        ]);
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "origin",
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
            }],
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
        });
        let bootstrap = json!({
            "admin": { "address": socket(0) },
            "static_resources": { "listeners": [{
                "name": "origin",
                "address": socket(address.port()),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }] },
        });
        let folder = TempDir::with_prefix("splitway-origin-")?;
        let process = Process::start(folder, &bootstrap.to_string(), 1).await?;
        Ok(Self { address, _process: process })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
