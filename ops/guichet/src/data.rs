//! The data directory: what lies where.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The version of the directory's form; a newer one is refused.
pub const DATA_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Marker {
    version: u32,
    partitions: u16,
    made_by: String,
}

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Opens an existing directory for reading.
    pub fn existing(root: &Path) -> Result<Self> {
        let data = Self { root: root.to_owned() };
        data.marker().with_context(|| {
            format!(
                "{} is no data directory of guichet; name one with --data, or make one with `guichet up` or `guichet demo`",
                root.display()
            )
        })?;
        Ok(data)
    }

    /// Opens a directory, or makes it for `partitions` partitions.
    pub fn open_or_make(root: &Path, partitions: u16) -> Result<Self> {
        let data = Self { root: root.to_owned() };
        if data.marker_path().exists() {
            data.marker()?;
            return data.absolute();
        }
        if root.exists() && std::fs::read_dir(root)?.next().is_some() {
            bail!(
                "{} is not empty and no data directory of guichet; name another with --data",
                root.display()
            );
        }
        std::fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let marker =
            Marker { version: DATA_VERSION, partitions, made_by: env!("CARGO_PKG_VERSION").into() };
        let temporary = root.join("guichet.json.tmp");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&marker)?)
            .with_context(|| format!("cannot write in {}", root.display()))?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, data.marker_path())?;
        std::fs::File::open(root)?.sync_all()?;
        data.absolute()
    }

    /// The same directory by its absolute path, which files inside may be named by.
    fn absolute(self) -> Result<Self> {
        let root = std::fs::canonicalize(&self.root)
            .with_context(|| format!("cannot find {}", self.root.display()))?;
        Ok(Self { root })
    }

    fn marker_path(&self) -> PathBuf {
        self.root.join("guichet.json")
    }

    fn marker(&self) -> Result<Marker> {
        let path = self.marker_path();
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let marker: Marker = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged", path.display()))?;
        if marker.version > DATA_VERSION {
            bail!(
                "{} is of version {}, this program reads up to {DATA_VERSION}: use the newer program (made by {})",
                self.root.display(),
                marker.version,
                marker.made_by
            );
        }
        Ok(marker)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Partitions it was made for.
    pub fn partitions(&self) -> Result<u16> {
        Ok(self.marker()?.partitions)
    }
    /// The parent of the partitions' journals.
    pub fn journals(&self) -> PathBuf {
        self.root.join("journal")
    }
    /// Keys, vault and member store.
    pub fn vault(&self) -> PathBuf {
        self.root.join("vault")
    }
    /// What can be rebuilt from the journal: checkpoints.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    /// Settlement and clearing files.
    pub fn settlement(&self) -> PathBuf {
        self.root.join("settlement")
    }
    /// The configuration that the center ran with last.
    pub fn config_used(&self) -> PathBuf {
        self.root.join("config-used.toml")
    }
    /// Masked bank messages.
    pub fn wire_log(&self) -> PathBuf {
        self.root.join("wire.jsonl")
    }
    /// The running center's admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }
    /// Logs of child processes.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    /// What the sandbox keeps.
    pub fn sandbox(&self) -> PathBuf {
        self.root.join("sandbox")
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("tmp");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(parent) = path.parent() {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_directory_and_a_strange_one_are_refused() {
        let root = std::env::temp_dir().join(format!("guichet-data-{}", std::process::id()));
        let data = DataDir::open_or_make(&root, 2).expect("made");
        assert_eq!(DataDir::existing(&root).and_then(|d| d.partitions()).expect("reads"), 2);
        std::fs::write(data.marker_path(), r#"{"version":2,"partitions":2,"made_by":"9"}"#)
            .expect("written");
        let error = format!("{:#}", DataDir::existing(&root).expect_err("newer"));
        assert!(error.contains("version 2") && error.contains("newer program"), "{error}");
        std::fs::write(data.marker_path(), "{").expect("written");
        assert!(
            format!("{:#}", DataDir::open_or_make(&root, 2).expect_err("damaged"))
                .contains("damaged")
        );
        std::fs::remove_file(data.marker_path()).expect("removed");
        std::fs::write(root.join("x"), "").expect("written");
        assert!(
            format!("{:#}", DataDir::open_or_make(&root, 2).expect_err("strange"))
                .contains("not empty")
        );
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
