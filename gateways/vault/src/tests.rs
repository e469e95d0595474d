//! The vault as a whole: ports, files, crashes, erasure.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use guichet_engine::command::{Principal, Role};
use guichet_engine::ids::{
    AcquirerId, CardId, OrderId, PersonId, ProviderId, Reference, ServiceId, Slot, TerminalId,
    TicketNumber,
};
use guichet_engine::time::Instant;
use guichet_ports::conformance::{self, KeyTools};
use guichet_ports::keys::{
    KeyFault, KeyServer, MacAlgorithm, PadKeys, TicketClaims, TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry};
use guichet_ports::vault::{Person, Purpose, VaultFault, VaultPort};

use super::*;
use crate::crypto::block::{Tdes, tdes_check_value};
use crate::crypto::dukpt_aes::{self, Algorithm, Ksn, Usage};
use crate::crypto::pin::{self, Pin, PinFormat};
use crate::crypto::tag;

/// Who reads in these tests.
const WHO: Principal = Principal { role: Role::Agent, id: 7 };
const ZMK: &str = "11112222333344445555666677778888";
const ZPK: &str = "89ABCDEF0123456776543210FEDCBA98";
const ZAK: &str = "0123456789ABCDEFFEDCBA9876543210";
const BANK: AcquirerId = AcquirerId(1);
const T1: TerminalId = TerminalId(1);
const T2: TerminalId = TerminalId(2);
const PAN: &str = "6200000000000005";

fn config() -> Config {
    let master = Key::from_hex(ZMK).unwrap();
    Config { zone_masters: vec![(BANK, master)], ..Config::default() }
}

fn open(dir: &Path) -> Vault {
    Vault::open(dir, config()).unwrap()
}

fn pan() -> Pan {
    Pan::new(PAN.to_owned())
}

fn person() -> Person {
    Person {
        name: "王小明".to_owned(),
        document_kind: 1,
        document: "11010119900307123X".to_owned(),
        contact: "13800000000".to_owned(),
        language: "zh".to_owned(),
    }
}

/// A key under the zone master, with its check value, as a bank sends it.
fn wrapped(key: &str) -> (Vec<u8>, Vec<u8>) {
    let key = Key::from_hex(key).unwrap();
    let master = Tdes::new(&Key::from_hex(ZMK).unwrap()).unwrap();
    let blocks = key.bytes().as_chunks::<8>().0;
    let under = blocks.iter().flat_map(|block| master.encrypt(*block)).collect();
    (under, tdes_check_value(&key).unwrap().to_vec())
}

fn zone_keys() -> WrappedZoneKeys {
    let ((pin_key, pin_check), (mac_key, mac_check)) = (wrapped(ZPK), wrapped(ZAK));
    WrappedZoneKeys { pin_key, pin_check, mac_key, mac_check }
}

/// What a PIN pad with these keys sends.
fn entry(keys: &PadKeys, counter: u32, digits: &str, pan: &str) -> PinEntry {
    let ksn = Ksn { initial_key_id: keys.ikid, counter };
    let initial = Key::from_16(keys.ik);
    let key = dukpt_aes::working_key(&initial, ksn, Usage::Pin, Algorithm::Aes128).unwrap();
    let pin = Pin::from_ascii(digits.as_bytes()).unwrap();
    let block = pin::make(&key, PinFormat::Iso4, pan, &pin, [7; 10]).unwrap();
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&keys.ikid);
    bytes[8..].copy_from_slice(&counter.to_be_bytes());
    PinEntry { ksn: bytes, block: block.try_into().unwrap() }
}

/// What the bank would decrypt, as a clear block's hexadecimal digits.
fn at_the_bank(digits: &str) -> [u8; 8] {
    let zpk = Key::from_hex(ZPK).unwrap();
    let pin = Pin::from_ascii(digits.as_bytes()).unwrap();
    pin::make(&zpk, PinFormat::Iso0, PAN, &pin, [0; 10]).unwrap().try_into().unwrap()
}

fn tools() -> KeyTools {
    KeyTools {
        seal: |card_key, context, data| {
            seal::seal_box(card_key, &Key::from_32([3; 32]), context, data).unwrap()
        },
        enter: entry,
        acquirer: BANK,
        zone_keys: zone_keys(),
    }
}

