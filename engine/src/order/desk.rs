//! The desk at which one order is decided: a copy of its state that each decided event is applied to at once, so that
//! what follows from an event is decided from the state after it.

use super::state::{Grip, LinePhase, Order, PaymentPhase};
use crate::command::ProviderStep;
use crate::event::{
    Authority, BankNumbers, Event, ExceptionKind, ExceptionRaised, Leg, LineEnd, OrderEvent,
    Posting, PostingKey, PostingKind, SettlementEvent,
};
use crate::ids::{
    Attempt, HoldId, LineNo, PaymentNo, RefundNo, SessionId, Slot, TerminalId, TicketNumber,
};
use crate::ledger;
use crate::limits::PRINT_DEADLINE_US;
use crate::message::Message;
use crate::money::Money;
use crate::numbers::SlotCounters;
use crate::time::{BusinessDate, Instant};

/// What a desk puts out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A fact.
    Event(Event),
    /// A message to a service.
    Send(Slot, Message),
}

/// One order being decided.
pub(crate) struct Desk {
    pub order: Order,
    pub at: Instant,
    pub counters: SlotCounters,
    /// The business date that is stamped now for the order's acquirer.
    pub date: Option<BusinessDate>,
    pub out: Vec<Out>,
}

impl Desk {
    pub fn new(
        order: Order,
        at: Instant,
        counters: SlotCounters,
        date: Option<BusinessDate>,
    ) -> Self {
        Self { order, at, counters, date, out: Vec::new() }
    }

    /// Decides a fact.
    pub fn push(&mut self, event: OrderEvent) {
        self.order.evolve(&event);
        let event = Event::Order(self.order.id, event);
        self.counters.evolve(&event);
        self.out.push(Out::Event(event));
    }

    /// Says something to the service of a line.
    pub fn send(&mut self, line: LineNo, message: Message) {
        if let Some(line) = self.order.line(line) {
            let slot = line.placed.product.service.slot;
            self.out.push(Out::Send(slot, message));
        }
    }

    pub fn post(
        &mut self,
        key: PostingKey,
        kind: PostingKind,
        date: Option<BusinessDate>,
        legs: Vec<Leg>,
    ) {
        if !legs.is_empty() {
            let order = self.order.id;
            self.out.push(Out::Event(Event::Ledger(Posting { order, key, kind, date, legs })));
        }
    }

    /// Raises an exception about a message of this order.
    pub fn raise(
        &mut self,
        kind: ExceptionKind,
        numbers: BankNumbers,
        ours: Option<Money>,
        theirs: Option<Money>,
        owner: u8,
    ) {
        let exception = ExceptionRaised {
            id: self.counters.next_exception(self.order.placed.operator, self.order.id.slot),
            kind,
            order: Some(self.order.id),
            rrn: numbers.rrn,
            ours,
            theirs,
            owner,
            since: self.at,
        };
        let event = Event::Settlement(SettlementEvent::ExceptionRaised {
            operator: self.order.placed.operator,
            acquirer: self.order.placed.card.acquirer,
            date: self.date.unwrap_or_default(),
            exception,
        });
        self.counters.evolve(&event);
        self.out.push(Out::Event(event));
    }

    /// Fresh numbers of a bank message; `of` is the message whose DE 37 it shares.
    pub fn numbers(&self, of: Option<BankNumbers>) -> BankNumbers {
        let (operator, slot) = (self.order.placed.operator, self.order.id.slot);
        BankNumbers {
            stan: self.counters.next_stan(slot),
            rrn: of.map_or_else(|| self.counters.next_rrn(operator, slot), |numbers| numbers.rrn),
            at: self.at,
        }
    }

    pub fn hold_id(&self, line: LineNo) -> HoldId {
        let attempt = self.order.line(line).map_or(Attempt(0), |l| l.attempt);
        HoldId { order: self.order.id, line, attempt }
    }

    fn attempt(&self, line: LineNo) -> Attempt {
        self.hold_id(line).attempt
    }

    pub fn ask_provider(&mut self, line: LineNo, op: ProviderStep) {
        let attempt = self.attempt(line);
        self.push(OrderEvent::ProviderAsked { line, attempt, op });
    }

    /// Gives a line's place back: to the service at once, to the provider as soon as it has answered what it was asked.
    pub fn release(&mut self, line: LineNo, why: LineEnd) {
        let Some(state) = self.order.line(line) else { return };
        let (tell, service) = (state.service.has_place(), state.placed.product.service);
        let hold = self.hold_id(line);
        self.push(OrderEvent::ReleaseAsked { line, attempt: hold.attempt, why });
        if tell {
            self.send(line, Message::Release { service, hold, why });
        }
    }

