//! The file of checkpoints.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, TableDefinition};

use crate::checkpoint;
use crate::error::StoreError;

/// Version of the tables. A store of another version is thrown away and made anew.
const SCHEMA: u64 = 2;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The store. Clones are not needed: it may be shared by reference between threads.
pub struct Store {
    pub(crate) database: Database,
}

impl Store {
    /// Opens the store in a file, or makes it. A file that is damaged or of another version is
    /// thrown away.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Open`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source: redb::Error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let mut database = match Database::create(path) {
            Ok(database) => database,
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::InUse { path: path.to_owned() });
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the store is thrown away and made anew");
                discard(path).map_err(|error| failed(error.into()))?;
                Database::create(path).map_err(|error| failed(error.into()))?
            }
        };
        let found = schema(&database)?;
        if found != 0 && found != SCHEMA {
            tracing::warn!(path = %path.display(), found, "the store of another version is thrown away");
            drop(database);
            discard(path).map_err(|error| failed(error.into()))?;
            database = Database::create(path).map_err(|error| failed(error.into()))?;
        }
        let store = Self { database };
        if found != SCHEMA {
            store.clear()?;
        }
        Ok(store)
    }

    /// Makes a store in memory.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn in_memory() -> Result<Self, StoreError> {
        let store = Self::with_backend(redb::backends::InMemoryBackend::new())?;
        store.clear()?;
        Ok(store)
    }

    pub(crate) fn with_backend(backend: impl redb::StorageBackend) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(backend).map_err(|error| {
            StoreError::Open { path: PathBuf::from("memory"), source: Box::new(error.into()) }
        })?;
        Ok(Self { database })
    }

    /// Forgets everything; the next start folds the whole journal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn clear(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        checkpoint::clear(&write)?;
        write.open_table(META)?.insert("schema", SCHEMA)?;
        write.commit()?;
        Ok(())
    }
}

fn schema(database: &Database) -> Result<u64, StoreError> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get("schema")?.map_or(0, |version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        // A table of another type is of another version too.
        Err(redb::TableError::TableTypeMismatch { .. }) => Ok(u64::MAX),
        Err(error) => Err(error.into()),
    }
}

fn discard(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
