//! Experiments' lives on a real Envoy, under the controller's loop.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use splitway_control::{Actor, Command, Phase, State};
use splitway_controller::delivery::WatchedFolder;
use splitway_controller::evidence::Admin;
use splitway_controller::store::{Sqlite, Store as _};
use splitway_controller::{Core, CoreError, IntentFolder, Outcome, Request, run};
use splitway_envoy::client::Call;
use splitway_envoy::poll::eventually;
use splitway_envoy::proxy::{Envoy, EnvoyConfig};
use splitway_envoy::upstream::{Reply, Upstream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

const INERT: &str = r#"{"version":1,"experiments":[]}"#;

const CONFIG: &str = "
version: 1
namespace: shop
unit: [{ header: x-user-id }]
experiments:
  - id: button
    variants:
      - { id: a }
      - { id: b, route: { cluster: checkout-v2 } }
    rollout:
      steps:
        - { traffic: 50%, until: { units_per_arm: 20 } }
        - { traffic: 100%, hold: 1d }
";

type Loop = (mpsc::Sender<Request>, JoinHandle<Result<(), CoreError>>);

fn controller(dir: &Path, intent: &Path, envoy: &Envoy) -> Result<Loop> {
    let core = Core::new(Sqlite::open(dir)?, WatchedFolder::open(envoy.watched_folder())?)?;
    let proxies = [Admin::new(&format!("http://{}", envoy.admin_address()))];
    let folder = IntentFolder::new(intent);
    let author = Actor::try_from("git:ann".to_owned())?;
    let (sender, requests) = mpsc::channel(8);
    let task = tokio::spawn(async move {
        run(core, folder, &proxies, &author, requests, |error| eprintln!("{error}")).await
    });
    Ok((sender, task))
}

async fn ask(requests: &mpsc::Sender<Request>, command: Command) -> Result<Outcome> {
    let (answer, answered) = oneshot::channel();
    let actor = Actor::person("bob")?;
    requests.send(Request { actor, command, answer }).await.ok().context("the controller has ended")?;
    answered.await?.map_err(anyhow::Error::msg)
}

async fn until(dir: &Path, what: &str, is: impl Fn(&State) -> bool) -> Result<State> {
    eventually(what, async || Ok(Some(Sqlite::read(dir)?.load()?).filter(|state| is(state)))).await
}

fn phase(state: &State) -> Option<(Phase, u32)> {
    state.experiment("button").map(|one| (one.phase, one.step))
}

fn is_in_force(state: &State) -> bool {
    let wanted = state.wanted().map(|wanted| wanted.document.as_str());
    wanted.is_some() && state.proxies().values().all(|proxy| proxy.in_force.as_deref() == wanted)
}

async fn traffic(envoy: &Envoy, from: u32, fails: bool) -> Result<()> {
    let client = envoy.http1();
    for user in from..from + 200 {
        let answer = client.send(&Call::get("/").header("x-user-id", format!("u{user}"))).await?;
        ensure!(answer.status == 200 || fails, "{answer:?}");
    }
    Ok(())
}

/// A ramp grows by its evidence, the controller is stopped and goes on where it was, the variant starts to fail and
/// everyone is out of it again, without anybody asking.
#[tokio::test]
async fn a_ramp_grows_survives_its_controller_and_is_rolled_back() -> Result<()> {
    let v1 = Upstream::start("v1")?;
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_broken = broken.clone();
    let v2 = Upstream::scripted("v2", move |_| {
        let status = if is_broken.load(std::sync::atomic::Ordering::Relaxed) { 500 } else { 200 };
        Reply { status, ..Reply::default() }
    })?;
    let envoy = Envoy::start(EnvoyConfig::new(INERT, &v1, &v2)).await?;
    let (dir, intent) = (tempfile::tempdir()?, tempfile::tempdir()?);
    fs::write(intent.path().join("splitway.yaml"), CONFIG)?;

    let (requests, task) = controller(dir.path(), intent.path(), &envoy)?;
    until(dir.path(), "the experiment to be known", |state| state.experiment("button").is_some()).await?;
    let refused = ask(&requests, Command::Enqueue { experiment: "other".into() }).await?.refused;
    assert!(!refused.is_empty(), "there is no such experiment");
    let outcome = ask(&requests, Command::Enqueue { experiment: "button".into() }).await?;
    assert!(outcome.refused.is_empty(), "{outcome:?}");
    until(dir.path(), "the first step", |state| {
        phase(state) == Some((Phase::Running, 0)) && is_in_force(state)
    })
    .await?;
    let mut from = 0;
    eventually("the second step, by its units", async || {
        traffic(&envoy, from, false).await?;
        from += 200;
        let state = Sqlite::read(dir.path())?.load()?;
        Ok((phase(&state) == Some((Phase::Running, 1)) && is_in_force(&state)).then_some(()))
    })
    .await?;

    // A broken file changes nothing that runs.
    fs::write(intent.path().join("splitway.yaml"), "version: 1\nexperiments: none\n")?;
    let state =
        until(dir.path(), "the broken file to be an event", |state| !state.broken().0.is_empty()).await?;
    assert_eq!(phase(&state), Some((Phase::Running, 1)));

    task.abort();
    assert!(task.await.is_err_and(|ended| ended.is_cancelled()));
    traffic(&envoy, 0, false).await?;
    let (_requests, task) = controller(dir.path(), intent.path(), &envoy)?;

    broken.store(true, std::sync::atomic::Ordering::Relaxed);
    eventually("the breach to be rolled back", async || {
        traffic(&envoy, from, true).await?;
        from += 200;
        let state = Sqlite::read(dir.path())?.load()?;
        Ok((phase(&state).map(|(phase, _)| phase) == Some(Phase::RolledBack) && is_in_force(&state))
            .then_some(()))
    })
    .await?;
    // What is in force everywhere sends nobody to the broken variant.
    eventually("all workers to follow", async || Ok(traffic(&envoy, 0, false).await.ok())).await?;
    assert!(!task.is_finished());
    task.abort();
    Ok(())
}
