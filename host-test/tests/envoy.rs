//! The probe's scripts on a real Envoy 1.40, to check the table that the host
//! is held to. The binary is `ENVOY_BIN`, `SPLITWAY_ENVOY`, or the one that
//! `cargo xtask setup` installs; without one the test does nothing, and says
//! so. `CASE=...` picks cases by name, `ENVOY_LOG=1` shows what Envoy logs.

mod cases;
#[path = "support/origin.rs"]
mod origin;
mod support;

use cases::{Answer, Case, HELD, Observed, Refusal, Sent, Speaker, Step, differences, shown};
use origin::Origin;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_case() {
    let Some(envoy) = envoy() else {
        assert!(std::env::var_os("SPLITWAY_NO_SKIP").is_none(), "no Envoy: run `cargo xtask setup`");
        // Past the harness's capture, so that a skip is seen and counted.
        let line = b"SKIPPED: host table on Envoy: run `cargo xtask setup`, or set ENVOY_BIN\n";
        std::io::stdout().write_all(line).expect("standard output");
        return;
    };
    let wasm = support::build("proxy-wasm-host-probe", "wasm");
    let only = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases::cases().filter(|case| case.name.contains(&only)).collect();
    // Two at a time: most of a case is Envoy's start.
    let found: String = std::thread::scope(|scope| {
        let half = |cases: &[&Case]| -> String {
            cases.iter().map(|case| differences(case, &observe(&envoy, &wasm, case))).collect()
        };
        let (first, second) = cases.split_at(cases.len() / 2);
        let (first, second) = (scope.spawn(move || half(first)), half(second));
        first.join().expect("the first half ran") + &second
    });
    assert!(found.is_empty(), "{found}");
}

fn envoy() -> Option<PathBuf> {
    let named = ["ENVOY_BIN", "SPLITWAY_ENVOY"].into_iter().find_map(std::env::var_os);
    named.map(PathBuf::from).or_else(|| {
        let lib = support::target_dir().join("tools/envoy-1.40.0/lib");
        let pythons = std::fs::read_dir(lib).ok()?.filter_map(Result::ok);
        let binary = |python: std::fs::DirEntry| python.path().join("site-packages/envoy/_bin/envoy");
        pythons.map(binary).find(|binary| binary.is_file())
    })
}

/// One Envoy for one case: what a case leaves behind (metrics, queues, a
/// failed VM) must not reach the next.
fn observe(envoy: &Path, wasm: &Path, case: &Case) -> Observed {
    let rig = Rig::start(envoy, wasm, case);
    let mut observed = Observed::default();
    let mut open: Option<JoinHandle<Answer>> = None;
    for step in case.steps {
        match step {
            Step::Send(sent) => observed.answers.push(exchange(rig.front, sent)),
            Step::Open(sent, said) => {
                let front = rig.front;
                open = Some(std::thread::spawn(move || exchange(front, sent)));
                rig.wait_for(said, &mut observed);
            }
            Step::Finish => {
                rig.origin.release();
                let open = open.take().expect("an open request");
                observed.answers.push(open.join().expect("the client ends"));
            }
            Step::Configure(script) => observed.trouble.extend(rig.configure(script, "update_success")),
            Step::Refuse(script) => observed.trouble.extend(rig.configure(script, "update_rejected")),
            Step::Await(said) => rig.wait_for(said, &mut observed),
            Step::Elapse => {} // Envoy's start took longer
            Step::Talk(turns) => talk(&rig, turns, &mut observed),
        }
    }
    let (log, ended) = rig.end();
    observed.log = log;
    observed.trouble.extend(ended);
    observed
}