#[test]
fn it_keeps_people_as_every_vault_does() {
    let dir = tempfile::tempdir().unwrap();
    conformance::vault(|| Arc::new(open(dir.path())));
}

#[test]
fn it_keeps_keys_as_every_key_server_does() {
    let fresh = || tempfile::tempdir().unwrap();
    let (dirs, tools) = ([fresh(), fresh(), fresh()], tools());
    let at = |n: usize| open(dirs[n].path());
    conformance::cards(&|| Arc::new(at(0)));
    conformance::swipes(&at(0), &tools);
    conformance::tickets(&|| Arc::new(at(0)));
    conformance::pads(&|| Arc::new(at(1)), &tools);
    conformance::zones(&at(2), tools.acquirer, &tools.zone_keys);
}

#[test]
fn terminal_tags_are_what_the_pad_computes() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let keys = vault.pad_keys(T1).unwrap();
    let in_the_pad = tag::card_tag(&Key::from_32(keys.tag_key), PAN);
    assert_eq!(vault.terminal_tag(T1, &pan()), Ok(in_the_pad));
}

#[test]
fn second_factors_are_compared_whole() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let digest = vault.factor(Reference(*b"ABCDEFGHJK"), "123X");
    let mut other = digest;
    other[15] ^= 1;
    assert!(Vault::factor_matches(&digest, &digest) && !Vault::factor_matches(&digest, &other));
}

#[test]
fn a_pin_goes_from_pad_to_zone_once() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let keys = vault.pad_keys(T1).unwrap();
    let first = entry(&keys, 1, "1234", PAN);
    assert_eq!(vault.translate_pin(T1, &pan(), &first, BANK), Err(KeyFault::UnknownKey));
    vault.import_zone_keys(BANK, &zone_keys()).unwrap();
    // The refusal for want of a zone key spent no counter.
    assert_eq!(vault.translate_pin(T1, &pan(), &first, BANK), Ok(at_the_bank("1234")));
    assert_eq!(vault.translate_pin(T1, &pan(), &first, BANK), Err(KeyFault::Replayed));
    let other_pan = Pan::new("4111111111111111".to_owned());
    let second = entry(&keys, 2, "123456789012", PAN);
    assert_eq!(vault.translate_pin(T1, &other_pan, &second, BANK), Err(KeyFault::BadForm));
    // A block tried with another card has spent its counter: no second guess.
    assert_eq!(vault.translate_pin(T1, &pan(), &second, BANK), Err(KeyFault::Replayed));
    let third = entry(&keys, 3, "123456789012", PAN);
    assert_eq!(vault.translate_pin(T2, &pan(), &third, BANK), Err(KeyFault::UnknownKey));
    assert_eq!(vault.translate_pin(T1, &pan(), &third, AcquirerId(9)), Err(KeyFault::UnknownKey));
    assert_eq!(vault.translate_pin(T1, &pan(), &third, BANK), Ok(at_the_bank("123456789012")));
    drop(vault);
    let vault = open(dir.path());
    assert_eq!(vault.translate_pin(T1, &pan(), &third, BANK), Err(KeyFault::Replayed));
    let fourth = entry(&keys, 4, "0000", PAN);
    // Zone keys of the last sign-on are still there.
    assert_eq!(vault.translate_pin(T1, &pan(), &fourth, BANK), Ok(at_the_bank("0000")));
}

#[test]
fn garbled_pin_entries_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    vault.import_zone_keys(BANK, &zone_keys()).unwrap();
    let keys = vault.pad_keys(T1).unwrap();
    for (counter, bit) in (1..).zip(0..128) {
        // The whole block is mixed, so that what decodes has a chance below one in ten million.
        let mut bad = entry(&keys, counter, "1234", PAN);
        bad.block[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(vault.translate_pin(T1, &pan(), &bad, BANK), Err(KeyFault::BadForm), "{bit}");
    }
    for (bytes, fault) in [
        ([0; 12], KeyFault::BadForm),
        ([0xFF; 12], KeyFault::BadForm),
        ([1; 12], KeyFault::UnknownKey),
    ] {
        let bad = PinEntry { ksn: bytes, block: [0; 16] };
        assert_eq!(vault.translate_pin(T1, &pan(), &bad, BANK), Err(fault));
    }
}

