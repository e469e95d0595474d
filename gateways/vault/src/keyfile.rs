//! The keystore on disk: a sealed file, and the storage master key that opens it in a file of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::{Key, seal};
use crate::error::{VaultError, random};
use crate::form::{self, Kind};
use crate::keyring::{KEYRING_VERSION, Keyring};

/// Bound into the keystore's encryption.
const AAD: &[u8] = b"guichet/keystore/1";
/// Permission bits that nobody but the owner may have on a key file.
const OTHERS: u32 = 0o077;

/// Where the keystore lies, and the key that opens it.
pub struct KeyFile {
    path: PathBuf,
    storage_key: Key,
}

impl KeyFile {
    /// Opens the keystore; makes both files when neither is there.
    ///
    /// # Errors
    /// `Permissions`, `NoStorageKey`, `WrongStorageKey`, `Form`, `Io`, `Randomness`.
    pub fn open(path: &Path, storage_key_path: &Path) -> Result<(Self, Keyring), VaultError> {
        let keystore = read_if_there(path)?;
        let storage_key = match read_if_there(storage_key_path)? {
            Some(bytes) => read_storage_key(storage_key_path, &bytes)?,
            None if keystore.is_some() => {
                return Err(VaultError::NoStorageKey { path: storage_key_path.to_owned() });
            }
            None => make_storage_key(storage_key_path)?,
        };
        let this = Self { path: path.to_owned(), storage_key };
        let ring = match keystore {
            Some(bytes) => this.unseal(&bytes)?,
            None => {
                let ring = Keyring::generate()?;
                this.save(&ring)?;
                ring
            }
        };
        Ok((this, ring))
    }

    /// Where the keystore lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the keystore as a whole; durable when it returns.
    ///
    /// # Errors
    /// `Io`, `Randomness`.
    pub fn save(&self, ring: &Keyring) -> Result<(), VaultError> {
        replace_file(&self.path, &self.seal(ring, random()?)?)
    }

    fn seal(&self, ring: &Keyring, nonce: [u8; 12]) -> Result<Vec<u8>, VaultError> {
        let sealed = seal::seal_record(&self.storage_key, nonce, AAD, ring.fields().bytes())?;
        Ok(form::wrap(Kind::Keystore, KEYRING_VERSION, &sealed))
    }

    fn unseal(&self, bytes: &[u8]) -> Result<Keyring, VaultError> {
        let (_, sealed) = form::unwrap(Kind::Keystore, KEYRING_VERSION, bytes)
            .map_err(VaultError::form(&self.path))?;
        let clear = seal::open_record(&self.storage_key, AAD, sealed)
            .map_err(|_| VaultError::WrongStorageKey { path: self.path.clone() })?;
        Keyring::parse(&clear).map_err(VaultError::form(&self.path))
    }
}

fn read_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VaultError::io("reading", path)(error)),
    }
}

fn read_storage_key(path: &Path, bytes: &[u8]) -> Result<Key, VaultError> {
    let mode = fs::metadata(path).map_err(VaultError::io("inspecting", path))?.permissions().mode()
        & 0o777;
    if mode & OTHERS != 0 {
        return Err(VaultError::Permissions { path: path.to_owned(), mode });
    }
    let (_, key) = form::unwrap(Kind::StorageKey, 1, bytes).map_err(VaultError::form(path))?;
    Key::new(key)
        .ok()
        .filter(|k| k.bytes_32().is_ok())
        .ok_or(form::FormError::Length)
        .map_err(VaultError::form(path))
}

fn make_storage_key(path: &Path) -> Result<Key, VaultError> {
    let key = Key::from_32(random()?);
    let bytes = Zeroizing::new(form::wrap(Kind::StorageKey, 1, key.bytes()));
    replace_file(path, &bytes)?;
    Ok(key)
}

/// Writes a file beside `path`, syncs it, renames it over `path`, and syncs the directory.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(VaultError::io("making", &beside))?;
    file.write_all(bytes).map_err(VaultError::io("writing", &beside))?;
    file.sync_all().map_err(VaultError::io("syncing", &beside))?;
    fs::rename(&beside, path).map_err(VaultError::io("replacing", path))?;
    sync_dir(path)
}

