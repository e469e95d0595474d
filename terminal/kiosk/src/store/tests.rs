use guichet_link::message::{Amount, Booking, PrintResult};
use guichet_link::store::{LinkStore, StoreError, conformance};

use super::*;

fn open(dir: &Path) -> Store {
    Store::open(dir, 7, Steps::default()).unwrap()
}

fn booking(order: &str, until: i64) -> Booking {
    Booking {
        order: order.into(),
        reference: "ABCDE12345".into(),
        lines: vec![],
        amount: Amount { minor: 5500, currency: "CNY".into(), decimals: 2 },
        until,
    }
}

fn key(n: u16) -> PrintKey {
    PrintKey { order: "o-1".into(), line: 0, print: n }
}

const PRINTED: PrintResult =
    PrintResult::Printed { counter: 8, printer_word: true, media_seen: true };

#[test]
fn the_outbox_keeps_what_the_link_promises() {
    let dirs = std::cell::RefCell::new(Vec::new());
    conformance(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = OutboxStore::open(open(dir.path())).unwrap();
        dirs.borrow_mut().push(dir);
        store
    });
}

#[test]
fn the_outbox_outlives_the_process_and_its_bound_holds_at_its_edge() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = OutboxStore::with_limit(open(dir.path()), 3).unwrap();
    let stream = outbox.stream();
    for n in 1..=3 {
        outbox.push(format!("{{\"n\":{n}}}"), None).unwrap();
    }
    assert!(matches!(outbox.push("4".into(), None), Err(StoreError::Busy { limit: 3 })));
    outbox.acknowledge(1).unwrap();
    outbox.set_mark(guichet_link::envelope::Mark { stream, seq: 5 }).unwrap();
    drop(outbox);
    let mut outbox = OutboxStore::with_limit(open(dir.path()), 3).unwrap();
    assert_eq!((outbox.stream(), outbox.acknowledged(), outbox.last()), (stream, 1, 3));
    assert_eq!(outbox.get(2).unwrap().unwrap().body, "{\"n\":2}");
    assert_eq!(outbox.get(1).unwrap(), None);
    assert_eq!(outbox.marks()[0].seq, 5);
    assert_eq!(outbox.push("4".into(), None).unwrap(), 4);
}

#[test]
fn identity_and_session_numbers_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let key = *store.key().unwrap().expose();
    assert_eq!(store.center().unwrap(), None);
    store.set_center(&guichet_link::keys::PublicKey([9; 32])).unwrap();
    assert_eq!(store.next_session(1_000).unwrap(), 1_000);
    assert_eq!(store.next_session(5).unwrap(), 1_001, "never again, even if the clock goes back");
    let begun = OpenSession { session: 1_001, order: "o-1".into(), payment: Some(2) };
    store.set_open_session(Some(&begun)).unwrap();
    assert!(matches!(Store::open(dir.path(), 7, Steps::default()), Err(KioskError::InUse { .. })));
    drop(store);
    let other = Store::open(dir.path(), 8, Steps::default());
    assert!(matches!(other.err(), Some(KioskError::OtherTerminal { theirs: 7, ours: 8 })));
    let store = open(dir.path());
    assert_eq!(*store.key().unwrap().expose(), key);
    assert_eq!(store.center().unwrap().map(|k| k.0), Some([9; 32]));
    assert_eq!(store.open_session().unwrap(), Some(begun));
    store.set_open_session(None).unwrap();
    assert_eq!(store.open_session().unwrap(), None);
}

#[test]
fn a_newer_journal_and_a_foreign_file_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .write("test", |write| {
            let mut meta = write.open_table(META).map_err(KioskError::journal("test"))?;
            let newer = encode(&(FORM + 1))?;
            meta.insert("form", &newer[..]).map(drop).map_err(KioskError::journal("test"))
        })
        .unwrap();
    drop(store);
    let fault = Store::open(dir.path(), 7, Steps::default()).err().unwrap();
    assert!(matches!(fault, KioskError::Newer { found: 2, known: 1 }), "{fault}");
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join(FILE), b"this is no journal at all, only a text").unwrap();
    let fault = Store::open(foreign.path(), 7, Steps::default()).err().unwrap();
    assert!(matches!(fault, KioskError::Journal { doing: "opening", .. }), "{fault}");
}

