//! Documents by file and evidence by the admin interface, on a real Envoy.

use anyhow::{Context as _, Result, ensure};
use splitway_controller::delivery::WatchedFolder;
use splitway_controller::evidence::{Admin, AdminError, Counters};
use splitway_envoy::client::Call;
use splitway_envoy::poll::eventually;
use splitway_envoy::proxy::{Envoy, EnvoyConfig};
use splitway_envoy::upstream::Upstream;

const DOCUMENT: &str = r#"{"version":1,"namespace":"shop","service_metrics":true,"unit":[{"header":"x-user-id"}],"experiments":[{"id":"button","traffic":"TRAFFIC","variants":[{"id":"a"},{"id":"b"}]}]}"#;
const REFUSED: &str = r#"{"version":1,"experiments":"none"}"#;

fn document(traffic: &str) -> String {
    DOCUMENT.replace("TRAFFIC", traffic)
}

#[test]
fn a_folder_without_a_rendered_file_is_no_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    assert!(WatchedFolder::open(folder.path()).is_err());
    let file = folder.path().join("ecds.yaml");
    std::fs::write(&file, "resources: []\n")?;
    let error = WatchedFolder::open(folder.path()).expect_err("no document in it").to_string();
    assert!(error.contains("splitway render envoy"), "{error}");
    assert_eq!(std::fs::read_to_string(&file)?, "resources: []\n", "it stays as it was");
    Ok(())
}

#[tokio::test]
async fn a_document_is_delivered_once_and_confirmed_by_the_proxy() -> Result<()> {
    let (v1, v2) = (Upstream::start("v1")?, Upstream::start("v2")?);
    let envoy = Envoy::start(EnvoyConfig::new(document("0%"), &v1, &v2)).await?;
    let folder = WatchedFolder::open(envoy.watched_folder())?;
    assert_eq!(folder.delivered()?, document("0%"));
    let admin = Admin::new(&format!("http://{}", envoy.admin_address()));
    assert_eq!(admin.name(), envoy.admin_address().to_string());

    let mut counters = Counters::default();
    let first = admin.report().await?;
    let before = first.version.context("a version")?;
    let seen = counters.observe(admin.name(), &first);
    assert!(!seen.has_data && seen.refused == 0, "{seen:?}");

    assert!(folder.deliver(&document("100%"))?);
    assert!(!folder.deliver(&document("100%"))?, "the same document again changes nothing");
    eventually("the gauge to follow", async || {
        Ok((admin.report().await?.version != Some(before)).then_some(()))
    })
    .await?;
    let client = envoy.http1();
    for user in 0..40 {
        let answer = client.send(&Call::get("/").header("x-user-id", format!("u{user}"))).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let seen = eventually("all exchanges to be counted", async || {
        let seen = counters.observe(admin.name(), &admin.report().await?);
        Ok((seen.samples.iter().map(|sample| sample.tally.units).sum::<u64>() == 40).then_some(seen))
    })
    .await?;
    assert!(seen.has_data);
    let arms: Vec<&str> = seen.samples.iter().map(|sample| sample.variant.as_str()).collect();
    assert_eq!(arms, ["a", "b"]);
    assert!(seen.samples.iter().all(|sample| sample.experiment == "button" && sample.tally.bad == 0));

    let in_force = admin.report().await?.version;
    assert!(folder.deliver(REFUSED)?);
    eventually("the refusal to be counted", async || {
        Ok((counters.observe(admin.name(), &admin.report().await?).refused > 0).then_some(()))
    })
    .await?;
    assert_eq!(admin.report().await?.version, in_force, "the last good one stays");

    drop(envoy);
    assert!(matches!(admin.report().await, Err(AdminError::Dead(_))));
    Ok(())
}
