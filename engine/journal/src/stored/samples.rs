//! One value of every variant, each field with a value of its own, for golden bytes.

use guichet_engine::command::{Channel, Principal, ProviderStep, Role};
use guichet_engine::event::*;
use guichet_engine::ids::*;
use guichet_engine::message::{HoldRequest, Message};
use guichet_engine::money::{Currency, Money};
use guichet_engine::network::{Level, Revision, Settings};
use guichet_engine::order::{
    Grip, HeldPlace, Line, LinePhase, Order, Payment, PaymentPhase, Refund,
};
use guichet_engine::reject::Reject;
use guichet_engine::settlement::{LineKind, LineSource, SettlementLine};
use guichet_engine::time::{BusinessDate, Instant};

use super::{Batch, Entry};

pub(super) const ORDER: OrderId = OrderId::new(Slot::new(0xABC), 0x0102_0304_0506_0708);
const SERVICE: ServiceId = ServiceId::new(Slot::new(0x123), 0x1112_1314_1516_1718);
const HOLD: HoldId = HoldId { order: ORDER, line: LineNo(3), attempt: Attempt(700) };
const NUMBERS: BankNumbers =
    BankNumbers { stan: Stan(123_456), rrn: Rrn(*b"300100000042"), at: Instant(1_790_000_000_000) };
const ORIGINAL: BankNumbers =
    BankNumbers { stan: Stan(123_455), rrn: Rrn(*b"300100000041"), at: Instant(1_789_000_000_000) };
const AUTH: AuthCode = AuthCode(*b"A1B2C3");
const DATE: BusinessDate = BusinessDate(20_261_103);
const UNTIL: Instant = Instant(1_791_234_567_890_123);
const PROOF: PrintProof = PrintProof { counter: 90_001, printer_word: true, media_seen: false };
const RUN: Run = Run { from: 2, to: 300 };

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).expect("amount")
}

fn seat() -> Seat {
    Seat { coach: "05".into(), seat: "12F".into() }
}

fn spec() -> ServiceSpec {
    let unit = Unit { seat: seat(), class: 2, window: true, aisle: false, wheelchair: true };
    let other =
        Unit { seat: Seat::default(), class: 1, window: false, aisle: true, wheelchair: false };
    ServiceSpec {
        provider: ProviderId(17),
        key: "trip-9/2026-11-03".into(),
        slots: 9,
        units: vec![unit, other],
        ends: UNTIL,
    }
}

fn line_placed() -> LinePlaced {
    LinePlaced {
        product: Product {
            provider: ProviderId(17),
            kind: ProviderKind::Train,
            service: SERVICE,
            service_key: "trip-9/2026-11-03".into(),
            service_name: "G101".into(),
            authority: Authority::Live,
            run: RUN,
            from_place: "BJP".into(),
            from_name: "北京南".into(),
            to_place: "AOH".into(),
            to_name: "上海虹桥".into(),
            departs: Instant(1_791_300_000_000_000),
            arrives: Instant(1_791_320_000_000_000),
            zone: "Asia/Shanghai".into(),
            class: 2,
        },
        passenger: PassengerNo(1),
        fare: Fare {
            price: money(55_300),
            fee: money(500),
            tariff: Version(77),
            refund_fee_bp: 2_000,
        },
        wanted: Some(UnitNo(411)),
        needs: Needs { wheelchair: true, window: false, aisle: true, together: false },
    }
}

fn card() -> CardOnFile {
    CardOnFile {
        card: CardId(0xC0FFEE << 64 | 5),
        tag: CardTag([0x5A; 16]),
        acquirer: AcquirerId(4),
    }
}

fn placed() -> Placed {
    Placed {
        at: Instant(1_790_111_222_333_444),
        operator: OperatorId(6),
        reference: Reference(*b"7K3M9QX2TB"),
        factor: [0x33; 16],
        card: card(),
        passengers: vec![
            Passenger { person: PersonId(0xFACE << 80), category: 1 },
            Passenger { person: PersonId(9), category: 2 },
        ],
        lines: vec![line_placed(), LinePlaced { wanted: None, ..line_placed() }],
        pickup: "BJP".into(),
        currency: Currency::CNY,
        expires: UNTIL,
        config: Version(12),
    }
}

