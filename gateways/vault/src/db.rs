//! The database beside the key files: tables of bytes, and commits shared by all who wait.
//!
//! A commit costs one sync of the disk. Whoever finds the writer free commits for all who queued
//! meanwhile, so that a busy center pays one sync for many changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::VaultError;

/// A table. Keys and values are bytes; the values are forms of [`crate::form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Person id to sealed person.
    People,
    /// Card id to owner and sealed PAN.
    Cards,
    /// Person id and card id, to nothing: the cards of a person.
    PersonCards,
    /// Terminal to the state of its keys.
    Terminals,
    /// Ticket number to nothing.
    RevokedTickets,
    /// Person whose key is being destroyed, to the key's slot.
    Erasing,
    /// Running number to one reading of personal data.
    Access,
}

impl Table {
    const ALL: [Self; 7] = [
        Self::People,
        Self::Cards,
        Self::PersonCards,
        Self::Terminals,
        Self::RevokedTickets,
        Self::Erasing,
        Self::Access,
    ];

    const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::People => "people",
            Self::Cards => "cards",
            Self::PersonCards => "person_cards",
            Self::Terminals => "terminals",
            Self::RevokedTickets => "revoked_tickets",
            Self::Erasing => "erasing",
            Self::Access => "access",
        })
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// One change of a commit.
pub enum Change {
    /// Sets a value.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Removes a value.
    Remove(Table, Vec<u8>),
    /// Appends to the log of readings.
    Log(Vec<u8>),
}

const WAITING: u8 = 0;
const DURABLE: u8 = 1;
const FAILED: u8 = 2;

struct Queued {
    changes: Vec<Change>,
    outcome: Arc<AtomicU8>,
}

/// The open database.
pub struct Db {
    database: Database,
    queue: Mutex<Vec<Queued>>,
    /// Held while committing; the next number of the log of readings.
    writer: Mutex<u64>,
}

