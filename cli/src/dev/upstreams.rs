//! The servers behind the proxy: those that were named, or built-in ones that show what they got.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use splitway_engine::Plan;
use tokio::net::TcpListener;

use super::filter::lock;

/// The default cluster's name when no upstream was named.
const BUILT_IN: &str = "default";

/// Most of a request's body that a built-in upstream shows, in bytes.
const SHOWN_BODY: usize = 2_000;

/// Cluster name -> `host:port`.
pub(super) struct Upstreams {
    /// As the command line has them; empty means built-in ones.
    given: Vec<(String, String)>,
    default: String,
    built_in: Mutex<BTreeMap<String, SocketAddr>>,
}

impl Upstreams {
    /// Reads `NAME=URL` pairs.
    ///
    /// # Errors
    /// For a URL that is not a plain HTTP origin, a name that comes twice, a default that is not
    /// among the names.
    pub(super) fn new(given: &[(String, String)], default: Option<&str>) -> Result<Self, String> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, url) in given {
            if read.iter().any(|(known, _)| known == name) {
                return Err(format!(
                    "--upstream {name} is given twice; a cluster can have only one server here"
                ));
            }
            read.push((
                name.clone(),
                authority(url).map_err(|why| format!("--upstream {name}={url}: {why}"))?,
            ));
        }
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        let default = match (default, names.first()) {
            (Some(name), _) if names.contains(&name) => name,
            (Some(name), _) => {
                return Err(format!(
                    "--default {name} does not name an upstream; expected one of {}",
                    names.join(", ")
                ));
            }
            (None, Some(first)) => first,
            (None, None) => BUILT_IN,
        };
        Ok(Self { default: default.to_owned(), given: read, built_in: Mutex::default() })
    }

    pub(super) fn default(&self) -> &str {
        &self.default
    }

    pub(super) fn are_built_in(&self) -> bool {
        self.given.is_empty()
    }

    /// Every cluster that requests can go to under `plan`, the default one first; built-in ones
    /// are started.
    pub(super) async fn clusters(&self, plan: &Plan) -> std::io::Result<Vec<String>> {
        let mut clusters = vec![self.default.clone()];
        let others: Vec<&str> = if self.are_built_in() {
            plan.clusters().into_iter().collect()
        } else {
            self.given.iter().map(|(name, _)| name.as_str()).collect()
        };
        clusters.extend(others.into_iter().filter(|name| *name != self.default).map(str::to_owned));
        if self.are_built_in() {
            for cluster in &clusters {
                self.start_built_in(cluster).await?;
            }
        }
        Ok(clusters)
    }

    /// The clusters that have a server now.
    pub(super) fn names(&self) -> Vec<String> {
        let given = self.given.iter().map(|(name, _)| name.clone());
        given.chain(lock(&self.built_in).keys().cloned()).collect()
    }

    /// Where a cluster's server is, as `host:port`.
    pub(super) fn authority(&self, cluster: &str) -> Option<String> {
        match self.given.iter().find(|(name, _)| name == cluster) {
            Some((_, authority)) => Some(authority.clone()),
            None => lock(&self.built_in).get(cluster).map(ToString::to_string),
        }
    }

    /// Whether requests would come back to the proxy at `listen`.
    pub(super) fn leads_to(&self, listen: SocketAddr) -> Option<&str> {
        let same = |authority: &str| {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
            let is_here = host == "localhost" || host.parse() == Ok(listen.ip());
            is_here && port.parse() == Ok(listen.port())
        };
        self.given.iter().find(|(_, authority)| same(authority)).map(|(name, _)| name.as_str())
    }

    async fn start_built_in(&self, cluster: &str) -> std::io::Result<()> {
        if lock(&self.built_in).contains_key(cluster) {
            return Ok(());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        lock(&self.built_in).insert(cluster.to_owned(), listener.local_addr()?);
        tokio::spawn(echo(listener, cluster.to_owned()));
        Ok(())
    }
}

/// `host:port` of a URL, or of what stands for one.
fn authority(url: &str) -> Result<String, String> {
    const EXAMPLE: &str = "expected a URL such as http://127.0.0.1:3000";
    if url.starts_with("https://") {
        return Err("https is not supported here; give the server's plain http port".to_owned());
    }
    let uri: Uri = url.parse().map_err(|_| EXAMPLE.to_owned())?;
    let is_plain = matches!(uri.scheme_str(), None | Some("http"));
    let authority = uri.authority().filter(|authority| is_plain && !authority.as_str().contains('@'));
    let authority = authority.ok_or(EXAMPLE)?;
    if uri.scheme().is_none() && authority.port_u16().is_none() {
        return Err(EXAMPLE.to_owned());
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(format!(
            "an upstream must not have a path, because requests keep their own; expected http://{authority}"
        ));
    }
    Ok(authority.to_string())
}

/// Answers every request with what it got, as text.
async fn echo(listener: TcpListener, cluster: String) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let cluster = cluster.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let cluster = cluster.clone();
                async move { Ok::<_, Infallible>(show(&cluster, request).await) }
            });
            // A client that hangs up is no error of ours.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn show(cluster: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, mut body) = request.into_parts();
    let mut text = format!("cluster {cluster} (built in) got:\n\n{} {}\n", head.method, head.uri);
    let (hosts, others): (Vec<_>, Vec<_>) = head.headers.iter().partition(|(name, _)| *name == "host");
    for (name, value) in hosts.into_iter().chain(others) {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let (mut length, mut shown) = (0, Vec::new());
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            length += data.len();
            shown.extend(data.iter().take(SHOWN_BODY - shown.len()));
        }
    }
    if length > 0 {
        let _ = write!(text, "\n{}\n({length} bytes of body)\n", String::from_utf8_lossy(&shown));
    }
    let mut response = Response::new(Full::from(text));
    let content_type = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)], default: Option<&str>) -> Result<Upstreams, String> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect();
        Upstreams::new(&pairs, default)
    }

    #[test]
    fn urls_are_origins() {
        for (url, expected) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://shop.local/", "shop.local"),
            ("localhost:3000", "localhost:3000"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            let upstreams = given(&[("v1", url)], None).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(upstreams.authority("v1").as_deref(), Some(expected));
        }
        for url in
            ["https://x", "3000", "localhost", "http://", "ftp://x:1", "http://x/api", "http://a@b:1", ""]
        {
            assert!(authority(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_default_is_named_or_first() {
        let two = [("v1", "http://a:1"), ("v2", "http://b:2")];
        assert_eq!(given(&two, None).unwrap().default(), "v1");
        assert_eq!(given(&two, Some("v2")).unwrap().default(), "v2");
        assert!(given(&two, Some("v3")).is_err());
        assert!(given(&[two[0], two[0]], None).is_err());
    }

    #[test]
    fn a_loop_is_seen() {
        let upstreams = given(&[("v1", "http://localhost:8000")], None).unwrap();
        assert_eq!(upstreams.leads_to(([127, 0, 0, 1], 8000).into()), Some("v1"));
        assert_eq!(upstreams.leads_to(([127, 0, 0, 1], 8001).into()), None);
    }
}
