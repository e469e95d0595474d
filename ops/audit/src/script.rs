//! A sound purchase as facts, and ways to break it.

use guichet_engine::command::{Channel, Principal, Role};
use guichet_engine::event::*;
use guichet_engine::ids::*;
use guichet_engine::message::Message;
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::{BusinessDate, Instant};
use guichet_journal::{Batch, Entry};

pub(super) const ORDER: OrderId = OrderId::new(Slot::new(1), 7);
pub(super) const OTHER: OrderId = OrderId::new(Slot::new(1), 8);
pub(super) const SERVICE: ServiceId = ServiceId::new(Slot::new(4000), 9);
pub(super) const PAYMENT: PaymentNo = PaymentNo(0);
pub(super) const ACQUIRER: AcquirerId = AcquirerId(4);
pub(super) const OPERATOR: OperatorId = OperatorId(6);
pub(super) const TERMINAL: TerminalId = TerminalId(1);
pub(super) const SESSION: SessionId = SessionId(2);
pub(super) const AUTH: AuthCode = AuthCode(*b"A1B2C3");
pub(super) const TODAY: BusinessDate = BusinessDate(20_261_103);
pub(super) const TOMORROW: BusinessDate = BusinessDate(20_261_104);
pub(super) const UNTIL: Instant = Instant(90_000_000);

/// Facts of one journal record of a partition.
pub(super) type Record = (u16, Vec<Event>);

pub(super) fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).expect("amount")
}

pub(super) fn seat(n: u16) -> Seat {
    Seat { coach: "05".into(), seat: format!("{n}A") }
}

pub(super) fn hold(order: OrderId, line: u8) -> HoldId {
    HoldId { order, line: LineNo(line), attempt: Attempt(1) }
}

pub(super) fn numbers(stan: u32, rrn: &str) -> BankNumbers {
    BankNumbers { stan: Stan(stan), rrn: Rrn::parse(rrn).expect("rrn"), at: Instant(5) }
}

pub(super) fn line_placed() -> LinePlaced {
    LinePlaced {
        product: Product {
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
            departs: UNTIL,
            arrives: UNTIL,
            zone: "Asia/Shanghai".into(),
            class: 2,
        },
        passenger: PassengerNo(0),
        fare: Fare { price: money(100), fee: money(5), tariff: Version(1), refund_fee_bp: 1_000 },
        wanted: None,
        needs: Needs::default(),
    }
}

fn card() -> CardOnFile {
    CardOnFile { card: CardId(1), tag: CardTag([1; 16]), acquirer: ACQUIRER }
}

pub(super) fn placed(lines: u8) -> OrderEvent {
    OrderEvent::Placed(Box::new(Placed {
        at: Instant(1),
        operator: OPERATOR,
        reference: Reference(*b"7K3M9QX2TB"),
        factor: [0; 16],
        card: card(),
        passengers: vec![Passenger { person: PersonId(1), category: 1 }],
        lines: vec![line_placed(); usize::from(lines)],
        pickup: "A".into(),
        currency: Currency::CNY,
        expires: UNTIL,
        config: Version(1),
    }))
}

pub(super) fn posting(
    order: OrderId,
    kind: PostingKind,
    minor: i64,
    date: Option<BusinessDate>,
) -> Event {
    let leg = |kind, side| {
        let account = Account { operator: OPERATOR, kind, currency: Currency::CNY };
        Leg { account, side, amount: money(minor) }
    };
    Event::Ledger(Posting {
        order,
        key: PostingKey::Payment(PAYMENT),
        kind,
        date,
        legs: vec![
            leg(AccountKind::AcquirerReceivable(ACQUIRER), Side::Debit),
            leg(AccountKind::CustomerDeposit, Side::Credit),
        ],
    })
}

/// A posting that goes into the balance at once.
pub(super) fn direct(order: OrderId, key: PostingKey, minor: i64) -> Event {
    let leg = |kind, side| {
        let account = Account { operator: OPERATOR, kind, currency: Currency::CNY };
        Leg { account, side, amount: money(minor) }
    };
    let (date, kind) = (Some(TODAY), PostingKind::Direct);
    let legs = vec![
        leg(AccountKind::CustomerDeposit, Side::Debit),
        leg(AccountKind::RefundPayable, Side::Credit),
    ];
    Event::Ledger(Posting { order, key, kind, date, legs })
}

