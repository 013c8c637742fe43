//! The probe's scripts on a real Envoy, to check the table that the host is
//! held to. Needs the binary: `ENVOY_BIN=... cargo test --test envoy -- --ignored`.

#[path = "support/cases.rs"]
mod cases;
mod support;

use cases::{Answer, CASES, Case, Observed, Sent, differences, shown};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
#[ignore = "needs ENVOY_BIN, the path of an Envoy 1.40 binary"]
fn every_case() {
    let envoy = std::env::var_os("ENVOY_BIN").expect("ENVOY_BIN names an Envoy binary");
    let wasm = support::build("proxy-wasm-host-probe", "wasm");
    let only = std::env::var("CASE").unwrap_or_default();
    let found: String = CASES
        .iter()
        .filter(|case| case.name.contains(&only))
        .map(|case| differences(case, &observe(Path::new(&envoy), &wasm, case)))
        .collect();
    assert!(found.is_empty(), "{found}");
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

fn ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
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