#[test]
fn pads_keep_their_keys_until_renewed_and_lose_them_when_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    vault.import_zone_keys(BANK, &zone_keys()).unwrap();
    let keys = vault.pad_keys(T1).unwrap();
    assert_eq!(keys.ikid, vault.pad_keys(T1).unwrap().ikid);
    assert_ne!(keys.ikid, vault.pad_keys(T2).unwrap().ikid);
    assert_ne!(keys.tag_key, vault.pad_keys(T2).unwrap().tag_key);
    vault.renew_pad(T1).unwrap();
    let renewed = vault.pad_keys(T1).unwrap();
    assert_ne!(keys.ikid, renewed.ikid);
    assert_ne!(keys.ik, renewed.ik);
    assert_eq!(keys.tag_key, renewed.tag_key);
    let old = entry(&keys, 1, "1234", PAN);
    assert_eq!(vault.translate_pin(T1, &pan(), &old, BANK), Err(KeyFault::UnknownKey));
    let good = entry(&renewed, 1, "1234", PAN);
    assert_eq!(vault.translate_pin(T1, &pan(), &good, BANK), Ok(at_the_bank("1234")));
    vault.revoke_terminal(T1).unwrap();
    drop(vault);
    let vault = open(dir.path());
    let late = entry(&renewed, 2, "1234", PAN);
    assert_eq!(vault.translate_pin(T1, &pan(), &late, BANK), Err(KeyFault::Revoked));
    assert_eq!(vault.terminal_tag(T1, &pan()), Err(KeyFault::Revoked));
    assert_eq!(vault.pad_keys(T1).map(|_| ()), Err(KeyFault::Revoked));
    assert!(vault.terminal_tag(T2, &pan()).is_ok());
    vault.reinstate_terminal(T1).unwrap();
    let again = vault.pad_keys(T1).unwrap();
    assert_ne!(again.tag_key, renewed.tag_key);
    assert_eq!(vault.translate_pin(T1, &pan(), &late, BANK), Err(KeyFault::UnknownKey));
}

#[test]
fn working_keys_must_check() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let good = zone_keys();
    let changed = |change: &dyn Fn(&mut WrappedZoneKeys)| {
        let mut keys = good.clone();
        change(&mut keys);
        vault.import_zone_keys(BANK, &keys)
    };
    type Row<'a> = (&'a dyn Fn(&mut WrappedZoneKeys), KeyFault);
    let rows: [Row<'_>; 8] = [
        (&|k| k.pin_check[0] ^= 1, KeyFault::CheckFailed),
        (&|k| k.mac_check[2] ^= 1, KeyFault::CheckFailed),
        (&|k| k.pin_key[0] ^= 1, KeyFault::CheckFailed),
        (&|k| k.pin_key.truncate(15), KeyFault::BadForm),
        (&|k| k.pin_check.truncate(2), KeyFault::BadForm),
        (&|k| k.mac_key.push(0), KeyFault::BadForm),
        (&|k| k.pin_key.truncate(8), KeyFault::BadForm),
        (
            &|k| {
                (k.mac_key, k.mac_check) = (k.pin_key.clone(), k.pin_check.clone());
            },
            KeyFault::BadForm,
        ),
    ];
    for (at, (change, fault)) in rows.into_iter().enumerate() {
        assert_eq!(changed(change), Err(fault), "row {at}");
    }
    assert_eq!(vault.mac(BANK, MacAlgorithm::X919, b"x"), Err(KeyFault::UnknownKey));
    assert_eq!(vault.import_zone_keys(AcquirerId(2), &good), Err(KeyFault::UnknownKey));
    assert_eq!(changed(&|k| k.pin_check.push(0xEB)), Err(KeyFault::CheckFailed));
    assert_eq!(vault.import_zone_keys(BANK, &good), Ok(()));
}

