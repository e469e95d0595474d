use std::sync::Arc;

use guichet_engine::ids::{
    AcquirerId, OrderId, ProviderId, ServiceId, Slot, TerminalId, TicketNumber,
};
use guichet_engine::time::Instant;

use super::{NOT_PANS, OTHER_PAN, PAN};
use crate::keys::{
    KeyFault, KeyServer, MacAlgorithm, PadKeys, TicketClaims, TicketVerdict, WrappedZoneKeys,
};
use crate::secret::{Pan, PinEntry, SealedSwipe};

const T1: TerminalId = TerminalId(1);
const T2: TerminalId = TerminalId(2);
/// An acquirer that the key server has no zone master key of.
const STRANGER: AcquirerId = AcquirerId(u16::MAX);
/// Longest name of a service in a ticket's code, and longest label of a coach or seat, in bytes.
const NAME_BYTES: usize = 16;
const LABEL_BYTES: usize = 8;

/// Seals data to a card key under a context, as (card key, context, data).
pub type Seal = fn([u8; 32], &[u8], &[u8]) -> Vec<u8>;

/// What the other ends of a key server do: terminals, PIN pads, a bank.
#[derive(Clone)]
pub struct KeyTools {
    /// Seals data to a card key under a context, as a terminal does.
    pub seal: Seal,
    /// Encrypts a PIN for a card at a count, as a PIN pad with these keys does.
    pub enter: fn(keys: &PadKeys, count: u32, pin: &str, pan: &str) -> PinEntry,
    /// A bank of which the key server has the zone master key.
    pub acquirer: AcquirerId,
    /// Working keys as that bank sends them.
    pub zone_keys: WrappedZoneKeys,
}

type Open<'a> = &'a dyn Fn() -> Arc<dyn KeyServer>;

fn pan(digits: &str) -> Pan {
    Pan::new(digits.to_owned())
}

/// How every key server names cards. `open` opens it anew over the same storage.
///
/// # Panics
/// Where the contract is broken.
pub fn cards(open: Open<'_>) {
    let keys = open();
    let (one, other) = (keys.identify(&pan(PAN)), keys.identify(&pan(OTHER_PAN)));
    let (one, other) = (one.expect("a card number"), other.expect("a card number"));
    assert_ne!(one.tag, other.tag);
    assert_eq!((one.mask.as_str(), other.mask.as_str()), ("620000******0005", "411111******1111"));
    for digits in NOT_PANS {
        assert_eq!(keys.identify(&pan(digits)), Err(KeyFault::BadForm), "{digits}");
    }
    drop(keys);
    assert_eq!(open().identify(&pan(PAN)), Ok(one), "orders are found by it for years");
}

/// How every key server opens swipes.
///
/// # Panics
/// Where the contract is broken.
pub fn swipes(keys: &dyn KeyServer, tools: &KeyTools) {
    let track = format!("{PAN}=30122010000");
    let seal = |terminal, session, data: &[u8]| {
        let context = SealedSwipe::context(terminal, session);
        (tools.seal)(keys.card_key(), &context, data)
    };
    let opened = |terminal, session, bytes: &[u8]| {
        keys.open_swipe(&SealedSwipe { terminal, session, bytes: bytes.to_vec() })
    };
    let bytes = seal(1, 5, track.as_bytes());
    let card = opened(1, 5, &bytes).expect("it opens");
    assert_eq!((card.pan, card.track2.expose()), (pan(PAN), track.as_str()));
    assert_eq!((card.expiry_yymm, card.service_code), (Some(*b"3012"), Some(*b"201")));
    for (terminal, session) in [(1, 6), (2, 5), (0, 0)] {
        let fault = opened(terminal, session, &bytes).err();
        assert_eq!(fault, Some(KeyFault::DoesNotOpen), "for {terminal} {session}");
    }
    for length in 0..bytes.len() {
        assert_eq!(opened(1, 5, &bytes[..length]).err(), Some(KeyFault::DoesNotOpen), "{length}");
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        assert_eq!(opened(1, 5, &bad).err(), Some(KeyFault::DoesNotOpen), "byte {at}");
    }
    for data in [&b"no track"[..], b"", b"=3012201", &[0xff; 20]] {
        assert_eq!(opened(1, 5, &seal(1, 5, data)).err(), Some(KeyFault::BadForm), "{data:?}");
    }
}

