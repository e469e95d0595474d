//! The books on disk, so that a bank that is started again knows its customers' money.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::books::Snapshot;

/// Version of the stored form.
const VERSION: u32 = 1;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// Everything that outlives the process.
#[derive(Serialize, Deserialize)]
pub struct Stored {
    version: u32,
    /// The business date that a cutover opened, if one did.
    pub opened: Option<String>,
    /// The books.
    pub books: Snapshot,
}

impl Stored {
    /// Packs what is to be kept.
    pub fn new(opened: Option<Date>, books: Snapshot) -> Stored {
        Stored { version: VERSION, opened: opened.map(|date| date.to_string()), books }
    }

    /// Reads a file; `None` if there is none yet.
    ///
    /// # Errors
    /// A file that is damaged, too large or of another version.
    pub fn read(path: &Path) -> anyhow::Result<Option<Stored>> {
        let Ok(about) = std::fs::metadata(path) else { return Ok(None) };
        anyhow::ensure!(about.len() <= MAX_FILE, "{} is too large", path.display());
        let text = std::fs::read(path)
            .with_context(|| format!("cannot read the bank's books {}", path.display()))?;
        let stored: Stored = serde_json::from_slice(&text)
            .with_context(|| format!("the bank's books {} are damaged", path.display()))?;
        anyhow::ensure!(
            stored.version == VERSION,
            "the bank's books {} are of version {}, not {VERSION}",
            path.display(),
            stored.version
        );
        Ok(Some(stored))
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        Ok(())
    }
}