pub(super) fn answered(reject: Option<Reject>) -> Answered {
    Answered {
        entity: Entity::Order(ORDER),
        command: CommandId(0xDEAD_BEEF << 90),
        fingerprint: [0x44; 16],
        reject,
    }
}

fn order_line_events() -> Vec<OrderEvent> {
    let (line, attempt, print) = (LineNo(3), Attempt(700), Attempt(2));
    let (terminal, session, ticket) =
        (TerminalId(70_001), SessionId(1 << 40), TicketNumber(1 << 52));
    vec![
        OrderEvent::Placed(Box::new(placed())),
        OrderEvent::HoldAsked { line, attempt },
        OrderEvent::LineHeld { line, attempt, unit: UnitNo(411), seat: seat(), until: UNTIL },
        OrderEvent::LineEnded { line, attempt, why: LineEnd::SoldOut },
        OrderEvent::ProviderBooked { line, attempt, booking: "PNR42".into() },
        OrderEvent::ReleaseAsked { line, attempt, why: LineEnd::Cancelled },
        OrderEvent::LineReleased { line, attempt },
        OrderEvent::ProviderAsked { line, attempt, op: ProviderStep::Hold },
        OrderEvent::ProviderDone { line, attempt, op: ProviderStep::Confirm },
        OrderEvent::ProviderRefused { line, attempt, op: ProviderStep::Release, code: 5 },
        OrderEvent::ServiceDone { line, attempt, op: ProviderStep::Refund },
        OrderEvent::ConfirmAsked { line, until: UNTIL },
        OrderEvent::LineConfirmed { line },
        OrderEvent::IssueTold { line, print, ticket, terminal, session, deadline: UNTIL },
        OrderEvent::LineIssued { line, print, proof: PROOF },
        OrderEvent::PrintFailed { line, print, fault: PrintFault::Jam },
        OrderEvent::PrintInDoubt { line, print, until: UNTIL },
        OrderEvent::TicketSpoiled { line, print, ticket },
        OrderEvent::TicketTaken { line, taken: true },
        OrderEvent::CancelAsked,
        OrderEvent::Parked { reason: 901 },
        OrderEvent::Unparked,
        OrderEvent::Closed,
        OrderEvent::ExchangeAsked {
            line,
            by: LineNo(4),
            new: Box::new(line_placed()),
            expires: UNTIL,
        },
        OrderEvent::ExchangeEnded { line },
        OrderEvent::LineDisrupted { line, until: UNTIL },
        OrderEvent::NotShown { line },
    ]
}

fn order_payment_events() -> Vec<OrderEvent> {
    let (payment, line, refund) = (PaymentNo(5), LineNo(3), RefundNo(8));
    let (terminal, session) = (TerminalId(70_001), SessionId(1 << 40));
    let (numbers, original, step) = (NUMBERS, ORIGINAL, BankStep::Completion);
    vec![
        OrderEvent::PaymentStarted {
            payment,
            terminal,
            session,
            acquirer: AcquirerId(4),
            tender: Tender::Card(card()),
            flow: Flow::TwoStep,
            amount: money(55_800),
            lines: vec![LineNo(0), LineNo(3)],
            until: UNTIL,
            config: Version(13),
        },
        OrderEvent::HoldPinned { payment, line },
        OrderEvent::AuthorizationAsked { payment, numbers, not_after: UNTIL },
        OrderEvent::Authorized { payment, auth: AUTH },
        OrderEvent::PinAsked { payment, pin_try: 2, until: UNTIL },
        OrderEvent::CompletionAsked { payment, pin_try: 2, numbers, not_after: UNTIL },
        OrderEvent::PinRefused { payment, pin_try: 2 },
        OrderEvent::Completed { payment, auth: AUTH, date: DATE, bank_date: Some(BusinessDate(1)) },
        OrderEvent::BankInDoubt { payment, step },
        OrderEvent::ReversalAsked {
            payment,
            step,
            original,
            numbers,
            auth: Some(AUTH),
            amount: money(55_800),
            why: PaymentEnd::Declined(ResponseCode(*b"51")),
        },
        OrderEvent::Reversed { payment, step: BankStep::Authorization },
        OrderEvent::PaymentEnded { payment, why: PaymentEnd::HoldLost },
        OrderEvent::RefundAsked {
            refund,
            payment,
            line,
            amount: money(44_640),
            original,
            numbers,
            why: LineEnd::NotPrinted,
        },
        OrderEvent::Refunded { refund, date: DATE },
        OrderEvent::RefundRefused { refund, code: ResponseCode(*b"57") },
        OrderEvent::ReceiptTold { payment, terminal, session, number: 1 << 33 },
        OrderEvent::ReceiptReported { payment, printed: true },
        OrderEvent::StaleAnswer { payment, step, approved: true },
    ]
}

