//! The probe's scripts on a real Envoy 1.40, to check the table that the host
//! is held to. The binary is `ENVOY_BIN`, `SPLITWAY_ENVOY`, or the one that
//! `cargo xtask setup` installs; without one the test does nothing, and says
//! so.

#[path = "support/cases.rs"]
mod cases;
mod support;

use cases::{Answer, CASES, Case, Observed, Sent, differences, shown};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

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
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name.contains(&only)).collect();
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
    let [front, up, alt, admin] = ports();
    let config = config(case, wasm, front, up, alt, admin);
    let mut child = Command::new(envoy)
        .args([
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "--log-level",
            "warning",
            "--component-log-level",
            "wasm:info",
        ])
        .args(["--log-format", "LINE %l %v", "--config-yaml", &config])
        .stderr(Stdio::piped())
        .spawn()
        .expect("Envoy starts");
    let stderr = child.stderr.take().expect("piped");
    let reader = std::thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<String>>()
    });
    wait_until_ready(&mut child, admin, case);
    let answers = case.requests.iter().map(|sent| exchange(front, sent)).collect();
    // The log phase comes after the client has its answer.
    let _ = http(
        admin,
        "POST /quitquitquit HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    child.wait().expect("Envoy ends");
    let lines = reader.join().expect("the reader ends");
    let log = lines
        .iter()
        .filter_map(|line| line.strip_prefix("LINE info wasm log ")?.split_once(": "))
        // The root contexts, whose prefix has no plugin name, end with Envoy.
        .filter(|(prefix, said)| {
            *prefix != "root vm" || !said.starts_with("done") && !said.starts_with("delete")
        })
        .map(|(_, said)| said)
        .filter(|line| shown(line))
        .map(str::to_owned)
        .collect();
    Observed { answers, log }
}

/// Four ports that are free now and that no other case was given.
fn ports() -> [u16; 4] {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no panic while choosing");
    [(); 4].map(|()| {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            if given.insert(port) {
                return port;
            }
        }
    })
}

fn wait_until_ready(child: &mut Child, admin: u16, case: &Case) {
    for _ in 0..600 {
        if let Some(status) = child.try_wait().expect("Envoy can be asked") {
            panic!("{}: Envoy ended with {status}", case.name);
        }
        let ready = http(admin, "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        if ready.is_some_and(|answer| answer.status == 200) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{}: Envoy is not ready", case.name);
}

fn exchange(port: u16, sent: &Sent) -> Answer {
    let method = if sent.body.is_empty() { "GET" } else { "POST" };
    let mut text = format!("{method} {} HTTP/1.1\r\nhost: probe.test\r\nconnection: close\r\n", sent.path);
    for (name, value) in sent.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !sent.body.is_empty() {
        text += &format!("content-length: {}\r\n", sent.body.len());
    }
    text += "\r\n";
    text += sent.body;
    http(port, &text).unwrap_or(Answer { status: 0, body: String::new(), headers: Vec::new() })
}

fn http(port: u16, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    Some(Answer { status, body: if chunked { unchunk(body) } else { body.to_owned() }, headers })
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole += &rest[..size];
        body = &rest[size + 2..];
    }
    whole
}

fn config(case: &Case, wasm: &Path, front: u16, up: u16, alt: u16, admin: u16) -> String {
    let script: String = case.script.lines().map(|line| format!("{}\\n", line.trim())).collect();
    let policy = match case.policy {
        "fail_open" => "fail_open: true".to_owned(),
        policy => format!("failure_policy: {policy}"),
    };
    let router = "{name: envoy.filters.http.router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    let listener = |name: &str, port: u16, filters: &str, routes: &str| {
        format!(
            r#"
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          http_filters: [{filters}{router}]
          route_config:
            virtual_hosts:
            - {{name: all, domains: ['*'], routes: [{routes}]}}"#
        )
    };
    let upstream = |name: &str, port: u16| {
        let add = |header: &str, value: &str| {
            format!("{{header: {{key: {header}, value: '{value}'}}, append_action: APPEND_IF_EXISTS_OR_ADD}}")
        };
        let headers = [add("set-cookie", "a=1"), add("set-cookie", "b=2"), add("vary", "accept")].join(", ");
        let route = format!(
            "{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {name}}}}}, response_headers_to_add: [{headers}]}}"
        );
        listener(name, port, "", &route)
    };
    let wasm = format!(
        r#"{{name: probe, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: probe, root_id: root, {policy}, vm_config: {{vm_id: vm, runtime: envoy.wasm.runtime.v8, code: {{local: {{filename: '{}'}}}}}}, configuration: {{'@type': type.googleapis.com/google.protobuf.StringValue, value: "{script}"}}}}}}}}, "#,
        wasm.display()
    );
    let by_header = |name: &str| {
        format!(
            "{{name: {name}, match: {{prefix: /, headers: [{{name: x-route, string_match: {{exact: {name}}}}}]}}, route: {{cluster: {name}}}}}"
        )
    };
    let routes = [
        "{name: direct, match: {path: /direct}, direct_response: {status: 201, body: {inline_string: direct}}}".to_owned(),
        by_header("alt"),
        by_header("nowhere"),
        "{name: main, match: {prefix: /p}, route: {cluster: up}}".to_owned(),
        "{name: main, match: {prefix: /q}, route: {cluster: up}}".to_owned(),
    ]
    .join(", ");
    let cluster = |name: &str, port: u16| {
        format!(
            "{{name: {name}, type: STATIC, connect_timeout: 1s, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}}}"
        )
    };
    format!(
        r#"
node: {{id: proxy-wasm-host, cluster: proxy-wasm-host}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  clusters: [{}, {}, {}]
  listeners:{}{}{}
"#,
        cluster("up", up),
        cluster("alt", alt),
        cluster("down", 1),
        listener("front", front, &wasm, &routes)
            .replace("route_config:", "route_config:\n            validate_clusters: false"),
        upstream("up", up),
        upstream("alt", alt),
    )
}
