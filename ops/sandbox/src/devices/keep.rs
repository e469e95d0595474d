//! Keeps what a device must not forget when its power goes.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value so that after a crash either the old or the new one is there.
pub fn save<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    write_whole(path, &text)
}

/// Writes a file as a whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let mut file =
        File::create(&fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&fresh, path).with_context(|| format!("cannot place {}", path.display()))?;
    Ok(())
}

/// Reads a value back; the default if there is no file.
pub fn load<T: DeserializeOwned + Default>(path: &Path) -> anyhow::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged: remove it to start anew", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_and_damage_is_named() {
        let path = std::env::temp_dir().join(format!("keep-{}.json", std::process::id()));
        let _ = fs::remove_file(&path);
        assert_eq!(load::<Vec<u32>>(&path).unwrap(), Vec::<u32>::new());
        save(&path, &vec![1, 2]).unwrap();
        assert_eq!(load::<Vec<u32>>(&path).unwrap(), vec![1, 2]);
        fs::write(&path, b"{").unwrap();
        let error = load::<Vec<u32>>(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("keep-"), "{error}");
        fs::remove_file(&path).unwrap();
    }
}
