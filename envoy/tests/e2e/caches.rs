//! Real shared caches around Envoy, with the recipes of `examples/caches`: two variants, a thousand
//! requests each, and nobody gets the other variant's page.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use splitway_envoy::skip::skip;
use splitway_envoy::{Call, Client, Envoy, EnvoyConfig, Reply, Upstream, eventually};
use tempfile::TempDir;

const UNITS: usize = 5;
const ROUNDS: usize = 200;
/// Enough to show what goes wrong without a defence.
const FEW_ROUNDS: usize = 5;

/// A cache process. It ends when dropped.
struct Cache {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Drop for Cache {
    fn drop(&mut self) {
        // Both end their workers when they are asked to, not when they are killed.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }
}

impl Cache {
    /// The cache that the recipe is for, in front of `backend`; `None` where it is not installed.
    async fn start(recipe: &str, backend: SocketAddr) -> Option<Self> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/caches").join(recipe);
        let text = fs::read_to_string(&file).expect("a recipe");
        let port = backend.port().to_string();
        if recipe.starts_with("varnish") {
            let text = replaced(&text, "\"8080\"", &format!("\"{port}\""));
            Self::varnish(&text).await
        } else {
            let text = replaced(&text, "127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            Self::nginx(&text).await
        }
    }

    async fn varnish(vcl: &str) -> Option<Self> {
        let program = program("varnishd")?;
        let folder = folder();
        fs::write(folder.path().join("recipe.vcl"), vcl).expect("written");
        let working = folder.path().join("working");
        let child = Command::new(program)
            .args(["-F", "-a", "127.0.0.1:0", "-T", "none", "-s", "malloc,16m", "-n"])
            .arg(&working)
            .arg("-f")
            .arg(folder.path().join("recipe.vcl"))
            .stdin(Stdio::null())
            .stdout(log(&folder))
            .stderr(log(&folder))
            .spawn()
            .expect("varnishd runs");
        let mut cache = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        let address = eventually("Varnish", async || {
            cache.check();
            Ok(listening(cache.child.id()))
        })
        .await;
        cache.address = address.expect("a port");
        Some(cache)
    }

    async fn nginx(conf: &str) -> Option<Self> {
        let program = program("nginx")?;
        // nginx cannot take a free port by itself; another process may take this one meanwhile.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
            let conf = replaced(conf, "127.0.0.1:8000", &port.to_string());
            let folder = folder();
            fs::write(folder.path().join("nginx.conf"), conf).expect("written");
            let child = Command::new(&program)
                .args(["-c", "nginx.conf", "-e", "error.log", "-g"])
                .arg("daemon off; pid nginx.pid;")
                .arg("-p")
                .arg(folder.path())
                .stdin(Stdio::null())
                .stdout(log(&folder))
                .stderr(log(&folder))
                .spawn()
                .expect("nginx runs");
            let mut cache = Self { child, address: port, folder };
            let ready = eventually("nginx", async || {
                if cache.child.try_wait()?.is_some() {
                    return Ok(Some(false));
                }
                Ok(std::net::TcpStream::connect(port).ok().map(|_| true))
            });
            if ready.await.expect("nginx answers or ends") {
                return Some(cache);
            }
        }
        panic!("nginx found no free port in five attempts");
    }

    fn check(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child") {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            panic!("ended with {status}: {log}");
        }
    }
}

fn folder() -> TempDir {
    let folder = TempDir::with_prefix("splitway-cache-").expect("a folder");
    // Workers run as another user.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), permissions).expect("permissions");
    folder
}

fn log(folder: &TempDir) -> fs::File {
    fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log")
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The loopback address on which a process, or a child of it, listens.
fn listening(pid: u32) -> Option<SocketAddr> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let pids = children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]);
    let inodes: Vec<String> = pids.flat_map(sockets).collect();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    // sl, local address, remote address, state (0A: listening), ..., inode
    let port = table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_ours =
            words.get(3) == Some(&"0A") && inodes.iter().any(|inode| words.get(9) == Some(&&**inode));
        u16::from_str_radix(words.get(1)?.rsplit(':').next()?, 16).ok().filter(|_| is_ours)
    })?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn sockets(pid: u32) -> Vec<String> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "one {old} in\n{text}");
    text.replace(old, new)
}

/// The application: says which variant it was told to make, and lets everybody keep it.
fn application() -> Upstream {
    Upstream::scripted("app", |_| Reply::default().header("cache-control", "public, max-age=60"))
        .expect("an upstream")
}

fn document(cache_safety: bool) -> Value {
    json!({
        "version": 1,
        "unit": [{ "header": "x-user-id" }, { "cookie": "uid" }],
        "cache_safety": cache_safety,
        "experiments": [{ "id": "page", "variants": [{ "id": "a", "weight": 1 }, { "id": "b", "weight": 1 }] }],
    })
}

