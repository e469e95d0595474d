//! What happened: past participles. Events are the only thing that changes state, and are kept for ever.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use crate::command::ProviderStep;
use crate::ids::{
    AcquirerId, Attempt, AuthCode, CardId, CardTag, CommandId, HoldId, LineNo, OperatorId, OrderId,
    PartitionId, PassengerNo, PaymentNo, PersonId, ProviderId, Reference, RefundNo, ResponseCode,
    Rrn, ServiceId, SessionId, Slot, Stan, TerminalId, TicketNumber, UnitNo, Version,
};
use crate::message::Message;
use crate::money::{Currency, Money};
use crate::reject::Reject;
use crate::time::{BusinessDate, Instant};

/// One fact of a partition's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A fact of an order.
    Order(OrderId, OrderEvent),
    /// A fact of a service's inventory.
    Inventory(ServiceId, InventoryEvent),
    /// A fact of a terminal.
    Terminal(TerminalId, TerminalEvent),
    /// A double entry in this partition's books.
    Ledger(Posting),
    /// A fact of settlement.
    Settlement(SettlementEvent),
    /// A fact of a network's configuration.
    Network(OperatorId, NetworkEvent),
    /// A command was answered; kept with the entity, so that a repetition gets the same answer.
    Answered(Answered),
    /// A message to the partition that owns `to`, number `n` from this partition to that one, from 1.
    Sent {
        /// The slot addressed.
        to: Slot,
        /// The receiving partition.
        partition: PartitionId,
        /// The number within (sender, receiver).
        n: u64,
        /// What is said.
        message: Message,
    },
    /// Messages up to `n` of the partition `from` have been taken in.
    Received {
        /// The sender.
        from: PartitionId,
        /// Its number.
        n: u64,
    },
    /// The partition `by` has confirmed our messages up to `n`; they need not be repeated.
    Acknowledged {
        /// The receiver.
        by: PartitionId,
        /// The highest number it took in.
        n: u64,
    },
}

/// The recorded answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The entity that remembers it.
    pub entity: Entity,
    /// The command's id.
    pub command: CommandId,
    /// A digest of what the client said (time and generated ids apart).
    pub fingerprint: [u8; 16],
    /// `None` when it was accepted.
    pub reject: Option<Reject>,
}

/// What a command or a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// An order.
    Order(OrderId),
    /// A service.
    Service(ServiceId),
    /// A terminal.
    Terminal(TerminalId),
    /// A partition's settlement with an acquirer.
    Settlement(AcquirerId),
    /// An operator's network.
    Network(OperatorId),
}

/// Who gives inventory out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authority {
    /// Our inventory decides and the provider is told.
    Allotted,
    /// The provider decides; ours is a mirror.
    Live,
}

/// The kinds of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderKind {
    /// Railways.
    Train,
    /// Airlines.
    Plane,
    /// Coaches and buses.
    Coach,
    /// Ships and ferries.
    Ship,
    /// Cinema, concert, theatre.
    Entertainment,
    /// Sights and tours.
    Tourism,
    /// Hotels.
    Hotel,
    /// Restaurants.
    Catering,
}

/// A run of slots (legs, nights …), `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// First slot.
    pub from: u16,
    /// One past the last slot.
    pub to: u16,
}

/// A seat as people read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// Coach, deck, room floor, section; may be empty.
    pub coach: String,
    /// Seat, room, table; may be empty for plain admission.
    pub seat: String,
}

/// What was sold, frozen: codes, places and times as the provider gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The provider.
    pub provider: ProviderId,
    /// The kind of provider.
    pub kind: ProviderKind,
    /// The service.
    pub service: ServiceId,
    /// The provider's own key of the service (its trip and date).
    pub service_key: String,
    /// What people call it (`G101`, `ICE 578`).
    pub service_name: String,
    /// Who decides about its places.
    pub authority: Authority,
    /// The slots sold.
    pub run: Run,
    /// The provider's code of the place where it begins.
    pub from_place: String,
    /// Its name.
    pub from_name: String,
    /// The provider's code of the place where it ends.
    pub to_place: String,
    /// Its name.
    pub to_name: String,
    /// Departure.
    pub departs: Instant,
    /// Arrival.
    pub arrives: Instant,
    /// IANA name of the zone that local times are shown in.
    pub zone: String,
    /// Travel class, 1 is best.
    pub class: u8,
}

