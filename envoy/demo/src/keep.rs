//! `--keep`: the proxy stays up for a person, and follows the config file they edit.

use std::time::Duration;

use anyhow::Result;
use splitway_envoy::Envoy;

use crate::oracle::Oracle;
use crate::working_copy::WorkingCopy;

/// Short enough to feel immediate to a person who saves a file.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Puts the experiment back into force, prints what to try, and applies every saved change of the
/// config until Ctrl-C.
pub(crate) async fn until_interrupted(envoy: &Envoy) -> Result<()> {
    let config = WorkingCopy::create()?;
    let applied = config.read()?;
    envoy.swap_accepted(Oracle::new(&applied)?.document()).await?;
    let proxy = envoy.address();
    println!(
        "
The proxy stays up until Ctrl-C. To try:
  curl -si -H 'x-user-id: alice' http://{proxy}/checkout/cart
  curl -si --cookie uid=bob http://{proxy}/checkout/cart
  curl -s http://{}/stats/prometheus | grep splitway
The proxy follows when you edit and save
  {}",
        envoy.admin_address(),
        config.path.display()
    );
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        failed = follow(envoy, &config, applied) => failed,
    }
}

/// Never returns `Ok`.
async fn follow(envoy: &Envoy, config: &WorkingCopy, mut applied: String) -> Result<()> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // An editor that saves by renaming leaves no file for a moment.
        let Ok(text) = config.read() else { continue };
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
