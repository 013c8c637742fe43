//! `--keep`: the proxy stays up for a person, and follows the config file they edit.

use std::time::Duration;

use anyhow::Result;
use splitway_envoy::Envoy;

use crate::demo::WorkingCopy;
use crate::demo::oracle::Oracle;

/// Short enough to feel immediate to a person who saves a file.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints what to try, and applies every saved change of the config until Ctrl-C.
pub(crate) async fn until_interrupted(envoy: &Envoy, config: &WorkingCopy) -> Result<()> {
    let proxy = envoy.address();
    println!(
        "
The proxy stays up until Ctrl-C. To try:
  curl -si -H 'x-user-id: alice' http://{proxy}/checkout/cart
  curl -si --cookie uid=bob http://{proxy}/checkout/cart
  curl -s http://{}/stats/prometheus | grep splitway
checkout-button is rolled back now; say `status: running` again, or break it, in
  {}
and save: the proxy follows.",
        envoy.admin_address(),
        config.path.display()
    );
    let mut applied = config.read()?;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let text = config.read()?;
        if text == applied {
            continue;
        }
        match Oracle::new(&text) {
            Ok(plan) => {
                envoy.swap_accepted(plan.document()).await?;
                println!("applied the edit");
            }
            Err(error) => println!("the last good config stays:\n{error:#}"),
        }
        applied = text;
    }
}
