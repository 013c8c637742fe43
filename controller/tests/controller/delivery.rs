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
