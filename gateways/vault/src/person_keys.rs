//! A key per person, in slots that are overwritten when the person is erased.

use std::path::Path;

use guichet_engine::ids::PersonId;

use crate::crypto::{CryptoError, Key, seal};
use crate::error::{VaultError, random};
use crate::form::FormError;
use crate::slots::{self, SlotFile};

/// Bytes of a person's slot.
const SLOT: usize = 128;
const MAGIC: [u8; 4] = *b"GVPK";
const CONTEXT: &[u8] = b"guichet/person-key/1";
/// Bytes of a 32-byte key when wrapped.
const WRAPPED: usize = 32 + seal::SEAL_TAG_BYTES;

/// Why a person's key is not there.
#[derive(Debug, thiserror::Error)]
pub enum PersonKeyFault {
    /// It was destroyed.
    #[error("the key was destroyed")]
    Destroyed,
    /// The slot does not read, or is another person's.
    #[error("the key's slot is damaged: {0}")]
    Damaged(FormError),
    /// The wrapped key does not open.
    #[error("the key does not unwrap")]
    Crypto(#[from] CryptoError),
    /// The file cannot be read or written.
    #[error("people's keys cannot be read or written")]
    Store(#[from] VaultError),
}

/// All people's keys, each wrapped under a key of the keystore.
pub struct PersonKeys(SlotFile<SLOT>);

struct Wrapped {
    person: PersonId,
    epoch: u32,
    sealed: [u8; seal::NONCE_BYTES + WRAPPED],
}

impl PersonKeys {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// `Io`, `Form`.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        Ok(Self(SlotFile::open(path, MAGIC)?))
    }

    /// Makes a key for a person; durable when it returns.
    ///
    /// # Errors
    /// `Io`, `Randomness`.
    pub fn create(
        &self,
        person: PersonId,
        epoch: u32,
        wrapping: &Key,
    ) -> Result<(u64, Key), VaultError> {
        let key = Key::from_32(random()?);
        let nonce = random()?;
        let index = self.0.append(|index| {
            let aad = context(person, index);
            let mut sealed = [0; seal::NONCE_BYTES + WRAPPED];
            sealed.copy_from_slice(&seal::seal_record(wrapping, nonce, &aad, key.bytes())?);
            Ok(write(&Wrapped { person, epoch, sealed }))
        })?;
        self.0.sync()?;
        Ok((index, key))
    }

    /// Unwraps a person's key with the wrapping key of the epoch that the slot names.
    ///
    /// # Errors
    /// `Destroyed`, `Damaged`, `Crypto`, `Store`.
    pub fn get(
        &self,
        person: PersonId,
        index: u64,
        wrapping: impl FnOnce(u32) -> Option<Key>,
    ) -> Result<Key, PersonKeyFault> {
        let wrapped = parse(&self.0.read(index)?)?;
        if wrapped.person != person {
            return Err(PersonKeyFault::Damaged(FormError::Field));
        }
        let wrapping = wrapping(wrapped.epoch).ok_or(CryptoError::Unsealed)?;
        let key = seal::open_record(&wrapping, &context(person, index), &wrapped.sealed)?;
        Ok(Key::new(&key)?)
    }

    /// Overwrites a person's key; gone from the file when it returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn destroy(&self, index: u64) -> Result<(), VaultError> {
        let mut slot = [0; SLOT];
        slot[0] = 1;
        slot[1] = 2;
        slots::close(&mut slot);
        self.0.write(index, &slot)?;
        self.0.sync()
    }
}

fn context(person: PersonId, index: u64) -> Vec<u8> {
    [CONTEXT, &person.0.to_be_bytes()[..], &index.to_be_bytes()[..]].concat()
}

fn write(wrapped: &Wrapped) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[0] = 1;
    slot[1] = 1;
    slot[4..8].copy_from_slice(&wrapped.epoch.to_be_bytes());
    slot[8..24].copy_from_slice(&wrapped.person.0.to_be_bytes());
    slot[24..84].copy_from_slice(&wrapped.sealed);
    slots::close(&mut slot);
    slot
}

