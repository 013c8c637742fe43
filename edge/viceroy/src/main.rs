//! The Fastly example: compiled, and tried on viceroy, Fastly's own simulator, where there is one.
//!
//! Not a part of `cargo xtask test`: viceroy is in no package archive and takes ten minutes to compile.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use splitway_envoy::{Call, Client, Collector, Upstream, eventually, tools};

use splitway_tools::{setup, shell};

const TRIED: &str = "cargo install viceroy --version 0.16.5 --locked";

fn main() -> ExitCode {
    shell::report(run())
}

/// Builds `edge/fastly`, and sends requests through it if viceroy is on PATH or at `SPLITWAY_VICEROY`.
fn run() -> Result<()> {
    setup::wasm_target(setup::TARGET)?;
    let target = tools::target_dir()?.join("fastly");
    let mut build = shell::cargo(&["build", "--release", "--locked", "--target", setup::TARGET])?;
    build.current_dir(shell::root().join("edge/fastly")).env("CARGO_TARGET_DIR", &target);
    shell::run(build)?;
    let module = target.join(setup::TARGET).join("release/splitway-fastly.wasm");
    println!("{}: {} bytes", module.display(), fs::metadata(&module)?.len());
    let viceroy =
        std::env::var_os("SPLITWAY_VICEROY").map_or_else(|| PathBuf::from("viceroy"), PathBuf::from);
    if shell::output({
        let mut version = Command::new(&viceroy);
        version.arg("--version");
        version
    })
    .is_err()
    {
        println!("SKIPPED: not run, because there is no viceroy: {TRIED}");
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(tried(&viceroy, &module))
}

/// Ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn tried(viceroy: &Path, module: &Path) -> Result<()> {
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user-id" }],
        "mint": {},
        "experiments": [{
            "id": "button",
            "targeting": { "path": { "prefix": "/checkout" } },
            "variants": [{ "id": "control" }, {
                "id": "new",
                "route": { "cluster": "v2", "path": { "prefix": "/checkout", "replace_prefix": "/v2" } },
                "response_headers": { "set": { "x-seen": "new" } },
            }],
        }],
    });
    let (origin, v2) = (Upstream::start("origin")?, Upstream::start("v2")?);
    let folder = tempfile::tempdir()?;
    let settings = |config: &str| {
        format!(
            "manifest_version = 3\nname = \"splitway-fastly\"\nlanguage = \"rust\"\n[local_server.backends]\n\
             origin = {{ url = \"http://{}\" }}\nv2 = {{ url = \"http://{}\" }}\n\
             [local_server.config_stores.splitway]\nformat = \"inline-toml\"\n\
             [local_server.config_stores.splitway.contents]\nconfig = '{config}'\n",
            origin.address(),
            v2.address()
        )
    };
    let (_good, client) =
        serve(viceroy, module, folder.path(), "good", &settings(&config.to_string())).await?;
    let mut variants = BTreeSet::new();
    for user in 0..40 {
        let call = Call::get("/checkout/a?b=%20").header("x-user-id", format!("user-{user}"));
        let call = call.header("x-splitway", "button=forged").header("x-splitway-cluster", "v2");
        let answer = client.send(&call).await?;
        let variant = answer.variant("button").context("no stamp")?.to_owned();
        let seen = answer.seen()?;
        let (upstream, path) =
            if variant == "new" { ("v2", "/v2/a?b=%20") } else { ("origin", "/checkout/a?b=%20") };
        ensure!((answer.status, answer.upstream()) == (200, Some(upstream)), "{answer:?}");
        ensure!(seen.path == path, "{seen:?}");
        ensure!(seen.header("x-splitway") == Some(&*format!("button={variant}")), "{seen:?}");
        ensure!(answer.header("x-seen").is_some() == (variant == "new"), "{answer:?}");
        variants.insert(variant);
    }
    ensure!(variants.len() == 2, "{variants:?}");
    let minted = client.send(&Call::get("/checkout")).await?;
    ensure!(minted.values("set-cookie").len() == 1 && minted.variant("button").is_some(), "{minted:?}");
    let other = client.send(&Call::get("/other").header("x-splitway", "button=new")).await?;
    ensure!(
        other.seen()?.header("x-splitway").is_none() && other.header("x-splitway").is_none(),
        "{other:?}"
    );
    let records =
        fs::read_to_string(folder.path().join("good.log"))?.matches("feature_flag.evaluation").count();
    ensure!(records == 41, "{records} exposure records");

    let (_bad, client) = serve(viceroy, module, folder.path(), "bad", &settings("{}")).await?;
    let answer = client.send(&Call::get("/checkout").header("x-user-id", "user-1")).await?;
    ensure!((answer.status, answer.header("x-splitway")) == (200, None), "{answer:?}");
    println!(
        "on viceroy: split, rewritten, stamped, minted, stripped; {records} exposures; a bad config harms nobody"
    );
    Ok(())
}

async fn serve(
    viceroy: &Path,
    module: &Path,
    folder: &Path,
    name: &str,
    settings: &str,
) -> Result<(Running, Client)> {
    let (file, log) = (folder.join(format!("{name}.toml")), folder.join(format!("{name}.log")));
    fs::write(&file, settings)?;
    let address: SocketAddr = Collector::free_address()?;
    let mut command = Command::new(viceroy);
    command.args(["serve", "--addr", &address.to_string(), "-C"]).arg(&file).arg(module);
    let output = fs::File::create(&log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let running = Running(command.spawn()?);
    // It compiles the module first, which takes a debug build of it more than half a minute.
    for _ in 0..6 {
        let up = eventually("viceroy", async || Ok(std::net::TcpStream::connect(address).ok())).await;
        if up.is_ok() {
            return Ok((running, Client::http1(address)));
        }
    }
    bail!("viceroy did not start:\n{}", fs::read_to_string(&log)?)
}
