//! The facts of a journal.

use guichet_engine::{event, message};

use super::value::*;
use crate::stored::form::form;

form!(enum Event = event::Event {
    1 => Order(order: Slotted, fact: OrderEvent),
    2 => Inventory(service: Slotted, fact: InventoryEvent),
    3 => Terminal(terminal: u32, fact: TerminalEvent),
    4 => Ledger(posting: Posting),
    5 => Settlement(fact: SettlementEvent),
    6 => Answered(answered: Answered),
    7 => Sent { to: u16, partition: u16, n: u64, message: Message },
    8 => Received { from: u16, n: u64 },
    9 => Acknowledged { by: u16, n: u64 },
    10 => Network(operator: u16, fact: NetworkEvent),
});

form!(enum OrderEvent = event::OrderEvent {
    1 => Placed(placed: Box<Placed>),
    2 => HoldAsked { line: u8, attempt: u16 },
    3 => LineHeld { line: u8, attempt: u16, unit: u16, seat: Seat, until: i64 },
    4 => LineEnded { line: u8, attempt: u16, why: LineEnd },
    5 => ProviderBooked { line: u8, attempt: u16, booking: String },
    6 => ReleaseAsked { line: u8, attempt: u16, why: LineEnd },
    7 => LineReleased { line: u8, attempt: u16 },
    8 => PaymentStarted {
        payment: u8,
        terminal: u32,
        session: u64,
        acquirer: u16,
        tender: Tender,
        flow: Flow,
        amount: Money,
        lines: Vec<u8>,
        until: i64,
        config: u32,
    },
    9 => HoldPinned { payment: u8, line: u8 },
    10 => AuthorizationAsked { payment: u8, numbers: BankNumbers, not_after: i64 },
    11 => Authorized { payment: u8, auth: [u8; 6] },
    12 => PinAsked { payment: u8, pin_try: u8, until: i64 },
    13 => CompletionAsked { payment: u8, pin_try: u8, numbers: BankNumbers, not_after: i64 },
    14 => PinRefused { payment: u8, pin_try: u8 },
    15 => Completed { payment: u8, auth: [u8; 6], date: u32, bank_date: Option<u32> },
    16 => BankInDoubt { payment: u8, step: BankStep },
    17 => ReversalAsked {
        payment: u8,
        step: BankStep,
        original: BankNumbers,
        numbers: BankNumbers,
        auth: Option<[u8; 6]>,
        amount: Money,
        why: PaymentEnd,
    },
    18 => Reversed { payment: u8, step: BankStep },
    19 => PaymentEnded { payment: u8, why: PaymentEnd },
    20 => ConfirmAsked { line: u8, until: i64 },
    21 => LineConfirmed { line: u8 },
    22 => IssueTold {
        line: u8,
        print: u16,
        ticket: u64,
        terminal: u32,
        session: u64,
        deadline: i64,
    },
    23 => LineIssued { line: u8, print: u16, proof: PrintProof },
    24 => PrintFailed { line: u8, print: u16, fault: PrintFault },
    25 => PrintInDoubt { line: u8, print: u16, until: i64 },
    26 => TicketSpoiled { line: u8, print: u16, ticket: u64 },
    27 => TicketTaken { line: u8, taken: bool },
    28 => RefundAsked {
        refund: u8,
        payment: u8,
        line: u8,
        amount: Money,
        original: BankNumbers,
        numbers: BankNumbers,
        why: LineEnd,
    },
    29 => Refunded { refund: u8, date: u32 },
    30 => ReceiptTold { payment: u8, terminal: u32, session: u64, number: u64 },
    31 => ReceiptReported { payment: u8, printed: bool },
    32 => CancelAsked,
    33 => StaleAnswer { payment: u8, step: BankStep, approved: bool },
    34 => Parked { reason: u16 },
    35 => Unparked,
    36 => Closed,
    37 => ProviderAsked { line: u8, attempt: u16, op: ProviderStep },
    38 => ProviderDone { line: u8, attempt: u16, op: ProviderStep },
    39 => ProviderRefused { line: u8, attempt: u16, op: ProviderStep, code: u8 },
    40 => ServiceDone { line: u8, attempt: u16, op: ProviderStep },
    41 => RefundRefused { refund: u8, code: [u8; 2] },
    42 => ExchangeAsked { line: u8, by: u8, new: Box<LinePlaced>, expires: i64 },
    43 => ExchangeEnded { line: u8 },
    44 => LineDisrupted { line: u8, until: i64 },
    45 => NotShown { line: u8 },
});