fn parse(slot: &[u8; SLOT]) -> Result<Wrapped, PersonKeyFault> {
    slots::check(slot).map_err(PersonKeyFault::Damaged)?;
    match (slot[0], slot[1]) {
        (1, 1) => {}
        (1, 2) => return Err(PersonKeyFault::Destroyed),
        (1, _) => return Err(PersonKeyFault::Damaged(FormError::Field)),
        (newer, _) => return Err(PersonKeyFault::Damaged(FormError::Newer(newer))),
    }
    let mut reader = crate::form::Reader(&slot[4..84]);
    let mut read = || -> Result<Wrapped, FormError> {
        Ok(Wrapped {
            epoch: reader.u32()?,
            person: PersonId(reader.u128()?),
            sealed: reader.array()?,
        })
    };
    read().map_err(PersonKeyFault::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_slot() {
        let wrapped = Wrapped { person: PersonId(0x77), epoch: 3, sealed: [0xAB; 60] };
        let expected = "01010000".to_owned()
            + "00000003"
            + "00000000000000000000000000000077"
            + &"ab".repeat(60)
            + &"00".repeat(40)
            + "b9272c84";
        assert_eq!(hex::encode(write(&wrapped)), expected);
    }

    #[test]
    fn destroyed_keys_are_gone_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("people.keys");
        let wrapping = Key::from_32([1; 32]);
        let (a, b) = (PersonId(1), PersonId(2));
        let before = {
            let keys = PersonKeys::open(&path).unwrap();
            let (at_a, key_a) = keys.create(a, 1, &wrapping).unwrap();
            let (at_b, _) = keys.create(b, 1, &wrapping).unwrap();
            assert_eq!((at_a, at_b), (0, 1));
            assert!(keys.get(a, 0, |_| Some(wrapping.clone())).unwrap() == key_a);
            let before = std::fs::read(&path).unwrap();
            keys.destroy(0).unwrap();
            before
        };
        let keys = PersonKeys::open(&path).unwrap();
        let gone = keys.get(a, 0, |_| Some(wrapping.clone()));
        assert!(matches!(gone, Err(PersonKeyFault::Destroyed)));
        assert!(keys.get(b, 1, |_| Some(wrapping.clone())).is_ok());
        // No 8 bytes of the wrapped key are left.
        let after = std::fs::read(&path).unwrap();
        for piece in before[SLOT + 24..SLOT + 84].windows(8) {
            assert!(!after.windows(8).any(|w| w == piece));
        }
    }

    #[test]
    fn a_key_is_bound_to_person_slot_and_wrapping_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("people.keys");
        let wrapping = Key::from_32([1; 32]);
        let keys = PersonKeys::open(&path).unwrap();
        keys.create(PersonId(1), 1, &wrapping).unwrap();
        keys.create(PersonId(1), 1, &wrapping).unwrap();
        let other = keys.get(PersonId(2), 0, |_| Some(wrapping.clone()));
        assert!(matches!(other, Err(PersonKeyFault::Damaged(_))));
        let foreign = keys.get(PersonId(1), 0, |_| Some(Key::from_32([2; 32])));
        assert!(matches!(foreign, Err(PersonKeyFault::Crypto(_))));
        let none = keys.get(PersonId(1), 0, |_| None);
        assert!(matches!(none, Err(PersonKeyFault::Crypto(_))));
        keys.0.write(0, &keys.0.read(1).unwrap()).unwrap();
        let moved = keys.get(PersonId(1), 0, |_| Some(wrapping.clone()));
        assert!(matches!(moved, Err(PersonKeyFault::Crypto(_))));
    }

    proptest! {
        #[test]
        fn random_slots_never_panic(bytes in proptest::collection::vec(any::<u8>(), SLOT)) {
            let mut slot: [u8; SLOT] = bytes.try_into().unwrap();
            let _ = parse(&slot);
            slot[0] = 1;
            slots::close(&mut slot);
            let _ = parse(&slot);
        }
    }
}