fn inventory_events() -> Vec<InventoryEvent> {
    let (hold, until) = (HOLD, UNTIL);
    vec![
        InventoryEvent::Opened(Box::new(spec())),
        InventoryEvent::Held { hold, unit: UnitNo(411), run: RUN, until },
        InventoryEvent::Refused { hold, why: LineEnd::SeatTaken },
        InventoryEvent::Pinned { hold, at: until },
        InventoryEvent::Unpinned { hold, until },
        InventoryEvent::Confirmed { hold },
        InventoryEvent::Released { hold, why: LineEnd::OrderAbandoned },
        InventoryEvent::Expired { hold },
        InventoryEvent::TombstoneDropped { hold },
    ]
}

fn terminal_events() -> Vec<TerminalEvent> {
    vec![
        TerminalEvent::Registered {
            operator: OperatorId(6),
            owner: 90_000,
            place: "BJP".into(),
            place_name: "北京南".into(),
            code_digest: [0x66; 32],
            until: UNTIL,
        },
        TerminalEvent::Enrolled { key: [0x77; 32] },
        TerminalEvent::Revoked,
        TerminalEvent::Connected { at: UNTIL, version: 300 },
        TerminalEvent::Disconnected { at: UNTIL },
        TerminalEvent::DeviceReported { device: 1, state: 2, supply: 3, at: UNTIL },
    ]
}

fn settlement_events() -> Vec<SettlementEvent> {
    let (operator, acquirer, date) = (OperatorId(6), AcquirerId(4), DATE);
    let exception = ExceptionRaised {
        id: 0x0BAD,
        kind: ExceptionKind::Amount,
        order: Some(ORDER),
        rrn: NUMBERS.rrn,
        ours: Some(money(55_800)),
        theirs: None,
        owner: 2,
        since: UNTIL,
    };
    vec![
        SettlementEvent::CutOver {
            operator,
            acquirer,
            closes: date,
            opens: BusinessDate(20_261_104),
        },
        SettlementEvent::BatchOpened { operator, acquirer, date, partitions: 2 },
        SettlementEvent::PartitionPassed { operator, acquirer, date, partition: PartitionId(1) },
        SettlementEvent::BatchClosed {
            operator,
            acquirer,
            date,
            lines: 99_999,
            debit: money(1_000_001),
            credit: money(2_002),
            digest: [0x88; 32],
        },
        SettlementEvent::Reconciled {
            operator,
            acquirer,
            date,
            source: [0x99; 32],
            matched: 99_995,
            exceptions: vec![exception.clone()],
        },
        SettlementEvent::ExceptionEnded { operator, acquirer, date, id: 0x0BAD, how: 7 },
        SettlementEvent::ExceptionRaised { operator, acquirer, date, exception: exception.clone() },
    ]
}

fn network_events() -> Vec<NetworkEvent> {
    vec![NetworkEvent::Configured(Revision {
        version: Version(14),
        level: Level::Terminal(TerminalId(70_001)),
        from: UNTIL,
        settings: Settings {
            group: Some(GroupId(80_000)),
            hold_s: Some(3_600),
            close_before_s: Some(301),
            payment_s: Some(181),
            prompt_s: None,
            language: Some("zh-Hans".into()),
        },
    })]
}

