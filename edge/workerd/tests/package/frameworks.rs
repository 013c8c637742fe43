//! The package in frameworks and bundles, and what Node shows of a request behind the middleware.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use splitway_envoy::{Call, Client, eventually};
use splitway_workerd::tools;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Running, deno, project, start};

/// A project with the package, the frameworks and some files.
fn framework_project(files: &[(&str, &str)]) -> Result<TempDir> {
    let folder = project()?;
    let modules = tools::frameworks()?;
    for name in ["express", "fastify", "webpack"] {
        symlink(modules.join(name), folder.path().join("node_modules").join(name))?;
    }
    for (name, text) in files {
        fs::write(folder.path().join(name), text)?;
    }
    Ok(folder)
}

/// A server of Node's.
fn server(name: &str, text: &str) -> Result<(TempDir, Running, SocketAddr)> {
    let folder = framework_project(&[(name, text)])?;
    let (running, address) = start(Command::new("node").arg(name), folder.path())?;
    Ok((folder, running, address))
}

/// Sends what no client library would, and gives the whole answer.
async fn raw(address: SocketAddr, target: &str, headers: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\n{}\r\nconnection: close\r\n\r\n", headers.join("\r\n"));
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The JSON object in an answer.
fn body(answer: &str) -> Result<Value> {
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    let (start, end) = (body.find('{').context("no JSON")?, body.rfind('}').context("no JSON")?);
    Ok(serde_json::from_str(&body[start..=end])?)
}

async fn log_of(address: SocketAddr) -> Result<Value> {
    body(&raw(address, "/log", &["host: a"]).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_made_up_is_left_in_node() -> Result<()> {
    let (_folder, _running, address) = server("node.mjs", include_str!("node.mjs"))?;
    let forged = ["X-Splitway: forged", "x_splitway-cluster: forged", "X-SPLITWAY: again"];
    // With a variant, and on a page without one.
    for (target, stamp) in [("/shop/a", Some("shop=x")), ("/other", None)] {
        let mut headers = vec!["host: shop.example", "x-unit: u"];
        headers.extend(forged);
        let answer = raw(address, target, &headers).await?;
        let seen = body(&answer)?;
        ensure!(!answer.contains("forged") && !answer.contains("again"), "{answer}");
        assert_eq!(seen["headers"]["x-splitway"], json!(stamp), "{seen}");
        let distinct = stamp.map(|stamp| vec![stamp]);
        assert_eq!(seen["headersDistinct"]["x-splitway"], json!(distinct), "{seen}");
        let raw: Vec<&Value> = seen["rawHeaders"].as_array().context("no list")?.iter().collect();
        let stamps = raw.windows(2).filter(|pair| pair[0] == "x-splitway").map(|pair| pair[1].as_str());
        assert_eq!(stamps.collect::<Vec<_>>(), stamp.map(Some).into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_is_what_was_asked_for_in_node() -> Result<()> {
    let (_folder, _running, address) = server("node.mjs", include_str!("node.mjs"))?;
    for (target, host, url) in [
        ("/other", "a/shop/admin#", "/other"),
        ("/other", "a/shop/admin?", "/other"),
        ("/shop/a", "a/other#", "/v2/a"),
        ("http://elsewhere.example/shop/a?x=1", "a", "/v2/a?x=1"),
        ("http://elsewhere.example/shop?x=1", "a", "/v2?x=1"),
    ] {
        let seen = body(&raw(address, target, &[&format!("host: {host}"), "x-unit: u"]).await?)?;
        assert_eq!(seen["url"], url, "{target} of {host}");
        assert_eq!(seen["stamp"].is_null(), url == "/other", "{target} of {host}");
    }
    assert_eq!(log_of(address).await?["errors"], json!([]));
    Ok(())
}

/// As Node itself does it, in every form that `writeHead` takes; and an application that throws is called once.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_the_application_stay_in_node() -> Result<()> {
    let (_folder, _running, address) = server("node.mjs", include_str!("node.mjs"))?;
    for form in ["array", "pairs", "object"] {
        let call = Call::get(&format!("/shop/{form}")).header("x-unit", "u");
        let answer = Client::http1(address).send(&call).await?;
        assert_eq!(answer.values("set-cookie"), ["a=1", "b=2"], "{form}");
        assert_eq!((answer.header("x-app"), answer.header("x-splitway")), (Some("yes"), Some("shop=x")));
    }
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /throws HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    eventually("the error", async || {
        let errors = log_of(address).await?["errors"].clone();
        Ok((errors == json!(["uncaught the application"])).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_are_in_nodes_records() -> Result<()> {
    let (_folder, _running, address) = server("node.mjs", include_str!("node.mjs"))?;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\nx-unit: u\r\n\r\n").await?;
    drop(stream);
    let record = eventually("the record", async || Ok(log_of(address).await?["exposures"].get(0).cloned()));
    let record = record.await?;
    assert_eq!(
        (&record["feature_flag.key"], &record["http.response.status_code"]),
        (&json!("slow"), &Value::Null)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn express_sees_the_path_below_a_mount() -> Result<()> {
    let (_folder, _running, address) = server("express.mjs", include_str!("express.mjs"))?;
    for (target, url, stamp) in [
        ("/mount/stays?q=1", "/mount/stays?q=1", Some("stays=x")),
        ("/mount/below?q=1", "/mount/v2?q=1", Some("below=x")),
        ("/mount/below/c", "/mount/v2/c", Some("below=x")),
        ("http://a.example/mount/below/c?q=1", "http://a.example/mount/v2/c?q=1", Some("below=x")),
        // A path that Express cannot come to from here: the application gets the request as it came.
        ("/mount/outside", "/mount/outside", None),
        ("/root/x", "/v2/root/x", Some("root=x")),
    ] {
        let answer = raw(address, target, &["host: a", "x-unit: u", "x-splitway: forged"]).await?;
        let seen = body(&answer)?;
        assert_eq!((&seen["url"], &seen["stamp"]), (&json!(url), &json!(stamp)), "{target}");
        assert_eq!(answer.to_lowercase().contains("\nx-splitway: "), stamp.is_some(), "{answer}");
    }
    let log = log_of(address).await?;
    assert_eq!(log["exposures"], 5);
    let errors = log["errors"].as_array().context("no list")?;
    ensure!(
        errors.len() == 1 && errors[0].as_str().is_some_and(|text| text.contains("mount it at the root")),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fastify_routes_by_the_variants_path() -> Result<()> {
    let (_folder, _running, address) = server("fastify.mjs", include_str!("fastify.mjs"))?;
    let client = Client::http1(address);
    let answer = client.send(&Call::get("/root/a").header("x-unit", "u")).await?;
    let seen: Value = serde_json::from_slice(&answer.body)?;
    assert_eq!((&seen["route"], &seen["stamp"]), (&json!("v2"), &json!("root=x")));
    assert_eq!(answer.header("x-splitway"), Some("root=x"));
    let answer = client.send(&Call::get("/root/a")).await?;
    assert_eq!(serde_json::from_slice::<Value>(&answer.body)?, json!({ "route": "root" }));
    Ok(())
}

/// The last line that a program prints, as JSON.
fn said(mut command: Command, folder: &std::path::Path) -> Result<Value> {
    let output = command.current_dir(folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().context("nothing printed")?)?)
}

fn runtimes(test: &str) -> Vec<Command> {
    [Some(Command::new("node")), deno(test)].into_iter().flatten().collect()
}

#[test]
fn a_worker_can_be_tested_outside_of_workers() -> Result<()> {
    let folder = framework_project(&[("unit.mjs", include_str!("unit.mjs"))])?;
    for mut runtime in runtimes("a_worker_can_be_tested_outside_of_workers") {
        runtime.arg("unit.mjs");
        let found = said(runtime, folder.path())?;
        assert_eq!(found, json!({ "status": 200, "stamp": "e=v", "body": { "stamp": "e=v" } }));
    }
    Ok(())
}

/// What `fetch` has decoded is not sent as encoded, whether an experiment touches it or not.
#[test]
fn decoded_bodies_are_not_called_encoded() -> Result<()> {
    let folder = framework_project(&[("encoded.mjs", include_str!("encoded.mjs"))])?;
    for mut runtime in runtimes("decoded_bodies_are_not_called_encoded") {
        runtime.arg("encoded.mjs");
        let found = said(runtime, folder.path())?;
        assert_eq!(found[0], json!(["e=v", null, null, 600]));
        assert_eq!(found[1], json!([null, null, null, 600]));
        // HEAD has no body that could be decoded.
        assert_eq!((&found[2][1], &found[2][3]), (&json!("gzip"), &json!(0)));
    }
    Ok(())
}

#[test]
fn a_bundle_has_the_module_in_it() -> Result<()> {
    let folder = framework_project(&[("unit.mjs", include_str!("unit.mjs"))])?;
    let elsewhere = tempfile::tempdir()?;
    let bundle = elsewhere.path().join("bundle.mjs");
    let mut esbuild = Command::new(tools::esbuild()?);
    esbuild.args(["unit.mjs", "--bundle", "--platform=node", "--format=esm", "--log-level=warning"]);
    esbuild.arg(format!("--outfile={}", bundle.display())).current_dir(folder.path());
    ensure!(esbuild.status()?.success(), "esbuild failed");
    let mut node = Command::new("node");
    node.arg(&bundle);
    assert_eq!(said(node, elsewhere.path())?["stamp"], "e=v");
    Ok(())
}

#[test]
fn edge_runtimes_of_next_and_vercel_load_the_module() -> Result<()> {
    let files = [("bundle.mjs", include_str!("bundle.mjs")), ("edge.mjs", include_str!("edge.mjs"))];
    let folder = framework_project(&files)?;
    let mut node = Command::new("node");
    node.arg("bundle.mjs");
    // The module is of another realm, or this shows nothing.
    assert_eq!(said(node, folder.path())?, json!({ "variant": "v", "isOurs": false }));
    Ok(())
}
