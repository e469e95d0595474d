//! The keys of the center in memory, and the form in which they are stored.

use crate::crypto::{CryptoError, Key};
use crate::error::{VaultError, random};
use crate::form::{Fields, FormError, Reader};

/// Keys of a keystore at most.
pub const KEYS_MAX: usize = 65_535;
/// The newest version of the keyring's form.
pub const KEYRING_VERSION: u8 = 1;

/// What a key is for. The numbers are written to disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyUse {
    /// Routing of orders by card; never rotates.
    Routing = 1,
    /// The center's card tags.
    CenterTag = 2,
    /// AES-128 base derivation key of PIN pads; its scope is the BDK id.
    PadBase = 3,
    /// Master of the terminals' tag keys.
    TerminalTags = 4,
    /// Zone master key of a bank link; its scope is the acquirer.
    ZoneMaster = 5,
    /// Zone PIN key of a bank link.
    ZonePin = 6,
    /// Zone MAC key of a bank link.
    ZoneMac = 7,
    /// X25519 secret that terminals seal swipes to.
    CardData = 8,
    /// Ed25519 secret that signs tickets.
    TicketSigning = 9,
    /// Key that encrypts tickets.
    TicketEncryption = 10,
    /// Key that wraps people's keys.
    VaultData = 11,
    /// Key of second-factor digests.
    Factor = 12,
}

impl KeyUse {
    const ALL: [Self; 12] = [
        Self::Routing,
        Self::CenterTag,
        Self::PadBase,
        Self::TerminalTags,
        Self::ZoneMaster,
        Self::ZonePin,
        Self::ZoneMac,
        Self::CardData,
        Self::TicketSigning,
        Self::TicketEncryption,
        Self::VaultData,
        Self::Factor,
    ];

    fn from_code(code: u8) -> Result<Self, FormError> {
        Self::ALL.into_iter().find(|u| *u as u8 == code).ok_or(FormError::Field)
    }
}

/// One key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is for.
    pub key_use: KeyUse,
    /// Whose it is: an acquirer or a BDK id; 0 where there is one only.
    pub scope: u32,
    /// Its generation, from 1.
    pub epoch: u32,
    /// After this instant (microseconds UTC) it verifies nothing any more; `i64::MAX` for no end.
    pub until_us: i64,
    /// The key.
    pub key: Key,
}

/// All keys of the center.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    entries: Vec<Entry>,
}

impl Keyring {
    /// Makes the keys that a new center needs.
    ///
    /// # Errors
    /// `Randomness`.
    pub fn generate() -> Result<Self, VaultError> {
        let mut ring = Self::default();
        for key_use in [
            KeyUse::Routing,
            KeyUse::CenterTag,
            KeyUse::TerminalTags,
            KeyUse::CardData,
            KeyUse::TicketSigning,
            KeyUse::TicketEncryption,
            KeyUse::VaultData,
            KeyUse::Factor,
        ] {
            ring.put(key_use, 0, 1, Key::from_32(random()?));
        }
        let bdk_id = u32::from_be_bytes(random()?);
        ring.put(KeyUse::PadBase, bdk_id, 1, Key::from_16(random()?));
        Ok(ring)
    }

    /// Adds a key, or replaces the one of the same name.
    pub fn put(&mut self, key_use: KeyUse, scope: u32, epoch: u32, key: Key) {
        self.entries.retain(|e| !(e.key_use == key_use && e.scope == scope && e.epoch == epoch));
        self.entries.push(Entry { key_use, scope, epoch, until_us: i64::MAX, key });
    }

    /// Removes all keys of a use and scope.
    pub fn remove(&mut self, key_use: KeyUse, scope: u32) {
        self.entries.retain(|e| !(e.key_use == key_use && e.scope == scope));
    }

