//! What somebody asks for: imperatives. A command carries its id, time, principal and every fresh id it needs.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use crate::event::{
    BankStep, CardOnFile, Entity, ExceptionRaised, Flow, LinePlaced, Passenger, PrintFault,
    PrintProof, Seat, ServiceSpec,
};
use crate::ids::{
    AcquirerId, Attempt, AuthCode, CommandId, LineNo, OperatorId, OrderId, PartitionId, PaymentNo,
    Reference, RefundNo, ResponseCode, Rrn, SessionId, Slot, Stan, TerminalId, UnitNo, Version,
};
use crate::money::{Currency, Money};
use crate::network::{Level, Settings};
use crate::settlement::OpenKind;
use crate::time::{BusinessDate, Instant};

/// A command with everything that is not in the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The idempotency id, and the correlation id of everything that follows from it.
    pub id: CommandId,
    /// A digest of what the client said; time and generated ids apart.
    pub fingerprint: [u8; 16],
    /// When it was taken in.
    pub at: Instant,
    /// Who asks.
    pub principal: Principal,
    /// The second principal of a two-person approval.
    pub second: Option<Principal>,
    /// Over which channel it came.
    pub channel: Channel,
    /// Why, where a reason is due (codes of `docs/codes/reasons.md`); 0 where none is.
    pub reason: u16,
    /// What is asked.
    pub body: Body,
}

/// Who asks, and in which role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The role.
    pub role: Role,
    /// Who, within the role (a user's, agent's or terminal's number; 0 for the system).
    pub id: u64,
}

/// Roles; what each may do is decided in the engine, by default nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A guest who proved reference and second factor, or places a new order.
    Guest,
    /// A call-center agent.
    Agent,
    /// A terminal, over its authenticated link.
    Terminal,
    /// A gateway reporting an outside system's answer.
    Gateway,
    /// The center's own timers and recovery.
    System,
    /// An operator of the fleet.
    Operator,
    /// A settlement clerk.
    Clerk,
}

/// Over which channel a command came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The center itself: timers, recovery, messages between partitions.
    #[default]
    Internal,
    /// The web site or its API.
    Web,
    /// The call center.
    Telephone,
    /// A terminal's link.
    Terminal,
    /// An outside system's answer or feed.
    Gateway,
    /// The operator's console.
    Console,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Place an order and hold its lines.
    PlaceOrder(Box<PlaceOrder>),
    /// Cancel what is not issued.
    CancelOrder { order: OrderId },
    /// A person at a terminal wants to pay and collect.
    StartPayment {
        order: OrderId,
        terminal: TerminalId,
        session: SessionId,
        card: CardOnFile,
        flow: Flow,
        until: Instant,
        config: Version,
    },
    /// The PIN was entered; the block itself travels beside and is never seen here.
    EnterPin { order: OrderId, payment: PaymentNo, pin_try: u8, session: SessionId },
    /// The person gave up, did not answer, or the session was lost.
    AbandonPayment { order: OrderId, payment: PaymentNo, session: SessionId, why: Abandon },
    /// A provider answered.
    ProviderAnswered {
        order: OrderId,
        line: LineNo,
        attempt: Attempt,
        op: ProviderStep,
        outcome: ProviderOutcome,
    },
    /// The bank answered.
    BankAnswered {
        order: OrderId,
        payment: PaymentNo,
        exchange: BankExchange,
        outcome: BankOutcome,
    },
    /// A bank approved something that no request waited for; it is looked up by its reference.
    ReportUnmatched {
        operator: OperatorId,
        acquirer: AcquirerId,
        rrn: Rrn,
        stan: Stan,
        amount: Option<Money>,
    },
    /// A terminal reports what became of a print.
    ReportPrint { order: OrderId, line: LineNo, print: Attempt, outcome: PrintOutcome },
    /// A terminal reports whether the person took the ticket.
    ReportTaken { order: OrderId, line: LineNo, taken: bool },
    /// A terminal reports the receipt.
    ReportReceipt { order: OrderId, payment: PaymentNo, printed: bool },
    /// An operator's count settles a print in doubt (two principals).
    CountPrint { order: OrderId, line: LineNo, print: Attempt, printed: bool },
    /// Give an issued ticket back for its refund.
    RefundLine { order: OrderId, line: LineNo },
    /// Exchange an issued ticket for `new`, which is held until `expires` at most, paid and issued like any other line.
    ExchangeLine { order: OrderId, line: LineNo, new: Box<NewLine>, expires: Instant },
    /// Declare that an issued ticket never was: all of its money goes back (two principals, and a reason).
    VoidLine { order: OrderId, line: LineNo },
    /// The provider does not run the service of a line.
    ReportDisruption { order: OrderId, line: LineNo },
    /// The service ran and the ticket was not used.
    ReportNoShow { order: OrderId, line: LineNo },
    /// A deadline passed.
    Tick { entity: Entity, timer: Timer },
    /// The center was restarted: unanswered once-effects of this entity are in doubt.
    Restarted { entity: Entity },
    /// Set an entity aside after repeated faults.
    Park { order: OrderId, reason: u16 },
    /// Set it going again.
    Unpark { order: OrderId },
    /// Register a terminal and its one-time enrolment code.
    RegisterTerminal {
        terminal: TerminalId,
        operator: OperatorId,
        owner: u32,
        place: String,
        place_name: String,
        code_digest: [u8; 32],
        until: Instant,
    },
    /// A terminal enrols with its code.
    EnrolTerminal { terminal: TerminalId, code_digest: [u8; 32], key: [u8; 32] },
    /// Shut a terminal out.
    RevokeTerminal { terminal: TerminalId },
    /// State a level's settings, all of them, from an instant on.
    Configure { operator: OperatorId, level: Level, from: Instant, settings: Box<Settings> },
    /// A terminal's link came or went.
    TerminalLink { terminal: TerminalId, connected: bool, version: u16 },
    /// A terminal's device reports its state.
    ReportDevice { terminal: TerminalId, device: u8, state: u8, supply: u8 },
    /// (Coordinator) begin the batch of a business date: all partitions cut over to `opens`.
    OpenBatch {
        operator: OperatorId,
        acquirer: AcquirerId,
        closes: BusinessDate,
        opens: BusinessDate,
    },
    /// (Coordinator) the file is written.
    CloseBatch {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        lines: u32,
        debit: Money,
        credit: Money,
        digest: [u8; 32],
    },
    /// (Coordinator) the comparison with the bank's file.
    RecordReconciliation {
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        source: [u8; 32],
        matched: u32,
        exceptions: Vec<ExceptionRaised>,
    },
    /// What of a closed day has not ended in time becomes an exception, so that the day may be closed.
    ExceptOpenItem { order: OrderId, acquirer: AcquirerId, date: BusinessDate, what: OpenKind },
    /// An exception is settled (two principals); `how` is a code of `docs/codes/exceptions`.
    EndException {
        /// Where it was raised: the order's slot, or the acquirer's for those of a reconciliation.
        slot: Slot,
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
        id: u64,
        how: u16,
    },
    /// Messages of another partition, `first` onwards.
    Deliver { from: PartitionId, first: u64, messages: Vec<(Slot, crate::message::Message)> },
    /// Another partition has taken in our messages up to `n`.
    Acknowledge { by: PartitionId, n: u64 },
}

