//! `splitway dev`: the real command, real connections, real upstreams.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use splitway_envoy::{Answer, Call, Client, DEADLINE, Upstream, eventually, tools};

use crate::support::{Bench, Ran, root};

/// A config with a split over two clusters and one without a route.
pub(crate) const CONFIG: &str = "\
version: 1
unit: [{ header: x-user-id }]
exposure: { key: not-a-secret-change-me }
experiments:
  - id: button
    variants:
      - { id: old }
      - { id: new, route: { cluster: v2 } }
  - id: paused
    status: paused
    variants: [{ id: a }]
";

/// A running `splitway dev`. It ends when dropped.
pub(crate) struct Dev {
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
}

impl Dev {
    /// Starts it in `bench` on a free port, with JSON lines.
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Self {
        Self::start_with(bench, &[&["--json"], args].concat())
    }

    /// The same, with these environment variables.
    pub(crate) fn start_in(bench: &Bench, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(bench, &[&["--json"], args].concat(), variables)
    }

    fn start_with(bench: &Bench, args: &[&str]) -> Self {
        Self::spawn(bench, args, &[])
    }

    fn spawn(bench: &Bench, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_splitway"))
            .args(["dev", "--config", "splitway.yaml", "--listen", "127.0.0.1:0", "--wasm"])
            .arg(tools::filter_wasm().unwrap())
            .args(args)
            .envs(variables.iter().copied())
            .current_dir(bench.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let errors = Arc::new(Mutex::new(String::new()));
        let (err, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&errors));
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut dev = Self { child, lines, errors, address: ([127, 0, 0, 1], 0).into() };
        let first = dev.line();
        let (_, address) = first.split_once("http://").unwrap_or_else(|| panic!("{first}"));
        dev.address = address.trim_end_matches(['"', '}']).parse().unwrap();
        dev
    }

    /// The next line of stdout.
    pub(crate) fn line(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        line.unwrap_or_else(|error| panic!("no line, {error}; stderr: {}", self.errors.lock().unwrap()))
    }

    /// What it has written to stderr so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// Waits until `piece` is on stderr, which is read beside stdout: an event there proves nothing here.
    pub(crate) async fn has_error(&self, piece: &str) {
        let found = async || Ok(self.errors().contains(piece).then_some(()));
        if let Err(error) = eventually(piece, found).await {
            panic!("{error}: {}", self.errors());
        }
    }