fn messages() -> Vec<Message> {
    let (service, hold, payment, until) = (SERVICE, HOLD, PaymentNo(5), UNTIL);
    let (operator, acquirer, closes) = (OperatorId(6), AcquirerId(4), DATE);
    vec![
        Message::Hold(Box::new(HoldRequest {
            service,
            hold,
            run: RUN,
            class: 2,
            wanted: Some(UnitNo(411)),
            needs: Needs { wheelchair: false, window: true, aisle: false, together: true },
            until,
            spec: Some(spec()),
        })),
        Message::Pin { service, hold, payment },
        Message::Unpin { service, hold },
        Message::Confirm { service, hold },
        Message::Release { service, hold, why: LineEnd::Expired },
        Message::Held { hold, unit: UnitNo(411), seat: seat(), until },
        Message::HoldRefused { hold, why: LineEnd::SoldOut },
        Message::Pinned { hold, payment, ok: true },
        Message::Confirmed { hold, ok: true },
        Message::Released { hold },
        Message::HoldExpired { hold },
        Message::CutOver { operator, acquirer, closes, opens: BusinessDate(20_261_104) },
        Message::CutOverPassed { operator, acquirer, closes, partition: PartitionId(1) },
    ]
}

fn postings() -> Vec<Posting> {
    let account = |kind| Account { operator: OperatorId(6), kind, currency: Currency::CNY };
    let leg = |kind, side, minor| Leg { account: account(kind), side, amount: money(minor) };
    let legs = vec![
        leg(AccountKind::CustomerDeposit, Side::Debit, 55_800),
        leg(AccountKind::ProviderPayable(ProviderId(17)), Side::Credit, 55_300),
        leg(AccountKind::FeeRevenue, Side::Credit, 500),
    ];
    vec![
        Posting {
            order: ORDER,
            key: PostingKey::Issue(LineNo(3)),
            kind: PostingKind::Direct,
            date: Some(DATE),
            legs,
        },
        Posting {
            order: ORDER,
            key: PostingKey::Payment(PaymentNo(5)),
            kind: PostingKind::Pending,
            date: None,
            legs: vec![
                leg(AccountKind::AcquirerReceivable(AcquirerId(4)), Side::Debit, 55_800),
                leg(AccountKind::CustomerDeposit, Side::Credit, 55_800),
            ],
        },
    ]
}

/// At least one event of every variant, nested enums included.
pub(super) fn events() -> Vec<Event> {
    let order = order_line_events().into_iter().chain(order_payment_events());
    let mut events: Vec<Event> = order.map(|fact| Event::Order(ORDER, fact)).collect();
    events.extend(inventory_events().into_iter().map(|fact| Event::Inventory(SERVICE, fact)));
    events.extend(
        terminal_events().into_iter().map(|fact| Event::Terminal(TerminalId(70_001), fact)),
    );
    events.extend(settlement_events().into_iter().map(Event::Settlement));
    events.extend(network_events().into_iter().map(|fact| Event::Network(OperatorId(6), fact)));
    events.extend(postings().into_iter().map(Event::Ledger));
    events.push(Event::Answered(answered(None)));
    events.push(Event::Answered(answered(Some(Reject::HoldEnding))));
    events.extend(messages().into_iter().zip(1_u64..).map(|(message, n)| Event::Sent {
        to: Slot::new(0x123),
        partition: PartitionId(1),
        n: n + 1_000,
        message,
    }));
    events.push(Event::Received { from: PartitionId(1), n: 5_000 });
    events.push(Event::Acknowledged { by: PartitionId(1), n: 4_999 });
    events
}

/// A batch with these events under one command.
pub(super) fn batch(events: Vec<Event>) -> Batch {
    Batch {
        entries: vec![Entry {
            command: CommandId(0xDEAD_BEEF << 90),
            at: Instant(1_790_111_222_333_444),
            principal: Principal { role: Role::Terminal, id: 70_001 },
            second: Some(Principal { role: Role::Operator, id: 1_234 }),
            channel: Channel::Console,
            reason: 902,
            events,
        }],
    }
}

