//! A vault and key server in memory: what a booking needs behaves, the rest says that it has no such key.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use guichet_engine::command::Principal;
use guichet_engine::ids::{
    AcquirerId, CardId, CardTag, PersonId, Reference, Slot, TerminalId, TicketNumber,
};
use guichet_engine::time::Instant;
use guichet_ports::keys::{
    CardIdentity, KeyFault, KeyServer, MacAlgorithm, PadKeys, SwipedCard, TicketClaims,
    TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry, SealedSwipe};
use guichet_ports::vault::{Person, Purpose, StoredCard, VaultFault, VaultPort};

use super::Map;

#[derive(Default)]
pub struct Safe {
    people: Map<u128, Person>,
    cards: Map<u128, (PersonId, Pan)>,
    erased: Map<u128, ()>,
    serial: AtomicU64,
    /// How often a person was read.
    pub readings: AtomicUsize,
}

impl Safe {
    fn next(&self) -> u128 {
        u128::from(self.serial.fetch_add(1, Ordering::Relaxed)) + 1
    }
    /// Whether a person is here, was erased, or never was.
    fn known(&self, id: PersonId) -> Result<(), VaultFault> {
        if self.erased.lock().expect("no panic").contains_key(&id.0) {
            return Err(VaultFault::Erased);
        }
        let here = self.people.lock().expect("no panic").contains_key(&id.0);
        if here { Ok(()) } else { Err(VaultFault::Unknown) }
    }
    fn card(&self, id: CardId) -> Result<Pan, VaultFault> {
        let card = self.cards.lock().expect("no panic").get(&id.0).cloned();
        let (person, pan) = card.ok_or(VaultFault::Unknown)?;
        self.known(person).map(|()| pan)
    }
    /// Everybody who is stored.
    #[allow(dead_code, reason = "the preview does not ask")]
    pub fn everybody(&self) -> Vec<Person> {
        self.people.lock().expect("no panic").values().cloned().collect()
    }
}

/// Bytes of a name, document or contact at most.
const TEXT_BYTES: usize = 1000;

/// ISO/IEC 7812-1: the Luhn formula.
fn check_digit_holds(digits: &str) -> bool {
    let weighed = digits.bytes().rev().enumerate().map(|(at, digit)| match digit {
        b'0'..=b'9' if at % 2 == 0 => Some(u32::from(digit - b'0')),
        b'0'..=b'9' => Some(u32::from(digit - b'0') * 2).map(|d| d / 10 + d % 10),
        _ => None,
    });
    weighed.sum::<Option<u32>>().is_some_and(|sum| sum % 10 == 0)
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl VaultPort for Safe {
    fn put_person(&self, person: &Person) -> Result<PersonId, VaultFault> {
        if person.name.is_empty() {
            return Err(VaultFault::BadForm("name"));
        }
        if [&person.name, &person.document, &person.contact].iter().any(|t| t.len() > TEXT_BYTES) {
            return Err(VaultFault::BadForm("length"));
        }
        let id = self.next();
        self.people.lock().expect("no panic").insert(id, person.clone());
        Ok(PersonId(id))
    }
    fn person(&self, id: PersonId, _: Principal, _: Purpose) -> Result<Person, VaultFault> {
        self.readings.fetch_add(1, Ordering::Relaxed);
        self.known(id)?;
        self.people.lock().expect("no panic").get(&id.0).cloned().ok_or(VaultFault::Unknown)
    }
    fn put_card(&self, person: PersonId, pan: &Pan) -> Result<StoredCard, VaultFault> {
        let identity = self.identify(pan).map_err(|_| VaultFault::BadForm("card"))?;
        self.known(person)?;
        let id = self.next();
        self.cards.lock().expect("no panic").insert(id, (person, pan.clone()));
        Ok(StoredCard { card: CardId(id), identity })
    }
    fn card_mask(&self, id: CardId) -> Result<String, VaultFault> {
        let pan = self.card(id)?;
        self.identify(&pan).map(|identity| identity.mask).map_err(|_| VaultFault::Damaged)
    }
    fn pan(&self, id: CardId, _: Principal, _: Purpose) -> Result<Pan, VaultFault> {
        self.card(id)
    }
    fn factor(&self, reference: Reference, second_factor: &str) -> [u8; 16] {
        let folded: String = second_factor
            .chars()
            .filter(|c| !c.is_whitespace())
            .flat_map(char::to_lowercase)
            .collect();
        let text = format!("{reference}{folded}");
        let mut out = [0; 16];
        out[..8].copy_from_slice(&hash(text.as_bytes()).to_be_bytes());
        out
    }
    fn erase(&self, id: PersonId) -> Result<(), VaultFault> {
        if self.known(id) == Err(VaultFault::Unknown) {
            return Err(VaultFault::Unknown);
        }
        self.people.lock().expect("no panic").remove(&id.0);
        self.erased.lock().expect("no panic").insert(id.0, ());
        Ok(())
    }
}

impl KeyServer for Safe {
    fn card_key(&self) -> [u8; 32] {
        [0; 32]
    }
    fn open_swipe(&self, _: &SealedSwipe) -> Result<SwipedCard, KeyFault> {
        Err(KeyFault::DoesNotOpen)
    }
    fn identify(&self, pan: &Pan) -> Result<CardIdentity, KeyFault> {
        let digits = pan.expose();
        if !(13..=19).contains(&digits.len()) || !check_digit_holds(digits) {
            return Err(KeyFault::BadForm);
        }
        let number = hash(digits.as_bytes());
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&number.to_be_bytes());
        Ok(CardIdentity {
            tag: CardTag(tag),
            routing: Slot::new(u16::try_from(number % 4096).unwrap_or(0)),
            mask: {
                let (first, last) = (&digits[..6], &digits[digits.len() - 4..]);
                format!("{first}{}{last}", "*".repeat(digits.len() - 10))
            },
        })
    }
    fn terminal_tag(&self, _: TerminalId, _: &Pan) -> Result<[u8; 16], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn pad_keys(&self, _: TerminalId) -> Result<PadKeys, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn revoke_terminal(&self, _: TerminalId) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn import_zone_keys(&self, _: AcquirerId, _: &WrappedZoneKeys) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn translate_pin(
        &self,
        _: TerminalId,
        _: &Pan,
        _: &PinEntry,
        _: AcquirerId,
    ) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn mac(&self, _: AcquirerId, _: MacAlgorithm, _: &[u8]) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_mac(
        &self,
        _: AcquirerId,
        _: MacAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn seal_ticket(&self, _: &TicketClaims) -> Result<Vec<u8>, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_ticket(&self, _: &[u8], _: Instant) -> TicketVerdict {
        TicketVerdict::UnknownKey
    }
    fn revoke_ticket(&self, _: TicketNumber) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
}
