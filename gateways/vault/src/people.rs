//! The vault's and the member store's port: people and cards under a key per person.

use std::time::{SystemTime, UNIX_EPOCH};

use guichet_engine::command::Principal;
use guichet_engine::ids::{CardId, PersonId, Reference};
use guichet_ports::keys::KeyServer;
use guichet_ports::secret::Pan;
use guichet_ports::vault::{Person, Purpose, StoredCard, VaultFault, VaultPort};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Vault;
use crate::crypto::{Key, pin, seal, tag};
use crate::db::{Change, Table};
use crate::error::{VaultError, random};
use crate::form::{self, Kind};
use crate::keyring::KeyUse;
use crate::person_keys::PersonKeyFault;
use crate::records::{
    self, CardRow, PersonRow, Reading, ReadingOutcome, Subject, check_person, fold_factor,
};

const PERSON_CONTEXT: &[u8] = b"guichet/person/1";
const CARD_CONTEXT: &[u8] = b"guichet/card-record/1";
/// Cards of one person at most.
pub const PERSON_CARDS_MAX: usize = 1000;

impl VaultPort for Vault {
    fn put_person(&self, person: &Person) -> Result<PersonId, VaultFault> {
        check_person(person).map_err(VaultFault::BadForm)?;
        let id = PersonId(u128::from_be_bytes(random().map_err(store)?));
        let keys = self.keys();
        let wrapping = keys.newest(KeyUse::VaultData, 0).ok_or(VaultFault::Store)?;
        let (slot, key) =
            self.person_keys.create(id, wrapping.epoch, &wrapping.key).map_err(store)?;
        let fields = records::write_person(person);
        let sealed = seal_under(&key, PERSON_CONTEXT, id.0, fields.bytes())?;
        let row = PersonRow { slot, sealed };
        let change = Change::Put(Table::People, id.0.to_be_bytes().to_vec(), row.write());
        self.db.commit(vec![change]).map_err(store)?;
        Ok(id)
    }

    fn person(&self, id: PersonId, by: Principal, purpose: Purpose) -> Result<Person, VaultFault> {
        let read = self.read_person(id);
        self.record((by, purpose), Subject::Person(id.0), &read)?;
        read
    }

    fn put_card(&self, person: PersonId, pan: &Pan) -> Result<StoredCard, VaultFault> {
        let identity = self.identify(pan).map_err(|_| VaultFault::BadForm("pan"))?;
        let _present = self.erasing.read();
        let key = self.person_key(person)?;
        if self.cards_of(person)?.len() >= PERSON_CARDS_MAX {
            return Err(VaultFault::BadForm("cards"));
        }
        let card = CardId(u128::from_be_bytes(random().map_err(store)?));
        let sealed = seal_under(&key, CARD_CONTEXT, card.0, pan.expose().as_bytes())?;
        let row = CardRow { person, sealed };
        self.db
            .commit(vec![
                Change::Put(Table::Cards, card.0.to_be_bytes().to_vec(), row.write()),
                Change::Put(Table::PersonCards, card_key(person, card.0), Vec::new()),
            ])
            .map_err(store)?;
        Ok(StoredCard { card, identity })
    }

    fn card_mask(&self, id: CardId) -> Result<String, VaultFault> {
        self.read_pan(id).map(|pan| tag::mask(pan.expose()))
    }

    fn pan(&self, id: CardId, by: Principal, purpose: Purpose) -> Result<Pan, VaultFault> {
        let read = self.read_pan(id);
        self.record((by, purpose), Subject::Card(id.0), &read)?;
        read
    }

    fn factor(&self, reference: Reference, second_factor: &str) -> [u8; 16] {
        let folded = Zeroizing::new(fold_factor(second_factor));
        let data = Zeroizing::new([&reference.0[..], folded.as_bytes()].concat());
        tag::first_16(tag::keyed_hash(&self.fixed.factor, &data))
    }

    fn erase(&self, id: PersonId) -> Result<(), VaultFault> {
        let _alone = self.erasing.write();
        let row = self.person_row(id)?;
        let key = id.0.to_be_bytes().to_vec();
        // First the promise, so that a crash from here on ends in an erasure at the next opening.
        let erased = PersonRow { slot: row.slot, sealed: Vec::new() };
        let promise = form::wrap(Kind::Erasing, 1, &row.slot.to_be_bytes());
        let mut changes = vec![
            Change::Put(Table::People, key.clone(), erased.write()),
            Change::Put(Table::Erasing, key.clone(), promise),
        ];
        for card in self.cards_of(id)? {
            let erased = CardRow { person: id, sealed: Vec::new() };
            let card = card.to_be_bytes().to_vec();
            changes.push(Change::Put(Table::Cards, card, erased.write()));
        }
        self.db.commit(changes).map_err(store)?;
        self.person_keys.destroy(row.slot).map_err(store)?;
        self.db.commit(vec![Change::Remove(Table::Erasing, key)]).map_err(store)
    }
}