#[test]
fn bookings_are_found_by_tag_until_they_end_and_forgotten_with_their_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_standing(&Standing { tag_epoch: 1, ..Standing::default() }).unwrap();
    for (tag, order, until) in [("aa", "o-1", 10), ("aa", "o-2", 20), ("ab", "o-3", 30)] {
        store.keep_booking(tag, &booking(order, until)).unwrap();
    }
    let orders = |tag: &str, now| -> Vec<String> {
        store.bookings(tag, now).unwrap().into_iter().map(|b| b.order).collect()
    };
    assert_eq!(orders("aa", 9), ["o-1", "o-2"]);
    assert_eq!(orders("aa", 10), ["o-2"]);
    assert_eq!(orders("a", 0), [""; 0]);
    store.keep_booking("ab", &booking("o-1", 40)).unwrap();
    assert_eq!((orders("aa", 0), orders("ab", 0).len()), (vec!["o-2".to_owned()], 2));
    store.drop_booking("o-2").unwrap();
    assert_eq!(orders("aa", 0), [""; 0]);
    store.set_standing(&Standing { tag_epoch: 1, ..Standing::default() }).unwrap();
    assert_eq!(orders("ab", 0).len(), 2);
    store.set_standing(&Standing { tag_epoch: 2, ..Standing::default() }).unwrap();
    assert_eq!(orders("ab", 0), [""; 0]);
}

#[test]
fn an_attempt_is_begun_once_and_its_result_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(!store.print_begun(&key(1), None).unwrap(), "nobody told it to print that");
    assert!(store.print_received(&key(1), "0001", 5, 100).unwrap());
    assert!(!store.print_received(&key(1), "0001", 5, 200).unwrap());
    assert!(store.print_begun(&key(1), Some(7)).unwrap());
    drop(store);
    let store = open(dir.path());
    assert!(!store.print_begun(&key(1), Some(7)).unwrap(), "never twice, not after a restart");
    let record = store.print(&key(1)).unwrap().unwrap();
    assert_eq!((record.before, record.state.clone()), (Some(7), PrintState::Printing));
    assert_eq!(hex::encode(record.job().unwrap()), record.job);
    store.print_ended(&key(1), &PrintResult::Unproven).unwrap();
    store.print_reported(&key(1)).unwrap();
    store.print_ended(&key(1), &PRINTED).unwrap();
    let record = store.print(&key(1)).unwrap().unwrap();
    assert_eq!(record.state, PrintState::Ended { result: PRINTED, reported: false });
    store.print_ended(&key(1), &PrintResult::NotPrinted { fault: "jam".into() }).unwrap();
    assert_eq!(store.print(&key(1)).unwrap().unwrap().result(), Some(&PRINTED));
    store.print_taken(&key(1), true).unwrap();
    assert_eq!(store.prints().unwrap()[0].taken, Some(true));
    assert!(!store.print_begun(&key(1), None).unwrap(), "ended is ended");
}

#[test]
fn receipts_are_noted_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.receipt_received("o-1", 0, 1).unwrap());
    assert!(!store.receipt_received("o-1", 0, 2).unwrap());
    assert!(store.receipt_received("o-1", 1, 3).unwrap());
    store.receipt_ended("o-1", 0, true, true).unwrap();
    let receipts = store.receipts().unwrap();
    assert_eq!((receipts[0].printed, receipts[0].reported), (Some(true), true));
    assert_eq!(receipts[1].printed, None);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn records_of_random_bytes_are_damaged_and_nothing_worse(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)
    ) {
        let _ = decode::<PrintRecord>(&bytes, "a print");
        let _ = decode::<Booking>(&bytes, "a booking");
        let _ = decode::<Standing>(&bytes, "a welcome");
    }
}