fn line_phases() -> Vec<LinePhase> {
    let place = || HeldPlace { unit: UnitNo(411), seat: seat(), until: UNTIL };
    let (print, ticket, terminal, session) =
        (Attempt(2), TicketNumber(1 << 52), TerminalId(70_001), SessionId(1 << 40));
    vec![
        LinePhase::Asking,
        LinePhase::Held(place()),
        LinePhase::Pinned(place()),
        LinePhase::Confirming { place: place(), until: UNTIL },
        LinePhase::Confirmed(place()),
        LinePhase::Issuing { place: place(), print, ticket, terminal, session, deadline: UNTIL },
        LinePhase::PrintInDoubt { place: place(), print, ticket, terminal, session, until: UNTIL },
        LinePhase::NotPrinted { place: place(), print, fault: PrintFault::NoPaper },
        LinePhase::Issued { place: place(), ticket, terminal, proof: PROOF },
        LinePhase::Releasing { why: LineEnd::Disrupted },
        LinePhase::Ended { why: LineEnd::Refunded },
        LinePhase::Exchanging {
            place: place(),
            ticket,
            terminal,
            proof: PROOF,
            by: LineNo(4),
            until: Some(UNTIL),
        },
        LinePhase::Disrupted { place: place(), ticket, terminal, proof: PROOF, until: UNTIL },
        LinePhase::NoShow { place: place(), ticket, terminal, proof: PROOF },
    ]
}

fn payment_phases() -> Vec<PaymentPhase> {
    vec![
        PaymentPhase::Pinning { missing: vec![LineNo(1), LineNo(2)], until: UNTIL },
        PaymentPhase::Authorizing { not_after: UNTIL },
        PaymentPhase::AwaitingPin { pin_try: 2, until: UNTIL },
        PaymentPhase::Completing { pin_try: 3, not_after: UNTIL },
        PaymentPhase::Completed { date: DATE, bank_date: Some(BusinessDate(20_261_104)) },
        PaymentPhase::Reversing {
            step: BankStep::Completion,
            numbers: NUMBERS,
            then: Some(BankStep::Authorization),
            why: PaymentEnd::TimedOut,
        },
        PaymentPhase::Ended { why: PaymentEnd::PinTriesExceeded },
    ]
}

/// An order with a line and a payment in every phase.
pub(super) fn settlement_line() -> SettlementLine {
    SettlementLine {
        operator: OperatorId(6),
        acquirer: AcquirerId(4),
        date: DATE,
        bank_date: Some(BusinessDate(20_261_104)),
        order: ORDER,
        source: LineSource::Refund(RefundNo(2)),
        rrn: NUMBERS.rrn,
        stan: NUMBERS.stan,
        sent: NUMBERS.at,
        auth: Some(AUTH),
        terminal: TerminalId(12),
        amount: money(10_500),
        kind: LineKind::Credit,
    }
}

pub(super) fn order() -> Order {
    let line = |phase| Line {
        placed: line_placed(),
        expires: UNTIL,
        attempt: Attempt(700),
        booking: Some("PNR42".into()),
        phase,
        prints: 2,
        service: Grip::Asked(ProviderStep::Confirm),
        provider: Grip::Refused(4),
        spoiled: vec![TicketNumber(1 << 51)],
        taken: Some(false),
    };
    let payment = |phase| Payment {
        terminal: TerminalId(70_001),
        session: SessionId(1 << 40),
        acquirer: AcquirerId(4),
        tender: Tender::Card(card()),
        flow: Flow::OneStep,
        amount: money(55_800),
        lines: vec![LineNo(0), LineNo(3)],
        authorization: Some(ORIGINAL),
        completion: Some(NUMBERS),
        tries: vec![ORIGINAL, NUMBERS],
        reversed: vec![Stan(123_455)],
        auth: Some(AUTH),
        phase,
        receipt_number: Some(1 << 33),
        receipt: Some(true),
        config: Version(13),
    };
    Order {
        id: ORDER,
        placed: Box::new(placed()),
        lines: line_phases().into_iter().map(line).collect(),
        payments: payment_phases().into_iter().map(payment).collect(),
        refunds: vec![Refund {
            payment: PaymentNo(5),
            line: LineNo(3),
            amount: money(44_640),
            numbers: NUMBERS,
            why: LineEnd::NotPrinted,
            done: Some(DATE),
            refused: Some(ResponseCode(*b"57")),
        }],
        version: 1 << 35,
        parked: Some(901),
        closed: true,
        answered: [answered(None), answered(Some(Reject::Broken))].into(),
    }
}