/// Price, fee and after-sale rule, frozen into the order with the tariff's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fare {
    /// What the provider is owed.
    pub price: Money,
    /// What the operator keeps.
    pub fee: Money,
    /// The tariff's version.
    pub tariff: Version,
    /// What a refund before departure keeps back, in basis points of the price.
    pub refund_fee_bp: u16,
}

/// Needs of a passenger on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A place for a wheelchair.
    pub wheelchair: bool,
    /// Wants a window.
    pub window: bool,
    /// Wants an aisle.
    pub aisle: bool,
    /// Keep together with the other lines of the order.
    pub together: bool,
}

/// One line as placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePlaced {
    /// What is sold.
    pub product: Product,
    /// For whom.
    pub passenger: PassengerNo,
    /// At which price.
    pub fare: Fare,
    /// The place the person picked, when one was picked.
    pub wanted: Option<UnitNo>,
    /// What the passenger needs.
    pub needs: Needs,
}

/// A passenger: only a pointer to the member store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passenger {
    /// Whose name and document it is.
    pub person: PersonId,
    /// Adult, child …: the provider's code.
    pub category: u8,
}

/// What a payment is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tender {
    /// A bank card.
    Card(CardOnFile),
}

/// The card an order is to be paid with: pointers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardOnFile {
    /// Where the PAN lies.
    pub card: CardId,
    /// The tag under which a swipe finds the order.
    pub tag: CardTag,
    /// The acquirer that handles it.
    pub acquirer: AcquirerId,
}

/// Everything about an order when it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// When.
    pub at: Instant,
    /// In whose network.
    pub operator: OperatorId,
    /// The reference people use.
    pub reference: Reference,
    /// A keyed digest of the second factor.
    pub factor: [u8; 16],
    /// The card to pay with.
    pub card: CardOnFile,
    /// Who travels.
    pub passengers: Vec<Passenger>,
    /// What is sold.
    pub lines: Vec<LinePlaced>,
    /// The provider's code of the station chosen for pickup.
    pub pickup: String,
    /// The order's currency.
    pub currency: Currency,
    /// When unpaid holds end.
    pub expires: Instant,
    /// The configuration's version.
    pub config: Version,
}

/// How a card payment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// 0100 holds the amount, then 0200 with the PIN completes the hold.
    TwoStep,
    /// One 0200 with the PIN.
    OneStep,
}

/// The numbers of one bank message, allocated by the engine and journaled with the intent that uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankNumbers {
    /// DE 11.
    pub stan: Stan,
    /// DE 37, the same for hold and completion.
    pub rrn: Rrn,
    /// DE 7 is this instant in UTC.
    pub at: Instant,
}

/// Which message of a payment is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BankStep {
    /// 0100, the hold.
    Authorization,
    /// 0200, the completion (or the whole payment in one step).
    Completion,
}

/// Why a payment ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PaymentEnd {
    /// The bank said no (DE 39).
    Declined(ResponseCode),
    /// The last wrong PIN.
    PinTriesExceeded,
    /// The person cancelled.
    Cancelled,
    /// Nobody answered a prompt.
    TimedOut,
    /// The terminal's session went away.
    SessionLost,
    /// The bank's answer was not had: reversed, outcome unknown until then.
    InDoubt,
    /// The message was never written (late, link down).
    NotSent,
    /// A hold could not be pinned.
    HoldLost,
}

/// Why a line ended without a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineEnd {
    /// No place was free.
    SoldOut,
    /// The place that was picked is taken.
    SeatTaken,
    /// The provider refused.
    ProviderRefused,
    /// The hold's time was over.
    Expired,
    /// The person cancelled.
    Cancelled,
    /// A neighbour line could not be held.
    OrderAbandoned,
    /// The ticket could not be printed.
    NotPrinted,
    /// The provider cancelled the service.
    Disrupted,
    /// The person gave it back after issue.
    Refunded,
    /// Another ticket was issued in its place.
    Exchanged,
    /// Two operators declared that the ticket never was.
    Voided,
}

/// What a printer's proof consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintProof {
    /// The printer's own count of finished tickets after this one.
    pub counter: u64,
    /// The printer answered "done" for the job.
    pub printer_word: bool,
    /// The sensor at the exit saw the medium.
    pub media_seen: bool,
}

