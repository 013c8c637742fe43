//! The log in one file of SQLite.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use splitway_control::{Corrupt, Head, Sealed, State};

use super::contract::{Row, Store};
use super::error::StoreError;
use super::lock;

const FILE: &str = "events.db";

/// A log in SQLite. `synchronous=FULL`: a commit is on disk, also after a loss of power.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// Held as long as this may write.
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens the log in `folder` for writing, and makes it if there is none.
    ///
    /// # Errors
    /// Another controller holds it, or it cannot be written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)?;
        let lock = lock::hold(folder)?;
        let connection = Connection::open(folder.join(FILE))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, text TEXT NOT NULL, head TEXT NOT NULL)",
            [],
        )?;
        Ok(Self { connection, _lock: Some(lock) })
    }

    /// Opens the log in `folder` for reading, also while a controller writes.
    ///
    /// # Errors
    /// There is no log.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Self { connection: Connection::open_with_flags(folder.join(FILE), flags)?, _lock: None })
    }
}

impl Store for Sqlite {
    fn load(&self) -> Result<State, StoreError> {
        let mut statement = self.connection.prepare("SELECT seq, text, head FROM events ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let mut state = State::default();
        while let Some(row) = rows.next()? {
            let seq = u64::try_from(row.get::<_, i64>(0)?).ok();
            let corrupt = |reason: String| Corrupt { seq, reason };
            // Bytes that were changed in the file need not be a text any more.
            let text: String = row.get(1).map_err(|error| corrupt(error.to_string()))?;
            let head: String = row.get(2).map_err(|error| corrupt(error.to_string()))?;
            let head = Head::try_from(head).map_err(|reason| corrupt(reason.to_owned()))?;
            let sealed = Sealed::open(&state.head(), text, head)?;
            if Some(sealed.event.seq) != seq {
                return Err(corrupt(format!("its row holds event {}", sealed.event.seq)).into());
            }
            state.apply(&sealed)?;
        }
        Ok(state)
    }

    fn append(&mut self, expected: u64, events: &[Sealed]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: i64 =
            transaction.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?;
        let found = u64::try_from(last).unwrap_or_default();
        if found != expected {
            return Err(StoreError::Fenced { expected, found });
        }
        for sealed in events {
            let seq = i64::try_from(sealed.event.seq).unwrap_or(i64::MAX);
            let head = sealed.head.to_string();
            transaction.execute(
                "INSERT INTO events (seq, text, head) VALUES (?1, ?2, ?3)",
                params![seq, sealed.text, head],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn after(&self, seq: u64, limit: u32) -> Result<Vec<Row>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT seq, text, head FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![seq, limit], |row| {
            let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            Ok(Row { seq, text: row.get(1)?, head: row.get(2)? })
        })?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }
}