#[test]
fn macs_of_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    vault.import_zone_keys(BANK, &zone_keys()).unwrap();
    let message = b"Now is the time for it";
    for (algorithm, expected) in [
        (MacAlgorithm::X919, "2e2b1428cc78254f"),
        (MacAlgorithm::Iso9797Alg3Pad2, "5a692ce64f404145"),
        (MacAlgorithm::UnionPayEcb, "3041383734463334"),
    ] {
        let mac = vault.mac(BANK, algorithm, message).unwrap();
        assert_eq!(hex::encode(mac), expected, "{algorithm:?}");
        assert_eq!(vault.verify_mac(BANK, algorithm, message, &mac), Ok(()));
        let other = vault.verify_mac(BANK, algorithm, b"Now is the time for us", &mac);
        assert_eq!(other, Err(KeyFault::CheckFailed));
    }
    let mac = vault.mac(BANK, MacAlgorithm::AesCmac, message).unwrap();
    assert_eq!(vault.verify_mac(BANK, MacAlgorithm::AesCmac, message, &mac), Ok(()));
    // A single-length MAC key, as some hosts give.
    let (mac_key, mac_check) = wrapped("0123456789ABCDEF");
    vault.import_zone_keys(BANK, &WrappedZoneKeys { mac_key, mac_check, ..zone_keys() }).unwrap();
    let mac = vault.mac(BANK, MacAlgorithm::UnionPayEcb, b"Now is the time for all ").unwrap();
    assert_eq!(&mac, b"1E7AAB78");
    assert_eq!(vault.mac(BANK, MacAlgorithm::X919, message), Err(KeyFault::UnknownKey));
}

#[test]
fn a_new_zone_master_voids_the_working_keys() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).import_zone_keys(BANK, &zone_keys()).unwrap();
    assert!(open(dir.path()).mac(BANK, MacAlgorithm::X919, b"x").is_ok());
    let other = Config { zone_masters: vec![(BANK, Key::from_16([9; 16]))], storage_key: None };
    let vault = Vault::open(dir.path(), other).unwrap();
    assert_eq!(vault.mac(BANK, MacAlgorithm::X919, b"x"), Err(KeyFault::UnknownKey));
    drop(vault);
    let single =
        Config { zone_masters: vec![(BANK, Key::new(&[9; 8]).unwrap())], storage_key: None };
    assert!(matches!(Vault::open(dir.path(), single), Err(VaultError::Crypto(_))));
}

fn claims(ticket: u64) -> TicketClaims {
    TicketClaims {
        ticket: TicketNumber(ticket),
        order: OrderId::new(Slot::new(1), 2),
        provider: ProviderId(1),
        service: ServiceId::new(Slot::new(3), 4),
        service_name: "G1".to_owned(),
        run: (0, 3),
        class: 2,
        seat: ("1".to_owned(), "1A".to_owned()),
        valid_from: Instant(0),
        valid_until: Instant(1000),
    }
}

#[test]
fn tickets_over_epochs_revocations_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let first = vault.seal_ticket(&claims(1)).unwrap();
    assert_eq!(vault.roll_ticket_keys(100, 50).unwrap(), 2);
    let second = vault.seal_ticket(&claims(2)).unwrap();
    let at_gate = |vault: &Vault, code: &[u8], at| {
        let online = vault.verify_ticket(code, Instant(at));
        let offline = Gate::parse(&vault.gate().to_bytes()).unwrap().verify(code, Instant(at));
        assert_eq!(online, offline);
        online
    };
    assert_eq!(at_gate(&vault, &first, 150), TicketVerdict::Valid(claims(1)));
    assert_eq!(at_gate(&vault, &first, 151), TicketVerdict::UnknownKey);
    assert_eq!(at_gate(&vault, &second, 151), TicketVerdict::Valid(claims(2)));
    vault.revoke_ticket(TicketNumber(2)).unwrap();
    drop(vault);
    let vault = open(dir.path());
    assert_eq!(at_gate(&vault, &first, 150), TicketVerdict::Valid(claims(1)));
    assert_eq!(at_gate(&vault, &second, 150), TicketVerdict::Revoked(claims(2)));
    assert_eq!(vault.roll_ticket_keys(200, 50).unwrap(), 3);
    assert_eq!(at_gate(&vault, &second, 250), TicketVerdict::Revoked(claims(2)));
    assert_eq!(at_gate(&vault, &first, 100), TicketVerdict::UnknownKey);
    let long = TicketClaims { service_name: "x".repeat(17), ..claims(3) };
    assert_eq!(vault.seal_ticket(&long), Err(KeyFault::BadForm));
}

