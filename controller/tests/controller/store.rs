//! The log in SQLite.

use anyhow::Result;
use splitway_control::{Actor, Command, Evidence, Input, Intent, Reaction, State, Time, react};
use splitway_controller::store::{Sqlite, Store as _, StoreError};

const CONFIG: &str = "
version: 1
unit: [{ cookie: uid }]
experiments:
  - { id: button, variants: [{ id: a }, { id: b }] }
";

fn reaction(state: &State, input: Input) -> Result<Reaction> {
    Ok(react(state, &Evidence::default(), &Actor::person("ann")?, &input, Time(1_000)))
}

fn filled(folder: &std::path::Path) -> Result<(Sqlite, State)> {
    let mut store = Sqlite::open(folder)?;
    let mut state = store.load()?;
    let inputs = [
        Input::Intent(Intent::from_yaml(CONFIG)?),
        Input::Command(Command::Enqueue { experiment: "button".into() }),
    ];
    for input in inputs {
        let reaction = reaction(&state, input)?;
        store.append(state.seq(), &reaction.events)?;
        state = reaction.state;
    }
    Ok((store, state))
}

#[test]
fn what_was_appended_is_folded_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, state) = filled(folder.path())?;
    drop(store);
    assert!(state.seq() >= 3, "{state:?}");
    let store = Sqlite::open(folder.path())?;
    assert_eq!(store.load()?, state);
    let rows = store.after(1, 1)?;
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [2]);
    assert!(store.after(state.seq(), 10)?.is_empty());
    Ok(())
}

#[test]
fn who_is_behind_appends_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut store, state) = filled(folder.path())?;
    let late = reaction(&State::default(), Input::Intent(Intent::from_yaml(CONFIG)?))?;
    let error = store.append(0, &late.events).expect_err("the log has gone on");
    assert!(matches!(error, StoreError::Fenced { expected: 0, found } if found == state.seq()), "{error}");
    assert_eq!(store.load()?, state);
    Ok(())
}

#[test]
fn a_second_controller_learns_who_holds_the_store() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, state) = filled(folder.path())?;
    let error = Sqlite::open(folder.path()).expect_err("it is held");
    assert!(error.to_string().contains(&format!("process {} since", std::process::id())), "{error}");
    assert_eq!(Sqlite::read(folder.path())?.load()?, state, "reading goes on");
    drop(store);
    Sqlite::open(folder.path())?;
    Ok(())
}

#[test]
fn any_change_is_found() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, state) = filled(folder.path())?;
    drop(store);
    let database = || rusqlite::Connection::open(folder.path().join("events.db"));
    let tampers = [
        "UPDATE events SET text = replace(text, 'ann', 'bob') WHERE seq = 1",
        "UPDATE events SET head = replace(head, substr(head, 1, 1), 'x') WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2",
        "UPDATE events SET seq = seq + 100 WHERE seq = (SELECT max(seq) FROM events)",
        "UPDATE events SET text = x'ff00' WHERE seq = 1",
    ];
    for tamper in tampers {
        let copy = tempfile::tempdir()?;
        database()?.execute("VACUUM INTO ?1", [copy.path().join("events.db").to_str()])?;
        let changed = rusqlite::Connection::open(copy.path().join("events.db"))?.execute(tamper, [])?;
        assert_eq!(changed, 1, "{tamper}");
        let error = Sqlite::open(copy.path())?.load().expect_err(tamper);
        assert!(matches!(error, StoreError::Corrupt(_)), "{tamper}: {error}");
    }
    // A tail that was cut off is a log by itself: only who knows the head finds it.
    database()?.execute("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", [])?;
    assert_ne!(Sqlite::open(folder.path())?.load()?.head(), state.head());
    Ok(())
}