/// How every key server keeps terminals and their PIN pads. `open` opens it anew over the same storage, in which no
/// terminal is known yet.
///
/// # Panics
/// Where the contract is broken.
pub fn pads(open: Open<'_>, tools: &KeyTools) {
    let (bank, number) = (tools.acquirer, pan(PAN));
    let keys = open();
    let pad = keys.pad_keys(T1).expect("keys for a new terminal");
    let entry = |count| (tools.enter)(&pad, count, "1234", PAN);
    // What is refused for want of a working key has spent no count.
    assert_eq!(keys.translate_pin(T1, &number, &entry(1), bank), Err(KeyFault::UnknownKey));
    keys.import_zone_keys(bank, &tools.zone_keys).expect("working keys");
    let block = keys.translate_pin(T1, &number, &entry(1), bank).expect("translated");
    assert_eq!(keys.translate_pin(T1, &number, &entry(1), bank), Err(KeyFault::Replayed));
    assert_eq!(
        keys.translate_pin(T1, &number, &entry(2), bank),
        Ok(block),
        "the same PIN and card"
    );
    assert_eq!(keys.translate_pin(T2, &number, &entry(3), bank), Err(KeyFault::UnknownKey));
    assert_eq!(keys.translate_pin(T1, &number, &entry(3), STRANGER), Err(KeyFault::UnknownKey));
    let other = keys.translate_pin(T1, &pan(OTHER_PAN), &entry(3), bank);
    assert_eq!(other, Err(KeyFault::BadForm), "a PIN is for one card");
    assert_eq!(
        keys.translate_pin(T1, &number, &entry(3), bank),
        Err(KeyFault::Replayed),
        "no second guess"
    );

    let tag = keys.terminal_tag(T1, &number).expect("a tag");
    assert_ne!(Ok(tag), keys.terminal_tag(T2, &number), "every terminal has tags of its own");
    assert_ne!(tag, keys.identify(&number).expect("a card number").tag.0);
    assert_eq!(keys.terminal_tag(T1, &pan("")), Err(KeyFault::BadForm));
    drop(keys);
    let keys = open();
    let again = keys.pad_keys(T1).expect("the same keys");
    assert_eq!((again.ik, again.ikid, again.tag_key), (pad.ik, pad.ikid, pad.tag_key));
    assert_ne!(keys.pad_keys(T2).expect("keys").ikid, pad.ikid);
    assert_eq!(keys.terminal_tag(T1, &number), Ok(tag));
    assert_eq!(keys.translate_pin(T1, &number, &entry(2), bank), Err(KeyFault::Replayed));

    for _ in 0..2 {
        keys.revoke_terminal(T1).expect("revoked, however often it is said");
    }
    drop(keys);
    let keys = open();
    assert_eq!(keys.pad_keys(T1).err(), Some(KeyFault::Revoked));
    assert_eq!(keys.terminal_tag(T1, &number), Err(KeyFault::Revoked));
    assert_eq!(keys.translate_pin(T1, &number, &entry(9), bank), Err(KeyFault::Revoked));
    assert!(keys.terminal_tag(T2, &number).is_ok(), "and no other");
}