/// Why a print did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrintFault {
    /// Medium jammed.
    Jam,
    /// Roll or stack empty.
    NoPaper,
    /// Cutter, head or another part is broken.
    Device,
    /// The printer does not answer.
    Offline,
    /// The instruction came after its deadline and was not carried out.
    Expired,
    /// The terminal refused it (wrong session, unknown line), or, asked about it, had never begun it and now never will.
    Refused,
}

/// Facts of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// It was placed.
    Placed(Box<Placed>),
    /// A place was asked for: from the service's partition (allotted) or from the provider (live).
    HoldAsked { line: LineNo, attempt: Attempt },
    /// The place is held.
    LineHeld { line: LineNo, attempt: Attempt, unit: UnitNo, seat: Seat, until: Instant },
    /// The place could not be held, or the hold ended.
    LineEnded { line: LineNo, attempt: Attempt, why: LineEnd },
    /// The provider is asked: to hold (live), to take note of our hold (allotted), to confirm, release or refund.
    ProviderAsked { line: LineNo, attempt: Attempt, op: ProviderStep },
    /// The provider has confirmed, released or refunded.
    ProviderDone { line: LineNo, attempt: Attempt, op: ProviderStep },
    /// The provider refused for good (codes of `ProviderOutcome::No`).
    ProviderRefused { line: LineNo, attempt: Attempt, op: ProviderStep, code: u8 },
    /// The service's partition has confirmed the hold, or (`Release`) does not have it any more.
    ServiceDone { line: LineNo, attempt: Attempt, op: ProviderStep },
    /// The provider knows of the hold under its own booking id.
    ProviderBooked { line: LineNo, attempt: Attempt, booking: String },
    /// The place is to be given back, to the service and the provider.
    ReleaseAsked { line: LineNo, attempt: Attempt, why: LineEnd },
    /// The place was given back (by the service, and by the provider if it knew).
    LineReleased { line: LineNo, attempt: Attempt },
    /// A person stands at a terminal and wants to pay and collect.
    PaymentStarted {
        payment: PaymentNo,
        terminal: TerminalId,
        session: SessionId,
        acquirer: AcquirerId,
        tender: Tender,
        flow: Flow,
        amount: Money,
        lines: Vec<LineNo>,
        until: Instant,
        config: Version,
    },
    /// The service's partition has pinned the hold for this payment.
    HoldPinned { payment: PaymentNo, line: LineNo },
    /// The 0100 is to be sent, once, before `not_after`.
    AuthorizationAsked { payment: PaymentNo, numbers: BankNumbers, not_after: Instant },
    /// The bank agreed to the hold.
    Authorized { payment: PaymentNo, auth: AuthCode },
    /// The terminal is to ask for the PIN.
    PinAsked { payment: PaymentNo, pin_try: u8, until: Instant },
    /// The 0200 is to be sent, once, before `not_after`.
    CompletionAsked { payment: PaymentNo, pin_try: u8, numbers: BankNumbers, not_after: Instant },
    /// The bank said the PIN is wrong and may be tried again.
    PinRefused { payment: PaymentNo, pin_try: u8 },
    /// The payment is complete; the business date is stamped here and nowhere else.
    Completed {
        payment: PaymentNo,
        auth: AuthCode,
        date: BusinessDate,
        bank_date: Option<BusinessDate>,
    },
    /// It is not known whether the bank carried a message out.
    BankInDoubt { payment: PaymentNo, step: BankStep },
    /// A message is to be reversed, until answered.
    ReversalAsked {
        payment: PaymentNo,
        step: BankStep,
        original: BankNumbers,
        numbers: BankNumbers,
        auth: Option<AuthCode>,
        amount: Money,
        why: PaymentEnd,
    },
    /// The bank has taken the reversal.
    Reversed { payment: PaymentNo, step: BankStep },
    /// The payment ended without money moved.
    PaymentEnded { payment: PaymentNo, why: PaymentEnd },
    /// The provider is to confirm the line; one that has not by `until` is not waited for.
    ConfirmAsked { line: LineNo, until: Instant },
    /// The provider has confirmed the line.
    LineConfirmed { line: LineNo },
    /// The terminal is told to print the ticket, before `deadline`, in this session.
    IssueTold {
        line: LineNo,
        print: Attempt,
        ticket: TicketNumber,
        terminal: TerminalId,
        session: SessionId,
        deadline: Instant,
    },
    /// The ticket was printed, with proof.
    LineIssued { line: LineNo, print: Attempt, proof: PrintProof },
    /// The ticket was surely not printed.
    PrintFailed { line: LineNo, print: Attempt, fault: PrintFault },
    /// It is not known whether the ticket was printed; counters, then an operator's count, until `until`.
    PrintInDoubt { line: LineNo, print: Attempt, until: Instant },
    /// The ticket's number is void and its code on the revocation list.
    TicketSpoiled { line: LineNo, print: Attempt, ticket: TicketNumber },
    /// The person took the ticket (`true`), or it was retracted or left.
    TicketTaken { line: LineNo, taken: bool },
    /// Money goes back for a line.
    RefundAsked {
        refund: RefundNo,
        payment: PaymentNo,
        line: LineNo,
        amount: Money,
        original: BankNumbers,
        numbers: BankNumbers,
        why: LineEnd,
    },
    /// The bank has taken the refund.
    Refunded { refund: RefundNo, date: BusinessDate },
    /// The bank refused the refund for good; the customer is still owed, and an exception says so.
    RefundRefused { refund: RefundNo, code: ResponseCode },
    /// The receipt is to be printed.
    ReceiptTold { payment: PaymentNo, terminal: TerminalId, session: SessionId, number: u64 },
    /// The receipt was printed, or not.
    ReceiptReported { payment: PaymentNo, printed: bool },
    /// The person cancelled the order.
    CancelAsked,
    /// An issued line is to be exchanged: line `by` is added, and its place is held until `expires` at most.
    ExchangeAsked { line: LineNo, by: LineNo, new: Box<LinePlaced>, expires: Instant },
    /// The exchange came to nothing; the ticket stands as before.
    ExchangeEnded { line: LineNo },
    /// The provider does not run the service of an issued ticket; until then the person may exchange it.
    LineDisrupted { line: LineNo, until: Instant },
    /// The service ran and the ticket was not used.
    NotShown { line: LineNo },
    /// An answer came for something the order no longer waits for.
    StaleAnswer { payment: PaymentNo, step: BankStep, approved: bool },
    /// The order is set aside for an operator after repeated faults of ours.
    Parked { reason: u16 },
    /// An operator has set it going again.
    Unparked,
    /// Nothing is open any more.
    Closed,
}

