//! A controller that is killed at any moment has lost nothing that it acknowledged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command as Program, Stdio};

use anyhow::{Context as _, Result};
use splitway_control::{Actor, Command, Evidence, Input, Time, react};
use splitway_controller::store::{Sqlite, Store as _};

const STORE: &str = "SPLITWAY_TEST_STORE";
const MARK: &str = "acknowledged ";

/// The process that is killed: it appends until then, and acknowledges each event.
fn append_forever(folder: &Path) -> Result<()> {
    let mut store = Sqlite::open(folder)?;
    let mut state = store.load()?;
    let ann = Actor::person("ann")?;
    loop {
        let input = Input::Command(Command::Enqueue { experiment: "unknown".into() });
        let next = react(&state, &Evidence::default(), &ann, &input, Time(1));
        store.append(state.seq(), &next.events)?;
        state = next.state;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{MARK}{}", state.seq())?;
        out.flush()?;
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() -> Result<()> {
    if let Some(folder) = std::env::var_os(STORE) {
        return append_forever(Path::new(&folder));
    }
    let folder = tempfile::tempdir()?;
    let mut last = 0;
    for round in 1..=5_u64 {
        let mut child = Program::new(std::env::current_exe()?)
            .args(["--exact", "killed::what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(STORE, folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut acknowledged = lines.map_while(Result::ok).filter_map(|line| {
            let (_, seq) = line.split_once(MARK)?;
            seq.parse::<u64>().ok()
        });
        let before = acknowledged.by_ref().nth(usize::try_from(3 * round)?).context("it appends")?;
        child.kill()?;
        child.wait()?;
        // What it wrote between the look and the kill counts, too.
        let seen = acknowledged.last().unwrap_or(before);
        let state = Sqlite::open(folder.path())?.load()?;
        // One event more may be on disk than it could acknowledge.
        assert!(state.seq() == seen || state.seq() == seen + 1, "{} after {seen}", state.seq());
        assert!(before > last, "it went on where the one before was killed");
        last = state.seq();
    }
    Ok(())
}