#[test]
fn ticket_epochs_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    for epoch in 2..=ticket::GATE_EPOCHS_MAX {
        assert_eq!(usize::from(vault.roll_ticket_keys(0, 1000).unwrap()), epoch);
    }
    assert!(matches!(vault.roll_ticket_keys(0, 1000), Err(VaultError::Epochs)));
    assert!(Gate::parse(&vault.gate().to_bytes()).is_ok());
    // The refusal kept the keys that were there, and room comes when epochs end.
    assert!(vault.seal_ticket(&claims(1)).is_ok());
    assert!(vault.roll_ticket_keys(1001, 10).is_ok());
}

#[test]
fn people_and_cards_stay_and_readings_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (id, card) = {
        let vault = open(dir.path());
        let id = vault.put_person(&person()).unwrap();
        (id, vault.put_card(id, &pan()).unwrap())
    };
    let vault = open(dir.path());
    assert_eq!(card.identity, vault.identify(&pan()).unwrap());
    assert_eq!(vault.person(id, WHO, Purpose::Ticket).unwrap(), person());
    assert_eq!(vault.pan(card.card, WHO, Purpose::BankMessage).unwrap(), pan());
    assert_eq!(vault.card_mask(card.card).unwrap(), "620000******0005");
    assert_eq!(vault.person(PersonId(1), WHO, Purpose::Enquiry), Err(VaultFault::Unknown));
    assert_eq!(vault.pan(CardId(1), WHO, Purpose::Enquiry), Err(VaultFault::Unknown));
    assert_eq!(vault.put_card(PersonId(1), &pan()), Err(VaultFault::Unknown));
    vault.erase(id).unwrap();
    assert_eq!(vault.person(id, WHO, Purpose::Enquiry), Err(VaultFault::Erased));
    let readings: Vec<_> = vault
        .readings(0, 10)
        .unwrap()
        .into_iter()
        .map(|(n, r)| (n, r.by, r.purpose, r.subject, r.outcome))
        .collect();
    assert_eq!(
        readings,
        [
            (0, Some(WHO), Purpose::Ticket, Subject::Person(id.0), ReadingOutcome::Given),
            (1, Some(WHO), Purpose::BankMessage, Subject::Card(card.card.0), ReadingOutcome::Given),
            (2, Some(WHO), Purpose::Enquiry, Subject::Person(id.0), ReadingOutcome::Erased),
        ]
    );
    assert_eq!(vault.readings(2, 10).unwrap().len(), 1);
    assert_eq!(vault.readings(0, 1).unwrap().len(), 1);
}

#[test]
fn nothing_personal_lies_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    {
        let vault = open(dir.path());
        let id = vault.put_person(&person()).unwrap();
        vault.put_card(id, &pan()).unwrap();
        vault.person(id, WHO, Purpose::OwnOrder).unwrap();
    }
    let person = person();
    let secrets = [PAN, &person.name, &person.document, &person.contact];
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}

#[test]
fn erased_people_stay_erased_and_their_keys_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let (a, b) = (vault.put_person(&person()).unwrap(), vault.put_person(&person()).unwrap());
    let cards = [vault.put_card(a, &pan()).unwrap(), vault.put_card(a, &pan()).unwrap()];
    let of_b = vault.put_card(b, &pan()).unwrap();
    let slots = fs::read(dir.path().join("people.keys")).unwrap();
    let wrapped = &slots[128 + 24..128 + 84];
    vault.erase(a).unwrap();
    vault.erase(a).unwrap();
    assert_eq!(vault.erase(PersonId(1)), Err(VaultFault::Unknown));
    drop(vault);
    let vault = open(dir.path());
    assert_eq!(vault.person(a, WHO, Purpose::Enquiry), Err(VaultFault::Erased));
    for card in &cards {
        assert_eq!(vault.pan(card.card, WHO, Purpose::BankMessage), Err(VaultFault::Erased));
        assert_eq!(vault.card_mask(card.card), Err(VaultFault::Erased));
    }
    assert_eq!(vault.put_card(a, &pan()), Err(VaultFault::Erased));
    assert_eq!(vault.person(b, WHO, Purpose::Ticket).unwrap(), person());
    assert_eq!(vault.pan(of_b.card, WHO, Purpose::BankMessage).unwrap(), pan());
    drop(vault);
    for file in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for piece in wrapped.windows(16) {
            assert!(!bytes.windows(16).any(|w| w == piece));
        }
    }
}

