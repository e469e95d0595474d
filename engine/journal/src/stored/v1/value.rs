//! The values inside events and states.

use guichet_engine::{command, event, ids, money, network};

use crate::stored::StoredError;
use crate::stored::form::{Form, form};

/// An order's or service's id: slot and unique number.
pub(crate) type Slotted = (u16, u64);

/// Minor units, and the currency's ISO 4217 number.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Money {
    pub(crate) minor: i64,
    pub(crate) currency: u16,
}

impl Form<money::Money> for Money {
    fn store(value: &money::Money) -> Self {
        Self { minor: value.minor(), currency: value.currency().numeric() }
    }
    fn restore(self) -> Result<money::Money, StoredError> {
        money::Money::new(self.minor, self.currency.restore()?)
            .map_err(|_| StoredError::Value("amount"))
    }
}

form!(struct HoldId = ids::HoldId { order: Slotted, line: u8, attempt: u16 });
form!(struct Run = event::Run { from: u16, to: u16 });
form!(struct Seat = event::Seat { coach: String, seat: String });
form!(enum Authority = event::Authority { 1 => Allotted, 2 => Live });
form!(enum ProviderKind = event::ProviderKind {
    1 => Train,
    2 => Plane,
    3 => Coach,
    4 => Ship,
    5 => Entertainment,
    6 => Tourism,
    7 => Hotel,
    8 => Catering,
});
form!(struct Product = event::Product {
    provider: u16,
    kind: ProviderKind,
    service: Slotted,
    service_key: String,
    service_name: String,
    authority: Authority,
    run: Run,
    from_place: String,
    from_name: String,
    to_place: String,
    to_name: String,
    departs: i64,
    arrives: i64,
    zone: String,
    class: u8,
});
form!(struct Fare = event::Fare {
    price: Money,
    fee: Money,
    tariff: u32,
    refund_fee_bp: u16,
});
form!(struct Needs = event::Needs {
    wheelchair: bool,
    window: bool,
    aisle: bool,
    together: bool,
});
form!(struct LinePlaced = event::LinePlaced {
    product: Product,
    passenger: u8,
    fare: Fare,
    wanted: Option<u16>,
    needs: Needs,
});
form!(struct Passenger = event::Passenger { person: u128, category: u8 });
form!(struct CardOnFile = event::CardOnFile { card: u128, tag: [u8; 16], acquirer: u16 });
form!(enum Tender = event::Tender { 1 => Card(card: CardOnFile) });
form!(struct Placed = event::Placed {
    at: i64,
    operator: u16,
    reference: [u8; 10],
    factor: [u8; 16],
    card: CardOnFile,
    passengers: Vec<Passenger>,
    lines: Vec<LinePlaced>,
    pickup: String,
    currency: u16,
    expires: i64,
    config: u32,
});
form!(enum Flow = event::Flow { 1 => TwoStep, 2 => OneStep });
form!(struct BankNumbers = event::BankNumbers { stan: u32, rrn: [u8; 12], at: i64 });
form!(enum BankStep = event::BankStep { 1 => Authorization, 2 => Completion });
form!(enum ProviderStep = command::ProviderStep {
    1 => Hold,
    2 => Confirm,
    3 => Release,
    4 => Refund,
});
form!(enum PaymentEnd = event::PaymentEnd {
    1 => Declined(code: [u8; 2]),
    2 => PinTriesExceeded,
    3 => Cancelled,
    4 => TimedOut,
    5 => SessionLost,
    6 => InDoubt,
    7 => NotSent,
    8 => HoldLost,
});
form!(enum LineEnd = event::LineEnd {
    1 => SoldOut,
    2 => SeatTaken,
    3 => ProviderRefused,
    4 => Expired,
    5 => Cancelled,
    6 => OrderAbandoned,
    7 => NotPrinted,
    8 => Disrupted,
    9 => Refunded,
    10 => Exchanged,
    11 => Voided,
});
form!(struct PrintProof = event::PrintProof {
    counter: u64,
    printer_word: bool,
    media_seen: bool,
});
form!(enum PrintFault = event::PrintFault {
    1 => Jam,
    2 => NoPaper,
    3 => Device,
    4 => Offline,
    5 => Expired,
    6 => Refused,
});
form!(struct Unit = event::Unit {
    seat: Seat,
    class: u8,
    window: bool,
    aisle: bool,
    wheelchair: bool,
});
form!(struct ServiceSpec = event::ServiceSpec {
    provider: u16,
    key: String,
    slots: u16,
    units: Vec<Unit>,
    ends: i64,
});
form!(enum AccountKind = event::AccountKind {
    1 => AcquirerReceivable(acquirer: u16),
    2 => CustomerDeposit,
    3 => ProviderPayable(provider: u16),
    4 => FeeRevenue,
    5 => RefundPayable,
    6 => Suspense,
});
form!(struct Account = event::Account { operator: u16, kind: AccountKind, currency: u16 });
form!(enum Side = event::Side { 1 => Debit, 2 => Credit });
form!(struct Leg = event::Leg { account: Account, side: Side, amount: Money });
form!(enum PostingKind = event::PostingKind { 1 => Pending, 2 => Post, 3 => Void, 4 => Direct });
form!(enum PostingKey = event::PostingKey {
    1 => Payment(payment: u8),
    2 => Issue(line: u8),
    3 => RefundDue(refund: u8),
    4 => RefundDone(refund: u8),
});
form!(struct Posting = event::Posting {
    order: Slotted,
    key: PostingKey,
    kind: PostingKind,
    date: Option<u32>,
    legs: Vec<Leg>,
});
form!(enum ExceptionKind = event::ExceptionKind {
    1 => Long,
    2 => Short,
    3 => Amount,
    4 => Status,
    5 => Duplicate,
    6 => DayShift,
    7 => Currency,
    8 => UnmatchedApproval,
});
form!(struct ExceptionRaised = event::ExceptionRaised {
    id: u64,
    kind: ExceptionKind,
    order: Option<Slotted>,
    rrn: [u8; 12],
    ours: Option<Money>,
    theirs: Option<Money>,
    owner: u8,
    since: i64,
});
form!(enum Entity = event::Entity {
    1 => Order(order: Slotted),
    2 => Service(service: Slotted),
    3 => Terminal(terminal: u32),
    4 => Settlement(acquirer: u16),
    5 => Network(operator: u16),
});
form!(enum Level = network::Level {
    1 => Operator,
    2 => Group(group: u32),
    3 => Terminal(terminal: u32),
});
form!(struct Settings = network::Settings {
    group: Option<u32>,
    hold_s: Option<u32>,
    close_before_s: Option<u32>,
    payment_s: Option<u32>,
    prompt_s: Option<u32>,
    language: Option<String>,
});
form!(struct Revision = network::Revision {
    version: u32,
    level: Level,
    from: i64,
    settings: Settings,
});
form!(struct Answered = event::Answered {
    entity: Entity,
    command: u128,
    fingerprint: [u8; 16],
    reject: Option<u16>,
});
