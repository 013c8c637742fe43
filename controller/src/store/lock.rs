//! The lock of a store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use splitway_control::Time;

use super::error::StoreError;
use super::holder::Holder;

const LOCK: &str = "controller.lock";
const FACTS: &str = "controller.json";

/// Takes the lock of `folder`. The system releases it when the file is closed, also if the process is killed.
pub(super) fn hold(folder: &Path) -> Result<File, StoreError> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let facts = fs::read(folder.join(FACTS)).unwrap_or_default();
            return Err(StoreError::Held(serde_json::from_slice(&facts).unwrap_or_default()));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let since = Time(i64::try_from(now.as_millis()).unwrap_or_default()).to_string();
    let facts =
        serde_json::to_vec(&Holder { process: std::process::id(), since }).map_err(io::Error::other)?;
    fs::write(folder.join(FACTS), facts)?;
    Ok(lock)
}
