//! The npm package as others get it: packed, installed into an empty project, run by Node, Deno and workerd.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use splitway_envoy::{Call, Client, Reply, Upstream};
use splitway_workerd::tools;
use tempfile::TempDir;

#[path = "package/frameworks.rs"]
mod frameworks;

/// An empty project with the packed package.
fn project() -> Result<TempDir> {
    let folder = TempDir::with_prefix("splitway-package-")?;
    let npm = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("npm").args(arguments).current_dir(folder.path()).output()?;
        ensure!(output.status.success(), "npm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    npm(&["init", "-y"])?;
    let package = tools::package()?;
    let packed = npm(&["pack", "--loglevel=error", &package.to_string_lossy()])?;
    let file = packed.lines().last().context("npm pack names no file")?;
    npm(&["install", "--offline", "--no-audit", "--no-fund", &format!("./{file}")])?;
    Ok(folder)
}

/// A running program. Dropping it kills it and waits for its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that prints its port, alone or as `"port":N`.
fn start(command: &mut Command, folder: &Path) -> Result<(Running, SocketAddr)> {
    let log = fs::File::create(folder.join("log"))?;
    let mut child = command.current_dir(folder).stdout(Stdio::piped()).stderr(log).spawn()?;
    let output = child.stdout.take().context("no output")?;
    let running = Running(child);
    let port = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
        let event: Value = serde_json::from_str(&line).ok()?;
        u16::try_from(event.as_u64().or_else(|| event["port"].as_u64())?).ok()
    });
    let port = port.with_context(|| fs::read_to_string(folder.join("log")).unwrap_or_default())?;
    Ok((running, SocketAddr::from(([127, 0, 0, 1], port))))
}