fn asks(unit: &str, by_cookie: bool) -> Call {
    let call = Call::get("/page").header("host", "shop.example");
    if by_cookie {
        call.header("cookie", format!("theme=dark; uid={unit}; last=x"))
    } else {
        call.header("x-user-id", unit)
    }
}

/// Some units of either variant, as Envoy itself decides without a cache between.
async fn units(envoy: &Envoy, by_cookie: bool) -> BTreeMap<String, String> {
    let mut units = BTreeMap::new();
    let mut full = [("a", 0), ("b", 0)];
    for number in 0..200 {
        let unit = format!("user-{number}");
        let call = asks(&unit, by_cookie).header("x-warm-up", "1");
        let answer = envoy.http1().send(&call).await.expect("an answer");
        let variant = answer.variant("page").expect("everybody is in").to_owned();
        let count = full.iter_mut().find(|(known, _)| *known == variant).expect("a or b");
        if count.1 < UNITS {
            count.1 += 1;
            units.insert(unit, variant);
        }
        if full.iter().all(|(_, count)| *count == UNITS) {
            return units;
        }
    }
    panic!("200 units fill both variants");
}

/// What came of a thousand requests for each variant.
#[derive(Debug)]
struct Outcome {
    requests: usize,
    cross_served: usize,
    reached_the_application: usize,
}

async fn load(
    client: &Client,
    units: &BTreeMap<String, String>,
    by_cookie: bool,
    app: &Upstream,
    rounds: usize,
) -> Outcome {
    let before = app.requests().len();
    let mut outcome = Outcome { requests: 0, cross_served: 0, reached_the_application: 0 };
    for _ in 0..rounds {
        for (unit, variant) in units {
            let answer = client.send(&asks(unit, by_cookie)).await.expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let made_for = answer.seen().expect("the application's echo");
            outcome.requests += 1;
            if made_for.header("x-splitway") != Some(&format!("page={variant}")) {
                outcome.cross_served += 1;
            }
        }
    }
    outcome.reached_the_application = app.requests().len() - before;
    outcome
}

/// clients -> cache -> Envoy -> application
async fn in_front(test: &str, recipe: &str, by_cookie: bool, cache_safety: bool) -> Option<Outcome> {
    let app = application();
    let envoy =
        Envoy::start(EnvoyConfig::new(document(cache_safety).to_string(), &app, &app)).await.expect("Envoy");
    let Some(cache) = Cache::start(recipe, envoy.address()).await else {
        skip(test, &format!("{recipe} needs a cache that is not on PATH: apt-get install varnish nginx"));
        return None;
    };
    let units = units(&envoy, by_cookie).await;
    let rounds = if cache_safety { ROUNDS } else { FEW_ROUNDS };
    Some(load(&Client::http1(cache.address), &units, by_cookie, &app, rounds).await)
}

/// clients -> Envoy -> cache -> application
async fn behind(test: &str, recipe: &str, key_has_variant: bool) -> Option<Outcome> {
    let app = application();
    let text = recipe_without_key(recipe, key_has_variant);
    let cache = match text {
        None => Cache::start(recipe, app.address()).await,
        Some(text) if recipe.starts_with("varnish") => {
            Cache::varnish(&replaced(&text, "\"8080\"", &format!("\"{}\"", app.address().port()))).await
        }
        Some(text) => Cache::nginx(&replaced(&text, "127.0.0.1:8080", &app.address().to_string())).await,
    };
    let Some(cache) = cache else {
        skip(test, &format!("{recipe} needs a cache that is not on PATH: apt-get install varnish nginx"));
        return None;
    };
    let mut config = EnvoyConfig::new(document(true).to_string(), &app, &app);
    (config.v1, config.v2) = (cache.address, cache.address);
    let envoy = Envoy::start(config).await.expect("Envoy");
    let units = units(&envoy, true).await;
    let rounds = if key_has_variant { ROUNDS } else { FEW_ROUNDS };
    Some(load(&envoy.http1(), &units, true, &app, rounds).await)
}