    /// The newest key of a use and scope.
    #[must_use]
    pub fn newest(&self, key_use: KeyUse, scope: u32) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|e| e.key_use == key_use && e.scope == scope)
            .max_by_key(|e| e.epoch)
    }

    /// The key of a use with its only scope, whichever that is.
    #[must_use]
    pub fn only(&self, key_use: KeyUse) -> Option<&Entry> {
        self.entries.iter().filter(|e| e.key_use == key_use).max_by_key(|e| e.epoch)
    }

    /// One generation of a key.
    #[must_use]
    pub fn epoch(&self, key_use: KeyUse, epoch: u32) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key_use == key_use && e.epoch == epoch)
    }

    /// All generations of a use.
    pub fn all(&self, key_use: KeyUse) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| e.key_use == key_use)
    }

    /// Ends all present generations of a use at an instant, unless they end before it.
    pub fn end_all(&mut self, key_use: KeyUse, until_us: i64) {
        for entry in self.entries.iter_mut().filter(|e| e.key_use == key_use) {
            entry.until_us = entry.until_us.min(until_us);
        }
    }

    /// Drops the generations of a use that ended before an instant.
    pub fn drop_ended(&mut self, key_use: KeyUse, now_us: i64) {
        self.entries.retain(|e| e.key_use != key_use || e.until_us >= now_us);
    }

    /// The stored form, still in clear.
    #[must_use]
    pub fn fields(&self) -> Fields {
        let mut out = Fields::with_room(2 + self.entries.len() * 56);
        let count = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
        out.raw(&count.to_be_bytes());
        for entry in self.entries.iter().take(KEYS_MAX) {
            out.raw(&[entry.key_use as u8])
                .raw(&entry.scope.to_be_bytes())
                .raw(&entry.epoch.to_be_bytes())
                .raw(&entry.until_us.to_be_bytes())
                .short(entry.key.bytes());
        }
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Length`, `Field`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader(bytes);
        let count = reader.u16()?;
        let mut ring = Self::default();
        for _ in 0..count {
            let entry = Entry {
                key_use: KeyUse::from_code(reader.u8()?)?,
                scope: reader.u32()?,
                epoch: reader.u32()?,
                until_us: reader.i64()?,
                key: Key::new(reader.short()?).map_err(|_: CryptoError| FormError::Field)?,
            };
            ring.entries.push(entry);
        }
        reader.end()?;
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> Keyring {
        let mut ring = Keyring::default();
        ring.put(KeyUse::Routing, 0, 1, Key::from_32([0x11; 32]));
        ring.put(KeyUse::ZoneMac, 7, 1, Key::new(&[0x22; 8]).unwrap());
        ring
    }

    #[test]
    fn golden_keyring() {
        let expected = concat!(
            "0002",
            "0100000000000000017fffffffffffffff20",
            "1111111111111111111111111111111111111111111111111111111111111111",
            "0700000007000000017fffffffffffffff08",
            "2222222222222222"
        );
        assert_eq!(hex::encode(ring().fields().bytes()), expected);
        assert_eq!(Keyring::parse(ring().fields().bytes()).unwrap(), ring());
    }

    #[test]
    fn a_new_center_has_its_keys_and_no_two_have_the_same() {
        let (a, b) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
        assert_eq!(a.entries.len(), 9);
        for (x, y) in a.entries.iter().zip(&b.entries) {
            assert_ne!(x.key, y.key);
        }
        assert_eq!(Keyring::parse(a.fields().bytes()).unwrap(), a);
    }

    #[test]
    fn generations_end() {
        let mut ring = Keyring::default();
        ring.put(KeyUse::TicketSigning, 0, 1, Key::from_32([1; 32]));
        ring.end_all(KeyUse::TicketSigning, 100);
        ring.put(KeyUse::TicketSigning, 0, 2, Key::from_32([2; 32]));
        assert_eq!(ring.newest(KeyUse::TicketSigning, 0).unwrap().epoch, 2);
        ring.drop_ended(KeyUse::TicketSigning, 100);
        assert!(ring.epoch(KeyUse::TicketSigning, 1).is_some());
        ring.drop_ended(KeyUse::TicketSigning, 101);
        assert!(ring.epoch(KeyUse::TicketSigning, 1).is_none());
    }

    #[test]
    fn cut_forms_are_refused() {
        let fields = ring().fields();
        for len in 0..fields.bytes().len() {
            assert!(Keyring::parse(&fields.bytes()[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Keyring::parse(&bytes);
        }
    }
}
