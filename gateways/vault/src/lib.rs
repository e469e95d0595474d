//! The key server module, the vault and the member store.
//!
//! Keys, card numbers and people's data are in clear only inside this crate; what leaves is a tag,
//! a mask, a translated PIN block, a MAC, or an answer to a caller whose purpose is recorded.
//!
//! | file | holds |
//! | --- | --- |
//! | `storage.key` | the storage master key, readable by its owner only; may lie elsewhere |
//! | `keystore.sealed` | all keys of the center, sealed under the storage master key |
//! | `people.keys` | a wrapped key per person, overwritten in place when the person is erased |
//! | `pads.slots` | the last DUKPT counter of each PIN pad |
//! | `vault.redb` | people and cards sealed under their keys; terminals, revoked tickets, readings |
//!
//! A backup of `people.keys` outlives an erasure: backups of it must expire.
//!
//! *Invariant*: no PIN leaves in clear, and no function gives out a key of a bank or of the center.
//! *Boundary*: callers see [`guichet_ports::keys::KeyServer`] and [`guichet_ports::vault::VaultPort`].
#![deny(missing_docs)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guichet_engine::ids::{AcquirerId, PersonId, TerminalId, TicketNumber};
use parking_lot::{Mutex, RwLock};

use crypto::{Key, seal};
use db::{Change, Db, Table};
use keyfile::KeyFile;
use keyring::{KeyUse, Keyring};
use pads::Pads;
use person_keys::PersonKeys;
use records::TerminalRow;
use ticket::Gate;

pub mod crypto;
mod db;
mod error;
pub mod form;
mod keyfile;
pub mod keyring;
mod pads;
mod people;
mod person_keys;
mod records;
mod server;
mod slots;
pub mod ticket;
mod track;

#[cfg(test)]
mod tests;

pub use error::VaultError;
pub use records::{
    CONTACT_BYTES_MAX, DOCUMENT_BYTES_MAX, LANGUAGE_BYTES_MAX, NAME_BYTES_MAX, Reading,
    ReadingOutcome, Subject,
};

/// Readings of personal data that [`Vault::readings`] gives at once, at most.
pub const READINGS_PAGE_MAX: usize = 1000;

/// What a vault is opened with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where the storage master key lies; `storage.key` in the vault's directory when not given.
    pub storage_key: Option<PathBuf>,
    /// The zone master key of each bank link, as agreed with the bank: double-length TDES.
    pub zone_masters: Vec<(AcquirerId, Key)>,
}

/// The keys that never change while a vault is open, looked up once.
struct Fixed {
    routing: Key,
    center_tag: Key,
    terminal_tags: Key,
    factor: Key,
    card_secret: Key,
    card_public: [u8; 32],
    pad_base: Key,
    bdk_id: u32,
}

/// The key server module, the vault and the member store over one directory.
pub struct Vault {
    db: Db,
    key_file: KeyFile,
    fixed: Fixed,
    /// What is on disk; replaced as a whole after a save.
    keys: RwLock<Arc<Keyring>>,
    /// Held while a changed keyring is saved.
    saving: Mutex<()>,
    pads: Pads,
    person_keys: PersonKeys,
    terminals: RwLock<HashMap<u32, TerminalRow>>,
    /// Named in errors about its records.
    database: PathBuf,
    gate: RwLock<Gate>,
    /// Written while a person is erased, so that no record of theirs is added meanwhile.
    erasing: RwLock<()>,
}

impl Vault {
    /// Opens the vault in `dir`, or makes a new one there. One process at a time.
    ///
    /// # Errors
    /// `InUse`; `Permissions`, `NoStorageKey`, `WrongStorageKey`, `NoKeystore` about the key files;
    /// `Form` for damaged or newer files; `Io`, `Database`, `Randomness`.
    pub fn open(dir: &Path, config: Config) -> Result<Self, VaultError> {
        fs::create_dir_all(dir).map_err(VaultError::io("making", dir))?;
        let database = dir.join("vault.redb");
        let keystore = dir.join("keystore.sealed");
        // The database first: its lock keeps a second process from the key files too.
        let db = Db::open(&database)?;
        // New keys beside old records would read as if everyone had been erased.
        if !keystore.exists() && !db.is_empty()? {
            return Err(VaultError::NoKeystore { path: keystore });
        }
        let storage_key = config.storage_key.unwrap_or_else(|| dir.join("storage.key"));
        let (key_file, mut ring) = KeyFile::open(&keystore, &storage_key)?;
        if put_zone_masters(&mut ring, config.zone_masters)? {
            key_file.save(&ring)?;
        }
        let fixed = Fixed::of(&ring, &keystore)?;
        let terminals = read_terminals(&db, &database)?;
        let mut gate = gate_of(&ring, &keystore)?;
        for (key, _) in db.from(Table::RevokedTickets, &[], usize::MAX)? {
            let number = key.try_into().map_err(|_| VaultError::Form {
                path: database.clone(),
                reason: form::FormError::Field,
            })?;
            gate.revoke(TicketNumber(u64::from_be_bytes(number)));
        }
        let vault = Self {
            db,
            key_file,
            fixed,
            keys: RwLock::new(Arc::new(ring)),
            saving: Mutex::new(()),
            pads: Pads::open(&dir.join("pads.slots"))?,
            person_keys: PersonKeys::open(&dir.join("people.keys"))?,
            terminals: RwLock::new(terminals),
            database: database.clone(),
            gate: RwLock::new(gate),
            erasing: RwLock::new(()),
        };
        keyfile::sync_dir(&database)?;
        vault.finish_erasures()?;
        Ok(vault)
    }