/// The layout and size of a service when the engine first met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The provider.
    pub provider: ProviderId,
    /// The provider's key.
    pub key: String,
    /// Number of slots (legs).
    pub slots: u16,
    /// Units of each class, in the order of their numbers: coach label, seat label, class, features.
    pub units: Vec<Unit>,
    /// The last moment a hold may last.
    pub ends: Instant,
}

/// One unit of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where it is.
    pub seat: Seat,
    /// Its class.
    pub class: u8,
    /// At a window.
    pub window: bool,
    /// At the aisle.
    pub aisle: bool,
    /// For a wheelchair.
    pub wheelchair: bool,
}

/// Facts of a service's inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryEvent {
    /// The service was first met.
    Opened(Box<ServiceSpec>),
    /// A place is held until then.
    Held { hold: HoldId, unit: UnitNo, run: Run, until: Instant },
    /// A hold was refused.
    Refused { hold: HoldId, why: LineEnd },
    /// The hold may not expire: a payment runs.
    Pinned { hold: HoldId, at: Instant },
    /// The hold may expire again.
    Unpinned { hold: HoldId, until: Instant },
    /// The place is sold.
    Confirmed { hold: HoldId },
    /// The place is free again; the hold leaves a tombstone.
    Released { hold: HoldId, why: LineEnd },
    /// The hold's time was over.
    Expired { hold: HoldId },
    /// A tombstone was no longer needed.
    TombstoneDropped { hold: HoldId },
}

/// Facts of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    /// An operator registered it, and a one-time code for its enrolment.
    Registered {
        operator: OperatorId,
        owner: u32,
        place: String,
        place_name: String,
        code_digest: [u8; 32],
        until: Instant,
    },
    /// It enrolled with its static X25519 key.
    Enrolled { key: [u8; 32] },
    /// It may not connect any more and its card tags are void.
    Revoked,
    /// A link was opened.
    Connected { at: Instant, version: u16 },
    /// The link was closed.
    Disconnected { at: Instant },
    /// A device reported its state (codes of `docs/codes/devices`).
    DeviceReported { device: u8, state: u8, supply: u8, at: Instant },
}