    /// The next line of stdout as JSON.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let call = headers.iter().fold(Call::get(path), |call, (name, value)| call.header(name, value));
        Client::http1(self.address).send(&call).await.unwrap()
    }

    /// Sends bytes and reads the head of what comes, or up to the connection's end.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The proxy may have seen enough and hung up.
        let _ = stream.write_all(bytes);
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends bytes and hangs up.
    fn hang_up_after(&self, bytes: &[u8]) {
        TcpStream::connect(self.address).unwrap().write_all(bytes).unwrap();
    }

    /// Sends a signal, waits for the end.
    fn stop(mut self, signal: &str) -> i32 {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench() -> Bench {
    Bench::new(&[("splitway.yaml", CONFIG)])
}

fn named(name: &str, address: SocketAddr) -> String {
    format!("{name}=http://{address}")
}

#[tokio::test]
async fn traffic_is_split_as_the_plan_says() {
    let bench = bench();
    let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
    let (first, second) = (named("v1", v1.address()), named("v2", v2.address()));
    let dev = Dev::start(&bench, &["--upstream", &first, "--upstream", &second]);
    let units: Vec<String> = (0..40).map(|unit| format!("user-{unit}")).collect();
    let plan = bench.run_with("assign --config splitway.yaml", units.join("\n").as_bytes());
    let mut served = [0, 0];
    for (unit, row) in units.iter().zip(plan.out.lines().filter(|row| row.contains("\"button\""))) {
        let row: Value = serde_json::from_str(row).unwrap();
        let variant = row["variant"].as_str().unwrap();
        // A client cannot choose: its own copies of our headers are removed.
        let answer = dev
            .get("/a?b=c", &[("x-user-id", unit), ("x-splitway-cluster", "v2"), ("x_splitway", "button=x")])
            .await;
        let cluster = if variant == "new" { "v2" } else { "v1" };
        assert_eq!((answer.status, answer.upstream()), (200, Some(cluster)), "{unit}");
        assert_eq!(answer.variant("button"), Some(variant));
        let seen = answer.seen().unwrap();
        assert_eq!((seen.path.as_str(), seen.host.as_str()), ("/a?b=c", &*dev.address.to_string()));
        assert_eq!(seen.header("x-splitway-cluster"), (cluster == "v2").then_some("v2"));
        assert_eq!(seen.header("x_splitway"), None);
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        let told = dev.event();
        assert_eq!(
            (&told["event"], &told["status"], &told["cluster"]),
            (&"request".into(), &200.into(), &cluster.into())
        );
        assert_eq!(told["experiments"][0]["variant"], variant);
        assert_eq!(told["experiments"][0]["reason"], "split");
        assert_eq!(told["left_out"][0]["reason"], "not_running");
        served[usize::from(cluster == "v2")] += 1;
    }
    assert!(served[0] > 5 && served[1] > 5, "{served:?}");
    let answer = dev.get("/", &[]).await;
    assert_eq!((answer.upstream(), answer.variant("button")), (Some("v1"), None));
    assert_eq!(dev.event()["left_out"][0]["reason"], "no_unit");
    let cookies = Call::get("/").header("cookie", "a=1").header("cookie", "b=2");
    let answer = Client::http2(dev.address).send(&cookies).await.unwrap();
    assert_eq!(answer.seen().unwrap().header("cookie"), Some("a=1; b=2"), "crumbs are joined, as in Envoy");
}

/// An upstream that speaks by hand: what it got, and what it answers in two halves.
struct ByHand {
    listener: TcpListener,
}

impl ByHand {
    fn new() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = named("v1", listener.local_addr().unwrap());
        (Self { listener }, name)
    }

    /// Takes the next request's head, on `before` or on a new connection: the pool has the old one back only some time after
    /// the response ended.
    fn next(&self, before: TcpStream) -> (TcpStream, String) {
        before.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.listener.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let mut stream = loop {
            assert!(start.elapsed() < DEADLINE, "no request");
            if before.peek(&mut [0]).is_ok_and(|read| read > 0) {
                break before;
            }
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).unwrap();
                break stream;
            }
        };
        self.listener.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = read_until(&mut stream, "\r\n\r\n");
        (stream, head)
    }

    /// Takes a request, up to where it ends with `end`, on a connection.
    fn take(&self, end: &str) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        (stream.try_clone().unwrap(), read_until(&mut stream, end))
    }
}

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let mut byte = [0];
    while !got.ends_with(end.as_bytes()) {
        let read = stream.read(&mut byte).unwrap();
        assert_eq!(read, 1, "ended early: {}", String::from_utf8_lossy(&got));
        got.push(byte[0]);
    }
    String::from_utf8(got).unwrap()
}

