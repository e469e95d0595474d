//! A file of fixed-size slots that are overwritten in place.
//!
//! In place, because a destroyed key must be gone: a copy-on-write database leaves its old page.
//! A slot divides a disk sector, so that no write of one slot tears another.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::VaultError;
use crate::form::FormError;

/// The version of the file's layout.
const VERSION: u8 = 1;

/// A file of slots of `N` bytes; the first slot is the file's header.
pub struct SlotFile<const N: usize> {
    file: File,
    path: PathBuf,
    /// Slots in use, the header not counted.
    count: Mutex<u64>,
    /// Writes so far.
    written: AtomicU64,
    /// Writes that are durable; nothing after a failed sync, which nothing can make good.
    synced: Mutex<Option<u64>>,
}

impl<const N: usize> SlotFile<N> {
    /// Opens or makes the file. A cut last slot was never acknowledged and is dropped.
    ///
    /// # Errors
    /// `Io`, or `Form` for a file of another kind or version.
    pub fn open(path: &Path, magic: [u8; 4]) -> Result<Self, VaultError> {
        const { assert!(N >= 16 && 512 % N == 0, "a slot must divide a sector") };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(VaultError::io("opening", path))?;
        let len = file.metadata().map_err(VaultError::io("measuring", path))?.len();
        let slot = N as u64;
        let this = Self {
            file,
            path: path.to_owned(),
            count: Mutex::new(0),
            written: AtomicU64::new(0),
            synced: Mutex::new(Some(0)),
        };
        if len < slot {
            // Shorter than its header: making it was interrupted, so nothing was ever in it.
            this.write_at(0, &header(magic))?;
            this.sync()?;
            return Ok(this);
        }
        check_header(&this.read_at(0)?, magic).map_err(VaultError::form(path))?;
        *this.count.lock() = len / slot - 1;
        if len % slot != 0 {
            this.file
                .set_len(len / slot * slot)
                .map_err(VaultError::io("dropping a cut slot of", path))?;
        }
        Ok(this)
    }

    /// How many slots there are.
    pub fn count(&self) -> u64 {
        *self.count.lock()
    }

    /// Reads one slot.
    ///
    /// # Errors
    /// `Io`, also for a slot that was never written.
    pub fn read(&self, index: u64) -> Result<[u8; N], VaultError> {
        self.read_at(index.saturating_add(1))
    }

    /// Overwrites one slot. Survives the process at once, the machine after [`Self::sync`].
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&self, index: u64, slot: &[u8; N]) -> Result<(), VaultError> {
        self.write_at(index.saturating_add(1), slot)
    }

    /// Adds a slot that `fill` makes from its index. Durable after [`Self::sync`].
    ///
    /// # Errors
    /// `Io`, and what `fill` gives.
    pub fn append(
        &self,
        fill: impl FnOnce(u64) -> Result<[u8; N], VaultError>,
    ) -> Result<u64, VaultError> {
        let mut count = self.count.lock();
        let index = *count;
        self.write(index, &fill(index)?)?;
        *count += 1;
        Ok(index)
    }

    /// Makes all that was written durable. Those who wait share the next sync.
    ///
    /// # Errors
    /// `Io`; after one, always: what the system dropped then is not known.
    pub fn sync(&self) -> Result<(), VaultError> {
        let mine = self.written.load(Ordering::Acquire);
        let mut synced = self.synced.lock();
        let failed = || std::io::Error::other("an earlier sync failed");
        if synced.ok_or_else(failed).map_err(VaultError::io("syncing", &self.path))? >= mine {
            return Ok(());
        }
        let all = self.written.load(Ordering::Acquire);
        let result = self.file.sync_data();
        *synced = result.is_ok().then_some(all);
        result.map_err(VaultError::io("syncing", &self.path))
    }

    fn read_at(&self, place: u64) -> Result<[u8; N], VaultError> {
        let mut slot = [0; N];
        self.file
            .read_exact_at(&mut slot, place.saturating_mul(N as u64))
            .map_err(VaultError::io("reading", &self.path))?;
        Ok(slot)
    }

    fn write_at(&self, place: u64, slot: &[u8; N]) -> Result<(), VaultError> {
        self.file
            .write_all_at(slot, place.saturating_mul(N as u64))
            .map_err(VaultError::io("writing", &self.path))?;
        self.written.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

fn header<const N: usize>(magic: [u8; 4]) -> [u8; N] {
    let mut slot = [0; N];
    slot[..4].copy_from_slice(&magic);
    slot[4] = VERSION;
    slot[5..7].copy_from_slice(&u16::try_from(N).unwrap_or(u16::MAX).to_be_bytes());
    close(&mut slot);
    slot
}

fn check_header<const N: usize>(slot: &[u8; N], magic: [u8; 4]) -> Result<(), FormError> {
    if slot[..4] != magic {
        return Err(FormError::Kind);
    }
    check(slot)?;
    if slot[4] != VERSION {
        return Err(FormError::Newer(slot[4]));
    }
    if *slot == header(magic) { Ok(()) } else { Err(FormError::Field) }
}

/// Writes the checksum of a slot into its last four bytes.
pub fn close<const N: usize>(slot: &mut [u8; N]) {
    let sum = crc32c::crc32c(&slot[..N - 4]).to_be_bytes();
    slot[N - 4..].copy_from_slice(&sum);
}

/// Compares the checksum of a slot.
///
/// # Errors
/// `Checksum`.
pub fn check<const N: usize>(slot: &[u8; N]) -> Result<(), FormError> {
    let sum = crc32c::crc32c(&slot[..N - 4]).to_be_bytes();
    if slot[N - 4..] == sum { Ok(()) } else { Err(FormError::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(byte: u8) -> [u8; 32] {
        let mut slot = [byte; 32];
        close(&mut slot);
        slot
    }

    #[test]
    fn golden_header() {
        let bytes: [u8; 32] = header(*b"TEST");
        assert_eq!(hex::encode(&bytes[..8]), "5445535401002000");
        assert_eq!(hex::encode(&bytes[28..]), "8557e59f");
    }

    #[test]
    fn slots_survive_reopening_and_a_cut_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slots");
        {
            let slots = SlotFile::<32>::open(&path, *b"TEST").unwrap();
            for n in 0..3 {
                assert_eq!(slots.append(|at| Ok(filled(at as u8))).unwrap(), n);
            }
            slots.write(1, &filled(9)).unwrap();
            slots.sync().unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 4 * 32);
        for cut in 0..32 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let slots = SlotFile::<32>::open(&path, *b"TEST").unwrap();
            assert_eq!(slots.count(), if cut == 0 { 3 } else { 2 }, "{cut}");
            assert_eq!(slots.read(1).unwrap(), filled(9));
            assert!(slots.read(3).is_err());
            assert!(slots.read(u64::MAX).is_err());
        }
    }

    #[test]
    fn every_changed_bit_of_the_header_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slots");
        drop(SlotFile::<32>::open(&path, *b"TEST").unwrap());
        let good = std::fs::read(&path).unwrap();
        for bit in 0..256 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bad).unwrap();
            let opened = SlotFile::<32>::open(&path, *b"TEST");
            assert!(matches!(opened, Err(VaultError::Form { .. })), "{bit}");
        }
        let mut newer: [u8; 32] = header(*b"TEST");
        newer[4] = 2;
        close(&mut newer);
        std::fs::write(&path, newer).unwrap();
        assert!(matches!(
            SlotFile::<32>::open(&path, *b"TEST"),
            Err(VaultError::Form { reason: FormError::Newer(2), .. })
        ));
    }
}