/// Makes a file's name durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), VaultError> {
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(dir).and_then(|d| d.sync_all()).map_err(VaultError::io("syncing", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::FormError;
    use crate::keyring::KeyUse;

    fn paths(dir: &Path) -> (PathBuf, PathBuf) {
        (dir.join("keystore"), dir.join("storage.key"))
    }

    #[test]
    fn golden_keystore() {
        let mut ring = Keyring::default();
        ring.put(KeyUse::Routing, 0, 1, Key::from_32([0x11; 32]));
        let file = KeyFile { path: "keystore".into(), storage_key: Key::from_32([0x33; 32]) };
        let bytes = file.seal(&ring, [0x44; 12]).unwrap();
        // The sealed part was computed with another implementation (pyca/cryptography) too.
        assert_eq!(
            hex::encode(&bytes),
            concat!(
                "4756020100000050c797ce524444444444444444444444447718580d10963d8a552e86a9bd8380e3d8f5",
                "15443178bc2a625ee0cdea70d0963befa86332b3dd8df833cc02f89a77a50d1693d170c677364787ef8e",
                "1c86e275aa10172e"
            )
        );
        assert_eq!(file.unseal(&bytes).unwrap(), ring);
    }

    #[test]
    fn keys_stay_and_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, storage) = paths(dir.path());
        let (file, mut ring) = KeyFile::open(&keystore, &storage).unwrap();
        ring.put(KeyUse::ZoneMaster, 3, 1, Key::from_16([5; 16]));
        file.save(&ring).unwrap();
        let (_, again) = KeyFile::open(&keystore, &storage).unwrap();
        assert_eq!(ring, again);
        for path in [&keystore, &storage] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // No key lies in clear in the keystore.
        let bytes = fs::read(&keystore).unwrap();
        for entry in [KeyUse::Routing, KeyUse::ZoneMaster].map(|u| again.only(u).unwrap()) {
            let key = entry.key.bytes();
            assert!(!bytes.windows(key.len()).any(|w| w == key));
        }
    }

    #[test]
    fn a_storage_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, storage) = paths(dir.path());
        KeyFile::open(&keystore, &storage).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&storage, fs::Permissions::from_mode(mode)).unwrap();
            let refused = KeyFile::open(&keystore, &storage);
            assert!(matches!(refused, Err(VaultError::Permissions { .. })), "{mode:o}");
        }
    }

    #[test]
    fn missing_and_foreign_storage_keys_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, storage) = paths(dir.path());
        KeyFile::open(&keystore, &storage).unwrap();
        fs::remove_file(&storage).unwrap();
        let missing = KeyFile::open(&keystore, &storage);
        assert!(matches!(missing, Err(VaultError::NoStorageKey { .. })));
        make_storage_key(&storage).unwrap();
        let foreign = KeyFile::open(&keystore, &storage);
        assert!(matches!(foreign, Err(VaultError::WrongStorageKey { .. })));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, storage) = paths(dir.path());
        let (file, _) = KeyFile::open(&keystore, &storage).unwrap();
        let good = fs::read(&keystore).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(file.unseal(&bad).is_err(), "{at}");
            assert!(file.unseal(&good[..at]).is_err(), "{at}");
        }
        // A forger who repairs the checksum still has no key.
        let (_, sealed) = form::unwrap(Kind::Keystore, KEYRING_VERSION, &good).unwrap();
        for at in 0..sealed.len() {
            let mut bad = sealed.to_vec();
            bad[at] ^= 1;
            let bad = form::wrap(Kind::Keystore, KEYRING_VERSION, &bad);
            assert!(matches!(file.unseal(&bad), Err(VaultError::WrongStorageKey { .. })));
        }
        let newer = form::wrap(Kind::Keystore, KEYRING_VERSION + 1, sealed);
        assert!(matches!(
            file.unseal(&newer),
            Err(VaultError::Form { reason: FormError::Newer(2), .. })
        ));
    }
}
