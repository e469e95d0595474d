//! Intents: what an actor is to do after the events are durable.
//!
//! *Repeatable* effects (hold, confirm, release, refund, reversal, push, revoke) may be carried out again after a crash;
//! *once* effects (authorize, complete, print) never are.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use crate::command::Timer;
use crate::event::{
    BankNumbers, BankStep, CardOnFile, Entity, Fare, Flow, Needs, Passenger, PaymentEnd, Product,
    Run, Seat,
};
use crate::ids::{
    AcquirerId, Attempt, AuthCode, CommandId, HoldId, LineNo, OrderId, PartitionId, PassengerNo,
    PaymentNo, Reference, RefundNo, SessionId, Slot, TerminalId, TicketNumber, UnitNo,
};
use crate::message::Message;
use crate::money::Money;
use crate::time::Instant;

/// One intent, with the command it follows from (the correlation id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The command that caused it; `None` when it was rebuilt from state after a restart.
    pub cause: Option<CommandId>,
    /// What to do.
    pub intent: Intent,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Ask a provider. Repeatable.
    Provider(ProviderIntent),
    /// Ask a bank.
    Bank(BankIntent),
    /// Tell a terminal.
    Terminal(TerminalIntent),
    /// Put a spoiled ticket on the gates' revocation list. Repeatable; nobody answers.
    Revoke { order: OrderId, ticket: TicketNumber },
    /// Deliver a message to a partition, until acknowledged. Repeatable.
    Deliver { partition: PartitionId, n: u64, to: Slot, message: Message },
    /// Send `Tick { entity, timer }` at that time. Repeatable; an old timer does no harm.
    Schedule { entity: Entity, timer: Timer, at: Instant },
    /// Nothing of the order is open: its actor may stop.
    Rest(OrderId),
}

/// What to ask a provider. The hold id is the idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderIntent {
    /// The hold (order, line, attempt).
    pub hold: HoldId,
    /// The line's product.
    pub product: Product,
    /// What to ask.
    pub op: ProviderOp,
}

/// What to ask a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderOp {
    /// Hold a place: `unit` given for allotted services (ours decides), or when picked.
    Hold { unit: Option<(UnitNo, Seat)>, run: Run, class: u8, needs: Needs, until: Instant },
    /// The place is sold.
    Confirm { booking: Option<String> },
    /// The place is not needed.
    Release { booking: Option<String> },
    /// The ticket is given back.
    Refund { booking: Option<String> },
}

/// What to ask a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankIntent {
    /// The order.
    pub order: OrderId,
    /// Its payment.
    pub payment: PaymentNo,
    /// The acquirer.
    pub acquirer: AcquirerId,
    /// The terminal (DE 41).
    pub terminal: TerminalId,
    /// The card, by pointer.
    pub card: CardOnFile,
    /// The message.
    pub op: BankOp,
}

/// The message to a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankOp {
    /// 0100. Once. Needs the swipe (track 2), which lives only in the attempt.
    Authorize { numbers: BankNumbers, amount: Money, not_after: Instant },
    /// 0200 with the PIN. Once. `auth` and `original` name the hold it completes; `None` in one step.
    Complete {
        pin_try: u8,
        numbers: BankNumbers,
        amount: Money,
        original: Option<BankNumbers>,
        auth: Option<AuthCode>,
        not_after: Instant,
    },
    /// 0420, repeated as 0421 until answered. Repeatable. `flow` is the payment's: the bank's table may have changed since.
    Reverse {
        step: BankStep,
        flow: Flow,
        original: BankNumbers,
        numbers: BankNumbers,
        auth: Option<AuthCode>,
        amount: Money,
        why: PaymentEnd,
    },
    /// 0220 refund, repeated as 0221 until answered. Repeatable. `flow` is the payment's.
    Refund {
        refund: RefundNo,
        flow: Flow,
        original: BankNumbers,
        numbers: BankNumbers,
        auth: AuthCode,
        amount: Money,
    },
}

/// What to tell a terminal. Instructions carry their session and deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalIntent {
    /// The terminal, or every terminal of the pickup place when `None`.
    pub terminal: Option<TerminalId>,
    /// The order.
    pub order: OrderId,
    /// What to tell.
    pub op: TerminalOp,
}

/// What to tell a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalOp {
    /// (Method b) a booking may be collected at this place. Repeatable.
    PushBooking { place: String, card: CardOnFile },
    /// The booking is not to be collected any more. Repeatable.
    WithdrawBooking { place: String },
    /// The bank is being asked.
    ShowAuthorizing { session: SessionId, payment: PaymentNo },
    /// Ask for the PIN.
    AskPin {
        session: SessionId,
        payment: PaymentNo,
        pin_try: u8,
        tries_left: u8,
        amount: Money,
        until: Instant,
    },
    /// The PIN is being checked.
    ShowCompleting { session: SessionId, payment: PaymentNo },
    /// Print a ticket. Once.
    Issue(Box<IssueTicket>),
    /// Print the receipt.
    PrintReceipt { session: SessionId, payment: PaymentNo, number: u64 },
    /// Ask the printer's counters about a print in doubt. Repeatable.
    QueryPrint { line: LineNo, print: Attempt, ticket: TicketNumber },
    /// The payment ended without success.
    ShowEnded { session: SessionId, payment: PaymentNo, why: PaymentEnd },
    /// A line could not be issued; its money goes back.
    ShowLineRefunded { session: SessionId, line: LineNo, amount: Money },
    /// All is done.
    ShowDone { session: SessionId, payment: PaymentNo },
}

/// The ticket to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueTicket {
    /// The session that was told.
    pub session: SessionId,
    /// The line.
    pub line: LineNo,
    /// The print attempt.
    pub print: Attempt,
    /// The ticket's number.
    pub ticket: TicketNumber,
    /// Printed before this, or answered *expired*.
    pub deadline: Instant,
    /// What was sold.
    pub product: Product,
    /// The place.
    pub unit: UnitNo,
    /// Its label.
    pub seat: Seat,
    /// Who travels.
    pub passenger: Passenger,
    /// The passenger's number.
    pub passenger_no: PassengerNo,
    /// At which price.
    pub fare: Fare,
    /// The order's reference.
    pub reference: Reference,
    /// Which of how many tickets.
    pub position: (u8, u8),
}