impl Db {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// `InUse`, `Database`.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => VaultError::InUse { path: PathBuf::from(path) },
            other => VaultError::database("opening it")(other),
        })?;
        let this = Self { database, queue: Mutex::default(), writer: Mutex::new(0) };
        this.make_tables()?;
        let next = this.last_key(Table::Access)?.map_or(0, |key| key.saturating_add(1));
        *this.writer.lock() = next;
        Ok(this)
    }

    fn make_tables(&self) -> Result<(), VaultError> {
        let write = self.database.begin_write().map_err(VaultError::database("beginning"))?;
        for table in Table::ALL {
            write.open_table(table.definition()).map_err(VaultError::database("making tables"))?;
        }
        write.commit().map_err(VaultError::database("making tables"))
    }

    /// Makes changes durable, all or none.
    ///
    /// # Errors
    /// `Database`; `Commit` when another's commit, which carried these changes, failed.
    pub fn commit(&self, changes: Vec<Change>) -> Result<(), VaultError> {
        let outcome = Arc::new(AtomicU8::new(WAITING));
        self.queue.lock().push(Queued { changes, outcome: Arc::clone(&outcome) });
        let mut next_log = self.writer.lock();
        match outcome.load(Ordering::Acquire) {
            DURABLE => return Ok(()),
            FAILED => return Err(VaultError::Commit),
            _ => {}
        }
        let batch = core::mem::take(&mut *self.queue.lock());
        let result = self.write(&batch, *next_log);
        let word = if result.is_ok() { DURABLE } else { FAILED };
        for queued in &batch {
            queued.outcome.store(word, Ordering::Release);
        }
        *next_log = result?;
        Ok(())
    }

    /// Writes a batch and gives the next number of the log.
    fn write(&self, batch: &[Queued], mut next_log: u64) -> Result<u64, VaultError> {
        let mut write = self.database.begin_write().map_err(VaultError::database("beginning"))?;
        write.set_durability(Durability::Immediate).map_err(VaultError::database("beginning"))?;
        for change in batch.iter().flat_map(|queued| &queued.changes) {
            let (table, key, value) = match change {
                Change::Put(table, key, value) => (*table, key.clone(), Some(value)),
                Change::Remove(table, key) => (*table, key.clone(), None),
                Change::Log(value) => {
                    let key = next_log.to_be_bytes().to_vec();
                    next_log = next_log.saturating_add(1);
                    (Table::Access, key, Some(value))
                }
            };
            let mut table =
                write.open_table(table.definition()).map_err(VaultError::database("writing"))?;
            match value {
                Some(value) => table.insert(&key[..], &value[..]).map(drop),
                None => table.remove(&key[..]).map(drop),
            }
            .map_err(VaultError::database("writing"))?;
        }
        write.commit().map_err(VaultError::database("committing"))?;
        Ok(next_log)
    }

    /// Reads one value.
    ///
    /// # Errors
    /// `Database`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let read = self.database.begin_read().map_err(VaultError::database("reading"))?;
        let table = read.open_table(table.definition()).map_err(VaultError::database("reading"))?;
        let found = table.get(key).map_err(VaultError::database("reading"))?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    /// Reads at most `limit` rows from a key on, in order.
    ///
    /// # Errors
    /// `Database`.
    pub fn from(&self, table: Table, first: &[u8], limit: usize) -> Result<Vec<Row>, VaultError> {
        let read = self.database.begin_read().map_err(VaultError::database("reading"))?;
        let table = read.open_table(table.definition()).map_err(VaultError::database("reading"))?;
        let range = table.range::<&[u8]>(first..).map_err(VaultError::database("reading"))?;
        range
            .take(limit)
            .map(|row| {
                let (key, value) = row.map_err(VaultError::database("reading"))?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            })
            .collect()
    }

    /// Whether no table has a row.
    ///
    /// # Errors
    /// `Database`.
    pub fn is_empty(&self) -> Result<bool, VaultError> {
        for table in Table::ALL {
            if !self.from(table, &[], 1)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn last_key(&self, table: Table) -> Result<Option<u64>, VaultError> {
        let read = self.database.begin_read().map_err(VaultError::database("reading"))?;
        let table = read.open_table(table.definition()).map_err(VaultError::database("reading"))?;
        let last = table.last().map_err(VaultError::database("reading"))?;
        Ok(last.and_then(|(key, _)| key.value().try_into().ok().map(u64::from_be_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_commits_keep_everything_and_number_the_log_without_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let db = Db::open(&path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let db = &db;
                scope.spawn(move || {
                    for n in 0..5u8 {
                        db.commit(vec![
                            Change::Put(Table::People, vec![thread, n], vec![n]),
                            Change::Log(vec![thread, n]),
                        ])
                        .unwrap();
                        assert_eq!(db.get(Table::People, &[thread, n]).unwrap(), Some(vec![n]));
                    }
                });
            }
        });
        let log = db.from(Table::Access, &[], 100).unwrap();
        assert_eq!(log.len(), 40);
        for (at, (key, _)) in (0u64..).zip(&log) {
            assert_eq!(key[..], at.to_be_bytes());
        }
        drop(db);
        let db = Db::open(&path).unwrap();
        db.commit(vec![Change::Log(vec![]), Change::Remove(Table::People, vec![0, 0])]).unwrap();
        assert_eq!(db.from(Table::Access, &40u64.to_be_bytes(), 9).unwrap().len(), 1);
        assert_eq!(db.get(Table::People, &[0, 0]).unwrap(), None);
        assert_eq!(db.from(Table::People, &[], 3).unwrap().len(), 3);
    }

    #[test]
    fn one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let first = Db::open(&path).unwrap();
        assert!(matches!(Db::open(&path), Err(VaultError::InUse { .. })));
        drop(first);
        assert!(Db::open(&path).is_ok());
    }
}
