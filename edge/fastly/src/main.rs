//! Splitway in front of an origin on Fastly Compute: an example on the crate that the JavaScript edges run.
//!
//! The config (JSON) is the item `config` of the config store `splitway`. A variant's cluster is the backend of its
//! name, everything else goes to the backend `origin`; exposure records go to the log endpoint `exposures`. Whatever
//! fails here, the origin gets the request untouched.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use fastly::http::{HeaderValue, StatusCode};
use fastly::log::Endpoint;
use fastly::secret_store::SecretStore;
use fastly::{Backend, ConfigStore, Error, Request, Response};
use splitway_edge::{Engine, Exchange};

const ORIGIN: &str = "origin";

#[fastly::main]
fn main(request: Request) -> Result<Response, Error> {
    let Some(mut exchange) = begin(&request) else { return Ok(without_forgeries(request).send(ORIGIN)?) };
    if exchange.is_idle() {
        return Ok(request.send(ORIGIN)?);
    }
    let changes = exchange.request_changes();
    let mut cluster = "";
    let mut response = match Answer::of(&changes) {
        Some(answer) => answer.0,
        None => {
            cluster = last(&changes, "x-splitway-cluster").unwrap_or_default();
            let onward = onward(request, &changes, exchange.is_assigned());
            match onward.send(if cluster.is_empty() { ORIGIN } else { cluster }) {
                Ok(response) => response,
                Err(error) => {
                    eprintln!("splitway: the origin does not answer: {error}");
                    Response::from_status(StatusCode::SERVICE_UNAVAILABLE).with_body("upstream connect error")
                }
            }
        }
    };
    let mut head = Vec::new();
    for (name, value) in response.get_headers() {
        push(&mut head, name.as_str(), value);
    }
    for [verb, name, value] in triples(&exchange.respond(head)) {
        match verb {
            "set" => response.set_header(name, value),
            "add" => response.append_header(name, value),
            _ => {
                response.remove_header(name);
            }
        }
    }
    let records = exchange.end(response.get_status().as_u16(), cluster, now());
    if let Ok(mut endpoint) = Endpoint::try_from_name("exposures") {
        for record in records.lines() {
            // One that is lost is Fastly's to count.
            let _ = writeln!(endpoint, "{record}");
        }
    }
    Ok(response)
}

/// The exchange, if there is a config, it is a good one, and every cluster that it names has a backend. Every request has an instance of its own, so the config is
/// read each time.
fn begin(request: &Request) -> Option<Exchange> {
    let config = ConfigStore::try_open("splitway").ok()?.try_get("config").ok()??;
    // Header bytes are bytes here, and what variants set is UTF-8.
    let mut engine = Engine::new(false, false);
    let needs = engine.needs(config.as_bytes());
    for cluster in needs.split(' ').skip(1) {
        if !Backend::from_name(cluster).is_ok_and(|backend| backend.exists()) {
            eprintln!("splitway: config refused: the cluster {cluster} has no backend of its name");
            return None;
        }
    }
    if !engine.load(config.as_bytes(), &environment()) {
        eprintln!("{}", engine.take_log());
        return None;
    }
    engine.begin(head(request), now())
}

/// A request without what its client made up of our headers, for where no config is in force that would take it off.
fn without_forgeries(mut request: Request) -> Request {
    let names = request.get_header_names_str().into_iter().map(str::to_owned);
    let forged: Vec<String> =
        names.filter(|name| name.replace('_', "-").to_ascii_lowercase().starts_with("x-splitway")).collect();
    for name in &forged {
        request.remove_header(name);
    }
    request
}

/// The secrets that the config names by `{ env: NAME }`, from the secret store `splitway`: names and values with a zero
/// byte behind each.
fn environment() -> Vec<u8> {
    let mut all = Vec::new();
    let Ok(store) = SecretStore::open("splitway") else { return all };
    for name in ["SPLITWAY_EXPOSURE_KEY", "SPLITWAY_QA_KEY", "SPLITWAY_PROVISIONAL_KEY"] {
        if let Ok(Some(secret)) = store.try_get(name) {
            all.extend([name.as_bytes(), b"\0", &secret.plaintext(), b"\0"].concat());
        }
    }
    all
}

fn head(request: &Request) -> Vec<u8> {
    let url = request.get_url();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let host = request.get_header_str("host").or(url.host_str()).unwrap_or_default();
    let first =
        format!(":method\0{}\0:path\0{}{query}\0:authority\0{host}", request.get_method(), url.path());
    let mut head = first.into_bytes();
    for (name, value) in request.get_headers() {
        push(&mut head, name.as_str(), value);
    }
    head
}

fn push(head: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    if !head.is_empty() {
        head.push(0);
    }
    head.extend_from_slice(name.as_bytes());
    head.push(0);
    head.extend_from_slice(value.as_bytes());
}

fn triples(changes: &str) -> impl Iterator<Item = [&str; 3]> {
    let mut lines = changes.split('\n');
    std::iter::from_fn(move || Some([lines.next()?, lines.next()?, lines.next()?]))
}

fn last<'c>(changes: &'c str, wanted: &str) -> Option<&'c str> {
    triples(changes)
        .filter(|[verb, name, _]| *verb == "set" && *name == wanted)
        .last()
        .map(|[_, _, value]| value)
}

/// The answer in the origin's place: a redirect.
struct Answer(Response);

impl Answer {
    fn of(changes: &str) -> Option<Self> {
        let mut triples = triples(changes);
        let [_, status, _] = triples.next().filter(|[verb, _, _]| *verb == "answer")?;
        let mut response = Response::from_status(status.parse::<u16>().ok()?);
        for [_, name, value] in triples {
            response.set_header(name, value);
        }
        Some(Self(response))
    }
}

/// The request as it goes to its origin.
fn onward(mut request: Request, changes: &str, is_assigned: bool) -> Request {
    for [verb, name, value] in triples(changes) {
        match (verb, name) {
            (_, ":path") => {
                let (path, query) =
                    value.split_once('?').map_or((value, None), |(path, query)| (path, Some(query)));
                request.set_path(path);
                match query {
                    Some(query) => request.set_query_str(query),
                    None => request.remove_query(),
                }
            }
            (_, ":authority") => request.set_header("host", value),
            ("set", _) => request.set_header(name, value),
            ("add", _) => request.append_header(name, value),
            _ => {
                request.remove_header(name);
            }
        }
    }
    // Fastly's cache knows the URL only, and would serve one variant's answer to another's units.
    request.set_pass(is_assigned);
    request
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
}