impl Vault {
    /// Compares two digests of a second factor in constant time.
    #[must_use]
    pub fn factor_matches(expected: &[u8; 16], given: &[u8; 16]) -> bool {
        bool::from(expected.ct_eq(given))
    }

    fn person_row(&self, id: PersonId) -> Result<PersonRow, VaultFault> {
        let bytes = self.db.get(Table::People, &id.0.to_be_bytes()).map_err(store)?;
        PersonRow::parse(&bytes.ok_or(VaultFault::Unknown)?).map_err(|_| VaultFault::Damaged)
    }

    fn person_key(&self, id: PersonId) -> Result<Key, VaultFault> {
        let row = self.person_row(id)?;
        if row.sealed.is_empty() {
            return Err(VaultFault::Erased);
        }
        self.unwrap_key(id, row.slot)
    }

    fn unwrap_key(&self, id: PersonId, slot: u64) -> Result<Key, VaultFault> {
        let key = self.person_keys.get(id, slot, |epoch| self.wrapping_key(epoch));
        key.map_err(|fault| match fault {
            PersonKeyFault::Destroyed => VaultFault::Erased,
            PersonKeyFault::Damaged(_) | PersonKeyFault::Crypto(_) => {
                tracing::error!(person = %id, %fault, "a person's key does not open");
                VaultFault::Damaged
            }
            PersonKeyFault::Store(error) => store(error),
        })
    }

    fn read_person(&self, id: PersonId) -> Result<Person, VaultFault> {
        let row = self.person_row(id)?;
        if row.sealed.is_empty() {
            return Err(VaultFault::Erased);
        }
        let key = self.unwrap_key(id, row.slot)?;
        let clear = open_under(&key, PERSON_CONTEXT, id.0, &row.sealed)?;
        records::read_person(&clear).map_err(|_| VaultFault::Damaged)
    }

    fn read_pan(&self, id: CardId) -> Result<Pan, VaultFault> {
        let bytes = self.db.get(Table::Cards, &id.0.to_be_bytes()).map_err(store)?;
        let row =
            CardRow::parse(&bytes.ok_or(VaultFault::Unknown)?).map_err(|_| VaultFault::Damaged)?;
        if row.sealed.is_empty() {
            return Err(VaultFault::Erased);
        }
        let key = self.person_key(row.person)?;
        let clear = open_under(&key, CARD_CONTEXT, id.0, &row.sealed)?;
        let digits = core::str::from_utf8(&clear).map_err(|_| VaultFault::Damaged)?;
        pin::check_pan(digits).map_err(|_| VaultFault::Damaged)?;
        Ok(Pan::new(digits.to_owned()))
    }

    fn cards_of(&self, person: PersonId) -> Result<Vec<u128>, VaultFault> {
        let first = card_key(person, 0);
        let rows = self.db.from(Table::PersonCards, &first, PERSON_CARDS_MAX).map_err(store)?;
        Ok(rows
            .into_iter()
            .map_while(|(key, _)| {
                let (owner, card) = key.split_first_chunk::<16>()?;
                let card = u128::from_be_bytes(card.try_into().ok()?);
                (u128::from_be_bytes(*owner) == person.0).then_some(card)
            })
            .collect())
    }

    /// Records a reading before its data is given out. A reading of nothing is not one.
    fn record<T>(
        &self,
        (by, purpose): (Principal, Purpose),
        subject: Subject,
        read: &Result<T, VaultFault>,
    ) -> Result<(), VaultFault> {
        let outcome = match read {
            Ok(_) => ReadingOutcome::Given,
            Err(VaultFault::Erased) => ReadingOutcome::Erased,
            Err(VaultFault::Damaged) => ReadingOutcome::Damaged,
            Err(VaultFault::Unknown | VaultFault::BadForm(_) | VaultFault::Store) => return Ok(()),
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_us = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        let reading = Reading { at_us, by: Some(by), purpose, subject, outcome };
        self.db.commit(vec![Change::Log(reading.write())]).map_err(store)
    }
}

fn card_key(person: PersonId, card: u128) -> Vec<u8> {
    [person.0.to_be_bytes(), card.to_be_bytes()].concat()
}

fn context(purpose: &[u8], id: u128) -> Vec<u8> {
    [purpose, &id.to_be_bytes()].concat()
}

fn seal_under(key: &Key, purpose: &[u8], id: u128, clear: &[u8]) -> Result<Vec<u8>, VaultFault> {
    let nonce = random().map_err(store)?;
    seal::seal_record(key, nonce, &context(purpose, id), clear).map_err(|_| VaultFault::Store)
}

fn open_under(
    key: &Key,
    purpose: &[u8],
    id: u128,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
    seal::open_record(key, &context(purpose, id), sealed).map_err(|_| VaultFault::Damaged)
}

/// Logs a failed store once, here where the chain would be lost in the port's answer.
fn store(error: VaultError) -> VaultFault {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    tracing::error!(%error, source, "the vault cannot keep or find something");
    VaultFault::Store
}
