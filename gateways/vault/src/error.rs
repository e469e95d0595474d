//! Why the vault does not open, or cannot keep what it was given.

use std::io;
use std::path::PathBuf;

use crate::crypto::CryptoError;
use crate::form::FormError;
use crate::keyring::KeyUse;

/// Why the vault does not open, or a write did not become durable.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be made, read or written.
    #[error("{doing} {} failed", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The storage master key can be read by others than its owner.
    #[error("{} is open to others (mode {mode:o}): make it 600", path.display())]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is damaged, of another kind, or of a newer version.
    #[error("{} cannot be read: {reason}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: FormError,
    },
    /// The keystore does not open under the storage master key.
    #[error("{} does not open under the storage key beside it", path.display())]
    WrongStorageKey {
        /// Which file.
        path: PathBuf,
    },
    /// The keystore is there, but its storage master key is not.
    #[error("{} is missing, without which the keystore does not open", path.display())]
    NoStorageKey {
        /// Which file.
        path: PathBuf,
    },
    /// The records are there, but the keystore is not.
    #[error("{} is missing, without which the records beside it do not open", path.display())]
    NoKeystore {
        /// Which file.
        path: PathBuf,
    },
    /// The keystore opens, but lacks a key that every center has.
    #[error("{} lacks the key {key_use:?}", path.display())]
    MissingKey {
        /// Which file.
        path: PathBuf,
        /// What the key is for.
        key_use: KeyUse,
    },
    /// There are too many epochs of ticket keys that have not ended.
    #[error("too many epochs of ticket keys are still valid")]
    Epochs,
    /// Another process has the vault open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The database failed.
    #[error("vault database failed while {doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// The database's word.
        source: Box<redb::Error>,
    },
    /// A commit in which this change took part failed; nothing of it is stored.
    #[error("a shared commit failed; the change is not stored")]
    Commit,
    /// An algorithm refused, which with our own keys is a fault.
    #[error("key server fault")]
    Crypto(#[from] CryptoError),
    /// The operating system gives no random bytes.
    #[error("no randomness from the operating system")]
    Randomness,
}

impl VaultError {
    pub(crate) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn form(path: &std::path::Path) -> impl FnOnce(FormError) -> Self {
        let path = path.to_owned();
        move |reason| Self::Form { path, reason }
    }

    pub(crate) fn database<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Database { doing, source: Box::new(source.into()) }
    }
}

/// Fresh random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Randomness)?;
    Ok(bytes)
}
