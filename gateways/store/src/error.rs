//! What can go wrong with the store.

use std::path::PathBuf;

use guichet_journal::StoredError;
use thiserror::Error;

/// A fault of the store. Whatever it is, the store can be deleted; the next start folds the whole journal.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// Another process has the database open.
    #[error("{} is open in another process", path.display())]
    InUse {
        /// Its file.
        path: PathBuf,
    },
    /// The database could not be read or written.
    #[error("the store could not be read or written")]
    Database(#[source] Box<redb::Error>),
    /// A stored value does not decode.
    #[error("a value of the store does not decode; delete the store to have it rebuilt")]
    Value(#[from] StoredError),
    /// A checkpoint whose parts are not those that were written.
    #[error("checkpoint has {found} part(s) where {written} were written, or others than those")]
    Parts {
        /// Parts written.
        written: u64,
        /// Parts found.
        found: u64,
    },
    /// Changes of another checkpoint than the one that is kept.
    #[error("changes do not follow the checkpoint that is kept")]
    OtherCheckpoint,
}

macro_rules! database {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
database!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
