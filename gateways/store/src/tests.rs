use std::path::Path;
use std::sync::Arc;

use guichet_engine::command::{Channel, Principal, Role};
use guichet_engine::event::*;
use guichet_engine::ids::*;
use guichet_engine::message::Message;
use guichet_engine::money::{Currency, Money};
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::time::{BusinessDate, Instant};
use guichet_journal::{
    Batch, DiskFiles, Entry, FileLayer, LogOptions, PartitionJournal, partition_dir,
};
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

/// Appends batches `from..` to the journals under `data`; instants and commands follow the number.
fn append(data: &Path, from: usize, batches: &[(u16, Vec<Event>)]) {
    let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
    let open = |partition| {
        let options = LogOptions { segment_bytes: 64 * 1024, ..LogOptions::default() };
        PartitionJournal::open(Arc::clone(&files), data, PartitionId(partition), options)
            .expect("open")
            .0
    };
    let mut journals = [open(0), open(1)];
    for (n, (partition, events)) in batches.iter().enumerate().skip(from) {
        let entry = Entry {
            command: CommandId(100 + n as u128),
            at: Instant(1_000 + n as i64),
            principal: Principal { role: Role::System, id: 0 },
            second: None,
            channel: Channel::Internal,
            reason: 0,
            events: events.clone(),
        };
        let batch = Batch { entries: vec![entry] };
        journals[usize::from(*partition)].append(&batch).expect("append");
    }
}

fn files() -> Arc<dyn FileLayer> {
    Arc::new(DiskFiles)
}

/// Everything that a store says about the sample.
fn content(store: &Store) -> (Vec<Vec<Fact>>, Vec<Order>) {
    let subjects = [
        Subject::Order(ORDER),
        Subject::Service(SERVICE),
        Subject::Terminal(TERMINAL),
        Subject::Reference(REFERENCE),
        Subject::Rrn(RRN),
        Subject::Command(CommandId(104)),
        Subject::Day(OperatorId(6), AcquirerId(4), DATE),
    ];
    let timelines = subjects.iter().map(|subject| store.timeline(subject).expect("timeline"));
    (timelines.collect(), store.orders().expect("orders"))
}

fn full() -> (tempfile::TempDir, Store) {
    let data = tempfile::tempdir().expect("tempdir");
    append(data.path(), 0, &batches());
    let store = Store::open(&data.path().join("store.redb")).expect("open");
    let done = store.catch_up(&files(), data.path()).expect("catch up");
    assert_eq!(done, CaughtUp { batches: 5, rebuilt: false });
    (data, store)
}

#[test]
fn a_timeline_has_every_fact_of_its_subject_in_order() {
    let (_data, store) = full();
    let timeline = store.timeline(&Subject::Order(ORDER)).expect("timeline");
    let places: Vec<_> =
        timeline.iter().map(|f| (f.at.0, f.partition.0, f.sequence, f.number)).collect();
    assert_eq!(
        places,
        [
            (1_000, 0, 1, 0),
            (1_000, 0, 1, 1),
            (1_001, 1, 1, 0),
            (1_001, 1, 1, 1),
            (1_002, 0, 2, 1),
            (1_004, 0, 4, 0),
            (1_004, 0, 4, 1),
            (1_004, 0, 4, 2),
        ]
    );
    assert_eq!(timeline[0].event, Event::Order(ORDER, placed()));
    assert_eq!(timeline[0].command, CommandId(100));
    let counts: Vec<usize> = content(&store).0.iter().map(Vec::len).collect();
    assert_eq!(counts, [8, 2, 2, 1, 1, 3, 1]);
}

#[test]
fn whatever_people_type_leads_to_the_order() {
    let (_data, store) = full();
    for text in [ORDER.to_string(), "7K3M9-QX2TB".into(), "0qabcdef1234".into(), "T0000012".into()]
    {
        let found = store.find(&text).expect("find");
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(store.orders_of(&found[0]).expect("orders"), [ORDER], "{text}");
    }
    assert_eq!(store.find("o-002-0000000000000007").expect("find"), Vec::new());
}

#[test]
fn an_order_stands_as_its_facts_say() {
    let (_data, store) = full();
    let order = store.order(ORDER).expect("read").expect("some");
    assert_eq!(order.payments.len(), 1);
    assert!(!matches!(order.lines[0].phase, LinePhase::Asking), "{:?}", order.lines[0].phase);
    assert_eq!(store.order(OrderId::new(Slot::new(1), 8)).expect("read"), None);
}