#[test]
fn what_the_package_names_is_in_it() -> Result<()> {
    let folder = project()?;
    let package = folder.path().join("node_modules/splitway-edge");
    let manifest: Value = serde_json::from_str(&fs::read_to_string(package.join("package.json"))?)?;
    let mut files = Vec::new();
    let mut open = vec![&manifest["exports"]];
    while let Some(value) = open.pop() {
        match value {
            // A query (`?module`) is for bundlers.
            Value::String(file) => files.push(file.split('?').next().unwrap_or_default()),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    ensure!(files.len() > 8, "{files:?}");
    for file in files.into_iter().chain(["README.md", "LICENSE", "provenance.json", "example/config.capnp"]) {
        ensure!(package.join(file).is_file(), "{file} is missing");
    }
    let provenance: Value = serde_json::from_str(&fs::read_to_string(package.join("provenance.json"))?)?;
    ensure!(provenance["module"]["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "{provenance}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_splits_in_workerd() -> Result<()> {
    let folder = project()?;
    let example = folder.path().join("node_modules/splitway-edge/example");
    for entry in fs::read_dir(example)? {
        let path = entry?.path();
        fs::copy(&path, folder.path().join(path.file_name().context("a name")?))?;
    }
    let mut workerd = Command::new(tools::workerd()?);
    workerd.args(["serve", "config.capnp", "--socket-addr=http=127.0.0.1:0", "--control-fd=1"]);
    let (_running, address) = start(&mut workerd, folder.path())?;
    let client = Client::http1(address);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for user in 0..40 {
        let call = Call::get("/checkout")
            .header("host", "shop.example")
            .header("cookie", format!("uid=user-{user}"));
        let answer = client.send(&call).await?;
        let variant = answer.variant("checkout-button").context("no stamp")?.to_owned();
        let body: Value = serde_json::from_slice(&answer.body)?;
        let path = if variant == "one-step" { "/v2/checkout" } else { "/checkout" };
        assert_eq!(body["path"], path);
        assert_eq!(body["variant"], format!("checkout-button={variant}"));
        *seen.entry(variant).or_default() += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    Ok(())
}

/// `types/use.ts`: what is right compiles, and what is wrong does not (`@ts-expect-error` is an error where there is none).
#[test]
fn the_types_hold() -> Result<()> {
    let folder = project()?;
    let modules = tools::typescript()?;
    std::os::unix::fs::symlink(modules.join("@types"), folder.path().join("node_modules/@types"))?;
    let manifest = folder.path().join("package.json");
    let mut fields: Value = serde_json::from_str(&fs::read_to_string(&manifest)?)?;
    fields["type"] = "module".into();
    fs::write(&manifest, fields.to_string())?;
    let check = |text: &str, module: [&str; 4]| -> Result<(bool, String)> {
        fs::write(folder.path().join("use.ts"), text)?;
        let mut compiler = Command::new(modules.join(".bin/tsc"));
        compiler.args(["--noEmit", "--strict", "--target", "es2022"]).args(module);
        compiler.args(["--lib", "es2022,dom,dom.iterable", "--types", "node", "use.ts"]);
        let output = compiler.current_dir(folder.path()).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let good = include_str!("types/use.ts");
    let node = ["--module", "nodenext", "--moduleResolution", "nodenext"];
    for module in [node, ["--module", "esnext", "--moduleResolution", "bundler"]] {
        let (compiles, told) = check(good, module)?;
        ensure!(compiles, "{module:?}: {told}");
    }
    // The compiler looks at the package's types, and not at `any`.
    let wrong = good.replacen("splitway.begin(request, { now: 0,", "splitway.begin(request, { nov: 0,", 1);
    let (compiles, told) = check(&wrong, node)?;
    ensure!(!compiles && told.contains("'nov'"), "{told}");
    Ok(())
}

const SERVER: &str = r#"
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { Splitway, splitwayMiddleware } from 'splitway-edge/middleware';

const config = readFileSync('node_modules/splitway-edge/example/splitway.json', 'utf8');
let exposures = 0;
const middleware = splitwayMiddleware(new Splitway(config), { onExposures: (records) => (exposures += records.length) });
const server = createServer((request, response) =>
  middleware(request, response, () => {
    response.setHeader('vary', 'accept');
    response.writeHead(200, { 'x-app': 'yes', 'x-splitway': 'forged=a' });
    response.end(JSON.stringify({ path: request.url, variant: request.headers['x-splitway'] ?? null, exposures }));
  }),
);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"#;

/// Deno with the permissions that a server needs, or nothing where npm has none for this machine.
fn deno(test: &str) -> Option<Command> {
    match tools::deno() {
        Ok(binary) => {
            let mut command = Command::new(binary);
            command.args(["run", "--no-remote", "--node-modules-dir=manual", "--allow-net=127.0.0.1"]);
            command.args(["--allow-read=.", "--no-prompt"]).env("DENO_NO_UPDATE_CHECK", "1");
            Some(command)
        }
        Err(error) => {
            splitway_envoy::skip::skip(test, &error.to_string());
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_middleware_splits_in_node() -> Result<()> {
    the_middleware_splits(Command::new("node")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_middleware_splits_in_deno() -> Result<()> {
    let Some(deno) = deno("the_middleware_splits_in_deno") else { return Ok(()) };
    the_middleware_splits(deno).await
}

async fn the_middleware_splits(mut runtime: Command) -> Result<()> {
    let folder = project()?;
    fs::write(folder.path().join("server.mjs"), SERVER)?;
    let (_running, address) = start(runtime.arg("server.mjs"), folder.path())?;
    let client = Client::http1(address);
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..40_u32 {
        let call = Call::get("/checkout?a=1")
            .header("cookie", format!("uid=j\u{f6}-{user}"))
            .header("x-splitway", "x");
        let answer = client.send(&call).await?;
        let body: Value = serde_json::from_slice(&answer.body)?;
        let variant = answer.variant("checkout-button").with_context(|| answer.text())?.to_owned();
        assert_eq!(body["variant"], format!("checkout-button={variant}"));
        assert_eq!(body["path"], if variant == "one-step" { "/v2/checkout?a=1" } else { "/checkout?a=1" });
        assert_eq!(
            (answer.header("x-app"), body["exposures"].as_u64()),
            (Some("yes"), Some(u64::from(user) + 1))
        );
        assert!(answer.values("vary").join(", ").starts_with("accept, "), "{:?}", answer.headers);
        seen.insert(variant);
    }
    assert_eq!(seen.len(), 2);
    // No application has a say in the stamp, where something was to be done and where nothing was.
    for call in [Call::get("/other").header("x-splitway", "x"), Call::get("/other")] {
        let answer = client.send(&call).await?;
        assert_eq!(
            (answer.status, answer.header("x-app"), answer.header("x-splitway")),
            (200, Some("yes"), None)
        );
    }
    Ok(())
}

const FETCHER: &str = r#"
import { Splitway } from 'splitway-edge';

const [origin] = process.argv.slice(2);
const config = {
  version: 1,
  unit: [{ header: 'x-unit' }],
  experiments: [
    { id: 'there', targeting: { path: { prefix: '/a' } }, variants: [{ id: 'x', route: { cluster: 'v2' } }] },
    { id: 'away', targeting: { path: { prefix: '/b' } }, variants: [
      { id: 'x', route: { redirect: { path: { prefix: '/b', replace_prefix: '/c' } } } } ] },
  ],
};
const splitway = new Splitway(config);
const headers = { 'x-unit': 'u' };
const post = splitway.begin(new Request('http://shop/a?q', { method: 'POST', body: 'hello', headers }));
const onward = post.apply({ origins: { v2: origin } });
const response = post.finish(await fetch(onward));
const answer = splitway.begin(new Request('http://shop/b/d?q', { headers })).apply();
let problems = [];
try { splitway.load({ version: 1, experimnts: [] }); } catch (error) { ({ problems } = error); }
console.log(JSON.stringify({
  decided: splitway.decide(new Request('http://shop/a', { headers })),
  url: onward.url, status: response.status, stamp: response.headers.get('x-splitway'), cluster: JSON.parse(post.exposures[0])['splitway.cluster'],
  redirect: [answer.status, answer.headers.get('location')], problems, version: splitway.version.length,
}));
"#;

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_in_node() -> Result<()> {
    requests_and_responses(Command::new("node"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_in_deno() -> Result<()> {
    let Some(deno) = deno("requests_and_responses_in_deno") else { return Ok(()) };
    requests_and_responses(deno)
}

fn requests_and_responses(mut runtime: Command) -> Result<()> {
    let folder = project()?;
    fs::write(folder.path().join("fetcher.mjs"), FETCHER)?;
    let origin = Upstream::scripted("v2", |_| Reply { status: 201, ..Reply::default() })?;
    let url = format!("http://{}", origin.address());
    let output = runtime.args(["fetcher.mjs", &url]).current_dir(folder.path()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(found["decided"][0]["experiment"], "there");
    assert_eq!(found["url"], format!("{url}/a?q"));
    assert_eq!((found["status"].as_u64(), found["stamp"].as_str()), (Some(201), Some("there=x")));
    assert_eq!(found["cluster"], "v2");
    assert_eq!(found["redirect"], serde_json::json!([302, "/c/d?q"]));
    assert!(found["problems"].to_string().contains("experimnts"), "{found}");
    assert_eq!(found["version"], 16);
    let seen = origin.requests().pop().context("not reached")?;
    assert_eq!((seen.body.as_slice(), seen.header("x-splitway")), (&b"hello"[..], Some("there=x")));
    Ok(())
}

/// The commands of the page, in an empty folder, as they stand there; but with ports that are free, and with the
/// workerd that is here for the one that npm would fetch.
#[test]
fn the_quick_start_is_five_commands() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let page = fs::read_to_string(root.join("docs/edge.md"))?;
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("\n```{language}\n")).context("no such block")?;
        rest.split_once("\n```").map(|(text, _)| text.to_owned()).context("no end")
    };
    let (commands, shown) = (block("bash")?, block("text")?);
    assert_eq!(commands.lines().count(), 5);
    let folder = tempfile::tempdir()?;
    let npm = folder.path().join("npm");
    fs::create_dir(&npm)?;
    std::os::unix::fs::symlink(tools::workerd()?, npm.join("workerd"))?;
    fs::write(npm.join("package.json"), r#"{ "name": "workerd", "version": "1.0.0", "bin": "workerd" }"#)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let commands = commands
        .replace("$SPLITWAY/target/edge/pkg", &tools::package()?.to_string_lossy())
        .replace("workerd@1.20261117.1", &npm.to_string_lossy())
        .replace("config.capnp", &format!("config.capnp --socket-addr=http=127.0.0.1:{port}"))
        .replace(":8080", &format!(":{port}"));
    let session = folder.path().join("session");
    fs::create_dir(&session)?;
    let mut command = Command::new("timeout");
    // The worker stays when the shell ends, and with it what it has open: so a file, not a pipe.
    let log = fs::File::create(folder.path().join("log"))?;
    command
        .args(["120", "bash", "-e", "-c", &commands])
        .current_dir(&session)
        .env("npm_config_offline", "true");
    let mut shell =
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
    let status = shell.wait()?;
    // All of its group: what npx started is a child of npx.
    Command::new("kill").args(["--", &format!("-{}", shell.id())]).status()?;
    let log = fs::read_to_string(folder.path().join("log"))?;
    ensure!(status.success(), "{status}\n{log}");
    for line in shown.lines() {
        ensure!(log.lines().any(|printed| printed.trim_end() == line), "{line}\n{log}");
    }
    Ok(())
}