/// A running Envoy with its upstreams.
struct Rig<'a> {
    case: &'a Case,
    child: Child,
    origin: Origin,
    front: u16,
    tcp: u16,
    admin: u16,
    plugin: PluginFile,
    /// Its log so far.
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl<'a> Rig<'a> {
    /// Between the choice of a port and Envoy's start another process can
    /// take it; then there are other ports.
    fn start(envoy: &Path, wasm: &Path, case: &'a Case) -> Rig<'a> {
        let mut tries = (0..5).filter_map(|_| Rig::try_start(envoy, wasm, case));
        tries.next().unwrap_or_else(|| panic!("{}: Envoy does not start", case.name))
    }

    fn try_start(envoy: &Path, wasm: &Path, case: &'a Case) -> Option<Rig<'a>> {
        let [front, up, alt, admin, tcp] = ports();
        let origin = Origin::start();
        let plugin = PluginFile::new(case, wasm, front);
        let config = config(case, &plugin, [front, up, alt, admin, tcp], &origin);
        let mut child = Command::new(envoy)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"])
            .args(["--component-log-level", "wasm:info", "--log-format", "LINE %t %l %v"])
            .args(["--config-yaml", &config])
            .stderr(Stdio::piped())
            .spawn()
            .expect("Envoy starts");
        let stderr = child.stderr.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lock().expect("no panic while reading").push(line);
            }
        });
        if !is_ready(&mut child, admin) {
            return None;
        }
        Some(Rig { case, child, origin, front, tcp, admin, plugin, lines, reader })
    }

    /// Prefix and text of the lines of the guest, in the VM that the case is
    /// about. The canary and the main VM are on the main thread, whose number
    /// is the process's.
    fn said(&self) -> Vec<(String, String)> {
        let main = self.child.id().to_string();
        let lines = self.lines.lock().expect("no panic while reading");
        let guest = lines.iter().filter_map(|line| {
            let (thread, rest) = line.strip_prefix("LINE ")?.split_once(' ')?;
            let wanted = (thread == main) == (self.case.vm == Speaker::Main);
            // Error level is the guest's standard error, with panic messages.
            let (_, rest) = rest.split_once(" wasm log ").filter(|(level, _)| wanted && *level != "error")?;
            let (prefix, said) = rest.split_once(": ")?;
            Some((prefix.to_owned(), said.to_owned()))
        });
        guest.collect()
    }

    fn wait_for(&self, wanted: &str, observed: &mut Observed) {
        if !eventually(|| self.said().iter().any(|(_, line)| line.starts_with(wanted))) {
            observed.trouble.push(format!("the guest never said {wanted:?}"));
        }
    }

    /// Puts a new configuration where Envoy watches, until it counts it.
    fn configure(&self, script: &str, counter: &str) -> Option<String> {
        let before = self.counter(counter);
        self.plugin.write(script);
        let counted = eventually(|| self.counter(counter) > before);
        // Accepted on the main thread; the worker is told next.
        let taken = counter == "update_rejected" || self.case.vm == Speaker::Main || {
            let first = script.lines().find_map(|line| line.trim().strip_prefix("configure: "));
            let first = format!("configure {} = ", first.unwrap_or_default());
            eventually(|| self.said().iter().any(|(_, line)| line.starts_with(&first)))
        };
        (!counted || !taken).then(|| format!("no {counter}: {:?}", self.lines.lock()))
    }

    fn counter(&self, name: &str) -> u64 {
        let path = format!("/stats?filter=extension_config_discovery.*{name}$");
        let answer =
            http(self.admin, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        let body = answer.map(|answer| answer.body).unwrap_or_default();
        body.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Ends Envoy and gives the log, and what was wrong with the end: a case that crashes
    /// Envoy shows nothing, even if what it waits for was said before.
    fn end(mut self) -> (Vec<String>, Option<String>) {
        // The log phase comes after the client has its answer, and the root
        // contexts end with Envoy, which is no part of the case.
        let lines = |rig: &Rig<'_>| shown(rig.said().into_iter().map(|(_, line)| line));
        eventually(|| lines(&self).len() >= self.case.lines().len());
        let before = self.said().len();
        let quit = "POST /quitquitquit HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = http(self.admin, quit);
        let status = self.child.wait().expect("Envoy ends");
        std::mem::replace(&mut self.reader, std::thread::spawn(|| {})).join().expect("the reader ends");
        if std::env::var_os("ENVOY_LOG").is_some() {
            eprintln!("{}", self.lines.lock().expect("no panic while reading").join("\n"));
        }
        let kept = self.said().into_iter().enumerate().filter(|(index, (prefix, line))| {
            *index < before || prefix != "root vm" || !line.starts_with("done") && !line.starts_with("delete")
        });
        let lines = || self.lines.lock().expect("no panic while reading").join("\n");
        let trouble = (!status.success()).then(|| format!("Envoy ended with {status}:\n{}", lines()));
        (shown(kept.map(|(_, (_, line))| line)), trouble)
    }
}

/// Whether something comes true in time.
fn eventually(mut is: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Five ports that are free now and that no other case was given.
fn ports() -> [u16; 5] {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no panic while choosing");
    [(); 5].map(|()| {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            if given.insert(port) {
                return port;
            }
        }
    })
}

/// False when it ends instead.
fn is_ready(child: &mut Child, admin: u16) -> bool {
    let mut ended = false;
    let ready = eventually(|| {
        ended = child.try_wait().expect("Envoy can be asked").is_some();
        let ready = http(admin, "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        ended || ready.is_some_and(|answer| answer.status == 200)
    });
    assert!(ready, "Envoy is not ready");
    !ended
}

fn exchange(port: u16, sent: &Sent) -> Answer {
    let method = if sent.body.is_empty() { "GET" } else { "POST" };
    let host = match sent.refused {
        None => "host: probe.test\r\n".to_owned(),
        Some(Refusal::NoHost) => String::new(),
        Some(Refusal::TooLarge) => format!("host: probe.test\r\nlarge: {}\r\n", "a".repeat(70_000)),
    };
    let mut text = format!("{method} {} HTTP/1.1\r\n{host}connection: close\r\n", sent.path);
    for (name, value) in sent.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !sent.trailers.is_empty() {
        text += &format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n", sent.body.len(), sent.body);
        for (name, value) in sent.trailers {
            text += &format!("{name}: {value}\r\n");
        }
    } else if !sent.body.is_empty() {
        text += &format!("content-length: {}\r\n", sent.body.len());
    }
    text += "\r\n";
    if sent.trailers.is_empty() {
        text += sent.body;
    }
    let nothing = Answer { status: 0, body: String::new(), headers: Vec::new(), trailers: Vec::new() };
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("Envoy listens");
    request(stream, &text).unwrap_or(nothing)
}

/// A conversation over TCP.
fn talk(rig: &Rig<'_>, turns: &[(&str, &str)], observed: &mut Observed) {
    let mut stream = TcpStream::connect(("127.0.0.1", rig.tcp)).expect("Envoy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for (says, hears) in turns {
        let lines = rig.said().len();
        // Envoy may have closed it.
        let _ = if says.is_empty() {
            stream.shutdown(Shutdown::Write)
        } else {
            stream.write_all(says.as_bytes())
        };
        let mut heard = vec![0; hears.len()];
        let result = match *hears {
            "" => stream.read_to_end(&mut heard).map(|_| ()),
            HELD => {
                heard = HELD.into();
                if eventually(|| rig.said().len() > lines) { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
            }
            _ => stream.read_exact(&mut heard),
        };
        // A reset is an end, too.
        if let Err(error) = result.as_ref()
            && error.kind() != ErrorKind::ConnectionReset
        {
            observed.trouble.push(format!("after {says:?}: {error}"));
        }
        observed.received.push(String::from_utf8_lossy(&heard).into_owned());
    }
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn http(port: u16, text: &str) -> Option<Answer> {
    request(TcpStream::connect(("127.0.0.1", port)).ok()?, text)
}

/// `None` when no response came.
fn request(mut stream: TcpStream, text: &str) -> Option<Answer> {
    stream.write_all(text.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let pairs = |lines: std::str::Lines<'_>| -> Vec<(String, String)> {
        let pairs = lines.filter_map(|line| line.split_once(": "));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = pairs(lines);
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let (body, trailers) = if chunked { unchunk(body) } else { (body.to_owned(), "") };
    Some(Answer { status, body, headers, trailers: pairs(trailers.lines()) })
}

/// The body in chunks, as far as it came, and the trailers behind it.
fn unchunk(mut body: &str) -> (String, &str) {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            return (whole, rest);
        }
        whole += rest.get(..size).unwrap_or(rest);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    (whole, "")
}

/// The plugin's configuration in a file that Envoy watches.
struct PluginFile {
    directory: PathBuf,
    wasm: PathBuf,
    policy: String,
}

impl PluginFile {
    fn new(case: &Case, wasm: &Path, port: u16) -> PluginFile {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plugin-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let policy = match case.policy.split_once(' ') {
            Some((policy, base)) => format!(
                "failure_policy: {policy}, reload_config: {{backoff: {{base_interval: {}.{:03}s}}}}",
                base.parse::<u32>().expect("milliseconds") / 1000,
                base.parse::<u32>().expect("milliseconds") % 1000
            ),
            None if case.policy == "fail_open" => "fail_open: true".to_owned(),
            None => format!("failure_policy: {}", case.policy),
        };
        let file = PluginFile { directory, wasm: wasm.to_owned(), policy };
        file.write(case.script);
        file
    }

    fn path(&self) -> PathBuf {
        self.directory.join("plugin.yaml")
    }

    /// The `PluginConfig` of the filter.
    fn plugin(&self, script: &str) -> String {
        let script: String = script.lines().map(|line| format!("{}\\n", line.trim())).collect();
        format!(
            r#"{{name: probe, root_id: root, {}, vm_config: {{vm_id: vm, runtime: envoy.wasm.runtime.v8, code: {{local: {{filename: '{}'}}}}}}, configuration: {{'@type': type.googleapis.com/google.protobuf.StringValue, value: "{script}"}}}}"#,
            self.policy,
            self.wasm.display()
        )
    }

    fn write(&self, script: &str) {
        let text = format!(
            "resources: [{{'@type': type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig, name: probe, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {}}}}}]",
            self.plugin(script)
        );
        let new = self.directory.join("new");
        std::fs::write(&new, text).expect("written");
        std::fs::rename(new, self.path()).expect("moved");
    }
}

impl Drop for PluginFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn config(case: &Case, plugin: &PluginFile, ports: [u16; 5], origin: &Origin) -> String {
    let [front, up, alt, admin, tcp] = ports;
    let filter = if case.is_tcp() {
        String::new()
    } else {
        format!(
            "{{name: probe, config_discovery: {{type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm], config_source: {{resource_api_version: V3, path_config_source: {{path: '{}'}}}}}}}}, ",
            plugin.path().display()
        )
    };
    let by_header = |name: &str| {
        format!(
            "{{name: {name}, match: {{prefix: /, headers: [{{name: x-route, string_match: {{exact: {name}}}}}]}}, route: {{cluster: {name}}}}}"
        )
    };
    let routes = [
        "{name: direct, match: {path: /direct}, direct_response: {status: 201, body: {inline_string: direct}}}".to_owned(),
        by_header("alt"),
        by_header("down"),
        by_header("torn"),
        by_header("nowhere"),
        "{name: flaky, match: {path: /o/flaky}, route: {cluster: origin, retry_policy: {retry_on: 5xx, num_retries: 2}}}".to_owned(),
        "{name: moved, match: {path: /o/moved}, route: {cluster: origin, internal_redirect_policy: {max_internal_redirects: 1}}}".to_owned(),
        "{name: origin, match: {prefix: /o/}, route: {cluster: origin}}".to_owned(),
        "{name: main, match: {prefix: /p}, route: {cluster: up}}".to_owned(),
        "{name: main, match: {prefix: /q}, route: {cluster: up}}".to_owned(),
    ]
    .join(", ");
    let clusters = [("up", up), ("alt", alt), ("down", 1), ("torn", origin.torn), ("talk", origin.tcp)]
        .map(|(name, port)| cluster(name, port, ""))
        .join(", ");
    let http2 = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}, ";
    let network = if case.is_tcp() { tcp_listener(case, plugin, tcp) } else { String::new() };
    format!(
        r#"
node: {{id: proxy-wasm-host, cluster: proxy-wasm-host}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  clusters: [{clusters}, {}]
  listeners:{}{}{}{network}
"#,
        cluster("origin", origin.http, http2),
        listener("front", front, &filter, &routes)
            .replace("route_config:", "route_config:\n            validate_clusters: false"),
        upstream("up", up),
        upstream("alt", alt),
    )
}

fn listener(name: &str, port: u16, filters: &str, routes: &str) -> String {
    let router = "{name: envoy.filters.http.router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    format!(
        r#"
  - name: {name}
    enable_reuse_port: false
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          http_protocol_options: {{enable_trailers: true}}
          http_filters: [{filters}{router}]
          route_config:
            virtual_hosts:
            - {{name: all, domains: ['*'], routes: [{routes}]}}"#
    )
}

/// A listener that answers for the cluster of its name.
fn upstream(name: &str, port: u16) -> String {
    let add = |header: &str, value: &str| {
        format!("{{header: {{key: {header}, value: '{value}'}}, append_action: APPEND_IF_EXISTS_OR_ADD}}")
    };
    let headers = [add("set-cookie", "a=1"), add("set-cookie", "b=2"), add("vary", "accept")].join(", ");
    let route = format!(
        "{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {name}}}}}, response_headers_to_add: [{headers}]}}"
    );
    listener(name, port, "", &route)
}

fn tcp_listener(case: &Case, plugin: &PluginFile, port: u16) -> String {
    format!(
        r#"
  - name: talk
    enable_reuse_port: false
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: probe
        typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm, config: {}}}
      - name: envoy.filters.network.tcp_proxy
        typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: talk, cluster: talk}}"#,
        plugin.plugin(case.script)
    )
}

fn cluster(name: &str, port: u16, options: &str) -> String {
    format!(
        "{{name: {name}, {options}type: STATIC, connect_timeout: 1s, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}}}"
    )
}