    /// Begins a new epoch of ticket keys. Codes of older epochs are of an unknown key after
    /// `overlap_us` (microseconds) from `now_us` (microseconds UTC): choose it longer than the
    /// longest time between sale and use. Epochs that have ended are dropped.
    ///
    /// # Errors
    /// `Io`, `Randomness`, `Epochs` when a gate would have to hold too many.
    pub fn roll_ticket_keys(&self, now_us: i64, overlap_us: i64) -> Result<u16, VaultError> {
        let mut epoch = 0;
        self.change_keys(|ring| {
            ring.drop_ended(KeyUse::TicketSigning, now_us);
            ring.drop_ended(KeyUse::TicketEncryption, now_us);
            let newest = ring.newest(KeyUse::TicketSigning, 0).map_or(0, |entry| entry.epoch);
            let full = ring.all(KeyUse::TicketSigning).count() >= ticket::GATE_EPOCHS_MAX;
            epoch = u16::try_from(newest.saturating_add(1)).map_err(|_| VaultError::Epochs)?;
            if full {
                return Err(VaultError::Epochs);
            }
            for key_use in [KeyUse::TicketSigning, KeyUse::TicketEncryption] {
                ring.end_all(key_use, now_us.saturating_add(overlap_us));
                ring.put(key_use, 0, u32::from(epoch), Key::from_32(error::random()?));
            }
            Ok(())
        })?;
        let keys = self.keys();
        let mut gate = self.gate.write();
        let fresh = gate_of(&keys, self.key_file.path())?;
        gate.replace_epochs(fresh);
        Ok(epoch)
    }

    /// What a gate needs to verify tickets without the center: keys and revocations.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate.read().clone()
    }

    /// The recorded readings of personal data with a number of `first` or above, oldest first.
    ///
    /// # Errors
    /// `Database`, or `Form` for a damaged record.
    pub fn readings(&self, first: u64, limit: usize) -> Result<Vec<(u64, Reading)>, VaultError> {
        let limit = limit.min(READINGS_PAGE_MAX);
        let rows = self.db.from(Table::Access, &first.to_be_bytes(), limit)?;
        rows.into_iter()
            .map(|(key, value)| {
                let damaged = VaultError::form(&self.database);
                let number =
                    key.try_into().map(u64::from_be_bytes).map_err(|_| form::FormError::Field);
                let read = number.and_then(|number| Ok((number, Reading::parse(&value)?)));
                read.map_err(damaged)
            })
            .collect()
    }

    /// Gives a revoked terminal new keys to come: another tag key, and pad keys when next asked for.
    ///
    /// # Errors
    /// `Database`.
    pub fn reinstate_terminal(&self, terminal: TerminalId) -> Result<(), VaultError> {
        self.change_terminal(terminal, |row| TerminalRow {
            tag_epoch: row.tag_epoch.saturating_add(1),
            revoked: false,
            derivation_id: 0,
        })
    }

    /// Voids a PIN pad's keys so that the next injection gives new ones, for a pad that was
    /// exchanged or lost its counter. The terminal's tag key stays.
    ///
    /// # Errors
    /// `Database`, `Io`.
    pub fn renew_pad(&self, terminal: TerminalId) -> Result<(), VaultError> {
        let old = self.terminal(terminal).derivation_id;
        self.change_terminal(terminal, |row| TerminalRow { derivation_id: 0, ..row })?;
        self.pads.retire(old)
    }

    fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys.read())
    }

    /// Changes the keyring on disk first, then in memory.
    fn change_keys(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let _saving = self.saving.lock();
        let mut ring = Keyring::clone(&self.keys());
        change(&mut ring)?;
        self.key_file.save(&ring)?;
        *self.keys.write() = Arc::new(ring);
        Ok(())
    }

    fn terminal(&self, terminal: TerminalId) -> TerminalRow {
        self.terminals.read().get(&terminal.0).copied().unwrap_or_default()
    }

    /// Changes a terminal's row on disk first, then in memory.
    fn change_terminal(
        &self,
        terminal: TerminalId,
        change: impl FnOnce(TerminalRow) -> TerminalRow,
    ) -> Result<(), VaultError> {
        let mut terminals = self.terminals.write();
        let row = change(terminals.get(&terminal.0).copied().unwrap_or_default());
        let key = terminal.0.to_be_bytes().to_vec();
        self.db.commit(vec![Change::Put(Table::Terminals, key, row.write())])?;
        terminals.insert(terminal.0, row);
        Ok(())
    }

    /// The key that wraps people's keys made in an epoch.
    fn wrapping_key(&self, epoch: u32) -> Option<Key> {
        self.keys().epoch(KeyUse::VaultData, epoch).map(|entry| entry.key.clone())
    }

    /// Ends the erasures that a crash interrupted.
    fn finish_erasures(&self) -> Result<(), VaultError> {
        for (key, value) in self.db.from(Table::Erasing, &[], usize::MAX)? {
            let damaged = || VaultError::form(&self.database);
            let (_, payload) = form::unwrap(form::Kind::Erasing, 1, &value).map_err(damaged())?;
            let slot = form::Reader(payload).u64().map_err(damaged())?;
            let person = form::Reader(&key).u128().map_err(damaged())?;
            tracing::warn!(person = %PersonId(person), "an interrupted erasure is finished");
            self.person_keys.destroy(slot)?;
            self.db.commit(vec![Change::Remove(Table::Erasing, key)])?;
        }
        Ok(())
    }
}

