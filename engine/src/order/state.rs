//! The state of an order: phases that carry their data.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use std::collections::VecDeque;

use crate::command::ProviderStep;
use crate::event::{
    Answered, BankNumbers, BankStep, Flow, LineEnd, LinePlaced, PaymentEnd, Placed, PrintFault,
    PrintProof, Seat, Tender,
};
use crate::ids::{
    AcquirerId, Attempt, AuthCode, LineNo, OrderId, PaymentNo, ResponseCode, SessionId, Stan,
    TerminalId, TicketNumber, UnitNo, Version,
};
use crate::money::Money;
use crate::time::{BusinessDate, Instant};

/// An order as the fold of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// What was placed.
    pub placed: Box<Placed>,
    /// Its lines, in the order of their numbers.
    pub lines: Vec<Line>,
    /// Payments begun, in the order of their numbers.
    pub payments: Vec<Payment>,
    /// Refunds, in the order of their numbers.
    pub refunds: Vec<Refund>,
    /// How many events made this state.
    pub version: u64,
    /// The reason why it is set aside, if it is.
    pub parked: Option<u16>,
    /// Nothing is open any more.
    pub closed: bool,
    /// The last commands and their answers.
    pub answered: VecDeque<Answered>,
}

/// A place that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPlace {
    /// The unit.
    pub unit: UnitNo,
    /// Its label.
    pub seat: Seat,
    /// Until when, unless pinned.
    pub until: Instant,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was placed.
    pub placed: LinePlaced,
    /// When its hold ends, unless it is paid.
    pub expires: Instant,
    /// The current attempt.
    pub attempt: Attempt,
    /// The provider's booking id, once it knows.
    pub booking: Option<String>,
    /// Where it stands.
    pub phase: LinePhase,
    /// Prints told so far.
    pub prints: u16,
    /// What the service's partition has of it; `Nothing` for ever when the line is live.
    pub service: Grip,
    /// What the provider has of it.
    pub provider: Grip,
    /// Tickets whose numbers are void.
    pub spoiled: Vec<TicketNumber>,
    /// Whether the person took the ticket, once known.
    pub taken: Option<bool>,
}

/// What one side (the service's partition, the provider) has of a line's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grip {
    /// It was never asked.
    Nothing,
    /// It is asked, and has not answered yet.
    Asked(ProviderStep),
    /// It holds the place.
    Holding,
    /// It has sold the place.
    Confirmed,
    /// It refused the hold, with the provider's code.
    Refused(u8),
    /// It has given the place back.
    Gone,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePhase {
    /// A place is asked for.
    Asking,
    /// A place is held.
    Held(HeldPlace),
    /// A place is held and may not expire: a payment runs.
    Pinned(HeldPlace),
    /// Paid; the provider is asked to confirm, and waited for until then.
    Confirming { place: HeldPlace, until: Instant },
    /// Paid and confirmed; to be issued.
    Confirmed(HeldPlace),
    /// The terminal is told to print.
    Issuing {
        place: HeldPlace,
        print: Attempt,
        ticket: TicketNumber,
        terminal: TerminalId,
        session: SessionId,
        deadline: Instant,
    },
    /// Not known whether it was printed.
    PrintInDoubt {
        place: HeldPlace,
        print: Attempt,
        ticket: TicketNumber,
        terminal: TerminalId,
        session: SessionId,
        until: Instant,
    },
    /// Surely not printed; another try or the money back.
    NotPrinted { place: HeldPlace, print: Attempt, fault: PrintFault },
    /// Printed, with proof.
    Issued { place: HeldPlace, ticket: TicketNumber, terminal: TerminalId, proof: PrintProof },
    /// Issued, and good until the line `by` is issued in its place; `until` as in `Disrupted`.
    Exchanging {
        place: HeldPlace,
        ticket: TicketNumber,
        terminal: TerminalId,
        proof: PrintProof,
        by: LineNo,
        until: Option<Instant>,
    },
    /// Issued for a service that does not run: exchanged or given back by then, else the money goes back by itself.
    Disrupted {
        place: HeldPlace,
        ticket: TicketNumber,
        terminal: TerminalId,
        proof: PrintProof,
        until: Instant,
    },
    /// Issued and not used; only two operators can give money back for it.
    NoShow { place: HeldPlace, ticket: TicketNumber, terminal: TerminalId, proof: PrintProof },
    /// The place is being given back.
    Releasing { why: LineEnd },
    /// Ended without a ticket; money, if it was paid, goes back by a refund.
    Ended { why: LineEnd },
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The terminal.
    pub terminal: TerminalId,
    /// The session.
    pub session: SessionId,
    /// The acquirer.
    pub acquirer: AcquirerId,
    /// What it is made with.
    pub tender: Tender,
    /// One step or two.
    pub flow: Flow,
    /// How much.
    pub amount: Money,
    /// For which lines.
    pub lines: Vec<LineNo>,
    /// The numbers of the 0100, when one was asked.
    pub authorization: Option<BankNumbers>,
    /// The numbers of the last 0200.
    pub completion: Option<BankNumbers>,
    /// The numbers of every 0200, by PIN try.
    pub tries: Vec<BankNumbers>,
    /// The trace numbers of messages that a reversal was asked for.
    pub reversed: Vec<Stan>,
    /// The approval code.
    pub auth: Option<AuthCode>,
    /// Where it stands.
    pub phase: PaymentPhase,
    /// The receipt's number, once it was told.
    pub receipt_number: Option<u64>,
    /// Whether its receipt was printed, once known.
    pub receipt: Option<bool>,
    /// The configuration's version when it began.
    pub config: Version,
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentPhase {
    /// Holds are being pinned; these lines are still missing.
    Pinning { missing: Vec<LineNo>, until: Instant },
    /// The 0100 is on its way.
    Authorizing { not_after: Instant },
    /// The person is to enter the PIN.
    AwaitingPin { pin_try: u8, until: Instant },
    /// The 0200 is on its way.
    Completing { pin_try: u8, not_after: Instant },
    /// Money is taken.
    Completed { date: BusinessDate, bank_date: Option<BusinessDate> },
    /// A message is being reversed; `then` is reversed next.
    Reversing { step: BankStep, numbers: BankNumbers, then: Option<BankStep>, why: PaymentEnd },
    /// No money moved.
    Ended { why: PaymentEnd },
}

/// Money going back for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The payment it comes from.
    pub payment: PaymentNo,
    /// The line.
    pub line: LineNo,
    /// How much.
    pub amount: Money,
    /// The message's numbers.
    pub numbers: BankNumbers,
    /// Why.
    pub why: LineEnd,
    /// The business date, once the bank has taken it.
    pub done: Option<BusinessDate>,
    /// The bank's code, when it refused for good.
    pub refused: Option<ResponseCode>,
}