/// Facts of a network's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// A level's settings from an instant on.
    Configured(crate::network::Revision),
}

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// What an acquirer owes us for card payments.
    AcquirerReceivable(AcquirerId),
    /// What customers have paid and have no ticket for yet.
    CustomerDeposit,
    /// What we owe a provider for tickets issued.
    ProviderPayable(ProviderId),
    /// Fees earned.
    FeeRevenue,
    /// What goes back to customers and is not yet taken by the bank.
    RefundPayable,
    /// What does not match and waits for somebody.
    Suspense,
}

/// An account of one operator and currency; sharded by partition, summed at settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Whose books.
    pub operator: OperatorId,
    /// Which account.
    pub kind: AccountKind,
    /// In which currency.
    pub currency: Currency,
}

/// Debit or credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Debit.
    Debit,
    /// Credit.
    Credit,
}

/// One leg of a posting; the amount is never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub account: Account,
    /// On which side.
    pub side: Side,
    /// How much.
    pub amount: Money,
}

/// What a posting does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostingKind {
    /// Reserves: shown as pending, not in the balance.
    Pending,
    /// Turns the pending posting of the same key into the balance.
    Post,
    /// Takes the pending posting of the same key away.
    Void,
    /// Goes into the balance at once.
    Direct,
}

/// What a posting is for: unique within the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostingKey {
    /// A card payment (pending, then post or void).
    Payment(PaymentNo),
    /// A ticket issued: the deposit becomes provider's money and fee.
    Issue(LineNo),
    /// A refund decided.
    RefundDue(RefundNo),
    /// A refund taken by the bank.
    RefundDone(RefundNo),
}

/// A double entry: debits equal credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The order it belongs to.
    pub order: OrderId,
    /// What for.
    pub key: PostingKey,
    /// What it does.
    pub kind: PostingKind,
    /// The business date, once there is one.
    pub date: Option<BusinessDate>,
    /// Its legs.
    pub legs: Vec<Leg>,
}

/// Facts of settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlementEvent {
    /// From here on, this partition stamps `opens` for that acquirer.
    CutOver {
        operator: OperatorId,
        acquirer: AcquirerId,
        closes: BusinessDate,
        opens: BusinessDate,
    },
    /// (Coordinator) a batch was begun: every partition is asked to cut over.
    BatchOpened { operator: OperatorId, acquirer: AcquirerId, date: BusinessDate, partitions: u16 },
    /// (Coordinator) a partition has passed its marker.
    PartitionPassed {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        partition: PartitionId,
    },
    /// (Coordinator) the file is written; its bytes follow from the journal.
    BatchClosed {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        lines: u32,
        debit: Money,
        credit: Money,
        digest: [u8; 32],
    },
    /// (Coordinator) a file was compared with the bank's.
    Reconciled {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        source: [u8; 32],
        matched: u32,
        exceptions: Vec<ExceptionRaised>,
    },
    /// Something in this partition needs a human: it found no match, or was refused for good.
    ExceptionRaised {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        exception: ExceptionRaised,
    },
    /// An exception was settled by somebody.
    ExceptionEnded {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        id: u64,
        how: u16,
    },
}

/// Kinds of difference between our books and the bank's (protocol break categories).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExceptionKind {
    /// Only the bank has it.
    Long,
    /// Only we have it.
    Short,
    /// The amounts differ.
    Amount,
    /// Ours is reversed or refunded and theirs is paid, or the reverse.
    Status,
    /// The bank has it twice.
    Duplicate,
    /// It is on the bank's neighbouring day.
    DayShift,
    /// Another currency.
    Currency,
    /// An approval that found no order waiting.
    UnmatchedApproval,
}

/// Something that did not match: it has an owner, an age and an amount, and is never dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionRaised {
    /// Unique within acquirer and date.
    pub id: u64,
    /// What differs.
    pub kind: ExceptionKind,
    /// The order, if we know one.
    pub order: Option<OrderId>,
    /// The retrieval reference number.
    pub rrn: Rrn,
    /// Ours.
    pub ours: Option<Money>,
    /// Theirs.
    pub theirs: Option<Money>,
    /// Who has to act: 1 the operator's clerk, 2 the bank, 3 the provider.
    pub owner: u8,
    /// Since when.
    pub since: Instant,
}
