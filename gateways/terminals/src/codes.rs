//! Secrets of enrolment codes that were given out and not used yet, in one file that only the owner reads.
//!
//! The engine knows a code by its digest and decides; the handshake needs the secret itself until then.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use guichet_link::code::EnrolmentSecret;
use guichet_link::keys::{KeyError, StaticKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Version of the file of codes.
pub const CODES_FORM: u32 = 1;
/// Codes that may wait at a time.
pub const MAX_CODES: usize = 10_000;
/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 * 1_048_576;

/// Fault of the gateway's own files.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The file system failed.
    #[error("{path} cannot be read or written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content is not what was written.
    #[error(
        "{path} is damaged; restore it from a backup, or remove it and register its terminals anew"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("{path} was written by a newer version (form {form})")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its form.
        form: u32,
    },
    /// Too many codes wait.
    #[error("{MAX_CODES} enrolment codes wait already")]
    Full,
    /// No randomness.
    #[error("no key can be made")]
    Key(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
struct CodesFile {
    form: u32,
    codes: BTreeMap<u32, CodeEntry>,
}

#[derive(Serialize, Deserialize, Clone)]
struct CodeEntry {
    secret: String,
    until: i64,
}

impl Drop for CodeEntry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// The codes that wait.
pub(crate) struct Codes {
    path: PathBuf,
    codes: BTreeMap<u32, CodeEntry>,
}

/// The digest by which the engine knows a code.
#[must_use]
pub fn code_digest(terminal: u32, secret: &EnrolmentSecret) -> [u8; 32] {
    let digest = Sha256::new()
        .chain_update(b"guichet/enrol-digest/1")
        .chain_update(terminal.to_be_bytes())
        .chain_update(secret.expose());
    digest.finalize().into()
}

impl Codes {
    pub(crate) fn open(dir: &Path) -> Result<Self, FileFault> {
        let path = dir.join("enrolment-codes.json");
        let Some(text) = read(&path)? else {
            return Ok(Self { path, codes: BTreeMap::new() });
        };
        let damaged = || FileFault::Damaged { path: path.clone() };
        let file: CodesFile = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if file.form > CODES_FORM {
            return Err(FileFault::Newer { path, form: file.form });
        }
        if file.codes.values().any(|entry| secret_of(entry).is_none()) {
            return Err(damaged());
        }
        Ok(Self { path, codes: file.codes })
    }

    /// Keeps a code until `until`; durable when this returns. A terminal's older code is void.
    pub(crate) fn put(
        &mut self,
        terminal: u32,
        secret: &EnrolmentSecret,
        until: i64,
        now: i64,
    ) -> Result<(), FileFault> {
        let mut next = self.codes.clone();
        next.retain(|_, entry| entry.until > now);
        if next.len() >= MAX_CODES && !next.contains_key(&terminal) {
            return Err(FileFault::Full);
        }
        next.insert(terminal, CodeEntry { secret: hex::encode(secret.expose()), until });
        self.write(next)
    }

    /// The secret of a code that waits and is not too old.
    pub(crate) fn get(&self, terminal: u32, now: i64) -> Option<EnrolmentSecret> {
        let entry = self.codes.get(&terminal).filter(|entry| entry.until > now)?;
        secret_of(entry)
    }

    /// Forgets a code that was used.
    pub(crate) fn remove(&mut self, terminal: u32) -> Result<(), FileFault> {
        let mut next = self.codes.clone();
        if next.remove(&terminal).is_none() {
            return Ok(());
        }
        self.write(next)
    }

    fn write(&mut self, next: BTreeMap<u32, CodeEntry>) -> Result<(), FileFault> {
        let file = CodesFile { form: CODES_FORM, codes: next };
        let text =
            Zeroizing::new(serde_json::to_vec(&file).map_err(|fault| FileFault::Io {
                path: self.path.clone(),
                source: fault.into(),
            })?);
        replace(&self.path, &text)?;
        self.codes = file.codes;
        Ok(())
    }
}

fn secret_of(entry: &CodeEntry) -> Option<EnrolmentSecret> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(&entry.secret, &mut bytes).ok()?;
    Some(EnrolmentSecret::from_bytes(bytes))
}