/// How every key server keeps a bank's working keys; it has the zone master key and none of them yet.
///
/// # Panics
/// Where the contract is broken.
pub fn zones(keys: &dyn KeyServer, acquirer: AcquirerId, good: &WrappedZoneKeys) {
    const MESSAGE: &[u8] = b"0200 and what follows it";
    let algorithm = MacAlgorithm::X919;
    let mac = |message| keys.mac(acquirer, algorithm, message);
    let refused = |when: &str| {
        let bad = |change: &dyn Fn(&mut WrappedZoneKeys)| {
            let mut keys = good.clone();
            change(&mut keys);
            keys
        };
        for (row, (bad, fault)) in [
            (bad(&|k| k.pin_check[0] ^= 1), KeyFault::CheckFailed),
            (bad(&|k| k.mac_check[0] ^= 1), KeyFault::CheckFailed),
            (bad(&|k| k.mac_key[0] ^= 2), KeyFault::CheckFailed),
            (bad(&|k| k.pin_key.truncate(15)), KeyFault::BadForm),
            (bad(&|k| k.mac_key.push(0)), KeyFault::BadForm),
            (bad(&|k| k.pin_key.clear()), KeyFault::BadForm),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(keys.import_zone_keys(acquirer, &bad), Err(fault), "row {row} {when}");
        }
        assert_eq!(keys.import_zone_keys(STRANGER, good), Err(KeyFault::UnknownKey));
    };
    refused("at first");
    assert_eq!(mac(MESSAGE), Err(KeyFault::UnknownKey), "before the sign-on");
    assert_eq!(keys.verify_mac(acquirer, algorithm, MESSAGE, &[0; 8]), Err(KeyFault::UnknownKey));
    for _ in 0..2 {
        keys.import_zone_keys(acquirer, good).expect("working keys");
    }
    let code = mac(MESSAGE).expect("a MAC");
    refused("later");
    assert_eq!(mac(MESSAGE), Ok(code), "what was refused replaced nothing");
    assert_ne!(mac(b"0200 and something else."), Ok(code));
    assert_eq!(keys.mac(STRANGER, algorithm, MESSAGE), Err(KeyFault::UnknownKey));
    assert_eq!(keys.verify_mac(acquirer, algorithm, MESSAGE, &code), Ok(()));
    let mut wrong = code;
    wrong[7] ^= 1;
    for (message, mac) in
        [(MESSAGE, &wrong[..]), (b"0210", &code[..]), (MESSAGE, &code[..3]), (MESSAGE, &[])]
    {
        let verified = keys.verify_mac(acquirer, algorithm, message, mac);
        assert_eq!(verified, Err(KeyFault::CheckFailed), "{mac:?}");
    }
}

fn claims(ticket: u64) -> TicketClaims {
    TicketClaims {
        ticket: TicketNumber(ticket),
        order: OrderId::new(Slot::new(1), 2),
        provider: ProviderId(1),
        service: ServiceId::new(Slot::new(3), 4),
        service_name: "x".repeat(NAME_BYTES),
        run: (0, 3),
        class: 2,
        seat: ("c".repeat(LABEL_BYTES), "s".repeat(LABEL_BYTES)),
        valid_from: Instant(1_000_000),
        valid_until: Instant(9_000_000),
    }
}

/// How every key server seals tickets and knows them again. `open` opens it anew over the same storage.
///
/// # Panics
/// Where the contract is broken.
pub fn tickets(open: Open<'_>) {
    let keys = open();
    let code = keys.seal_ticket(&claims(1)).expect("sealed, with the longest texts");
    let within = Instant(5_000_000);
    for (at, verdict) in [
        (Instant(0), TicketVerdict::NotYet(claims(1))),
        (Instant(1_000_000), TicketVerdict::Valid(claims(1))),
        (Instant(9_000_000), TicketVerdict::Valid(claims(1))),
        (Instant(10_000_000), TicketVerdict::Expired(claims(1))),
    ] {
        assert_eq!(keys.verify_ticket(&code, at), verdict, "{at:?}");
    }
    let long = |change: &dyn Fn(&mut TicketClaims)| {
        let mut long = claims(2);
        change(&mut long);
        keys.seal_ticket(&long)
    };
    assert_eq!(long(&|c| c.service_name.push('x')), Err(KeyFault::BadForm));
    assert_eq!(long(&|c| c.seat.0.push('x')), Err(KeyFault::BadForm));
    assert_eq!(long(&|c| c.seat.1.push('x')), Err(KeyFault::BadForm));
    for at in 0..code.len() {
        let mut bad = code.clone();
        bad[at] ^= 1;
        let verdict = keys.verify_ticket(&bad, within);
        let seen = matches!(
            verdict,
            TicketVerdict::Malformed | TicketVerdict::UnknownKey | TicketVerdict::Forged
        );
        assert!(seen, "byte {at}: {verdict:?}");
        assert!(
            !matches!(keys.verify_ticket(&code[..at], within), TicketVerdict::Valid(_)),
            "{at}"
        );
    }
    assert_eq!(keys.verify_ticket(b"", within), TicketVerdict::Malformed);

    let other = keys.seal_ticket(&claims(2)).expect("sealed");
    for _ in 0..2 {
        keys.revoke_ticket(TicketNumber(1)).expect("on the list, however often it is said");
    }
    let look = |keys: &dyn KeyServer| {
        assert_eq!(keys.verify_ticket(&code, within), TicketVerdict::Revoked(claims(1)));
        assert_eq!(keys.verify_ticket(&other, within), TicketVerdict::Valid(claims(2)));
    };
    look(&*keys);
    drop(keys);
    look(&*open());
}