#[test]
fn a_deleted_store_is_rebuilt_with_the_same_content() {
    let (data, store) = full();
    let before = content(&store);
    drop(store);
    std::fs::remove_file(data.path().join("store.redb")).expect("delete");
    let store = Store::open(&data.path().join("store.redb")).expect("open");
    assert_eq!(store.position(PartitionId(0)).expect("position").0, 0);
    store.catch_up(&files(), data.path()).expect("catch up");
    assert_eq!(content(&store), before);
    let memory = Store::in_memory().expect("memory");
    memory.catch_up(&files(), data.path()).expect("catch up");
    assert_eq!(content(&memory), before);
}

#[test]
fn folding_step_by_step_and_over_restarts_gives_the_same_as_at_once() {
    let (_data, whole) = full();
    let data = tempfile::tempdir().expect("tempdir");
    let path = data.path().join("store.redb");
    let all = batches();
    for n in 0..all.len() {
        append(data.path(), n, &all[..=n]);
        let store = Store::open(&path).expect("open");
        let batches = store.catch_up(&files(), data.path()).expect("catch up").batches;
        assert_eq!(batches, 1, "step {n}");
        assert_eq!(store.catch_up(&files(), data.path()).expect("again").batches, 0);
        if n == all.len() - 1 {
            assert_eq!(content(&store), content(&whole));
        }
    }
    // A store that stays open follows without reading anything twice.
    let follower = Store::in_memory().expect("memory");
    follower.catch_up(&files(), data.path()).expect("catch up");
    let more =
        [all.clone(), vec![(0, vec![Event::Order(ORDER, OrderEvent::CancelAsked)])]].concat();
    append(data.path(), all.len(), &more);
    assert_eq!(follower.catch_up(&files(), data.path()).expect("follow").batches, 1);
    assert_eq!(follower.timeline(&Subject::Order(ORDER)).expect("timeline").len(), 9);
}

#[test]
fn a_store_of_another_journal_is_rebuilt() {
    let (data, store) = full();
    drop(store);
    for partition in [0, 1] {
        std::fs::remove_dir_all(partition_dir(data.path(), PartitionId(partition)))
            .expect("remove");
    }
    let mut other = batches();
    other[0].1.pop();
    append(data.path(), 0, &other);
    let store = Store::open(&data.path().join("store.redb")).expect("open");
    let done = store.catch_up(&files(), data.path()).expect("catch up");
    assert_eq!(done, CaughtUp { batches: 5, rebuilt: true });
    assert_eq!(store.timeline(&Subject::Order(ORDER)).expect("timeline").len(), 7);
}

#[test]
fn a_damaged_or_older_file_is_thrown_away_and_an_open_one_is_named() {
    let (data, store) = full();
    let path = data.path().join("store.redb");
    let error = Store::open(&path).err().expect("refused");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let before = content(&store);
    drop(store);
    let rebuilt = || {
        let store = Store::open(&path).expect("open");
        assert_eq!(store.catch_up(&files(), data.path()).expect("catch up").batches, 5);
        content(&store)
    };
    std::fs::write(&path, b"this is no database").expect("write");
    assert_eq!(rebuilt(), before);
    let database = Database::create(&path).expect("open");
    let write = database.begin_write().expect("write");
    let meta = TableDefinition::<&str, u64>::new("meta");
    write.open_table(meta).expect("table").insert("schema", 0).expect("insert");
    write.commit().expect("commit");
    drop(database);
    assert_eq!(rebuilt(), before);
}

#[test]
fn damage_in_the_journal_is_named_and_what_lies_before_is_kept() {
    let data = tempfile::tempdir().expect("tempdir");
    append(data.path(), 0, &batches());
    let segment =
        partition_dir(data.path(), PartitionId(0)).join("segment-00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("read");
    let second = 128
        + guichet_journal::segment::format::record_bytes(u32::from_le_bytes(
            bytes[132..136].try_into().expect("length"),
        ) as usize);
    bytes[second + 60] ^= 1;
    std::fs::write(&segment, bytes).expect("write");
    let store = Store::in_memory().expect("memory");
    let error = store.catch_up(&files(), data.path()).expect_err("refused");
    let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(text.contains("record 2"), "{error}: {text}");
    assert_eq!(store.position(PartitionId(0)).expect("position").0, 1);
}