/// Makes the directory, readable by the owner alone.
pub(crate) fn make_dir(dir: &Path) -> Result<(), FileFault> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| FileFault::Io { path: dir.to_owned(), source })
}

/// The center's long-term link key: read, or made at the first start.
pub(crate) fn link_key(dir: &Path) -> Result<StaticKey, FileFault> {
    let path = dir.join("link-key");
    if let Some(text) = read(&path)? {
        let mut bytes = Zeroizing::new([0u8; 32]);
        let digits = text.trim_ascii();
        hex::decode_to_slice(digits, bytes.as_mut())
            .map_err(|_| FileFault::Damaged { path: path.clone() })?;
        return StaticKey::from_bytes(*bytes).map_err(|_| FileFault::Damaged { path });
    }
    let key = StaticKey::generate()?;
    replace(&path, Zeroizing::new(hex::encode(key.expose())).as_bytes())?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileFault> {
    let fault = |source| FileFault::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(fault(source)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileFault::Damaged { path: path.to_owned() });
    }
    Ok(Some(bytes))
}

/// Replaces a file whole: after a crash there is the old or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    let write = || {
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| FileFault::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn secret(byte: u8) -> EnrolmentSecret {
        EnrolmentSecret::from_bytes([byte; 16])
    }

    #[test]
    fn codes_outlive_a_restart_until_used_or_too_old() {
        let dir = tempfile::tempdir().unwrap();
        let mut codes = Codes::open(dir.path()).unwrap();
        codes.put(1, &secret(1), 100, 0).unwrap();
        codes.put(2, &secret(2), 50, 0).unwrap();
        codes.put(1, &secret(3), 100, 0).unwrap();
        let mut codes = Codes::open(dir.path()).unwrap();
        assert_eq!(codes.get(1, 99).unwrap().expose(), secret(3).expose());
        assert!(codes.get(1, 100).is_none() && codes.get(2, 50).is_none());
        codes.remove(1).unwrap();
        let codes = Codes::open(dir.path()).unwrap();
        assert!(codes.get(1, 0).is_none() && codes.get(2, 0).is_some());
        let mode = fs::metadata(dir.path().join("enrolment-codes.json")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn damage_and_newer_forms_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enrolment-codes.json");
        for (text, newer) in [
            ("{", false),
            (r#"{"form":1,"codes":{"1":{"secret":"zz","until":1}}}"#, false),
            (r#"{"form":2,"codes":{}}"#, true),
        ] {
            fs::write(&path, text).unwrap();
            let fault = Codes::open(dir.path()).err().unwrap();
            assert_eq!(matches!(fault, FileFault::Newer { form: 2, .. }), newer, "{text}");
            assert_eq!(matches!(fault, FileFault::Damaged { .. }), !newer, "{text}");
        }
    }

    #[test]
    fn the_number_of_codes_is_bounded_and_old_ones_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut codes = Codes::open(dir.path()).unwrap();
        let entry = CodeEntry { secret: hex::encode([1; 16]), until: 10 };
        codes.codes = (0..MAX_CODES as u32).map(|n| (n, entry.clone())).collect();
        assert!(matches!(codes.put(u32::MAX, &secret(1), 20, 9), Err(FileFault::Full)));
        assert!(codes.put(3, &secret(1), 20, 9).is_ok());
        assert!(codes.put(u32::MAX, &secret(1), 20, 10).is_ok());
    }

    #[test]
    fn the_link_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = link_key(dir.path()).unwrap();
        assert_eq!(link_key(dir.path()).unwrap().public(), first.public());
        fs::write(dir.path().join("link-key"), "short").unwrap();
        assert!(matches!(link_key(dir.path()), Err(FileFault::Damaged { .. })));
    }

    #[test]
    fn the_digest_depends_on_terminal_and_secret() {
        let digests = [(1, 1), (2, 1), (1, 2)].map(|(t, s)| code_digest(t, &secret(s)));
        assert!(digests[0] != digests[1] && digests[0] != digests[2]);
    }
}