/// The recipe with its defence taken out.
fn recipe_without_key(recipe: &str, key_has_variant: bool) -> Option<String> {
    if key_has_variant {
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/caches").join(recipe);
    let text = fs::read_to_string(file).expect("a recipe");
    let key =
        if recipe.starts_with("varnish") { "hash_data(req.http.x-splitway);" } else { "|$http_x_splitway" };
    Some(replaced(&text, key, ""))
}

fn check_safe(outcome: Option<Outcome>, at_most_asked: usize) {
    let Some(outcome) = outcome else { return };
    assert_eq!(outcome.requests, 2 * UNITS * ROUNDS, "{outcome:?}");
    assert_eq!(outcome.cross_served, 0, "{outcome:?}");
    assert!(outcome.reached_the_application <= at_most_asked, "it did cache: {outcome:?}");
}

fn check_unsafe(outcome: Option<Outcome>) {
    let Some(outcome) = outcome else { return };
    assert!(outcome.cross_served > 0, "without its defence the same load must show it: {outcome:?}");
}

#[tokio::test]
async fn varnish_in_front_by_header() {
    let name = "varnish_in_front_by_header";
    check_safe(in_front(name, "varnish-in-front.vcl", false, true).await, 2 * UNITS);
    check_unsafe(in_front(name, "varnish-in-front.vcl", false, false).await);
}

#[tokio::test]
async fn varnish_in_front_by_cookie() {
    let name = "varnish_in_front_by_cookie";
    check_safe(in_front(name, "varnish-in-front.vcl", true, true).await, 2 * UNITS);
    check_unsafe(in_front(name, "varnish-in-front.vcl", true, false).await);
}

#[tokio::test]
async fn varnish_behind() {
    let name = "varnish_behind";
    check_safe(behind(name, "varnish-behind.vcl", true).await, 2);
    check_unsafe(behind(name, "varnish-behind.vcl", false).await);
}

#[tokio::test]
async fn nginx_in_front_by_cookie() {
    let name = "nginx_in_front_by_cookie";
    check_safe(in_front(name, "nginx-in-front.conf", true, true).await, 2 * UNITS);
    check_unsafe(in_front(name, "nginx-in-front.conf", true, false).await);
}

#[tokio::test]
async fn nginx_behind() {
    let name = "nginx_behind";
    check_safe(behind(name, "nginx-behind.conf", true).await, 2);
    check_unsafe(behind(name, "nginx-behind.conf", false).await);
}

/// What caches obey before `Cache-Control`, as an application sends it that trusts its cache with pages that it keeps
/// from everybody else's.
const DIRECTIVES: [(&str, &str); 10] = [
    ("x-accel-expires", "60"),
    ("surrogate-control", "max-age=60"),
    ("cdn-cache-control", "public, max-age=60"),
    ("cloudflare-cdn-cache-control", "max-age=60"),
    ("netlify-cdn-cache-control", "public, durable, max-age=60"),
    ("vercel-cdn-cache-control", "max-age=60"),
    ("edge-control", "cache-maxage=60s"),
    ("akamai-cache-control", "max-age=60"),
    ("fastly-cache-control", "max-age=60"),
    ("x-litespeed-cache-control", "public, max-age=60"),
];

/// nginx obeys `X-Accel-Expires` even where `Cache-Control` says `private`, and no `Vary` can name what the unit is of
/// here: two users, one in each variant, get their own page only because that header is taken away.
#[tokio::test]
async fn nginx_in_front_of_an_application_that_directs_caches() {
    for cache_safety in [true, false] {
        let app = Upstream::scripted("app", |_| {
            let reply = DIRECTIVES.iter();
            let reply = reply.fold(Reply::default(), |reply, (name, value)| reply.header(*name, value));
            // After them, as the filter's own is: older nginx obeys what comes first.
            reply.header("cache-control", "private")
        })
        .expect("an upstream");
        let mut document = document(cache_safety);
        document["unit"] = json!([{ "client_address": { "trusted_hops": 1 } }]);
        let config = EnvoyConfig::new(document.to_string(), &app, &app);
        let envoy = Envoy::start(config).await.expect("Envoy");
        let Some(cache) = Cache::start("nginx-in-front.conf", envoy.address()).await else {
            let name = "nginx_in_front_of_an_application_that_directs_caches";
            return skip(name, "nginx is not on PATH: apt-get install nginx");
        };
        let asks = |address: &str| {
            Call::get("/page").header("host", "shop.example").header("x-forwarded-for", address)
        };

        let mut users = BTreeMap::new();
        for host in 1..100 {
            let address = format!("203.0.113.{host}");
            let answer = envoy.http1().send(&asks(&address)).await.expect("an answer");
            for (name, value) in DIRECTIVES {
                assert_eq!(answer.header(name), (!cache_safety).then_some(value), "{name}");
            }
            assert_eq!(answer.header("cache-control"), Some("private"));
            users.insert(answer.variant("page").expect("everybody is in").to_owned(), address);
            if users.len() == 2 {
                break;
            }
        }
        assert_eq!(users.keys().collect::<Vec<_>>(), ["a", "b"]);

        let client = Client::http1(cache.address);
        let (mut requests, mut crossed) = (0, 0);
        for _ in 0..500 {
            for (variant, address) in &users {
                let answer = client.send(&asks(address)).await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                let made_for = answer.seen().expect("the application's echo");
                requests += 1;
                crossed += u32::from(made_for.header("x-splitway") != Some(&format!("page={variant}")));
            }
        }
        assert_eq!(requests, 1_000);
        assert_eq!(crossed == 0, cache_safety, "{crossed} of {requests} got the other variant's page");
    }
}