/// A new line, with its service's layout in case the engine meets the service for the first time.
pub type NewLine = (LinePlaced, Option<ServiceSpec>);

/// A new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// A fresh id; its slot comes from the card's routing hash.
    pub order: OrderId,
    /// The network.
    pub operator: OperatorId,
    /// A fresh unguessable reference.
    pub reference: Reference,
    /// A keyed digest of the second factor.
    pub factor: [u8; 16],
    /// The card.
    pub card: CardOnFile,
    /// Who travels.
    pub passengers: Vec<Passenger>,
    /// What is sold.
    pub lines: Vec<NewLine>,
    /// Where it will be collected.
    pub pickup: String,
    /// The currency.
    pub currency: Currency,
    /// When unpaid holds end.
    pub expires: Instant,
    /// The configuration's version.
    pub config: Version,
}

/// Why a person did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abandon {
    /// Pressed cancel.
    Cancelled,
    /// Did not answer.
    TimedOut,
    /// The terminal or its link went away.
    SessionLost,
}

/// What a provider was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderStep {
    /// Hold (live), or be told of our hold (allotted).
    Hold,
    /// Confirm.
    Confirm,
    /// Release.
    Release,
    /// Refund.
    Refund,
}

/// A provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderOutcome {
    /// Done; for a hold with the booking's id, the place and its time limit.
    Yes { booking: String, unit: Option<(UnitNo, Seat)>, until: Option<Instant> },
    /// Refused for good (the provider's code, ours: 1 sold out, 2 seat taken, 3 unknown, 4 cancelled, 5 other).
    No { code: u8 },
    /// Not known. Repeatable: it is asked again.
    InDoubt,
}

/// Which exchange with the bank was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BankExchange {
    /// 0100.
    Authorize,
    /// 0200 with this PIN try.
    Complete {
        /// The try, from 1.
        pin_try: u8,
    },
    /// 0420 of a step.
    Reverse(BankStep),
    /// 0220 refund.
    Refund(RefundNo),
}

/// The bank's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BankOutcome {
    /// Agreed.
    Yes { auth: AuthCode, bank_date: Option<BusinessDate> },
    /// Refused.
    No {
        /// DE 39.
        code: ResponseCode,
        /// The PIN was wrong and may be tried again.
        retry_pin: bool,
    },
    /// Not known.
    InDoubt,
    /// Not one byte was written.
    NotSent,
}

/// What became of a print, as the terminal saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrintOutcome {
    /// Printed, with proof.
    Printed(PrintProof),
    /// Surely not printed.
    NotPrinted(PrintFault),
    /// Not known.
    Unproven,
}

/// The timers of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Holds of a service, or of an order with live lines, may have ended.
    HoldExpiry,
    /// A payment's prompt or exchange takes too long.
    Payment(PaymentNo),
    /// An instruction to print was not answered.
    Print(LineNo, Attempt),
    /// The deadline of a print in doubt.
    PrintDoubt(LineNo, Attempt),
    /// A provider's confirmation of a paid line takes too long.
    Confirm(LineNo),
    /// The time for a choice about a disrupted line is over.
    Disruption(LineNo),
}