#[test]
fn an_erasure_cut_by_a_crash_is_finished_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let id = {
        let vault = open(dir.path());
        let id = vault.put_person(&person()).unwrap();
        // The promise alone, as if the power had failed right after it.
        let promise = form::wrap(form::Kind::Erasing, 1, &0u64.to_be_bytes());
        let key = id.0.to_be_bytes().to_vec();
        vault.db.commit(vec![Change::Put(Table::Erasing, key, promise)]).unwrap();
        id
    };
    let vault = open(dir.path());
    assert_eq!(vault.person(id, WHO, Purpose::Enquiry), Err(VaultFault::Erased));
    assert!(vault.db.from(Table::Erasing, &[], 9).unwrap().is_empty());
}

#[test]
fn a_moved_record_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let id = vault.put_person(&person()).unwrap();
    let cards = [vault.put_card(id, &pan()).unwrap(), vault.put_card(id, &pan()).unwrap()];
    let [from, to] = cards.map(|card| card.card.0.to_be_bytes().to_vec());
    let row = vault.db.get(Table::Cards, &from).unwrap().unwrap();
    vault.db.commit(vec![Change::Put(Table::Cards, to.clone(), row)]).unwrap();
    let moved = CardId(u128::from_be_bytes(to.try_into().unwrap()));
    assert_eq!(vault.pan(moved, WHO, Purpose::BankMessage), Err(VaultFault::Damaged));
    let (_, last) = vault.readings(0, 9).unwrap().pop().unwrap();
    assert_eq!(last.outcome, ReadingOutcome::Damaged);
}

#[test]
fn bad_people_are_refused_and_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let nameless = Person { name: String::new(), ..person() };
    assert_eq!(vault.put_person(&nameless), Err(VaultFault::BadForm("name")));
    assert!(vault.db.from(Table::People, &[], 9).unwrap().is_empty());
}

#[test]
fn a_vault_has_one_owner_and_needs_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    assert!(matches!(Vault::open(dir.path(), config()), Err(VaultError::InUse { .. })));
    drop(vault);
    let (keystore, aside) = (dir.path().join("keystore.sealed"), dir.path().join("aside"));
    // Nothing was stored yet, as after a crash while the vault was made: it is made again.
    fs::rename(&keystore, &aside).unwrap();
    let id = open(dir.path()).put_person(&person()).unwrap();
    fs::rename(&keystore, &aside).unwrap();
    assert!(matches!(Vault::open(dir.path(), config()), Err(VaultError::NoKeystore { .. })));
    fs::rename(&aside, &keystore).unwrap();
    assert_eq!(open(dir.path()).person(id, WHO, Purpose::Ticket).unwrap(), person());
    // The storage key may lie elsewhere.
    let other = tempfile::tempdir().unwrap();
    let elsewhere = other.path().join("key");
    fs::rename(dir.path().join("storage.key"), &elsewhere).unwrap();
    assert!(matches!(Vault::open(dir.path(), config()), Err(VaultError::NoStorageKey { .. })));
    let moved = Config { storage_key: Some(elsewhere), ..config() };
    assert!(Vault::open(dir.path(), moved).is_ok());
}

#[test]
fn many_threads_share_commits_and_counters() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    vault.import_zone_keys(BANK, &zone_keys()).unwrap();
    std::thread::scope(|scope| {
        for terminal in 1..=6 {
            let vault = &vault;
            scope.spawn(move || {
                let id = vault.put_person(&person()).unwrap();
                let card = vault.put_card(id, &pan()).unwrap().card;
                let keys = vault.pad_keys(TerminalId(terminal)).unwrap();
                for counter in 1..=4 {
                    let pan = vault.pan(card, WHO, Purpose::BankMessage).unwrap();
                    let entry = entry(&keys, counter, "1234", PAN);
                    let block = vault.translate_pin(TerminalId(terminal), &pan, &entry, BANK);
                    assert_eq!(block, Ok(at_the_bank("1234")));
                }
            });
        }
    });
    assert_eq!(vault.readings(0, 100).unwrap().len(), 24);
}
