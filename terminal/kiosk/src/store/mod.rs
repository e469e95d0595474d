//! The terminal's own journal: one redb file, every write durable when it returns (`Durability::Immediate`).
//!
//! *Invariant*: no card number, no track 2, no PIN block and no passenger's full name is in it; pushed bookings lie
//! under the card's tag alone.

mod link;
mod meta;
mod papers;
mod pushed;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use link::OutboxStore;
pub use meta::{OpenSession, Standing};
pub use papers::{PRINTS_MAX, PrintKey, PrintRecord, PrintState, RECEIPTS_MAX, ReceiptRecord};
pub use pushed::BOOKINGS_MAX;

use crate::error::KioskError;
use crate::steps::{Step, Steps};

/// Form of the journal that this program writes.
pub const FORM: u64 = 1;
/// Name of the journal's file.
pub const FILE: &str = "terminal.redb";

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const BOOKINGS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("bookings");
const PRINTS: TableDefinition<&str, &[u8]> = TableDefinition::new("prints");
const RECEIPTS: TableDefinition<&str, &[u8]> = TableDefinition::new("receipts");
const OUTBOX: TableDefinition<u64, &[u8]> = TableDefinition::new("outbox");

/// The journal. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    steps: Steps,
}

impl Store {
    /// Opens the journal of a terminal, or makes it.
    ///
    /// # Errors
    /// `Directory`, `InUse`, `Newer`, `OtherTerminal`, `Damaged`, `Journal`, `Key`.
    pub fn open(dir: &Path, terminal: u32, steps: Steps) -> Result<Self, KioskError> {
        let unusable = |source| KioskError::Directory { path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        let path = dir.join(FILE);
        let database = Database::create(&path).map_err(|fault| match fault {
            DatabaseError::DatabaseAlreadyOpen => KioskError::InUse { path: dir.to_owned() },
            other => KioskError::journal("opening")(other),
        })?;
        // The terminal's key lies in it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(unusable)?;
        let store = Self { database: Arc::new(database), steps };
        store.begin(terminal)?;
        Ok(store)
    }

    /// The steps of crash tests.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    fn write<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&WriteTransaction) -> Result<T, KioskError>,
    ) -> Result<T, KioskError> {
        let mut write = self.database.begin_write().map_err(KioskError::journal(doing))?;
        write.set_durability(Durability::Immediate).map_err(KioskError::journal(doing))?;
        let value = act(&write)?;
        self.steps.reach(Step::WriteBegun);
        write.commit().map_err(KioskError::journal(doing))?;
        self.steps.reach(Step::WriteDone);
        Ok(value)
    }

    fn read(&self, doing: &'static str) -> Result<ReadTransaction, KioskError> {
        self.database.begin_read().map_err(KioskError::journal(doing))
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, KioskError> {
    serde_json::to_vec(value).map_err(KioskError::journal("writing a record"))
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, KioskError> {
    serde_json::from_slice(bytes).map_err(|_| KioskError::Damaged { what })
}
