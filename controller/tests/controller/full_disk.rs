//! A disk without room stops decisions, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command as Program;

use anyhow::Result;
use splitway_control::{Actor, Command, Evidence, Input, Intent, State, Time, react};
use splitway_controller::store::{Sqlite, Store as _, StoreError};
use splitway_envoy::skip::skip;

const CONFIG: &str = "
version: 1
unit: [{ cookie: uid }]
experiments:
  - { id: button, variants: [{ id: a }, { id: b }] }
";

/// A file system of its own, of 1 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let mount =
            Program::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(folder.path()).output();
        Ok(mount.is_ok_and(|output| output.status.success()).then(|| Self(folder)))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_stops_decisions_until_there_is_room() -> Result<()> {
    let Some(disk) = SmallDisk::mount()? else {
        skip("a_full_disk_stops_decisions_until_there_is_room", "mounting a tmpfs needs root");
        return Ok(());
    };
    let (ann, evidence) = (Actor::person("ann")?, Evidence::default());
    let mut store = Sqlite::open(disk.path())?;
    let defined =
        react(&State::default(), &evidence, &ann, &Input::Intent(Intent::from_yaml(CONFIG)?), Time(1));
    store.append(0, &defined.events)?;
    let mut state = defined.state;

    let filler = disk.path().join("filler");
    assert!(fs::write(&filler, vec![0; 2 << 20]).is_err(), "the disk is full now");
    // What still fits into files that exist is taken; then comes the refusal.
    let mut refused = None;
    for _ in 0..2_000 {
        let input = Input::Command(Command::Enqueue { experiment: "another".into() });
        let next = react(&state, &evidence, &ann, &input, Time(2));
        match store.append(state.seq(), &next.events) {
            Ok(()) => state = next.state,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(StoreError::Database(_))), "{refused:?}");
    assert_eq!(store.load()?, state, "nothing of what was refused is in the log");

    fs::remove_file(filler)?;
    let input = Input::Command(Command::Enqueue { experiment: "button".into() });
    let next = react(&state, &evidence, &ann, &input, Time(3));
    store.append(state.seq(), &next.events)?;
    drop(store);
    assert_eq!(Sqlite::open(disk.path())?.load()?, next.state);
    Ok(())
}