/// A refund asked for and taken by the bank, with its postings.
pub(super) fn given_back(
    line: u8,
    number: u8,
    minor: i64,
    why: LineEnd,
    date: BusinessDate,
) -> Vec<Event> {
    vec![
        Event::Order(ORDER, refund(line, number, minor, why)),
        direct(ORDER, PostingKey::RefundDue(RefundNo(number)), minor),
        Event::Order(ORDER, refunded_on(number, date)),
        direct(ORDER, PostingKey::RefundDone(RefundNo(number)), minor),
    ]
}

pub(super) fn facts(order: OrderId, events: impl IntoIterator<Item = OrderEvent>) -> Vec<Event> {
    events.into_iter().map(|event| Event::Order(order, event)).collect()
}

/// A service with two units, on which `order` holds unit `n` for each of its lines.
pub(super) fn inventory(order: OrderId, lines: u8) -> Vec<Event> {
    (0..lines)
        .flat_map(|line| {
            let hold = hold(order, line);
            [
                InventoryEvent::Held {
                    hold,
                    unit: UnitNo(line.into()),
                    run: Run { from: 0, to: 2 },
                    until: UNTIL,
                },
                InventoryEvent::Pinned { hold, at: Instant(1) },
                InventoryEvent::Confirmed { hold },
            ]
        })
        .map(|event| Event::Inventory(SERVICE, event))
        .collect()
}

pub(super) fn opened() -> Event {
    let unit = |n| Unit { seat: seat(n), class: 2, window: true, aisle: false, wheelchair: false };
    let spec = ServiceSpec {
        provider: ProviderId(1),
        key: "trip-9".into(),
        slots: 4,
        units: (0..3).map(unit).collect(),
        ends: UNTIL,
    };
    Event::Inventory(SERVICE, InventoryEvent::Opened(Box::new(spec)))
}

/// Payment in two steps for all lines, up to the money.
pub(super) fn paid(order: OrderId, lines: u8, stan: u32, rrn: &str) -> Vec<Event> {
    let payment = PAYMENT;
    let amount = money(105 * i64::from(lines));
    let mut events = facts(order, [placed(lines)]);
    events.extend(facts(
        order,
        (0..lines).map(|line| OrderEvent::LineHeld {
            line: LineNo(line),
            attempt: Attempt(1),
            unit: UnitNo(line.into()),
            seat: seat(line.into()),
            until: UNTIL,
        }),
    ));
    events.extend(facts(
        order,
        [
            OrderEvent::PaymentStarted {
                payment,
                terminal: TERMINAL,
                session: SESSION,
                acquirer: ACQUIRER,
                tender: Tender::Card(card()),
                flow: Flow::TwoStep,
                amount,
                lines: (0..lines).map(LineNo).collect(),
                until: UNTIL,
                config: Version(1),
            },
            OrderEvent::AuthorizationAsked {
                payment,
                numbers: numbers(stan, rrn),
                not_after: UNTIL,
            },
        ],
    ));
    events.push(posting(order, PostingKind::Pending, amount.minor(), None));
    events.extend(facts(
        order,
        [
            OrderEvent::Authorized { payment, auth: AUTH },
            OrderEvent::CompletionAsked {
                payment,
                pin_try: 1,
                numbers: numbers(stan + 1, rrn),
                not_after: UNTIL,
            },
            OrderEvent::Completed { payment, auth: AUTH, date: TODAY, bank_date: None },
        ],
    ));
    events.push(posting(order, PostingKind::Post, amount.minor(), Some(TODAY)));
    events
}

pub(super) fn told(line: u8, print: u16, ticket: u64) -> OrderEvent {
    OrderEvent::IssueTold {
        line: LineNo(line),
        print: Attempt(print),
        ticket: TicketNumber(ticket),
        terminal: TERMINAL,
        session: SESSION,
        deadline: UNTIL,
    }
}

pub(super) fn issued(line: u8, print: u16) -> OrderEvent {
    let proof = PrintProof { counter: 1, printer_word: true, media_seen: true };
    OrderEvent::LineIssued { line: LineNo(line), print: Attempt(print), proof }
}

pub(super) fn failed(line: u8, print: u16) -> OrderEvent {
    OrderEvent::PrintFailed { line: LineNo(line), print: Attempt(print), fault: PrintFault::Jam }
}

pub(super) fn refund(line: u8, refund: u8, minor: i64, why: LineEnd) -> OrderEvent {
    OrderEvent::RefundAsked {
        refund: RefundNo(refund),
        payment: PAYMENT,
        line: LineNo(line),
        amount: money(minor),
        original: numbers(101, "300100000001"),
        numbers: numbers(150 + u32::from(refund), "300100000001"),
        why,
    }
}

pub(super) fn refunded_on(refund: u8, date: BusinessDate) -> OrderEvent {
    OrderEvent::Refunded { refund: RefundNo(refund), date }
}

