use std::collections::BTreeMap;

use guichet_engine::event::*;
use guichet_engine::ids::*;
use guichet_engine::message::Message;
use guichet_engine::money::{Currency, Money};
use guichet_engine::partition::State;
use guichet_engine::time::{BusinessDate, Instant};
use guichet_ports::checkpoint::{Changes, Position};
use redb::{Database, TableDefinition};

use super::*;

const ORDER: OrderId = OrderId::new(Slot::new(1), 7);
const SERVICE: ServiceId = ServiceId::new(Slot::new(4000), 9);
const REFERENCE: Reference = Reference(*b"7K3M9QX2TB");
const TERMINAL: TerminalId = TerminalId(12);
const RRN: Rrn = Rrn(*b"0QABCDEF1234");
const HOLD: HoldId = HoldId { order: ORDER, line: LineNo(0), attempt: Attempt(1) };
const DATE: BusinessDate = BusinessDate(20_261_103);

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).expect("amount")
}

fn card() -> CardOnFile {
    CardOnFile { card: CardId(1), tag: CardTag([1; 16]), acquirer: AcquirerId(4) }
}

fn placed() -> OrderEvent {
    let product = Product {
        provider: ProviderId(1),
        kind: ProviderKind::Train,
        service: SERVICE,
        service_key: "trip-9".into(),
        service_name: "G101".into(),
        authority: Authority::Allotted,
        run: Run { from: 0, to: 2 },
        from_place: "A".into(),
        from_name: "A".into(),
        to_place: "C".into(),
        to_name: "C".into(),
        departs: Instant(9),
        arrives: Instant(9),
        zone: "Asia/Shanghai".into(),
        class: 2,
    };
    let fare = Fare { price: money(100), fee: money(5), tariff: Version(1), refund_fee_bp: 0 };
    OrderEvent::Placed(Box::new(Placed {
        at: Instant(1),
        operator: OperatorId(6),
        reference: REFERENCE,
        factor: [0; 16],
        card: card(),
        passengers: vec![Passenger { person: PersonId(1), category: 1 }],
        lines: vec![LinePlaced {
            product,
            passenger: PassengerNo(0),
            fare,
            wanted: None,
            needs: Needs::default(),
        }],
        pickup: "A".into(),
        currency: Currency::CNY,
        expires: Instant(9),
        config: Version(1),
    }))
}

fn seat() -> Seat {
    Seat { coach: "05".into(), seat: "12F".into() }
}

/// Batches of both partitions, in the order in which they happened.
pub(crate) fn batches() -> Vec<(u16, Vec<Event>)> {
    let order = |fact| Event::Order(ORDER, fact);
    let held = InventoryEvent::Held {
        hold: HOLD,
        unit: UnitNo(3),
        run: Run { from: 0, to: 2 },
        until: Instant(9),
    };
    let line_held = OrderEvent::LineHeld {
        line: LineNo(0),
        attempt: Attempt(1),
        unit: UnitNo(3),
        seat: seat(),
        until: Instant(9),
    };
    let started = OrderEvent::PaymentStarted {
        payment: PaymentNo(0),
        terminal: TERMINAL,
        session: SessionId(2),
        acquirer: AcquirerId(4),
        tender: Tender::Card(card()),
        flow: Flow::TwoStep,
        amount: money(105),
        lines: vec![LineNo(0)],
        until: Instant(9),
        config: Version(1),
    };
    let asked = OrderEvent::AuthorizationAsked {
        payment: PaymentNo(0),
        numbers: BankNumbers { stan: Stan(5), rrn: RRN, at: Instant(4) },
        not_after: Instant(9),
    };
    let account = |kind| Account { operator: OperatorId(6), kind, currency: Currency::CNY };
    let posting = Posting {
        order: ORDER,
        key: PostingKey::Payment(PaymentNo(0)),
        kind: PostingKind::Direct,
        date: Some(DATE),
        legs: vec![
            Leg {
                account: account(AccountKind::AcquirerReceivable(AcquirerId(4))),
                side: Side::Debit,
                amount: money(105),
            },
            Leg {
                account: account(AccountKind::CustomerDeposit),
                side: Side::Credit,
                amount: money(105),
            },
        ],
    };
    let message = Message::Held { hold: HOLD, unit: UnitNo(3), seat: seat(), until: Instant(9) };
    let sent = Event::Sent { to: ORDER.slot, partition: PartitionId(0), n: 1, message };
    let connected = TerminalEvent::Connected { at: Instant(3), version: 1 };
    vec![
        (
            0,
            vec![
                order(placed()),
                order(OrderEvent::HoldAsked { line: LineNo(0), attempt: Attempt(1) }),
            ],
        ),
        (1, vec![Event::Inventory(SERVICE, held), sent]),
        (0, vec![Event::Received { from: PartitionId(1), n: 1 }, order(line_held)]),
        (0, vec![Event::Terminal(TERMINAL, connected)]),
        (0, vec![order(started), order(asked), Event::Ledger(posting)]),
    ]
}

#[test]
fn a_damaged_or_older_file_is_thrown_away_and_an_open_one_is_named() {
    let data = tempfile::tempdir().expect("tempdir");
    let path = data.path().join("store.redb");
    let changes = || Changes {
        since: None,
        position: Position { sequence: 1, head: [1; 32] },
        state: State::default(),
        lines_before: BTreeMap::new(),
    };
    let kept = |store: &Store| store.load_checkpoint(PartitionId(0), 1).expect("load").is_some();
    let store = Store::open(&path).expect("open");
    store.save_checkpoint(PartitionId(0), 1, &changes()).expect("save");
    let error = Store::open(&path).err().expect("refused");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(store);
    assert!(kept(&Store::open(&path).expect("open")), "a store in order is kept");

    std::fs::write(&path, b"this is no database").expect("write");
    let store = Store::open(&path).expect("open");
    assert!(!kept(&store), "nothing could be read");
    store.save_checkpoint(PartitionId(0), 1, &changes()).expect("save");
    drop(store);

    let database = Database::create(&path).expect("open");
    let write = database.begin_write().expect("write");
    let meta = TableDefinition::<&str, u64>::new("meta");
    write.open_table(meta).expect("table").insert("schema", 1).expect("insert");
    write.commit().expect("commit");
    drop(database);
    let store = Store::open(&path).expect("open");
    assert!(!kept(&store), "another version is not read");
    store.save_checkpoint(PartitionId(0), 1, &changes()).expect("save");
    assert!(kept(&store));
}