form!(enum InventoryEvent = event::InventoryEvent {
    1 => Opened(spec: Box<ServiceSpec>),
    2 => Held { hold: HoldId, unit: u16, run: Run, until: i64 },
    3 => Refused { hold: HoldId, why: LineEnd },
    4 => Pinned { hold: HoldId, at: i64 },
    5 => Unpinned { hold: HoldId, until: i64 },
    6 => Confirmed { hold: HoldId },
    7 => Released { hold: HoldId, why: LineEnd },
    8 => Expired { hold: HoldId },
    9 => TombstoneDropped { hold: HoldId },
});

form!(enum TerminalEvent = event::TerminalEvent {
    1 => Registered {
        operator: u16,
        owner: u32,
        place: String,
        place_name: String,
        code_digest: [u8; 32],
        until: i64,
    },
    2 => Enrolled { key: [u8; 32] },
    3 => Revoked,
    4 => Connected { at: i64, version: u16 },
    5 => Disconnected { at: i64 },
    6 => DeviceReported { device: u8, state: u8, supply: u8, at: i64 },
});

form!(enum NetworkEvent = event::NetworkEvent { 1 => Configured(revision: Revision) });

form!(enum SettlementEvent = event::SettlementEvent {
    1 => CutOver { operator: u16, acquirer: u16, closes: u32, opens: u32 },
    2 => BatchOpened { operator: u16, acquirer: u16, date: u32, partitions: u16 },
    3 => PartitionPassed { operator: u16, acquirer: u16, date: u32, partition: u16 },
    4 => BatchClosed {
        operator: u16,
        acquirer: u16,
        date: u32,
        lines: u32,
        debit: Money,
        credit: Money,
        digest: [u8; 32],
    },
    5 => Reconciled {
        operator: u16,
        acquirer: u16,
        date: u32,
        source: [u8; 32],
        matched: u32,
        exceptions: Vec<ExceptionRaised>,
    },
    6 => ExceptionEnded { operator: u16, acquirer: u16, date: u32, id: u64, how: u16 },
    7 => ExceptionRaised {
        operator: u16,
        acquirer: u16,
        date: u32,
        exception: ExceptionRaised,
    },
});

form!(enum Message = message::Message {
    1 => Hold(request: Box<HoldRequest>),
    2 => Pin { service: Slotted, hold: HoldId, payment: u8 },
    3 => Unpin { service: Slotted, hold: HoldId },
    4 => Confirm { service: Slotted, hold: HoldId },
    5 => Release { service: Slotted, hold: HoldId, why: LineEnd },
    6 => Held { hold: HoldId, unit: u16, seat: Seat, until: i64 },
    7 => HoldRefused { hold: HoldId, why: LineEnd },
    8 => Pinned { hold: HoldId, payment: u8, ok: bool },
    9 => Confirmed { hold: HoldId, ok: bool },
    10 => Released { hold: HoldId },
    11 => HoldExpired { hold: HoldId },
    12 => CutOver { operator: u16, acquirer: u16, closes: u32, opens: u32 },
    13 => CutOverPassed { operator: u16, acquirer: u16, closes: u32, partition: u16 },
});

form!(struct HoldRequest = message::HoldRequest {
    service: Slotted,
    hold: HoldId,
    run: Run,
    class: u8,
    wanted: Option<u16>,
    needs: Needs,
    until: i64,
    spec: Option<ServiceSpec>,
});