impl Fixed {
    fn of(ring: &Keyring, path: &Path) -> Result<Self, VaultError> {
        let find = |key_use| {
            ring.only(key_use)
                .ok_or_else(|| VaultError::MissingKey { path: path.to_owned(), key_use })
        };
        let card_secret = find(KeyUse::CardData)?.key.clone();
        let pad_base = find(KeyUse::PadBase)?;
        for needed in [KeyUse::TicketSigning, KeyUse::TicketEncryption, KeyUse::VaultData] {
            find(needed)?;
        }
        Ok(Self {
            routing: find(KeyUse::Routing)?.key.clone(),
            center_tag: find(KeyUse::CenterTag)?.key.clone(),
            terminal_tags: find(KeyUse::TerminalTags)?.key.clone(),
            factor: find(KeyUse::Factor)?.key.clone(),
            card_public: seal::box_public_key(&card_secret)?,
            card_secret,
            pad_base: pad_base.key.clone(),
            bdk_id: pad_base.scope,
        })
    }
}

/// Takes in the configured zone master keys; a changed one makes the old working keys void.
fn put_zone_masters(
    ring: &mut Keyring,
    masters: Vec<(AcquirerId, Key)>,
) -> Result<bool, VaultError> {
    let mut changed = false;
    for (acquirer, key) in masters {
        let scope = u32::from(acquirer.0);
        if key.bytes().len() != 16 && key.bytes().len() != 24 {
            return Err(crypto::CryptoError::KeyLength { got: key.bytes().len() }.into());
        }
        if ring.newest(KeyUse::ZoneMaster, scope).is_some_and(|entry| entry.key == key) {
            continue;
        }
        for key_use in [KeyUse::ZonePin, KeyUse::ZoneMac] {
            ring.remove(key_use, scope);
        }
        ring.put(KeyUse::ZoneMaster, scope, 1, key);
        changed = true;
    }
    Ok(changed)
}

fn read_terminals(db: &Db, path: &Path) -> Result<HashMap<u32, TerminalRow>, VaultError> {
    db.from(Table::Terminals, &[], usize::MAX)?
        .into_iter()
        .map(|(key, value)| {
            let number = key.try_into().map(u32::from_be_bytes);
            let row = number
                .map_err(|_| form::FormError::Field)
                .and_then(|number| Ok((number, TerminalRow::parse(&value)?)));
            row.map_err(VaultError::form(path))
        })
        .collect()
}

/// The verifying side of all epochs of ticket keys.
fn gate_of(ring: &Keyring, path: &Path) -> Result<Gate, VaultError> {
    let mut gate = Gate::default();
    for signing in ring.all(KeyUse::TicketSigning) {
        let missing =
            || VaultError::MissingKey { path: path.to_owned(), key_use: KeyUse::TicketEncryption };
        let encryption = ring.epoch(KeyUse::TicketEncryption, signing.epoch).ok_or_else(missing)?;
        let epoch = u16::try_from(signing.epoch).map_err(|_| VaultError::Epochs)?;
        let verifying = ticket::verifying_key(&signing.key)?;
        gate.add_epoch(epoch, &verifying, encryption.key.clone(), signing.until_us)?;
    }
    Ok(gate)
}