#[test]
fn requests_and_responses_pass_whole_and_as_they_come() {
    let bench = bench();
    let (upstream, name) = ByHand::new();
    let dev = Dev::start(&bench, &["--upstream", &name, "--host", "shop.example", "--host", "a"]);
    let mut client = TcpStream::connect(dev.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
        .write_all(
            b"PATCH /p%20q?x=1&y HTTP/1.1\r\nHost: shop.example\r\nX-A: 1\r\nX-A: 2\r\nConnection: keep-alive, X-Drop\r\n\
              X-Drop: 1\r\nTE: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        )
        .unwrap();
    // The request's body goes on while the client is still sending it.
    let (mut connection, got) = upstream.take("hello\r\n");
    let got = got.to_lowercase();
    assert!(got.starts_with("patch /p%20q?x=1&y http/1.1\r\n"), "{got}");
    assert!(got.contains("host: shop.example\r\n") && got.contains("x-a: 1\r\nx-a: 2\r\n"), "{got}");
    assert!(!got.contains("x-drop") && !got.contains("\r\nte:") && !got.contains("connection:"), "{got}");
    client.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut connection, "0\r\n\r\n"), "0\r\n\r\n");
    connection
        .write_all(
            b"HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
              Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        )
        .unwrap();
    // The first half arrives before the upstream has sent the second.
    let head = read_until(&mut client, "first\r\n").to_lowercase();
    assert!(head.starts_with("http/1.1 418"), "{head}");
    assert!(head.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"), "{head}");
    assert!(!head.contains("x-hop"), "{head}");
    connection.write_all(b"6\r\nsecond\r\n0\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut client, "0\r\n\r\n"), "6\r\nsecond\r\n0\r\n\r\n");
    let told = dev.event();
    assert_eq!((&told["method"], &told["status"]), (&"PATCH".into(), &418.into()));

    // The client's connection serves the next request; HEAD has a length and no body.
    client.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (mut connection, got) = upstream.next(connection);
    assert!(got.starts_with("HEAD / HTTP/1.1\r\n"), "{got}");
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").contains("content-length: 7\r\n"));

    // A client that leaves before the answer is told so; the proxy goes on.
    assert_eq!(dev.event()["method"], "HEAD");
    client.write_all(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let _asked = upstream.next(connection);
    drop(client);
    let told = dev.event();
    assert_eq!(
        (&told["path"], &told["status"], &told["note"]),
        (&"/left".into(), &Value::Null, &"the client left".into())
    );
}

#[tokio::test]
async fn an_upstream_that_is_down_is_envoys_503() {
    let bench = bench();
    let (upstream, name) = ByHand::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = named("v2", free.local_addr().unwrap());
    drop(free);
    let dev = Dev::start(&bench, &["--upstream", &gone, "--upstream", &name, "--default", "v2"]);
    let answer = dev.get("/", &[("x-user-id", "u")]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    );
    assert!(answer.variant("button").is_some(), "stamped, as by Envoy");
    let told = dev.event();
    assert_eq!((&told["status"], &told["cluster"]), (&503.into(), &"v2".into()));
    assert!(told["note"].as_str().unwrap().contains("refused"), "{told}");

    drop(dev);
    let dev = Dev::start(&bench, &["--upstream", &name]);
    let hangs_up = std::thread::spawn(move || drop(upstream.take("\r\n\r\n")));
    let answer = dev.get("/", &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().ends_with("connection termination"), "{}", answer.text());
    hangs_up.join().unwrap();
}

#[tokio::test]
async fn the_config_is_followed_and_a_bad_one_refused() {
    let bench = bench();
    let dev = Dev::start(&bench, &[]);
    let text = |answer: Answer| answer.text();
    let mut unit = None;
    for number in 0..20 {
        let name = format!("user-{number}");
        let got = text(dev.get("/", &[("x-user-id", &name)]).await);
        assert!(
            got.starts_with("cluster default (built in)") || got.starts_with("cluster v2 (built in)"),
            "{got}"
        );
        dev.event();
        if got.starts_with("cluster v2") {
            unit = Some(name);
        }
    }
    let unit = unit.expect("half of the units are in");
    let header = [("x-user-id", unit.as_str())];

    std::fs::write(bench.path("splitway.yaml"), CONFIG.replace("variants:\n", "varaints:\n")).unwrap();
    let told = dev.event();
    assert_eq!(told["event"], "refused");
    let problems = told["problems"].as_str().unwrap();
    assert!(problems.contains("did you mean") && problems.contains("^^^^"), "{problems}");
    assert!(text(dev.get("/", &header).await).starts_with("cluster v2"), "the last good one serves");
    dev.event();
    let state: Value = serde_json::from_slice(&dev.get("/__splitway/state.json", &[]).await.body).unwrap();
    assert_eq!(state["config"]["refused"]["problems"], problems);
    assert_eq!((&state["requests"], &state["config"]["reloads"]), (&21.into(), &0.into()));

    // As editors do it: a new file is renamed over the old one. It names a new cluster.
    std::fs::write(bench.path("new"), CONFIG.replace("cluster: v2", "cluster: v3")).unwrap();
    std::fs::rename(bench.path("new"), bench.path("splitway.yaml")).unwrap();
    assert_eq!(dev.event()["event"], "reloaded");
    assert!(text(dev.get("/", &header).await).starts_with("cluster v3 (built in)"));
    dev.event();
    let state: Value = serde_json::from_slice(&dev.get("/__splitway/state.json", &[]).await.body).unwrap();
    assert_eq!(state["config"]["refused"], Value::Null);
    assert_eq!((&state["requests"], &state["config"]["reloads"]), (&1.into(), &1.into()));

    std::fs::remove_file(bench.path("splitway.yaml")).unwrap();
    assert_eq!(dev.event()["event"], "refused");
    std::fs::write(bench.path("splitway.yaml"), CONFIG.replace("cluster: v2", "cluster: v3")).unwrap();
    assert_eq!(dev.event()["event"], "reloaded", "the good one again takes the refusal back");
}

#[tokio::test]
async fn no_client_takes_it_down() {
    let bench = bench();
    let upstream = Upstream::start("v1").unwrap();
    let dev = Dev::start(&bench, &["--upstream", &named("v1", upstream.address()), "--host", "a"]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(300_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: 1\r\n".repeat(2_000));
    for (bytes, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "400"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "405"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
        (b"\x00\xff\xfe garbage \r\n\r\n", "400"),
        (long.as_bytes(), "414"),
        (many.as_bytes(), "431"),
        (b"GET / HTTP/1.1\r\nHost: \xff\r\nx-user-id: \xff\xfe\r\ncookie: \xff\r\nConnection: close\r\n\r\n", "421"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx-user-id: \xff\xfe\r\ncookie: \xff\r\nConnection: close\r\n\r\n", "200"),
        (b"GET http://other/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "421"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200"),
        (b"GET /__splitway/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"),
        (b"POST /__splitway HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405"),
        (b"GET /__splitway/explain?at=never HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400"),
        (b"GET /__splitway/explain?path=%ff&headers=%00:%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400"),
    ] {
        let answer = dev.raw(bytes);
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head}: {answer}");
    }
    dev.hang_up_after(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab");
    dev.hang_up_after(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(dev.get("/", &[("x-user-id", "u")]).await.status, 200);
    assert!(!dev.errors.lock().unwrap().contains("panicked"));
}

#[tokio::test]
async fn it_is_readable_and_stops_when_told() {
    let bench = bench();
    let dev = Dev::start_with(&bench, &["--verbose"]);
    let mut greeting = String::new();
    while !greeting.contains("try ") {
        greeting.push_str(&dev.line());
        greeting.push('\n');
    }
    assert!(
        greeting.contains("/__splitway") && greeting.contains("curl -i -H 'x-user-id: user-1'"),
        "{greeting}"
    );
    dev.get("/shop", &[("x-user-id", "u")]).await;
    let line = dev.line();
    for piece in ["Z GET  /shop 200 button=", " (split) paused=- (not_running) -> ", " ms"] {
        assert!(line.contains(piece), "{line}");
    }
    assert!(!line.contains('\u{1b}'), "no colour in a pipe");
    let errors = Arc::clone(&dev.errors);
    assert_eq!(dev.stop("-INT"), 0);
    let errors = errors.lock().unwrap();
    assert!(errors.contains("feature_flag.evaluation"), "--verbose shows the filter's log: {errors}");
    assert_eq!(Dev::start(&bench, &[]).stop("-TERM"), 0);
}

/// Times, ports and durations are not the same twice.
fn without_numbers(line: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    let pieces: Vec<&str> = line.split(is_number).filter(|piece| !piece.is_empty()).collect();
    pieces.join("#")
}

#[tokio::test]
async fn the_readme_shows_what_it_prints() {
    let readme = std::fs::read_to_string(root().join("cli/README.md")).unwrap();
    let (_, yaml) = readme.split_once("```yaml\n").unwrap();
    let (_, shown) = readme.split_once("$ splitway dev --config splitway.yaml\n").unwrap();
    let [yaml, shown] = [yaml, shown].map(|text| text.split("```").next().unwrap());
    let bench = Bench::new(&[("splitway.yaml", yaml)]);
    let dev = Dev::start_with(&bench, &[]);
    dev.get("/shop", &[("cookie", "uid=user-1")]).await;
    dev.get("/shop", &[]).await;
    let version = |text: &str| text.split("version ").nth(1).map(|rest| rest[..16].to_owned());
    // The first line was read for its address.
    for expected in shown.lines().skip(1) {
        let printed = dev.line();
        assert_eq!(without_numbers(&printed), without_numbers(expected));
        assert_eq!(version(&printed), version(expected));
    }
}

#[test]
fn mistakes_are_explained() {
    let bench = bench();
    std::fs::write(bench.path("bad.yaml"), "version: 1\nexperiments: [{ id: X }]\n").unwrap();
    std::fs::write(bench.path("text.wasm"), "no module").unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().port();
    let dev = "dev --config splitway.yaml";
    for (args, code, said) in [
        (format!("{dev} --listen {busy}"), 2, "is in use by another program; take another with --listen"),
        (format!("{dev} --listen nowhere"), 2, "expected an address such as 127.0.0.1:8000"),
        (format!("{dev} --upstream http://127.0.0.1:3000"), 2, "such as shop-v1=http://127.0.0.1:3000"),
        (format!("{dev} --upstream v1=3000"), 2, "expected a URL such as http://127.0.0.1:3000"),
        (format!("{dev} --upstream v1=https://a"), 2, "https is not supported here"),
        (format!("{dev} --upstream v1=http://a/x"), 2, "expected http://a"),
        (format!("{dev} --upstream v1=a:1 --upstream v1=a:2"), 2, "given twice"),
        (format!("{dev} --upstream v1=a:1 --default v3"), 2, "expected one of v1"),
        (format!("{dev} --listen 8123 --upstream v1=localhost:8123"), 2, "requests would loop"),
        (format!("{dev} --wasm none.wasm"), 2, "none.wasm, given by --wasm, is not a file"),
        (format!("{dev} --wasm text.wasm"), 2, "text.wasm, given by --wasm, is not WebAssembly"),
        ("dev --config none.yaml".to_owned(), 2, "none.yaml: No such file"),
        ("dev --config -".to_owned(), 2, "needs a file that can be watched"),
        ("dev --config bad.yaml".to_owned(), 1, "bad.yaml:2:"),
        ("dev".to_owned(), 2, "--config"),
    ] {
        let ran: Ran = bench.run(&args);
        assert_eq!(ran.code, code, "{args}: {}", ran.all());
        assert!(ran.err.contains(said), "{args}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_cluster_without_a_server_is_told_at_the_start() {
    let bench = bench();
    let upstream = Upstream::start("v1").unwrap();
    let dev = Dev::start(&bench, &["--upstream", &named("v1", upstream.address()), "--seed", "7"]);
    for unit in 0..10 {
        let answer = dev.get("/", &[("x-user-id", &unit.to_string())]).await;
        assert_eq!(answer.upstream(), Some("v1"));
        dev.event();
    }
    let errors = dev.errors.lock().unwrap().clone();
    assert!(errors.contains("button=new routes to the cluster v2, which no --upstream names"), "{errors}");
    let ids: Vec<_> =
        upstream.requests().iter().map(|seen| seen.header("x-request-id").unwrap().to_owned()).collect();
    drop(dev);
    let dev = Dev::start(&bench, &["--upstream", &named("v1", upstream.address()), "--seed", "7"]);
    dev.get("/", &[]).await;
    assert_eq!(
        upstream.requests()[10].header("x-request-id"),
        Some(ids[0].as_str()),
        "the same seed, the same ids"
    );
}

/// A page from elsewhere has its own name resolve to this machine.
#[tokio::test]
async fn it_answers_for_its_own_hosts_only() {
    let bench = bench();
    let dev = Dev::start(&bench, &["--host", "shop.example"]);
    for path in ["/", "/__splitway", "/__splitway/state.json"] {
        for (host, status) in [
            ("rebound.example", 421),
            ("rebound.example:8000", 421),
            ("localhost.rebound.example", 421),
            ("localhost:1", 200),
            ("shop.example", 200),
            ("[::1]", 200),
        ] {
            let answer = dev.get(path, &[("host", host)]).await;
            assert_eq!(answer.status, status, "{host}{path}");
            assert!(status == 200 || !answer.text().contains("button"), "{}", answer.text());
        }
    }
}

const MINTED: &str = "\
version: 1
unit: [{ header: x-user-id }]
mint: {}
exposure: { once_per: unit, log: false }
experiments:
  - id: button
    variants: [{ id: old }, { id: new }]
  - id: paused
    status: paused
    variants: [{ id: a }]
";

/// Only the filter knows the random id, and nothing is logged: what dev shows is right all the same.
#[tokio::test]
async fn minted_units_are_counted_and_no_experiment_is_there_twice() {
    let bench = Bench::new(&[("splitway.yaml", MINTED)]);
    let dev = Dev::start(&bench, &[]);
    for round in 0..6 {
        let answer = dev.get("/", &[("user-agent", "a browser")]).await;
        let variant = answer.variant("button").expect("a stamp").to_owned();
        let cookie = answer.header("set-cookie").expect("a unit").split(';').next().unwrap().to_owned();
        let told = dev.event();
        assert_eq!(told["experiments"].as_array().map(Vec::len), Some(1), "{round}: {told}");
        assert_eq!(told["experiments"][0]["variant"], variant.as_str(), "{told}");
        assert_eq!(told["experiments"][0]["reason"], "split", "{told}");
        let left_out = told["left_out"].as_array().unwrap();
        assert_eq!(left_out.len(), 1, "{told}");
        assert_eq!(left_out[0]["experiment"], "paused", "{told}");
        // And again with the cookie.
        let again = dev.get("/", &[("user-agent", "a browser"), ("cookie", &cookie)]).await;
        assert_eq!(again.variant("button"), Some(&*variant));
        assert_eq!(dev.event()["experiments"][0]["variant"], variant.as_str());
    }
    // A crawler gets none.
    dev.get("/", &[("user-agent", "crawler")]).await;
    assert_eq!(dev.event()["experiments"], serde_json::json!([]));
    let state: Value = serde_json::from_str(&dev.get("/__splitway/state.json", &[]).await.text()).unwrap();
    let variants = state["experiments"][0]["variants"].as_array().unwrap();
    let total = |field: &str| variants.iter().filter_map(|variant| variant[field].as_u64()).sum::<u64>();
    assert_eq!((total("units"), total("requests")), (6, 12), "{state:#}");
    assert!(!dev.errors().contains("another version"), "{}", dev.errors());
}

const SHADOW: &str = "\
version: 1
unit: [{ header: x-user-id }]
experiments:
  - id: mirrored
    variants: [{ id: copied, route: { shadow: v2 } }]
";

#[tokio::test]
async fn shadow_copies_are_sent_and_their_answers_dropped() {
    let bench = Bench::new(&[("splitway.yaml", SHADOW)]);
    let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
    let (first, second) = (named("v1", v1.address()), named("v2", v2.address()));
    let args = ["--upstream", &first, "--upstream", &second, "--host", "shop.example"];
    let dev = Dev::start(&bench, &args);
    let large = "x".repeat(300_000);
    for body in ["", "an order", &large] {
        let call = Call::post("/orders?x=1")
            .header("x-user-id", "u")
            .header("host", "shop.example")
            .body(body.to_owned());
        let answer = Client::http1(dev.address).send(&call).await.unwrap();
        assert_eq!((answer.status, answer.upstream()), (200, Some("v1")));
        let told = dev.event();
        assert_eq!((&told["cluster"], &told["copied_to"]), (&"v1".into(), &"v2".into()));
    }
    splitway_envoy::eventually("the copies", async || Ok((v2.requests().len() == 3).then_some(())))
        .await
        .unwrap();
    let (mut sent, mut copies) = (v1.requests(), v2.requests());
    // A copy may overtake another.
    for seen in [&mut sent, &mut copies] {
        seen.sort_by_key(|seen| seen.body.len());
    }
    for ((original, copy), body) in sent.iter().zip(&copies).zip(["", "an order", &large]) {
        assert!(
            copy.body == body.as_bytes() && original.body == body.as_bytes(),
            "{} bytes",
            copy.body.len()
        );
        assert_eq!((copy.method.as_str(), copy.path.as_str()), ("POST", "/orders?x=1"));
        assert_eq!(copy.host, "shop.example");
        assert_eq!(copy.header("x-splitway"), Some("mirrored=copied"));
    }
    // Who is not in it gets no copy; one for a cluster without a server is said at the start.
    dev.get("/", &[]).await;
    assert_eq!(dev.event()["copied_to"], Value::Null);
    assert_eq!(v2.requests().len(), 3);
    let alone = Dev::start(&bench, &["--upstream", &first]);
    assert_eq!(alone.get("/", &[("x-user-id", "u")]).await.status, 200);
    assert_eq!(alone.event()["copied_to"], Value::Null);
    alone.has_error("copies its requests to the cluster v2").await;
}