    /// A line could not be held: its neighbours are given up too, if any line of the order asked to keep together. An
    /// exchange is nobody's neighbour.
    pub fn give_up_neighbours(&mut self, failed: LineNo) {
        if self.order.is_exchange(failed)
            || !self.order.lines.iter().any(|l| l.placed.needs.together)
        {
            return;
        }
        let paying = self.order.running_payment().map(|(_, p)| p.lines.clone()).unwrap_or_default();
        let neighbours: Vec<LineNo> = self
            .order
            .numbered_lines()
            .filter(|(no, line)| {
                matches!(line.phase, LinePhase::Asking | LinePhase::Held(_))
                    && !paying.contains(no)
                    && !self.order.is_exchange(*no)
            })
            .map(|(no, _)| no)
            .collect();
        for line in neighbours {
            self.release(line, LineEnd::OrderAbandoned);
        }
    }

    /// A paid line gets no ticket (any more): `amount` goes back and the place is given up.
    pub fn refund(&mut self, line: LineNo, amount: Money, why: LineEnd) {
        if let Some((payment, paid)) = self.order.payment_of(line)
            && let Some(original) = paid.completion
            && amount.minor() > 0
            && !self.order.refunds.iter().any(|r| r.line == line && r.payment == payment)
        {
            let date = match paid.phase {
                PaymentPhase::Completed { date, .. } => Some(date),
                PaymentPhase::Pinning { .. }
                | PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. }
                | PaymentPhase::Reversing { .. }
                | PaymentPhase::Ended { .. } => None,
            };
            let issued = self.order.line(line).filter(|l| l.phase.ticket().is_some());
            let issued = issued.map(|l| (l.placed.product.provider, l.placed.fare));
            let refund = RefundNo(u8::try_from(self.order.refunds.len()).unwrap_or(u8::MAX));
            let numbers = self.numbers(None);
            let legs = ledger::refund_due_legs(self.order.placed.operator, issued, amount);
            self.push(OrderEvent::RefundAsked {
                refund,
                payment,
                line,
                amount,
                original,
                numbers,
                why,
            });
            self.post(PostingKey::RefundDue(refund), PostingKind::Direct, date, legs);
        }
        self.release(line, why);
    }

    /// Refunds a paid line that could not be issued, in full.
    pub fn fail(&mut self, line: LineNo, why: LineEnd) {
        let Some(fare) = self.order.line(line).map(|l| l.placed.fare) else { return };
        let total = fare.price.plus(fare.fee).unwrap_or(fare.price);
        self.refund(line, total, why);
    }

    /// Does everything that follows from the state as it is now, until nothing more follows.
    pub fn advance(&mut self) {
        loop {
            let before = self.out.len();
            let lines: Vec<LineNo> = self.order.numbered_lines().map(|(no, _)| no).collect();
            for line in lines {
                self.advance_line(line);
            }
            let payments: Vec<PaymentNo> =
                self.order.numbered_payments().map(|(no, _)| no).collect();
            for payment in payments {
                self.advance_payment(payment);
            }
            if !self.order.closed && self.is_over() {
                self.push(OrderEvent::Closed);
            }
            if self.out.len() == before {
                return;
            }
        }
    }

    fn advance_line(&mut self, no: LineNo) {
        let Some(line) = self.order.line(no) else { return };
        let live = line.placed.product.authority == Authority::Live;
        let (provider, service) = (line.provider, line.service);
        if !live && provider == Grip::Holding && line.phase.is_sold() {
            // It was silent while its confirmation was due, and is told what was sold meanwhile.
            self.ask_provider(no, ProviderStep::Confirm);
            return;
        }
        match &line.phase {
            LinePhase::Held(_) => {
                if let Grip::Refused(code) = provider
                    && self.order.running_payment().is_none()
                {
                    self.release(no, refusal(code));
                    self.give_up_neighbours(no);
                }
            }
            LinePhase::Exchanging { .. } => super::after_sale::advance_exchange(self, no),
            LinePhase::Confirming { .. } => match (provider, service) {
                (Grip::Refused(code), _) => self.fail(no, refusal(code)),
                (Grip::Gone, _) | (_, Grip::Gone | Grip::Refused(_)) => {
                    self.fail(no, LineEnd::ProviderRefused);
                }
                (Grip::Nothing, _) => self.ask_provider(no, ProviderStep::Hold),
                (Grip::Holding, _) => self.ask_provider(no, ProviderStep::Confirm),
                (Grip::Confirmed, _) if live || service == Grip::Confirmed => {
                    self.push(OrderEvent::LineConfirmed { line: no });
                }
                (Grip::Confirmed | Grip::Asked(_), _) => {}
            },
            LinePhase::Releasing { .. } => match provider {
                Grip::Holding => self.ask_provider(no, ProviderStep::Release),
                Grip::Confirmed => self.ask_provider(no, ProviderStep::Refund),
                Grip::Asked(_) => {}
                Grip::Nothing | Grip::Refused(_) | Grip::Gone => {
                    if !service.has_place() {
                        let attempt = self.attempt(no);
                        self.push(OrderEvent::LineReleased { line: no, attempt });
                    }
                }
            },
            LinePhase::Asking
            | LinePhase::Pinned(_)
            | LinePhase::Confirmed(_)
            | LinePhase::Issuing { .. }
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. }
            | LinePhase::Issued { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. }
            | LinePhase::Ended { .. } => {}
        }
    }

    /// Issues one ticket after another, then the receipt.
    fn advance_payment(&mut self, no: PaymentNo) {
        let Some(payment) = self.order.payment(no) else { return };
        if !matches!(payment.phase, PaymentPhase::Completed { .. })
            || payment.receipt_number.is_some()
        {
            return;
        }
        let (terminal, session) = (payment.terminal, payment.session);
        let (mut next, mut busy, mut open) = (None, false, false);
        for line in payment.lines.clone() {
            match self.order.line(line).map(|l| &l.phase) {
                Some(
                    LinePhase::Issuing { .. }
                    | LinePhase::PrintInDoubt { .. }
                    | LinePhase::NotPrinted { .. },
                ) => busy = true,
                Some(LinePhase::Confirmed(_)) => next = next.or(Some(line)),
                Some(LinePhase::Confirming { .. } | LinePhase::Pinned(_)) => open = true,
                Some(
                    LinePhase::Asking
                    | LinePhase::Held(_)
                    | LinePhase::Issued { .. }
                    | LinePhase::Exchanging { .. }
                    | LinePhase::Disrupted { .. }
                    | LinePhase::NoShow { .. }
                    | LinePhase::Releasing { .. }
                    | LinePhase::Ended { .. },
                )
                | None => {}
            }
        }
        let (operator, slot) = (self.order.placed.operator, self.order.id.slot);
        match next {
            _ if busy => {}
            Some(line) => self.tell_to_issue(line, terminal, session),
            None if open => {}
            None => {
                let number = self.counters.next_receipt(operator, slot);
                self.push(OrderEvent::ReceiptTold { payment: no, terminal, session, number });
            }
        }
    }

    /// Tells a terminal to print a line's ticket, under a number of its own.
    pub fn tell_to_issue(&mut self, line: LineNo, terminal: TerminalId, session: SessionId) {
        let (operator, slot) = (self.order.placed.operator, self.order.id.slot);
        let prints = self.order.line(line).map_or(0, |l| l.prints);
        self.push(OrderEvent::IssueTold {
            line,
            print: Attempt(prints.saturating_add(1)),
            ticket: TicketNumber(self.counters.next_ticket(operator, slot)),
            terminal,
            session,
            deadline: self.at.plus_us(PRINT_DEADLINE_US),
        });
    }

    /// Whether nothing is open any more.
    fn is_over(&self) -> bool {
        !self.order.is_waiting()
            && self.order.lines.iter().all(|line| {
                matches!(
                    line.phase,
                    LinePhase::Issued { .. } | LinePhase::NoShow { .. } | LinePhase::Ended { .. }
                )
            })
            && self.order.payments.iter().all(|payment| match payment.phase {
                PaymentPhase::Completed { .. } => payment.receipt_number.is_some(),
                PaymentPhase::Ended { .. } => true,
                PaymentPhase::Pinning { .. }
                | PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. }
                | PaymentPhase::Reversing { .. } => false,
            })
    }
}

/// Why a line ended, from a provider's code.
pub(super) fn refusal(code: u8) -> LineEnd {
    match code {
        1 => LineEnd::SoldOut,
        2 => LineEnd::SeatTaken,
        4 => LineEnd::Disrupted,
        _other => LineEnd::ProviderRefused,
    }
}