/// A whole purchase of two lines, the second of which is not printed and refunded, its messages,
/// and the day's close.
pub(super) fn purchase() -> Vec<Record> {
    let mut service = vec![opened()];
    service.extend(inventory(ORDER, 2));
    service.push(Event::Inventory(
        SERVICE,
        InventoryEvent::Released { hold: hold(ORDER, 1), why: LineEnd::NotPrinted },
    ));
    let spoiled =
        OrderEvent::TicketSpoiled { line: LineNo(1), print: Attempt(1), ticket: TicketNumber(501) };
    let mut end = facts(ORDER, [told(0, 1, 500), told(1, 1, 501), issued(0, 1)]);
    end.push(direct(ORDER, PostingKey::Issue(LineNo(0)), 105));
    end.extend(facts(ORDER, [failed(1, 1), spoiled]));
    end.extend(given_back(1, 0, 105, LineEnd::NotPrinted, TODAY));
    end.extend(facts(ORDER, [OrderEvent::Closed]));
    let cut = SettlementEvent::CutOver {
        operator: OPERATOR,
        acquirer: ACQUIRER,
        closes: TODAY,
        opens: TOMORROW,
    };
    let message = Message::Confirm { service: SERVICE, hold: hold(ORDER, 0) };
    let sent = Event::Sent { to: SERVICE.slot, partition: PartitionId(1), n: 1, message };
    vec![
        (1, service),
        (0, paid(ORDER, 2, 100, "300100000001")),
        (0, end),
        (0, vec![sent]),
        (1, vec![Event::Received { from: PartitionId(0), n: 1 }]),
        (0, vec![Event::Acknowledged { by: PartitionId(1), n: 1 }]),
        (
            0,
            vec![
                Event::Settlement(SettlementEvent::BatchOpened {
                    operator: OPERATOR,
                    acquirer: ACQUIRER,
                    date: TODAY,
                    partitions: 1,
                }),
                Event::Settlement(cut),
                Event::Settlement(SettlementEvent::PartitionPassed {
                    operator: OPERATOR,
                    acquirer: ACQUIRER,
                    date: TODAY,
                    partition: PartitionId(0),
                }),
                closed_batch(210, 105),
                Event::Settlement(SettlementEvent::Reconciled {
                    operator: OPERATOR,
                    acquirer: ACQUIRER,
                    date: TODAY,
                    source: [0; 32],
                    matched: 2,
                    exceptions: Vec::new(),
                }),
            ],
        ),
    ]
}

pub(super) fn closed_batch(debit: i64, credit: i64) -> Event {
    Event::Settlement(SettlementEvent::BatchClosed {
        operator: OPERATOR,
        acquirer: ACQUIRER,
        date: TODAY,
        lines: 2,
        debit: money(debit),
        credit: money(credit),
        digest: [0; 32],
    })
}

pub(super) fn batch(command: u64, events: Vec<Event>) -> Batch {
    Batch {
        entries: vec![Entry {
            command: CommandId(command.into()),
            at: Instant(1_000_000),
            principal: Principal { role: Role::System, id: 0 },
            second: None,
            channel: Channel::Internal,
            reason: 0,
            events,
        }],
    }
}

/// The purchase with facts added at its end.
pub(super) fn with(events: impl IntoIterator<Item = Event>) -> Vec<Record> {
    let mut records = purchase();
    records.push((0, events.into_iter().collect()));
    records
}

/// The purchase without the facts that `drop` names.
pub(super) fn without(drop: impl Fn(&Event) -> bool) -> Vec<Record> {
    let mut records = purchase();
    for (_, events) in &mut records {
        events.retain(|event| !drop(event));
    }
    records
}

/// The purchase with one fact put in the place of each that `from` names.
pub(super) fn instead(from: impl Fn(&Event) -> bool, to: Event) -> Vec<Record> {
    let mut records = purchase();
    for event in records.iter_mut().flat_map(|(_, events)| events) {
        if from(event) {
            *event = to.clone();
        }
    }
    records
}

pub(super) fn order_fact(event: &Event, is: impl Fn(&OrderEvent) -> bool) -> bool {
    match event {
        Event::Order(_, fact) => is(fact),
        Event::Inventory(..)
        | Event::Terminal(..)
        | Event::Network(..)
        | Event::Ledger(..)
        | Event::Settlement(..)
        | Event::Answered(..)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => false,
    }
}

pub(super) fn inventory_fact(event: &Event, is: impl Fn(&InventoryEvent) -> bool) -> bool {
    matches!(event, Event::Inventory(_, fact) if is(fact))
}
